/* SPDX-License-Identifier: Apache-2.0 */
/* The tree that a trace's spans make: who is whose parent, how deep, and who lies below whom.
 *
 * Chains may be as long as the trace has spans, and peers can send anything: all of it takes steps
 * in proportion to the spans, and no recursion. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

#define NOT_YET UINT32_MAX
#define ON_PATH (UINT32_MAX - 1)

/* Of a parent chain that returns to itself one link is cut: that of the least id, whatever order
 * they came in. */
static void cut_cycle(struct join *join, int32_t member)
{
	int32_t least = member;

	for (int32_t at = join->nodes[member].any_parent; at != member;
	     at = join->nodes[at].any_parent) {
		if (memcmp(join->nodes[at].span->span_id, join->nodes[least].span->span_id,
			   SPAN_ID_BYTES) < 0)
			least = at;
	}
	join->nodes[least].any_parent = -1;
}

static void cut_cycles(struct join *join, uint32_t *path)
{
	for (uint32_t i = 0; i < join->count; i++)
		join->nodes[i].depth = NOT_YET;
	for (uint32_t i = 0; i < join->count; i++) {
		uint32_t count = 0;
		int32_t at = (int32_t)i;

		for (; at >= 0 && join->nodes[at].depth == NOT_YET;
		     at = join->nodes[at].any_parent) {
			join->nodes[at].depth = ON_PATH;
			path[count++] = (uint32_t)at;
		}
		if (at >= 0 && join->nodes[at].depth == ON_PATH)
			cut_cycle(join, at);
		while (count)
			join->nodes[path[--count]].depth = 0;
	}
}

bool tree_find_parents(struct join *join)
{
	uint32_t *path = arena_alloc(&join->arena, (join->count + 1) * sizeof(*path));

	if (!path)
		return false;
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		node->any_parent = -1;
		if (!hex_is_zero(node->span->parent_id, SPAN_ID_BYTES))
			node->any_parent = join_find(join, node->span->parent_id);
		if (node->any_parent == (int32_t)i)
			node->any_parent = -1;
	}
	cut_cycles(join, path);
	return true;
}

static bool parent_is_local(const struct join *join, const struct node *node)
{
	return node->any_parent >= 0 && node->process &&
	       join->nodes[node->any_parent].process == node->process &&
	       (node->span->flags & W3C_REMOTE) != W3C_REMOTE;
}

/* Between one that was adopted and who has it lies one more, at least, that nobody exported. */
static uint32_t depth_below(const struct join *join, uint32_t index)
{
	const struct node *node = &join->nodes[index];

	if (node->parent < 0)
		return 0;
	return join->nodes[node->parent].depth + (node->parent == node->adopted_by ? 2 : 1);
}

/* Returns the greatest, twice the count at most. `path` is room for all. */
static uint32_t find_depths(struct join *join, uint32_t *path)
{
	uint32_t deepest = 0;

	for (uint32_t i = 0; i < join->count; i++)
		join->nodes[i].depth = NOT_YET;
	for (uint32_t i = 0; i < join->count; i++) {
		uint32_t count = 0;
		int32_t at = (int32_t)i;

		for (; at >= 0 && join->nodes[at].depth == NOT_YET; at = join->nodes[at].parent)
			path[count++] = (uint32_t)at;
		while (count--)
			join->nodes[path[count]].depth = depth_below(join, path[count]);
		deepest = MAX(deepest, join->nodes[i].depth);
	}
	return deepest;
}

/* A counting sort. */
static bool sort_by_depth(struct join *join)
{
	uint32_t *fill = arena_alloc(&join->arena, (2 * join->count + 2) * sizeof(*fill));
	uint32_t deepest;

	if (!fill)
		return false;
	deepest = find_depths(join, join->by_depth);
	for (uint32_t i = 0; i < join->count; i++)
		fill[join->nodes[i].depth + 1]++;
	for (uint32_t d = 0; d <= deepest; d++)
		fill[d + 1] += fill[d];
	for (uint32_t i = 0; i < join->count; i++)
		join->by_depth[fill[join->nodes[i].depth]++] = i;
	return true;
}

bool tree_number(struct join *join)
{
	uint32_t *size = arena_alloc(&join->arena, (join->count + 1) * sizeof(*size));
	uint32_t at = 0;

	join->by_depth = arena_alloc(&join->arena, (join->count + 1) * sizeof(*join->by_depth));
	if (!size || !join->by_depth)
		return false;
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		node->parent = parent_is_local(join, node) ? node->any_parent : node->adopted_by;
		size[i] = 1;
	}
	if (!sort_by_depth(join))
		return false;
	for (uint32_t i = join->count; i-- > 0;) {
		const struct node *node = &join->nodes[join->by_depth[i]];

		if (node->parent >= 0)
			size[node->parent] += size[join->by_depth[i]];
	}
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[join->by_depth[i]];
		struct node *parent = node->parent >= 0 ? &join->nodes[node->parent] : NULL;

		/* `leave` of the parent serves as its fill mark until all are placed */
		node->enter = parent ? parent->leave : at;
		node->leave = node->enter + 1;
		if (parent)
			parent->leave += size[join->by_depth[i]];
		else
			at += size[join->by_depth[i]];
	}
	return true;
}

static void find_first_places(struct join *join)
{
	for (uint32_t i = join->count; i-- > 0;) { /* children first */
		struct node *node = &join->nodes[join->by_depth[i]];
		struct node *parent = node->parent >= 0 ? &join->nodes[node->parent] : NULL;

		if (parent)
			parent->first_place = MIN(parent->first_place, node->first_place);
	}
}

/* Each one's children by start; and all calls by `enter`, so that those below a span stand
 * together. */
bool tree_list(struct join *join)
{
	int32_t *by_enter = arena_alloc(&join->arena, (join->count + 1) * sizeof(*by_enter));

	join->calls = arena_alloc(&join->arena, (join->count + 1) * sizeof(*join->calls));
	join->children_room =
		arena_alloc(&join->arena, (join->count + 1) * sizeof(*join->children_room));
	join->calls_room = arena_alloc(&join->arena, (join->count + 1) * sizeof(*join->calls_room));
	if (!by_enter || !join->calls || !join->children_room || !join->calls_room)
		return false;
	for (uint32_t i = join->count; i-- > 0;) {
		struct node *node = &join->nodes[join->by_start[i]];
		struct node *parent = node->any_parent >= 0 ? &join->nodes[node->any_parent] : NULL;

		by_enter[node->enter] = (int32_t)join->by_start[i];
		node->place = node->first_place = i;
		if (!parent)
			continue;
		node->next_child = parent->first_child;
		parent->first_child = (int32_t)join->by_start[i];
	}
	for (uint32_t i = 0; i < join->count; i++) {
		if (join->nodes[by_enter[i]].span->label)
			join->calls[join->call_count++] = by_enter[i];
	}
	find_first_places(join);
	return true;
}
