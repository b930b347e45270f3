/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks of this machine, in ns. */
#pragma once

#include <stdint.h>
#include <time.h>

#include "collector/base/macros.h"

static inline uint64_t clock_read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* How far two readings of it are apart that differ, at least. */
static inline uint64_t clock_tick_ns(clockid_t clock)
{
	struct timespec apart = { 0 };

	clock_getres(clock, &apart);
	return (uint64_t)apart.tv_sec * NS_PER_SEC + (uint64_t)apart.tv_nsec;
}

static inline uint64_t clock_mono_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

static inline uint64_t clock_unix_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

/* Realtime between two readings of the monotonic clock. */
struct clock_pair {
	uint64_t mono_before_ns, real_ns, mono_after_ns;
};

/* The tightest of a few: a reading may be interrupted. */
static inline struct clock_pair clock_read_pair(void)
{
	struct clock_pair best = { 0 };

	for (int i = 0; i < 5; i++) {
		struct clock_pair pair;

		pair.mono_before_ns = clock_mono_ns();
		pair.real_ns = clock_unix_ns();
		pair.mono_after_ns = clock_mono_ns();
		if (i == 0 || pair.mono_after_ns - pair.mono_before_ns <
				      best.mono_after_ns - best.mono_before_ns)
			best = pair;
	}
	return best;
}
