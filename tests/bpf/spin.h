/* SPDX-License-Identifier: Apache-2.0 */
/* Work of a known length, by the thread's own clock. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static inline void spin(int64_t cpu_ns)
{
	int64_t until = read_clock(CLOCK_THREAD_CPUTIME_ID) + cpu_ns;

	while (read_clock(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}
