/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that one thread begins, or ends, while it carries an ancestor of theirs, and that are seen
 * with others: it may have carried them, too, without a look in between. From the span's start
 * until its thread is looked at, or another one is seen with it; and from where another one was
 * seen with it last until its end. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_BESIDE 512 /* threads that may have begun a span, or ended it, unseen */

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

/* The thread was on a CPU at that edge of the span, and at nothing else that is known. */
static bool is_edge_of(const struct join *join, const struct thread *thread, int32_t index,
		       uint64_t edge_ns)
{
	const struct lane *lane = join_find_lane(join, thread);

	return lane && lane_on_cpu_about(lane, edge_ns, join->nodes[index].cut_ns) &&
	       !is_busy(join, lane, index, edge_ns);
}

/* The first that was seen with the span, or the last; NULL: none. */
static const struct sighting *seen_at(const struct join *join, const struct process *process,
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

static bool lies_in(const struct slice *slice, const struct node *node, uint64_t edge_ns)
{
	return edge_ns <= slice->out_ns + node->bound_ns &&
	       edge_ns + node->cut_ns + node->bound_ns >= slice->in_ns;
}

bool handed_from_here(const struct cut *cut, int32_t index, bool is_end,
		      struct stretch *out_stretch)
{
	const struct join *join = cut->join;
	const struct node *node = &join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;
	const struct sighting *seen;

	if (cut->slice->flags & EVENT_TOLD || !lies_in(cut->slice, node, edge_ns))
		return false;
	seen = seen_at(join, cut->lane->process, index, is_end);
	if (!seen || seen->thread == cut->lane->thread ||
	    is_edge_of(join, seen->thread, index, edge_ns))
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

void handed_doubt(struct cut *cut, int32_t owner, uint64_t start, uint64_t end, uint64_t ns)
{
	struct join *join = cut->join;

	for (uint32_t i = 0; owner >= 0 && i < cut->count; i++) {
		int32_t index = cut->nodes[i];
		struct stretch begin = { 0 }, finish = { 0 };
		uint64_t may;

		if (cut->confidence[i] != AWAY || !node_is_below(join, index, owner))
			continue;
		handed_from_here(cut, index, false, &begin);
		handed_from_here(cut, index, true, &finish);
		may = MAX(overlap_ns(&begin, start, end), overlap_ns(&finish, start, end));
		if (may)
			overlay_doubt(join, index, owner, may == end - start ? ns : may);
	}
}

/* Its tag is that of an ancestor of the span: handed_from_here() asks about that. */
static bool is_within_parent(const struct join *join, const struct lane *lane,
			     const struct slice *slice, int32_t index)
{
	int32_t in = overlay_meaning(join, lane, slice->tag_in, slice->in_ns);
	int32_t out = overlay_meaning(join, lane, slice->tag_out, slice->out_ns);

	return (in >= 0 && node_is_below(join, index, in)) ||
	       (out >= 0 && node_is_below(join, index, out));
}

/* How long that thread, which never showed the span, may have had it at its start, or its end;
 * UINT64_MAX: it is its parent's thread. */
static uint64_t unseen_ns(const struct join *join, const struct lane *lane, int32_t index,
			  const struct sighting *seen, bool is_end)
{
	const struct node *node = &join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;
	const struct slice *slice = lane_on_cpu_about(lane, edge_ns, node->cut_ns);
	uint64_t from, to;

	if (!slice || slice->flags & EVENT_TOLD)
		return 0;
	if (is_within_parent(join, lane, slice, index))
		return UINT64_MAX;
	if (slice_keeps_tag(slice))
		return 0;
	from = is_end ? MAX(slice->in_ns, seen->last_ns) : MAX(slice->in_ns, node->a_ns);
	to = is_end ? MIN(slice->out_ns, node->b_ns) : MIN(slice->out_ns, seen->first_ns);
	return to - MIN(from, to);
}

static void doubt_unseen(struct join *join, int32_t index, bool is_end)
{
	const struct node *node = &join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns, most = 0;
	const struct sighting *seen = seen_at(join, node->process, index, is_end);
	uint32_t looked_at = 0;

	if (!seen || is_edge_of(join, seen->thread, index, edge_ns))
		return;
	for (struct thread *t = node->process->threads; t && looked_at < MOST_BESIDE; t = t->next) {
		const struct lane *lane = NULL;
		uint64_t ns;

		if (t->seen && !(t->dead && t->last_out_ns < node->a_ns) &&
		    !join_sighting(join, index, t))
			lane = join_lane(join, t);
		looked_at += lane ? 1 : 0;
		ns = lane ? unseen_ns(join, lane, index, seen, is_end) : 0;
		if (ns == UINT64_MAX && !is_end) /* who has its parent began it */
			return;
		if (ns != UINT64_MAX)
			most = MAX(most, ns);
	}
	if (most)
		overlay_doubt(join, node->parent, -1, most);
}

/* One that has no tag then may have begun it, or ended it, and worked at it: it is known of the
 * span that it was nowhere else, but not of those above it. */
void handed_doubt_unseen(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		if (join->nodes[i].parent < 0 || join->nodes[i].sightings < 0)
			continue;
		doubt_unseen(join, (int32_t)i, false);
		doubt_unseen(join, (int32_t)i, true);
	}
}
