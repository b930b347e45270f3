/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reading task_struct and its kin across kernel versions: every difference is here, and only here.
 *
 * The programs are built three times. With BTF-typed tracepoints a field is a plain load, and one
 * behind an untyped pointer, too, where the kernel can cast it (6.2; a program that only names the
 * cast is not loaded by an older one: SPANWISE_NO_CAST). Where typed programs cannot be loaded, raw
 * tracepoints do the same through probe reads (SPANWISE_RAW_TP). */
#pragma once

#include "bpf/vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/worker_shared.h"

#ifdef SPANWISE_RAW_TP
#define HOOK(name)               SEC("raw_tp/" name)
#define LOAD(pointer, field)     BPF_CORE_READ(pointer, field)
#define LOAD_BIT(pointer, field) BPF_CORE_READ_BITFIELD_PROBED(pointer, field)
#else
#define HOOK(name)               SEC("tp_btf/" name)
#define LOAD(pointer, field)     ((pointer)->field)
#define LOAD_BIT(pointer, field) BPF_CORE_READ_BITFIELD(pointer, field)
#endif

enum task_flag {
	TASK_EXITING = 0x4,                       /* PF_EXITING */
	TASK_NOT_USER = 0x10 | 0x4000 | 0x200000, /* PF_IO_WORKER, PF_USER_WORKER, PF_KTHREAD */
};

enum task_state_bit {
	STATE_UNINTERRUPTIBLE = 0x2,
	STATE_ASLEEP = 0x3, /* or interruptible */
	STATE_DEAD = 0x80,  /* TASK_DEAD */
};

const volatile struct worker_knobs knobs;

/* 5.14 (2f064a59a11f) renamed task_struct.state and narrowed it. */
struct task_struct___before_5_14 {
	long state;
} __attribute__((preserve_access_index));

/* 4.13 on; older kernels call it fs. */
struct thread_struct___fs {
	unsigned long fs;
} __attribute__((preserve_access_index));

/* 6.18 (e1fad12dcb66) throttles tasks, not run queues. */
struct task_struct___throttled {
	bool throttled;
} __attribute__((preserve_access_index));

/* Under PREEMPT_RT a spinlock is a mutex (5.15 on). */
struct rt_mutex_base {
	void *owner;
};

struct spinlock___rt {
	struct rt_mutex_base lock;
} __attribute__((preserve_access_index));

/* Then softirqs run with preemption allowed: another thread may have the CPU in their midst. */
static __always_inline bool softirqs_are_displaced(void)
{
	struct spinlock___rt *spinlock = 0;

	return bpf_core_field_exists(spinlock->lock);
}

/* A pointer read from memory, as one that can be loaded through. */
extern void *bpf_rdonly_cast(const void *pointer, __u32 btf_id) __ksym;

/* FIELD(struct file, pointer, f_inode): a field behind an untyped pointer, 1 ns by a typed load
 * where the kernel can (6.2), 8 ns by a probe read elsewhere. */
#if defined(SPANWISE_RAW_TP) || defined(SPANWISE_NO_CAST)
#define FIELD(type, pointer, field) BPF_CORE_READ((type *)(pointer), field)
#else
#define FIELD(type, pointer, field)                                                                \
	(((type *)bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(type)))->field)
#endif

static __always_inline struct task_struct *task_current(void)
{
#ifdef SPANWISE_RAW_TP
	return (struct task_struct *)bpf_get_current_task();
#else
	return bpf_get_current_task_btf();
#endif
}

static __always_inline __u32 task_raw_state(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return LOAD(task, __state);
	struct task_struct___before_5_14 *old = (void *)task;
	return (__u32)BPF_CORE_READ(old, state);
}

/* State in which `prev` leaves the CPU. The argument is what the scheduler decided upon; the field
 * may already read TASK_WAKING. */
static __always_inline __u32 task_state_at_switch(unsigned long long *ctx, struct task_struct *prev)
{
	return knobs.has_prev_state ? (__u32)ctx[3] : task_raw_state(prev);
}

static __always_inline __u64 task_thread_pointer(struct task_struct *task)
{
	if (bpf_core_field_exists(task->thread.fsbase))
		return LOAD(task, thread.fsbase);
	struct thread_struct___fs *old = (void *)&task->thread;
	return BPF_CORE_READ(old, fs);
}

/* The comm, as two words: a load each, where the helper is a call. */
static __always_inline void task_copy_comm(struct task_struct *task, char *out_comm)
{
	u64 *words = (void *)((char *)task + bpf_core_field_offset(task->comm));

#ifdef SPANWISE_RAW_TP
	bpf_probe_read_kernel(out_comm, EVENT_COMM_BYTES, words);
#else
	((u64 *)out_comm)[0] = words[0];
	((u64 *)out_comm)[1] = words[1];
#endif
}

/* From the bottom of a kernel stack to the registers at its top: the same for all tasks, but it
 * depends on KASAN (32 KiB stacks) and FRED (16 bytes of padding). Learnt once, with the helper of
 * 5.15 (dd6e10fbd9fb); on older kernels there is no FRED. Not static: of two possible values a
 * compiler makes a single byte, which contradicts its type in BTF, and then no BTF is loaded. */
__u64 registers_offset;
#define REGISTERS_OFFSET_BEFORE_5_15 (16384 - 168)

static __noinline int task_learn_registers(struct task_struct *task)
{
#ifndef SPANWISE_RAW_TP
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
		/* As a number: verifiers up to 6.12 at least do not subtract from that pointer. */
		void *registers = (void *)bpf_task_pt_regs(task);
		__u64 address = 0;

		bpf_probe_read_kernel(&address, sizeof(address), &registers);
		if (address)
			registers_offset = address - (__u64)LOAD(task, stack);
		return 0;
	}
#endif
	registers_offset = REGISTERS_OFFSET_BEFORE_5_15;
	return 0;
}

/* Registers at the entry from user space, for FIELD(). */
static __always_inline void *task_registers(struct task_struct *task)
{
	if (!registers_offset)
		task_learn_registers(task);
	return (char *)LOAD(task, stack) + registers_offset;
}

/* Is it inside a system call? Registers of an interrupt hold a negative number in its place. */
static __always_inline bool task_is_calling(struct task_struct *task)
{
	void *registers = task_registers(task);

	return (__s32)FIELD(struct pt_regs, registers, orig_ax) >= 0;
}

/* Is a CPU quota what takes this runnable thread off its CPU? */
static __always_inline bool task_is_throttled(struct task_struct *task)
{
	struct task_struct___throttled *newer = (void *)task;

	if (bpf_core_field_exists(newer->throttled))
		return BPF_CORE_READ(newer, throttled);
	if (!bpf_core_field_exists(task->se.cfs_rq->throttle_count))
		return false;
	return BPF_CORE_READ(task, se.cfs_rq, throttle_count) > 0;
}

/* Does a cgroup of version 2 hold it? It then sleeps like any other, wherever it was. Who waits for
 * a vfork'ed child counts as held, too, but cannot be interrupted. */
static __always_inline bool task_is_frozen(struct task_struct *task, __u32 state)
{
	return !(state & STATE_UNINTERRUPTIBLE) && bpf_core_field_exists(task->frozen) &&
	       LOAD_BIT(task, frozen);
}

/* Not without CONFIG_FAIR_GROUP_SCHED. */
static __always_inline bool task_tells_stolen(struct task_struct *task)
{
	return bpf_core_field_exists(task->se.cfs_rq->rq);
}

/* What its CPU's clock for threads lags behind the one for all: time that the hypervisor took, and
 * interrupts where they are booked apart, up to the last reading. */
static __always_inline __u64 task_stolen_ns(struct task_struct *task)
{
	if (!task_tells_stolen(task))
		return 0;
#ifdef SPANWISE_RAW_TP
	struct rq *rq = BPF_CORE_READ(task, se.cfs_rq, rq);

	return BPF_CORE_READ(rq, clock) - BPF_CORE_READ(rq, clock_task);
#else
	struct rq *rq = task->se.cfs_rq->rq;

	return rq->clock - rq->clock_task;
#endif
}

/* Has the last thread of its process begun to exit? */
static __always_inline bool task_group_is_dead(struct task_struct *task)
{
	void *group = LOAD(task, signal);

	return FIELD(struct signal_struct, group, live.counter) == 0;
}

/* Linux 7.0 lets other threads have the CPU in the midst of a tracepoint's program, where the
 * tracepoint itself does not forbid that: exec and exit. What a slice is built in is the CPU's.
 * Only the typed programs name these functions (6.10): whoever names one that is missing is not
 * loaded, weak or not, for libbpf then asks for the modules' functions, which takes CAP_SYS_ADMIN.
 */
#if defined(SPANWISE_RAW_TP) || defined(SPANWISE_NO_CAST)
static __always_inline void cpu_keep(void)
{
}

static __always_inline void cpu_let_go(void)
{
}
#else
extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;

static __always_inline void cpu_keep(void)
{
	if (knobs.keeps_cpu)
		bpf_preempt_disable();
}

static __always_inline void cpu_let_go(void)
{
	if (knobs.keeps_cpu)
		bpf_preempt_enable();
}
#endif
