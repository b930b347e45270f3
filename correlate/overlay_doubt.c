/* SPDX-License-Identifier: Apache-2.0 */
/* What is uncertain of a slice however it is cut: what was stolen or booked elsewhere, switches
 * that nobody reported, edges that a coarse clock has moved, tags that could not be read. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_OF_STINT 64 /* slices of one that are looked at */
#define MOST_HEADS    64 /* slices to either side of a span's edge that are looked at */

/* It is noted where it begins, and where it is over; overlay_pass_doubts() brings it to all in
 * between. */
void(overlay_doubt)(struct join *join, int32_t index, int32_t sure_ancestor, uint64_t ns)
{
	int32_t over = -1;

	if (index < 0)
		return;
	join->nodes[index].passed_ns += ns;
	if (sure_ancestor >= 0 && node_is_below(join, index, sure_ancestor))
		over = join->nodes[sure_ancestor].parent;
	if (over >= 0)
		join->nodes[over].passed_ns -= ns;
}

/* Children first. */
void overlay_pass_doubts(struct join *join)
{
	for (uint32_t i = join->count; i-- > 0;) {
		struct node *node = &join->nodes[join->by_depth[i]];

		node->uncertain_ns += node->passed_ns;
		if (node->parent >= 0)
			join->nodes[node->parent].passed_ns += node->passed_ns;
		node->passed_ns = 0;
	}
}

static bool is_of_stint(const struct cut *cut, const struct slice *slice, int32_t index)
{
	int32_t in = overlay_meaning(cut->join, cut->lane, slice->tag_in, slice->in_ns);
	int32_t out = overlay_meaning(cut->join, cut->lane, slice->tag_out, slice->out_ns);

	return cut_has(cut->join, in, index) && cut_has(cut->join, out, index);
}

/* All slices of the stint show it, or one below it, at both ends. */
static bool owns_stint(const struct cut *cut, int32_t index)
{
	const struct lane *lane = cut->lane;
	uint32_t at = (uint32_t)(cut->slice - lane->slices), first = at, looked_at = 0;

	while (first > 0 && lane->slices[first - 1].stint == cut->slice->stint &&
	       at - first < MOST_OF_STINT)
		first--;
	for (; first < lane->count && lane->slices[first].stint == cut->slice->stint; first++) {
		if (++looked_at > MOST_OF_STINT || !is_of_stint(cut, &lane->slices[first], index))
			return false;
	}
	return true;
}

/* What was stolen, or booked elsewhere, is uncertain for those that own only a part of the stint:
 * by no more than that part, unless it is the head, which has what was booked before the switch. */
void overlay_doubt_parts(struct cut *cut)
{
	const struct stint *stint = cut->stint;

	for (uint32_t i = 0; i < cut->count; i++) {
		struct node *node = &cut->join->nodes[cut->nodes[i]];
		uint64_t part = MIN(node->b_ns, stint->out_ns) - MAX(node->a_ns, stint->in_ns);
		bool is_whole = part == stint->out_ns - stint->in_ns;

		if (node->doubted == stint || node->owner_in != cut->join->cuts ||
		    (is_whole && cut->count == 1 && owns_stint(cut, cut->nodes[i])))
			continue;
		node->doubted = stint;
		node_doubt(node, node->a_ns > stint->in_ns ? MIN(stint->doubt_ns, part)
							   : stint->doubt_ns);
	}
}

/* It, or one below it, was seen on that lane, or nowhere. */
static bool may_be_here(const struct join *join, const struct lane *lane, const int32_t *found,
			uint32_t count, int32_t index)
{
	for (uint32_t i = 0; i < count; i++) {
		if (node_is_below(join, found[i], index) &&
		    (join->nodes[found[i]].sightings < 0 ||
		     join_sighting(join, found[i], lane->thread)))
			return true;
	}
	return false;
}

static uint64_t overlap_ns(const struct node *node, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t start = MAX(node->a_ns, from_ns), end = MIN(node->b_ns, to_ns);

	return end - MIN(start, end);
}

/* All who may have been there when the thread came in, unreported, are in doubt: it came before
 * or after the moment that was taken for it. */
void overlay_doubt_lost_in(struct join *join, const struct lane *lane, const struct slice *slice)
{
	const struct stint *stint = lane_stint(lane, slice);
	uint64_t in = slice->in_ns, from = in - stint->in_early_ns, to = in + stint->in_late_ns;
	int32_t found[OVERLAY_MAX_SPANS], index;
	uint32_t count = join_overlapping(join, lane->process, from, to, found, OVERLAY_MAX_SPANS);
	uint32_t place = 0;

	while ((index = join_next_overlapping(join, lane->process, &place, from, to)) >= 0) {
		struct node *node = &join->nodes[index];

		if (count == OVERLAY_MAX_SPANS || may_be_here(join, lane, found, count, index))
			node_doubt(node, MAX(overlap_ns(node, from, in), overlap_ns(node, in, to)));
	}
}

/* What was booked ahead of the lane's switch-ins in [from_ns, to_ns): of more than are looked at,
 * no more than the rest of that time. */
static uint64_t heads_ns(struct join *join, const struct lane *lane, uint64_t from_ns,
			 uint64_t to_ns)
{
	uint32_t at = from_ns < to_ns ? lane_first_after(lane, from_ns) : lane->count;
	uint32_t end = MIN(lane->count, at + MOST_HEADS);
	uint64_t heads = 0;

	for (; at < end && lane->slices[at].in_ns < to_ns; at++) {
		const struct slice *slice = &lane->slices[at];
		const struct stint *stint = slice->in_ns < from_ns ? NULL : lane_stint(lane, slice);

		if (stint && slice->in_ns == stint->in_ns)
			heads += MAX(stint_cpu_until(stint, slice->in_ns + 1), 1) - 1;
	}
	if (at == end && at < lane->count && lane->slices[at].in_ns < to_ns) {
		join->limits[LIMIT_heads]++;
		heads += to_ns - lane->slices[at - 1].out_ns;
	}
	return heads;
}

/* A clock may have moved the edge from behind switch-ins to before them, or the other way. */
static void doubt_edge(struct join *join, const struct lane *lane, int32_t index, uint64_t edge_ns)
{
	const struct node *node = &join->nodes[index];
	uint64_t error = node->bound_ns + node->skew_ns;
	uint64_t heads = MAX(heads_ns(join, lane, edge_ns - MIN(error, edge_ns), edge_ns),
			     heads_ns(join, lane, edge_ns, edge_ns + node->cut_ns + error));

	if (heads)
		overlay_doubt(join, index, node->parent, heads);
}

static void doubt_edges(struct join *join, const struct lane *lane, int32_t index)
{
	if (!lane || lane->count == 0)
		return;
	doubt_edge(join, lane, index, join->nodes[index].a_ns);
	doubt_edge(join, lane, index, join->nodes[index].b_ns);
}

/* What was booked ahead of a switch-in comes all at once: who begins or ends about then has it, or
 * has it not, as the clock tells; be it that the thread was off its CPU then, by that. */
void overlay_doubt_heads(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];

		for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next)
			doubt_edges(join, join_find_lane(join, join->sightings[s].thread),
				    (int32_t)i);
		if (node->sightings < 0)
			doubt_edges(join, node->placed, (int32_t)i);
	}
}

/* The tag at an end of it could not be read: all who may have been there then are in doubt. */
void overlay_doubt_unknown(struct cut *cut, const struct slice *before)
{
	const struct slice *slice = cut->slice;
	bool in_unknown = before && before->flags & EVENT_TAG_OUT_UNKNOWN;
	bool out_unknown = slice->flags & EVENT_TAG_OUT_UNKNOWN;

	for (uint32_t i = 0; (in_unknown || out_unknown) && i < cut->count; i++) {
		struct node *node = &cut->join->nodes[cut->nodes[i]];

		if ((in_unknown && node->a_ns < slice->in_ns) ||
		    (out_unknown && node->b_ns > slice->out_ns))
			node_doubt(node, overlap_ns(node, cut->from_ns, cut->to_ns));
	}
}

/* In which the thread may have shown what the observation is of. */
static void find_shown(const struct lane *lane, const struct observation *o, uint64_t *out_from_ns,
		       uint64_t *out_to_ns)
{
	uint32_t first = lane_first_after(lane, o->first_ns - MIN(o->first_ns, 1));
	uint32_t last = lane_first_after(lane, o->last_ns);

	*out_from_ns = o->first_ns;
	if (first < lane->count)
		*out_from_ns = MIN(o->first_ns, lane->slices[first].in_ns);
	*out_to_ns = last < lane->count ? lane->slices[last].out_ns : UINT64_MAX;
}

/* Of whatever a span that is not there yet may be a part. */
static void doubt_awaited(struct join *join, const struct observation *o)
{
	const struct lane *lane = join_lane(join, o->thread);
	uint64_t from = 0, to = UINT64_MAX;

	if (lane)
		find_shown(lane, o, &from, &to);
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		if (node->process == o->thread->process)
			node_doubt(node, overlap_ns(node, from, to));
	}
}

/* What settles in haste, as the daemon ends or memory is short, or is asked for before, does
 * without spans that may yet come: those that tags tell of. Later they are taken never to. */
void overlay_doubt_awaited(struct join *join)
{
	const struct model *model = join->model;

	if (join->trace->news_ns + model->options.settle_ns <= model->now_ns)
		return;
	for (const struct observation *o = join->trace->observations; o; o = o->next) {
		if (!o->inherited && join_find(join, o->span_id) < 0)
			doubt_awaited(join, o);
	}
}

/* The thread had it, or may have, as far as anybody knows who did. */
static bool may_have_had(const struct cut *cut, const struct node *node)
{
	if (node->placed == cut->lane)
		return true;
	return node->inferred && !slice_keeps_tag(cut->slice) &&
	       lane_ran_at_edge(cut->lane, node, node->a_ns) &&
	       lane_ran_at_edge(cut->lane, node, MAX(node->b_ns, 1) - 1);
}

/* It began when its parent was over: its thread came to it in that one's context, which shows at
 * neither end, and what it ran around it may have been for whoever that lies in. */
static bool suspect_above(struct cut *cut, int32_t index)
{
	const struct join *join = cut->join;
	const struct node *node = &join->nodes[index];
	bool is_any = false;

	if (node->parent < 0 || join->nodes[node->parent].b_ns > node->a_ns ||
	    !may_have_had(cut, node))
		return false;
	for (uint32_t i = 0; i < cut->count; i++) {
		if (cut->confidence[i] < SUSPENDED && cut->nodes[i] != index &&
		    node_is_below(join, index, cut->nodes[i])) {
			cut->confidence[i] = SUSPENDED;
			is_any = true;
		}
	}
	return is_any;
}

bool overlay_suspect_above(struct cut *cut)
{
	bool is_any = false;

	if (cut->owner_in >= 0 || cut->owner_out >= 0 || cut->slice->flags & EVENT_TOLD)
		return false;
	for (uint32_t i = 0; i < cut->count; i++) {
		if (cut->confidence[i] >= DOUBTFUL || cut->join->nodes[cut->nodes[i]].inferred)
			is_any |= suspect_above(cut, cut->nodes[i]);
	}
	return is_any;
}
