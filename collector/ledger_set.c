/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/ledger_set.h"

#include <stdbool.h>
#include <string.h>

static bool copy_array(void **array, size_t count, size_t bytes, struct arena *arena)
{
	void *copy;

	if (count == 0) {
		*array = NULL;
		return true;
	}
	copy = arena_alloc(arena, count * bytes);
	if (!copy)
		return false;
	*array = memcpy(copy, *array, count * bytes);
	return true;
}

#define COPY_ARRAY(field, count)                                                                   \
	copy_array((void **)&ledger->field, ledger->count, sizeof(*ledger->field), arena)

static bool copy_arrays(struct ledger *ledger, struct arena *arena)
{
	return COPY_ARRAY(waits, wait_count) && COPY_ARRAY(items, item_count) &&
	       COPY_ARRAY(links, link_count) && COPY_ARRAY(slices, slice_count) &&
	       COPY_ARRAY(stacks, stack_count);
}

struct ledger *ledger_set_copy(const struct ledger *ledgers, size_t count, struct arena *arena)
{
	struct ledger *copies = arena_alloc(arena, count * sizeof(*copies));

	if (!copies)
		return NULL;
	memcpy(copies, ledgers, count * sizeof(*copies));
	for (size_t i = 0; i < count; i++) {
		if (!copy_arrays(&copies[i], arena))
			return NULL;
	}
	return copies;
}
