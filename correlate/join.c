/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define ARENA_LIMIT_BYTES ((size_t)64 << 20)

int32_t join_find(const struct join *join, const uint8_t span_id[SPAN_ID_BYTES])
{
	uint32_t low = 0, high = join->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct node *node = &join->nodes[join->by_id[middle]];
		int order = memcmp(node->span->span_id, span_id, SPAN_ID_BYTES);

		if (order == 0)
			return (int32_t)join->by_id[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

static int by_id(const void *a, const void *b, void *arg)
{
	const struct node *nodes = arg;

	return memcmp(nodes[*(const uint32_t *)a].span->span_id,
		      nodes[*(const uint32_t *)b].span->span_id, SPAN_ID_BYTES);
}

static int by_start(const void *a, const void *b, void *arg)
{
	const struct node *x = &((const struct node *)arg)[*(const uint32_t *)a];
	const struct node *y = &((const struct node *)arg)[*(const uint32_t *)b];

	if (x->a_ns != y->a_ns)
		return x->a_ns < y->a_ns ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* The wall time is what the span claims, to the nanosecond; where the clock map sees another length
 * (a slew, or a step while it ran) the difference is uncertain. */
static void fix_length(struct node *node, uint64_t bound_ns)
{
	uint64_t claimed = node->a_ns + (node->span->end_unix_ns - node->span->start_unix_ns);

	node->bound_ns = bound_ns;
	node->skew_ns += node->span->backward_ns;
	if (claimed > node->b_ns ? claimed - node->b_ns > bound_ns
				 : node->b_ns - claimed > bound_ns)
		node->skew_ns += claimed > node->b_ns ? claimed - node->b_ns : node->b_ns - claimed;
	node->b_ns = claimed;
}

static bool map_times(struct join *join)
{
	const struct clock_map *clocks = &join->model->clocks;

	join->from_ns = UINT64_MAX;
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];
		uint64_t bound_a = 0, bound_b = 0;

		if (!clock_map_to_mono(clocks, node->span->start_unix_ns, &node->a_ns, &bound_a) ||
		    !clock_map_to_mono(clocks, node->span->end_unix_ns, &node->b_ns, &bound_b))
			return false;
		fix_length(node, bound_a + bound_b);
		join->from_ns = MIN(join->from_ns, node->a_ns);
		join->to_ns = MAX(join->to_ns, node->b_ns);
	}
	return true;
}

static bool add_sightings(struct join *join)
{
	uint32_t count = 0;

	for (const struct observation *o = join->trace->observations; o; o = o->next)
		count++;
	join->sightings = arena_alloc(&join->arena, (count + 1) * sizeof(*join->sightings));
	if (!join->sightings)
		return false;
	for (const struct observation *o = join->trace->observations; o; o = o->next) {
		int32_t index = o->inherited ? -1 : join_find(join, o->span_id);
		struct sighting *sighting = &join->sightings[join->sighting_count];

		if (index < 0)
			continue;
		*sighting = (struct sighting){ join->nodes[index].sightings, o->thread, o->first_ns,
					       o->last_ns, o };
		join->nodes[index].sightings = (int32_t)join->sighting_count++;
	}
	return true;
}

const struct sighting *join_sighting(const struct join *join, int32_t node,
				     const struct thread *thread)
{
	for (int32_t i = join->nodes[node].sightings; i >= 0; i = join->sightings[i].next) {
		if (join->sightings[i].thread == thread)
			return &join->sightings[i];
	}
	return NULL;
}

static struct process *learned_owner(const struct join *join, const struct node *node)
{
	const struct resource_owner *owner =
		map_get(&join->model->resources, &node->span->resource_key);

	return owner && !owner->ambiguous ? owner->process : NULL;
}

static struct process *seen_in(const struct join *join, const struct node *node)
{
	return node->sightings < 0 ? NULL : join->sightings[node->sightings].thread->process;
}

/* What those of the trace that were seen say of a resource. NULL: nothing, or different things. */
static struct process *owner_here(const struct join *join, uint64_t resource_key)
{
	struct process *owner = NULL;

	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];
		struct process *process = seen_in(join, node);

		if (!process || node->span->resource_key != resource_key)
			continue;
		if (owner && owner != process)
			return NULL;
		owner = process;
	}
	return owner;
}

/* Told by its tags, or those of others of this trace with the same resource (what a resource claims
 * may be its master's, from before a fork); else by what the resource claims; else by earlier ones
 * with the same resource; or by the parent. */
static void find_processes(struct join *join)
{
	const struct node *asked = NULL; /* spans of one resource stand together */
	struct process *owner = NULL;

	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		node->process = seen_in(join, node);
		if (node->process)
			continue;
		join->is_guessed |= !node->span->process;
		if (!asked || asked->span->resource_key != node->span->resource_key)
			owner = owner_here(join, node->span->resource_key);
		asked = node;
		node->process = owner ? owner : node->span->process;
		if (!node->process)
			node->process = learned_owner(join, node);
	}
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < join->count; i++) {
			struct node *node = &join->nodes[i];
			const struct node *parent =
				node->any_parent >= 0 ? &join->nodes[node->any_parent] : NULL;

			if (!node->process && parent && parent->process &&
			    parent->span->resource_key == node->span->resource_key)
				node->process = parent->process;
		}
	}
}

/* A parent chain that returns to itself is cut: peers can send anything. */
static void cut_cycles(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		int32_t slow = (int32_t)i, fast = (int32_t)i;

		do {
			fast = join->nodes[fast].any_parent;
			fast = fast < 0 ? fast : join->nodes[fast].any_parent;
			slow = fast < 0 ? slow : join->nodes[slow].any_parent;
		} while (fast >= 0 && fast != slow);
		if (fast >= 0)
			join->nodes[i].any_parent = -1;
	}
}

static void find_parents(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		node->any_parent = -1;
		if (!hex_is_zero(node->span->parent_id, SPAN_ID_BYTES))
			node->any_parent = join_find(join, node->span->parent_id);
		if (node->any_parent == (int32_t)i)
			node->any_parent = -1;
	}
	cut_cycles(join);
}

static bool parent_is_local(const struct join *join, const struct node *node)
{
	return node->any_parent >= 0 && node->process &&
	       join->nodes[node->any_parent].process == node->process &&
	       (node->span->flags & 0x300) != 0x300;
}

/* Depths and the enter/leave numbering, without recursion: children counted, then laid out. */
static bool number_tree(struct join *join)
{
	uint32_t *size = arena_alloc(&join->arena, (join->count + 1) * sizeof(*size));
	uint32_t *order = arena_alloc(&join->arena, (join->count + 1) * sizeof(*order));
	uint32_t *fill = arena_alloc(&join->arena, (join->count + 2) * sizeof(*fill));
	uint32_t deepest = 0, at = 0;

	if (!size || !order || !fill)
		return false;
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		node->parent = parent_is_local(join, node) ? node->any_parent : -1;
	}
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		for (int32_t up = node->parent; up >= 0; up = join->nodes[up].parent)
			node->depth++;
		deepest = MAX(deepest, node->depth);
		size[i] = 1;
	}
	/* by depth, deepest last: a counting sort over at most count depths */
	for (uint32_t i = 0; i < join->count; i++)
		fill[join->nodes[i].depth + 1]++;
	for (uint32_t d = 0; d <= deepest; d++)
		fill[d + 1] += fill[d];
	for (uint32_t i = 0; i < join->count; i++)
		order[fill[join->nodes[i].depth]++] = i;
	for (uint32_t i = join->count; i-- > 0;) {
		if (join->nodes[order[i]].parent >= 0)
			size[join->nodes[order[i]].parent] += size[order[i]];
	}
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[order[i]];
		struct node *parent = node->parent >= 0 ? &join->nodes[node->parent] : NULL;

		/* `leave` of the parent serves as its fill mark until all are placed */
		node->enter = parent ? parent->leave : at;
		node->leave = node->enter + 1;
		if (parent)
			parent->leave += size[order[i]];
		else
			at += size[order[i]];
	}
	return true;
}

static void sort_by_start(struct join *join)
{
	uint64_t greatest = 0;

	qsort_r(join->by_start, join->count, sizeof(*join->by_start), by_start, join->nodes);
	for (uint32_t i = 0; i < join->count; i++) {
		greatest = MAX(greatest, join->nodes[join->by_start[i]].b_ns);
		join->max_end[i] = greatest;
	}
}

/* SDK clocks differ from ours: a span cannot start after it was first observed. */
static void note_skew(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];
		uint64_t worst = 0;

		for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
			uint64_t seen = join->sightings[s].first_ns;

			if (seen < node->a_ns)
				worst = MAX(worst, node->a_ns - seen);
		}
		if (worst > node->bound_ns)
			node->skew_ns += worst;
	}
}

int join_init(struct join *join, struct model *model, struct trace *trace)
{
	uint32_t count = trace->span_count;

	*join = (struct join){ .model = model, .trace = trace, .count = count };
	arena_init(&join->arena, ARENA_LIMIT_BYTES);
	join->nodes = arena_alloc(&join->arena, (count + 1) * sizeof(*join->nodes));
	join->by_id = arena_alloc(&join->arena, (count + 1) * sizeof(*join->by_id));
	join->by_start = arena_alloc(&join->arena, (count + 1) * sizeof(*join->by_start));
	join->max_end = arena_alloc(&join->arena, (count + 1) * sizeof(*join->max_end));
	join->meaning = arena_alloc(&join->arena, sizeof(*join->meaning));
	if (!join->nodes || !join->by_id || !join->by_start || !join->max_end || !join->meaning)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		join->nodes[i] = (struct node){ .span = &trace->spans[i], .sightings = -1 };
		join->by_id[i] = join->by_start[i] = i;
	}
	qsort_r(join->by_id, count, sizeof(*join->by_id), by_id, join->nodes);
	if (!map_times(join))
		return -EAGAIN;
	if (!add_sightings(join))
		return -ENOMEM;
	find_parents(join);
	find_processes(join);
	if (!number_tree(join))
		return -ENOMEM;
	sort_by_start(join);
	note_skew(join);
	join_doubt_grain(join);
	return 0;
}

void join_learn(struct join *join)
{
	join->trace->is_guessed = join->is_guessed;
	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];

		if (node->sightings >= 0)
			relearn_owner(join->model, node->span->resource_key, node->process);
	}
	for (uint32_t i = 0; i < join->lane_count && join->turns == TURNS_SEEN; i++)
		turns_recount(join->model, join->lanes[i]->process);
	lend_learn(join);
	join->trace->lesson = join->model->lesson;
	company_note(join);
}

void join_fini(struct join *join)
{
	for (uint32_t i = 0; i < join->lane_count; i++) {
		free(join->lanes[i]->slices);
		free(join->lanes[i]->stints);
		free(join->lanes[i]);
	}
	free(join->lanes);
	free(join->segments);
	free(join->waits);
	free(join->rounds);
	free(join->holds);
	arena_fini(&join->arena);
}

bool join_reserve(void **array, uint32_t count, uint32_t *cap, size_t item_bytes)
{
	void *moved;

	if (count <= *cap)
		return true;
	moved = realloc(*array, count * item_bytes);
	if (!moved)
		return false;
	*array = moved;
	*cap = count;
	return true;
}

bool join_grow(void **array, uint32_t count, uint32_t *cap, size_t item_bytes)
{
	return count < *cap || join_reserve(array, *cap ? 2 * *cap : 16, cap, item_bytes);
}

bool join_takes_turns(const struct join *join, const struct process *process)
{
	return turns_taken(&process->turns, join->from_ns, join->to_ns);
}

bool join_is_pinned(const struct join *join, const struct process *process,
		    const struct slice *slice)
{
	return (slice->flags & EVENT_TOLD || !join_takes_turns(join, process)) &&
	       !tag_is_none(slice->tag_in) && tag_eq(slice->tag_in, slice->tag_out) &&
	       !tag_is_of(slice->tag_in, join->trace->id);
}

struct wait *join_add_wait(struct join *join, int32_t *out_index)
{
	if (!join_grow((void **)&join->waits, join->wait_count, &join->wait_cap,
		       sizeof(*join->waits))) {
		join->out_of_memory = true;
		return NULL;
	}
	*out_index = (int32_t)join->wait_count;
	return &join->waits[join->wait_count++];
}

struct segment *join_add_segment(struct join *join)
{
	if (!join_grow((void **)&join->segments, join->segment_count, &join->segment_cap,
		       sizeof(*join->segments))) {
		join->out_of_memory = true;
		return NULL;
	}
	return &join->segments[join->segment_count++];
}

uint32_t join_overlapping(const struct join *join, const struct process *process, uint64_t from_ns,
			  uint64_t to_ns, int32_t *out_nodes, uint32_t max)
{
	uint32_t low = 0, high = join->count, found = 0;

	while (low < high) { /* the first that can still reach past from_ns */
		uint32_t middle = (low + high) / 2;

		if (join->max_end[middle] <= from_ns)
			low = middle + 1;
		else
			high = middle;
	}
	for (uint32_t i = low; i < join->count && found < max; i++) {
		uint32_t index = join->by_start[i];
		const struct node *node = &join->nodes[index];

		if (node->a_ns >= to_ns)
			break;
		if (node->b_ns > from_ns && node->process == process)
			out_nodes[found++] = (int32_t)index;
	}
	return found;
}
