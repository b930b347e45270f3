/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that goes round: is off its CPU and runs, again and again, in one span and like the
 * time before but for its times. What is to be weighed of it is so for all rounds at once; what
 * comes out is the same as slice by slice (overlay_wait.c, overlay_plain.c). */
#include "collector/base/macros.h"
#include "correlate/overlay.h"
#include "correlate/reason.h"

#define MOST_AT_ONCE 256 /* slices that room is made for */

/* Such slices, and what is the same for all of them. */
struct steady {
	const struct lane *lane;
	const struct slice *first, *end;
	int32_t owner;
	int32_t decided_by;
	uint8_t reason;
	bool is_preempted;
	uint64_t stack;            /* that each of them tells; else, ... */
	struct look behind, ahead; /* ... from the first and from the last one on, another's */
};

static bool is_round(const struct slice *slice, const struct slice *first)
{
	return slice->is_alike && slice->flags == first->flags && slice->stint == STINT_PLAIN;
}

/* All that is told from its begin to the slice's end is that it is in that one span. */
static bool find_owner(struct join *join, const struct lane *lane, const struct slice *slice,
		       int32_t *out_owner)
{
	const struct meaning *meaning = join->meaning;

	if (join->cut_ns || lane->company_count || lane->takes_turns || tag_is_none(slice->tag_out))
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

/* Room for so many items more. */
static bool make_room(void **array, uint32_t count, uint32_t *cap, uint32_t more, size_t item_bytes)
{
	return count + more <= *cap ||
	       join_reserve(array, MAX(count + more, 2 * *cap), cap, item_bytes);
}

static bool make_rooms(struct join *join, uint32_t slices)
{
	if (make_room((void **)&join->segments, join->segment_count, &join->segment_cap, 3 * slices,
		      sizeof(*join->segments)) &&
	    make_room((void **)&join->waits, join->wait_count, &join->wait_cap, slices,
		      sizeof(*join->waits)))
		return true;
	join->out_of_memory = true;
	return false;
}

/* false: there is nothing to lay over a span from `first` up to `end`. */
static bool find(struct join *join, const struct lane *lane, uint32_t first, struct steady *out)
{
	const struct slice *slice = &lane->slices[first];
	const struct slice *last = &lane->slices[MIN(lane->count, first + MOST_AT_ONCE)];

	out->end = slice;
	if (first == 0 || slice >= last || !is_round(slice, slice))
		return false;
	if (tag_is_none(slice->tag_out)) {
		out->end = pass_idle(join, lane, slice, last);
		return false;
	}
	*out = (struct steady){ .lane = lane, .first = slice, .end = slice };
	if (!find_owner(join, lane, slice, &out->owner))
		return false;
	while (out->end < last && is_round(out->end, slice) && out->end->out_ns <= join->calm.to_ns)
		out->end++;
	if (!make_rooms(join, (uint32_t)(out->end - slice))) {
		out->end = slice;
		return false;
	}
	out->reason = (uint8_t)reason_of_slice(slice, &out->decided_by);
	out->is_preempted = slice->flags & EVENT_PREEMPTED;
	out->stack = overlay_stack_told(slice);
	if (!out->stack && !slice->state) {
		out->behind = overlay_look_back(lane, slice);
		out->ahead = overlay_look_ahead(lane, out->end - 1);
	}
	return true;
}

/* As overlay_stack_of. */
static uint64_t stack_of(const struct steady *steady, const struct slice *slice)
{
	if (steady->behind.stack &&
	    steady->behind.steps + (uint64_t)(slice - steady->first) <= STACK_REACH)
		return steady->behind.stack;
	if (steady->ahead.stack &&
	    steady->ahead.steps + (uint64_t)(steady->end - 1 - slice) <= STACK_REACH)
		return steady->ahead.stack;
	return steady->stack;
}

static inline void put(struct join *join, const struct segment *segment)
{
	join->segments[join->segment_count] = *segment;
	join->segment_count += segment->start_ns < segment->end_ns;
}

static inline struct segment segment_of(const struct steady *steady, uint64_t start, uint64_t end)
{
	return (struct segment){ .start_ns = start,
				 .end_ns = end,
				 .since_ns = start,
				 .thread = steady->lane->thread,
				 .carrier = steady->owner,
				 .wait = -1 };
}

/* Returns until when. */
static inline uint64_t put_blocked(struct join *join, const struct steady *steady,
				   const struct slice *slice)
{
	uint64_t start = slice[-1].out_ns, until = slice->in_ns;
	uint64_t woken = slice->waking_ns ? MIN(MAX(slice->waking_ns, start), until) : until;
	struct wait *wait = &join->waits[join->wait_count];
	struct segment segment = segment_of(steady, start, woken);

	segment.wait = (int32_t)join->wait_count++;
	segment.state = STATE_BLOCKED;
	*wait = (struct wait){ .before = slice - 1,
			       .after = slice,
			       .raw_ns = woken - start,
			       .decided_by = steady->decided_by,
			       .reason = steady->reason };
	if (steady->reason == REASON_LOCK)
		holder_find(join, steady->lane, start, woken, wait);
	put(join, &segment);
	return woken;
}

static inline void put_off_cpu(struct join *join, const struct steady *steady,
			       const struct slice *slice)
{
	uint64_t start = slice[-1].out_ns;
	struct segment segment;

	if (slice->in_ns <= start)
		return;
	segment = segment_of(steady, start, slice->in_ns);
	if (!steady->is_preempted)
		segment.start_ns = put_blocked(join, steady, slice);
	segment.state = STATE_RUNNABLE;
	segment.why = steady->is_preempted ? WHY_PREEMPTED : WHY_WOKEN;
	put(join, &segment);
}

static inline void put_on_cpu(struct join *join, const struct steady *steady,
			      const struct slice *slice)
{
	struct segment segment = segment_of(steady, slice->in_ns, slice->out_ns);

	segment.cpu_ns = slice->booked_ns;
	segment.stack = stack_of(steady, slice);
	segment.state = STATE_RUNNING;
	put(join, &segment);
}

uint32_t overlay_steady(struct join *join, const struct lane *lane, uint32_t first)
{
	struct steady steady;

	if (!find(join, lane, first, &steady))
		return (uint32_t)(steady.end - lane->slices);
	for (const struct slice *slice = steady.first; slice < steady.end; slice++) {
		put_off_cpu(join, &steady, slice);
		put_on_cpu(join, &steady, slice);
	}
	return (uint32_t)(steady.end - lane->slices);
}
