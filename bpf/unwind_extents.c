/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/unwind_extents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

void unwind_extents_init(struct unwind_extents *extents, uint32_t places)
{
	*extents = (struct unwind_extents){ .places = places };
}

void unwind_extents_fini(struct unwind_extents *extents)
{
	free(extents->used);
	*extents = (struct unwind_extents){ 0 };
}

/* In front of which run there is room; `*out_first` is where. */
static uint32_t find_gap(const struct unwind_extents *extents, uint32_t count, uint32_t *out_first)
{
	uint32_t free_from = 1, i;

	for (i = 0; i < extents->used_count; i++) {
		if (extents->used[i].first - free_from >= count)
			break;
		free_from = extents->used[i].first + extents->used[i].count;
	}
	*out_first = free_from;
	return i;
}

int unwind_extents_take(struct unwind_extents *extents, uint32_t count, uint32_t *out_first)
{
	uint32_t first, at = find_gap(extents, count, &first);

	if (first > extents->places || count > extents->places - first)
		return -ENOSPC;
	if (extents->used_count == extents->used_cap) {
		uint32_t cap = MAX(64u, 2 * extents->used_cap);
		void *grown = reallocarray(extents->used, cap, sizeof(*extents->used));

		if (!grown)
			return -ENOMEM;
		extents->used = grown;
		extents->used_cap = cap;
	}
	memmove(extents->used + at + 1, extents->used + at,
		(extents->used_count - at) * sizeof(*extents->used));
	extents->used[at] = (struct unwind_extent){ first, count };
	extents->used_count++;
	extents->taken += count;
	*out_first = first;
	return 0;
}

void unwind_extents_give(struct unwind_extents *extents, uint32_t first)
{
	for (uint32_t i = 0; i < extents->used_count; i++) {
		if (extents->used[i].first != first)
			continue;
		extents->taken -= extents->used[i].count;
		extents->used_count--;
		memmove(extents->used + i, extents->used + i + 1,
			(extents->used_count - i) * sizeof(*extents->used));
		return;
	}
}

bool unwind_extents_use(const struct unwind_extents *extents, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < extents->used_count; i++) {
		const struct unwind_extent *used = &extents->used[i];

		if (used->first < first + count && first < used->first + used->count)
			return true;
	}
	return false;
}
