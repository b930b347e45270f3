/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A slice told in full: the head of its record, its tags, what it waits for, who woke it, and where
 * it is. */
#pragma once

#include "bpf/changes.bpf.h"
#include "bpf/record.bpf.h"
#include "bpf/stack.bpf.h"
#include "bpf/target.bpf.h"
#include "bpf/thread_table.bpf.h"

/* Out of line: once in a process's life, and the news would lie in the frame of who calls. */
static __noinline int slice_tell_log(__u32 pid)
{
	tell_worker(NEWS_LOG, pid, 0);
	return 0;
}

static __always_inline void slice_put_tag(struct draft *draft, const void *tag)
{
	copy_tag(record_tail(draft, EVENT_TAG_OUT, sizeof(struct event_tag)), tag);
}

/* It could not be read: the last one known is told, and that it may be another by now. */
static __always_inline void slice_guess(struct draft *draft, struct thread *thread)
{
	draft->flags |= EVENT_TAG_OUT_UNKNOWN;
	if (thread->has_tag)
		slice_put_tag(draft, &thread->tag);
	if (!thread->tag_unknown)
		draft->flags |= thread->has_tag ? EVENT_TAG_SAME : EVENT_TAG_IN_NONE;
	thread->tag_unknown = 1;
}

/* Sets flags and tails for the tag that it shows, at both ends of the slice, and remembers it. */
static __always_inline void slice_note_tag(struct draft *draft, struct thread *thread,
					   const struct ending *end)
{
	struct tag_reading *read = end->reading;
	const struct event_slice *slice = &draft->record->slice;
	int outcome = end->outcome;

	if (thread->reader.is_news) {
		thread->reader.is_news = 0;
		slice_tell_log(thread->pid);
	}
	if (thread->reader.has_changes)
		draft->flags |= changes_note(thread, read, slice, &outcome);
	else
		thread->knows_changes = changes_is_virgin(thread, read, outcome);

	bool begins_here = draft->flags & EVENT_FIRST && slice->in_ns == slice->out_ns;
	bool knew = !thread->tag_unknown || draft->flags & EVENT_TOLD;

	/* No system call, so it was interrupted where it stood: perhaps between two stores. */
	if (outcome == TAG_IS_CLEARED ||
	    (outcome == TAG_IS_INVALID && (slice->syscall >= 0 || !thread->has_tag)))
		outcome = TAG_IS_NONE;
	if (outcome == TAG_IS_FAULTING || outcome == TAG_IS_INVALID) {
		count_lost(outcome == TAG_IS_FAULTING ? LOSS_TAG_FAULT : LOSS_TAG_UPDATING);
		slice_guess(draft, thread);
		return;
	}
	if (outcome == TAG_IS_SET)
		slice_put_tag(draft, &read->record);
	if (begins_here)
		draft->flags |= outcome == TAG_IS_SET ? EVENT_TAG_SAME : EVENT_TAG_IN_NONE;
	else if (knew && !thread->has_tag)
		draft->flags |= EVENT_TAG_IN_NONE;
	else if (knew && outcome == TAG_IS_SET && same_tag(&thread->tag, &read->record))
		draft->flags |= EVENT_TAG_SAME;
	else if (knew)
		copy_tag(record_tail(draft, EVENT_TAG_IN, sizeof(struct event_tag)), &thread->tag);
	thread->has_tag = outcome == TAG_IS_SET;
	thread->tag_unknown = 0;
	if (outcome == TAG_IS_SET)
		copy_tag(&thread->tag, &read->record);
}

/* A thread whose memory is gone, or not its own any more: its last tag holds. */
static __always_inline void slice_hold(struct draft *draft, struct thread *thread)
{
	if (thread->has_tag)
		slice_put_tag(draft, &thread->tag);
	if (thread->tag_unknown)
		draft->flags |= EVENT_TAG_OUT_UNKNOWN;
	else
		draft->flags |= thread->has_tag ? EVENT_TAG_SAME : EVENT_TAG_IN_NONE;
	if (thread->is_over && thread->knows_changes && !thread->tag_unknown)
		draft->flags |= EVENT_TOLD;
}

/* What the wait that now begins is for; the flags that tell of it. Waits outside of spans are
 * nobody's business. */
static __always_inline __u32 slice_find_target(const struct thread *thread,
					       struct task_struct *task, const struct ending *end,
					       struct event_target *target)
{
	if (knobs.no_targets || !end->state || !thread->has_tag)
		return 0;
	if (!target_of(task, end->syscall, end->state, target))
		return 0;
	bool is_page = end->syscall < 0 && !(end->state & STATE_UNINTERRUPTIBLE);

	if (!is_page && (!(end->flags & EVENT_IOWAIT) || !target_has_no_disk(target->kind)))
		return EVENT_TARGET;
	if (!is_page)
		target_fault(target);
	return EVENT_TARGET | KERNEL_WAIT_FAULT << EVENT_KERNEL_WAIT_SHIFT;
}

static __always_inline void slice_note_target(struct draft *draft, const struct thread *thread,
					      struct task_struct *task, const struct ending *end)
{
	__u32 flags = slice_find_target(thread, task, end, record_end(draft));

	if (flags)
		record_tail(draft, flags, sizeof(struct event_target));
}

/* The kernel's frames say that the call waits for a page: whose, is what it waits for. */
static __noinline int slice_note_fault(struct draft *draft)
{
	if (!draft)
		return 0;
	__u32 at = sizeof(struct event_slice) +
		   (draft->flags & EVENT_TAG_OUT ? sizeof(struct event_tag) : 0) +
		   (draft->flags & EVENT_TAG_IN ? sizeof(struct event_tag) : 0);

	if (!(draft->flags & EVENT_TARGET) || !draft->record)
		return 0;
	at &= RECORD_MAX_OFFSET;
	barrier_var(at);
	target_fault((void *)((char *)draft->record + at));
	return 0;
}

/* What they say, where nothing else did. */
static __always_inline void slice_note_kernel_wait(struct draft *draft, struct thread *thread)
{
	__u32 wait = stack_wait_flags(&thread->memo);

	if (draft->flags & EVENT_KERNEL_WAIT)
		return;
	draft->flags |= wait;
	if (wait == KERNEL_WAIT_FAULT << EVENT_KERNEL_WAIT_SHIFT &&
	    draft->record->slice.syscall >= 0)
		slice_note_fault(draft);
}

/* Who ended the wait before the slice. */
static __always_inline const struct event_waker *slice_waker(const struct thread *thread)
{
	return &thread->wakeups[(thread->slot ^ 1) & 1].waker;
}

/* Told where a span was waiting, or the waker carried one or had just left it. `flags`: of the
 * slice's tags. */
static __always_inline bool slice_tells_waker(const struct thread *thread, __u32 flags)
{
	const struct event_waker *waker = slice_waker(thread);

	if (knobs.no_wakers || !thread->has_waker)
		return false;
	return thread->has_tag || flags & EVENT_TAG_IN ||
	       ((const __u64 *)(const void *)&waker->tag)[2] || waker->has_left;
}

static __always_inline void slice_note_waker(struct draft *draft, const struct thread *thread)
{
	if (slice_tells_waker(thread, draft->flags))
		copy_words(record_tail(draft, EVENT_WAKER, sizeof(struct event_waker)),
			   slice_waker(thread), sizeof(struct event_waker));
}

#define LONG_SLICE_NS 1000000 /* on a CPU, that the thread had to leave */

/* The code that the thread is in is of interest where a span waits, and where a tick, or whoever
 * takes its CPU after a while, finds one at work. */
static __always_inline bool slice_wants_stack(const struct thread *thread, const struct ending *end)
{
	if (!knobs.stack_interval_ns || !thread->has_tag || end->flags & EVENT_DEAD)
		return false;
	return end->state || end->flags & EVENT_TICK || end->ns - thread->in_ns >= LONG_SLICE_NS;
}

static __always_inline __u64 slice_span(const struct thread *thread)
{
	return ((const __u64 *)(const void *)&thread->tag)[2];
}

/* A path says which file, but not what keeps the thread from it: where signals can end the wait, it
 * need not be the disk, but the other end of a FIFO, who has to allow it, or who has a lease. */
static __always_inline __u32 slice_known(const struct ending *end, __u32 flags)
{
	if (flags & EVENT_TARGET && path_argument(end->syscall) >= 0)
		flags &= ~EVENT_TARGET;
	return flags;
}

/* EVENT_STACK_ID: the memo's; EVENT_STACK_BUDGET; 0: none is wanted. Asked once, for it may have
 * been paid for. `flags`: what else is told of the wait. */
static __always_inline __u32 slice_find_stack(void *context, struct thread *thread,
					      struct ending *end, __u32 flags)
{
	__u64 id = 0;

	if (end->has_asked || !slice_wants_stack(thread, end))
		return end->stack;
	bool is_due = stack_is_due(end->ns, thread->unseen_ns);

	if (!is_due)
		id = stack_recall(&thread->memo, thread->pid, slice_span(thread));
	if (is_due || (!id && stack_is_spared(end->ns))) {
		thread->memo.span = slice_span(thread);
		id = stack_take(
			context, thread->pid, thread->tid, &thread->memo,
			stack_wants_kernel(end->state, end->syscall, slice_known(end, flags)));
	}
	end->has_asked = true;
	end->stack = id ? EVENT_STACK_ID : EVENT_STACK_BUDGET;
	if (id)
		thread->unseen_ns = 0;
	else
		stack_count_missed();
	return end->stack;
}

static __always_inline void slice_note_stack(void *context, struct draft *draft,
					     struct thread *thread, struct ending *end)
{
	__u32 found = slice_find_stack(context, thread, end, draft->flags);

	if (!(found & EVENT_STACK_ID)) {
		draft->flags |= found;
		return;
	}
	if (end->state)
		slice_note_kernel_wait(draft, thread);
	*(__u64 *)record_tail(draft, EVENT_STACK_ID, sizeof(__u64)) = thread->memo.id;
}

/* The head of the record. */
static __always_inline void slice_note_head(struct draft *draft, const struct thread *thread,
					    const struct ending *end)
{
	struct event_slice *slice = &draft->record->slice;

	slice->pid = thread->pid;
	slice->tid = thread->tid;
	slice->prev_out_ns = thread->out_ns;
	slice->waking_ns = thread->waking_ns;
	slice->in_ns = thread->in_ns;
	slice->out_ns = end->ns;
	slice->exec_in_ns = thread->exec_in_ns;
	slice->exec_out_ns = end->exec_ns;
	slice->exec_start_in_ns = thread->exec_start_in_ns;
	slice->exec_start_out_ns = end->exec_start_ns;
	slice->stolen_in_ns = thread->stolen_in_ns;
	slice->stolen_out_ns = end->stolen_ns;
	slice->cpu = end->cpu;
	slice->lost_before = thread->missed;
	slice->state = end->state;
	slice->syscall = end->syscall;
}

static __noinline int slice_miss(struct thread *thread)
{
	struct event_counters *count = this_cpu_counters();

	if (count)
		count->missed++;
	thread->missed++;
	return 0;
}

/* What the next one may leave out (again.bpf.h). */
static __always_inline void slice_remember(const struct draft *draft, struct thread *thread)
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
	if (draft->flags & EVENT_TARGET) /* with which goes a tag */
		copy_words(&thread->told_target, tag + 1, sizeof(struct event_target));
}

static __always_inline void slice_tell(void *context, struct thread *thread,
				       struct task_struct *task, struct ending *end,
				       bool memory_is_gone)
{
	struct draft draft = { .record = record_begin(),
			       .flags = thread->flags | end->flags,
			       .bytes = sizeof(struct event_slice) };

	if (!draft.record)
		return;
	slice_note_head(&draft, thread, end);
	if (end->reading)
		slice_note_tag(&draft, thread, end);
	else
		slice_hold(&draft, thread);
	slice_note_target(&draft, thread, task, end);
	slice_note_waker(&draft, thread);
	if (!memory_is_gone)
		slice_note_stack(context, &draft, thread, end);
	if (!record_emit(&draft)) {
		slice_miss(thread);
		return;
	}
	thread->missed = 0;
	slice_remember(&draft, thread);
}
