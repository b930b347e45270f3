/* SPDX-License-Identifier: Apache-2.0 */
/* Names of stacks that answers were given, kept for the next ones: the same stacks are asked for
 * again and again, and most of their frames are the same. Each frame stands once, with its text.
 *
 * Two generations share the room. What is asked for is in the young one; when that is full it is
 * the old one, and what nobody asked for meanwhile goes with the one before. An answer holds what
 * it was given until it is done with it. Any thread may call; a hold is one thread's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/frame.h"

struct name_cache;

struct named_frame {
	struct frame frame;
	struct str text;   /* what frame_text says of it */
	struct str quoted; /* as JSON */
	bool is_plumbing;
	uint64_t hash[2]; /* of its bytes; the cache's */
};

struct stack_names {
	uint32_t count;
	const struct named_frame *const *frames; /* innermost first */
};

struct name_hold {
	struct name_cache *cache; /* borrowed */
	struct buf generations;   /* owned: references */
};

/* `seed`: random. */
int name_cache_new(size_t limit_bytes, uint64_t seed, struct name_cache **out_cache);
void name_cache_free(struct name_cache *cache); /* NULL: nothing. No hold is left */

void name_hold_init(struct name_hold *hold, struct name_cache *cache);
void name_hold_fini(struct name_hold *hold);

/* NULL: not kept. Code that was compiled at run time makes way for other code at its address: such
 * a stack is the same within an hour only. `unix_ns`: when the stack was seen. */
const struct stack_names *name_cache_find(struct name_hold *hold, uint64_t id, uint64_t unix_ns);
/* `frames` as frame.h has them, up to what cannot be read. NULL: out of memory, or the answer holds
 * too much already. */
const struct stack_names *name_cache_put(struct name_hold *hold, uint64_t id, uint64_t unix_ns,
					 struct str frames);
