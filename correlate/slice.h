/* SPDX-License-Identifier: Apache-2.0 */
/* One off/on cycle of a thread, unpacked: how the join sees a record of the kernel.
 *
 *   prev_out ......... waking ......... in ==================== out
 *            blocked          runnable           on the CPU          why it leaves: state, syscall,
 * target
 *
 * Times are CLOCK_MONOTONIC ns. The wait that ends at `in` began with the slice before this one:
 * its reason stands there, its waker stands here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpf/event.h"

/* Beside the flags of event.h: it ends where the tag changed; the next one begins there. */
#define SLICE_CHANGE (1u << 20)
/* The wait before it was for one of several, and it is known which: `ready`. */
#define SLICE_READY (1u << 22)
/* Of the one who ended the wait before it nobody knows anything but who was behind that: `behind`.
 */
#define SLICE_BEHIND (1u << 23)

/* The clock of a change is read within the attach; a program that reads clocks beside it, as
 * spans do, reads them up to so much earlier or later. */
#define CHANGE_DOUBT_NS 2000ull

/* More than the way of any SDK from a span's start to its attach, or from detach to end. */
#define CHANGE_WAY_NS 200000ull

/* So much may lie between a start and its attach where spans take turns, and mean nothing. */
#define CHANGE_SURE_NS 4000ull

/* The thread's reading of the clock may differ so much from the kernel's. */
#define CHANGE_CLOCK_NS 1000ull

/* In the place of a stint's number: the slice is one of its own that has not been measured, for
 * most are never asked for (lane_stint). All of it is what was booked for the slice. */
#define STINT_PLAIN UINT32_MAX

/* Who made a thread go on which ended a wait, in that it ended one of that thread's own. */
struct behind {
	uint64_t from_ns, to_ns; /* ... that wait */
	struct event_waker who;
	uint64_t is_own; /* it was for the sake of the one that waited */
};

struct slice {
	uint64_t prev_out_ns; /* == in_ns after a tick; 0: not known */
	uint64_t waking_ns;   /* 0: none; else within [prev_out, in] */
	uint64_t in_ns;
	uint64_t out_ns;
	uint64_t booked_ns;  /* CPU time the scheduler booked for [in, out) */
	uint64_t hidden_ns;  /* CPU time booked since the slice before that no record explains */
	int64_t raw_lag_in;  /* in_ns - exec_start - stolen: the CPU's offset and the lag of booking
			      */
	int64_t raw_lag_out; /* ... at out */
	uint64_t stolen_in_ns, stolen_out_ns; /* as in struct event_slice */
	uint32_t flags;                       /* enum event_slice_flag */
	uint32_t cpu;
	uint32_t state;
	int32_t syscall;
	uint32_t stint; /* the join's: of its lane, or STINT_PLAIN */
	uint32_t run;   /* ... that it stands in, of its lane; 0: none */
	bool gap;       /* records of this thread between the one before and this one were lost */
	bool is_alike;  /* it is the one before in all but its times, which go on from there */
	/* Borrowed, never NULL; where they are not told, one of slice_none. They stand in the
	 * record, and then in the timeline's chunk. */
	const struct event_tag *tag_in, *tag_out; /* zero: none */
	const struct event_target *target;
	const struct event_waker *waker;  /* with EVENT_WAKER */
	const struct event_target *ready; /* with SLICE_READY */
	const struct behind *behind;      /* with SLICE_BEHIND */
	uint64_t stack;                   /* at `out`: an id, or enum event_no_stack */
};

/* All zeros. */
extern const struct slice_none {
	struct event_tag tag;
	struct event_target target;
	struct event_waker waker;
	struct behind behind;
} slice_none;

static inline struct slice slice_empty(void)
{
	return (struct slice){ .tag_in = &slice_none.tag,
			       .tag_out = &slice_none.tag,
			       .target = &slice_none.target,
			       .waker = &slice_none.waker,
			       .ready = &slice_none.target,
			       .behind = &slice_none.behind };
}

/* Of `count` words; what is compared here is mostly equal, or even the same. */
static inline bool words_eq(const void *a, const void *b, size_t count)
{
	uint64_t x, y, differ = 0;

#pragma GCC unroll 8
	for (size_t i = 0; i < count; i++) {
		memcpy(&x, (const char *)a + 8 * i, 8);
		memcpy(&y, (const char *)b + 8 * i, 8);
		differ |= x ^ y;
	}
	return !differ;
}

static inline bool tag_eq(const struct event_tag *a, const struct event_tag *b)
{
	return a == b || words_eq(a, b, sizeof(*a) / 8);
}

static inline bool target_eq(const struct event_target *a, const struct event_target *b)
{
	return a == b || words_eq(a, b, sizeof(*a) / 8);
}

static inline bool tag_is_none(const struct event_tag *tag)
{
	return tag_eq(tag, &slice_none.tag);
}

/* It shows one tag at both ends, and both were read: what stands there of one that could not be,
 * for it was just being written, is the one before it. */
static inline bool slice_keeps_tag(const struct slice *slice)
{
	return !(slice->flags & EVENT_TAG_OUT_UNKNOWN) && !tag_is_none(slice->tag_in) &&
	       tag_eq(slice->tag_in, slice->tag_out);
}

static inline bool tag_is_of(const struct event_tag *tag, const uint8_t trace_id[16])
{
	return words_eq(tag->trace_id, trace_id, sizeof(tag->trace_id) / 8);
}
