/* SPDX-License-Identifier: Apache-2.0 */
/* The way from a span's start to where its thread shows it first, or from there to its end, where a
 * look at the thread came in between and does not show it.
 *
 * Somebody read the clock at that edge. If no other thread of the process was on a CPU then, it was
 * the one that shows the span; and if that did not leave its CPU of itself in between, nor woke
 * another one, nor showed anything but what it had before, it did nothing else: it was preempted,
 * or looked at by a tick.
 * Not so where spans are put aside. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_LOOKS 64 /* on the way */

/* Nobody else of the process carries it. */
static bool is_only_here(const struct join *join, const struct lane *lane, const struct node *node)
{
	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct thread *thread = join->sightings[s].thread;

		if (thread != lane->thread && thread->process == lane->process)
			return false;
	}
	return true;
}

/* One that it lies in ends on the way before it does: what was put back then is not known, and may
 * be what the looks show. */
static bool is_outlived(const struct node *above, const struct node *node,
			const struct stretch *way)
{
	return above->b_ns >= way->from_ns &&
	       above->b_ns + above->cut_ns + above->bound_ns + node->bound_ns <
		       MIN(way->to_ns, node->b_ns);
}

/* A span that is neither above it nor below it begins or ends on the way: several may have been
 * made ahead. */
static bool has_company(const struct join *join, const struct lane *lane, int32_t index,
			const struct stretch *way)
{
	int32_t found[OVERLAY_MAX_SPANS];
	uint32_t count = join_overlapping(join, lane->process, way->from_ns, way->to_ns, found,
					  OVERLAY_MAX_SPANS);

	for (uint32_t i = 0; i < count; i++) {
		const struct node *other = &join->nodes[found[i]];
		bool begins = other->a_ns >= way->from_ns && other->a_ns <= way->to_ns;
		bool ends = other->b_ns >= way->from_ns && other->b_ns <= way->to_ns;

		if (node_is_below(join, found[i], index))
			continue;
		if (node_is_below(join, index, found[i])
			    ? is_outlived(other, &join->nodes[index], way)
			    : begins || ends)
			return true;
	}
	return count == OVERLAY_MAX_SPANS;
}

/* It ends in the midst of what the thread ran, where that woke another one (glimpse.c). */
static bool wakes_another(const struct slice *slice)
{
	return slice->flags & SLICE_CHANGE && !(slice->flags & EVENT_TOLD);
}

/* The thread did not wait after that slice, nor do anything else of which somebody tells. */
static bool goes_on(const struct slice *slice, const struct slice *next)
{
	return (slice->flags & EVENT_TICK || !slice->state) && !wakes_another(slice) &&
	       !next->gap && !(next->flags & EVENT_IN_LOST) && !next->hidden_ns;
}

static bool shows_only(const struct slice *slice, const struct event_tag *base)
{
	return !(slice->flags & EVENT_TAG_OUT_UNKNOWN) && tag_eq(slice->tag_out, base);
}

/* From one slice to another one, each look between them shows the same. */
static bool is_straight(const struct slice *first, const struct slice *last,
			const struct event_tag *base)
{
	if (last - first > MOST_LOOKS)
		return false;
	for (const struct slice *slice = first; slice < last; slice++) {
		if (!goes_on(slice, slice + 1) || !shows_only(slice, base))
			return false;
	}
	return true;
}

/* Nothing, or what the span lies in. */
static bool is_above(const struct join *join, const struct lane *lane, const struct event_tag *tag,
		     uint64_t time_ns, int32_t index)
{
	int32_t owner = overlay_meaning(join, lane, tag, time_ns);

	return tag_is_none(tag) || (owner >= 0 && node_is_below(join, index, owner));
}

/* What nobody saw on another thread may have been there, and have come back; but a log tells. */
static bool may_be_away(const struct join *join, const struct node *node, const struct slice *slice)
{
	return !(slice->flags & EVENT_TOLD) && (lend_may_be_handed_on(join, node) ||
						lend_may_be_apart(node) || lend_may_be(join, node));
}

static bool is_way(struct join *join, const struct lane *lane, int32_t index,
		   const struct stretch *way, bool is_end)
{
	const struct node *node = &join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;
	const struct slice *first = lane_on_cpu(lane, way->from_ns);
	const struct slice *last = lane_on_cpu(lane, MAX(way->to_ns, 1) - 1);
	const struct event_tag *base;

	if (!first || !last || first >= last)
		return false;
	base = is_end ? last->tag_in : first->tag_out;
	return is_straight(first, last, base) &&
	       is_above(join, lane, base, is_end ? last->in_ns : first->out_ns, index) &&
	       !may_be_away(join, node, first) &&
	       !company_overlap_ns(lane, way->from_ns, way->to_ns) &&
	       !has_company(join, lane, index, way) && told_is_alone(join, lane, node, edge_ns);
}

bool way_is_sure(struct join *join, const struct lane *lane, int32_t index, uint64_t time_ns)
{
	const struct node *node = &join->nodes[index];
	const struct sighting *seen = join_sighting(join, index, lane->thread);
	struct stretch begin, end;

	if (!seen || node->cut_ns || lane->takes_turns || !is_only_here(join, lane, node) ||
	    join_has_turns(join))
		return false;
	begin = (struct stretch){ node->a_ns, seen->first_ns };
	end = (struct stretch){ seen->last_ns, node->b_ns };
	if (time_ns >= begin.from_ns && time_ns <= begin.to_ns)
		return !marked_apart(lane, node, false) && !marked_in_doubt(lane, node, false) &&
		       is_way(join, lane, index, &begin, false);
	if (time_ns >= end.from_ns && time_ns <= end.to_ns)
		return !marked_apart(lane, node, true) && !marked_in_doubt(lane, node, true) &&
		       is_way(join, lane, index, &end, true);
	return false;
}

int32_t way_owner(struct join *join, const struct lane *lane, uint64_t from_ns, uint64_t to_ns,
		  int32_t owner)
{
	uint32_t place = overlay_first_below(join, owner);
	int32_t index;

	while ((index = join_next_overlapping(join, lane->process, &place, from_ns, to_ns)) >= 0) {
		if (index != owner && (owner < 0 || node_is_below(join, index, owner)) &&
		    way_is_sure(join, lane, index, from_ns) &&
		    way_is_sure(join, lane, index, to_ns))
			owner = index;
	}
	return owner;
}
