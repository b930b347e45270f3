/* SPDX-License-Identifier: Apache-2.0 */
/* Unix time <-> CLOCK_MONOTONIC, each with the error it may have.
 *
 * Fed with readings (monotonic, realtime, monotonic), the more the better: those that lie on a line
 * with what stays need not stay. Between two of them realtime is taken to run evenly (a slew);
 * where it moved faster than CLOCK_MAP_SLEW_PPM it was set in between (a step), and a new segment
 * begins. Pure: no clock of its own. One thread. Fixed memory, 128 KiB. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel's clock discipline slews at most (adjtimex(2), ADJ_FREQUENCY). */
#define CLOCK_MAP_SLEW_PPM 500
/* Over an hour of seconds. When full, every second reading of the older half goes and the bound of
 * its neighbours grows by what it told: so the map reaches back for days, and half an hour in full.
 */
#define CLOCK_MAP_PAIRS 4096
/* Closer readings replace the last one, as long as realtime runs evenly: take as many as you like,
 * best one right before spans are converted, as beyond the last reading the bound grows by 0.5 us
 * each ms. */
#define CLOCK_MAP_SPACING_NS 500000000u
/* Half a bracket of a reading that tells whether realtime ran evenly up to it. */
#define CLOCK_MAP_NARROW_NS 500u
/* Unix times so far beyond the last reading are still the present one's, whatever was before. */
#define CLOCK_MAP_AHEAD_NS 2000000000u

struct clock_pair {
	uint64_t mono_ns; /* the middle of the bracket */
	uint64_t unix_ns;
	uint32_t half_ns;  /* half the bracket, and what thinning left out */
	uint32_t first;    /* index of the first pair of its segment: its own after a step */
	uint32_t apart_ns; /* the longest time without a reading since the pair before */
};

/* Unix time less monotonic. */
struct clock_range {
	int64_t least_ns, most_ns;
};

/* Of the readings between the last pair but one and the last, which were replaced: realtime goes
 * through all of them at rates between these two, from the former pair on. */
struct clock_door {
	int64_t least_rise_ns, most_rise_ns; /* of the offset, within ... */
	uint64_t least_run_ns, most_run_ns;  /* 0: at any rate */
	uint64_t reached_ns;                 /* the last of them, or that pair */
	uint64_t apart_ns;                   /* the longest time between two up to there */
};

struct clock_map {
	uint32_t count;
	uint32_t steps;   /* seen so far */
	uint32_t refused; /* readings out of order or without worth, so far */
	struct clock_door door;
	struct clock_pair pairs[CLOCK_MAP_PAIRS]; /* mono_ns rises; unix_ns too, in a segment */
};

void clock_map_init(struct clock_map *map);

/* One reading. Refused: a bracket that ends before it begins, or lasts over a second; one that does
 * not lie after the last; times of 64 bits; one that is too wide to tell more than the last did. */
void clock_map_add(struct clock_map *map, uint64_t mono_before_ns, uint64_t unix_ns,
		   uint64_t mono_after_ns);

/* false: no reading yet, or a result outside of 64 bits; nothing is written then.
 *
 * The bound: inside of a segment half a bracket and what the slopes around leave open; before the
 * first and after the last reading the possible slew on top; between the two readings around a step
 * the size of the step (to_mono, clock set forward: at most the time between the two readings).
 *
 * Between those two, times are converted as after the step. A Unix time that came twice, because
 * the clock was set back, means the later one: spans arrive soon after they end. One that never
 * was, because the clock was set forward, lies at the first reading after the step. */
bool clock_map_to_mono(const struct clock_map *map, uint64_t unix_ns, uint64_t *out_mono_ns,
		       uint64_t *out_bound_ns);
bool clock_map_to_unix(const struct clock_map *map, uint64_t mono_ns, uint64_t *out_unix_ns,
		       uint64_t *out_bound_ns);
/* What Unix time less monotonic has been so far, by its extremes in that range; of slews, their
 * begins and ends are looked at. false: it never was. */
bool clock_map_history(const struct clock_map *map, const struct clock_range *within,
		       struct clock_range *out);
