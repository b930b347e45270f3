/* SPDX-License-Identifier: Apache-2.0 */
/* What a guess puts in doubt: the span itself, and those that another one of its candidates would
 * have had less of, or more. */
#include "collector/base/macros.h"
#include "correlate/place.h"

/* How long any thread of the process ran within that time, or may have run. */
static uint64_t ran_ns(struct join *join, const struct process *process, uint64_t from_ns,
		       uint64_t to_ns)
{
	uint64_t ran = 0;

	for (struct thread *t = process->threads; t && ran < to_ns - from_ns; t = t->next) {
		const struct lane *lane = t->seen ? join_lane(join, t) : NULL;
		uint64_t folded = MAX(MIN(t->folded_until_ns, to_ns), from_ns);

		ran += folded - from_ns;
		if (lane)
			ran += lane_ran_ns(lane, folded, to_ns);
	}
	return ran;
}

/* Any other span of that time may have been put aside for it, as far as somebody ran. */
static void doubt_company(struct join *join, const struct candidates *candidates, int32_t index,
			  uint64_t ran)
{
	const struct node *node = &join->nodes[index];

	for (uint32_t i = 0; i < candidates->company_count; i++) {
		struct node *other = &join->nodes[candidates->company[i]];
		uint64_t common = MIN(node->b_ns, other->b_ns) - MAX(node->a_ns, other->a_ns);

		if (!node_is_below(join, candidates->company[i], index))
			node_doubt(other, MIN(common, ran));
	}
}

/* CPU time of the lane while the span was open; false: records of that time were lost. */
static bool ran_meanwhile(const struct lane *lane, const struct node *node, uint64_t *out_cpu_ns,
			  uint64_t *out_doubt_ns)
{
	uint64_t cpu = 0, doubt = 0;

	if (lane_lost_ns(lane, node->a_ns, node->b_ns))
		return false;
	for (uint32_t i = lane_first_after(lane, node->a_ns);
	     i < lane->count && lane->slices[i].in_ns < node->b_ns; i++) {
		const struct slice *slice = &lane->slices[i];
		const struct stint *stint = lane_stint(lane, slice);

		cpu += stint_cpu_between(stint, MAX(node->a_ns, slice->in_ns),
					 MIN(node->b_ns, slice->out_ns));
		doubt = MAX(doubt, stint->doubt_ns);
	}
	*out_cpu_ns = cpu;
	*out_doubt_ns = doubt;
	return true;
}

/* By a tag of the lane it worked for `other`, whatever else: one that is open then, and that this
 * thread has, is it or lies below it. */
static bool works_for(const struct join *join, const struct lane *lane, const struct node *node,
		      int32_t tag_owner, int32_t other)
{
	for (int32_t up = tag_owner; up >= 0; up = join->nodes[up].parent) {
		const struct node *above = &join->nodes[up];
		bool is_here = above->sightings < 0 ? above->placed == lane
						    : join_sighting(join, up, lane->thread) != NULL;

		if (is_here && above->a_ns < node->b_ns && node->a_ns < above->b_ns)
			return node_is_below(join, up, other);
	}
	return false;
}

/* How far another's figures depend on which of the candidates had it: by no more than their CPU
 * clocks differ; unless one of them worked for the other one by its tags, anyway. Where spans are
 * handed on, it may have waited for its turn, and nobody had it. */
static uint64_t matters_ns(const struct join *join, const struct candidates *candidates,
			   int32_t index, int32_t other)
{
	const struct node *node = &join->nodes[index];
	uint64_t least = lend_may_be_handed_on(join, node) ? 0 : UINT64_MAX;
	uint64_t most = 0, most_doubt = 0;

	for (uint32_t i = 0; i < candidates->lane_count; i++) {
		const struct lane *lane = candidates->lanes[i];
		const struct slice *slice = lane_on_cpu_about(lane, node->a_ns, node->cut_ns);
		int32_t in = overlay_meaning(join, lane, slice->tag_in, slice->in_ns);
		int32_t out = overlay_meaning(join, lane, slice->tag_out, slice->out_ns);
		uint64_t cpu, doubt;

		if (works_for(join, lane, node, in, other) ||
		    works_for(join, lane, node, out, other) ||
		    !ran_meanwhile(lane, node, &cpu, &doubt))
			return UINT64_MAX;
		most_doubt = MAX(most_doubt, doubt);
		least = MIN(least, cpu);
		most = MAX(most, cpu);
	}
	return most - MIN(least, most) + most_doubt;
}

/* Nobody puts spans aside: who had it had none that it is not above or below. But more than one
 * may have had it where those that carry spans are not those that begin them. */
static void doubt_ancestors(struct join *join, const struct candidates *candidates, int32_t index,
			    uint64_t ran)
{
	bool is_apart = lend_may_be_apart(&join->nodes[index]);

	for (int32_t up = join->nodes[index].parent; up >= 0; up = join->nodes[up].parent) {
		const struct node *node = &join->nodes[index];
		struct node *above = &join->nodes[up];
		uint64_t from = MAX(node->a_ns, above->a_ns), to = MIN(node->b_ns, above->b_ns);
		uint64_t common = to - MIN(from, to);

		node_doubt(above,
			   MIN(MIN(common, ran),
			       is_apart ? UINT64_MAX : matters_ns(join, candidates, index, up)));
	}
}

void place_doubt(struct join *join, const struct candidates *candidates, int32_t index)
{
	struct node *node = &join->nodes[index];
	uint64_t ran = ran_ns(join, node->process, node->a_ns, node->b_ns);

	node_doubt(node, MIN(node->b_ns - node->a_ns, ran));
	if (candidates->takes_turns || candidates->is_many || !candidates->lane_count)
		doubt_company(join, candidates, index, ran);
	else
		doubt_ancestors(join, candidates, index, ran);
}
