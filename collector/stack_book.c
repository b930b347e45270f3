/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/stack_book.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"

#define MAX_STACK_BYTES (512u << 10)
#define MAX_WANTED      16384
#define MAX_LATE        4096

struct entry {
	uint64_t id;
	struct entry *newer, *older; /* by the last time it was told or asked for */
	uint32_t bytes;
	char frames[];
};

struct stack_book {
	pthread_mutex_t lock; /* all below */
	struct map entries;   /* id -> struct entry *, owned */
	struct map wanted;    /* id -> nothing */
	struct entry *newest, *oldest;
	size_t limit_bytes, bytes;
	uint64_t told;
	struct buf partial; /* pieces of the stack that is coming */
	uint64_t partial_id;
	uint64_t late[MAX_LATE];
	uint32_t late_count;
};

int stack_book_new(size_t limit_bytes, struct stack_book **out_book)
{
	struct stack_book *book = calloc(1, sizeof(*book));

	if (!book)
		return -ENOMEM;
	pthread_mutex_init(&book->lock, NULL);
	map_init(&book->entries, sizeof(uint64_t), sizeof(struct entry *), 0);
	map_init(&book->wanted, sizeof(uint64_t), 1, 0);
	book->wanted.max_count = MAX_WANTED;
	buf_init(&book->partial, MAX_STACK_BYTES);
	book->limit_bytes = limit_bytes;
	*out_book = book;
	return 0;
}

/* ---- the order of use */

static void unlink_entry(struct stack_book *book, struct entry *entry)
{
	*(entry->newer ? &entry->newer->older : &book->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &book->oldest) = entry->newer;
}

static void link_newest(struct stack_book *book, struct entry *entry)
{
	entry->newer = NULL;
	entry->older = book->newest;
	*(book->newest ? &book->newest->newer : &book->oldest) = entry;
	book->newest = entry;
}

static void drop(struct stack_book *book, struct entry *entry)
{
	unlink_entry(book, entry);
	map_delete(&book->entries, &entry->id);
	book->bytes -= sizeof(*entry) + entry->bytes;
	free(entry);
}

void stack_book_free(struct stack_book *book)
{
	if (!book)
		return;
	while (book->oldest)
		drop(book, book->oldest);
	map_fini(&book->entries);
	map_fini(&book->wanted);
	buf_fini(&book->partial);
	pthread_mutex_destroy(&book->lock);
	free(book);
}

/* ---- what the probe tells */

static void put(struct stack_book *book, uint64_t id, struct str frames)
{
	struct entry **slot = map_get(&book->entries, &id), *entry;

	if (slot)
		drop(book, *slot);
	entry = malloc(sizeof(*entry) + frames.len);
	slot = entry ? map_put(&book->entries, &id) : NULL;
	if (!slot) {
		free(entry);
		return;
	}
	entry->id = id;
	entry->bytes = (uint32_t)frames.len;
	if (frames.len)
		memcpy(entry->frames, frames.data, frames.len);
	*slot = entry;
	link_newest(book, entry);
	book->bytes += sizeof(*entry) + entry->bytes;
	while (book->bytes > book->limit_bytes && book->oldest != entry)
		drop(book, book->oldest);
	if (map_delete(&book->wanted, &id) && book->late_count < MAX_LATE)
		book->late[book->late_count++] = id;
}

static void take_piece(struct stack_book *book, const struct probe_stack *piece)
{
	if (piece->offset == 0) {
		buf_clear(&book->partial);
		book->partial_id = piece->id;
	}
	if (piece->id != book->partial_id || piece->offset != book->partial.len ||
	    piece->bytes > sizeof(piece->data))
		return; /* its beginning was of a worker that died */
	buf_append(&book->partial, piece->data, piece->bytes);
	if (buf_error(&book->partial)) {
		buf_fini(&book->partial);
		buf_init(&book->partial, MAX_STACK_BYTES);
		return;
	}
	if (book->partial.len != piece->total_bytes)
		return;
	book->told++;
	put(book, piece->id, buf_str(&book->partial));
}

void stack_book_piece(struct stack_book *book, const struct probe_stack *piece)
{
	pthread_mutex_lock(&book->lock);
	take_piece(book, piece);
	pthread_mutex_unlock(&book->lock);
}

/* ---- who asks */

bool stack_book_find(uint64_t id, struct buf *out_frames, void *arg)
{
	struct stack_book *book = arg;
	struct entry **slot;

	pthread_mutex_lock(&book->lock);
	slot = map_get(&book->entries, &id);
	if (slot) {
		unlink_entry(book, *slot);
		link_newest(book, *slot);
		buf_append(out_frames, (*slot)->frames, (*slot)->bytes);
	} else {
		map_put(&book->wanted, &id);
	}
	pthread_mutex_unlock(&book->lock);
	return slot;
}

static bool copy_entry(const struct entry *entry, struct arena *arena, struct store_stack *out)
{
	char *frames = arena_alloc(arena, entry->bytes + 1u);

	if (!frames)
		return false;
	memcpy(frames, entry->frames, entry->bytes);
	*out = (struct store_stack){ entry->id, { frames, entry->bytes } };
	return true;
}

const struct store_stack *stack_book_take_late(struct stack_book *book, struct arena *arena,
					       size_t *out_count)
{
	struct store_stack *stacks = NULL;
	size_t count = 0;

	pthread_mutex_lock(&book->lock);
	if (book->late_count)
		stacks = arena_alloc(arena, book->late_count * sizeof(*stacks));
	for (uint32_t i = 0; stacks && i < book->late_count; i++) {
		struct entry **slot = map_get(&book->entries, &book->late[i]);

		if (slot && copy_entry(*slot, arena, &stacks[count]))
			count++;
	}
	if (stacks)
		book->late_count = 0;
	pthread_mutex_unlock(&book->lock);
	*out_count = count;
	return count ? stacks : NULL;
}

void stack_book_stats(struct stack_book *book, struct stack_book_stats *out_stats)
{
	pthread_mutex_lock(&book->lock);
	*out_stats = (struct stack_book_stats){
		.stacks = book->entries.count,
		.bytes = book->bytes + map_bytes(&book->entries) + map_bytes(&book->wanted),
		.told = book->told,
		.wanted = book->wanted.count,
	};
	pthread_mutex_unlock(&book->lock);
}
