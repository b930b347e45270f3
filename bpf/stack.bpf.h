/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The stack of the current thread: taken within a budget, named by a hash, told to the worker.
 *
 * Taken where a span's thread leaves the CPU to wait, and where a tick finds it at work. The record
 * of the slice carries the id alone; the addresses go to the worker, which finds the names, each
 * distinct stack once in a while.
 *
 * The dear parts are global functions, all of whose arguments and results are numbers: what they
 * work on is the CPU's own unwind_walk. The verifier looks at each of them once, and not again for
 * every way that leads there. */
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

/* The kernel's functions that tell what is waited for: filled by the worker, which knows their
 * names. Others are left out. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KERNEL_WAITS);
	__type(key, __u32);
	__type(value, struct kernel_wait);
} kernel_waits SEC(".maps");

/* What a thread keeps of the stack that was taken of it last. */
struct stack_memo {
	__u64 python; /* where its interpreter keeps its state, see python.bpf.h */
	__u64 print;  /* of the place, 0: none; see stack_print. Below STACK_PRINT_STEP: enum
			 event_kernel_wait */
	__u64 span;   /* that it carried */
	__u64 id;
};

/* `*due_ns`: when what was spent will have been paid for; `least_ns`: how much must not be ahead.
 */
static __always_inline bool stack_pay(__u64 *due_ns, __u64 now_ns, __u64 least_ns, __u64 price_ns)
{
	struct event_counters *count = this_cpu_counters();
	__u64 from_ns = *due_ns > now_ns ? *due_ns : now_ns;

	if (from_ns - now_ns > least_ns)
		return false;
	*due_ns = from_ns + price_ns;
	if (count)
		count->stacks++;
	return true;
}

/* Is there budget for one more on this CPU? While less than half of the burst is spent, always;
 * after that only for a thread that has waited long without one. */
static __always_inline bool stack_is_due(__u64 now_ns, __u64 unseen_ns)
{
	return stack_pay(&this_cpu()->stack_due_ns, now_ns,
			 unseen_ns < knobs.stack_wait_ns ? STACK_BURST_NS / 2 : STACK_BURST_NS,
			 knobs.stack_interval_ns);
}

/* Where a thread has not been before, a stack tells more than where it is again and again: that has
 * a quarter more of budget to itself. */
#define STACK_SPARE_PRICE 4

static __always_inline bool stack_is_spared(__u64 now_ns)
{
	return stack_pay(&this_cpu()->stack_spare_ns, now_ns, STACK_BURST_NS,
			 (__u64)STACK_SPARE_PRICE * knobs.stack_interval_ns);
}

static __always_inline __u64 stack_mix(__u64 hash, __u64 value)
{
	hash ^= value;
	hash *= 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

#define STACK_PRINT_WORDS 32
#define STACK_PRINT_STEP  16ull
#define STACK_CODE_BITS   21 /* below 2 MiB no linker puts code */

/* Of where the thread is: its registers, its system call, the top of its stack, in which its
 * innermost frames lie, and its innermost Python frame. 0: not readable. */
__noinline int stack_print(__u32 pid, __u64 python)
{
	struct unwind_walk *walk = unwind_scratch();
	void *registers = task_registers(task_current());
	__u64 sp = FIELD(struct pt_regs, registers, sp), print = sp;

	if (!walk)
		return 0;
	walk->print = 0;
	if (bpf_probe_read_user(walk->stack.addresses, 8 * STACK_PRINT_WORDS, (void *)sp))
		return 0;
	print = stack_mix(print, FIELD(struct pt_regs, registers, ip));
	print = stack_mix(print, FIELD(struct pt_regs, registers, bp));
	print = stack_mix(print, FIELD(struct pt_regs, registers, orig_ax));
	for (int i = 0; i < STACK_PRINT_WORDS; i++) {
		__u64 word = walk->stack.addresses[i];

		/* what cannot be a return address may well change from turn to turn */
		if (word >> STACK_CODE_BITS && !(word >> UNWIND_USER_BITS))
			print = stack_mix(print, word);
	}
	if (python_print(pid, python)) {
		struct python_walk *frames = python_walk_scratch();

		print = frames ? stack_mix(print, frames->print) : print;
	}
	walk->print = print & ~(STACK_PRINT_STEP - 1);
	return 0;
}

/* As a slice's flags say it. */
static __always_inline __u32 stack_wait_flags(const struct stack_memo *memo)
{
	return (memo->print & (STACK_PRINT_STEP - 1)) << EVENT_KERNEL_WAIT_SHIFT;
}

/* Without budget: a thread that waits where it waited before, for the same span, has the stack that
 * it had. 0: it is elsewhere, and has none. */
static __always_inline __u64 stack_recall(const struct stack_memo *memo, __u32 pid, __u64 span)
{
	struct unwind_walk *walk = unwind_scratch();
	__u64 print = memo->print & ~(STACK_PRINT_STEP - 1);

	if (walk && print && memo->span == span) {
		stack_print(pid, memo->python);
		if (walk->print == print)
			return memo->id;
	}
	return 0;
}

static __always_inline void stack_count_missed(void)
{
	struct event_counters *count = this_cpu_counters();

	if (count)
		count->stack_budget++;
}

/* The same addresses in the same address space, and the same end, have the same id. */
static __always_inline __u64 stack_hash(const struct event_stack *stack, __u64 seed)
{
	__u64 hash = seed;

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
#define STACK_WAIT_FRAMES   16 /* of them, for the innermost that tells what it waits for */
#define STACK_WAIT_STEPS    10 /* 2^10 = KERNEL_WAITS */

/* Of one return address. */
static __noinline __u32 stack_wait_at(__u64 address)
{
	__u32 low = 0, high = KERNEL_WAITS;

	for (int step = 0; step <= STACK_WAIT_STEPS && low < high; step++) {
		__u32 middle = (low + high) / 2;
		struct kernel_wait *at = bpf_map_lookup_elem(&kernel_waits, &middle);

		if (!at)
			return KERNEL_WAIT_UNKNOWN;
		if (address - 1 - at->start < at->bytes)
			return at->wait;
		if (at->start < address)
			low = middle + 1;
		else
			high = middle;
	}
	return KERNEL_WAIT_UNKNOWN;
}

/* enum event_kernel_wait, of the frames from `first` on: the innermost that tells. A disk that is
 * waited for because of a page is a fault. */
__noinline int stack_kernel_wait(__u32 first)
{
	struct unwind_walk *walk = unwind_scratch();
	__u32 found = KERNEL_WAIT_UNKNOWN;

	for (__u32 i = 0; walk && i < STACK_WAIT_FRAMES; i++) {
		__u32 at = first + i, wait;

		barrier_var(at); /* what is compared is what is used */
		if (at >= EVENT_MAX_FRAMES || at >= walk->stack.count)
			break;
		wait = stack_wait_at(walk->stack.addresses[at]);
		if (wait == KERNEL_WAIT_IN_FAULT && found == KERNEL_WAIT_DISK)
			return KERNEL_WAIT_FAULT;
		if (!found && wait != KERNEL_WAIT_IN_FAULT)
			found = wait & (STACK_PRINT_STEP - 1);
		if (found && found != KERNEL_WAIT_DISK)
			break;
	}
	return found;
}

/* What they say of the wait. */
static __always_inline __u32 stack_add_kernel(void *context, struct event_stack *stack)
{
	__u32 count = stack->count;

	if (count > EVENT_MAX_FRAMES - STACK_KERNEL_FRAMES)
		return KERNEL_WAIT_UNKNOWN;
	long bytes = bpf_get_stack(context, &stack->addresses[count], 8 * STACK_KERNEL_FRAMES, 0);

	if (bytes <= 0)
		return KERNEL_WAIT_UNKNOWN;
	stack->count = count + (__u32)bytes / 8;
	return stack_kernel_wait(count);
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

/* To or from memory of the caller's, which may be a page of a file that has to be read first; or,
 * as the caller likes, such pages. */
static __always_inline bool stack_call_may_fault(__s32 syscall)
{
	switch (syscall) {
	case 0:   /* read */
	case 1:   /* write */
	case 17:  /* pread64 */
	case 18:  /* pwrite64 */
	case 19:  /* readv */
	case 20:  /* writev */
	case 28:  /* madvise */
	case 295: /* preadv */
	case 296: /* pwritev */
	case 327: /* preadv2 */
	case 328: /* pwritev2 */
		return true;
	}
	return false;
}

/* Is it the kernel's own stack that tells what the thread waits for? Dear (1 to 2 us), hence only
 * where state, call and target leave it open, or where the operator wants all. */
static __always_inline bool stack_wants_kernel(__u32 state, __s32 syscall, __u32 flags)
{
	if (knobs.kernel_stacks != KERNEL_STACKS_NEEDED || !state)
		return knobs.kernel_stacks == KERNEL_STACKS_ALWAYS;
	if (flags & EVENT_IOWAIT)
		return stack_call_may_fault(syscall);
	if (state & EVENT_STATE_FROZEN)
		return false;
	if (state & STATE_UNINTERRUPTIBLE)
		return true;
	return !(flags & EVENT_TARGET) && !stack_call_is_plain(syscall);
}

/* The user's part: of the current thread. */
__noinline int stack_walk(__u32 pid)
{
	struct unwind_walk *walk = unwind_scratch();
	struct task_struct *task = task_current();

	if (!walk)
		return 0;
	unwind_stack(walk, task, pid);
	walk->stack.header.flags = walk->end;
	python_stack(task, pid, &walk->python);
	return 0;
}

/* Once all of it is there. */
__noinline int stack_finish(__u32 pid, __u32 tid)
{
	struct unwind_walk *walk = unwind_scratch();
	struct task_struct *task = task_current();

	if (!walk)
		return 0;
	struct event_stack *stack = &walk->stack;

	stack->pid = pid;
	stack->tid = tid;
	/* A typed pointer may not be reckoned with; one that was probed is a number. */
	stack->id = stack_hash(stack, stack_mix(pid, (__u64)BPF_CORE_READ(task, mm)));
	stack_tell(stack);
	return 0;
}

/* Takes the stack of the current thread; its id. `context` is the program's own, `memo` the
 * thread's; its span is set. */
static __always_inline __u64 stack_take(void *context, __u32 pid, __u32 tid,
					struct stack_memo *memo, bool with_kernel)
{
	struct unwind_walk *walk = unwind_scratch();
	__u32 wait = KERNEL_WAIT_UNKNOWN;

	if (!walk)
		return STACK_NOT_TAKEN;
	walk->python = memo->python;
	stack_print(pid, memo->python); /* before the walk, for it works in its place */
	stack_walk(pid);
	if (with_kernel)
		wait = stack_add_kernel(context, &walk->stack);
	stack_finish(pid, tid);
	memo->python = walk->python;
	memo->print = walk->print | wait;
	memo->id = walk->stack.id;
	return memo->id;
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
