/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that tell when their tag changes (exact mode): each piece of their slices has one tag.
 *
 * The span of the tag and its ancestors own the piece, and nobody else does, but for what is on the
 * way: a service opens a span a little before it attaches it, and ends it a little after it has
 * detached it, and that time is the span's, too. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_PIECES 64 /* that are looked at on the way to another tag */

static bool carries(const struct join *join, const struct lane *lane, const struct slice *slice,
		    int32_t index)
{
	int32_t owner = overlay_meaning(join, lane, slice->tag_in, slice->in_ns);

	return owner >= 0 && node_is_below(join, owner, index);
}

/* Goes from piece to piece, in steps of 1 or -1, as long as they have the same tag. Returns the
 * first one with another; NULL: that is not known. */
static const struct slice *other_tag(const struct lane *lane, const struct slice *slice, int step)
{
	const struct slice *at = slice;

	for (int i = 0; i < MOST_PIECES; i++) {
		if (!(at->flags & EVENT_TOLD) ||
		    (step < 0 ? at == lane->slices : at + 1 == lane->slices + lane->count))
			return NULL;
		at += step;
		if (!tag_eq(at->tag_in, slice->tag_in))
			return at->flags & EVENT_TOLD ? at : NULL;
	}
	return NULL;
}

/* Another thread has carried it before `time_ns`, or carries it after: it is not to do with the
 * span's edge. */
static bool is_elsewhere(const struct join *join, const struct lane *lane, int32_t index,
			 uint64_t time_ns, bool before)
{
	for (int32_t s = join->nodes[index].sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (seen->thread != lane->thread &&
		    (before ? seen->first_ns < time_ns : seen->last_ns > time_ns))
			return true;
	}
	return false;
}

/* From its first attach on one thread to its last detach there, and in no turns. */
static bool is_carried_once(const struct join *join, const struct lane *lane, int32_t index)
{
	const struct sighting *seen = join_sighting(join, index, lane->thread);
	uint32_t at;

	if (!seen || seen->next >= 0 || join->nodes[index].sightings != seen - join->sightings)
		return false; /* by several threads */
	at = lane_first_after(lane, seen->first_ns);
	for (; at < lane->count && lane->slices[at].in_ns < seen->last_ns; at++) {
		if (!carries(join, lane, &lane->slices[at], index))
			return false;
	}
	return true;
}

/* 0: the span, whose tag the piece does not have, is not on the way into it, or out of it. Else how
 * long the way is. Whatever the thread shows there, be it another trace that it puts aside. */
static uint64_t way_ns(const struct join *join, const struct lane *lane, const struct slice *slice,
		       int32_t index)
{
	const struct node *node = &join->nodes[index];
	const struct slice *before = other_tag(lane, slice, -1);
	const struct slice *after = other_tag(lane, slice, 1);

	if (after && (!before || before->out_ns <= node->a_ns) && node->a_ns < after->in_ns &&
	    carries(join, lane, after, index) &&
	    lane_on_cpu_about(lane, node->a_ns, node->cut_ns) &&
	    !is_elsewhere(join, lane, index, after->in_ns, true))
		return after->in_ns - node->a_ns;
	if (before && (!after || node->b_ns <= after->in_ns) && before->out_ns < node->b_ns &&
	    carries(join, lane, before, index) &&
	    lane_on_cpu_about(lane, node->b_ns - 1, node->cut_ns) &&
	    !is_elsewhere(join, lane, index, before->out_ns, false))
		return node->b_ns - before->out_ns;
	return 0;
}

/* Spans take turns there, or another one of the trace is open meanwhile, that may have its own. */
static bool may_wait(const struct join *join, const struct lane *lane, const struct slice *slice,
		     int32_t index)
{
	const struct node *node = &join->nodes[index];
	int32_t found[OVERLAY_MAX_SPANS];
	uint32_t count = join_overlapping(join, lane->process, MAX(slice->in_ns, node->a_ns),
					  MIN(slice->out_ns, node->b_ns), found, OVERLAY_MAX_SPANS);

	for (uint32_t i = 0; i < count; i++) {
		if (!node_is_below(join, found[i], index) && !node_is_below(join, index, found[i]))
			return true;
	}
	return join_takes_turns(join, lane->process);
}

/* Of one that takes turns nobody can say whether it began with its start or its first turn; nor,
 * where others do, of any, when these are far apart. */
enum confidence told_trust(const struct join *join, const struct lane *lane,
			   const struct slice *slice, int32_t index)
{
	uint64_t way, most;

	if (carries(join, lane, slice, index))
		return SURE;
	way = way_ns(join, lane, slice, index);
	if (!way)
		return CANNOT;
	most = may_wait(join, lane, slice, index) ? CHANGE_SURE_NS : CHANGE_WAY_NS;
	return way <= most && is_carried_once(join, lane, index) ? SURE : DOUBTFUL;
}

static int32_t meeting(const struct join *join, int32_t a, int32_t b)
{
	while (a >= 0 && (b < 0 || !node_is_below(join, b, a)))
		a = join->nodes[a].parent;
	return a;
}

void told_doubt_change(struct join *join, const struct lane *lane, uint64_t time_ns,
		       uint32_t segment_count)
{
	const struct segment *all = join->segments;
	int32_t from = -1, to = -1, meet;

	if (segment_count && all[segment_count - 1].end_ns == time_ns &&
	    all[segment_count - 1].thread == lane->thread)
		from = all[segment_count - 1].carrier;
	if (segment_count < join->segment_count && all[segment_count].start_ns == time_ns)
		to = all[segment_count].carrier;
	if (from == to)
		return;
	meet = meeting(join, from, to);
	overlay_doubt(join, from, meet, CHANGE_DOUBT_NS);
	if (to != meet)
		overlay_doubt(join, to, meet, CHANGE_DOUBT_NS);
}
