/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/timeline_pack.h"

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

static inline const void *get_tail(const uint8_t **at, size_t bytes)
{
	const uint8_t *tail = timeline_align(*at);

	*at = tail + bytes;
	return tail;
}

static inline bool is_short(const uint8_t *at)
{
	return (*at & SHORT_HEAD_BITS) == SHORT_HEAD;
}

/* Returns what stands after it, made first: the next one waits for that. A look whether it is wide
 * would be wrong now and then. */
static inline const uint8_t *get_short(const uint8_t *at, struct timeline_short *out)
{
	uint32_t head = *at, wide = head & SHORT_WIDE;
	const uint8_t *after = at + SHORT_BYTES + wide / (SHORT_WIDE / SHORT_MORE);
	uint16_t high;
	uint64_t low;

	memcpy(&low, at + 1, WORD_BYTES);
	memcpy(&high, at + SHORT_BYTES, SHORT_MORE);
	high &= (uint16_t) - (wide / SHORT_WIDE);
	out->is_woken = head & SHORT_WOKEN;
	out->waking = short_number(low, high, short_waking);
	out->in = short_number(low, high, short_in);
	out->length = short_number(low, high, short_length);
	out->booked = short_signed(short_number(low, high, short_booked));
	out->lag_in = short_signed(short_number(low, high, short_lag_in));
	return after;
}

/* The flags are its own by now, the tails still those of the one before. */
static inline const uint8_t *unpack_tails(const uint8_t *at, uint32_t differs, struct slice *slice)
{
	slice->tag_in = slice->tag_out;
	if (differs & PACKED_TAG_IN)
		slice->tag_in = get_tail(&at, sizeof(*slice->tag_in));
	else if (differs & PACKED_NO_TAG_IN)
		slice->tag_in = &slice_none.tag;
	slice->tag_out = slice->tag_in;
	if (differs & PACKED_TAG_OUT)
		slice->tag_out = get_tail(&at, sizeof(*slice->tag_out));
	else if (differs & PACKED_NO_TAG_OUT)
		slice->tag_out = &slice_none.tag;
	if (differs & PACKED_TARGET)
		slice->target = get_tail(&at, sizeof(*slice->target));
	else if (differs & PACKED_NO_TARGET)
		slice->target = &slice_none.target;
	if (differs & PACKED_WAKER)
		slice->waker = get_tail(&at, sizeof(*slice->waker));
	else if (differs & PACKED_NO_WAKER)
		slice->waker = &slice_none.waker;
	slice->ready = slice->flags & SLICE_READY ? get_tail(&at, sizeof(*slice->ready))
						  : &slice_none.target;
	slice->behind = slice->flags & SLICE_BEHIND ? get_tail(&at, sizeof(*slice->behind))
						    : &slice_none.behind;
	return at;
}

/* `slice` holds the one before and becomes this one. */
static const uint8_t *unpack(const uint8_t *at, struct slice *slice)
{
	uint64_t time = slice->out_ns;
	struct timeline_short by;
	uint32_t differs;

	if (is_short(at)) {
		at = get_short(at, &by);
		timeline_follow(slice, &by);
		return at;
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
	return unpack_tails(at, differs, slice);
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
	const uint8_t *at = cursor->chunk->bytes + cursor->at;
	struct timeline_short by = { 0 }, next;
	uint64_t before = cursor->last.out_ns, end = before; /* of `by`, and its own */
	int64_t lag = cursor->last.raw_lag_out;
	uint32_t count = 0;

	while (count < cursor->left && is_short(at)) {
		const uint8_t *after = get_short(at, &next);

		if (end + next.waking + next.in + next.length >= time_ns)
			break;
		before = end;
		end += (uint64_t)next.waking + next.in + next.length;
		lag += by.lag_in - by.booked;
		by = next;
		at = after;
		count++;
	}
	if (!count)
		return 0;
	cursor->last.out_ns = before;
	cursor->last.raw_lag_out = lag;
	timeline_follow(&cursor->last, &by);
	cursor->at = (uint32_t)(at - cursor->chunk->bytes);
	cursor->left -= count;
	return count;
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

struct timeline_run timeline_next_alike(struct timeline_cursor *cursor, uint64_t until_ns,
					struct slice *out, uint32_t room, uint32_t number)
{
	const uint8_t *at = cursor->chunk->bytes + cursor->at;
	struct slice like = like_after(&cursor->last, number);
	struct timeline_run run = { 0 };
	uint64_t time = cursor->last.out_ns;
	int64_t lag = cursor->last.raw_lag_out;
	struct timeline_short by;

	room = MIN(room, cursor->left);
	for (; run.count < room && is_short(at); run.count++) {
		struct slice *slice = &out[run.count];
		const uint8_t *after = get_short(at, &by);

		if (time + by.waking + by.in + by.length > until_ns)
			break;
		at = after;
		memcpy(&slice->stolen_in_ns, &like.stolen_in_ns, SAME_BYTES);
		slice->hidden_ns = 0;
		slice->prev_out_ns = time;
		time += by.waking;
		slice->waking_ns = by.is_woken ? time : 0;
		time += by.in;
		slice->in_ns = time;
		time += by.length;
		run.ran_ns += by.length;
		run.has_empty |= !by.length;
		slice->out_ns = time;
		slice->booked_ns = (uint64_t)by.length + (uint64_t)(int64_t)by.booked;
		lag += by.lag_in;
		slice->raw_lag_in = lag;
		lag -= by.booked;
		slice->raw_lag_out = lag;
	}
	if (run.count) {
		cursor->last = out[run.count - 1];
		cursor->last.run = 0; /* who goes on from there, now or later, has other runs */
	}
	cursor->at = (uint32_t)(at - cursor->chunk->bytes);
	cursor->left -= run.count;
	return run;
}
