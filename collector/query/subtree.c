/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/subtree.h"

#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/clock.h"

#define MAX_BYTES      ((size_t)8 << 20)
#define MAX_NAME_BYTES 64
#define MAX_DEPTH      64 /* below the one that is asked for: each of a chain asks */
#define NONE           UINT32_MAX

struct subtree_row {
	uint8_t span_id[SPAN_ID_BYTES], parent_id[SPAN_ID_BYTES];
	uint32_t pid;
	uint32_t first_child, next_child;
	uint64_t running_ns;
	struct str name; /* in the arena */
};

void subtrees_init(struct subtrees *subtrees)
{
	*subtrees = (struct subtrees){ .is_sealed = false };
	arena_init(&subtrees->arena, MAX_BYTES);
	map_init(&subtrees->by_id, SPAN_ID_BYTES, sizeof(uint32_t), clock_mono_ns());
}

void subtrees_fini(struct subtrees *subtrees)
{
	free(subtrees->rows);
	map_fini(&subtrees->by_id);
	arena_fini(&subtrees->arena);
}

static bool make_room(struct subtrees *subtrees)
{
	size_t cap = subtrees->cap ? 2 * subtrees->cap : 16;
	struct subtree_row *rows;

	if (subtrees->count < subtrees->cap)
		return true;
	if (cap * sizeof(*rows) > MAX_BYTES)
		return false;
	rows = reallocarray(subtrees->rows, cap, sizeof(*rows));
	if (!rows)
		return false;
	subtrees->rows = rows;
	subtrees->cap = cap;
	return true;
}

void subtrees_add(struct subtrees *subtrees, const struct span *span, const struct ledger *ledger)
{
	size_t len = MIN(span->name.len, (size_t)MAX_NAME_BYTES);
	struct subtree_row *row;
	char *name;

	if (subtrees->is_sealed || ledger->grade == GRADE_NONE || !ledger->all.running_ns || !len)
		return;
	name = make_room(subtrees) ? arena_alloc(&subtrees->arena, len) : NULL;
	if (!name)
		return;
	memcpy(name, span->name.data, len);
	row = &subtrees->rows[subtrees->count++];
	*row = (struct subtree_row){ .pid = ledger->pid,
				     .first_child = NONE,
				     .next_child = NONE,
				     .running_ns = ledger->all.running_ns,
				     .name = { name, len } };
	memcpy(row->span_id, span->span_id, SPAN_ID_BYTES);
	memcpy(row->parent_id, span->parent_span_id, SPAN_ID_BYTES);
}

void subtrees_seal(struct subtrees *subtrees)
{
	subtrees->is_sealed = true;
	for (uint32_t i = 0; i < subtrees->count; i++) {
		uint32_t *slot = map_put(&subtrees->by_id, subtrees->rows[i].span_id);

		if (slot)
			*slot = i;
	}
	for (uint32_t i = 0; i < subtrees->count; i++) {
		struct subtree_row *row = &subtrees->rows[i];
		const uint32_t *parent = map_get(&subtrees->by_id, row->parent_id);

		if (!parent || *parent == i || subtrees->rows[*parent].pid != row->pid)
			continue;
		row->next_child = subtrees->rows[*parent].first_child;
		subtrees->rows[*parent].first_child = i;
	}
}

/* A child of the name that has most, if one has more than half of all children's time together: a
 * vote that each later one may take away. */
static uint32_t vote(const struct subtrees *subtrees, uint32_t first)
{
	uint32_t best = NONE;
	uint64_t lead_ns = 0;

	for (uint32_t i = first; i != NONE; i = subtrees->rows[i].next_child) {
		const struct subtree_row *row = &subtrees->rows[i];

		if (best != NONE && str_eq(row->name, subtrees->rows[best].name)) {
			lead_ns += row->running_ns;
		} else if (row->running_ns > lead_ns) {
			lead_ns = row->running_ns - lead_ns;
			best = i;
		} else {
			lead_ns -= row->running_ns;
		}
	}
	return best;
}

/* What the children of that name have; `*out_count`: how many they are. */
static uint64_t sum_named(const struct subtrees *subtrees, uint32_t first, struct str name,
			  unsigned *out_count)
{
	uint64_t sum = 0;

	*out_count = 0;
	for (uint32_t i = first; i != NONE; i = subtrees->rows[i].next_child) {
		if (!str_eq(subtrees->rows[i].name, name))
			continue;
		sum += subtrees->rows[i].running_ns;
		++*out_count;
	}
	return sum;
}

struct str subtrees_main(const struct ledger *ledger, void *arg)
{
	struct subtrees *subtrees = arg;
	struct str name = { 0 };
	const uint32_t *asked;
	unsigned count = 1;
	uint32_t at;

	subtrees->is_wanted |= !subtrees->is_sealed;
	asked = subtrees->is_sealed ? map_get(&subtrees->by_id, ledger->span_id) : NULL;
	at = asked ? *asked : NONE;
	for (unsigned depth = 0; at != NONE && count == 1 && depth < MAX_DEPTH; depth++) {
		uint32_t first = subtrees->rows[at].first_child;

		at = vote(subtrees, first);
		if (at == NONE || sum_named(subtrees, first, subtrees->rows[at].name, &count) <=
					  ledger->all.running_ns / 2)
			break;
		name = subtrees->rows[at].name;
	}
	return name;
}
