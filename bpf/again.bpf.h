/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Slices told in short (struct event_again), where nothing but times is new.
 *
 * Most are, where threads are busy; 40 bytes in place of 232 are less to write here and to read on
 * another CPU. What the last record said is compared word by word, never by a hash: what is left
 * out is the same. */
#pragma once

#include "bpf/record.bpf.h"
#include "bpf/thread_table.bpf.h"

/* Of `count` words. */
static __always_inline bool again_words_are(const void *a, const void *b, __u32 count)
{
	const __u64 *left = a, *right = b;
	__u64 differ = 0;

#pragma unroll
	for (__u32 i = 0; i < count; i++)
		differ |= left[i] ^ right[i];
	return !differ;
}

/* At a switch-in. The one who ended the wait before the last record stands in the other place, and
 * nobody can wake the thread before it has run. */
static __always_inline void again_compare_wakers(struct thread *thread)
{
	if (knobs.no_wakers || !(thread->told.flags & EVENT_WAKER))
		return;
	thread->told.same_waker =
		again_words_are(&thread->wakeups[0].waker, &thread->wakeups[1].waker,
				sizeof(struct event_waker) / 8);
}

/* Before the slice's end becomes the last one. */
static __always_inline void again_note_clocks(struct draft *draft, const struct thread *thread)
{
	__u64 start = thread->exec_start_in_ns - thread->exec_start_out_ns;

	draft->record->again.exec_start = (__u32)start;
	draft->goes_on = !(start >> 32) && thread->exec_in_ns == thread->exec_out_ns &&
			 thread->stolen_in_ns == thread->stolen_out_ns;
}

static __always_inline bool again_tails_are(const struct draft *draft, const struct thread *thread)
{
	const struct event_tag *tag = (const void *)draft->record->tails;

	if (draft->flags & EVENT_WAKER && !thread->told.same_waker)
		return false;
	if (draft->flags & EVENT_STACK_ID && thread->memo.id != thread->told.stack)
		return false;
	/* with a target goes a tag */
	return !(draft->flags & EVENT_TARGET) ||
	       again_words_are(tag + 1, &thread->told_target, sizeof(struct event_target) / 8);
}

static __always_inline bool again_is_like(const struct draft *draft, const struct thread *thread)
{
	const struct event_slice *slice = &draft->record->slice;
	const struct told *told = &thread->told;

	/* flags that tell of the same tag at both ends, or of none: that of the last record */
	return draft->goes_on && told->left && draft->flags == told->flags && !thread->missed &&
	       slice->cpu == told->cpu && slice->state == told->state &&
	       slice->syscall == told->syscall && slice->stolen_out_ns == slice->stolen_in_ns &&
	       again_tails_are(draft, thread);
}

/* false: the times do not fit. */
static __always_inline bool again_make(const struct event_slice *slice, struct event_again *again)
{
	__u64 in = slice->in_ns - slice->prev_out_ns, length = slice->out_ns - slice->in_ns;
	__u64 exec = slice->exec_start_out_ns - slice->exec_start_in_ns;
	__u64 waking = slice->waking_ns ? slice->waking_ns - slice->prev_out_ns : 0;

	if ((in | length | exec | waking) >> 32 || waking == EVENT_NOT_WOKEN ||
	    exec != slice->exec_out_ns - slice->exec_in_ns)
		return false;
	again->tid = slice->tid;
	again->waking = slice->waking_ns ? (__u32)waking : EVENT_NOT_WOKEN;
	again->prev_out_ns = slice->prev_out_ns;
	again->in = (__u32)in;
	again->length = (__u32)length;
	again->exec = (__u32)exec;
	return true;
}

static __always_inline void again_note(const struct draft *draft, struct thread *thread)
{
	const struct event_slice *slice = &draft->record->slice;
	const struct event_tag *tag = (const void *)draft->record->tails;
	struct told *told = &thread->told;

	told->flags = draft->flags;
	told->left = draft->flags & ~EVENT_AGAIN_FLAGS ? 0 : EVENT_AGAIN_MOST;
	told->state = slice->state;
	told->syscall = slice->syscall;
	told->cpu = (__u16)slice->cpu;
	told->stack = thread->memo.id;
	if (draft->flags & EVENT_TARGET)
		copy_words(&thread->told_target, tag + 1, sizeof(struct event_target));
}

/* false: the ring is full. */
static __always_inline bool again_emit(struct draft *draft, struct thread *thread)
{
	struct record *record = draft->record;

	if (knobs.again == AGAIN_IN_FULL || !again_is_like(draft, thread) ||
	    !again_make(&record->slice, &record->again)) {
		if (!record_emit(draft))
			return false;
		again_note(draft, thread);
		return true;
	}
	record->again.header.kind = EVENT_AGAIN;
	record->again.header.bytes = sizeof(record->again);
	record->again.header.flags = draft->flags;
	if (!record_put(&record->again, sizeof(record->again)))
		return false;
	thread->told.left--;
	if (knobs.again == AGAIN_TWICE)
		record_emit(draft);
	return true;
}
