/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The longest a packed slice can be: thirteen varints and the tails. */
#define PACKED_MAX_BYTES (14 * 10 + 2 * 24 + 32 + 56 + 8)

/* What differs from the slice before; the low bits, so that the head fits two or three bytes. */
enum packed_flag {
	PACKED_TAG_IN = 1 << 0,  /* tag_in is not the last tag_out, and follows */
	PACKED_TAG_OUT = 1 << 1, /* tag_out is not tag_in, and follows */
	PACKED_TARGET = 1 << 2,  /* another target */
	PACKED_WAKER = 1 << 3,   /* another waker */
	PACKED_WAY = 1 << 4,     /* another cpu, state or system call */
	PACKED_GAP = 1 << 5,
	PACKED_NOT_CHAINED = 1 << 6, /* prev_out is not the last out, and follows */
	PACKED_HIDDEN = 1 << 7,
	PACKED_FLAGS = 1 << 8, /* other event flags */
	PACKED_WAKING = 1 << 9,
	PACKED_STACK = 1 << 10, /* another stack */
	PACKED_STOLEN = 1 << 11,
};

struct writer {
	uint8_t *at;
};

static void put(struct writer *writer, uint64_t value)
{
	while (value >= 0x80) {
		*writer->at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*writer->at++ = (uint8_t)value;
}

static void put_signed(struct writer *writer, int64_t value)
{
	put(writer, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void put_bytes(struct writer *writer, const void *bytes, size_t len)
{
	memcpy(writer->at, bytes, len);
	writer->at += len;
}

static uint64_t get(const uint8_t **at)
{
	uint64_t value = 0;
	unsigned shift = 0;

	do {
		value |= (uint64_t)(**at & 0x7f) << shift;
		shift += 7;
	} while (*(*at)++ & 0x80);
	return value;
}

static int64_t get_signed(const uint8_t **at)
{
	uint64_t value = get(at);

	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static void get_bytes(const uint8_t **at, void *out, size_t len)
{
	memcpy(out, *at, len);
	*at += len;
}

static uint32_t what_differs(const struct slice *slice, const struct slice *last)
{
	uint32_t differs = 0;

	differs |= tag_eq(&slice->tag_in, &last->tag_out) ? 0 : PACKED_TAG_IN;
	differs |= tag_eq(&slice->tag_out, &slice->tag_in) ? 0 : PACKED_TAG_OUT;
	differs |= memcmp(&slice->target, &last->target, sizeof(slice->target)) ? PACKED_TARGET : 0;
	differs |= memcmp(&slice->waker, &last->waker, sizeof(slice->waker)) ? PACKED_WAKER : 0;
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

static size_t pack(const struct slice *slice, const struct slice *last, uint8_t *out)
{
	struct writer w = { out };
	uint32_t differs = what_differs(slice, last);
	uint64_t at = last->out_ns;

	put(&w, differs);
	if (differs & PACKED_FLAGS)
		put(&w, slice->flags);
	if (differs & PACKED_NOT_CHAINED) {
		put_signed(&w, (int64_t)(slice->prev_out_ns - at));
		at = slice->prev_out_ns;
	}
	if (differs & PACKED_WAKING) {
		put_signed(&w, (int64_t)(slice->waking_ns - at));
		at = slice->waking_ns;
	}
	put_signed(&w, (int64_t)(slice->in_ns - at));
	put(&w, slice->out_ns - slice->in_ns);
	put_signed(&w, (int64_t)(slice->booked_ns - (slice->out_ns - slice->in_ns)));
	put_signed(&w, slice->raw_lag_in - last->raw_lag_out);
	put_signed(&w, slice->raw_lag_out - slice->raw_lag_in);
	if (differs & PACKED_STOLEN) {
		put_signed(&w, (int64_t)(slice->stolen_in_ns - last->stolen_out_ns));
		put_signed(&w, (int64_t)(slice->stolen_out_ns - slice->stolen_in_ns));
	}
	if (differs & PACKED_HIDDEN)
		put(&w, slice->hidden_ns);
	if (differs & PACKED_WAY) {
		put(&w, slice->cpu);
		put(&w, slice->state);
		put_signed(&w, slice->syscall);
	}
	if (differs & PACKED_TAG_IN)
		put_bytes(&w, &slice->tag_in, sizeof(slice->tag_in));
	if (differs & PACKED_TAG_OUT)
		put_bytes(&w, &slice->tag_out, sizeof(slice->tag_out));
	if (differs & PACKED_TARGET)
		put_bytes(&w, &slice->target, sizeof(slice->target));
	if (differs & PACKED_WAKER)
		put_bytes(&w, &slice->waker, sizeof(slice->waker));
	if (differs & PACKED_STACK)
		put_bytes(&w, &slice->stack, sizeof(slice->stack));
	return (size_t)(w.at - out);
}

/* `slice` holds the one before and becomes this one. */
static const uint8_t *unpack(const uint8_t *at, struct slice *slice)
{
	uint32_t differs = (uint32_t)get(&at);
	uint64_t time = slice->out_ns;

	if (differs & PACKED_FLAGS)
		slice->flags = (uint32_t)get(&at);
	if (differs & PACKED_NOT_CHAINED)
		time += (uint64_t)get_signed(&at);
	slice->prev_out_ns = time;
	slice->waking_ns = 0;
	if (differs & PACKED_WAKING) {
		time += (uint64_t)get_signed(&at);
		slice->waking_ns = time;
	}
	slice->in_ns = time + (uint64_t)get_signed(&at);
	slice->out_ns = slice->in_ns + get(&at);
	slice->booked_ns = slice->out_ns - slice->in_ns + (uint64_t)get_signed(&at);
	slice->raw_lag_in = slice->raw_lag_out + get_signed(&at);
	slice->raw_lag_out = slice->raw_lag_in + get_signed(&at);
	slice->stolen_in_ns = slice->stolen_out_ns;
	if (differs & PACKED_STOLEN) {
		slice->stolen_in_ns += (uint64_t)get_signed(&at);
		slice->stolen_out_ns = slice->stolen_in_ns + (uint64_t)get_signed(&at);
	}
	slice->hidden_ns = differs & PACKED_HIDDEN ? get(&at) : 0;
	if (differs & PACKED_WAY) {
		slice->cpu = (uint32_t)get(&at);
		slice->state = (uint32_t)get(&at);
		slice->syscall = (int32_t)get_signed(&at);
	}
	slice->gap = differs & PACKED_GAP;
	slice->tag_in = slice->tag_out;
	if (differs & PACKED_TAG_IN)
		get_bytes(&at, &slice->tag_in, sizeof(slice->tag_in));
	slice->tag_out = slice->tag_in;
	if (differs & PACKED_TAG_OUT)
		get_bytes(&at, &slice->tag_out, sizeof(slice->tag_out));
	if (differs & PACKED_TARGET)
		get_bytes(&at, &slice->target, sizeof(slice->target));
	if (differs & PACKED_WAKER)
		get_bytes(&at, &slice->waker, sizeof(slice->waker));
	if (differs & PACKED_STACK)
		get_bytes(&at, &slice->stack, sizeof(slice->stack));
	return at;
}

static struct timeline_chunk *add_chunk(struct timeline *timeline, size_t *out_bytes)
{
	struct timeline_chunk *chunk = malloc(sizeof(*chunk));

	if (!chunk)
		return NULL;
	chunk->newer = NULL;
	chunk->older = timeline->newest;
	chunk->used = 0;
	chunk->count = 0;
	chunk->first_ns = 0;
	chunk->last_ns = 0;
	if (timeline->newest)
		timeline->newest->newer = chunk;
	else
		timeline->oldest = chunk;
	timeline->newest = chunk;
	timeline->last = (struct slice){ 0 };
	*out_bytes += sizeof(*chunk);
	return chunk;
}

int timeline_append(struct timeline *timeline, const struct slice *slice, size_t *out_bytes)
{
	struct timeline_chunk *chunk = timeline->newest;

	if (!chunk || TIMELINE_CHUNK_BYTES - chunk->used < PACKED_MAX_BYTES)
		chunk = add_chunk(timeline, out_bytes);
	if (!chunk)
		return -ENOMEM;
	chunk->used += (uint32_t)pack(slice, &timeline->last, chunk->bytes + chunk->used);
	if (chunk->count++ == 0)
		chunk->first_ns = slice->prev_out_ns ? slice->prev_out_ns : slice->in_ns;
	chunk->last_ns = slice->out_ns;
	timeline->last = *slice;
	return 0;
}

struct timeline_chunk *timeline_take_oldest(struct timeline *timeline, const struct slice *last)
{
	struct timeline_chunk *chunk = timeline->oldest;

	if (!chunk)
		return NULL;
	timeline->before = *last;
	if (timeline->sought == chunk)
		timeline->sought = NULL;
	timeline->oldest = chunk->newer;
	if (timeline->oldest)
		timeline->oldest->older = NULL;
	else
		timeline->newest = NULL;
	chunk->newer = NULL;
	return chunk;
}

void timeline_fini(struct timeline *timeline)
{
	while (timeline->oldest) {
		struct timeline_chunk *chunk = timeline->oldest;

		timeline->oldest = chunk->newer;
		free(chunk);
	}
	timeline->newest = NULL;
	timeline->sought = NULL;
}

void timeline_seek_chunk(const struct timeline_chunk *chunk, struct timeline_cursor *out_cursor)
{
	*out_cursor = (struct timeline_cursor){
		.chunk = chunk,
		.left = chunk ? chunk->count : 0,
		.only_this_chunk = true,
	};
}

void timeline_seek(struct timeline *timeline, uint64_t from_ns, struct timeline_cursor *out_cursor)
{
	const struct timeline_chunk *chunk = timeline->sought ? timeline->sought : timeline->newest;

	while (chunk && chunk->newer && chunk->newer->first_ns < from_ns)
		chunk = chunk->newer;
	while (chunk && chunk->older && chunk->first_ns >= from_ns)
		chunk = chunk->older;
	timeline->sought = chunk;
	timeline_seek_chunk(chunk, out_cursor);
	out_cursor->only_this_chunk = false;
}

void timeline_back(struct timeline_cursor *cursor)
{
	timeline_seek_chunk(cursor->chunk->older, cursor);
	cursor->only_this_chunk = false;
}

const struct slice *timeline_next(struct timeline_cursor *cursor)
{
	const uint8_t *after;

	while (cursor->chunk && !cursor->left) {
		cursor->chunk = cursor->only_this_chunk ? NULL : cursor->chunk->newer;
		if (!cursor->chunk)
			break;
		cursor->left = cursor->chunk->count;
		cursor->at = 0;
		cursor->last = (struct slice){ 0 };
	}
	if (!cursor->chunk)
		return NULL;
	after = unpack(cursor->chunk->bytes + cursor->at, &cursor->last);
	cursor->at = (uint32_t)(after - cursor->chunk->bytes);
	cursor->left--;
	return &cursor->last;
}
