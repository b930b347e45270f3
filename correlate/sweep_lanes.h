/* SPDX-License-Identifier: Apache-2.0 */
/* A few lanes that are swept side by side: what sweep_lanes.c and sweep_rounds.c share. */
#pragma once

#include "correlate/sweep.h"

/* One state of one lane. */
struct stretch_of {
	struct segment segment;
	const struct rounds *rounds; /* that it is made of; NULL: none */
	const struct slice *slice;   /* ... which of them */
	struct wait wait;            /* ... of STATE_BLOCKED */
};

/* One lane: it has one stretch at a time and a next one. */
struct strand {
	const struct segment *first, *end; /* of the join, that may be the span's */
	const struct segment *piece;       /* the next one to be looked at */
	const struct rounds *rounds;       /* that are gone through; NULL: none */
	const struct slice *slice;         /* of them, that comes next, ... */
	uint8_t state;                     /* ... from this stretch on */
	bool is_there;                     /* the stretch */
	bool is_over;                      /* there is no next one */
	uint8_t now;                       /* which of both is the stretch */
	struct stretch_of both[2];
};

struct strands {
	struct sweep *sweep;
	uint32_t count;
	struct strand all[SWEEP_FEW_LANES];
};

static inline struct stretch_of *strand_now(struct strand *strand)
{
	return &strand->both[strand->now];
}

static inline struct stretch_of *strand_next(struct strand *strand)
{
	return &strand->both[!strand->now];
}

/* In the order of all segments. */
static inline bool strand_is_before(const struct segment *x, const struct segment *y)
{
	return x->start_ns != y->start_ns ? x->start_ns < y->start_ns
					  : x->thread->tid < y->thread->tid;
}

/* sweep_lanes.c. Finds the next stretch of the lane that is the span's. */
void strand_look_ahead(const struct sweep *sweep, struct strand *strand);
/* The next stretch becomes the stretch. */
void strand_go_on(struct sweep *sweep, struct strand *strand);
/* Makes the one of `state` in `out`, of the rounds; it may have no length. */
void strand_make(const struct rounds *rounds, const struct slice *slice, uint8_t state,
		 struct stretch_of *out);
/* The first slice of the rounds that ends after that moment. */
const struct slice *rounds_first_after(const struct rounds *rounds, uint64_t time_ns);

/* sweep_alone.c: pieces of the only lane that has any of the span. */
void sweep_alone(struct sweep *sweep, const struct segment *first, const struct segment *end);

/* sweep_rounds.c. From `time_ns` on, as long as all lanes that are there go round. Returns until
 * when. */
uint64_t sweep_rounds(struct strands *strands, uint64_t time_ns);
/* Whole rounds of one thread, which alone is there: from `slice` on those before `last` that end by
 * `until_ns`. Returns the first one that it left. The code that ran must be the same for all. */
const struct slice *sweep_rounds_sum(struct sweep *sweep, const struct rounds *rounds,
				     const struct slice *slice, const struct slice *last,
				     uint64_t until_ns);
