/* SPDX-License-Identifier: Apache-2.0 */
/* Distinct stacks, and the tree that they become.
 *
 * Sorted by their frames, stacks that share a beginning stand together, so the tree is written from
 * front to back. They are sorted by eight bytes of frames at a time: most are told apart by the
 * first few, and what is compared lies beside what is moved. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/profile_grow.h"

/* ---- interning ---- */

static uint32_t hash_of(const uint32_t *frames, uint32_t count)
{
	uint64_t hash = count;

	for (uint32_t i = 0; i < count; i++) {
		hash = (hash ^ frames[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	return (uint32_t)(hash ^ hash >> 29);
}

static uint32_t stack_hash(const struct profile *profile, uint32_t stack)
{
	return profile->stacks[stack].hash;
}

static int new_stack(struct profile *profile, const uint32_t *frames, uint32_t count, uint32_t hash)
{
	size_t row = sizeof(int64_t) * MAX(profile->type_count, 1u);
	int rc = profile_grow(profile, &profile->stacks, profile->stack_count + 1ull,
			      &profile->stack_cap, sizeof(*profile->stacks));

	if (rc == 0)
		rc = profile_grow(profile, &profile->path, (uint64_t)profile->path_count + count,
				  &profile->path_cap, sizeof(*profile->path));
	if (rc == 0)
		rc = profile_grow(profile, &profile->values, profile->value_count + 1ull,
				  &profile->value_cap, row);
	if (rc < 0)
		return rc;
	profile->stacks[profile->stack_count++] =
		(struct profile_stack){ profile->path_count, count, hash };
	if (count)
		memcpy(profile->path + profile->path_count, frames, count * sizeof(*frames));
	profile->path_count += count;
	memset((char *)profile->values + profile->value_count++ * row, 0, row);
	return 0;
}

int profile_stack(struct profile *profile, const uint32_t *frames, uint32_t count,
		  uint32_t *out_stack)
{
	size_t mask, at;
	uint32_t hash;
	int rc = 0;

	count = MIN(count, (uint32_t)PROFILE_MAX_DEPTH);
	hash = hash_of(frames, count);
	if (profile->stack_count >= profile->stack_slot_count / 4 * 3)
		rc = profile_double_slots(profile, &profile->stack_slots,
					  &profile->stack_slot_count, stack_hash);
	if (rc < 0)
		return rc;
	mask = profile->stack_slot_count - 1;
	for (at = hash & mask; profile->stack_slots[at] != PROFILE_NONE; at = (at + 1) & mask) {
		const struct profile_stack *found = &profile->stacks[profile->stack_slots[at]];

		if (found->hash == hash && found->count == count &&
		    (!count ||
		     memcmp(profile->path + found->start, frames, count * sizeof(*frames)) == 0)) {
			*out_stack = profile->stack_slots[at];
			return 0;
		}
	}
	rc = new_stack(profile, frames, count, hash);
	if (rc == 0)
		*out_stack = profile->stack_slots[at] = profile->stack_count - 1;
	return rc;
}

void profile_add(struct profile *profile, uint32_t stack, const int64_t *values)
{
	int64_t *sums = &profile->values[(size_t)stack * profile->type_count];

	for (unsigned i = 0; i < profile->type_count; i++) {
		if (__builtin_add_overflow(sums[i], values[i], &sums[i]))
			sums[i] = values[i] < 0 ? INT64_MIN : INT64_MAX;
	}
}

/* ---- sorting ---- */

#define FEW  32
#define MANY 4096

struct item {
	uint64_t key; /* the frames at hand, first ones highest; 0 stands behind the last */
	uint32_t stack;
	uint32_t pad;
};

struct sort {
	const struct profile *profile;
	struct item *room;   /* owned; for radix */
	unsigned frame_bits; /* that a frame takes in a key */
	unsigned key_frames; /* that a key holds */
};

static uint64_t key_at(const struct sort *sort, uint32_t stack, uint32_t depth)
{
	const struct profile_stack *of = &sort->profile->stacks[stack];
	uint64_t key = 0;

	for (unsigned i = 0; i < sort->key_frames; i++) {
		bool is_there = depth + i < of->count; /* there may be no path at all */
		uint32_t frame = is_there ? sort->profile->path[of->start + depth + i] : 0;

		key = key << sort->frame_bits | (is_there ? (uint64_t)frame + 1 : 0);
	}
	return key;
}

static void sort_few(struct item *items, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct item item = items[i];
		size_t at = i;

		for (; at > 0 && items[at - 1].key > item.key; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

/* By bytes of the key, the lowest first; those that are the same everywhere are skipped. */
static void sort_many(struct item *items, struct item *room, size_t count)
{
	struct item *from = items, *to = room, *swap;

	for (unsigned shift = 0; shift < 64; shift += 8) {
		size_t starts[256] = { 0 }, sum = 0;

		for (size_t i = 0; i < count; i++)
			starts[from[i].key >> shift & 0xff]++;
		if (starts[from[0].key >> shift & 0xff] == count)
			continue;
		for (size_t i = 0; i < 256; i++) {
			size_t here = starts[i];

			starts[i] = sum;
			sum += here;
		}
		for (size_t i = 0; i < count; i++)
			to[starts[from[i].key >> shift & 0xff]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	if (from != items)
		memcpy(items, from, count * sizeof(*items));
}

/* What is equal so far is sorted by the frames that follow; equal to the end it cannot be. */
static void sort_range(const struct sort *sort, struct item *items, size_t count, uint32_t depth)
{
	for (size_t i = 0; i < count; i++)
		items[i].key = key_at(sort, items[i].stack, depth);
	if (count <= FEW)
		sort_few(items, count);
	else if (count >= MANY)
		sort_many(items, sort->room, count);
	else
		qsort(items, count, sizeof(*items), by_key);
	for (size_t from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && items[to].key == items[from].key; to++)
			;
		if (to - from > 1)
			sort_range(sort, items + from, to - from, depth + sort->key_frames);
	}
}

static struct item *sort_stacks(const struct profile *profile)
{
	size_t count = profile->stack_count;
	struct item *items = calloc(count + 1, sizeof(*items));
	struct sort sort = { .profile = profile, .frame_bits = 1 };

	sort.room = malloc((count + 1) * sizeof(*sort.room));
	if (!items || !sort.room) {
		free(items);
		free(sort.room);
		return NULL;
	}
	while ((profile->frame_count + 1ull) >> sort.frame_bits)
		sort.frame_bits++;
	sort.key_frames = 64 / sort.frame_bits;
	for (size_t i = 0; i < count; i++)
		items[i].stack = (uint32_t)i;
	sort_range(&sort, items, count, 0);
	free(sort.room);
	return items;
}

/* ---- the tree ---- */

static uint32_t shared_frames(const struct profile *profile, const struct profile_stack *a,
			      const struct profile_stack *b)
{
	const uint32_t *left = profile->path + a->start, *right = profile->path + b->start;
	uint32_t count = MIN(a->count, b->count), i = 0;

	while (i < count && left[i] == right[i])
		i++;
	return i;
}

static uint64_t count_nodes(const struct profile *profile, const struct item *items)
{
	uint64_t count = 1;

	for (uint32_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[items[i].stack];

		count += stack->count;
		if (i)
			count -=
				shared_frames(profile, &profile->stacks[items[i - 1].stack], stack);
	}
	return count;
}

/* Values are put in the tree's order. */
static void fill(struct profile *profile, const struct item *items, int64_t *values)
{
	uint32_t open[PROFILE_MAX_DEPTH + 1] = { PROFILE_ROOT }; /* nodes of the stack at hand */
	size_t row = profile->type_count;

	profile->nodes[0] = (struct profile_node){ PROFILE_NONE, PROFILE_NONE, PROFILE_NONE };
	profile->node_count = 1;
	for (uint32_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[items[i].stack];
		uint32_t depth =
			i ? shared_frames(profile, &profile->stacks[items[i - 1].stack], stack) : 0;

		for (; depth < stack->count; depth++) {
			open[depth + 1] = profile->node_count;
			profile->nodes[profile->node_count++] = (struct profile_node){
				open[depth], profile->path[stack->start + depth], PROFILE_NONE
			};
		}
		profile->nodes[open[stack->count]].value = i;
		if (row)
			memcpy(values + i * row, profile->values + items[i].stack * row,
			       row * sizeof(*values));
	}
}

static int make_tree(struct profile *profile, const struct item *items)
{
	size_t row = sizeof(int64_t) * MAX(profile->type_count, 1u);
	uint64_t count = count_nodes(profile, items);
	int64_t *values;

	if (count >= PROFILE_NONE || count * sizeof(*profile->nodes) > profile->limit_bytes)
		return -EMSGSIZE;
	profile->nodes = malloc(count * sizeof(*profile->nodes));
	values = malloc((profile->value_count + 1ull) * row);
	if (!profile->nodes || !values) {
		free(values);
		return -ENOMEM;
	}
	fill(profile, items, values);
	free(profile->values);
	profile->values = values;
	profile->value_cap = profile->value_count;
	return 0;
}

int profile_seal(struct profile *profile)
{
	struct item *items;
	int rc;

	free(profile->stack_slots);
	free(profile->frame_slots);
	profile->stack_slots = profile->frame_slots = NULL;
	profile->stack_slot_count = profile->frame_slot_count = 0;
	items = sort_stacks(profile);
	rc = items ? make_tree(profile, items) : -ENOMEM;
	free(items);
	free(profile->stacks);
	free(profile->path);
	profile->stacks = NULL;
	profile->path = NULL;
	profile->stack_count = profile->stack_cap = profile->path_count = profile->path_cap = 0;
	return rc;
}

/* ---- walking ---- */

void profile_walk_init(struct profile_walk *walk, const struct profile *profile)
{
	walk->profile = profile;
	walk->next = walk->node = walk->depth = 0;
}

bool profile_walk_next(struct profile_walk *walk)
{
	const struct profile_node *node;

	if (walk->next == walk->profile->node_count)
		return false;
	walk->node = walk->next++;
	node = &walk->profile->nodes[walk->node];
	if (walk->node == PROFILE_ROOT)
		return true;
	while (walk->depth && walk->nodes[walk->depth - 1] != node->parent)
		walk->depth--;
	walk->nodes[walk->depth] = walk->node;
	walk->frames[walk->depth++] = node->frame;
	return true;
}
