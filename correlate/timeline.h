/* SPDX-License-Identifier: Apache-2.0 */
/* The recent slices of one thread, packed: about 10 bytes a cycle while tag, target and waker stay.
 *
 * Slices are appended in time order into chunks; whole chunks leave at the old end. The first slice
 * of a chunk is written in full, so each chunk can be read alone. A thread's chunks become larger
 * as it goes on. What is read borrows its tails from the chunk. */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "correlate/chunk_room.h"
#include "correlate/slice.h"

#define TIMELINE_FIRST_BYTES 512
#define TIMELINE_CHUNK_BYTES (CHUNK_ROOM_BYTES - sizeof(struct timeline_chunk))

struct timeline_chunk {
	struct timeline_chunk *newer, *older;
	uint64_t first_ns; /* start of the first slice: its prev_out, or in */
	uint64_t last_ns;  /* out of the last one */
	uint32_t used;
	uint32_t count;
	uint32_t room; /* of bytes */
	alignas(8) uint8_t bytes[];
};

/* What it takes of memory. */
static inline size_t timeline_chunk_bytes(const struct timeline_chunk *chunk)
{
	return sizeof(*chunk) + chunk->room;
}

/* With its own tails. */
struct slice_kept {
	struct slice slice;
	struct event_tag tags[2];
	struct event_target target, ready;
	struct event_waker waker;
	struct behind behind;
};

struct timeline_cursor {
	const struct timeline_chunk *chunk;
	uint32_t at;
	uint32_t left;
	bool only_this_chunk;
	struct slice last;
};

/* Where the trace that was read last began, and the last slice that was over with it: the next one
 * begins after the latter, or, beside it, after the former. */
enum timeline_place { TIMELINE_BEGIN, TIMELINE_END, TIMELINE_MARKS };

struct timeline {
	struct timeline_chunk *oldest; /* owned */
	struct timeline_chunk *newest;
	const struct timeline_chunk *sought; /* the last seek's; NULL: none is known */
	/* What the next one is written against: its end, and what is told of it. Its tails are the
	 * chunk's. */
	struct slice last;
	struct slice_kept before; /* the last one that left at the old end; out_ns 0: none has */
	struct timeline_cursor marks[TIMELINE_MARKS]; /* chunk NULL: none */
	struct chunk_room *chunks; /* borrowed: of those of full size; NULL: the heap */
};

/* -ENOMEM: the slice is lost. `*out_bytes` grows by what was allocated. */
int timeline_append(struct timeline *timeline, const struct slice *slice, size_t *out_bytes);

/* A slice right after the last one, and like it but for its times. */
struct timeline_short {
	uint16_t waking, in, length; /* each from the one before it, the first from prev_out */
	int16_t booked; /* ... from the length; the lag becomes less by as much meanwhile */
	int16_t lag_in; /* ... from the last raw_lag_out */
	bool is_woken;
};

/* false: there is no room left in the chunk, or no slice in it: timeline_append makes another. */
bool timeline_append_short(struct timeline *timeline, const struct timeline_short *by);

/* The oldest chunk, which there must be, is gone; that is its last slice. `*out_bytes` shrinks by
 * what it took. */
void timeline_drop_oldest(struct timeline *timeline, const struct slice *last, size_t *out_bytes);
void timeline_fini(struct timeline *timeline);

/* From the last chunk that begins before `from_ns`, or the first one. Looks from where the last
 * seek ended: one trace is settled after the other. */
void timeline_seek(struct timeline *timeline, uint64_t from_ns, struct timeline_cursor *out_cursor);
/* Notes where it stands, for a trace that begins after the slice that it read last. */
void timeline_mark(struct timeline *timeline, enum timeline_place place,
		   const struct timeline_cursor *cursor);
/* To the mark, if it is of the chunk that timeline_seek would find. Returns the slice that was read
 * last there, which ends before `from_ns`; NULL: there is none, look from the chunk's begin on. */
const struct slice *timeline_seek_mark(const struct timeline *timeline, enum timeline_place place,
				       uint64_t from_ns, struct timeline_cursor *out_cursor);
/* As many slices further back, at least, where there are so many. */
void timeline_seek_beyond(struct timeline *timeline, uint64_t from_ns, uint32_t count,
			  struct timeline_cursor *out_cursor);
/* To the begin of the chunk before the one that it is in, which must exist. */
void timeline_back(struct timeline_cursor *cursor);
void timeline_seek_chunk(const struct timeline_chunk *chunk, struct timeline_cursor *out_cursor);
/* The next slice, borrowed until the one after it; NULL: there is none. */
const struct slice *timeline_next(struct timeline_cursor *cursor);
/* Goes over those right after it that are alike, as long as they end before `time_ns`: what
 * timeline_next gave becomes the last of them. Returns how many. */
uint32_t timeline_skip_alike(struct timeline_cursor *cursor, uint64_t time_ns);
/* Slices one after the other that are alike. */
struct timeline_run {
	uint32_t count;
	uint64_t ran_ns; /* all together */
	bool has_empty;  /* one of them did not run at all */
};

/* Those right after it that are alike, at most `room`, as long as they end by `until_ns`; `number`
 * is their slice.run. */
struct timeline_run timeline_next_alike(struct timeline_cursor *cursor, uint64_t until_ns,
					struct slice *out, uint32_t room, uint32_t number);
