/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that no thread was ever seen with: too short for a switch or a tick to fall into them.
 *
 * Such a span lies within one stretch on a CPU. The thread is its parent's, or, for a local root,
 * the one that ran at both its edges. If no other thread of the process could have carried it, that
 * is proof; else the likeliest is taken and the span is `inferred` (DESIGN 4, rule 6). */
#include "collector/base/macros.h"
#include "correlate/join.h"

#define PLACE_MAX_THREADS 512

struct candidates {
	struct lane *best;
	uint32_t count;
	bool best_is_whole; /* both edges lie in one slice */
};

/* The same tag at both ends, and of a span that is not ours or an ancestor of ours: that thread was
 * busy with something else. */
static bool is_busy_elsewhere(const struct join *join, const struct slice *slice, int32_t index)
{
	int32_t owner;

	if (tag_is_none(&slice->tag_in) || !tag_eq(&slice->tag_in, &slice->tag_out))
		return false;
	if (memcmp(slice->tag_in.trace_id, join->trace->id, TRACE_ID_BYTES) != 0)
		return true;
	owner = join_find(join, slice->tag_in.span_id);
	return owner >= 0 && !node_is_below(join, index, owner);
}

static void consider(struct join *join, struct candidates *candidates, struct thread *thread,
		     int32_t index)
{
	const struct node *node = &join->nodes[index];
	struct lane *lane = join_lane(join, thread);
	const struct slice *first, *last;

	if (!lane || node->b_ns == 0)
		return;
	first = lane_on_cpu(lane, node->a_ns);
	last = lane_on_cpu(lane, node->b_ns > node->a_ns ? node->b_ns - 1 : node->a_ns);
	if (!first || !last || is_busy_elsewhere(join, first, index))
		return;
	if (!candidates->count || (first == last && !candidates->best_is_whole)) {
		candidates->best = lane;
		candidates->best_is_whole = first == last;
	}
	candidates->count++;
}

static void consider_parents_threads(struct join *join, struct candidates *candidates,
				     int32_t index)
{
	for (int32_t up = join->nodes[index].parent; up >= 0; up = join->nodes[up].parent) {
		const struct node *parent = &join->nodes[up];

		for (int32_t s = parent->sightings; s >= 0; s = join->sightings[s].next)
			consider(join, candidates, join->sightings[s].thread, index);
		if (parent->sightings < 0 && parent->placed)
			consider(join, candidates, parent->placed->thread, index);
		if (candidates->count)
			return;
	}
}

static void consider_all_threads(struct join *join, struct candidates *candidates, int32_t index)
{
	const struct node *node = &join->nodes[index];
	uint32_t looked_at = 0;

	for (struct thread *t = node->process->threads; t; t = t->next) {
		if (!t->seen || (t->dead && t->last_out_ns < node->a_ns))
			continue;
		if (++looked_at > PLACE_MAX_THREADS) {
			candidates->count += 2; /* no proof */
			return;
		}
		consider(join, candidates, t, index);
	}
}

/* thread.id as the kernel counts, where the span says so. */
static struct lane *claimed_lane(struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];

	for (struct thread *t = node->process->threads; t; t = t->next) {
		if (node->span->thread_id > 0 && (int64_t)t->tid == node->span->thread_id)
			return join_lane(join, t);
	}
	return NULL;
}

static void place(struct join *join, int32_t index)
{
	struct candidates candidates = { 0 };
	struct node *node = &join->nodes[index];
	struct lane *claimed;

	consider_parents_threads(join, &candidates, index);
	if (!candidates.count)
		consider_all_threads(join, &candidates, index);
	node->placed = candidates.best;
	if (candidates.count == 1 && candidates.best_is_whole)
		return;
	node->inferred = true;
	claimed = claimed_lane(join, index);
	if (claimed)
		node->placed = claimed;
	node->uncertain_ns += node->b_ns - node->a_ns;
}

static void place_under(struct join *join, uint32_t depth, bool *more)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		*more |= node->depth > depth;
		if (node->depth == depth && node->sightings < 0 && node->process &&
		    node->process->has_records)
			place(join, (int32_t)i);
	}
}

void join_place(struct join *join)
{
	bool more = true;

	for (uint32_t depth = 0; more; depth++) { /* parents first: a child follows its parent */
		more = false;
		place_under(join, depth, &more);
	}
}
