/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define CHUNK_BYTES ((size_t)64 << 10)
#define LEAST_BYTES ((size_t)1 << 10)

struct arena_chunk {
	struct arena_chunk *older;
	size_t size;
	size_t used;
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
	*arena = (struct arena){ .limit_bytes = limit_bytes };
}

void arena_fini(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->older;
		free(chunk);
	}
	arena->used_bytes = 0;
}

void arena_clear(struct arena *arena)
{
	struct arena_chunk *kept = arena->chunks;

	if (!kept)
		return;
	arena->chunks = kept->older;
	arena_fini(arena);
	kept->older = NULL;
	kept->used = 0;
	arena->chunks = kept;
	arena->used_bytes = kept->size;
}

static struct arena_chunk *add_chunk(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk;

	if (arena->limit_bytes &&
	    (size > arena->limit_bytes || arena->used_bytes > arena->limit_bytes - size))
		return NULL;
	chunk = malloc(sizeof(*chunk) + size);
	if (!chunk)
		return NULL;
	chunk->older = arena->chunks;
	chunk->size = size;
	chunk->used = 0;
	arena->chunks = chunk;
	arena->used_bytes += size;
	return chunk;
}

static size_t align_up(size_t bytes)
{
	const size_t align = alignof(max_align_t);

	return (bytes + align - 1) & ~(align - 1);
}

/* After a reserved chunk that was small others are, too. */
static struct arena_chunk *grow(struct arena *arena, size_t bytes)
{
	size_t usual = arena->used_bytes ? MAX(arena->used_bytes, LEAST_BYTES) : CHUNK_BYTES;

	return add_chunk(arena, MAX(bytes, MIN(usual, CHUNK_BYTES)));
}

bool arena_reserve(struct arena *arena, size_t bytes)
{
	const struct arena_chunk *chunk = arena->chunks;

	if (bytes > SIZE_MAX / 2)
		return false;
	bytes = align_up(bytes);
	return (chunk && chunk->size - chunk->used >= bytes) || add_chunk(arena, bytes);
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	struct arena_chunk *chunk = arena->chunks;
	char *memory;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	bytes = align_up(bytes);
	if (!chunk || chunk->size - chunk->used < bytes)
		chunk = grow(arena, bytes);
	if (!chunk)
		return NULL;
	memory = chunk->data + chunk->used;
	chunk->used += bytes;
	return memset(memory, 0, bytes);
}
