/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds a schedule to a correlator, as the daemon would, and keeps the ledgers that come out. */
#pragma once

#include "correlate/correlator.h"
#include "tests/unit/correlate/schedule.h"
#include "tests/unit/correlate/wall.h"

enum play_order {
	PLAY_IN_TIME,    /* spans come within 10 ms of their end, after the records of that time */
	PLAY_EARLY,      /* ... before the records of that time */
	PLAY_LATE,       /* all spans come at the end */
	PLAY_TWICE,      /* each one comes again a little later */
	PLAY_SHUFFLED,   /* each one comes at some time after its end, batches in any order */
	PLAY_MUCH_LATER, /* all come when the traces have long been forgotten by the threads */
	PLAY_ROOTS_MUCH_LATER, /* ... the roots do, and their traces have settled without them */
	PLAY_ROOTS_LATE,       /* roots come after their traces have settled without them */
	PLAY_BATCHED,          /* each process sends what it has now and then, many at a time */
};

struct play {
	enum play_order order;
	uint64_t settle_ns;              /* 0: 10 s */
	uint64_t shuffle;                /* another number, another shuffle */
	uint64_t reach_ns;               /* 0: 60 s */
	uint64_t gap_from_ns, gap_to_ns; /* the probe was down */
	bool is_restart;                 /* ... and the daemon with it */
	bool is_clean;                   /* ... which had settled all by then */
	uint32_t coarse_process;         /* the grain is this one's alone, by number; 0: of all */
	uint64_t grain_ns;               /* of the clock that spans tell; 0: 1 */
	const struct wall *wall;         /* NULL: an even one */
	enum sdk_clock sdk;              /* of all processes (wall.h) */
};

extern const struct play play_in_time;

/* The newest ledger of one span. */
struct kept {
	struct ledger ledger; /* its arrays are gone */
	struct buf code;      /* encoded, but for the revision */
	bool is_there;
};

struct outcome {
	struct kept *spans; /* by the schedule's numbers; owned */
	uint32_t span_count;
	uint32_t wrong_sums; /* ledgers that did not add up */
	uint32_t strangers;  /* ledgers of no span of ours */
	uint64_t edges_ns;   /* that a span's edges may be off, as it was played */
	struct correlator_stats stats;
};

struct outcome play(const struct schedule *schedule, const struct play *how);
void outcome_free(struct outcome *outcome);
