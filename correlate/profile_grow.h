/* SPDX-License-Identifier: Apache-2.0 */
/* What profile.c and profile_stack.c share: arrays and hash tables that grow within the limit. */
#pragma once

#include "correlate/profile.h"

/* Room for `count` items, by half, so that the copy of a large block (by remapping) costs little
 * more than it holds. -ENOMEM, -EMSGSIZE. */
int profile_grow(struct profile *profile, void *array_pointer, uint64_t count, uint32_t *cap,
		 size_t item_bytes);
/* `slots`: numbers, found by their hash; PROFILE_NONE: free. The same errors. */
int profile_double_slots(struct profile *profile, uint32_t **slots, size_t *count,
			 uint32_t (*hash_at)(const struct profile *profile, uint32_t index));
