/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/cpu_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 64 /* three numbers */

int cpu_wait_open(void)
{
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* "ran waited times", the first two in ns: Documentation/scheduler/sched-stats.rst. */
uint64_t cpu_wait_ns(int fd)
{
	char line[LINE_BYTES + 1];
	ssize_t bytes = fd < 0 ? -1 : pread(fd, line, LINE_BYTES, 0);
	uint64_t waited_ns = 0;

	if (bytes <= 0)
		return 0;
	line[bytes] = '\0';
	return sscanf(line, "%*u %" SCNu64, &waited_ns) == 1 ? waited_ns : 0;
}
