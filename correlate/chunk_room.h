/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for the timelines' chunks of full size, apart from the heap.
 *
 * They are most of what the correlator has. In the heap, what they leave as they go would be cut up
 * by small requests, and what they find would be cut up by them; and where they become fewer, their
 * holes would stay resident. Here a place is a chunk's for ever, and its pages go back to the
 * system but for some that the next ones take. Blocks go with their last chunk. One thread. */
#pragma once

#include <stdint.h>

#define CHUNK_ROOM_BYTES  8192 /* of a place */
#define CHUNK_ROOM_SPARES 128  /* some more than leave at once where memory is full */

struct chunk_block;

/* Zeroed: empty. */
struct chunk_room {
	struct chunk_block *open; /* owned; those with a free place; of the others chunks know */
	void *spares[CHUNK_ROOM_SPARES]; /* places that are free, but keep their pages */
	uint32_t spare_count;
};

/* The spares go back; what was taken must have been given back before. */
void chunk_room_fini(struct chunk_room *room);

/* Aligned to its size; NULL: out of memory. */
void *chunk_room_take(struct chunk_room *room);
void chunk_room_give(struct chunk_room *room, void *chunk);
