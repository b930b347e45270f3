/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Slices told in short (struct event_again), where nothing but times is new.
 *
 * Most are, where threads are busy; 40 bytes in place of 232 are less to write here and to read on
 * another CPU. What the last record said is compared word by word, never by a hash: what is left
 * out is the same. */
#pragma once

#include "bpf/slice.bpf.h"

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

/* Does it begin where the last one ended, with its clocks, and end as that one did? */
static __always_inline bool again_goes_on(const struct thread *thread, const struct ending *end)
{
	const struct told *told = &thread->told;

	return told->left && !thread->flags && !thread->missed && end->cpu == told->cpu &&
	       end->state == told->state && end->syscall == told->syscall &&
	       thread->exec_in_ns == thread->exec_out_ns &&
	       thread->stolen_in_ns == thread->stolen_out_ns &&
	       thread->stolen_in_ns == end->stolen_ns;
}

static __always_inline bool again_is_target(const struct event_target *target,
					    const struct thread *thread)
{
	return again_words_are(target, &thread->told_target, sizeof(*target) / 8);
}

/* What flags tell of the tag, where it is the one that it showed before, all the time; else 0. */
static __always_inline __u32 again_keeps_tag(const struct thread *thread, const struct ending *end)
{
	__u32 told = thread->reader.has_changes ? EVENT_TOLD : 0;
	int outcome = end->outcome;

	if (!end->reading || outcome == TAG_IS_FAULTING ||
	    !changes_are_none(thread, end->reading, outcome))
		return 0;
	if (!thread->has_tag)
		return outcome == TAG_IS_SET ? 0 : EVENT_TAG_IN_NONE | told;
	return outcome == TAG_IS_SET && same_tag(&thread->tag, &end->reading->record)
		       ? EVENT_TAG_OUT | EVENT_TAG_SAME | told
		       : 0;
}

/* Would all that is told of it, but for its times, be what was told of the last one? The dear
 * questions last. */
static __always_inline bool again_is_like(void *context, struct thread *thread,
					  struct task_struct *task, struct ending *end)
{
	struct event_target target;
	__u32 flags;

	if (!again_goes_on(thread, end))
		return false;
	flags = again_keeps_tag(thread, end);
	if (!flags)
		return false;
	flags |= end->flags;
	if (slice_tells_waker(thread, flags))
		flags |= EVENT_WAKER;
	if (flags & EVENT_WAKER && !thread->told.same_waker)
		return false;
	flags |= slice_find_target(thread, task, end, &target);
	if (flags & EVENT_TARGET && !again_is_target(&target, thread))
		return false;
	flags |= slice_find_stack(context, thread, end, flags);
	if (flags & EVENT_STACK_ID && thread->memo.id != thread->told.stack)
		return false;
	if (flags & EVENT_STACK_ID && end->state && !(flags & EVENT_KERNEL_WAIT))
		flags |= stack_wait_flags(&thread->memo);
	return flags == thread->told.flags;
}

/* false: the times do not fit. */
static __always_inline bool again_put(struct thread *thread, const struct ending *end)
{
	__u64 in = thread->in_ns - thread->out_ns, length = end->ns - thread->in_ns;
	__u64 start = thread->exec_start_in_ns - thread->exec_start_out_ns;
	__u64 exec = end->exec_start_ns - thread->exec_start_in_ns;
	__u64 waking = thread->waking_ns ? thread->waking_ns - thread->out_ns : 0;
	struct event_again again = {
		.header = { .kind = EVENT_AGAIN,
			    .bytes = sizeof(again),
			    .flags = thread->told.flags },
		.tid = thread->tid,
		.waking = thread->waking_ns ? (__u32)waking : EVENT_NOT_WOKEN,
		.prev_out_ns = thread->out_ns,
		.in = (__u32)in,
		.length = (__u32)length,
		.exec_start = (__u32)start,
		.exec = (__u32)exec,
	};

	if ((in | length | start | exec | waking) >> 32 || waking == EVENT_NOT_WOKEN ||
	    exec != end->exec_ns - thread->exec_in_ns)
		return false;
	if (record_put(&again, sizeof(again)))
		thread->told.left--;
	else
		slice_miss(thread);
	return true;
}

/* false: it has to be told in full. */
static __always_inline bool again_tell(void *context, struct thread *thread,
				       struct task_struct *task, struct ending *end)
{
	return knobs.again != AGAIN_IN_FULL && again_is_like(context, thread, task, end) &&
	       again_put(thread, end) && knobs.again != AGAIN_TWICE;
}
