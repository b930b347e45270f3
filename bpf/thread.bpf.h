/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A tracked thread from one hook to the next, and the slices that it runs. */
#pragma once

#include "bpf/again.bpf.h"
#include "bpf/slice.bpf.h"

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

/* What a thread of the same process has taken over of its descriptor. */
static __always_inline void thread_take_reader(struct thread *thread, const struct thread *sibling)
{
	thread->reader.offset = sibling->reader.offset;
	thread->reader.generation = sibling->reader.generation;
	thread->reader.is_plain = sibling->reader.is_plain;
	thread->reader.has_changes = sibling->reader.has_changes;
}

/* Out of line: once in a thread's life. `maker`: of any process, or 0. 0: the table is full, or it
 * is a worker of the kernel's among the process's threads (io_uring's, vhost's): no code of the
 * program's runs there, so it never has a span, whatever its maker's thread pointer, which it
 * keeps, leads to. */
static __noinline struct thread *thread_begin(struct task_struct *task, const struct thread *maker)
{
	struct thread *thread;

	if (LOAD(task, flags) & TASK_NOT_USER)
		return 0;
	thread = table_claim(task);
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
	thread->woken[0] = thread->woken[1] = 0;
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

static __always_inline void thread_enter(struct task_struct *task, __u64 now_ns, __u64 stolen_ns)
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
	thread->stolen_in_ns = stolen_ns;
}

/* ---- its end: switch-out, tick, exec */

/* A slice whose switch-in nobody reported. A thread that is older than we are begins here and now;
 * of any other the CPU clock still tells how long it ran. */
static __always_inline void thread_enter_late(struct thread *thread, const struct ending *end)
{
	if (thread->flags & EVENT_FIRST && !thread->is_born) {
		thread->in_ns = end->ns;
		thread->exec_in_ns = end->exec_ns;
		thread->exec_start_in_ns = end->exec_start_ns;
		thread->stolen_in_ns = end->stolen_ns;
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

/* All that the kernel says of an end of which it is known when and why it is. */
static __always_inline void thread_look_at_end(struct task_struct *task, struct ending *end)
{
	void *registers = task_registers(task);

	end->exec_ns = LOAD(task, se.sum_exec_runtime);
	end->exec_start_ns = LOAD(task, se.exec_start);
	end->syscall = (__s32)FIELD(struct pt_regs, registers, orig_ax);
	end->cpu = bpf_get_smp_processor_id();
	if (!task_tells_stolen(task))
		end->flags |= EVENT_STOLEN_UNTOLD;
	if (!end->state)
		return;
	if (LOAD_BIT(task, in_iowait))
		end->flags |= EVENT_IOWAIT;
	if (task_is_frozen(task, end->state))
		end->state |= EVENT_STATE_FROZEN;
}

/* What the thread shows then, if it has memory of its own that can be read. */
static __always_inline void thread_look_at_tag(struct thread *thread, struct task_struct *task,
					       struct ending *end, bool memory_is_gone)
{
	struct tag_desk *desk = this_desk(DESK_CUT);

	if (thread->reader.generation != shared.generation) {
		tag_renew_reader(&thread->reader, thread->pid);
		thread->told.left = 0; /* it may not have been followed for a while */
	}
	if (!desk || memory_is_gone || LOAD(task, flags) & TASK_NOT_USER || !LOAD(task, mm) ||
	    (LOAD(task, flags) & TASK_EXITING && !thread->is_leaving))
		return;
	end->reading = &desk->reading;
	end->outcome = tag_read(task, &thread->reader, DESK_CUT, end->reading);
}

/* Ends the running slice, and begins the next cycle. */
static __always_inline void thread_close(void *context, struct thread *thread,
					 struct task_struct *task, struct ending *end,
					 bool memory_is_gone)
{
	thread->is_polling = 0;
	thread_look_at_end(task, end);
	thread_look_at_tag(thread, task, end, memory_is_gone);
	if (!thread->on_cpu)
		thread_enter_late(thread, end);
	if (!again_tell(context, thread, task, end))
		slice_tell(context, thread, task, end, memory_is_gone);
	thread->out_ns = end->ns;
	thread->exec_out_ns = end->exec_ns;
	thread->exec_start_out_ns = end->exec_start_ns;
	thread->stolen_out_ns = end->stolen_ns;
	thread->flags = 0;
	thread->has_waker = 0;
}

/* Of `end`: when, and the task's state. */
static __always_inline void thread_leave(void *context, struct thread *thread,
					 struct task_struct *task, struct ending *end,
					 bool preempted)
{
	if (preempted || end->state == 0) {
		end->flags = EVENT_PREEMPTED;
		end->state = 0;
	} else if (end->state & STATE_DEAD) {
		end->flags = EVENT_DEAD;
	}
	thread_close(context, thread, task, end, false);
	thread->on_cpu = 0;
	thread->blocked = end->state != 0;
	if (!thread->blocked && task_is_throttled(task))
		thread->flags = EVENT_THROTTLED;
}

static __always_inline void thread_cut_now(void *context, struct thread *thread,
					   struct task_struct *task, bool memory_is_gone)
{
	struct ending end = { .flags = EVENT_TICK };

	thread->is_cutting = 1;
	end.ns = bpf_ktime_get_ns();
	end.stolen_ns = task_stolen_ns(task);
	thread_close(context, thread, task, &end, memory_is_gone);
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

/* Ends the slice of the running current thread and begins another one at the same instant. */
static __always_inline void thread_cut(void *context, struct thread *thread,
				       struct task_struct *task, bool memory_is_gone)
{
	cpu_keep();
	if (!thread->is_cutting) /* else a tick in the middle of another hook's cut */
		thread_cut_now(context, thread, task, memory_is_gone);
	cpu_let_go();
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
