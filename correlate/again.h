/* SPDX-License-Identifier: Apache-2.0 */
/* Slices told in short (struct event_again): made from, and made into, whole ones. User space only;
 * the kernel's half has its own (again.bpf.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "bpf/event.h"

/* What a thread's last slice said; its times are of use up to its end only. */
struct event_last {
	struct event_slice slice; /* header.bytes 0: none is known */
	unsigned char tails[EVENT_AGAIN_TAIL_BYTES];
};

static inline size_t event_tail_bytes(const struct event_slice *slice)
{
	return slice->header.bytes - sizeof(*slice);
}

/* After a whole one. */
static inline void event_last_note(struct event_last *last, const struct event_slice *slice)
{
	bool may_follow = !(slice->header.flags & ~(unsigned)EVENT_AGAIN_FLAGS) &&
			  event_tail_bytes(slice) <= sizeof(last->tails);

	last->slice = *slice;
	if (may_follow)
		memcpy(last->tails, slice + 1, event_tail_bytes(slice));
	else
		last->slice.header.bytes = 0;
}

/* Is it told of that one? */
static inline bool event_again_follows(const struct event_again *again,
				       const struct event_last *last)
{
	return last->slice.header.bytes && again->prev_out_ns == last->slice.out_ns &&
	       again->header.flags == last->slice.header.flags && again->tid == last->slice.tid;
}

/* `last`, which it follows, becomes the whole slice, with its tails. */
static inline void event_again_apply(const struct event_again *again, struct event_last *last)
{
	struct event_slice *slice = &last->slice;

	slice->prev_out_ns = again->prev_out_ns;
	slice->waking_ns =
		again->waking == EVENT_NOT_WOKEN ? 0 : again->prev_out_ns + again->waking;
	slice->in_ns = again->prev_out_ns + again->in;
	slice->out_ns = slice->in_ns + again->length;
	slice->exec_in_ns = slice->exec_out_ns;
	slice->exec_out_ns += again->exec;
	slice->exec_start_in_ns = slice->exec_start_out_ns + again->exec_start;
	slice->exec_start_out_ns = slice->exec_start_in_ns + again->exec;
	slice->stolen_in_ns = slice->stolen_out_ns;
	slice->lost_before = 0;
}

/* As far as what follows is told of it. */
static inline void event_again_end(const struct event_again *again, struct event_last *last)
{
	last->slice.out_ns = again->prev_out_ns + again->in + again->length;
	last->slice.exec_out_ns += again->exec;
	last->slice.exec_start_out_ns += (__u64)again->exec_start + again->exec;
}

/* Is it a slice with which nothing changed? */
static inline bool event_again_is_like(const struct event_slice *slice,
				       const struct event_last *last)
{
	const struct event_slice *before = &last->slice;

	return slice->header.bytes == before->header.bytes &&
	       slice->header.flags == before->header.flags && slice->pid == before->pid &&
	       slice->tid == before->tid && slice->prev_out_ns == before->out_ns &&
	       slice->exec_in_ns == before->exec_out_ns &&
	       slice->stolen_in_ns == before->stolen_out_ns &&
	       slice->stolen_out_ns == before->stolen_out_ns && slice->cpu == before->cpu &&
	       !slice->lost_before && slice->state == before->state &&
	       slice->syscall == before->syscall &&
	       memcmp(slice + 1, last->tails, event_tail_bytes(slice)) == 0;
}

/* false: it has to be told in full. */
static inline bool event_again_make(const struct event_slice *slice, const struct event_last *last,
				    struct event_again *out)
{
	__u64 waking = slice->waking_ns ? slice->waking_ns - slice->prev_out_ns : 0;
	__u64 in = slice->in_ns - slice->prev_out_ns, length = slice->out_ns - slice->in_ns;
	__u64 start = slice->exec_start_in_ns - last->slice.exec_start_out_ns;
	__u64 exec = slice->exec_start_out_ns - slice->exec_start_in_ns;

	if (!event_again_is_like(slice, last) || (waking | in | length | start | exec) >> 32 ||
	    waking == EVENT_NOT_WOKEN || exec != slice->exec_out_ns - slice->exec_in_ns)
		return false;
	*out = (struct event_again){
		.header = { EVENT_AGAIN, sizeof(*out), slice->header.flags },
		.tid = slice->tid,
		.waking = slice->waking_ns ? (__u32)waking : EVENT_NOT_WOKEN,
		.prev_out_ns = slice->prev_out_ns,
		.in = (__u32)in,
		.length = (__u32)length,
		.exec_start = (__u32)start,
		.exec = (__u32)exec,
	};
	return true;
}
