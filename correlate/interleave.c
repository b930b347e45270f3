/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of one trace that take turns on a thread: one was seen, then another that is neither above
 * nor below it, then the first one again. (Of several traces: turns.c.) Another process's span,
 * that a forked child has in its context, or that is its caller's, owns nothing there. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

/* More are not looked at: they may take turns, for all that is known. */
#define MOST_SIGHTINGS 4096
#define MOST_SLICES    4 /* after a span was seen last: whether the thread waits without it */

static int by_first(const void *a, const void *b, void *arg)
{
	const struct sighting *all = arg, *x = &all[*(const uint32_t *)a],
			      *y = &all[*(const uint32_t *)b];

	if (x->thread->tid != y->thread->tid)
		return x->thread->tid < y->thread->tid ? -1 : 1;
	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return x->last_ns != y->last_ns ? (x->last_ns > y->last_ns ? -1 : 1) : 0;
}

/* `open`: those before it on its thread that were not over yet, each below the one before. */
static bool interrupts(const struct join *join, const struct sighting **open, uint32_t *count,
		       const struct sighting *next, const int32_t *node_of)
{
	for (; *count; (*count)--) {
		const struct sighting *top = open[*count - 1];
		int32_t above = node_of[top - join->sightings];

		if (top->thread == next->thread && top->last_ns > next->first_ns &&
		    !node_is_below(join, node_of[next - join->sightings], above) &&
		    !node_is_below(join, above, node_of[next - join->sightings]))
			return true;
		if (top->thread == next->thread && top->last_ns > next->first_ns)
			break;
	}
	open[(*count)++] = next;
	return false;
}

static bool find(struct join *join)
{
	uint32_t all = join->sighting_count, count = 0, open_count = 0;
	uint32_t *order = arena_alloc(&join->arena, (all + 1) * sizeof(*order));
	int32_t *node_of = arena_alloc(&join->arena, (all + 1) * sizeof(*node_of));
	const struct sighting **open = arena_alloc(&join->arena, (all + 1) * sizeof(*open));

	if (!order || !node_of || !open || all > MOST_SIGHTINGS)
		return true;
	for (uint32_t i = 0; i < join->count; i++) {
		for (int32_t s = join->nodes[i].sightings; s >= 0; s = join->sightings[s].next)
			node_of[s] = (int32_t)i;
	}
	for (uint32_t s = 0; s < all; s++) {
		if (join->nodes[node_of[s]].process == join->sightings[s].thread->process)
			order[count++] = s;
	}
	qsort_r(order, count, sizeof(*order), by_first, join->sightings);
	for (uint32_t i = 0; i < count; i++) {
		if (interrupts(join, open, &open_count, &join->sightings[order[i]], node_of))
			return true;
	}
	return false;
}

bool join_has_turns(struct join *join)
{
	if (join->turns == TURNS_NOT_ASKED)
		join->turns = find(join) ? TURNS_SEEN : TURNS_NOT_SEEN;
	return join->turns == TURNS_SEEN;
}

/* The thread waited, and showed nothing, while the span was open that no other thread was seen
 * with: so it had put the span aside, and ended it in a turn that no tag tells of, or somebody else
 * did. */
static bool waits_without(const struct lane *lane, const struct node *node, uint64_t seen_ns)
{
	uint64_t end_ns = node->b_ns - MIN(node->bound_ns + LEDGER_EXACT_NS, node->b_ns);
	uint32_t first = lane_first_after(lane, seen_ns), left = MOST_SLICES;

	for (uint32_t i = first; i + 1 < lane->count && left--; i++) {
		const struct slice *slice = &lane->slices[i];

		if (slice[1].in_ns >= end_ns || !tag_is_none(slice->tag_out))
			return false;
		if (!(slice->flags & (EVENT_PREEMPTED | EVENT_TICK | EVENT_TAG_OUT_UNKNOWN)) &&
		    !slice[1].gap)
			return true;
	}
	return false;
}

/* Where a span, and those below it, were seen. */
struct whereabouts {
	struct thread *thread;
	uint64_t last_ns;
	bool is_several; /* threads */
};

static void note(struct whereabouts *where, struct thread *thread, uint64_t last_ns)
{
	where->is_several |= where->thread && where->thread != thread;
	where->thread = thread;
	where->last_ns = MAX(where->last_ns, last_ns);
}

/* Children before their parents. */
static void find_whereabouts(const struct join *join, struct whereabouts *where)
{
	for (uint32_t i = join->count; i-- > 0;) {
		uint32_t at = join->by_depth[i];
		const struct node *node = &join->nodes[at];
		struct whereabouts *above = node->parent >= 0 ? &where[node->parent] : NULL;

		for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next)
			note(&where[at], join->sightings[s].thread, join->sightings[s].last_ns);
		if (!above || !where[at].thread)
			continue;
		note(above, where[at].thread, where[at].last_ns);
		above->is_several |= where[at].is_several;
	}
}

void join_find_put_aside(struct join *join)
{
	struct whereabouts *where = arena_alloc(&join->arena, (join->count + 1) * sizeof(*where));

	if (!where) {
		join->out_of_memory = true;
		return;
	}
	find_whereabouts(join, where);
	for (uint32_t i = 0; i < join->count; i++) {
		struct lane *lane = NULL;

		if (where[i].thread && !where[i].is_several)
			lane = join_lane(join, where[i].thread);
		if (lane && !lane->takes_turns)
			lane->takes_turns = waits_without(lane, &join->nodes[i], where[i].last_ns);
	}
}
