/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A tracked thread from one hook to the next, and the slices that it runs. */
#pragma once

#include "bpf/again.bpf.h"
#include "bpf/changes.bpf.h"
#include "bpf/record.bpf.h"
#include "bpf/stack.bpf.h"
#include "bpf/target.bpf.h"
#include "bpf/thread_table.bpf.h"

/* A waking may come this much before the switch-out that it ends: the thread had said that it would
 * sleep, and was still on its way. */
#define EARLY_WAKING_NS 20000

static __always_inline void life_emit(enum event_kind kind, __u32 pid, __u32 tid, __u32 other_pid,
				      bool is_shared)
{
	struct event_life life = {
		.header = { .kind = kind, .bytes = sizeof(life) },
		.pid = pid,
		.tid = tid,
		.other_pid = other_pid,
		.is_shared = is_shared,
		.time_ns = bpf_ktime_get_ns(),
	};
	struct event_counters *count = this_cpu_counters();

	if (bpf_ringbuf_output(&records, &life, sizeof(life), BPF_RB_NO_WAKEUP))
		count_lost(LOSS_RING_FULL);
	else if (count)
		__sync_fetch_and_add(&count->records, 1);
}

/* Out of line: once in a process's life, and the news would lie in the frame of who calls. */
static __noinline int thread_tell_log(__u32 pid)
{
	tell_worker(NEWS_LOG, pid, 0);
	return 0;
}

/* What a thread of the same process has taken over of its descriptor. */
static __always_inline void thread_take_reader(struct thread *thread, const struct thread *sibling)
{
	thread->reader.offset = sibling->reader.offset;
	thread->reader.generation = sibling->reader.generation;
	thread->reader.is_plain = sibling->reader.is_plain;
	thread->reader.has_changes = sibling->reader.has_changes;
}

/* Out of line: once in a thread's life. `maker`: of any process, or 0. 0: the table is full. */
static __noinline struct thread *thread_begin(struct task_struct *task, const struct thread *maker)
{
	struct thread *thread = table_claim(task);

	if (!thread) {
		count_lost(LOSS_STORAGE_FULL);
		life_emit(EVENT_UNFOLLOWED, LOAD(task, tgid), LOAD(task, pid), 0, false);
		return 0;
	}
	__builtin_memset(thread, 0, __builtin_offsetof(struct thread, place));
	thread->wakeups[0].time_ns = 0;
	thread->wakeups[1].time_ns = 0;
	__builtin_memset(&thread->memo, 0, sizeof(thread->memo));
	thread->tid = LOAD(task, pid);
	thread->flags = EVENT_FIRST;
	thread->tag_unknown = 1;
	thread->pid = LOAD(task, tgid);
	if (maker && maker->pid == thread->pid && maker->reader.generation == shared.generation)
		thread_take_reader(thread, maker);
	else
		tag_renew_reader(&thread->reader, thread->pid);
	return thread;
}

static __always_inline struct thread *thread_of(struct task_struct *task)
{
	struct thread *thread = table_find(task);

	return thread ? thread : thread_begin(task, 0);
}

/* ---- the beginning of a slice: switch-in */

/* Was there a waking for the wait that ends now, and when? */
static __always_inline void thread_take_wakeup(struct thread *thread)
{
	struct wakeup *wakeup = &thread->wakeups[thread->slot & 1];
	__u64 waking_ns = wakeup->time_ns;

	thread->waking_ns = 0;
	thread->has_waker = 0;
	if (!thread->blocked)
		return;
	if (waking_ns < thread->out_ns && waking_ns + EARLY_WAKING_NS >= thread->out_ns)
		waking_ns = thread->out_ns;
	if (waking_ns >= thread->out_ns && waking_ns) {
		thread->waking_ns = waking_ns;
		thread->has_waker = 1;
		thread->slot ^= 1;
		again_compare_wakers(thread);
		thread->wakeups[thread->slot & 1].time_ns = 0;
	} else if (thread->out_ns) {
		count_lost(LOSS_WAKING);
	}
}

static __always_inline void thread_enter(struct task_struct *task, __u64 now_ns)
{
	struct thread *thread = thread_of(task);

	if (!thread)
		return;
	if (thread->on_cpu) {
		count_lost(LOSS_SWITCH_OUT);
		thread->flags |= EVENT_OUT_LOST;
		thread->out_ns = 0;
		thread->tag_unknown = 1;
		thread->blocked = 0;
	}
	thread_take_wakeup(thread);
	if (thread->blocked)
		thread->unseen_ns += now_ns - thread->out_ns;
	thread->on_cpu = 1;
	thread->in_ns = now_ns;
	thread->exec_in_ns = LOAD(task, se.sum_exec_runtime);
	thread->exec_start_in_ns = LOAD(task, se.exec_start);
	thread->stolen_in_ns = task_stolen_ns(task);
}

/* ---- its end: switch-out, tick, exec */

/* A slice whose switch-in nobody reported. A thread that is older than we are begins here and now;
 * of any other the CPU clock still tells how long it ran. */
static __always_inline void thread_enter_late(struct thread *thread, struct task_struct *task,
					      __u64 now_ns)
{
	if (thread->flags & EVENT_FIRST && !thread->is_born) {
		thread->in_ns = now_ns;
		thread->exec_in_ns = LOAD(task, se.sum_exec_runtime);
		thread->exec_start_in_ns = LOAD(task, se.exec_start);
		thread->stolen_in_ns = task_stolen_ns(task);
		return;
	}
	count_lost(LOSS_SWITCH_IN);
	thread->flags |= EVENT_IN_LOST;
	thread->in_ns = 0;
	thread->exec_in_ns = thread->exec_out_ns;
	thread->exec_start_in_ns = 0;
	thread->stolen_in_ns = 0;
	thread_take_wakeup(thread);
}

static __always_inline bool same_tag(const struct event_tag *a, const void *b)
{
	const __u64 *left = (const void *)a, *right = b;

	return left[0] == right[0] && left[1] == right[1] && left[2] == right[2];
}

static __always_inline void draft_tag_out(struct draft *draft, const void *tag)
{
	copy_tag(record_tail(draft, EVENT_TAG_OUT, sizeof(struct event_tag)), tag);
}

/* It could not be read: the last one known is told, and that it may be another by now. */
static __always_inline void thread_guess(struct draft *draft, struct thread *thread)
{
	draft->flags |= EVENT_TAG_OUT_UNKNOWN;
	if (thread->has_tag)
		draft_tag_out(draft, &thread->tag);
	if (!thread->tag_unknown)
		draft->flags |= thread->has_tag ? EVENT_TAG_SAME : EVENT_TAG_IN_NONE;
	thread->tag_unknown = 1;
}

/* Reads the tag, sets flags and tails for it at both ends of the slice, and remembers it. */
static __always_inline void thread_observe(struct draft *draft, struct thread *thread,
					   struct task_struct *task)
{
	struct tag_near near;
	struct tag_reading *read = &near.reading;
	const struct event_slice *slice = &draft->record->slice;
	int outcome = tag_read(task, &thread->reader, DESK_CUT, &near);

	if (thread->reader.is_news) {
		thread->reader.is_news = 0;
		thread_tell_log(thread->pid);
	}
	if (thread->reader.has_changes)
		draft->flags |= changes_note(thread, read, slice, &outcome);
	else
		thread->knows_changes = changes_is_virgin(thread, read, outcome);

	bool begins_here = draft->flags & EVENT_FIRST && slice->in_ns == slice->out_ns;
	bool knew = !thread->tag_unknown || draft->flags & EVENT_TOLD;

	/* No system call, so it was interrupted where it stood: perhaps between two stores. */
	if (outcome == TAG_IS_INVALID && (slice->syscall >= 0 || !thread->has_tag))
		outcome = TAG_IS_NONE;
	if (outcome == TAG_IS_FAULTING || outcome == TAG_IS_INVALID) {
		count_lost(outcome == TAG_IS_FAULTING ? LOSS_TAG_FAULT : LOSS_TAG_UPDATING);
		thread_guess(draft, thread);
		return;
	}
	if (outcome == TAG_IS_SET)
		draft_tag_out(draft, &read->record);
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
static __always_inline void thread_hold(struct draft *draft, struct thread *thread)
{
	if (thread->has_tag)
		draft_tag_out(draft, &thread->tag);
	if (thread->tag_unknown)
		draft->flags |= EVENT_TAG_OUT_UNKNOWN;
	else
		draft->flags |= thread->has_tag ? EVENT_TAG_SAME : EVENT_TAG_IN_NONE;
	if (thread->is_over && thread->knows_changes && !thread->tag_unknown)
		draft->flags |= EVENT_TOLD;
}

static __always_inline void thread_note_tag(struct draft *draft, struct thread *thread,
					    struct task_struct *task, bool memory_is_gone)
{
	if (thread->reader.generation != shared.generation) {
		tag_renew_reader(&thread->reader, thread->pid);
		thread->told.left = 0; /* it may not have been followed for a while */
	}
	if (memory_is_gone || LOAD(task, flags) & TASK_NOT_USER || !LOAD(task, mm) ||
	    (LOAD(task, flags) & TASK_EXITING && !thread->is_leaving))
		thread_hold(draft, thread);
	else
		thread_observe(draft, thread, task);
}

/* What the wait that now begins is for. Waits outside of spans are nobody's business. */
static __always_inline void thread_note_target(struct draft *draft, struct thread *thread,
					       struct task_struct *task, void *registers)
{
	const struct event_slice *slice = &draft->record->slice;
	struct event_target *target = record_end(draft);

	if (knobs.no_targets || !thread->has_tag)
		return;
	if (!target_of(task, registers, slice->syscall, slice->state, target))
		return;
	if (draft->flags & EVENT_IOWAIT && target_has_no_disk(target->kind)) {
		draft->flags |= KERNEL_WAIT_FAULT << EVENT_KERNEL_WAIT_SHIFT;
		target_fault(target);
	}
	record_tail(draft, EVENT_TARGET, sizeof(struct event_target));
}

/* The kernel's frames say that the call waits for a page: whose, is what it waits for. */
static __noinline int thread_note_fault(struct draft *draft)
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
static __always_inline void thread_note_kernel_wait(struct draft *draft, struct thread *thread)
{
	__u32 wait = stack_wait_flags(&thread->memo);

	if (draft->flags & EVENT_KERNEL_WAIT)
		return;
	draft->flags |= wait;
	if (wait == KERNEL_WAIT_FAULT << EVENT_KERNEL_WAIT_SHIFT &&
	    draft->record->slice.syscall >= 0)
		thread_note_fault(draft);
}

/* Who ended the wait before this slice, where a span was waiting, or the waker carried one or had
 * just left it. */
static __always_inline void thread_note_waker(struct draft *draft, struct thread *thread)
{
	struct event_waker *waker = &thread->wakeups[(thread->slot ^ 1) & 1].waker;
	const __u64 *tag = (const void *)&waker->tag;

	if (knobs.no_wakers || !thread->has_waker)
		return;
	if (!thread->has_tag && !(draft->flags & EVENT_TAG_IN) && !tag[2] && !waker->has_left)
		return;
	copy_words(record_tail(draft, EVENT_WAKER, sizeof(*waker)), waker, sizeof(*waker));
}

#define LONG_SLICE_NS 1000000 /* on a CPU, that the thread had to leave */

/* The code that the thread is in: where a span waits, and where a tick, or whoever takes its CPU
 * after a while, finds one at work. */
static __always_inline void thread_note_stack(void *context, struct draft *draft,
					      struct thread *thread, __u32 state)
{
	const struct event_slice *slice = &draft->record->slice;
	__u64 id = 0;

	if (!knobs.stack_interval_ns || !thread->has_tag || draft->flags & EVENT_DEAD)
		return;
	if (!state && !(draft->flags & EVENT_TICK) && slice->out_ns - slice->in_ns < LONG_SLICE_NS)
		return;
	__u64 span = ((const __u64 *)(const void *)&thread->tag)[2];

	bool is_due = stack_is_due(slice->out_ns, thread->unseen_ns);

	if (!is_due)
		id = stack_recall(&thread->memo, slice->pid, span);
	if (is_due || (!id && stack_is_spared(slice->out_ns))) {
		thread->memo.span = span;
		id = stack_take(context, slice->pid, slice->tid, &thread->memo,
				stack_wants_kernel(slice, draft->flags));
	}
	if (!id) {
		stack_count_missed();
		draft->flags |= EVENT_STACK_BUDGET;
		return;
	}
	thread->unseen_ns = 0;
	if (state)
		thread_note_kernel_wait(draft, thread);
	*(__u64 *)record_tail(draft, EVENT_STACK_ID, sizeof(id)) = id;
}

/* The head of the record. */
static __always_inline void thread_note_slice(struct draft *draft, struct thread *thread,
					      struct task_struct *task, __u64 now_ns)
{
	struct event_slice *slice = &draft->record->slice;

	again_note_clocks(draft, thread);
	slice->pid = thread->pid;
	slice->tid = thread->tid;
	slice->prev_out_ns = thread->out_ns;
	slice->waking_ns = thread->waking_ns;
	slice->in_ns = thread->in_ns;
	slice->out_ns = thread->out_ns = now_ns;
	slice->exec_in_ns = thread->exec_in_ns;
	slice->exec_out_ns = thread->exec_out_ns = LOAD(task, se.sum_exec_runtime);
	slice->exec_start_in_ns = thread->exec_start_in_ns;
	slice->exec_start_out_ns = thread->exec_start_out_ns = LOAD(task, se.exec_start);
	slice->stolen_in_ns = thread->stolen_in_ns;
	slice->stolen_out_ns = thread->stolen_out_ns = task_stolen_ns(task);
	slice->cpu = bpf_get_smp_processor_id();
	slice->lost_before = thread->missed;
}

static __noinline int thread_miss(struct thread *thread)
{
	struct event_counters *count = this_cpu_counters();

	if (count)
		count->missed++;
	thread->missed++;
	return 0;
}

/* Ends the running slice at `now_ns` and begins the next cycle. `flags` say how it ends: TICK,
 * PREEMPTED, DEAD; `state` is 0 unless it waits. */
static __always_inline void thread_close(void *context, struct thread *thread,
					 struct task_struct *task, __u64 now_ns, __u32 flags,
					 __u32 state, bool memory_is_gone)
{
	struct draft draft = { .record = record_begin(), .bytes = sizeof(struct event_slice) };
	void *registers = task_registers(task);

	if (!draft.record)
		return;
	if (!thread->on_cpu)
		thread_enter_late(thread, task, now_ns);
	draft.flags = thread->flags | flags;
	if (!task_tells_stolen(task))
		draft.flags |= EVENT_STOLEN_UNTOLD;
	thread_note_slice(&draft, thread, task, now_ns);
	draft.record->slice.state = state;
	draft.record->slice.syscall = (__s32)FIELD(struct pt_regs, registers, orig_ax);
	thread_note_tag(&draft, thread, task, memory_is_gone);
	if (state) {
		if (LOAD_BIT(task, in_iowait))
			draft.flags |= EVENT_IOWAIT;
		if (task_is_frozen(task, state))
			draft.record->slice.state |= EVENT_STATE_FROZEN;
		thread_note_target(&draft, thread, task, registers);
	}
	thread_note_waker(&draft, thread);
	if (!memory_is_gone)
		thread_note_stack(context, &draft, thread, state);
	if (again_emit(&draft, thread))
		thread->missed = 0;
	else
		thread_miss(thread);
	thread->flags = 0;
	thread->has_waker = 0;
}

static __always_inline void thread_leave(void *context, struct thread *thread,
					 struct task_struct *task, __u64 now_ns, bool preempted,
					 __u32 state)
{
	__u32 flags = 0;

	if (preempted || state == 0) {
		flags = EVENT_PREEMPTED;
		state = 0;
	} else if (state & STATE_DEAD) {
		flags = EVENT_DEAD;
	}
	thread_close(context, thread, task, now_ns, flags, state, false);
	thread->on_cpu = 0;
	thread->blocked = state != 0;
	if (!state && task_is_throttled(task))
		thread->flags = EVENT_THROTTLED;
}

/* Ends the slice of the running current thread and begins another one at the same instant. */
static __always_inline void thread_cut(void *context, struct thread *thread,
				       struct task_struct *task, bool memory_is_gone)
{
	if (thread->is_cutting) /* a tick in the middle of another hook's cut */
		return;
	thread->is_cutting = 1;
	thread_close(context, thread, task, bpf_ktime_get_ns(), EVENT_TICK, 0, memory_is_gone);
	thread->flags = EVENT_AFTER_TICK;
	thread->waking_ns = 0;
	thread->in_ns = thread->out_ns;
	thread->exec_in_ns = thread->exec_out_ns;
	/* as the record says: another CPU may have read the clock since */
	thread->exec_start_in_ns = thread->exec_start_out_ns;
	thread->stolen_in_ns = thread->stolen_out_ns;
	thread->on_cpu = 1;
	thread->blocked = 0;
	thread->is_cutting = 0;
}

static __always_inline void thread_tick(void *context, struct task_struct *task)
{
	struct event_counters *count = this_cpu_counters();
	struct thread *thread = thread_of(task);

	if (count)
		count->ticks++;
	if (thread)
		thread_cut(context, thread, task, false);
}

#define STOLEN_CUT_NS 5000 /* less is not worth a record */

/* At timers, of which one is the scheduler's, which reads its clock: what was stolen up to there,
 * nobody has who owns only what comes after. So the slice ends there. */
static __always_inline void thread_cut_stolen(void *context, struct task_struct *task)
{
	struct thread *thread;

	if (knobs.timer_cuts == TIMER_CUTS_NEVER || !is_tracked(LOAD(task, tgid)))
		return;
	thread = table_find(task);
	if (thread && thread->on_cpu &&
	    (knobs.timer_cuts == TIMER_CUTS_ALWAYS ||
	     task_stolen_ns(task) > thread->stolen_in_ns + STOLEN_CUT_NS))
		thread_cut(context, thread, task, false);
}
