/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/process_identity.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/process_memory.h"
#include "collector/base/macros.h"

#define FILE_BYTES       8192
#define PF_KTHREAD       0x00200000u
#define PF_EXITING       0x00000004u
#define CONTAINER_DIGITS 64

static int read_text(int directory_fd, const char *name, char text[static FILE_BYTES])
{
	int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n, used = 0;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	while (used < FILE_BYTES - 1 &&
	       (n = read(fd, text + used, FILE_BYTES - 1 - (size_t)used)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		used += n;
	}
	n = used > 0 ? 0 : -ESRCH;
	text[used] = '\0';
	close(fd);
	return (int)n;
}

/* "pid (comm) state ppid ...": comm may contain anything, so the last parenthesis counts. Field 9
 * is the flags, field 22 the start. */
int process_identity_parse_stat(const char *text, struct event_process *process,
				struct process_state *out_state)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long flags = 0;
	unsigned long long ticks = 0;
	char state = 0;
	int n;

	if (!open || !close || close < open)
		return -EBADMSG;
	n = sscanf(
		close + 1,
		" %c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		&state, &flags, &ticks);
	if (n != 3)
		return -EBADMSG;
	process_memory_text(process->comm, sizeof(process->comm),
			    (struct str){ open + 1, (size_t)(close - open - 1) });
	process->start_ns = ticks * (NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
	out_state->is_kernel_thread = flags & PF_KTHREAD;
	out_state->is_zombie = state == 'Z' || state == 'X';
	out_state->is_exiting = flags & PF_EXITING;
	return 0;
}

/* "NSpid:\t1234\t7": one pid per namespace, the innermost last. */
void process_identity_parse_status(const char *text, struct event_process *process)
{
	const char *at = strstr(text, "\nNSpid:");
	char *end;

	if (!at)
		return;
	at += strlen("\nNSpid:");
	for (;;) {
		unsigned long pid;

		while (*at == '\t' || *at == ' ')
			at++;
		if (!isdigit((unsigned char)*at))
			return;
		pid = strtoul(at, &end, 10);
		process->ns_pid = (uint32_t)pid;
		at = end;
	}
}

/* The last run of exactly 64 hex digits: what all container runtimes put into the path. */
void process_identity_parse_cgroup(const char *text, struct event_process *process)
{
	_Static_assert(sizeof(process->container_id) > CONTAINER_DIGITS, "with its NUL");
	const char *found = NULL;

	for (const char *at = text; *at;) {
		size_t digits = strspn(at, "0123456789abcdef");

		if (digits == CONTAINER_DIGITS)
			found = at;
		at += digits;
		if (*at)
			at++;
	}
	if (found)
		process_memory_text(process->container_id, sizeof(process->container_id),
				    (struct str){ found, CONTAINER_DIGITS });
}

static void read_executable(int directory_fd, struct event_process *process)
{
	char path[4096];
	ssize_t n = readlinkat(directory_fd, "exe", path, sizeof(path));

	if (n > 0)
		process_memory_text(process->executable, sizeof(process->executable),
				    (struct str){ path, (size_t)n });
}

int process_identity_read(int directory_fd, struct event_process *process,
			  struct process_state *out_state)
{
	char text[FILE_BYTES];
	int rc = read_text(directory_fd, "stat", text);

	if (rc == 0)
		rc = process_identity_parse_stat(text, process, out_state);
	if (rc < 0 || out_state->is_kernel_thread)
		return rc;
	process->ns_pid = process->pid;
	if (read_text(directory_fd, "status", text) == 0)
		process_identity_parse_status(text, process);
	if (read_text(directory_fd, "cgroup", text) == 0)
		process_identity_parse_cgroup(text, process);
	read_executable(directory_fd, process);
	return 0;
}

bool process_identity_is_exiting(int directory_fd)
{
	struct event_process process;
	struct process_state state;
	char text[FILE_BYTES];

	return read_text(directory_fd, "stat", text) < 0 ||
	       process_identity_parse_stat(text, &process, &state) < 0 || state.is_exiting;
}
