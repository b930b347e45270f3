/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/timeline_pack.h"

/* The longest a packed slice can be: numbers, tails and what aligns them. */
#define PACKED_MAX_BYTES (16 * 9 + 2 * 24 + 2 * 32 + 56 + 80 + 8 + 2 * 8 + WORD_BYTES)

const struct slice_none slice_none;

static inline uint8_t *put(uint8_t *at, uint64_t value)
{
	unsigned more = (63 - (unsigned)__builtin_clzll(value | 1)) / 7;
	uint64_t word = (value << 1 | 1) << (more & 63);

	if (more < 8) {
		memcpy(at, &word, sizeof(word));
		return at + more + 1;
	}
	*at = 0;
	memcpy(at + 1, &value, sizeof(value));
	return at + 1 + sizeof(value);
}

static inline uint8_t *put_signed(uint8_t *at, int64_t value)
{
	return put(at, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static inline const void *put_tail(uint8_t **at, const void *tail, size_t bytes)
{
	uint8_t *kept = timeline_align(*at);

	memcpy(kept, tail, bytes);
	*at = kept + bytes;
	return kept;
}

static inline bool waker_eq(const struct event_waker *a, const struct event_waker *b)
{
	return a == b || words_eq(a, b, sizeof(*a) / 8);
}

static uint32_t tags_differ(const struct slice *slice, const struct slice *last)
{
	uint32_t differs = 0;

	if (!tag_eq(slice->tag_in, last->tag_out))
		differs |= tag_is_none(slice->tag_in) ? PACKED_NO_TAG_IN : PACKED_TAG_IN;
	if (!tag_eq(slice->tag_out, slice->tag_in))
		differs |= tag_is_none(slice->tag_out) ? PACKED_NO_TAG_OUT : PACKED_TAG_OUT;
	return differs;
}

static uint32_t wait_differs(const struct slice *slice, const struct slice *last)
{
	uint32_t differs = 0;

	if (!target_eq(slice->target, last->target))
		differs |= target_eq(slice->target, &slice_none.target) ? PACKED_NO_TARGET
									: PACKED_TARGET;
	if (!waker_eq(slice->waker, last->waker))
		differs |=
			waker_eq(slice->waker, &slice_none.waker) ? PACKED_NO_WAKER : PACKED_WAKER;
	return differs;
}

static uint32_t what_differs(const struct slice *slice, const struct slice *last)
{
	uint32_t differs = tags_differ(slice, last) | wait_differs(slice, last);

	differs |= slice->cpu != last->cpu || slice->state != last->state ||
				   slice->syscall != last->syscall
			   ? PACKED_WAY
			   : 0;
	differs |= slice->gap ? PACKED_GAP : 0;
	differs |= slice->prev_out_ns != last->out_ns ? PACKED_NOT_CHAINED : 0;
	differs |= slice->hidden_ns ? PACKED_HIDDEN : 0;
	differs |= slice->stolen_in_ns != last->stolen_out_ns ||
				   slice->stolen_out_ns != slice->stolen_in_ns
			   ? PACKED_STOLEN
			   : 0;
	differs |= slice->flags != last->flags ? PACKED_FLAGS : 0;
	differs |= slice->waking_ns ? PACKED_WAKING : 0;
	differs |= slice->stack != last->stack ? PACKED_STACK : 0;
	return differs;
}

/* The tails of `slice` become those that stand in the chunk, of which many are those of `last`. */
static uint8_t *pack_tails(struct slice *slice, const struct slice *last, uint32_t differs,
			   uint8_t *at)
{
	if (differs & PACKED_TAG_IN)
		slice->tag_in = put_tail(&at, slice->tag_in, sizeof(*slice->tag_in));
	else
		slice->tag_in = differs & PACKED_NO_TAG_IN ? &slice_none.tag : last->tag_out;
	if (differs & PACKED_TAG_OUT)
		slice->tag_out = put_tail(&at, slice->tag_out, sizeof(*slice->tag_out));
	else
		slice->tag_out = differs & PACKED_NO_TAG_OUT ? &slice_none.tag : slice->tag_in;
	if (differs & PACKED_TARGET)
		slice->target = put_tail(&at, slice->target, sizeof(*slice->target));
	else
		slice->target = differs & PACKED_NO_TARGET ? &slice_none.target : last->target;
	if (differs & PACKED_WAKER)
		slice->waker = put_tail(&at, slice->waker, sizeof(*slice->waker));
	else
		slice->waker = differs & PACKED_NO_WAKER ? &slice_none.waker : last->waker;
	slice->ready = slice->flags & SLICE_READY
			       ? put_tail(&at, slice->ready, sizeof(*slice->ready))
			       : &slice_none.target;
	slice->behind = slice->flags & SLICE_BEHIND
				? put_tail(&at, slice->behind, sizeof(*slice->behind))
				: &slice_none.behind;
	return at;
}

/* `last` becomes the slice, and its tails are what stands in the chunk. */
static uint8_t *pack(const struct slice *slice, struct slice *last, uint8_t *at)
{
	uint32_t differs = what_differs(slice, last);
	struct slice packed = *slice;
	uint64_t time = last->out_ns;

	at = put(at, differs);
	if (differs & PACKED_FLAGS)
		at = put(at, slice->flags);
	if (differs & PACKED_NOT_CHAINED) {
		at = put_signed(at, (int64_t)(slice->prev_out_ns - time));
		time = slice->prev_out_ns;
	}
	if (differs & PACKED_WAKING) {
		at = put_signed(at, (int64_t)(slice->waking_ns - time));
		time = slice->waking_ns;
	}
	at = put_signed(at, (int64_t)(slice->in_ns - time));
	at = put(at, slice->out_ns - slice->in_ns);
	at = put_signed(at, (int64_t)(slice->booked_ns - (slice->out_ns - slice->in_ns)));
	at = put_signed(at, slice->raw_lag_in - last->raw_lag_out);
	at = put_signed(at, slice->raw_lag_out - slice->raw_lag_in);
	if (differs & PACKED_STOLEN) {
		at = put_signed(at, (int64_t)(slice->stolen_in_ns - last->stolen_out_ns));
		at = put_signed(at, (int64_t)(slice->stolen_out_ns - slice->stolen_in_ns));
	}
	if (differs & PACKED_HIDDEN)
		at = put(at, slice->hidden_ns);
	if (differs & PACKED_WAY) {
		at = put(at, slice->cpu);
		at = put(at, slice->state);
		at = put_signed(at, slice->syscall);
	}
	if (differs & PACKED_STACK)
		at = put(at, slice->stack);
	at = pack_tails(&packed, last, differs, at);
	*last = packed;
	return at;
}

static struct timeline_chunk *make_chunk(struct timeline *timeline, uint32_t room)
{
	if (timeline->chunks && room == TIMELINE_CHUNK_BYTES)
		return chunk_room_take(timeline->chunks);
	return malloc(sizeof(struct timeline_chunk) + room);
}

static void free_chunk(struct timeline *timeline, struct timeline_chunk *chunk)
{
	if (timeline->chunks && chunk->room == TIMELINE_CHUNK_BYTES)
		chunk_room_give(timeline->chunks, chunk);
	else
		free(chunk);
}

static struct timeline_chunk *add_chunk(struct timeline *timeline, size_t *out_bytes)
{
	uint32_t room = timeline->newest
				? MIN(2 * timeline->newest->room, (uint32_t)TIMELINE_CHUNK_BYTES)
				: TIMELINE_FIRST_BYTES;
	struct timeline_chunk *chunk = make_chunk(timeline, room);

	if (!chunk)
		return NULL;
	*chunk = (struct timeline_chunk){ .older = timeline->newest, .room = room };
	if (timeline->newest)
		timeline->newest->newer = chunk;
	else
		timeline->oldest = chunk;
	timeline->newest = chunk;
	timeline->last = slice_empty();
	*out_bytes += timeline_chunk_bytes(chunk);
	return chunk;
}

static bool has_room(const struct timeline_chunk *chunk, size_t bytes)
{
	return chunk && chunk->room - chunk->used >= bytes;
}

static void grow(struct timeline_chunk *chunk, size_t bytes, const struct slice *last)
{
	chunk->used += (uint32_t)bytes;
	chunk->count++;
	chunk->last_ns = last->out_ns;
}

/* Where the tail stands now that `from` stands at `to`. */
static const void *moved(const void *tail, const uint8_t *from, size_t bytes, const uint8_t *to)
{
	size_t at = (uintptr_t)tail - (uintptr_t)from;

	return at < bytes ? to + at : tail;
}

/* Towards the end of a chunk: how long the slice becomes is not known before. false: too long. */
static bool append_last(struct timeline *timeline, const struct slice *slice)
{
	struct timeline_chunk *chunk = timeline->newest;
	alignas(8) uint8_t room[PACKED_MAX_BYTES + 8];
	uint8_t *from = room + chunk->used % 8, *to = chunk->bytes + chunk->used;
	struct slice last = timeline->last;
	size_t bytes = (size_t)(pack(slice, &last, from) - from);

	if (!has_room(chunk, bytes + WORD_BYTES))
		return false;
	memcpy(to, from, bytes);
	last.tag_in = moved(last.tag_in, from, bytes, to);
	last.tag_out = moved(last.tag_out, from, bytes, to);
	last.target = moved(last.target, from, bytes, to);
	last.waker = moved(last.waker, from, bytes, to);
	last.ready = moved(last.ready, from, bytes, to);
	last.behind = moved(last.behind, from, bytes, to);
	timeline->last = last;
	grow(chunk, bytes, &last);
	return true;
}

int timeline_append(struct timeline *timeline, const struct slice *slice, size_t *out_bytes)
{
	struct timeline_chunk *chunk = timeline->newest;
	uint8_t *at;

	if (!has_room(chunk, PACKED_MAX_BYTES)) {
		if (chunk && append_last(timeline, slice))
			return 0;
		chunk = add_chunk(timeline, out_bytes);
	}
	if (!chunk)
		return -ENOMEM;
	if (chunk->count == 0)
		chunk->first_ns = slice->prev_out_ns ? slice->prev_out_ns : slice->in_ns;
	at = chunk->bytes + chunk->used;
	grow(chunk, (size_t)(pack(slice, &timeline->last, at) - at), &timeline->last);
	return 0;
}

/* Returns how many bytes it takes; SHORT_MAX_BYTES are written. */
static inline size_t pack_short(const struct timeline_short *by, uint8_t *at)
{
	uint16_t booked = short_unsigned(by->booked), lag_in = short_unsigned(by->lag_in);
	uint64_t low = short_low(by->waking, short_waking) | short_low(by->in, short_in) |
		       short_low(by->length, short_length) | short_low(booked, short_booked) |
		       short_low(lag_in, short_lag_in);
	uint32_t high = short_high(by->waking, short_waking) | short_high(by->in, short_in) |
			short_high(by->length, short_length) | short_high(booked, short_booked) |
			short_high(lag_in, short_lag_in);

	*at = (uint8_t)(SHORT_HEAD | (by->is_woken ? SHORT_WOKEN : 0) | (high ? SHORT_WIDE : 0));
	memcpy(at + 1, &low, WORD_BYTES);
	memcpy(at + SHORT_BYTES, &high, SHORT_MORE);
	return high ? SHORT_MAX_BYTES : SHORT_BYTES;
}

bool timeline_append_short(struct timeline *timeline, const struct timeline_short *by)
{
	struct timeline_chunk *chunk = timeline->newest;

	if (!has_room(chunk, SHORT_MAX_BYTES + WORD_BYTES))
		return false;
	timeline->last.out_ns += (uint64_t)by->waking + by->in + by->length;
	timeline->last.raw_lag_out += by->lag_in - by->booked;
	grow(chunk, pack_short(by, chunk->bytes + chunk->used), &timeline->last);
	return true;
}

void timeline_drop_oldest(struct timeline *timeline, const struct slice *last, size_t *out_bytes)
{
	struct timeline_chunk *chunk = timeline->oldest;

	timeline->before = (struct slice_kept){ *last,         { *last->tag_in, *last->tag_out },
						*last->target, *last->ready,
						*last->waker,  *last->behind };
	timeline->before.slice.tag_in = &timeline->before.tags[0];
	timeline->before.slice.tag_out = &timeline->before.tags[1];
	timeline->before.slice.target = &timeline->before.target;
	timeline->before.slice.waker = &timeline->before.waker;
	timeline->before.slice.ready = &timeline->before.ready;
	timeline->before.slice.behind = &timeline->before.behind;
	if (timeline->sought == chunk)
		timeline->sought = NULL;
	for (size_t i = 0; i < TIMELINE_MARKS; i++) {
		if (timeline->marks[i].chunk == chunk)
			timeline->marks[i].chunk = NULL;
	}
	timeline->oldest = chunk->newer;
	if (timeline->oldest)
		timeline->oldest->older = NULL;
	else
		timeline->newest = NULL;
	*out_bytes -= timeline_chunk_bytes(chunk);
	free_chunk(timeline, chunk);
}

void timeline_fini(struct timeline *timeline)
{
	while (timeline->oldest) {
		struct timeline_chunk *chunk = timeline->oldest;

		timeline->oldest = chunk->newer;
		free_chunk(timeline, chunk);
	}
	timeline->newest = NULL;
	timeline->sought = NULL;
	for (size_t i = 0; i < TIMELINE_MARKS; i++)
		timeline->marks[i].chunk = NULL;
}
