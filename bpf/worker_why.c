/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/worker_why.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpf/event.h"

/* There is a place for each CPU in the maps. The verifier says the same of programs that take more
 * than a million steps to look through, and bpf() of what a kernel does not know of its arguments.
 */
static void too_big(const struct worker_failure *failure, char *why, size_t why_bytes)
{
	if (failure->cpus > EVENT_MAX_CPUS)
		snprintf(why, why_bytes, "this machine may have %u CPUs, of which %d are followed",
			 failure->cpus, EVENT_MAX_CPUS);
	else
		snprintf(why, why_bytes,
			 "this kernel finds a BPF program, or what it is asked for, too large; "
			 "other "
			 "kernels load it: please report which one this is (%s)",
			 failure->detail);
}

bool worker_why_locked(const char *path)
{
	char line[128] = "";
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return strstr(line, "[confidentiality]") != NULL;
}

bool worker_why_ahead(const char *path, char *why, size_t why_bytes)
{
	long long seconds, ns;
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	int read = fscanf(file, "monotonic %lld %lld", &seconds, &ns);

	fclose(file);
	if (read != 2 || (seconds == 0 && ns == 0))
		return false;
	snprintf(why, why_bytes,
		 "spanwise runs in a time namespace, whose monotonic clock is %lld s off the "
		 "machine's, which the kernel's records are told by: start it outside of that",
		 seconds);
	return true;
}

void worker_why(const struct worker_failure *failure, char *why, size_t why_bytes)
{
	if (failure->locked) { /* whatever it then refuses first */
		snprintf(why, why_bytes,
			 "the kernel is locked down, and BPF must not read its memory: boot with "
			 "lockdown=integrity or none (%s)",
			 failure->detail);
		return;
	}
	switch (-failure->status) {
	case EPERM: /* a verifier that says no returns EACCES or EINVAL */
		snprintf(why, why_bytes,
			 "the kernel does not let us use BPF: start as root, or with the "
			 "capabilities CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH "
			 "and CAP_SYSLOG (%s)",
			 failure->detail);
		break;
	case ENOMEM:
		snprintf(why, why_bytes,
			 "the kernel has no memory for the BPF maps: lower the ring size, or raise "
			 "the memory limit of the cgroup or RLIMIT_MEMLOCK (%s)",
			 failure->detail);
		break;
	case E2BIG:
		too_big(failure, why, why_bytes);
		break;
	default:
		snprintf(why, why_bytes,
			 "this kernel cannot %s the BPF programs, %s: Linux 5.12 or newer with "
			 "CONFIG_BPF_SYSCALL, CONFIG_BPF_EVENTS and CONFIG_DEBUG_INFO_BTF is "
			 "needed (%s)",
			 failure->loaded ? "attach" : "load", strerror(-failure->status),
			 failure->detail);
	}
}
