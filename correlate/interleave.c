/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of one trace that take turns on a thread: one was seen, then another that is neither above
 * nor below it, then the first one again. (Of several traces: turns.c.) Another process's span,
 * that a forked child has in its context, or that is its caller's, owns nothing there. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

/* More are not looked at: they may take turns, for all that is known. */
#define MOST_SIGHTINGS 4096

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
