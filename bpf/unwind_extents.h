/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of places in an array, given out first fit. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct unwind_extent {
	uint32_t first, count;
};

struct unwind_extents {
	struct unwind_extent *used; /* owned; sorted */
	uint32_t used_count, used_cap;
	uint32_t places; /* of the array */
	uint64_t taken;
};

/* Place 0 is never given out. */
void unwind_extents_init(struct unwind_extents *extents, uint32_t places);
void unwind_extents_fini(struct unwind_extents *extents);

/* -ENOSPC: no run is so long. -ENOMEM. */
int unwind_extents_take(struct unwind_extents *extents, uint32_t count, uint32_t *out_first);
void unwind_extents_give(struct unwind_extents *extents, uint32_t first);
/* Is any of these places given out? */
bool unwind_extents_use(const struct unwind_extents *extents, uint32_t first, uint32_t count);
