/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes into segments: who owned the thread at each instant.
 *
 * Off the CPU the tag cannot change (overlay_wait.c). Of a slice on
 * the CPU the tags at both ends are known; in between, the spans' own edges cut it: the innermost
 * span that is active, and that this thread can have carried, owns each piece. What the tags at the
 * ends do not confirm is uncertain for the spans concerned (DESIGN 4, rules 1, 2, 4, 5, 8). */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define FEW_EDGES 16

int32_t overlay_climb(const struct join *join, int32_t index, uint64_t time_ns)
{
	while (index >= 0 && !node_is_active(&join->nodes[index], time_ns))
		index = join->nodes[index].parent;
	return index;
}

int32_t overlay_meaning(const struct join *join, const struct lane *lane,
			const struct event_tag *tag, uint64_t time_ns)
{
	struct meaning *last = join->meaning;
	int32_t index;

	if (last->tag == tag && last->thread == lane->thread)
		return last->node;
	if (tag_is_none(tag) || !tag_is_of(tag, join->trace->id))
		return -1;
	if (thread_inherits(lane->thread, tag, time_ns))
		return -1;
	index = join_find(join, tag->span_id);
	if (index < 0)
		return enclose_unknown(join, lane, tag, time_ns);
	index = join->nodes[index].process == lane->process ? index : -1;
	if (!lane->thread->inherited_until_ns)
		*last = (struct meaning){ tag, lane->thread, index,
					  index >= 0 && join_sighting(join, index, lane->thread) };
	return index;
}

void overlay_emit(struct join *join, const struct segment *like, uint64_t start, uint64_t end,
		  int32_t carrier)
{
	struct segment *segment;

	if (start >= end || carrier < 0)
		return;
	segment = join_add_segment(join);
	if (!segment)
		return;
	*segment = *like;
	segment->start_ns = start;
	segment->end_ns = end;
	segment->carrier = carrier;
	segment->enter = join->nodes[carrier].enter;
}

void overlay_emit_chain(struct join *join, const struct segment *like, uint64_t start, uint64_t end,
			int32_t index)
{
	struct segment piece = *like;

	if (index >= 0 && join->nodes[index].a_ns <= start && end <= join->nodes[index].b_ns &&
	    like->state != STATE_RUNNING) {
		overlay_emit(join, like, start, end, index);
		return;
	}
	while (start < end) {
		int32_t owner = overlay_climb(join, index, start);
		uint64_t until = owner >= 0 ? MIN(end, join->nodes[owner].b_ns) : end;

		for (int32_t i = index; i >= 0 && i != owner; i = join->nodes[i].parent) {
			if (join->nodes[i].a_ns > start)
				until = MIN(until, join->nodes[i].a_ns);
		}
		if (like->state == STATE_RUNNING)
			piece.cpu_ns = until - start;
		overlay_emit(join, &piece, start, until, owner);
		start = until;
	}
}

/* The innermost of those active; rivals, of which neither is the other's ancestor, doubt each
 * other. */
static int32_t innermost(struct cut *cut, uint64_t start, uint64_t ns,
			 enum confidence *out_confidence)
{
	struct join *join = cut->join;
	int32_t best = -1;

	*out_confidence = CANNOT;
	for (uint32_t i = 0; i < cut->count; i++) {
		int32_t index = cut->nodes[i];
		const struct node *node = &join->nodes[index];

		if (cut->confidence[i] <= SUSPENDED || !node_is_active(node, start))
			continue;
		if (best >= 0 && !node_is_below(join, index, best)) {
			if (node_is_below(join, best, index))
				continue;
			overlay_doubt(join, index, -1, ns);
			overlay_doubt(join, best, -1, ns);
			if (cut->confidence[i] < *out_confidence ||
			    (cut->confidence[i] == *out_confidence &&
			     node->depth < join->nodes[best].depth))
				continue;
		}
		best = index;
		*out_confidence = cut->confidence[i];
	}
	return best;
}

/* The nearest one above that is open then, and sure. */
static int32_t sure_above(const struct cut *cut, int32_t index, uint64_t time_ns)
{
	const struct node *nodes = cut->join->nodes;

	do
		index = nodes[index].parent;
	while (index >= 0 && (nodes[index].sure_in != cut->join->cuts ||
			      !node_is_active(&nodes[index], time_ns)));
	return index;
}

/* From the span up to that ancestor, or to the top: each once a piece, which is all that it may be
 * off by. */
static void doubt_chain(struct join *join, int32_t index, int32_t ancestor, uint64_t ns)
{
	for (; index >= 0; index = index == ancestor ? -1 : join->nodes[index].parent) {
		struct node *node = &join->nodes[index];

		if (node->doubted_in != join->pieces)
			node_doubt(node, ns);
		node->doubted_in = join->pieces;
	}
}

/* Those that may have run instead of the owner: both are in doubt, up to where they meet. */
static void doubt_suspended(struct cut *cut, int32_t owner, uint64_t start, uint64_t ns)
{
	struct join *join = cut->join;

	join->pieces++;
	for (uint32_t i = 0; i < cut->count; i++) {
		int32_t index = cut->nodes[i], meet = index;

		if (cut->confidence[i] != SUSPENDED || !node_is_active(&join->nodes[index], start))
			continue;
		while (meet >= 0 && (owner < 0 || !node_is_below(join, owner, meet)))
			meet = join->nodes[meet].parent;
		if (meet == index)
			continue;
		doubt_chain(join, index, meet, ns);
		if (owner != meet)
			doubt_chain(join, owner, meet, ns);
	}
}

/* While another trace claims the thread, it may have had a turn that no tag tells of, and where it
 * had one within the slice, nobody knows what lay around that; unless enough was seen of the
 * process to say that it takes none. Where turns are taken, one that never claims it may have. */
static uint64_t company_ns(const struct cut *cut, uint64_t start, uint64_t end)
{
	const struct slice *slice = cut->slice;

	if (cut->lane->takes_turns)
		return end - start;
	if (!turns_are_none(cut->lane->process) &&
	    company_overlap_ns(cut->lane, slice->in_ns, slice->out_ns))
		return end - start;
	return company_overlap_ns(cut->lane, start, end);
}

static void doubt_company(const struct cut *cut, int32_t owner, uint64_t start, uint64_t end)
{
	uint64_t shared = company_ns(cut, start, end);

	if (shared && !(cut->slice->flags & EVENT_TOLD))
		overlay_doubt(cut->join, owner, -1,
			      MIN(shared + cut->stint->doubt_ns, end - start));
}

/* The thread has ended in this slice what it had begun before the owner, or with it, and the owner
 * was open still: these were not put aside in the order in which they came, and what was put back
 * then is what the other had found, whatever that was; unless the slice's end shows the owner. */
static bool is_out_of_order(const struct cut *cut, int32_t owner, uint64_t start)
{
	const struct node *node = &cut->join->nodes[owner];

	if (cut->slice->flags & EVENT_TOLD || cut_has(cut->join, cut->owner_out, owner))
		return false;
	for (uint32_t i = 0; i < cut->count; i++) {
		const struct node *other = &cut->join->nodes[cut->nodes[i]];
		uint64_t error = other->cut_ns + other->bound_ns + node->bound_ns;

		if (cut->confidence[i] >= DOUBTFUL && other->a_ns <= node->a_ns &&
		    other->b_ns > node->a_ns && other->b_ns <= start &&
		    other->b_ns + error < node->b_ns &&
		    !node_is_below(cut->join, cut->nodes[i], owner))
			return true;
	}
	return false;
}

static void own_piece(struct cut *cut, uint64_t start, uint64_t end)
{
	struct segment like = cut_piece(cut);
	enum confidence confidence;
	int32_t owner;
	uint64_t ns;

	like.cpu_ns = cut_take_cpu(cut, end);
	ns = MAX(end - start, like.cpu_ns); /* more was booked to the head than its length */
	owner = innermost(cut, start, ns, &confidence);
	doubt_suspended(cut, owner, start, ns);
	handed_doubt(cut, owner, start, end, ns);
	if (owner < 0)
		return;
	if (confidence == DOUBTFUL || is_out_of_order(cut, owner, start))
		overlay_doubt(cut->join, owner, sure_above(cut, owner, start), ns);
	doubt_company(cut, owner, start, end);
	handed_doubt_resumed(cut, owner, ns);
	overlay_emit(cut->join, &like, start, end, owner);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Mostly two, three or four of them. */
static void sort(uint64_t *values, uint32_t count)
{
	if (count > FEW_EDGES) {
		qsort(values, count, sizeof(*values), by_value);
		return;
	}
	for (uint32_t i = 1; i < count; i++) {
		uint64_t value = values[i];
		uint32_t at = i;

		for (; at > 0 && values[at - 1] > value; at--)
			values[at] = values[at - 1];
		values[at] = value;
	}
}

static uint32_t edges_of(const struct cut *cut, uint64_t *edges)
{
	uint32_t count = 0;

	edges[count++] = cut->from_ns;
	for (uint32_t i = 0; i < cut->count; i++) {
		const struct node *node = &cut->join->nodes[cut->nodes[i]];

		if (node->a_ns > cut->from_ns && node->a_ns < cut->to_ns)
			edges[count++] = node->a_ns;
		if (node->b_ns > cut->from_ns && node->b_ns < cut->to_ns)
			edges[count++] = node->b_ns;
	}
	sort(edges + 1, count - 1);
	edges[count++] = cut->to_ns;
	return count;
}

/* Marks whom the slice concerns. false: nobody. */
static bool find_confidence(struct cut *cut)
{
	struct join *join = cut->join;
	bool any = false;

	join->cuts++;
	for (uint32_t i = 0; i < cut->count; i++) {
		enum confidence confidence = overlay_trust(cut, cut->nodes[i]);
		int32_t up = confidence > SUSPENDED ? cut->nodes[i] : -1;

		cut->confidence[i] = (uint8_t)confidence;
		any |= confidence >= AWAY;
		if (confidence == SURE)
			join->nodes[cut->nodes[i]].sure_in = join->cuts;
		for (; up >= 0 && join->nodes[up].owner_in != join->cuts;
		     up = join->nodes[up].parent)
			join->nodes[up].owner_in = join->cuts;
	}
	return overlay_suspect_above(cut) || any;
}

static void cut_window(struct cut *cut, const struct slice *before)
{
	uint64_t edges[2 * OVERLAY_MAX_SPANS + 2];
	uint32_t edge_count = edges_of(cut, edges);

	for (uint32_t i = 1; i < edge_count; i++) {
		if (edges[i] > edges[i - 1])
			own_piece(cut, edges[i - 1], edges[i]);
	}
	overlay_doubt_parts(cut);
	overlay_doubt_unknown(cut, before);
	enclose_doubt(cut->join, cut->lane, cut->slice->tag_out, cut->from_ns, cut->to_ns, cut);
	if (!tag_eq(cut->slice->tag_in, cut->slice->tag_out))
		enclose_doubt(cut->join, cut->lane, cut->slice->tag_in, cut->from_ns, cut->to_ns,
			      cut);
}

/* It is nobody's, but for what the thread came to in it. */
static void pass_window(struct cut *cut)
{
	cut_take_cpu(cut, cut->to_ns);
	if (cut->count)
		enclose_doubt(cut->join, cut->lane, cut->slice->tag_out, cut->from_ns, cut->to_ns,
			      cut);
}

static void take_window(struct cut *cut, const struct slice *before)
{
	if (cut->count == OVERLAY_MAX_SPANS)
		crowd_own(cut);
	else if (cut->count && find_confidence(cut))
		cut_window(cut, before);
	else
		pass_window(cut);
}

static void cut_slice(struct join *join, const struct lane *lane, const struct slice *before,
		      const struct slice *slice)
{
	struct cut cut; /* large: set member by member */

	cut.join = join;
	cut.lane = lane;
	cut.slice = slice;
	cut.stint = lane_stint(lane, slice);
	cut.from_ns = slice->in_ns;
	crowd_window(&cut);
	if (!cut.count && cut.to_ns == slice->out_ns)
		return;
	cut.owner_in = overlay_meaning(join, lane, slice->tag_in, slice->in_ns);
	cut.owner_out = overlay_meaning(join, lane, slice->tag_out, slice->out_ns);
	cut.last_cpu_ns = stint_cpu_until(cut.stint, slice->in_ns);
	take_window(&cut, before);
	while (cut.to_ns < slice->out_ns) {
		cut.from_ns = cut.to_ns;
		crowd_window(&cut);
		take_window(&cut, before);
	}
}

/* Nothing was open then. */
static bool is_beside(struct join *join, const struct lane *lane, const struct slice *before,
		      const struct slice *slice)
{
	bool begins_lost = !before && slice->gap; /* what came before it is not known */

	return !(slice->flags & EVENT_IN_LOST) && !join->cut_ns && !begins_lost &&
	       !(before && before->flags & SLICE_CHANGE) &&
	       overlay_nobody(join, lane->process, before ? before->out_ns : slice->in_ns,
			      slice->out_ns);
}

static void overlay_lane(struct join *join, const struct lane *lane)
{
	for (uint32_t i = overlay_steady(join, lane, 0); i < lane->count;
	     i = overlay_steady(join, lane, i + 1)) {
		const struct slice *slice = &lane->slices[i];
		const struct slice *before = i ? &lane->slices[i - 1] : NULL;
		uint32_t segment_count = join->segment_count;

		if (is_beside(join, lane, before, slice))
			continue;
		if (slice->gap)
			overlay_wait_gap(join, lane, before, slice);
		else if (before && slice->in_ns > before->out_ns)
			overlay_wait_emit(join, lane, before, slice, slice->in_ns);
		if (before && slice->hidden_ns)
			overlay_wait_hidden(join, lane, before, slice);
		if (slice->flags & EVENT_IN_LOST)
			overlay_doubt_lost_in(join, lane, slice);
		if (!overlay_plain(join, lane, before, slice))
			cut_slice(join, lane, before, slice);
		if (before && before->flags & SLICE_CHANGE && before->flags & EVENT_TOLD)
			told_doubt_change(join, lane, slice->in_ns, segment_count);
	}
	if (lane->count)
		overlay_wait_open_end(join, lane);
}

static void add_lanes(struct join *join)
{
	for (const struct observation *o = join->trace->observations; o; o = o->next) {
		if (!o->inherited)
			join_lane(join, o->thread);
	}
}

void join_overlay(struct join *join)
{
	add_lanes(join);
	company_claim(join);
	join_find_put_aside(join);
	for (uint32_t i = 0; i < join->lane_count; i++) {
		struct lane *lane = join->lanes[i];

		lane->first_segment = join->segment_count;
		overlay_lane(join, lane);
		lane->segment_count = join->segment_count - lane->first_segment;
	}
	overlay_doubt_heads(join);
	overlay_doubt_awaited(join);
	unseen_doubt(join);
	adopt_doubt(join);
	overlay_pass_doubts(join);
	crowd_doubt(join);
	if (segments_are_by_lanes(join))
		return;
	rounds_spread(join);
	segments_sort(join);
}
