/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

/* Of each number a word is read and written whole. */
#define WORD_BYTES 8

/* The longest a packed slice can be: numbers, tails and what aligns them. */
#define PACKED_MAX_BYTES (16 * 9 + 2 * 24 + 32 + 56 + 8 + 2 * 8 + WORD_BYTES)

const struct slice_none slice_none;

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
	PACKED_SHORT = 1 << 12, /* like the one before but for its times, which fit a timeline_short
				 */
};

/* The heads of such slices, as put() makes them. */
#define SHORT_HEAD        ((PACKED_SHORT << 1 | 1) << 1)
#define SHORT_WAKING_HEAD (((PACKED_SHORT | PACKED_WAKING) << 1 | 1) << 1)
#define SHORT_BYTES       (2 + sizeof(struct timeline_short))

/* Numbers take a byte for each seven bits, and the lowest bits of the first byte say how many bytes
 * follow: as many as there are zeros before the one. No loop, no branch that depends on the length
 * of small ones. Little endian, as BPF here is. */
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

static inline uint64_t get(const uint8_t **at)
{
	unsigned more;
	uint64_t word;

	memcpy(&word, *at, sizeof(word));
	if (!(word & 0xff)) {
		memcpy(&word, *at + 1, sizeof(word));
		*at += 1 + sizeof(word);
		return word;
	}
	more = (unsigned)__builtin_ctzll(word);
	*at += more + 1;
	return word << (56 - 8 * more) >> (57 - 7 * more);
}

static inline int64_t get_signed(const uint8_t **at)
{
	uint64_t value = get(at);

	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Tails stand aligned, so that they can be used where they are: chunks are. */
static inline uint8_t *align(const uint8_t *at)
{
	return (uint8_t *)(((uintptr_t)at + 7) & ~(uintptr_t)7);
}

static inline const void *put_tail(uint8_t **at, const void *tail, size_t bytes)
{
	uint8_t *kept = align(*at);

	memcpy(kept, tail, bytes);
	*at = kept + bytes;
	return kept;
}

static inline const void *get_tail(const uint8_t **at, size_t bytes)
{
	const uint8_t *tail = align(*at);

	*at = tail + bytes;
	return tail;
}

static inline bool waker_eq(const struct event_waker *a, const struct event_waker *b)
{
	return a == b || words_eq(a, b, sizeof(*a) / 8);
}

static uint32_t what_differs(const struct slice *slice, const struct slice *last)
{
	uint32_t differs = 0;

	differs |= tag_eq(slice->tag_in, last->tag_out) ? 0 : PACKED_TAG_IN;
	differs |= tag_eq(slice->tag_out, slice->tag_in) ? 0 : PACKED_TAG_OUT;
	differs |= target_eq(slice->target, last->target) ? 0 : PACKED_TARGET;
	differs |= waker_eq(slice->waker, last->waker) ? 0 : PACKED_WAKER;
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

/* `last` becomes the slice, and its tails are what stands in the chunk. */
static uint8_t *pack(const struct slice *slice, struct slice *last, uint8_t *at)
{
	const struct event_tag *tag_in = last->tag_out, *tag_out;
	const struct event_target *target = last->target;
	const struct event_waker *waker = last->waker;
	uint32_t differs = what_differs(slice, last);
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
	if (differs & PACKED_TAG_IN)
		tag_in = put_tail(&at, slice->tag_in, sizeof(*tag_in));
	tag_out = tag_in;
	if (differs & PACKED_TAG_OUT)
		tag_out = put_tail(&at, slice->tag_out, sizeof(*tag_out));
	if (differs & PACKED_TARGET)
		target = put_tail(&at, slice->target, sizeof(*target));
	if (differs & PACKED_WAKER)
		waker = put_tail(&at, slice->waker, sizeof(*waker));
	*last = *slice;
	last->tag_in = tag_in;
	last->tag_out = tag_out;
	last->target = target;
	last->waker = waker;
	return at;
}

/* Of a slice, from there on: what is told of it beside the times that differ. */
#define SAME_BYTES (sizeof(struct slice) - offsetof(struct slice, stolen_in_ns))

/* What stands in one after it that is alike, but for its times. */
static struct slice like_after(const struct slice *slice, uint32_t number)
{
	struct slice like = *slice;

	like.stolen_in_ns = slice->stolen_out_ns;
	like.hidden_ns = 0;
	like.gap = false;
	like.is_alike = true;
	like.tag_in = slice->tag_out;
	like.stint = STINT_PLAIN;
	like.run = number;
	return like;
}

/* `slice` becomes the one after it. */
static void follow(struct slice *slice, const struct timeline_short *by, bool is_woken)
{
	uint64_t time = slice->out_ns;

	slice->prev_out_ns = time;
	time += by->waking;
	slice->waking_ns = is_woken ? time : 0;
	slice->in_ns = time + by->in;
	slice->out_ns = slice->in_ns + by->length;
	slice->booked_ns = (uint64_t)by->length + (uint64_t)(int64_t)by->booked;
	slice->raw_lag_in = slice->raw_lag_out + by->lag_in;
	slice->raw_lag_out = slice->raw_lag_in + by->lag_out;
	slice->stolen_in_ns = slice->stolen_out_ns;
	slice->hidden_ns = 0;
	slice->gap = false;
	slice->is_alike = true;
	slice->run = 0;
	slice->tag_in = slice->tag_out;
}

/* false: what stands there is not alike. */
static inline bool read_alike(const uint8_t *at, struct timeline_short *by, bool *is_woken)
{
	uint16_t head;

	memcpy(&head, at, sizeof(head));
	memcpy(by, at + sizeof(head), sizeof(*by));
	*is_woken = head == SHORT_WAKING_HEAD;
	return *is_woken || head == SHORT_HEAD;
}

/* `slice` holds the one before and becomes this one. */
static const uint8_t *unpack(const uint8_t *at, struct slice *slice)
{
	uint64_t time = slice->out_ns;
	struct timeline_short by;
	uint32_t differs;
	bool is_woken;

	if (read_alike(at, &by, &is_woken)) {
		follow(slice, &by, is_woken);
		return at + SHORT_BYTES;
	}
	slice->is_alike = false;
	slice->run = 0;
	differs = (uint32_t)get(&at);
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
	if (differs & PACKED_STACK)
		slice->stack = get(&at);
	slice->tag_in = slice->tag_out;
	if (differs & PACKED_TAG_IN)
		slice->tag_in = get_tail(&at, sizeof(*slice->tag_in));
	slice->tag_out = slice->tag_in;
	if (differs & PACKED_TAG_OUT)
		slice->tag_out = get_tail(&at, sizeof(*slice->tag_out));
	if (differs & PACKED_TARGET)
		slice->target = get_tail(&at, sizeof(*slice->target));
	if (differs & PACKED_WAKER)
		slice->waker = get_tail(&at, sizeof(*slice->waker));
	return at;
}

static struct timeline_chunk *add_chunk(struct timeline *timeline, size_t *out_bytes)
{
	uint32_t room = timeline->newest ? MIN(2 * timeline->newest->room, TIMELINE_CHUNK_BYTES)
					 : TIMELINE_FIRST_BYTES;
	struct timeline_chunk *chunk = malloc(sizeof(*chunk) + room);

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

bool timeline_append_short(struct timeline *timeline, const struct timeline_short *by,
			   bool is_woken)
{
	struct timeline_chunk *chunk = timeline->newest;
	uint16_t head = is_woken ? SHORT_WAKING_HEAD : SHORT_HEAD;

	if (!has_room(chunk, SHORT_BYTES + WORD_BYTES))
		return false;
	memcpy(chunk->bytes + chunk->used, &head, sizeof(head));
	memcpy(chunk->bytes + chunk->used + sizeof(head), by, sizeof(*by));
	follow(&timeline->last, by, is_woken);
	grow(chunk, SHORT_BYTES, &timeline->last);
	return true;
}

struct timeline_chunk *timeline_take_oldest(struct timeline *timeline, const struct slice *last)
{
	struct timeline_chunk *chunk = timeline->oldest;

	if (!chunk)
		return NULL;
	timeline->before = (struct slice_kept){
		*last, { *last->tag_in, *last->tag_out }, *last->target, *last->waker
	};
	timeline->before.slice.tag_in = &timeline->before.tags[0];
	timeline->before.slice.tag_out = &timeline->before.tags[1];
	timeline->before.slice.target = &timeline->before.target;
	timeline->before.slice.waker = &timeline->before.waker;
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
	for (size_t i = 0; i < TIMELINE_MARKS; i++)
		timeline->marks[i].chunk = NULL;
}

void timeline_seek_chunk(const struct timeline_chunk *chunk, struct timeline_cursor *out_cursor)
{
	*out_cursor = (struct timeline_cursor){
		.chunk = chunk,
		.left = chunk ? chunk->count : 0,
		.last = slice_empty(),
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

void timeline_mark(struct timeline *timeline, enum timeline_place place,
		   const struct timeline_cursor *cursor)
{
	struct timeline_cursor *mark = &timeline->marks[place];

	*mark = *cursor;
	mark->left = cursor->chunk->count - cursor->left; /* it may grow meanwhile */
}

const struct slice *timeline_seek_mark(const struct timeline *timeline, enum timeline_place place,
				       uint64_t from_ns, struct timeline_cursor *out_cursor)
{
	const struct timeline_cursor *mark = &timeline->marks[place];

	if (!mark->chunk || mark->last.out_ns >= from_ns ||
	    (mark->chunk->newer && mark->chunk->newer->first_ns < from_ns))
		return NULL;
	*out_cursor = *mark;
	out_cursor->left = mark->chunk->count - mark->left;
	return &out_cursor->last;
}

void timeline_seek_beyond(struct timeline *timeline, uint64_t from_ns, uint32_t count,
			  struct timeline_cursor *out_cursor)
{
	uint32_t found = 0;

	timeline_seek(timeline, from_ns, out_cursor);
	while (found < count && out_cursor->chunk && out_cursor->chunk->older) {
		timeline_back(out_cursor);
		found += out_cursor->chunk->count;
	}
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
		cursor->last = slice_empty();
	}
	if (!cursor->chunk)
		return NULL;
	after = unpack(cursor->chunk->bytes + cursor->at, &cursor->last);
	cursor->at = (uint32_t)(after - cursor->chunk->bytes);
	cursor->left--;
	return &cursor->last;
}

uint32_t timeline_skip_alike(struct timeline_cursor *cursor, uint64_t time_ns)
{
	struct slice *last = &cursor->last;
	uint32_t left = cursor->left;
	struct timeline_short by;
	bool is_woken;

	while (cursor->left && read_alike(cursor->chunk->bytes + cursor->at, &by, &is_woken) &&
	       last->out_ns + by.waking + by.in + by.length < time_ns) {
		follow(last, &by, is_woken);
		cursor->at += (uint32_t)SHORT_BYTES;
		cursor->left--;
	}
	return left - cursor->left;
}

struct timeline_run timeline_next_alike(struct timeline_cursor *cursor, uint64_t until_ns,
					struct slice *out, uint32_t room, uint32_t number)
{
	const uint8_t *at = cursor->chunk->bytes + cursor->at;
	struct slice like = like_after(&cursor->last, number);
	struct timeline_run run = { 0 };
	uint64_t time = cursor->last.out_ns;
	int64_t lag = cursor->last.raw_lag_out;
	struct timeline_short by;
	bool is_woken;

	room = MIN(room, cursor->left);
	for (; run.count < room && time <= until_ns && read_alike(at, &by, &is_woken);
	     run.count++) {
		struct slice *slice = &out[run.count];

		memcpy(&slice->stolen_in_ns, &like.stolen_in_ns, SAME_BYTES);
		slice->hidden_ns = 0;
		slice->prev_out_ns = time;
		time += by.waking;
		slice->waking_ns = is_woken ? time : 0;
		time += by.in;
		slice->in_ns = time;
		time += by.length;
		run.ran_ns += by.length;
		run.has_empty |= !by.length;
		slice->out_ns = time;
		slice->booked_ns = (uint64_t)by.length + (uint64_t)(int64_t)by.booked;
		lag += by.lag_in;
		slice->raw_lag_in = lag;
		lag += by.lag_out;
		slice->raw_lag_out = lag;
		at += SHORT_BYTES;
	}
	if (run.count)
		cursor->last = out[run.count - 1];
	cursor->at = (uint32_t)(at - cursor->chunk->bytes);
	cursor->left -= run.count;
	return run;
}
