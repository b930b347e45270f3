/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep where no more than one lane carried the span: its pieces one after the other, with
 * nothing to weigh between lanes. Most spans are such. What comes out is the same as side by side
 * (sweep_lanes.c). */
#include "collector/base/macros.h"
#include "correlate/sweep_lanes.h"

/* Pieces of which nothing but the lengths differs: they are added up first. */
struct run {
	struct sweep_sums sums;
	const struct segment *first; /* NULL: there are none */
	const struct wait *wait;     /* of the last one that was blocked; NULL: none was */
	bool has_runnable;
	uint8_t why; /* these are */
};

struct alone {
	struct sweep *sweep;
	const struct join *join;
	uint64_t time_ns, end_ns; /* up to where it is done, and has to be */
	struct run run;
};

/* As node_is_below. */
static inline bool is_ours(const struct alone *alone, const struct segment *piece)
{
	const struct node *node = alone->sweep->node;

	return piece->enter >= node->enter && piece->enter < node->leave;
}

/* ---- pieces that are alike */

static void end_run(struct alone *alone)
{
	static const struct wait none;
	struct run *run = &alone->run;
	struct segment like;

	if (!run->first)
		return;
	like = *run->first;
	like.why = run->has_runnable ? run->why : WHY_WOKEN;
	sweep_account_sums(alone->sweep, &run->sums, &like, run->wait ? run->wait : &none,
			   run->sums.stack);
	*run = (struct run){ 0 };
}

static inline bool is_whole(const struct alone *alone, const struct segment *s)
{
	return s->start_ns >= alone->time_ns && s->end_ns <= alone->end_ns;
}

static inline void begin_run(struct alone *alone, const struct segment *s)
{
	const struct run *run = &alone->run;

	if (run->first &&
	    (run->first->carrier == alone->sweep->index) != (s->carrier == alone->sweep->index))
		end_run(alone);
	if (!run->first)
		alone->run.first = s;
}

static inline void run_on(struct alone *alone, const struct segment *s)
{
	struct sweep_sums *sums = &alone->run.sums;

	if (sums->running_ns && sums->stack != s->stack)
		end_run(alone);
	begin_run(alone, s);
	sums->stack = s->stack;
	sums->running_ns += s->end_ns - s->start_ns;
	sums->cpu_ns += s->cpu_ns;
}

static inline void run_ready(struct alone *alone, const struct segment *s)
{
	struct run *run = &alone->run;

	if (run->has_runnable && run->why != s->why)
		end_run(alone);
	begin_run(alone, s);
	run->has_runnable = true;
	run->why = s->why;
	run->sums.runnable_ns += s->end_ns - s->start_ns;
}

static inline void run_blocked(struct alone *alone, const struct segment *s,
			       const struct wait *wait)
{
	struct run *run = &alone->run;

	if (run->wait && (run->wait + 1 != wait || !wait->is_like))
		end_run(alone);
	begin_run(alone, s);
	run->wait = wait;
	run->sums.waits++;
	run->sums.wait_ns = s->since_ns;
	run->sums.blocked_ns += s->end_ns - s->start_ns;
	run->sums.longest_ns = MAX(run->sums.longest_ns, wait->raw_ns);
}

/* false: it stands for itself. */
static inline bool add_to_run(struct alone *alone, const struct segment *s, const struct wait *wait)
{
	uint8_t reason = 0;

	if (!is_whole(alone, s))
		return false;
	if (s->state == STATE_RUNNING) {
		run_on(alone, s);
	} else if (s->state == STATE_RUNNABLE && s->why != WHY_THROTTLED) {
		run_ready(alone, s);
	} else if (s->state == STATE_BLOCKED && s->since_ns == s->start_ns && !wait->hold_count) {
		run_blocked(alone, s, wait);
		reason = wait->reason;
	} else {
		return false;
	}
	sweep_picture_add(alone->sweep, s->end_ns - s->start_ns,
			  sweep_picture_what(s->state, reason, s->thread->tid));
	alone->time_ns = s->end_ns;
	return true;
}

/* ---- others */

/* On no lane up to the next piece. */
static inline void pass_hole(struct alone *alone, uint64_t until_ns)
{
	uint64_t until = MIN(until_ns, alone->end_ns);

	if (alone->time_ns >= until)
		return;
	end_run(alone);
	sweep_account(alone->sweep, alone->time_ns, until, NULL, NULL);
	alone->time_ns = until;
}

/* One state; of a round it may have no length. */
static inline void put_piece(struct alone *alone, const struct segment *s, const struct wait *wait)
{
	uint64_t until = MIN(s->end_ns, alone->end_ns);

	if (MAX(s->start_ns, alone->time_ns) >= until)
		return;
	pass_hole(alone, s->start_ns);
	end_run(alone);
	sweep_take(alone->sweep, s);
	sweep_account(alone->sweep, alone->time_ns, until, s, wait);
	alone->time_ns = until;
}

/* One that the span's start or end cuts, or of which the code that ran is its own. */
static void put_round(struct alone *alone, const struct rounds *rounds, const struct slice *slice)
{
	static const uint8_t states[] = { STATE_BLOCKED, STATE_RUNNABLE, STATE_RUNNING };
	struct stretch_of stretch;

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		strand_make(rounds, slice, states[i], &stretch);
		put_piece(alone, &stretch.segment, &stretch.wait);
	}
}

static void put_rounds(struct alone *alone, const struct rounds *rounds)
{
	const struct slice *slice = rounds_first_after(rounds, alone->time_ns);
	bool is_like = !rounds_has_looks(rounds);

	while (slice < rounds->end && slice[-1].out_ns < alone->end_ns) {
		const struct slice *next = slice;

		if (is_like && slice[-1].out_ns >= alone->time_ns) {
			pass_hole(alone, slice[-1].out_ns);
			end_run(alone);
			next = sweep_rounds_sum(alone->sweep, rounds, slice, rounds->end,
						alone->end_ns);
			alone->time_ns = next[-1].out_ns;
		}
		if (next == slice)
			put_round(alone, rounds, next++);
		slice = next;
	}
}

static inline void put_segment(struct alone *alone, const struct segment *s)
{
	const struct wait *wait = s->wait >= 0 ? &alone->join->waits[s->wait] : NULL;

	pass_hole(alone, s->start_ns);
	if (!add_to_run(alone, s, wait))
		put_piece(alone, s, wait);
}

void sweep_alone(struct sweep *sweep, const struct segment *first, const struct segment *end)
{
	struct alone alone = { .sweep = sweep,
			       .join = sweep->join,
			       .time_ns = sweep->start_ns,
			       .end_ns = sweep->node->b_ns };

	for (const struct segment *piece = first; piece < end && piece->start_ns < alone.end_ns;
	     piece++) {
		if (piece->end_ns <= alone.time_ns || !is_ours(&alone, piece))
			continue;
		if (piece->state == SEGMENT_ROUNDS)
			put_rounds(&alone, &alone.join->rounds[piece->wait]);
		else
			put_segment(&alone, piece);
	}
	pass_hole(&alone, alone.end_ns);
	end_run(&alone);
}
