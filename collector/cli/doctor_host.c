/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/doctor_host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "collector/cli/processes.h"

#define BTF_PATH       "/sys/kernel/btf/vmlinux"
#define LOCKDOWN_PATH  "/sys/kernel/security/lockdown"
#define LEAST_MAJOR    5
#define LEAST_MINOR    12 /* BPF exchanges and compares in one step */
#define LEAST_FREE_MIB 64
#define READ_BYTES     ((size_t)64 << 10)
#define BTF_MAX_BYTES  ((size_t)64 << 20)

static void check_version(struct doctor_report *report)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	if (sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	    (major > LEAST_MAJOR || (major == LEAST_MAJOR && minor >= LEAST_MINOR))) {
		bool is_rt = strstr(name.version, "PREEMPT_RT");

		doctor_report_add(
			report, is_rt ? DOCTOR_NOTE : DOCTOR_OK, "kernel version", "%s%s",
			name.release,
			is_rt ? ", PREEMPT_RT: devices wake by threads of the kernel, and "
				"waits are told so"
			      : "");
		return;
	}
	doctor_report_add(report, DOCTOR_BAD, "kernel version", "%s is too old", name.release);
	doctor_report_remedy(report, "run Linux %d.%d or later (Debian 12 has 6.1)", LEAST_MAJOR,
			     LEAST_MINOR);
}

/* The types behind tp_btf programs are named in the kernel's BTF. */
static void check_tracepoints(struct doctor_report *report, const char *btf, size_t size)
{
	static const char *const wanted[] = {
		"btf_trace_sched_switch",       "btf_trace_sched_waking",
		"btf_trace_sched_wakeup_new",   "btf_trace_sched_process_exec",
		"btf_trace_sched_process_exit",
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		if (memmem(btf, size, wanted[i], strlen(wanted[i]) + 1))
			continue;
		doctor_report_add(report, DOCTOR_BAD, "tracepoints", "the kernel has no %s",
				  wanted[i] + strlen("btf_trace_"));
		doctor_report_remedy(report,
				     "use a kernel with CONFIG_TRACEPOINTS and CONFIG_BPF_EVENTS");
		return;
	}
	doctor_report_add(report, DOCTOR_OK, "tracepoints",
			  "switch, waking, fork, exec and exit, for tp_btf");
}

/* Files of sysfs come a page at a time. Negative errno. */
static int read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 1;

	if (fd < 0)
		return -errno;
	while (got > 0 && buf_reserve(out, READ_BYTES)) {
		got = read(fd, out->data + out->len, READ_BYTES);
		out->len += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	return got < 0 ? -EIO : buf_error(out);
}

static void check_btf(struct doctor_report *report)
{
	struct buf btf;
	int rc;

	buf_init(&btf, BTF_MAX_BYTES);
	rc = read_file(BTF_PATH, &btf);
	if (rc < 0) {
		doctor_report_add(report, DOCTOR_BAD, "BTF", "%s: %s", BTF_PATH, strerror(-rc));
		doctor_report_remedy(report, "use a kernel built with CONFIG_DEBUG_INFO_BTF=y");
	} else {
		doctor_report_add(report, DOCTOR_OK, "BTF", "%s, %zu KiB", BTF_PATH, btf.len >> 10);
		check_tracepoints(report, btf.data, btf.len);
	}
	buf_fini(&btf);
}

/* The first line of a small file; empty when it cannot be read. */
static void read_line(const char *path, char *out_line, size_t size)
{
	FILE *file = fopen(path, "re");

	out_line[0] = '\0';
	if (!file)
		return;
	if (fgets(out_line, (int)size, file))
		out_line[strcspn(out_line, "\n")] = '\0';
	fclose(file);
}

static void check_lockdown(struct doctor_report *report)
{
	char line[128];

	read_line(LOCKDOWN_PATH, line, sizeof(line));
	if (!strstr(line, "[confidentiality]")) {
		doctor_report_add(report, *line ? DOCTOR_OK : DOCTOR_NOTE, "lockdown", "%s",
				  *line ? "BPF may read memory" : LOCKDOWN_PATH " tells nothing");
		return;
	}
	doctor_report_add(report, DOCTOR_BAD, "lockdown", "the kernel forbids BPF to read memory");
	doctor_report_remedy(report, "boot with lockdown=integrity or none");
}

static void check_sysctls(struct doctor_report *report)
{
	char line[64];
	struct rlimit limit;

	read_line("/proc/sys/kernel/perf_event_paranoid", line, sizeof(line));
	doctor_report_add(report, *line ? DOCTOR_OK : DOCTOR_BAD, "perf_event_paranoid", "%s",
			  *line ? line : "perf events are not in this kernel");
	if (!*line)
		doctor_report_remedy(report, "use a kernel with CONFIG_PERF_EVENTS=y");
	read_line("/proc/sys/kernel/unprivileged_bpf_disabled", line, sizeof(line));
	doctor_report_add(report, *line ? DOCTOR_OK : DOCTOR_NOTE, "unprivileged_bpf", "%s",
			  !*line         ? "unknown"
			  : *line == '0' ? "allowed: spanwise does not need that"
					 : "disabled, as it should be: the probe has CAP_BPF");
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		doctor_report_add(report, DOCTOR_OK, "memlock",
				  "%" PRIu64 " KiB; from Linux 5.11 on BPF maps do not count",
				  (uint64_t)limit.rlim_cur >> 10);
	else
		doctor_report_add(report, DOCTOR_OK, "memlock", "unlimited");
}

void doctor_host_kernel(struct doctor_report *report)
{
	check_version(report);
	check_btf(report);
	check_lockdown(report);
	check_sysctls(report);
}

static const struct capability {
	int bit;
	const char *name;
} needed[] = {
	{ CAP_BPF, "CAP_BPF" },
	{ CAP_PERFMON, "CAP_PERFMON" },
	{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
	{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH" },
	{ CAP_SYSLOG, "CAP_SYSLOG" },
};

static bool has(uint64_t held, int bit)
{
	bool is_covered = bit == CAP_BPF || bit == CAP_PERFMON || bit == CAP_SYSLOG;

	return held >> bit & 1 || (is_covered && held >> CAP_SYS_ADMIN & 1);
}

void doctor_host_capabilities(struct doctor_report *report)
{
	uint32_t pid = processes_find("spanwise-worker");
	uint64_t held = processes_capabilities(pid ? pid : (uint32_t)getpid());
	struct buf missing;

	buf_init(&missing, 0);
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		if (!has(held, needed[i].bit))
			buf_printf(&missing, " %s", needed[i].name);
	}
	if (missing.len == 0 && pid) {
		doctor_report_add(report, DOCTOR_OK, "capabilities",
				  "the probe (pid %u) has all it needs", pid);
	} else if (missing.len == 0) {
		doctor_report_add(report, DOCTOR_OK, "capabilities",
				  "no probe runs; started from here, it would have all it needs");
	} else {
		doctor_report_add(report, DOCTOR_BAD, "capabilities", "%s lacks%.*s",
				  pid ? "the probe" : "no probe runs, and started from here it",
				  (int)missing.len, missing.data);
		doctor_report_remedy(report,
				     "start `spanwise serve` as root or by its systemd unit; the "
				     "process that listens on the network gives up every "
				     "capability by itself");
	}
	buf_fini(&missing);
}

void doctor_host_port(struct doctor_report *report, const char *name, const char *address,
		      bool is_ours)
{
	char comm[32];
	uint32_t pid = 0;
	enum processes_port found = processes_listening(address, &pid, comm, sizeof(comm));

	if (found == PROCESSES_PORT_FREE && !is_ours) {
		doctor_report_add(report, DOCTOR_NOTE, name, "%s is free", address);
	} else if (is_ours || strncmp(comm, "spanwise", 8) == 0) {
		doctor_report_add(report, DOCTOR_OK, name, "%s, spanwise", address);
	} else if (found == PROCESSES_PORT_TAKEN) {
		doctor_report_add(report, DOCTOR_BAD, name, "%s is taken by %s (pid %u)", address,
				  pid ? comm : "a process of another user", pid);
		doctor_report_remedy(report,
				     "stop it, or start spanwise with --%s 127.0.0.1:0 or "
				     "another port",
				     name);
	} else {
		doctor_report_add(report, DOCTOR_NOTE, name, "%s is no address to look at",
				  address);
	}
}

static void check_room(struct doctor_report *report, const char *path)
{
	struct statvfs room;
	uint64_t free_mib;

	if (statvfs(path, &room) < 0)
		return;
	free_mib = (uint64_t)room.f_bavail * room.f_frsize >> 20;
	if (free_mib >= LEAST_FREE_MIB) {
		doctor_report_add(report, DOCTOR_OK, "disk space", "%" PRIu64 " MiB free",
				  free_mib);
		return;
	}
	doctor_report_add(report, DOCTOR_BAD, "disk space", "only %" PRIu64 " MiB free", free_mib);
	doctor_report_remedy(report, "make room at %s, or lower --max-data-mib", path);
}

void doctor_host_folder(struct doctor_report *report, const char *path)
{
	struct stat about;

	if (stat(path, &about) < 0) {
		doctor_report_add(
			report, errno == ENOENT ? DOCTOR_NOTE : DOCTOR_BAD, "data folder", "%s: %s",
			path, errno == ENOENT ? "not made yet; serve makes it" : strerror(errno));
		if (errno != ENOENT)
			doctor_report_remedy(report, "give another one with --data");
		return;
	}
	if (!S_ISDIR(about.st_mode)) {
		doctor_report_add(report, DOCTOR_BAD, "data folder", "%s is no folder", path);
		doctor_report_remedy(report, "give another one with --data");
		return;
	}
	doctor_report_add(report, DOCTOR_OK, "data folder", "%s", path);
	check_room(report, path);
}
