/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/trace_shelf.h"

#include <stdlib.h>
#include <string.h>

#define SHELF_BYTES 32000 /* a place on it fits into two bytes */
#define OWN_BYTES   4000  /* what is larger has one of its own */

struct trace_shelf {
	uint32_t used; /* bytes */
	uint32_t count;
	uint8_t room[]; /* blocks, each behind its place */
};

typedef uint16_t place_t; /* of a block, from the begin of the room */

static struct trace_shelf *make(size_t bytes)
{
	return calloc(1, sizeof(struct trace_shelf) + bytes);
}

static uint8_t *put(struct trace_shelf *shelf, const uint8_t *from, size_t bytes)
{
	uint8_t *block = shelf->room + shelf->used + sizeof(place_t);
	place_t place = (place_t)(block - shelf->room);

	memcpy(block - sizeof(place), &place, sizeof(place));
	memcpy(block, from, bytes);
	shelf->used += (uint32_t)(sizeof(place) + bytes);
	shelf->count++;
	return block;
}

uint8_t *trace_shelf_put(struct trace_shelf **shelf, const uint8_t *from, size_t bytes)
{
	if (bytes > OWN_BYTES) {
		struct trace_shelf *own = make(sizeof(place_t) + bytes);

		return own ? put(own, from, bytes) : NULL;
	}
	if (!*shelf || (*shelf)->used + sizeof(place_t) + bytes > SHELF_BYTES) {
		struct trace_shelf *next = make(SHELF_BYTES);

		if (!next)
			return NULL;
		if (*shelf && !(*shelf)->count)
			free(*shelf);
		*shelf = next;
	}
	return put(*shelf, from, bytes);
}

void trace_shelf_take(const struct trace_shelf *filling, uint8_t *block)
{
	struct trace_shelf *shelf;
	place_t place;

	memcpy(&place, block - sizeof(place), sizeof(place));
	shelf = (struct trace_shelf *)(void *)(block - place - offsetof(struct trace_shelf, room));
	if (--shelf->count)
		return;
	if (shelf == filling)
		shelf->used = 0;
	else
		free(shelf);
}

void trace_shelf_free(struct trace_shelf *shelf)
{
	free(shelf);
}
