/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which of many descriptors a poller was waiting for: the one that came first. It stands at the
 * head of the poller's list as the poller is woken, and nobody takes it from there before that
 * runs. The poller is found by the call of the thread that is woken. poll(2) keeps no such list:
 * there the one of the network is told, if the network wakes, or nobody does in time. */
#pragma once

#include "bpf/target.bpf.h"
#include "bpf/thread_table.bpf.h"

/* Shorter waits are not worth a record: who has many of them, waits for all of the descriptors. */
#define READY_LEAST_NS 50000

/* 0: none is ready, as where time is up. */
static __always_inline __u64 ready_file(struct task_struct *task)
{
	void *registers = task_registers(task);
	void *file = file_of(task, (__u32)FIELD(struct pt_regs, registers, di));

	if (!file || !bpf_core_field_exists(struct epitem, rdllink))
		return 0;
	void *poller = FIELD(struct file, file, private_data);
	/* probed: a number, with which one may reckon */
	void *first = BPF_CORE_READ((struct eventpoll *)poller, rdllist.next);
	void *item = first - bpf_core_field_offset(struct epitem, rdllink);

	/* an empty list is its own head; and another thread may have put something else in the
	 * descriptor's place */
	if (!first || FIELD(struct epitem, item, ep) != poller)
		return 0;
	return (__u64)BPF_CORE_READ((struct epitem *)item, ffd.file);
}

/* Of poll: the only one of the network, if that made it go on, or nothing did. */
static __always_inline __u64 ready_polled(struct task_struct *task, const struct event_waker *waker)
{
	struct polled_one *one = polled_of(LOAD(task, pid));

	if (!one || one->tid != LOAD(task, pid) ||
	    (waker->kind != WAKER_NETWORK && waker->kind != WAKER_TIMER))
		return 0;
	return (__u64)file_of(task, one->fd);
}

static __always_inline __u64 ready_of(struct task_struct *task, const struct event_waker *waker)
{
	void *registers = task_registers(task);
	__s32 syscall = (__s32)FIELD(struct pt_regs, registers, orig_ax);

	return syscall == SYS_POLL || syscall == SYS_PPOLL ? ready_polled(task, waker)
							   : ready_file(task);
}

/* `task` is about to be woken. Not told where the ring is full: it is no loss of a slice. */
static __noinline int ready_tell(struct task_struct *task, struct thread *thread)
{
	struct event_ready ready = { .header = { .kind = EVENT_READY, .bytes = sizeof(ready) } };
	__u64 woken_ns = thread->wakeups[thread->slot & 1].time_ns;

	thread->is_polling = 0;
	if (woken_ns < thread->out_ns + READY_LEAST_NS)
		return 0;
	__u64 file = ready_of(task, &thread->wakeups[thread->slot & 1].waker);

	if (!file)
		return 0;
	ready.pid = thread->pid;
	ready.tid = thread->tid;
	ready.out_ns = thread->out_ns;
	target_file_at(file, &ready.target);
	bpf_ringbuf_output(&records, &ready, sizeof(ready), BPF_RB_NO_WAKEUP);
	return 0;
}
