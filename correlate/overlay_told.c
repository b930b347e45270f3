/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that tell when their tag changes (exact mode): each piece of their slices has one tag.
 *
 * The span of the tag and its ancestors own the piece, and nobody else does, but for what is on the
 * way: a service opens a span a little before it attaches it, and ends it a little after it has
 * detached it, and that time is the span's, too. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_PIECES 64   /* that are looked at on the way to another tag */
#define MOST_BESIDE 64   /* threads that may have begun a span, or ended it */
#define CLOCK_NS    5000 /* that an SDK's clock is off by, and no tag tells */

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

/* One of another process may have it in its context since a fork, and owns nothing of it. */
static bool is_of_other(const struct sighting *seen, const struct lane *lane)
{
	return seen->thread != lane->thread && seen->thread->process == lane->process;
}

/* Another thread has carried it before `time_ns`, or carries it after: this one has not to do with
 * the span's edge. Who takes up its context when it is over has not either. */
static bool is_elsewhere(const struct join *join, const struct lane *lane, int32_t index,
			 uint64_t time_ns, bool before)
{
	const struct node *node = &join->nodes[index];
	uint64_t over_ns = node->b_ns + node->cut_ns + node->bound_ns + node->skew_ns;

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (is_of_other(seen, lane) && seen->first_ns <= over_ns &&
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

	for (int32_t s = join->nodes[index].sightings; s >= 0; s = join->sightings[s].next) {
		if (is_of_other(&join->sightings[s], lane))
			return false;
	}
	if (!seen)
		return false;
	at = lane_first_after(lane, seen->first_ns);
	for (; at < lane->count && lane->slices[at].in_ns < seen->last_ns; at++) {
		if (!carries(join, lane, &lane->slices[at], index))
			return false;
	}
	return true;
}

/* When the thread was on a CPU as the span began, or ended: somebody must have been. Where nobody
 * of the process was, but this thread within some us, the clock that tells it is off by that.
 * false: it was not. */
static bool find_edge(struct join *join, const struct lane *lane, const struct node *node,
		      bool is_end, uint64_t *out_ns)
{
	uint64_t edge_ns = is_end ? node->b_ns - 1 : node->a_ns;
	uint32_t next = lane_first_after(lane, edge_ns);

	*out_ns = is_end ? node->b_ns : node->a_ns;
	if (lane_on_cpu_about(lane, edge_ns, node->cut_ns))
		return true;

	if (is_end ? next == 0 : next == lane->count)
		return false;
	*out_ns = is_end ? lane->slices[next - 1].out_ns : lane->slices[next].in_ns;
	return (is_end ? edge_ns - *out_ns : *out_ns - edge_ns) <= CLOCK_NS &&
	       told_is_alone(join, lane, node, edge_ns);
}

/* From the edge of the span to where it shows, or the other way round. */
struct way {
	uint64_t edge_ns, from_ns, to_ns;
	bool is_end;
};

/* false: the span, whose tag the piece does not have, is not on the way into it, or out of it.
 * Whatever the thread shows there, be it another trace that it puts aside. */
static bool find_way(struct join *join, const struct lane *lane, const struct slice *slice,
		     int32_t index, struct way *out_way)
{
	const struct node *node = &join->nodes[index];
	const struct slice *before = other_tag(lane, slice, -1);
	const struct slice *after = other_tag(lane, slice, 1);
	uint64_t begin_ns, end_ns, error = node->cut_ns + node->bound_ns;

	if (after && node->a_ns < after->in_ns && carries(join, lane, after, index) &&
	    find_edge(join, lane, node, false, &begin_ns) &&
	    (!before || before->out_ns <= begin_ns + error) &&
	    !is_elsewhere(join, lane, index, after->in_ns, true)) {
		*out_way = (struct way){ node->a_ns, node->a_ns, after->in_ns, false };
		return true;
	}
	if (before && before->out_ns < node->b_ns && carries(join, lane, before, index) &&
	    find_edge(join, lane, node, true, &end_ns) && (!after || end_ns <= after->in_ns) &&
	    !is_elsewhere(join, lane, index, before->out_ns, false)) {
		*out_way = (struct way){ node->b_ns - 1, before->out_ns, node->b_ns, true };
		return true;
	}
	return false;
}

static bool begins_or_ends_in(const struct node *node, uint64_t from_ns, uint64_t to_ns)
{
	return (node->a_ns >= from_ns && node->a_ns <= to_ns) ||
	       (node->b_ns >= from_ns && node->b_ns <= to_ns);
}

/* Another span of the trace is open meanwhile, that may have its own thread; or, `is_busy`, even
 * begins or ends: several may have been made ahead of their turns. */
static bool has_company(const struct join *join, const struct lane *lane, const struct slice *slice,
			int32_t index, const struct way *way, bool is_busy)
{
	const struct node *node = &join->nodes[index];
	int32_t found[OVERLAY_MAX_SPANS];
	uint64_t from = is_busy ? way->from_ns : MAX(slice->in_ns, node->a_ns);
	uint64_t to = is_busy ? way->to_ns : MIN(slice->out_ns, node->b_ns);
	uint32_t count = join_overlapping(join, lane->process, from, to, found, OVERLAY_MAX_SPANS);

	if (count == OVERLAY_MAX_SPANS)
		return true;
	for (uint32_t i = 0; i < count; i++) {
		if (!node_is_below(join, found[i], index) &&
		    !node_is_below(join, index, found[i]) &&
		    (!is_busy ||
		     begins_or_ends_in(&join->nodes[found[i]], way->from_ns, way->to_ns)))
			return true;
	}
	return false;
}

/* All that it shows then are other traces, or spans that are neither above nor below that one. */
static bool shows_others(const struct join *join, const struct lane *lane, int32_t index,
			 uint64_t from_ns, uint64_t to_ns)
{
	uint32_t at = lane_first_after(lane, from_ns);

	for (; at < lane->count && lane->slices[at].in_ns <= to_ns; at++) {
		const struct slice *slice = &lane->slices[at];
		int32_t owner;

		if (!(slice->flags & EVENT_TOLD) || tag_is_none(slice->tag_in))
			return false;
		if (!tag_is_of(slice->tag_in, join->trace->id))
			continue;
		owner = join_find(join, slice->tag_in->span_id);
		if (owner < 0 || node_is_below(join, owner, index) ||
		    node_is_below(join, index, owner))
			return false;
	}
	return true;
}

/* It has ended before, or began after, and need not be looked at. */
static bool is_absent(const struct thread *thread, uint64_t from_ns, uint64_t to_ns)
{
	return !thread->seen || (thread->dead && thread->last_out_ns < from_ns) ||
	       thread->begun_ns > to_ns;
}

/* `by_tags`: who shows nothing but others then has not read the clock for it either. */
static bool is_alone(struct join *join, const struct lane *lane, const struct node *node,
		     uint64_t time_ns, bool by_tags)
{
	uint64_t error = node->bound_ns + node->skew_ns + CHANGE_CLOCK_NS;
	uint64_t from = time_ns - MIN(error, time_ns), to = time_ns + node->cut_ns + error;
	int32_t index = (int32_t)(node - join->nodes);
	uint32_t looked_at = 0;

	if (blind_within(lane->process, from, to) ||
	    loss_within(join->model, lane->process, from, to, true))
		return false;
	for (struct thread *t = lane->process->threads; t; t = t->next) {
		const struct lane *other;

		if (t == lane->thread || is_absent(t, from, to))
			continue;
		other = ++looked_at > MOST_BESIDE || t->folded_until_ns > from ? NULL
									       : join_lane(join, t);
		if (!other || lane_lost_ns(other, from, to) || (t->running && t->last_out_ns < to))
			return false;
		if (lane_on_cpu_about(other, from, to - from) &&
		    !(by_tags && shows_others(join, other, index, from, to)))
			return false;
	}
	return true;
}

bool told_is_alone(struct join *join, const struct lane *lane, const struct node *node,
		   uint64_t time_ns)
{
	return is_alone(join, lane, node, time_ns, false);
}

/* What the thread has as its tag there is the span's parent, or one above that. */
static bool has_ancestor(const struct join *join, const struct lane *lane,
			 const struct slice *slice, int32_t index)
{
	int32_t owner = overlay_meaning(join, lane, slice->tag_in, slice->in_ns);

	return owner >= 0 && node_is_below(join, index, owner);
}

/* The thread shows a span above it on the way, and nobody else can have read the clock. */
static bool is_within_alone(struct join *join, const struct lane *lane, const struct slice *slice,
			    int32_t index, const struct way *way)
{
	return is_alone(join, lane, &join->nodes[index], way->edge_ns,
			has_ancestor(join, lane, slice, index));
}

/* The other thread was at hand at the span's edge: it had an ancestor of it as its tag, or nothing
 * that is known, which says as much where this one has neither, `is_owned`. */
static bool was_at_hand(const struct join *join, const struct lane *other, int32_t index,
			uint64_t edge_ns, bool is_owned)
{
	const struct node *node = &join->nodes[index];
	const struct slice *slice = lane_ran_at_edge(other, node, edge_ns);

	if (!slice)
		return false;
	if (has_ancestor(join, other, slice, index))
		return true;
	return !is_owned && (!(slice->flags & EVENT_TOLD) || tag_is_none(slice->tag_in));
}

/* Another thread may have begun the span, or have ended it, which this one then found, or let go
 * of, while it was on a CPU for its own sake: as do pools that look for work all the time. */
bool told_is_by_another(struct join *join, const struct lane *lane, int32_t index, uint64_t edge_ns,
			bool is_owned)
{
	const struct node *node = &join->nodes[index];
	uint64_t error = node->bound_ns + node->skew_ns;
	uint64_t from = edge_ns - MIN(error, edge_ns), to = edge_ns + node->cut_ns + error;
	uint32_t looked_at = 0;

	for (struct thread *t = lane->process->threads; t; t = t->next) {
		const struct lane *other;

		if (t == lane->thread || is_absent(t, from, to))
			continue;
		other = ++looked_at > MOST_BESIDE ? NULL : join_lane(join, t);
		if (!other || was_at_hand(join, other, index, edge_ns, is_owned))
			return true;
	}
	return false;
}

/* The same, of those that are seen with the parent alone: there are few, and it is asked of every
 * span. */
static bool is_by_parent(const struct join *join, const struct lane *lane,
			 const struct slice *slice, int32_t index, const struct way *way)
{
	int32_t parent = join->nodes[index].parent;

	for (int32_t s = parent < 0 || has_ancestor(join, lane, slice, index)
				 ? -1
				 : join->nodes[parent].sightings;
	     s >= 0; s = join->sightings[s].next) {
		const struct lane *other = join_find_lane(join, join->sightings[s].thread);

		if (other && other != lane && other->process == lane->process &&
		    was_at_hand(join, other, index, way->edge_ns, true))
			return true;
	}
	return false;
}

/* It is more likely this thread's, which shows what is around the span, than one's that shows
 * nothing; but for an end where spans are handed on: it may have been given away. */
static bool is_owned(const struct join *join, const struct lane *lane, const struct slice *slice,
		     int32_t index, const struct way *way)
{
	return has_ancestor(join, lane, slice, index) &&
	       !(way->is_end && lend_may_be_handed_on(join, &join->nodes[index]));
}

/* Spans of the process are ended by other threads than carried them. These need show nothing of it,
 * as who begins one below its parent does. */
static bool may_be_left(struct join *join, const struct lane *lane, int32_t index,
			const struct way *way)
{
	const struct node *node = &join->nodes[index];

	return lend_may_be_left(node) && !told_is_alone(join, lane, node, way->edge_ns);
}

/* It never left the CPU of itself. */
static bool goes_straight(const struct lane *lane, const struct way *way)
{
	uint32_t at = lane_first_after(lane, way->from_ns);

	for (; at < lane->count && lane->slices[at].out_ns <= way->to_ns; at++) {
		if (lane->slices[at].state && !(lane->slices[at].flags & EVENT_TICK))
			return false;
	}
	return true;
}

/* It shows what it showed before it came to the span, or nothing: so it has put that aside. Else it
 * was called away, or somebody put back another context, and what it does since then is for whoever
 * it shows, as if it came back to the span. */
static bool is_put_back(const struct join *join, const struct lane *lane,
			const struct event_tag *shown, int32_t index)
{
	const struct sighting *seen = join_sighting(join, index, lane->thread);
	uint32_t first = seen ? lane_first_after(lane, seen->first_ns) : 0;

	if (first == 0 || first == lane->count || tag_is_none(shown) ||
	    !(lane->slices[first - 1].flags & EVENT_TOLD))
		return true;
	return tag_eq(shown, lane->slices[first - 1].tag_in);
}

/* By its marks, where there are such. Else, of one that takes turns nobody can say whether it began
 * with its start or its first turn; nor, where others do, of any, when these are far apart. Where
 * nobody does, it was with its start, if it was this thread that began it. */
static bool is_sure_way(struct join *join, const struct lane *lane, const struct slice *slice,
			int32_t index, const struct way *way)
{
	uint64_t ns = way->to_ns - way->from_ns;

	if (marked_way(join, lane, index, way->from_ns, way->to_ns))
		return true;
	if (marked_in_doubt(lane, &join->nodes[index], way->is_end))
		return false;
	if (!is_carried_once(join, lane, index))
		return false;
	if (ns <= CHANGE_SURE_NS)
		return !is_by_parent(join, lane, slice, index, way);
	if (turns_taken(&lane->process->habits.crossed, join->from_ns, join->to_ns) ||
	    (way->is_end && may_be_left(join, lane, index, way)))
		return false;
	if (ns <= CHANGE_WAY_NS && !has_company(join, lane, slice, index, way, false) &&
	    !told_is_by_another(join, lane, index, way->edge_ns,
				is_owned(join, lane, slice, index, way)))
		return true;
	if (join_has_turns(join) || has_company(join, lane, slice, index, way, true) ||
	    !is_within_alone(join, lane, slice, index, way))
		return false;
	return ns <= CHANGE_WAY_NS ||
	       (goes_straight(lane, way) &&
		!company_begins(join, lane->thread, way->from_ns, way->to_ns));
}

enum confidence told_trust(struct join *join, const struct lane *lane, const struct slice *slice,
			   int32_t index)
{
	struct way way;

	if (carries(join, lane, slice, index))
		return SURE;
	if (!find_way(join, lane, slice, index, &way) ||
	    marked_apart(lane, &join->nodes[index], way.is_end))
		return CANNOT;
	if (way.is_end && way.to_ns - way.from_ns > CHANGE_SURE_NS &&
	    !is_put_back(join, lane, slice->tag_in, index))
		return CANNOT;
	return is_sure_way(join, lane, slice, index, &way) ? SURE : DOUBTFUL;
}

/* How long the thread ran on the way into the span, or out of it, before the wait, in which it
 * shows that, and after it; UINT64_MAX: it was not on one. Who was off its CPU at that edge has not
 * read the clock for it. */
static uint64_t way_around_ns(const struct join *join, const struct lane *lane, int32_t index,
			      uint64_t start, uint64_t end, const struct event_tag *shown)
{
	const struct node *node = &join->nodes[index];
	const struct sighting *seen = join_sighting(join, index, lane->thread);
	uint64_t error = node->bound_ns + node->cut_ns + 1;

	if (!seen)
		return UINT64_MAX;
	if (seen->first_ns >= end && node->a_ns <= start + error &&
	    !handed_away(lane, node, node->a_ns, CLOCK_NS) && !marked_apart(lane, node, false) &&
	    !is_elsewhere(join, lane, index, seen->first_ns, true))
		return start - MIN(node->a_ns, start) + seen->first_ns - end;
	if (seen->last_ns <= start && node->b_ns + error >= end &&
	    !handed_away(lane, node, MAX(node->b_ns, 1) - 1, CLOCK_NS) &&
	    !marked_apart(lane, node, true) &&
	    !is_elsewhere(join, lane, index, seen->last_ns, false) &&
	    is_put_back(join, lane, shown, index))
		return start - seen->last_ns + MAX(node->b_ns, end) - end;
	return UINT64_MAX;
}

/* Longer ways tell nothing; but one on which the thread was only preempted may be as long as it
 * likes, as in is_sure_way. */
static uint64_t most_way_ns(struct join *join, const struct lane *lane, const struct slice *before)
{
	if (turns_taken(&lane->process->habits.crossed, join->from_ns, join->to_ns) ||
	    join_has_turns(join))
		return CHANGE_SURE_NS;
	return before->flags & EVENT_PREEMPTED ? UINT64_MAX - 1 : CHANGE_WAY_NS;
}

/* It shows nowhere, and this is the thread that may have had it, whatever that tells. */
static bool is_placed(const struct lane *lane, const struct node *node)
{
	return node->sightings < 0 && node->placed == lane;
}

void told_doubt_wait(struct join *join, const struct lane *lane, const struct slice *before,
		     uint64_t end, int32_t owner)
{
	uint64_t start = before->out_ns, most = most_way_ns(join, lane, before);
	uint32_t place = overlay_first_below(join, owner);
	int32_t index;

	while ((index = join_next_overlapping(join, lane->process, &place, start, end)) >= 0) {
		const struct node *node = &join->nodes[index];

		if (owner >= 0 && (owner == index || !node_is_below(join, index, owner)))
			continue;
		if (is_placed(lane, node) ||
		    way_around_ns(join, lane, index, start, end, before->tag_out) <= most)
			overlay_doubt(join, index, owner,
				      MIN(end, node->b_ns) - MAX(start, node->a_ns));
	}
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
