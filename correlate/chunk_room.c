/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/chunk_room.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define FORBID(place) __asan_poison_memory_region(place, CHUNK_ROOM_BYTES)
#define ALLOW(place)  __asan_unpoison_memory_region(place, CHUNK_ROOM_BYTES)
#else
#define FORBID(place) ((void)(place))
#define ALLOW(place)  ((void)(place))
#endif

#define BLOCK_BYTES ((size_t)1 << 20)
#define PLACES      ((unsigned)(BLOCK_BYTES / CHUNK_ROOM_BYTES))
#define WORD_BITS   64u

/* Stands in the block's own first place. */
struct chunk_block {
	struct chunk_block *next, *previous; /* of the open ones */
	unsigned used;                       /* places, with this one */
	uint64_t free[PLACES / WORD_BITS];   /* bits, by place */
};

static_assert(sizeof(struct chunk_block) <= CHUNK_ROOM_BYTES, "it fits its place");
static_assert(PLACES % WORD_BITS == 0, "all words are whole");

static void *place_of(struct chunk_block *block, unsigned place)
{
	return (char *)block + (size_t)place * CHUNK_ROOM_BYTES;
}

static struct chunk_block *block_of(const void *chunk)
{
	return (struct chunk_block *)((uintptr_t)chunk & ~(uintptr_t)(BLOCK_BYTES - 1));
}

static void list(struct chunk_room *room, struct chunk_block *block)
{
	block->previous = NULL;
	block->next = room->open;
	if (room->open)
		room->open->previous = block;
	room->open = block;
}

static void unlist(struct chunk_room *room, struct chunk_block *block)
{
	if (block->previous)
		block->previous->next = block->next;
	else
		room->open = block->next;
	if (block->next)
		block->next->previous = block->previous;
}

/* Aligned to its size, so that each place leads to its block. A huge page would be resident as a
 * whole, for one chunk. */
static struct chunk_block *map_block(void)
{
	char *memory = mmap(NULL, 2 * BLOCK_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (memory == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)memory & (BLOCK_BYTES - 1);
	if (before)
		munmap(memory, before);
	munmap(memory + before + BLOCK_BYTES, BLOCK_BYTES - before);
	madvise(memory + before, BLOCK_BYTES, MADV_NOHUGEPAGE);
	return (struct chunk_block *)(memory + before);
}

static struct chunk_block *open_block(struct chunk_room *room)
{
	struct chunk_block *block = map_block();

	if (!block)
		return NULL;
	block->used = 1;
	for (unsigned i = 0; i < PLACES / WORD_BITS; i++)
		block->free[i] = UINT64_MAX;
	block->free[0] &= ~(uint64_t)1;
	list(room, block);
	return block;
}

static void *take_place(struct chunk_room *room)
{
	struct chunk_block *block = room->open ? room->open : open_block(room);
	unsigned word = 0, bit;

	if (!block)
		return NULL;
	while (!block->free[word])
		word++;
	bit = (unsigned)__builtin_ctzll(block->free[word]);
	block->free[word] &= ~((uint64_t)1 << bit);
	if (++block->used == PLACES)
		unlist(room, block);
	return place_of(block, word * WORD_BITS + bit);
}

static void give_place(struct chunk_room *room, void *chunk)
{
	struct chunk_block *block = block_of(chunk);
	unsigned place = (unsigned)(((uintptr_t)chunk - (uintptr_t)block) / CHUNK_ROOM_BYTES);

	if (block->used == PLACES)
		list(room, block);
	block->free[place / WORD_BITS] |= (uint64_t)1 << place % WORD_BITS;
	if (--block->used > 1) {
		madvise(chunk, CHUNK_ROOM_BYTES, MADV_DONTNEED);
		return;
	}
	unlist(room, block);
	for (unsigned i = 0; i < PLACES; i++)
		ALLOW(place_of(block, i));
	munmap(block, BLOCK_BYTES);
}

void *chunk_room_take(struct chunk_room *room)
{
	void *chunk = room->spare_count ? room->spares[--room->spare_count] : take_place(room);

	if (chunk)
		ALLOW(chunk);
	return chunk;
}

void chunk_room_give(struct chunk_room *room, void *chunk)
{
	FORBID(chunk); /* whoever still looks at it is found out */
	if (room->spare_count < CHUNK_ROOM_SPARES)
		room->spares[room->spare_count++] = chunk;
	else
		give_place(room, chunk);
}

void chunk_room_fini(struct chunk_room *room)
{
	while (room->spare_count)
		give_place(room, room->spares[--room->spare_count]);
	assert(!room->open);
}
