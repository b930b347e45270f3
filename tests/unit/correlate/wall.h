/* SPDX-License-Identifier: Apache-2.0 */
/* The time of day on the machine of a schedule: set, slewed, and gone on while the machine slept,
 * as it never does for CLOCK_MONOTONIC; and the clocks of SDKs, which read it or think they do. */
#pragma once

#include "tests/unit/correlate/schedule.h"

#define WALL_MAX_PIECES 8

struct wall_piece {
	uint64_t from_ns; /* monotonic */
	uint64_t unix_ns; /* the time of day then */
	int32_t slew_ppm; /* from then on */
};

struct wall {
	struct wall_piece pieces[WALL_MAX_PIECES];
	uint32_t count;
	int64_t off_ns; /* of SDK_OFF */
};

enum sdk_clock {
	SDK_READS,    /* each edge is the time of day */
	SDK_MEASURES, /* a span's start is, and its length is measured */
	SDK_ANCHORED, /* read once, when the process began, and measured from there on */
	SDK_OFF,      /* by what the time of day was set before anybody looked */
};

/* Even, or so often set and slewed within that time; set by up to `most_ns`. */
struct wall wall_even(void);
struct wall wall_random(struct rng *rng, unsigned changes, uint64_t most_ns, uint64_t to_ns);
uint64_t wall_at(const struct wall *wall, uint64_t mono_ns);
/* What the SDK tells of that moment, of a span that began at `start_ns`. */
uint64_t wall_told(const struct wall *wall, enum sdk_clock sdk, uint64_t start_ns,
		   uint64_t mono_ns);
/* How far it was set in all; and slewed between two readings. */
uint64_t wall_strays_ns(const struct wall *wall);
