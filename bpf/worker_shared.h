/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the worker and its BPF programs share beside the records: knobs, the filter, the news of
 * processes. Nobody else reads it. */
#pragma once

#include "bpf/event.h"

#define WORKER_SERVERS 65536u     /* bits: of a pid, the last ones */
#define WORKER_PIDS    (4u << 20) /* the kernel's PID_MAX_LIMIT: every pid has its bit */

#define WORKER_TOLD 16384 /* a power of two */

/* When a stack has the kernel's frames, too. */
enum kernel_stacks {
	KERNEL_STACKS_NEVER = 0,
	KERNEL_STACKS_NEEDED = 1, /* where nothing else tells what a wait is for */
	KERNEL_STACKS_ALWAYS = 2,
};

/* Threads are kept in sets (thread_table.bpf.h), a power of two of them; one place is 384 bytes. */
#define TABLE_WAYS        8
#define TABLE_MAX_SETS    8192
#define TABLE_PLACE_BYTES 384

/* Who reads a rare form of a tag, at a desk of its own: one may interrupt another on the same CPU,
 * but never itself. */
enum tag_desk_user {
	DESK_CUT,  /* the end of a slice: interrupts are off, or the thread is marked */
	DESK_WAKE, /* a waking: interrupts are off */
	DESK_LIFE, /* a fork */
	DESK_USERS,
};

/* Slices like the one before of their thread (struct event_again). */
enum again_telling {
	AGAIN_IN_SHORT = 0,
	AGAIN_TWICE = 1,   /* for tests: in short, and right after it in full */
	AGAIN_IN_FULL = 2, /* for the bench: what is gained? */
};

/* When timers end the slice of the running thread. */
enum timer_cuts {
	TIMER_CUTS_NEVER = 0,  /* there are no ticks either */
	TIMER_CUTS_STOLEN = 1, /* something was stolen in it */
	TIMER_CUTS_ALWAYS = 2, /* for tests */
};

/* Set by the worker before loading; the verifier drops the branches that they rule out. */
struct worker_knobs {
	__u8 has_prev_state; /* sched_switch passes the state of prev (5.18, fa2c3254d7cf) */
	__u8 no_targets;     /* for the bench: what does each part cost? */
	__u8 no_wakers;
	__u8 kernel_stacks; /* enum kernel_stacks */
	__u8 again;         /* enum again_telling */
	__u8 timer_cuts;    /* enum timer_cuts */
	__u8 keeps_cpu;     /* other threads must be kept off the CPU while a slice is told */
	__u8 no_servers;    /* for the bench: nobody's waking is kept for others */
	/* Stacks: 0 ns between two on one CPU: none are taken. In a burst, only threads that have
	 * waited so long without one get one. */
	__u32 stack_interval_ns;
	__u32 stack_wait_ns;
	__u32 set_mask;      /* sets of the table of threads, less one */
	__u32 lose_switches; /* for tests: of so many, one is not reported; 0: none */
};

/* Contexts in which a waking is not the doing of the current thread; below them, one bit for each
 * softirq vector, and for each that an interrupt has asked for. */
enum worker_interrupt {
	INTERRUPT_VECTORS = 0x3ff,
	INTERRUPT_ASKED_AGAIN = 10, /* where those bits begin: asked for while it runs; ... */
	INTERRUPT_ASKED = 20,       /* ... it runs, or will, because of an interrupt */
	INTERRUPT_DEVICE = 1 << 16,
	INTERRUPT_HRTIMER = 1 << 17,
	INTERRUPT_WORK = 1 << 18, /* what the kernel had put off until interrupts are allowed */
	INTERRUPT_ANY = INTERRUPT_DEVICE | INTERRUPT_HRTIMER | INTERRUPT_WORK,
};

/* One CPU's, alone on its cache line. */
struct worker_cpu {
	__u32 interrupts; /* enum worker_interrupt, and softirq vectors */
	__u32 last_next;  /* tid that the last switch put on this CPU */
	__u8 has_last;    /* last_next is known */
	__u8 wants_clock; /* the next tick reads the clocks (clock.bpf.h) */
	__u8 pad[2];
	__u32 softirq_tid;    /* of whom the softirq borrows the CPU; under PREEMPT_RT only */
	__u64 stack_due_ns;   /* when the stacks taken so far will have been paid for */
	__u64 stack_spare_ns; /* ... those of places that a thread was not at before */
	__u64 pad_line[4];
};

struct worker_shared {
	/* The first question of every hook, hence a bitmap and no map look-up: does this process
	 * publish a context? Set and cleared by the worker, and by fork, exec and exit. */
	__u64 tracked[WORKER_PIDS / 64];
	/* Whose answers they wait for (server.bpf.h). */
	__u64 servers[WORKER_SERVERS / 64];
	struct worker_cpu cpus[EVENT_MAX_CPUS];
	/* Which threads stand at the places of the table; 0: none. */
	__u32 keys[TABLE_MAX_SETS][TABLE_WAYS];
	/* Of which a thread found no place and was put into one of the next sets, once. */
	__u8 has_spilled[TABLE_MAX_SETS];
	__u32 generation; /* of all descriptors: threads that hold an older one look again */
	__u32 pad;
	/* Stacks that the worker has been told of lately: id ^ time, at the place of its hash. One
	 * that was pushed out is told again. */
	__u64 told[WORKER_TOLD];
};

/* A function of the kernel in which threads wait, and what for; sorted by address, those that are
 * not in use last. */
struct kernel_wait {
	__u64 start;
	__u32 bytes;
	__u32 wait; /* enum event_kernel_wait */
};
#define KERNEL_WAITS 1024

#define NEWS_LOG 64u /* beside enum event_kind: a thread keeps a log, and no descriptor says so */

/* News of any process, in the control ring. */
struct worker_news {
	__u32 kind; /* EVENT_FORK, EVENT_EXEC, EVENT_EXIT or NEWS_LOG */
	__u32 pid;
	__u32 other_pid; /* FORK: the child */
	__u32 pad;
};

_Static_assert(sizeof(struct worker_cpu) == 64, "one cache line");
_Static_assert(sizeof(struct worker_news) == 16, "shared with BPF");
