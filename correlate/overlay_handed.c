/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that one thread begins, or ends, while it carries an ancestor of theirs, and that are seen
 * with others: it may have carried them, too, without a look in between. From the span's start
 * until its thread is looked at, or another one is seen with it; and from where another one was
 * seen with it last until its end. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_LOOKS 8 /* on the way from a span's edge, that do not tell */

/* It has another span then, that is neither above nor below this one, or of another trace. */
static bool is_busy(const struct join *join, const struct lane *lane, int32_t index,
		    uint64_t time_ns)
{
	int32_t found[OVERLAY_MAX_SPANS];
	uint32_t count = join_overlapping(join, lane->process, time_ns, time_ns + 1, found,
					  OVERLAY_MAX_SPANS);

	for (uint32_t i = 0; i < count; i++) {
		if (!node_is_below(join, found[i], index) &&
		    !node_is_below(join, index, found[i]) &&
		    join_sighting(join, found[i], lane->thread))
			return true;
	}
	return company_overlap_ns(lane, time_ns, time_ns + 1);
}

bool handed_by_another(const struct cut *cut, int32_t index, bool is_end)
{
	const struct node *node = &cut->join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;

	return is_busy(cut->join, cut->lane, index, edge_ns) &&
	       !told_is_alone(cut->join, cut->lane, node, edge_ns);
}

bool handed_away(const struct lane *lane, const struct node *node, uint64_t time_ns,
		 uint64_t margin_ns)
{
	uint64_t error = node->bound_ns + node->skew_ns + margin_ns;
	uint64_t from = time_ns - MIN(error, time_ns), to = time_ns + node->cut_ns + error + 1;

	return !lane_on_cpu_about(lane, from, to - from) && !lane_lost_ns(lane, from, to);
}

/* On a CPU then, for all that is known. */
static bool may_run_at(const struct join *join, const struct thread *thread,
		       const struct node *node, uint64_t time_ns)
{
	const struct lane *lane = join_find_lane(join, thread);

	return !lane || !handed_away(lane, node, time_ns, 0);
}

bool handed_beside(const struct cut *cut, int32_t index, uint64_t edge_ns)
{
	struct join *join = cut->join;
	const struct node *node = &join->nodes[index];

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (seen->thread != cut->lane->thread && seen->last_ns >= cut->slice->in_ns &&
		    seen->first_ns <= cut->slice->out_ns &&
		    (edge_ns == UINT64_MAX || may_run_at(join, seen->thread, node, edge_ns) ||
		     told_is_by_another(join, cut->lane, index, edge_ns, false)))
			return true;
	}
	return false;
}

bool handed_apart(const struct cut *cut, int32_t index, bool is_end)
{
	const struct node *node = &cut->join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;
	int32_t owner = is_end ? cut->owner_out : cut->owner_in;
	bool is_owned = owner >= 0 && node_is_below(cut->join, index, owner);
	bool may_be = node->parent < 0 ? is_end && lend_may_be_left(node) : lend_may_be_apart(node);

	return may_be && told_is_by_another(cut->join, cut->lane, index, edge_ns, is_owned);
}

bool handed_left(const struct cut *cut, int32_t index)
{
	return cut->join->nodes[index].parent < 0 && handed_apart(cut, index, true);
}

bool handed_is_edge_of(const struct join *join, const struct thread *thread, int32_t index,
		       uint64_t edge_ns)
{
	const struct lane *lane = join_find_lane(join, thread);

	return lane && lane_on_cpu_about(lane, edge_ns, join->nodes[index].cut_ns) &&
	       !is_busy(join, lane, index, edge_ns);
}

const struct sighting *handed_seen_at(const struct join *join, const struct process *process,
				      int32_t index, bool is_end)
{
	const struct sighting *best = NULL;

	for (int32_t s = join->nodes[index].sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (seen->thread->process == process &&
		    (!best ||
		     (is_end ? seen->last_ns > best->last_ns : seen->first_ns < best->first_ns)))
			best = seen;
	}
	return best;
}

/* The thread went on from one to the other without having left its CPU of itself. */
static bool goes_on(const struct slice *slice)
{
	return slice->flags & (EVENT_TICK | EVENT_PREEMPTED) && !slice[1].gap;
}

static bool lies_in(const struct slice *slice, const struct node *node, uint64_t edge_ns)
{
	return edge_ns <= slice->out_ns + node->bound_ns &&
	       edge_ns + node->cut_ns + node->bound_ns >= slice->in_ns;
}

/* A look at it between a span's start and its attach, or its detach and its end, does not tell: so
 * the edge lies in the slice, or where the thread came from, or went on, without a pause. */
static bool lies_about(const struct lane *lane, const struct slice *slice, const struct node *node,
		       uint64_t edge_ns, bool is_end)
{
	const struct slice *last = &lane->slices[lane->count - 1];
	uint32_t left = MOST_LOOKS;

	while (!lies_in(slice, node, edge_ns)) {
		if (!left--)
			return false;
		if (is_end && slice < last && slice->out_ns < edge_ns && goes_on(slice))
			slice++;
		else if (!is_end && slice > lane->slices && slice->in_ns > edge_ns &&
			 goes_on(slice - 1))
			slice--;
		else
			return false;
	}
	return true;
}

bool handed_from_here(const struct cut *cut, int32_t index, bool is_end,
		      struct stretch *out_stretch)
{
	const struct join *join = cut->join;
	const struct node *node = &join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;
	const struct sighting *seen;

	if (cut->slice->flags & EVENT_TOLD ||
	    !lies_about(cut->lane, cut->slice, node, edge_ns, is_end))
		return false;
	seen = handed_seen_at(join, cut->lane->process, index, is_end);
	if (!seen || seen->thread == cut->lane->thread ||
	    handed_is_edge_of(join, seen->thread, index, edge_ns))
		return false;
	*out_stretch = is_end ? (struct stretch){ seen->last_ns, node->b_ns }
			      : (struct stretch){ node->a_ns, seen->first_ns };
	return true;
}

static uint64_t overlap_ns(const struct stretch *stretch, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t from = MAX(from_ns, stretch->from_ns), to = MIN(to_ns, stretch->to_ns);

	return to - MIN(from, to);
}

static bool is_tag_of(const struct cut *cut, const struct event_tag *tag, const uint8_t *span_id)
{
	return !tag_is_none(tag) && tag_is_of(tag, cut->join->trace->id) &&
	       memcmp(tag->span_id, span_id, SPAN_ID_BYTES) == 0;
}

/* The slice shows its parent, which nobody exported; nor is it known for what that one counts. */
static bool is_within_hidden(const struct cut *cut, int32_t index)
{
	const struct node *node = &cut->join->nodes[index];
	const uint8_t *parent_id = node->span->parent_id;

	return node->any_parent < 0 && node->adopted_by < 0 &&
	       (is_tag_of(cut, cut->slice->tag_in, parent_id) ||
		is_tag_of(cut, cut->slice->tag_out, parent_id));
}

static void doubt_handed(struct cut *cut, int32_t index, int32_t owner, uint64_t start,
			 uint64_t end, uint64_t ns)
{
	struct join *join = cut->join;
	struct stretch begin = { 0 }, finish = { 0 };
	uint64_t may;

	handed_from_here(cut, index, false, &begin);
	handed_from_here(cut, index, true, &finish);
	may = MAX(overlap_ns(&begin, start, end), overlap_ns(&finish, start, end));
	if (!may)
		return;
	may = may == end - start ? ns : may;
	overlay_doubt(join, index, owner, may);
	if (owner >= 0 && !node_is_below(join, index, owner))
		overlay_doubt(join, owner, -1, may);
}

void handed_doubt(struct cut *cut, int32_t owner, uint64_t start, uint64_t end, uint64_t ns)
{
	for (uint32_t i = 0; i < cut->count; i++) {
		int32_t index = cut->nodes[i];
		bool is_below = owner >= 0 && node_is_below(cut->join, index, owner);

		if (cut->confidence[i] == AWAY && (is_below || is_within_hidden(cut, index)))
			doubt_handed(cut, index, owner, start, end, ns);
	}
}

void handed_doubt_resumed(struct cut *cut, int32_t owner, uint64_t ns)
{
	const struct slice *slice = cut->slice;
	int32_t top = owner;

	if (slice->flags & EVENT_TOLD || slice_keeps_tag(slice) ||
	    cut->join->nodes[owner].parent < 0 ||
	    !lend_may_be_resumed(cut->lane->process, slice->in_ns, slice->out_ns))
		return;
	while (cut->join->nodes[top].parent >= 0)
		top = cut->join->nodes[top].parent;
	overlay_doubt(cut->join, owner, top, ns);
}
