/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who wakes whom. In an interrupt the current thread is there by chance, so the contexts that run
 * on a CPU are noted as they begin and end; __preempt_count would tell as much at no cost, but is
 * missing from kallsyms on many kernels and tells no timer from a disk. */
#pragma once

#include "bpf/record.bpf.h"
#include "bpf/thread_table.bpf.h"

enum waker_softirq {
	SOFTIRQ_TIMER = 1 << 1,
	SOFTIRQ_NETWORK = 1 << 2 | 1 << 3,
	SOFTIRQ_BLOCK = 1 << 4 | 1 << 5,
	SOFTIRQ_HRTIMER = 1 << 8,
};

static __always_inline void interrupt_begin(__u32 bit)
{
	this_cpu()->interrupts |= bit;
}

static __always_inline void interrupt_end(__u32 bit)
{
	this_cpu()->interrupts &= ~bit;
}

static __always_inline void softirq_begin(__u32 vector)
{
	interrupt_begin(1u << (vector & 15));
	if (softirqs_are_displaced())
		this_cpu()->softirq_tid = LOAD(task_current(), pid);
}

/* In which `current` is: a softirq that another thread was displaced in is none of its. */
static __always_inline __u32 interrupts_of(struct task_struct *current)
{
	struct worker_cpu *cpu = this_cpu();

	if (softirqs_are_displaced() && cpu->softirq_tid != LOAD(current, pid))
		return cpu->interrupts & INTERRUPT_ANY;
	return cpu->interrupts;
}

/* A softirq that an interrupt has asked for runs on the back of whoever was interrupted, be it in
 * the middle of a system call: what arrives at a network card is not that one's doing. One that was
 * asked for while it runs, will run again. */
static __always_inline void softirq_asked(__u32 vector)
{
	__u32 *interrupts = &this_cpu()->interrupts, has = *interrupts;
	__u32 bit = 1u << (vector & 15);
	bool goes_on = has & bit && has & bit << INTERRUPT_ASKED;

	if (bit & SOFTIRQ_NETWORK && (has & INTERRUPT_ANY || goes_on))
		*interrupts = has | bit << (has & bit ? INTERRUPT_ASKED_AGAIN : INTERRUPT_ASKED);
}

static __always_inline void softirq_end(__u32 vector)
{
	__u32 *interrupts = &this_cpu()->interrupts, has = *interrupts;
	__u32 bit = 1u << (vector & 15) & INTERRUPT_VECTORS;
	__u32 is_again = has & bit << INTERRUPT_ASKED_AGAIN;

	has &= ~(bit | bit << INTERRUPT_ASKED_AGAIN | bit << INTERRUPT_ASKED);
	*interrupts = has | is_again << (INTERRUPT_ASKED - INTERRUPT_ASKED_AGAIN);
}

static __always_inline enum event_waker_kind waker_kind(__u32 interrupts, __u32 tid)
{
	if (interrupts & (INTERRUPT_HRTIMER | SOFTIRQ_TIMER | SOFTIRQ_HRTIMER))
		return WAKER_TIMER;
	if (interrupts & (INTERRUPT_DEVICE | SOFTIRQ_BLOCK))
		return WAKER_DISK;
	if (interrupts & SOFTIRQ_NETWORK)
		return WAKER_NETWORK;
	return interrupts & (INTERRUPT_ANY | INTERRUPT_VECTORS) || !tid ? WAKER_KERNEL
									: WAKER_THREAD;
}

/* Who works off several things in one go ends waits that have nothing to do with each other. */
static __always_inline bool waker_is_later(__u32 *first, __u32 tid)
{
	if (!*first)
		*first = tid;
	return *first != tid;
}

/* The tag of the waker at this very moment; it is current, so its memory may be read. `task` is
 * woken. */
static __always_inline void waker_tag(struct task_struct *current, struct task_struct *task,
				      struct event_waker *waker)
{
	struct thread *thread = table_find(current);
	struct tag_desk *desk = this_desk(DESK_WAKE);

	if (!thread)
		return;
	waker->is_later =
		waker_is_later(&thread->woken[LOAD(task, tgid) == waker->pid], LOAD(task, pid));
	if (!desk || LOAD(current, flags) & (TASK_EXITING | TASK_NOT_USER))
		return;
	if (tag_read(current, &thread->reader, DESK_WAKE, &desk->reading) == TAG_IS_SET)
		copy_tag(&waker->tag, &desk->reading.record);
	else
		waker->has_left = thread->has_tag;
}

/* Fills in who wakes `task`; a network softirq runs in the sender's own context on loopback, inside
 * its system call, and then its tag is true. One that was interrupted is there by chance.
 */
static __always_inline void waker_note(struct event_waker *waker, struct task_struct *current,
				       struct task_struct *task)
{
	__u32 interrupts = interrupts_of(current);

	__builtin_memset(__builtin_assume_aligned(waker, 8), 0, sizeof(*waker));
	waker->kind = waker_kind(interrupts, LOAD(current, pid));
	if (waker->kind != WAKER_THREAD && waker->kind != WAKER_NETWORK)
		return;
	if (waker->kind == WAKER_NETWORK &&
	    (interrupts & SOFTIRQ_NETWORK << INTERRUPT_ASKED ||
	     LOAD(current, flags) & TASK_NOT_USER || !task_is_calling(current)))
		return; /* ksoftirqd and the idle task send nothing themselves */
	waker->pid = LOAD(current, tgid);
	waker->tid = LOAD(current, pid);
	task_copy_comm(current, waker->comm);
	if (is_tracked(waker->pid))
		waker_tag(current, task, waker);
}
