/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that goes round: is off its CPU and runs, again and again, in one span and like the
 * time before but for its times. What is to be weighed of it is so for all rounds at once; what
 * comes out is the same as slice by slice (overlay_wait.c, overlay_plain.c). */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"
#include "correlate/reason.h"

static bool is_round(const struct slice *slice, const struct slice *first)
{
	return slice->is_alike && slice->flags == first->flags && slice->stint == STINT_PLAIN;
}

/* All that is told from its begin to the slice's end is that it is in that one span. */
static bool find_owner(struct join *join, const struct lane *lane, const struct slice *slice,
		       int32_t *out_owner)
{
	const struct meaning *meaning = join->meaning;

	if (join->cut_ns || lane->company_count || tag_is_none(slice->tag_out))
		return false;
	*out_owner = overlay_meaning(join, lane, slice->tag_out, slice->prev_out_ns);
	return *out_owner >= 0 && meaning->tag == slice->tag_out &&
	       meaning->thread == lane->thread && meaning->is_seen &&
	       overlay_only(join, lane->process, slice->prev_out_ns, slice->out_ns) == *out_owner;
}

/* Without a tag, before the thread showed the span for the first time, or after the last: it can
 * only be the span's if the thread ran at the edge that lies there. */
static bool is_apart(const struct lane *lane, const struct node *node, const struct sighting *seen,
		     const struct slice *slice)
{
	bool is_before = seen->first_ns >= slice->out_ns;
	uint64_t edge_ns = is_before ? node->a_ns : node->b_ns - 1;

	return (is_before || seen->last_ns <= slice->prev_out_ns) &&
	       !lane_lost_ns(lane, edge_ns, edge_ns + 1) && !lane_on_cpu(lane, edge_ns);
}

/* A thread without a tag while one span is open: either it cannot have that, or it showed it before
 * and will again, and may have come back to it in between. Returns the first slice of which that
 * has to be asked anew. */
static const struct slice *pass_idle(struct join *join, const struct lane *lane,
				     const struct slice *first, const struct slice *last)
{
	int32_t only = overlay_only(join, lane->process, first->prev_out_ns, first->out_ns);
	struct node *node = only < 0 ? NULL : &join->nodes[only];
	const struct sighting *seen = node ? join_sighting(join, only, lane->thread) : NULL;
	const struct slice *slice = first;
	bool is_apart_all;
	uint64_t doubt = 0;

	if (!node || join->cut_ns || lane->company_count ||
	    (!seen && node->sightings < 0 && node->placed == lane))
		return first;
	is_apart_all = !seen || is_apart(lane, node, seen, first);
	for (; slice < last && is_round(slice, first) && node->a_ns < slice->in_ns &&
	       slice->out_ns < node->b_ns && slice->out_ns <= join->calm.to_ns;
	     slice++) {
		bool is_between =
			seen && seen->first_ns < slice->in_ns && seen->last_ns > slice->in_ns;

		if (seen && (is_apart_all ? seen->first_ns < slice->out_ns &&
						    seen->last_ns > slice->prev_out_ns
					  : !is_between))
			break;
		if (is_between)
			doubt += MAX(slice->out_ns - slice->in_ns, slice->booked_ns);
	}
	if (doubt)
		overlay_doubt(join, only, -1, doubt);
	return slice;
}

/* Another trace may have had a turn in each of them that no tag tells of. */
static void doubt_turns(struct join *join, const struct rounds *rounds)
{
	uint64_t doubt = 0;

	for (const struct slice *slice = rounds->first; slice < rounds->end; slice++)
		doubt += slice->out_ns - slice->in_ns;
	overlay_doubt(join, rounds->owner, -1, doubt);
}

/* The first slice after `first` that is no round like it, or ends later than that. */
static const struct slice *find_end(const struct lane *lane, const struct slice *first,
				    uint64_t until_ns)
{
	const struct slice *slice = first, *last = &lane->slices[lane->count];

	while (slice < last) {
		const struct lane_run *run = lane_run_at(lane, slice);

		if (run && run->is_plain && slice->flags == first->flags &&
		    lane->slices[run->end - 1].out_ns <= until_ns)
			slice = &lane->slices[run->end];
		else if (is_round(slice, first) && slice->out_ns <= until_ns)
			slice++;
		else
			break;
	}
	return slice;
}

/* `out->end` at its first slice: there is nothing to lay over a span from there on. */
static void find(struct join *join, const struct lane *lane, uint32_t first, struct rounds *out)
{
	const struct slice *slice = &lane->slices[first];
	const struct slice *last = &lane->slices[lane->count];

	*out = (struct rounds){ .thread = lane->thread, .first = slice, .end = slice };
	if (first == 0 || slice >= last || !is_round(slice, slice))
		return;
	if (tag_is_none(slice->tag_out)) {
		out->first = out->end = pass_idle(join, lane, slice, last);
		return;
	}
	if (!find_owner(join, lane, slice, &out->owner))
		return;
	out->end = find_end(lane, slice, join->calm.to_ns);
	if (lane->takes_turns)
		doubt_turns(join, out);
	out->reason = (uint8_t)reason_of_slice(slice, &out->decided_by);
	out->is_preempted = slice->flags & EVENT_PREEMPTED;
	out->why = segment_why(slice);
	out->stack = overlay_stack_told(slice);
	if (!out->stack && !slice->state) {
		out->behind = overlay_look_back(lane, slice);
		out->ahead = overlay_look_ahead(lane, out->end - 1);
	}
}

/* As overlay_stack_of. */
uint64_t rounds_stack(const struct rounds *rounds, const struct slice *slice)
{
	if (rounds->behind.stack &&
	    rounds->behind.steps + (uint64_t)(slice - rounds->first) <= STACK_REACH)
		return rounds->behind.stack;
	if (rounds->ahead.stack &&
	    rounds->ahead.steps + (uint64_t)(rounds->end - 1 - slice) <= STACK_REACH)
		return rounds->ahead.stack;
	return rounds->stack;
}

static void put_blocked(struct join *join, const struct lane *lane, const struct rounds *rounds,
			const struct slice *slice, struct segment *like)
{
	uint64_t start = slice[-1].out_ns, woken;
	struct wait *wait = join_add_wait(join, &like->wait);

	if (!wait)
		return;
	*wait = rounds_wait(rounds, slice);
	woken = start + wait->raw_ns;
	behind_find(join, lane, start, woken, wait);
	like->state = STATE_BLOCKED;
	overlay_emit(join, like, start, woken, rounds->owner);
	like->wait = -1;
	like->state = STATE_RUNNABLE;
	overlay_emit(join, like, woken, slice->in_ns, rounds->owner);
}

static void put_round(struct join *join, const struct lane *lane, const struct rounds *rounds,
		      const struct slice *slice)
{
	uint64_t start = slice[-1].out_ns;
	struct segment like = { .thread = lane->thread,
				.wait = -1,
				.since_ns = start,
				.state = STATE_RUNNABLE,
				.why = rounds->why };

	if (rounds->is_preempted)
		overlay_emit(join, &like, start, slice->in_ns, rounds->owner);
	else if (slice->in_ns > start)
		put_blocked(join, lane, rounds, slice, &like);
	overlay_emit(join,
		     &(struct segment){ .state = STATE_RUNNING,
					.thread = lane->thread,
					.wait = -1,
					.since_ns = slice->in_ns,
					.cpu_ns = slice->booked_ns,
					.stack = rounds_stack(rounds, slice) },
		     slice->in_ns, slice->out_ns, rounds->owner);
}

static void put_rounds(struct join *join, const struct lane *lane, const struct rounds *rounds)
{
	for (const struct slice *slice = rounds->first; slice < rounds->end; slice++)
		put_round(join, lane, rounds, slice);
}

/* Who stands behind a wait is asked for each. */
static bool is_asked(const struct join *join, const struct rounds *rounds)
{
	const struct slice *slice = rounds->first;

	if (rounds->reason == REASON_LOCK)
		return true;
	if (!behind_is_asked(join, rounds->reason, slice, UINT64_MAX))
		return false;
	while (slice < rounds->end &&
	       !behind_is_asked(join, rounds->reason, slice,
				rounds_woken_ns(rounds, slice) - slice[-1].out_ns))
		slice++;
	return slice < rounds->end;
}

static bool keep(struct join *join, const struct lane *lane, const struct rounds *rounds)
{
	struct segment like = { .state = SEGMENT_ROUNDS,
				.thread = lane->thread,
				.wait = (int32_t)join->rounds_count };

	if (is_asked(join, rounds) || rounds->first + 1 >= rounds->end ||
	    !join_grow((void **)&join->rounds, join->rounds_count, &join->rounds_cap,
		       sizeof(*join->rounds)))
		return false;
	join->rounds[join->rounds_count++] = *rounds;
	overlay_emit(join, &like, rounds->first[-1].out_ns, rounds->end[-1].out_ns, rounds->owner);
	return true;
}

uint32_t overlay_steady(struct join *join, const struct lane *lane, uint32_t first)
{
	struct rounds rounds;

	find(join, lane, first, &rounds);
	if (rounds.first < rounds.end && !keep(join, lane, &rounds))
		put_rounds(join, lane, &rounds);
	return (uint32_t)(rounds.end - lane->slices);
}

void rounds_spread(struct join *join)
{
	struct segment *together = join->segments;
	uint32_t count = join->segment_count, lane = 0;

	if (!join->rounds_count)
		return;
	join->segments = NULL;
	join->segment_count = join->segment_cap = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct segment *s = &together[i];
		struct segment *to;

		while (join->lanes[lane]->thread != s->thread)
			lane++;
		if (s->state == SEGMENT_ROUNDS)
			put_rounds(join, join->lanes[lane], &join->rounds[s->wait]);
		else if ((to = join_add_segment(join)))
			*to = *s;
	}
	free(together);
}
