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

/* The heads of such slices, as numbers. */
#define SHORT_HEAD        ((PACKED_SHORT << 1 | 1) << 1)
#define SHORT_WAKING_HEAD (((PACKED_SHORT | PACKED_WAKING) << 1 | 1) << 1)
#define SHORT_BYTES       (2 + sizeof(struct timeline_short))

/* Tails stand aligned, so that they can be used where they are: chunks are. */
static inline uint8_t *timeline_align(const uint8_t *at)
{
	return (uint8_t *)(((uintptr_t)at + 7) & ~(uintptr_t)7);
}

/* `slice` becomes the one after it. */
static inline void timeline_follow(struct slice *slice, const struct timeline_short *by,
				   bool is_woken)
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
