/* SPDX-License-Identifier: Apache-2.0 */
/* How a slice stands in a chunk: what differs from the one before it, by flags, numbers and tails.
 * Internal to timeline*.c: one writes, the other reads.
 *
 * Numbers take a byte for each seven bits, and the lowest bits of the first byte say how many bytes
 * follow: as many as there are zeros before the one. No loop, no branch that depends on the length
 * of small ones. Little endian, as BPF here is. */
#pragma once

#include "correlate/timeline.h"

/* Of each number a word is read and written whole. */
#define WORD_BYTES 8

/* What differs from the slice before; what is rare comes last, so that the head is short. A tail
 * that is gone, and all zeros now, does not follow. */
enum packed_flag {
	PACKED_FLAGS = 1 << 0, /* other event flags */
	PACKED_WAKING = 1 << 1,
	PACKED_WAKER = 1 << 2, /* another waker */
	PACKED_NO_WAKER = 1 << 3,
	PACKED_WAY = 1 << 4,     /* another cpu, state or system call */
	PACKED_TAG_OUT = 1 << 5, /* tag_out is not tag_in, and follows */
	PACKED_NO_TAG_OUT = 1 << 6,
	PACKED_TAG_IN = 1 << 7, /* tag_in is not the last tag_out, and follows */
	PACKED_NO_TAG_IN = 1 << 8,
	PACKED_TARGET = 1 << 9, /* another target */
	PACKED_NO_TARGET = 1 << 10,
	PACKED_STACK = 1 << 11,       /* another stack */
	PACKED_NOT_CHAINED = 1 << 12, /* prev_out is not the last out, and follows */
	PACKED_STOLEN = 1 << 13,
	PACKED_GAP = 1 << 14,
	PACKED_HIDDEN = 1 << 15,
};

_Static_assert(PACKED_HIDDEN < 1 << 20, "heads have three bytes at most: see enum short_head");

/* The first byte of a slice that is like the one before but for its times: no number of one, two or
 * three bytes begins so. A word follows, with the low bits of each time; where that is not all of
 * them, the high bits follow in two more bytes. */
enum short_head {
	SHORT_HEAD = 1 << 3,
	SHORT_WOKEN = 1 << 4,
	SHORT_WIDE = 1 << 5,
};

#define SHORT_HEAD_BITS (2 * SHORT_HEAD - 1)
#define SHORT_BYTES     (1 + WORD_BYTES)
#define SHORT_MORE      2 /* bytes, of a wide one */
#define SHORT_MAX_BYTES (SHORT_BYTES + SHORT_MORE)

/* Of a number: how many low bits, and where both parts stand. The sums are 64 and 16. */
struct short_place {
	unsigned bits, low_at, high_at;
};

static const struct short_place short_waking = { 13, 0, 0 };
static const struct short_place short_in = { 13, 13, 3 };
static const struct short_place short_length = { 13, 26, 6 };
static const struct short_place short_booked = { 12, 39, 9 };
static const struct short_place short_lag_in = { 13, 51, 13 };

static inline uint64_t short_low(uint16_t number, struct short_place place)
{
	return (number & ((1ull << place.bits) - 1)) << place.low_at;
}

static inline uint32_t short_high(uint16_t number, struct short_place place)
{
	return (uint32_t)number >> place.bits << place.high_at;
}

static inline uint16_t short_number(uint64_t low, uint32_t high, struct short_place place)
{
	uint32_t low_bits = (uint32_t)(low >> place.low_at) & ((1u << place.bits) - 1);
	uint32_t high_bits = high >> place.high_at & ((1u << (16 - place.bits)) - 1);

	return (uint16_t)(low_bits | high_bits << place.bits);
}

/* Small ones of either sign have few bits. */
static inline uint16_t short_unsigned(int16_t value)
{
	return (uint16_t)((uint16_t)value << 1 ^ (uint16_t)(value >> 15));
}

static inline int16_t short_signed(uint16_t number)
{
	return (int16_t)(number >> 1 ^ -(number & 1));
}

/* Tails stand aligned, so that they can be used where they are: chunks are. */
static inline uint8_t *timeline_align(const uint8_t *at)
{
	return (uint8_t *)(((uintptr_t)at + 7) & ~(uintptr_t)7);
}

/* `slice` becomes the one after it. */
static inline void timeline_follow(struct slice *slice, const struct timeline_short *by)
{
	uint64_t time = slice->out_ns;

	slice->prev_out_ns = time;
	time += by->waking;
	slice->waking_ns = by->is_woken ? time : 0;
	slice->in_ns = time + by->in;
	slice->out_ns = slice->in_ns + by->length;
	slice->booked_ns = (uint64_t)by->length + (uint64_t)(int64_t)by->booked;
	slice->raw_lag_in = slice->raw_lag_out + by->lag_in;
	slice->raw_lag_out = slice->raw_lag_in - by->booked;
	slice->stolen_in_ns = slice->stolen_out_ns;
	slice->hidden_ns = 0;
	slice->gap = false;
	slice->is_alike = true;
	slice->run = 0;
	slice->tag_in = slice->tag_out;
}
