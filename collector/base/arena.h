/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is given back all at once: one arena for each batch.
 *
 * Not thread safe. Allocation fails with NULL when the byte limit is reached or memory is out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* owned; newest first */
	size_t used_bytes;          /* handed out by the operating system so far */
	size_t limit_bytes;         /* 0: none */
};

void arena_init(struct arena *arena, size_t limit_bytes);
void arena_fini(struct arena *arena);
/* Nothing is handed out any more, but one chunk is kept: for what is done again and again. */
void arena_clear(struct arena *arena);

/* Room for so many bytes in one piece, when it is known beforehand: small ones need no large chunk.
 * false: as arena_alloc's NULL. */
bool arena_reserve(struct arena *arena, size_t bytes);

/* Zeroed memory, aligned for any type; gone with arena_fini. */
void *arena_alloc(struct arena *arena, size_t bytes);
