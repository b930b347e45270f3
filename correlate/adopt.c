/* SPDX-License-Identifier: Apache-2.0 */
/* Spans whose parent nobody exported, or was lost. What such a parent takes counts for the exported
 * span around it on its thread (enclose.c); so does what its children take. Where nothing tells
 * which one that is, all that were open meanwhile may have had it. */
#include <stdlib.h>
#include <string.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"
#include "correlate/overlay.h"
#include "otlp/span.h"

#define MOST_LOOKS 1000000 /* at spans beside those of which nobody knows who had them */

/* Its parent is of this process, for all that it says, and is missing. */
static bool is_orphan(const struct node *node)
{
	const struct trace_span *span = node->span;

	return node->any_parent < 0 && node->process &&
	       !hex_is_zero(span->parent_id, SPAN_ID_BYTES) && span->kind != SPAN_KIND_SERVER &&
	       span->kind != SPAN_KIND_CONSUMER && (span->flags & W3C_REMOTE) != W3C_REMOTE;
}

/* By span and process, the earliest first. */
static int by_span(const void *a, const void *b)
{
	const struct observation *x = *(const struct observation *const *)a;
	const struct observation *y = *(const struct observation *const *)b;
	int order = memcmp(x->span_id, y->span_id, SPAN_ID_BYTES);

	if (order)
		return order;
	if (x->thread->process->pid != y->thread->process->pid)
		return x->thread->process->pid < y->thread->process->pid ? -1 : 1;
	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return x->thread->tid < y->thread->tid ? -1 : x->thread->tid > y->thread->tid;
}

/* What was seen of the trace, sorted. false: out of memory. */
static bool sort_seen(struct join *join)
{
	uint32_t count = 0;

	for (const struct observation *o = join->trace->observations; o; o = o->next)
		count++;
	join->seen = arena_alloc(&join->arena, (count + 1) * sizeof(struct observation *));
	if (!join->seen)
		return false;
	for (const struct observation *o = join->trace->observations; o; o = o->next) {
		if (!o->inherited)
			join->seen[join->seen_count++] = o;
	}
	qsort(join->seen, join->seen_count, sizeof(struct observation *), by_span);
	return true;
}

/* The first of a span in a process; NULL: it was not seen there. */
static const struct observation *first_seen(const struct join *join, const struct process *process,
					    const uint8_t span_id[SPAN_ID_BYTES])
{
	uint32_t low = 0, high = join->seen_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct observation *o = join->seen[middle];
		int order = memcmp(o->span_id, span_id, SPAN_ID_BYTES);

		if (order < 0 || (order == 0 && o->thread->process->pid < process->pid))
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < join->seen_count; low++) { /* a number may be had again by another process */
		const struct observation *o = join->seen[low];

		if (memcmp(o->span_id, span_id, SPAN_ID_BYTES) != 0 ||
		    o->thread->process->pid != process->pid)
			break;
		if (o->thread->process == process)
			return o;
	}
	return NULL;
}

/* Where the parent, or else the span, was seen first, in its process. */
static struct thread *find_thread(const struct join *join, const struct node *node,
				  uint64_t *out_first_ns)
{
	const struct observation *parent = first_seen(join, node->process, node->span->parent_id);
	struct thread *thread = NULL;

	if (parent) {
		*out_first_ns = parent->first_ns;
		return parent->thread;
	}
	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
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

/* Where its parent was begun, if that is marked, or the one around that was which is still open. */
static int32_t begun_above(const struct join *join, const struct node *node)
{
	uint64_t latest_ns = node->a_ns + node->bound_ns + node->skew_ns;

	return overlay_climb(join,
			     begun_within(join, node->process, node->span->parent_id, latest_ns),
			     node->a_ns);
}

/* false: nothing tells of who stands around it. */
static bool adopt(struct join *join, int32_t *up, int32_t index)
{
	struct node *node = &join->nodes[index];
	uint64_t first_ns = 0;
	struct thread *thread = find_thread(join, node, &first_ns);
	struct lane *lane = thread ? join_lane(join, thread) : NULL;
	int32_t above = begun_above(join, node);

	if (above < 0 && lane)
		above = enclose_at(join, lane, first_ns, node->a_ns, index);
	if (above < 0 || find_top(up, above) == index) /* none stands in itself */
		return false;
	node->adopted_by = up[index] = above;
	return true;
}

static bool has_orphans(const struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		if (is_orphan(&join->nodes[i]))
			return true;
	}
	return false;
}

bool adopt_orphans(struct join *join)
{
	bool is_any = false;
	int32_t *up;

	if (!has_orphans(join))
		return true;
	up = arena_alloc(&join->arena, (join->count + 1) * sizeof(*up));
	if (!up || !sort_seen(join))
		return false;
	for (uint32_t i = 0; i < join->count; i++)
		up[i] = join->nodes[i].parent;
	for (uint32_t i = 0; i < join->count; i++) {
		if (is_orphan(&join->nodes[i]))
			is_any |= adopt(join, up, (int32_t)i);
	}
	return !is_any || tree_number(join);
}

/* What was run for whoever has a lesser `enter`; NULL: out of memory. */
static uint64_t *sum_up(struct join *join)
{
	uint64_t *sums = arena_alloc(&join->arena, (join->count + 1) * sizeof(*sums));

	if (!sums)
		return NULL;
	memset(sums, 0, (join->count + 1) * sizeof(*sums));
	for (uint32_t i = 0; i < join->segment_count; i++) {
		const struct segment *s = &join->segments[i];

		if (s->carrier >= 0)
			sums[join->nodes[s->carrier].enter + 1] +=
				MAX(s->state == SEGMENT_ROUNDS ? 0 : s->cpu_ns,
				    s->end_ns - s->start_ns);
	}
	for (uint32_t i = 0; i < join->count; i++)
		sums[i + 1] += sums[i];
	return sums;
}

/* ... if it was where it is taken to have been. `sums` NULL: not known. */
static uint64_t may_have_run_for(const struct node *node, const uint64_t *sums)
{
	uint64_t ns = node->b_ns - node->a_ns;

	return node->inferred || !sums ? ns : MIN(sums[node->leave] - sums[node->enter], ns);
}

static bool is_open_look(const struct join *join, const struct slice *slice,
			 const struct event_tag *tag)
{
	return !(slice->flags & EVENT_TOLD) && !tag_is_of(tag, join->trace->id);
}

/* Before the span, and after it, its thread may have been in the missing parent, as far as looks at
 * it do not say what it had. */
static uint64_t unseen_around(const struct join *join, const struct node *node)
{
	uint64_t ns = 0;

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct thread *thread = join->sightings[s].thread;
		const struct lane *lane =
			thread->process == node->process ? join_find_lane(join, thread) : NULL;
		const struct slice *first = lane ? lane_on_cpu(lane, node->a_ns) : NULL;
		const struct slice *last = lane ? lane_on_cpu(lane, MAX(node->b_ns, 1) - 1) : NULL;

		if (first && is_open_look(join, first, first->tag_in))
			ns += node->a_ns - first->in_ns;
		if (last && is_open_look(join, last, last->tag_out))
			ns += last->out_ns - node->b_ns;
	}
	return ns;
}

/* Whoever took it may have been put aside by then. */
static void doubt_adopter(struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];
	uint64_t first_ns = 0;
	struct thread *thread = find_thread(join, node, &first_ns);
	const struct lane *lane = thread ? join_find_lane(join, thread) : NULL;

	if (lane && begun_above(join, node) < 0)
		enclose_doubt_around(join, lane, first_ns, node->a_ns, node->b_ns, index);
}

/* All that were open when it began may have had it. false: too many were looked at. */
static bool doubt_around(struct join *join, int32_t index, uint64_t ran, uint32_t *looks_left)
{
	const struct node *node = &join->nodes[index];
	uint64_t unseen = unseen_around(join, node);
	uint32_t place = 0;
	int32_t at;

	while ((at = join_next_overlapping(join, node->process, &place, node->a_ns, node->b_ns)) >=
	       0) {
		if (*looks_left == 0)
			return false;
		(*looks_left)--;
		if (!node_is_below(join, at, index) && join->nodes[at].a_ns <= node->a_ns)
			node_doubt(&join->nodes[at],
				   ran + MIN(unseen, join->nodes[at].b_ns - join->nodes[at].a_ns));
	}
	return true;
}

void adopt_doubt(struct join *join)
{
	uint32_t looks_left = MOST_LOOKS;
	uint64_t *sums = NULL, rest = 0;

	for (uint32_t i = 0; join->seen && i < join->count; i++) {
		const struct node *node = &join->nodes[i];
		uint64_t ran;

		if (!is_orphan(node))
			continue;
		if (node->adopted_by >= 0) {
			doubt_adopter(join, (int32_t)i);
			continue;
		}
		if (!sums)
			sums = sum_up(join);
		ran = may_have_run_for(node, sums);
		if (!doubt_around(join, (int32_t)i, ran, &looks_left))
			rest += ran;
	}
	if (!rest)
		return;
	join->limits[LIMIT_orphans]++;
	for (uint32_t i = 0; i < join->count; i++)
		node_doubt(&join->nodes[i], rest);
}
