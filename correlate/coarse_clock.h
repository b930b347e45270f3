/* SPDX-License-Identifier: Apache-2.0 */
/* Which times CLOCK_REALTIME_COARSE has told: those of timer ticks.
 *
 * It stands still from one tick to the next, and the kernel moves it by whole ticks, evenly. So two
 * readings tell all times between them to some nanoseconds. A clock that tells nanoseconds shows
 * one of these once in 40,000 readings. Pure. One thread. Fixed memory, 32 KiB: 80 s at a reading
 * each 20 ms. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define COARSE_CLOCK_READINGS 4096
/* Further apart, nothing is known of the time between two: the clock may have been slewed. */
#define COARSE_CLOCK_APART_NS 200000000u
/* What it was told to be is off by so much at most. */
#define COARSE_CLOCK_OFF_NS 50u

/* All zero at first. */
struct coarse_clock {
	uint64_t tick_ns;      /* as the kernel says (clock_getres) */
	uint32_t first, count; /* of `told_ns`, which goes round */
	uint64_t told_ns[COARSE_CLOCK_READINGS];
};

/* One reading. Where the time of day was set back, those before it are forgotten. Ignored: a tick
 * of no length that timers have. */
void coarse_clock_add(struct coarse_clock *clock, uint64_t unix_ns, uint64_t tick_ns);

/* The length of a tick, if the clock told that time; 0: it did not, or nobody knows. */
uint64_t coarse_clock_tick(const struct coarse_clock *clock, uint64_t unix_ns);
