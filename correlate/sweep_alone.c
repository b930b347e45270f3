/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep where no more than one lane carried the span: its pieces one after the other, with
 * nothing to weigh between lanes. Most spans are such. What comes out is the same as side by side
 * (sweep_lanes.c). */
#include "collector/base/macros.h"
#include "correlate/sweep_lanes.h"

struct alone {
	struct sweep *sweep;
	const struct join *join;
	uint64_t time_ns, end_ns; /* up to where it is done, and has to be */
};

static inline bool is_ours(const struct alone *alone, const struct segment *piece)
{
	return piece->carrier == alone->sweep->index ||
	       node_is_below(alone->join, piece->carrier, alone->sweep->index);
}

/* On no lane up to the next piece. */
static inline void pass_hole(struct alone *alone, uint64_t until_ns)
{
	uint64_t until = MIN(until_ns, alone->end_ns);

	if (alone->time_ns >= until)
		return;
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
	bool is_like = !rounds->behind.stack && !rounds->ahead.stack;

	while (slice < rounds->end && slice[-1].out_ns < alone->end_ns) {
		const struct slice *next = slice;

		if (is_like && slice[-1].out_ns >= alone->time_ns) {
			pass_hole(alone, slice[-1].out_ns);
			next = sweep_rounds_sum(alone->sweep, rounds, slice, rounds->end,
						alone->end_ns);
			alone->time_ns = next[-1].out_ns;
		}
		if (next == slice)
			put_round(alone, rounds, next++);
		slice = next;
	}
}

void sweep_alone(struct sweep *sweep, const struct segment *first, const struct segment *end)
{
	struct alone alone = { sweep, sweep->join, sweep->start_ns, sweep->node->b_ns };

	for (const struct segment *piece = first; piece < end && piece->start_ns < alone.end_ns;
	     piece++) {
		if (piece->end_ns <= alone.time_ns || !is_ours(&alone, piece))
			continue;
		if (piece->state == SEGMENT_ROUNDS)
			put_rounds(&alone, &alone.join->rounds[piece->wait]);
		else
			put_piece(&alone, piece,
				  piece->wait >= 0 ? &alone.join->waits[piece->wait] : NULL);
	}
	pass_hole(&alone, alone.end_ns);
}
