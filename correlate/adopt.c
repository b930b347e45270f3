/* SPDX-License-Identifier: Apache-2.0 */
/* Spans whose parent nobody exported, or was lost. What such a parent takes counts for the exported
 * span around it on its thread (enclose.c); so does what its children take. Where nothing tells
 * which one that is, all that were open meanwhile may have had it. */
#include <string.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"
#include "correlate/overlay.h"
#include "otlp/span.h"

#define MOST_LOOKS 1000000 /* at observations and spans, for one trace */
#define W3C_REMOTE 0x300   /* it is told whether the parent is remote, and it is */

/* Its parent is of this process, for all that it says, and is missing. */
static bool is_orphan(const struct node *node)
{
	const struct trace_span *span = node->span;

	return node->any_parent < 0 && node->process &&
	       !hex_is_zero(span->parent_id, SPAN_ID_BYTES) && span->kind != SPAN_KIND_SERVER &&
	       span->kind != SPAN_KIND_CONSUMER && (span->flags & W3C_REMOTE) != W3C_REMOTE;
}

/* Where the parent, or else the span, was seen first, in its process. */
static struct thread *find_thread(const struct join *join, const struct node *node,
				  uint32_t *looks_left, uint64_t *out_first_ns)
{
	struct thread *thread = NULL;

	for (const struct observation *o = join->trace->observations; o && *looks_left;
	     o = o->next, (*looks_left)--) {
		if (!o->inherited && o->thread->process == node->process &&
		    memcmp(o->span_id, node->span->parent_id, SPAN_ID_BYTES) == 0 &&
		    (!thread || o->first_ns < *out_first_ns)) {
			thread = o->thread;
			*out_first_ns = o->first_ns;
		}
	}
	for (int32_t s = thread ? -1 : node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (seen->thread->process == node->process &&
		    (!thread || seen->first_ns < *out_first_ns)) {
			thread = seen->thread;
			*out_first_ns = seen->first_ns;
		}
	}
	return thread;
}

/* The topmost above it so far; `up` has for each node one above it, -1: none. */
static int32_t find_top(int32_t *up, int32_t index)
{
	int32_t top = index;

	while (up[top] >= 0)
		top = up[top];
	while (up[index] >= 0) { /* all on the way are there at once from now on */
		int32_t next = up[index];

		up[index] = top;
		index = next;
	}
	return top;
}

/* false: nothing tells of who stands around it. */
static bool adopt(struct join *join, int32_t *up, int32_t index, uint32_t *looks_left)
{
	struct node *node = &join->nodes[index];
	uint64_t first_ns = 0;
	struct thread *thread = find_thread(join, node, looks_left, &first_ns);
	struct lane *lane = thread ? join_lane(join, thread) : NULL;
	int32_t above = lane ? enclose_at(join, lane, first_ns, node->a_ns) : -1;

	if (above < 0 || find_top(up, above) == index) /* none stands in itself */
		return false;
	node->adopted_by = up[index] = above;
	return true;
}

bool adopt_orphans(struct join *join)
{
	uint32_t looks_left = MOST_LOOKS;
	bool is_any = false;
	int32_t *up = arena_alloc(&join->arena, (join->count + 1) * sizeof(*up));

	if (!up)
		return false;
	for (uint32_t i = 0; i < join->count; i++)
		up[i] = join->nodes[i].parent;
	for (uint32_t i = 0; i < join->count; i++) {
		if (is_orphan(&join->nodes[i]))
			is_any |= adopt(join, up, (int32_t)i, &looks_left);
	}
	return !is_any || tree_number(join);
}

/* What was run for it, or for one below it. */
static uint64_t ran_for(const struct join *join, int32_t index)
{
	uint64_t cpu = 0;

	for (uint32_t i = 0; i < join->segment_count; i++) {
		const struct segment *s = &join->segments[i];

		if (s->state != SEGMENT_ROUNDS && s->carrier >= 0 &&
		    node_is_below(join, s->carrier, index))
			cpu += MAX(s->cpu_ns, s->end_ns - s->start_ns);
	}
	return cpu;
}

/* ... if it was where it is taken to have been. */
static uint64_t may_have_run_for(const struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];
	uint64_t ns = node->b_ns - node->a_ns;

	return node->inferred ? ns : MIN(ran_for(join, index), ns);
}

/* Whoever took it may have been put aside by then. */
static void doubt_adopter(struct join *join, int32_t index, uint32_t *looks_left)
{
	const struct node *node = &join->nodes[index];
	const struct node *above = &join->nodes[node->adopted_by];
	uint64_t first_ns = 0, from = MAX(node->a_ns, above->a_ns),
		 to = MIN(node->b_ns, above->b_ns);
	struct thread *thread = find_thread(join, node, looks_left, &first_ns);
	const struct lane *lane = thread ? join_find_lane(join, thread) : NULL;

	if (lane && from < to && enclose_in_doubt(join, lane, node->adopted_by, first_ns))
		overlay_doubt(join, node->adopted_by, above->parent, to - from);
}

void adopt_doubt(struct join *join)
{
	uint32_t looks_left = MOST_LOOKS;
	int32_t found[OVERLAY_MAX_SPANS];

	for (uint32_t i = 0; i < join->count && looks_left; i++) {
		const struct node *node = &join->nodes[i];
		uint32_t count;
		uint64_t ran;

		if (is_orphan(node) && node->adopted_by >= 0)
			doubt_adopter(join, (int32_t)i, &looks_left);
		if (!is_orphan(node) || node->adopted_by >= 0)
			continue;
		count = join_overlapping(join, node->process, node->a_ns, node->b_ns, found,
					 OVERLAY_MAX_SPANS);
		looks_left -= MIN(looks_left, join->segment_count + count);
		ran = count > 1 ? may_have_run_for(join, (int32_t)i) : 0;
		for (uint32_t k = 0; k < count; k++) {
			struct node *other = &join->nodes[found[k]];

			if (!node_is_below(join, found[k], (int32_t)i) && other->a_ns <= node->a_ns)
				node_doubt(other, ran);
		}
	}
}
