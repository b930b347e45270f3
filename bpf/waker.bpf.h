/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A thread is woken: one that is followed, or one of a server whose answers such ones wait for. */
#pragma once

#include "bpf/ready.bpf.h"
#include "bpf/server.bpf.h"
#include "bpf/thread.bpf.h"

/* The first waking of a wait counts. */
static __always_inline void thread_note_waking(struct thread *thread, struct task_struct *task,
					       struct task_struct *current)
{
	struct wakeup *wakeup = &thread->wakeups[thread->slot & 1];
	__u64 now_ns = bpf_ktime_get_ns();

	if (!thread->on_cpu && wakeup->time_ns && wakeup->time_ns >= thread->out_ns)
		return;
	if (!knobs.no_wakers)
		waker_note(&wakeup->waker, current, task);
	wakeup->time_ns = now_ns;
	if (!knobs.no_wakers && !knobs.no_servers && !thread->on_cpu && wakeup->waker.pid &&
	    !is_tracked(wakeup->waker.pid) && !(LOAD(current, flags) & TASK_NOT_USER))
		server_answer(thread, &wakeup->waker, now_ns);
}

/* Out of line, as all that untracked threads do without. */
static __noinline int thread_wake(struct task_struct *task)
{
	struct task_struct *current = task_current();
	struct thread *thread;

	if (LOAD(task, pid) == LOAD(current, pid))
		return 0;
	thread = table_find(task);
	if (!thread)
		return 0;
	thread_note_waking(thread, task, current);
	if (thread->is_polling && !thread->on_cpu)
		ready_tell(task, thread);
	return 0;
}
