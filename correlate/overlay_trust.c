/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a thread had a span in a slice: by the tags at the slice's ends, by the span's own edges,
 * and by who else was seen with it. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

/* The thread ran at an edge of the span that lies beyond the slice. With nothing of the trace or an
 * ancestor as its tag it can have been on the way into, or out of, the span; with another one, it
 * may have put it aside. */
static enum confidence on_the_way(const struct cut *cut, int32_t node, int32_t tag_owner,
				  uint64_t edge_ns)
{
	const struct lane *lane = cut->lane;
	uint64_t cut_ns = cut->join->nodes[node].cut_ns;
	bool is_after_all = edge_ns >= lane->slices[lane->count - 1].out_ns;

	if (is_after_all && tag_owner >= 0) /* the record that would tell may have been lost */
		return SUSPENDED;
	if (lane_lost_ns(lane, edge_ns, edge_ns + cut_ns + 1))
		return SUSPENDED;
	if (!lane_ran_at_edge(lane, &cut->join->nodes[node], edge_ns))
		return CANNOT;
	return tag_owner < 0 || node_is_below(cut->join, node, tag_owner) ? DOUBTFUL : SUSPENDED;
}

static bool starts_in(const struct cut *cut, const struct node *node)
{
	return node->a_ns + node->cut_ns >= cut->slice->in_ns;
}

/* By what its clock tells it may have begun in the slice, and ended: but not where a thread showed
 * it before the slice, or after it. */
static bool is_seen_outside(const struct cut *cut, const struct node *node, bool before)
{
	const struct join *join = cut->join;

	for (int32_t s = node->cut_ns ? node->sightings : -1; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (before ? seen->first_ns < cut->slice->in_ns
			   : seen->last_ns > cut->slice->out_ns)
			return true;
	}
	return false;
}

/* A tag that could not be read is told as the one before, which may have been over by then. */
static bool is_at_out(const struct cut *cut, int32_t index)
{
	bool is_read = !(cut->slice->flags & EVENT_TAG_OUT_UNKNOWN);

	return cut_has(cut->join, cut->owner_out, index) &&
	       (is_read || cut->join->nodes[index].b_ns > cut->slice->out_ns);
}

static enum confidence trust_observed(const struct cut *cut, int32_t index,
				      const struct sighting *seen)
{
	const struct node *node = &cut->join->nodes[index];
	bool at_in = cut_has(cut->join, cut->owner_in, index);
	bool at_out = is_at_out(cut, index);
	bool starts_here = starts_in(cut, node) && !is_seen_outside(cut, node, true);
	bool ends_here = node->b_ns <= cut->slice->out_ns && !is_seen_outside(cut, node, false);
	bool is_in;

	if (starts_here && !at_in)
		starts_here =
			!handed_by_another(cut, index, false) && !handed_apart(cut, index, false);
	if (ends_here && !at_out)
		ends_here = !handed_by_another(cut, index, true) && !handed_apart(cut, index, true);
	is_in = starts_here || at_in || way_is_sure(cut->join, cut->lane, index, cut->slice->in_ns);
	if (is_in &&
	    (ends_here || at_out || way_is_sure(cut->join, cut->lane, index, cut->slice->out_ns))) {
		uint64_t edge_ns = at_in    ? MAX(node->b_ns, 1) - 1
				   : at_out ? node->a_ns
					    : UINT64_MAX;

		return (at_in && at_out) || !handed_beside(cut, index, edge_ns) ? SURE : DOUBTFUL;
	}
	if (at_in || at_out)
		return DOUBTFUL; /* attached or detached somewhere inside */
	if (!starts_here && seen->first_ns >= cut->slice->out_ns)
		return on_the_way(cut, index, cut->owner_in, node->a_ns);
	if (!ends_here && seen->last_ns <= cut->slice->in_ns)
		return on_the_way(cut, index, cut->owner_out, node->b_ns - 1);
	return starts_here || ends_here ? DOUBTFUL : SUSPENDED;
}

/* Others were seen with it, and this one never. */
static enum confidence trust_away(const struct cut *cut, int32_t index)
{
	struct stretch stretch;

	return handed_from_here(cut, index, false, &stretch) ||
			       handed_from_here(cut, index, true, &stretch)
		       ? AWAY
		       : CANNOT;
}

/* All along it shows one that is known to lie below what it is asked for, be it over. */
static bool is_below_shown(const struct cut *cut)
{
	const struct event_tag *tag = cut->slice->tag_in;

	return join_find(cut->join, tag->span_id) >= 0 ||
	       enclose_is_begun(cut->join, cut->lane, tag, cut->slice->in_ns);
}

enum confidence overlay_trust(const struct cut *cut, int32_t index)
{
	const struct node *node = &cut->join->nodes[index];
	const struct sighting *seen = join_sighting(cut->join, index, cut->lane->thread);
	bool at_in, at_out;

	if (node->is_marked)
		return node->placed == cut->lane ? SURE : CANNOT;
	if (seen && cut->slice->flags & EVENT_TOLD)
		return told_trust(cut->join, cut->lane, cut->slice, index);
	if (seen)
		return trust_observed(cut, index, seen);
	at_in = cut_has(cut->join, cut->owner_in, index);
	at_out = cut_has(cut->join, cut->owner_out, index);
	if (at_in && at_out && cut->slice->flags & EVENT_TOLD && is_below_shown(cut))
		return SURE; /* it works for it, as one who shows it does */
	if (at_in && at_out &&
	    node->sightings >= 0) /* a pool's thread, between two of its children */
		return SUSPENDED;
	if (at_in && at_out)
		return !node->placed || node->placed == cut->lane ? SURE : SUSPENDED;
	if (node->sightings < 0 && node->placed == cut->lane)
		return (at_in || starts_in(cut, node)) &&
				       (at_out || (node->b_ns <= cut->slice->out_ns &&
						   !handed_left(cut, index)))
			       ? SURE
			       : DOUBTFUL;
	if (at_in || at_out)
		return SUSPENDED;
	return node->sightings < 0 ? CANNOT /* a child's pool thread, more likely */
				   : trust_away(cut, index);
}
