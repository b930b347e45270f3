/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of one sweep: what its files share. Internal to sweep*.c. */
#pragma once

#include "correlate/join.h"

/* Nodes by start; borrowed from the join. */
struct sweep_list {
	int32_t *nodes; /* NULL: not asked for yet */
	uint32_t count;
	uint32_t first; /* those before it are over */
};

#define SWEEP_MEMOS 8

/* What was added to last, of a thread; `to` NULL: nothing yet. */
struct wait_memo {
	const struct event_target *target; /* borrowed, as the waker; NULL: nobody told of one */
	const struct event_waker *waker;
	uint64_t stack;
	int32_t decided_by;
	struct ledger_wait *to;
	struct ledger_waker *who; /* NULL: not noted, as the link */
	struct ledger_link *link;
};

struct sweep {
	struct join *join;
	struct ledger *ledger;
	const struct node *node;
	int32_t index;
	const struct segment **active; /* room for SWEEP_MAX_LANES */
	uint32_t active_count;
	struct picture *picture;
	uint64_t first_seen_ns;
	struct wait_memo memos[SWEEP_MEMOS]; /* by tid */
	uint64_t wait_seen_ns;               /* start of the wait counted last */
	struct sweep_list children, calls;   /* their edges split what is elsewhere */
	uint64_t offset_ns;                  /* Unix minus monotonic, at the span's start */
	uint64_t start_ns;                   /* what lies before was folded */
	bool folded_lanes; /* on several threads: how they overlapped is not known any more */
};

/* Whom an instant is given to at which several states are there. */
static inline unsigned sweep_rank(uint8_t state)
{
	static const uint8_t ranks[] = {
		[STATE_RUNNING] = 4, [STATE_RUNNABLE] = 3,  [STATE_BLOCKED] = 2,
		[STATE_UNKNOWN] = 1, [STATE_ELSEWHERE] = 0,
	};

	return ranks[state];
}

/* An instant at which both are there is the first one's. */
static inline bool sweep_decides_over(const struct join *join, const struct segment *s,
				      const struct segment *other)
{
	uint32_t depth, depth_other;

	if (s->state != other->state)
		return sweep_rank(s->state) > sweep_rank(other->state);
	depth = join->nodes[s->carrier].depth;
	depth_other = join->nodes[other->carrier].depth;
	return depth != depth_other ? depth > depth_other : s->since_ns > other->since_ns;
}

/* Many rounds of one thread, of which nothing but the lengths differs. */
struct sweep_sums {
	uint64_t running_ns, runnable_ns, blocked_ns;
	uint64_t cpu_ns;
	uint64_t longest_ns; /* of the waits */
	uint64_t wait_ns;    /* when the last one began */
	uint64_t stack;      /* of what ran; sweep_rounds.c does without */
	uint32_t waits;
};

/* sweep.c. Begins: CPU time counts on every lane, also where another one decides. */
void sweep_take(struct sweep *sweep, const struct segment *s);
/* The instants are its; `wait` of STATE_BLOCKED. `s` NULL: they are on no lane. */
void sweep_account(struct sweep *sweep, uint64_t start, uint64_t end, const struct segment *s,
		   const struct wait *wait);

/* As one by one, but for the picture. `s` is of that thread; its state does not matter. */
void sweep_account_sums(struct sweep *sweep, const struct sweep_sums *sums, const struct segment *s,
			const struct wait *wait, uint64_t stack);

/* sweep_lanes.c: over segments that stand by lanes. */
void sweep_lanes(struct sweep *sweep);

/* sweep_picture.c: the span's own timeline, piece by piece from start_ns on. */
void sweep_picture_begin(struct sweep *sweep, struct picture *picture);
void sweep_picture_put(struct picture *picture, uint64_t ns, uint64_t what);
/* Most of a long span are too short to stand for themselves. */
static inline void sweep_picture_add(struct sweep *sweep, uint64_t ns, uint64_t what)
{
	struct picture *picture = sweep->picture;
	struct picture_piece *next = picture->pieces + picture->count;

	if (ns < picture->least_ns)
		next[-1].ns += ns;
	else if (ns && (!picture->count || picture->count == PICTURE_ROOM))
		sweep_picture_put(picture, ns, what);
	else if (ns && next[-1].what == what)
		next[-1].ns += ns;
	else if (ns)
		picture->pieces[picture->count++] = (struct picture_piece){ what, ns };
}
void sweep_picture_finish(struct sweep *sweep);

/* In which state it was, on which thread (0: none), and, where it was blocked, why. */
static inline uint64_t sweep_picture_what(uint8_t state, uint8_t reason, uint32_t tid)
{
	return tid | (uint64_t)state << 32 | (uint64_t)reason << 40;
}

/* sweep_wait.c: who waited for what, and who ended it. */
struct wait_key {
	const struct event_target *target; /* borrowed */
	uint64_t stack;
	int32_t syscall;
	uint8_t reason;
};

struct ledger_wait *sweep_wait_find(struct ledger *ledger, const struct wait_key *key);
void sweep_wait_add(struct sweep *sweep, const struct segment *s, const struct wait *wait,
		    uint64_t start, uint64_t end, bool is_self);
/* Many of one kind that nobody held anything in. */
void sweep_wait_add_sums(struct sweep *sweep, const struct segment *s, const struct wait *wait,
			 const struct sweep_sums *sums, bool is_self);
void sweep_wait_link_servers(struct sweep *sweep);
void sweep_wait_sort(struct ledger *ledger);

/* sweep_stack.c: the code that ran; finish when everything has been added. */
void sweep_stack_add(struct ledger *ledger, uint64_t stack, uint64_t ns, bool is_self);
void sweep_stack_finish(struct ledger *ledger);

/* sweep_elsewhere.c: time on no lane. */
void sweep_elsewhere_add(struct sweep *sweep, uint64_t start, uint64_t end);
/* That nobody can tell more of. */
void sweep_elsewhere_uncovered(struct sweep *sweep, uint64_t ns);
void sweep_elsewhere_doubt(struct sweep *sweep);

/* sweep_fold.c: time that has left the timelines; sets start_ns. */
void sweep_fold_add(struct sweep *sweep);
