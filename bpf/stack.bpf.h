/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The stack of the current thread: taken within a budget, named by a hash, told to the worker.
 *
 * Taken where a span's thread leaves the CPU to wait, and where a tick finds it at work. The record
 * of the slice carries the id alone; the addresses go to the worker, which finds the names, each
 * distinct stack once in a while. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/python.bpf.h"
#include "bpf/unwind.bpf.h"

#define STACK_BURST_NS       20000000ull /* of budget that may be spent at once */
#define STACK_TELL_SHIFT     33          /* told again after 8.6 s: the worker may have lost it */
#define STACK_HEAD_BYTES     __builtin_offsetof(struct event_stack, addresses)
#define STACK_ADDRESSES_MASK (8 * EVENT_MAX_FRAMES) /* all its bits: 2040 */

/* struct event_stack to the worker, drained every 20 ms. Full: counted, and told again with the
 * next sighting. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} stacks SEC(".maps");

/* Is there budget for one more on this CPU? While less than half of the burst is spent, always;
 * after that only for a thread that has waited long without one. */
static __always_inline bool stack_is_due(__u64 now_ns, __u64 unseen_ns)
{
	struct worker_cpu *cpu = this_cpu();
	__u64 due_ns = cpu->stack_due_ns > now_ns ? cpu->stack_due_ns : now_ns;
	__u64 ahead_ns = due_ns - now_ns;
	struct event_counters *count = this_cpu_counters();

	if (ahead_ns > STACK_BURST_NS ||
	    (ahead_ns > STACK_BURST_NS / 2 && unseen_ns < knobs.stack_wait_ns)) {
		if (count)
			count->stack_budget++;
		return false;
	}
	cpu->stack_due_ns = due_ns + knobs.stack_interval_ns;
	if (count)
		count->stacks++;
	return true;
}

static __always_inline __u64 stack_mix(__u64 hash, __u64 value)
{
	hash ^= value;
	hash *= 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

/* The same addresses in the same address space have the same id, whoever computes it. */
static __noinline __u64 stack_hash(struct event_stack *stack, __u64 seed)
{
	__u64 hash = seed;

	if (!stack)
		return 0;
	for (__u32 i = 0; i < EVENT_MAX_FRAMES && i < stack->count; i++)
		hash = stack_mix(hash, stack->addresses[i]);
	hash = stack_mix(hash, stack->count);
	return hash < STACK_FIRST_ID ? hash + STACK_FIRST_ID : hash;
}

static __always_inline void stack_tell(struct event_stack *stack)
{
	__u64 *told = &shared.told[stack->id % WORKER_TOLD];
	__u64 mark = stack->id ^ bpf_ktime_get_ns() >> STACK_TELL_SHIFT;
	__u32 bytes = stack->count * 8 & STACK_ADDRESSES_MASK;

	if (*told == mark)
		return;
	barrier_var(bytes);
	stack->header.kind = EVENT_STACK;
	stack->header.bytes = STACK_HEAD_BYTES + bytes;
	stack->header.flags = 0;
	stack->pad = 0;
	if (bpf_ringbuf_output(&stacks, stack, STACK_HEAD_BYTES + bytes, BPF_RB_NO_WAKEUP))
		count_lost(LOSS_STACK);
	else
		*told = mark;
}

/* Takes the user stack of the current thread; its id. `context` is the program's own, `hint` the
 * thread's (python.bpf.h). */
static __always_inline __u64 stack_take(void *context, struct task_struct *task, __u32 pid,
					__u32 tid, __u64 *hint)
{
	struct unwind_walk *walk = unwind_scratch();

	if (!walk)
		return STACK_NOT_TAKEN;
	struct event_stack *stack = &walk->stack;

	if (!unwind_stack(walk, task, pid)) {
		long bytes = bpf_get_stack(context, stack->addresses, sizeof(stack->addresses),
					   BPF_F_USER_STACK);

		stack->count = bytes > 0 ? (__u32)bytes / 8 : 0;
	}
	python_stack(task, pid, hint);
	stack->pid = pid;
	stack->tid = tid;
	/* A typed pointer may not be reckoned with; one that was probed is a number. */
	stack->id = stack_hash(stack, stack_mix(pid, (__u64)BPF_CORE_READ(task, mm)));
	stack_tell(stack);
	return stack->id;
}
