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

/* What a thread keeps of the stack that was taken of it last. */
struct stack_memo {
	__u64 python; /* where its interpreter keeps its state, see python.bpf.h */
	__u64 print;  /* of the place, 0: none; see stack_print */
	__u64 span;   /* that it carried */
	__u64 id;
};

/* Is there budget for one more on this CPU? While less than half of the burst is spent, always;
 * after that only for a thread that has waited long without one. */
static __always_inline bool stack_is_due(__u64 now_ns, __u64 unseen_ns)
{
	struct worker_cpu *cpu = this_cpu();
	__u64 due_ns = cpu->stack_due_ns > now_ns ? cpu->stack_due_ns : now_ns;
	__u64 ahead_ns = due_ns - now_ns;
	struct event_counters *count = this_cpu_counters();

	if (ahead_ns > STACK_BURST_NS ||
	    (ahead_ns > STACK_BURST_NS / 2 && unseen_ns < knobs.stack_wait_ns))
		return false;
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

#define STACK_PRINT_WORDS 32

/* Of where the thread is: its registers, its system call, and the top of its stack, in which its
 * innermost frames lie. 0: not readable. */
static __noinline __u64 stack_print(struct unwind_walk *walk, struct task_struct *task)
{
	void *registers = task_registers(task);
	__u64 sp = FIELD(struct pt_regs, registers, sp), print = sp;

	if (!walk || bpf_probe_read_user(walk->stack.addresses, 8 * STACK_PRINT_WORDS, (void *)sp))
		return 0;
	print = stack_mix(print, FIELD(struct pt_regs, registers, ip));
	print = stack_mix(print, FIELD(struct pt_regs, registers, bp));
	print = stack_mix(print, FIELD(struct pt_regs, registers, orig_ax));
	for (int i = 0; i < STACK_PRINT_WORDS; i++)
		print = stack_mix(print, walk->stack.addresses[i]);
	return print;
}

/* Without budget: a thread that waits where it waited before, for the same span, has the stack that
 * it had. 0: it is elsewhere, and has none. */
static __always_inline __u64 stack_recall(const struct stack_memo *memo, struct task_struct *task,
					  __u64 span)
{
	struct event_counters *count = this_cpu_counters();

	if (memo->print && memo->span == span && memo->print == stack_print(unwind_scratch(), task))
		return memo->id;
	if (count)
		count->stack_budget++;
	return 0;
}

/* The same addresses in the same address space, and the same end, have the same id. */
static __noinline __u64 stack_hash(struct event_stack *stack, __u64 seed)
{
	__u64 hash = seed;

	if (!stack)
		return 0;
	for (__u32 i = 0; i < EVENT_MAX_FRAMES && i < stack->count; i++)
		hash = stack_mix(hash, stack->addresses[i]);
	hash = stack_mix(hash, (__u64)stack->header.flags << 32 | stack->count);
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
	stack->pad = 0;
	if (bpf_ringbuf_output(&stacks, stack, STACK_HEAD_BYTES + bytes, BPF_RB_NO_WAKEUP))
		count_lost(LOSS_STACK);
	else
		*told = mark;
}

#define STACK_KERNEL_FRAMES 32

static __always_inline void stack_add_kernel(void *context, struct event_stack *stack)
{
	__u32 count = stack->count;

	if (count > EVENT_MAX_FRAMES - STACK_KERNEL_FRAMES)
		return;
	long bytes = bpf_get_stack(context, &stack->addresses[count], 8 * STACK_KERNEL_FRAMES, 0);

	if (bytes > 0)
		stack->count = count + (__u32)bytes / 8;
}

/* Calls that say themselves what they wait for. */
static __always_inline bool stack_call_is_plain(__s32 syscall)
{
	switch (syscall) {
	case 7:   /* poll */
	case 23:  /* select */
	case 34:  /* pause */
	case 35:  /* nanosleep */
	case 61:  /* wait4 */
	case 128: /* rt_sigtimedwait */
	case 130: /* rt_sigsuspend */
	case 202: /* futex */
	case 230: /* clock_nanosleep */
	case 232: /* epoll_wait */
	case 247: /* waitid */
	case 270: /* pselect6 */
	case 271: /* ppoll */
	case 281: /* epoll_pwait */
	case 426: /* io_uring_enter */
	case 441: /* epoll_pwait2 */
	case 449: /* futex_waitv */
	case 455: /* futex_wait */
		return true;
	}
	return false;
}

/* Is it the kernel's own stack that tells what the thread waits for? Dear (1 to 2 us), hence only
 * where state, call and target leave it open, or where the operator wants all. */
static __always_inline bool stack_wants_kernel(const struct event_slice *slice, __u32 flags)
{
	if (knobs.kernel_stacks != KERNEL_STACKS_NEEDED || !slice->state)
		return knobs.kernel_stacks == KERNEL_STACKS_ALWAYS;
	if (flags & EVENT_IOWAIT)
		return false;
	if (slice->state & STATE_UNINTERRUPTIBLE)
		return true;
	return !(flags & EVENT_TARGET) && !stack_call_is_plain(slice->syscall);
}

/* Takes the user stack of the current thread; its id. `context` is the program's own, `memo` the
 * thread's; its span is set. */
static __always_inline __u64 stack_take(void *context, struct task_struct *task, __u32 pid,
					__u32 tid, struct stack_memo *memo, bool with_kernel)
{
	struct unwind_walk *walk = unwind_scratch();

	if (!walk)
		return STACK_NOT_TAKEN;
	struct event_stack *stack = &walk->stack;

	memo->print = stack_print(walk, task);
	unwind_stack(walk, task, pid);
	stack->header.flags = walk->end;
	python_stack(task, pid, &memo->python);
	if (with_kernel)
		stack_add_kernel(context, stack);
	stack->pid = pid;
	stack->tid = tid;
	/* A typed pointer may not be reckoned with; one that was probed is a number. */
	stack->id = stack_hash(stack, stack_mix(pid, (__u64)BPF_CORE_READ(task, mm)));
	memo->id = stack->id;
	stack_tell(stack);
	return stack->id;
}

/* A child process has its parent's code where its parent has it, until it is looked at itself. */
static __always_inline void stack_inherit(__u32 parent_pid, __u32 child_pid)
{
	unwind_inherit(parent_pid, child_pid);
	python_inherit(parent_pid, child_pid);
}

/* It ends, or becomes another program. */
static __always_inline void stack_forget(__u32 pid)
{
	bpf_map_delete_elem(&unwind_processes, &pid);
	bpf_map_delete_elem(&python_processes, &pid);
}
