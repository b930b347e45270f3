/* SPDX-License-Identifier: Apache-2.0 */
/* Spans whose begin and end their threads have marked (mark.c): whose the time is in which they
 * are open and do not show. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"
#include "correlate/reason.h"

/* From the edge to the mark the thread went straight, as a program does that reads the clock itself
 * and then begins the span; else what comes between may be nothing of it, and the time another's.
 * From the mark to the reading of the clock it may be kept waiting, but has nothing to do. */
static bool is_near(struct join *join, const struct lane *lane, const struct node *node,
		    uint64_t edge_ns, const struct mark *mark)
{
	uint32_t at = lane_first_after(lane, edge_ns);

	if (mark->time_ns <= edge_ns)
		return lane_ran_ns(lane, mark->time_ns, edge_ns) <= CHANGE_WAY_NS;
	for (; at < lane->count && lane->slices[at].out_ns < mark->time_ns; at++) {
		if (lane->slices[at].state && !(lane->slices[at].flags & EVENT_TICK))
			return false;
	}
	return lane_ran_ns(lane, edge_ns, mark->time_ns) <= CHANGE_WAY_NS ||
	       told_is_alone(join, lane, node, edge_ns);
}

/* It waited for events: an event loop came to something else, even one whose turns nobody logs. */
static bool loops_within(const struct lane *lane, uint64_t from_ns, uint64_t to_ns)
{
	uint32_t at = lane_first_after(lane, from_ns);

	for (; at < lane->count && lane->slices[at].out_ns < to_ns; at++) {
		if (lane->slices[at].state &&
		    reason_syscall_is_event_loop(lane->slices[at].syscall))
			return true;
	}
	return false;
}

/* From its start until the thread showed it. */
static bool begin_of(struct join *join, const struct lane *lane, const struct node *node,
		     struct stretch *out)
{
	const struct mark *mark = node->begun;

	if (!mark || mark->thread != lane->thread || !mark->shown_ns ||
	    !is_near(join, lane, node, node->a_ns, mark) ||
	    loops_within(lane, mark->time_ns, mark->shown_ns))
		return false;
	*out = (struct stretch){ node->a_ns, mark->shown_ns };
	return true;
}

/* From when it showed it last until its end. */
static bool end_of(struct join *join, const struct lane *lane, const struct node *node,
		   struct stretch *out)
{
	const struct mark *mark = node->ended;

	if (!mark || mark->thread != lane->thread || !mark->left_ns ||
	    !is_near(join, lane, node, node->b_ns, mark) ||
	    loops_within(lane, mark->left_ns, mark->time_ns))
		return false;
	*out = (struct stretch){ mark->left_ns, node->b_ns };
	return true;
}

/* The same moment; the clock is read a little before a change shows. */
static bool is_same(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? b_ns - a_ns <= CHANGE_CLOCK_NS : a_ns - b_ns <= CHANGE_CLOCK_NS;
}

bool marked_way(struct join *join, const struct lane *lane, int32_t index, uint64_t from_ns,
		uint64_t to_ns)
{
	const struct node *node = &join->nodes[index];
	struct stretch own;

	if (begin_of(join, lane, node, &own) && from_ns == own.from_ns && is_same(to_ns, own.to_ns))
		return true;
	return end_of(join, lane, node, &own) && to_ns == own.to_ns &&
	       is_same(from_ns, own.from_ns);
}

static uint8_t between(const struct mark *mark, bool is_end)
{
	return is_end ? mark->since_left : mark->until_shown;
}

bool marked_apart(const struct lane *lane, const struct node *node, bool is_end)
{
	const struct mark *mark = is_end ? node->ended : node->begun;

	return mark && (mark->thread != lane->thread || between(mark, is_end) == MARK_TURN);
}

bool marked_in_doubt(const struct lane *lane, const struct node *node, bool is_end)
{
	const struct mark *mark = is_end ? node->ended : node->begun;

	return mark && mark->thread == lane->thread && between(mark, is_end) == MARK_ANOTHER;
}

static bool covers(const struct stretch *own, uint64_t from_ns, uint64_t to_ns)
{
	return own->from_ns <= from_ns && to_ns <= own->to_ns;
}

static bool has(struct join *join, const struct lane *lane, int32_t index, uint64_t from_ns,
		uint64_t to_ns)
{
	const struct node *node = &join->nodes[index];
	struct stretch own = { node->a_ns, node->b_ns };

	if (node->is_marked)
		return node->placed == lane && covers(&own, from_ns, to_ns);
	return (begin_of(join, lane, node, &own) && covers(&own, from_ns, to_ns)) ||
	       (end_of(join, lane, node, &own) && covers(&own, from_ns, to_ns));
}

int32_t marked_owner(struct join *join, const struct lane *lane, uint64_t from_ns, uint64_t to_ns,
		     int32_t owner)
{
	uint32_t place = overlay_first_below(join, owner);
	int32_t index;

	if (!join->trace->marks)
		return owner;
	while ((index = join_next_overlapping(join, lane->process, &place, from_ns, to_ns)) >= 0) {
		if (index != owner && (owner < 0 || node_is_below(join, index, owner)) &&
		    has(join, lane, index, from_ns, to_ns))
			owner = index;
	}
	return owner;
}

/* What the thread shows meanwhile is the span's own, or what it showed at its start: nothing, or an
 * ancestor of it. */
static bool is_within(const struct join *join, int32_t index, const struct event_tag *base,
		      const struct event_tag *tag)
{
	int32_t owner = tag_eq(tag, base) ? index : -1;

	if (owner < 0 && !tag_is_none(tag) && tag_is_of(tag, join->trace->id))
		owner = join_find(join, tag->span_id);
	return owner >= 0 && node_is_below(join, owner, index);
}

static bool is_base(const struct join *join, int32_t index, const struct event_tag *tag)
{
	int32_t owner;

	if (tag_is_none(tag))
		return true;
	if (!tag_is_of(tag, join->trace->id))
		return false;
	owner = join_find(join, tag->span_id);
	return owner >= 0 && node_is_below(join, index, owner);
}

static bool is_told_throughout(const struct join *join, const struct lane *lane, int32_t index)
{
	const struct node *node = &join->nodes[index];
	uint32_t first = lane_first_after(lane, node->a_ns), at = first;

	if (first == lane->count || !is_base(join, index, lane->slices[first].tag_in) ||
	    (tag_is_none(lane->slices[first].tag_in) && loops_within(lane, node->a_ns, node->b_ns)))
		return false;
	for (; at < lane->count; at++) {
		const struct slice *slice = &lane->slices[at];

		if (!(slice->flags & EVENT_TOLD) || (at > first && slice->gap) ||
		    !is_within(join, index, lane->slices[first].tag_in, slice->tag_in))
			return false;
		if (slice->out_ns >= node->b_ns)
			return slice->in_ns < node->b_ns;
	}
	return false;
}

struct lane *join_marked_lane(struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];
	const struct mark *begun = node->begun, *ended = node->ended;
	struct lane *lane;

	if (!begun || !ended || begun->thread != ended->thread || begun->turn != ended->turn ||
	    begun->thread->folded_until_ns > node->a_ns)
		return NULL;
	lane = join_lane(join, begun->thread);
	if (!lane || !lane_on_cpu_about(lane, node->a_ns, node->cut_ns) ||
	    !is_near(join, lane, node, node->a_ns, begun) ||
	    !is_near(join, lane, node, node->b_ns, ended) || !is_told_throughout(join, lane, index))
		return NULL;
	return lane;
}
