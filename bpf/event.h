/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel half writes and both halves read: records, tails, causes of loss.
 *
 * Words: we say pid and tid as users do; the kernel calls them tgid and pid. Both are those of the
 * initial pid namespace. Times are CLOCK_MONOTONIC ns unless the name says exec_: those are the
 * scheduler's own clock (se.exec_start: rq_clock_task; se.sum_exec_runtime: the thread's CPU time).
 *
 * A record is an event_header, the body of its kind, and then the tails named by its flag bits, in
 * the order of the bits. Everything is 8-byte aligned, little-endian, without implicit padding. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define EVENT_VERSION    7
#define EVENT_COMM_BYTES 16
#define EVENT_MAX_CPUS   512

enum event_kind {
	EVENT_SLICE = 1,      /* struct event_slice */
	EVENT_FORK = 2,       /* struct event_life */
	EVENT_EXEC = 3,       /* struct event_life */
	EVENT_EXIT = 4,       /* struct event_life */
	EVENT_STACK = 5,      /* struct event_stack: to the worker, in a ring of its own */
	EVENT_CHANGES = 6,    /* struct event_changes: before the slice that it concerns */
	EVENT_UNFOLLOWED = 7, /* struct event_life: a thread has no place; at its switches */
	EVENT_CLOCK = 8,      /* struct event_clock */
	EVENT_AGAIN = 9,      /* struct event_again: a slice like the one before of its thread */
	EVENT_READY = 10,     /* struct event_ready: between two slices of its thread */
	EVENT_BEHIND = 11,    /* struct event_behind: there, too */
};

/* Flags of a slice. The first ones announce tails, in this order. */
enum event_slice_flag {
	EVENT_TAG_OUT = 1 << 0, /* tail struct event_tag: what the thread published at out_ns */
	EVENT_TAG_IN = 1 << 1,  /* tail struct event_tag: what it published at in_ns; absent with
				   EVENT_TAG_SAME or EVENT_TAG_IN_NONE */
	EVENT_TARGET = 1 << 2,  /* tail struct event_target: what the wait from out_ns on is for */
	EVENT_WAKER = 1 << 3,   /* tail struct event_waker: who ended the wait that in_ns ended */

	EVENT_TAG_SAME = 1 << 4,        /* the tag at in_ns was that at out_ns */
	EVENT_TAG_IN_NONE = 1 << 5,     /* published nothing at in_ns */
	EVENT_TAG_OUT_UNKNOWN = 1 << 6, /* memory could not be read, or a write was under way:
					   the tail, if any, is the last one known */
	EVENT_TICK = 1 << 7,            /* still running: out_ns is where a tick cut the slice */
	EVENT_PREEMPTED = 1 << 8,       /* left the CPU while runnable (preempt, or state 0) */
	EVENT_IOWAIT = 1 << 9,          /* task->in_iowait at out_ns */
	EVENT_IN_LOST = 1 << 10,        /* the switch-in was never reported; in_ns is 0 */
	EVENT_OUT_LOST = 1 << 11,       /* the switch-out before in_ns was never reported */
	EVENT_FIRST = 1 << 12,          /* first record of this thread: prev_out_ns is 0 */
	EVENT_DEAD = 1 << 13,           /* the thread ended with this slice */
	EVENT_AFTER_TICK = 1 << 14,     /* in_ns is where a tick cut the slice before: no wait lies
					   between, prev_out_ns == in_ns */
	EVENT_THROTTLED = 1 << 15,      /* the wait before in_ns was a CPU quota's throttling */

	EVENT_STACK_ID = 1 << 16,     /* tail __u64: the stack at out_ns, as event_stack.id */
	EVENT_STACK_BUDGET = 1 << 17, /* no stack: too many were being taken */
	EVENT_TOLD = 1 << 18,         /* every change of the tag within the slice was told ... */
	EVENT_CHANGED = 1 << 19,      /* ... and there were some: in records right before it */

	/* 1 << 20, 1 << 22 and 1 << 23 are the collector's */
	EVENT_STOLEN_UNTOLD = 1 << 21, /* stolen_in_ns and stolen_out_ns are 0: they are not known
					*/
	EVENT_KERNEL_WAIT = 15 << 24,  /* enum event_kernel_wait: what the kernel's stack says */
};
#define EVENT_KERNEL_WAIT_SHIFT 24

/* What a wait is for, told by the kernel's functions in which the thread stands: asked only where
 * state, call and target leave it open. */
enum event_kernel_wait {
	KERNEL_WAIT_UNKNOWN = 0,
	KERNEL_WAIT_LOCK,
	KERNEL_WAIT_NET,
	KERNEL_WAIT_DISK,
	KERNEL_WAIT_POLL,
	KERNEL_WAIT_SLEEP,
	KERNEL_WAIT_PIPE,
	KERNEL_WAIT_FAULT,
	KERNEL_WAIT_CHILD,
	KERNEL_WAIT_SIGNAL,
	KERNEL_WAIT_IO_URING,
	KERNEL_WAIT_OTHER,    /* none of these, though the call may be one for them */
	KERNEL_WAIT_IN_FAULT, /* never told: whoever waits for a disk there waits for a page */
};
/* Neither EVENT_TAG_OUT nor EVENT_TAG_OUT_UNKNOWN: the thread published nothing at out_ns. */

struct event_header {
	__u16 kind;  /* enum event_kind */
	__u16 bytes; /* header, body and tails */
	__u32 flags;
};

struct event_tag {
	__u8 trace_id[16];
	__u8 span_id[8];
};

/* One off/on cycle of a thread: it left at prev_out_ns, was woken at waking_ns, ran from in_ns to
 * out_ns. Why it leaves now stands here too; when that wait ends stands in its next record, whose
 * prev_out_ns equals this out_ns: if not, records between were lost. */
struct event_slice {
	struct event_header header;
	__u32 pid;
	__u32 tid;
	__u64 prev_out_ns; /* 0: not known */
	__u64 waking_ns;   /* 0: not woken (preempted) or not known */
	__u64 in_ns;
	__u64 out_ns;
	__u64 exec_in_ns;        /* se.sum_exec_runtime at in_ns */
	__u64 exec_out_ns;       /* ... at out_ns */
	__u64 exec_start_in_ns;  /* se.exec_start at in_ns */
	__u64 exec_start_out_ns; /* ... at out_ns */
	__u64 stolen_in_ns;  /* what was taken from that CPU, and so is not in exec_start_in_ns */
	__u64 stolen_out_ns; /* ... in exec_start_out_ns */
	__u32 cpu;
	__u32 lost_before; /* records of this thread that found the ring full, since the last one */
	__u32 state;       /* raw task state bits at out_ns; 0 when preempted. EVENT_STATE_FROZEN:
			      by a cgroup of version 2, too, which has no state of its own */
	__s32 syscall;     /* number at out_ns (x86-64), -1: not in a system call */
};

#define EVENT_STATE_FROZEN 0x8000u

/* What a slice that is told in short may say; others tell of something that happens once. */
#define EVENT_AGAIN_FLAGS                                                                          \
	(EVENT_TAG_OUT | EVENT_TARGET | EVENT_WAKER | EVENT_TAG_SAME | EVENT_TAG_IN_NONE |         \
	 EVENT_PREEMPTED | EVENT_IOWAIT | EVENT_STACK_ID | EVENT_STACK_BUDGET | EVENT_TOLD |       \
	 EVENT_STOLEN_UNTOLD | EVENT_KERNEL_WAIT)
#define EVENT_AGAIN_MOST       255u /* in a row */
#define EVENT_AGAIN_TAIL_BYTES 120u /* a tag, a target, a waker and a stack */
#define EVENT_NOT_WOKEN        (~0u)

/* A slice of which nothing is new but the times: it began where the one before of its thread ended,
 * with that CPU clock, on that CPU, with nothing stolen since, and everything else that was told of
 * that one is true of this one, flags and tails. prev_out_ns names the one before: no two slices of
 * a thread end at the same time. Where that one is not known, this one is lost. After one that
 * found the ring full a slice is told in full. */
struct event_again {
	struct event_header header; /* flags: those of the slice, hence of the one before */
	__u32 tid;
	__u32 waking; /* waking_ns, from prev_out_ns; EVENT_NOT_WOKEN: 0 */
	__u64 prev_out_ns;
	__u32 in;         /* in_ns, from prev_out_ns */
	__u32 length;     /* out_ns, from in_ns */
	__u32 exec_start; /* exec_start_in_ns, from the exec_start_out_ns before */
	__u32 exec;       /* exec_start_out_ns, from there, and as much of exec_out_ns */
};

#define EVENT_MAX_CHANGES 64 /* of one record; a slice may have many */

/* Of the time of a change: it is none, but a mark: the thread begins or ends that span. */
#define EVENT_MARK (1ULL << 63)

/* What a thread in exact mode logged itself: from then on it published that tag; zero: none. */
struct event_change {
	__u64 time_ns;
	struct event_tag tag;
};

#define EVENT_CHANGES_BYTES(count) (24 + 32 * (count))

struct event_changes {
	struct event_header header; /* bytes: as far as there are changes */
	__u32 pid;
	__u32 tid;
	__u32 count;
	__u32 is_first; /* of those that concern one slice */
	struct event_change changes[EVENT_MAX_CHANGES];
};

enum event_target_kind {
	TARGET_NONE = 0,
	TARGET_FUTEX = 1, /* id: user address of the futex word; aux: owner tid if one stands there;
			     port: how many others it waits for at once */
	TARGET_INET4 = 2, /* address[0..3], port: the peer's; aux: own port */
	TARGET_INET6 = 3, /* address[0..15], port: the peer's; aux: own port */
	TARGET_UNIX = 4,  /* id: inode; name: end of the path that it or its peer is bound to */
	TARGET_PIPE = 5,  /* id: inode; name: of a FIFO, its end */
	TARGET_FILE = 6,  /* id: inode; aux: device; name: end of its name. Of a call that was
			     given a path: id and aux 0, name: end of the path */
	TARGET_CHAR = 7,  /* tty and the like; id: inode; aux: its number; name: end of its name */
	TARGET_ANON = 8,  /* eventfd, epoll, timerfd, a file of the kernel's own ...; id: 0; name:
			     the kernel's; none of epoll, which is told where it is for several:
			     event_ready says for which, where that is known */
	TARGET_SOCKET = 9, /* another family; aux: its number. A raw one; id: its protocol */
	TARGET_CHILD = 10, /* id: pid as its parent counts; 0: any child */
	TARGET_FUTEX_SHARED =
		11,            /* the same for all processes that map it: id: offset in the file;
				  address[0..7]: inode, [8..11]: device; aux: as for TARGET_FUTEX */
	TARGET_SEMAPHORE = 12, /* of System V; id: the set's */
	TARGET_QUEUE = 13,     /* of messages; id: System V's, name: of a POSIX one */
};
#define TARGET_LAST       TARGET_QUEUE
#define TARGET_NAME_BYTES 16 /* NUL terminated; of a longer name its end */

/* Names of TARGET_ANON: the kernel's own, and one for polls of no descriptor. */
#define TARGET_TIMERFD  "[timerfd]"
#define TARGET_SIGNALFD "[signalfd]"
#define TARGET_TIME     "[time]"

struct event_target {
	__u8 kind; /* enum event_target_kind */
	__u8 pad;
	__u16 port; /* host order */
	__u32 aux;
	__u64 id;
	union {
		__u8 address[16];
		char name[TARGET_NAME_BYTES];
	};
};

enum event_waker_kind {
	WAKER_THREAD = 0,  /* tid did it, in its own context */
	WAKER_TIMER = 1,   /* hrtimer or timer softirq */
	WAKER_DISK = 2,    /* block softirq or a device interrupt */
	WAKER_NETWORK = 3, /* net softirq: tid is the sender on loopback, else chance */
	WAKER_KERNEL = 4,  /* RCU, tasklet, scheduler */
};

struct event_waker {
	__u32 pid;
	__u32 tid;
	__u8 kind;     /* enum event_waker_kind */
	__u8 has_left; /* it carries nothing, but did when it was looked at last */
	__u8 is_later; /* since it was woken itself, it has woken another one before, of the same
			  process or of another one, as this one is */
	__u8 pad[5];
	char comm[EVENT_COMM_BYTES];
	struct event_tag tag; /* what the waker carried; zero: nothing */
};

/* Of a poller of several: which of them came first. It waited from out_ns on, and is being woken.
 * Best effort: where it is missing, nobody knows. */
struct event_ready {
	struct event_header header;
	__u32 pid;
	__u32 tid;
	__u64 out_ns;
	struct event_target target;
};

enum event_behind_flag {
	EVENT_BEHIND_ASKED = 1, /* it made the waker go on, ... */
};

/* Of a wait that a thread ended which publishes nothing: who was behind that. ... else it ended a
 * wait of the waker's own for the sake of this one. As event_ready: best effort. */
struct event_behind {
	struct event_header header; /* flags: enum event_behind_flag */
	__u32 pid;
	__u32 tid;
	__u64 out_ns;
	__u64 from_ns, to_ns;     /* of the wait, within this one or a bit before */
	struct event_waker waker; /* tag: the one that it carried, or worked for */
};

/* UNFOLLOWED: nothing else is told of (pid, tid). FORK: (pid, tid) made other_pid (a new process).
 * EXEC: pid became a new program; other_pid is the tid that did it. EXIT: the last thread of pid is
 * gone. Only for processes that publish. */
struct event_life {
	struct event_header header;
	__u32 pid;
	__u32 tid;
	__u32 other_pid;
	__u32 is_shared; /* EVENT_FORK: 1: the child has its maker's memory and thread pointer, so
			    what it shows is what that one shows */
	__u64 time_ns;
};

/* The scheduler's clock of a CPU (rq_clock: what threads' exec_start counts with, but for what was
 * stolen), read between two readings of the monotonic one. */
struct event_clock {
	struct event_header header;
	__u32 cpu;
	__u32 pad;
	__u64 before_ns;
	__u64 sched_ns;
	__u64 after_ns;
};

#define EVENT_MAX_FRAMES 255 /* of which EVENT_MAX_NATIVE are the walked ones */
#define EVENT_MAX_NATIVE 127

/* Where the walk through a stack ended; in event_stack's header.flags. */
enum event_stack_end {
	STACK_COMPLETE = 0,       /* at the thread's first function */
	STACK_TOO_DEEP = 1,       /* EVENT_MAX_NATIVE frames */
	STACK_NO_RULE = 2,        /* code that no table knows */
	STACK_NO_FILE = 3,        /* an address that is mapped from nowhere */
	STACK_UNREADABLE = 4,     /* memory that is not there now */
	STACK_BROKEN = 5,         /* a frame that does not lie above the one before */
	STACK_WITHOUT_TABLES = 6, /* the process's tables were not there yet: no more than
					what keeps frame pointers */
	STACK_WITHOUT_ROOM = 7,   /* code whose table found no room, and that keeps no frame
					pointers */
	STACK_ENDS,
};

/* Set in the address of the frame that the kernel makes for a signal's handler: it begins where the
 * handler returns to. */
#define STACK_SIGNAL (1ull << 60)

/* The code that a thread was in when it left the CPU, or at a tick. Its id is a hash of what
 * follows and of the address space, so that each distinct stack need be told only now and then. */
struct event_stack {
	struct event_header header; /* flags: enum event_stack_end */
	__u64 id;                   /* never below STACK_FIRST_ID */
	__u32 pid;
	__u32 tid;   /* one of the threads that were seen there */
	__u32 count; /* of addresses */
	__u32 pad;
	/* Innermost first: user ones, each within the instruction that it stands in (of a caller:
	 * of its call), Python's own (python.h), and the kernel's, which are return addresses. */
	__u64 addresses[EVENT_MAX_FRAMES];
};

/* In place of an id: why there is none. */
enum event_no_stack {
	STACK_NOT_TAKEN = 0,   /* stacks are off, or nothing of the wait was reported */
	STACK_OVER_BUDGET = 1, /* EVENT_STACK_BUDGET */
	STACK_MERGED = 2,      /* more distinct waits than a ledger holds: these are their rest */
	STACK_FOLDED = 3,      /* of several, summed up since */
	STACK_FIRST_ID = 16,
};

/* Counted in the kernel, per cause; summed over CPUs by ring_losses(). */
enum event_loss {
	LOSS_RING_FULL = 0, /* bpf_ringbuf_reserve failed: a record is gone */
	LOSS_STORAGE_FULL,  /* the table of threads was full: one is not followed */
	LOSS_TAG_FAULT,     /* the tag's memory was not readable at that moment */
	LOSS_TAG_UPDATING,  /* valid was 0 inside a write */
	LOSS_SWITCH_IN,     /* chain check: a switch-in was never reported */
	LOSS_SWITCH_OUT,    /* chain check: a switch-out was never reported */
	LOSS_CPU_CHAIN,     /* chain check: prev was not the last next of that CPU */
	LOSS_WAKING,        /* a wait ended without a sched_waking */
	LOSS_STACK,         /* the worker's ring was full: a stack's names come later */
	LOSS_CHANGES,       /* an exact mode's log overran, could not be read, or contradicted the
			       tag: of one slice, it is not known when its tag changed */
	LOSS_KINDS,
};

/* One CPU's counters, padded to its own cache lines; the map is an mmapable array of these. */
struct event_counters {
	__u64 lost[LOSS_KINDS];
	__u64 records;
	__u64 ticks;
	__u64 stacks;       /* taken */
	__u64 stack_budget; /* not taken, for want of budget */
	__u64 missed;       /* slices, of LOSS_RING_FULL: threads own up to them */
	__u64 pad[1];
};

/* How a process publishes its tags, as far as the probe could tell. */
enum event_publish {
	PUBLISH_NOTHING = 0,
	PUBLISH_TAGS = 1,        /* otel_thread_ctx_v1 found and read */
	PUBLISH_UNREADABLE = 2,  /* the probe may not look into it */
	PUBLISH_UNSUPPORTED = 3, /* another schema; see `variable` */
};

/* What the probe knows of a process; sent by message, never by the ring. Texts are NUL terminated
 * and cut to fit; they come from the process itself and prove nothing. */
struct event_process {
	__u32 pid;
	__u32 ns_pid;   /* its pid in its own namespace */
	__u64 start_ns; /* CLOCK_BOOTTIME, from /proc/pid/stat */
	__u64 seen_ns;  /* CLOCK_MONOTONIC */
	__u32 publish;  /* enum event_publish */
	__u32 gone;     /* 1: it has ended */
	__s32 error;    /* negative errno when UNREADABLE */
	__u32 moved_ms; /* its variable is not where it was told to be before, since so long before
			   seen_ns at most; 0: it is */
	char comm[EVENT_COMM_BYTES];
	char executable[128];
	char variable[128]; /* "otel_thread_ctx_v1 in /usr/lib/libx.so (TLSDESC, static, TP-152)" */
	char service_name[64]; /* from the process context (OTEP 4719), else empty */
	char service_instance_id[64];
	char container_id[72];
};

_Static_assert(sizeof(struct event_header) == 8, "shared with BPF");
_Static_assert(sizeof(struct event_tag) == 24, "shared with BPF");
_Static_assert(sizeof(struct event_slice) == 112, "shared with BPF");
_Static_assert(sizeof(struct event_again) == 40, "shared with BPF");
_Static_assert(EVENT_AGAIN_TAIL_BYTES == sizeof(struct event_tag) + sizeof(struct event_target) +
						 sizeof(struct event_waker) + sizeof(__u64),
	       "those that its flags allow");
_Static_assert(sizeof(struct event_changes) == EVENT_CHANGES_BYTES(EVENT_MAX_CHANGES),
	       "shared with BPF");
_Static_assert(sizeof(struct event_target) == 32, "shared with BPF");
_Static_assert(sizeof(struct event_waker) == 56, "shared with BPF");
_Static_assert(sizeof(struct event_ready) == 56, "shared with BPF");
_Static_assert(sizeof(struct event_behind) == 96, "shared with BPF");
_Static_assert(sizeof(struct event_life) == 32, "shared with BPF");
_Static_assert(sizeof(struct event_clock) == 40, "shared with BPF");
_Static_assert(sizeof(struct event_stack) == 32 + 8 * EVENT_MAX_FRAMES, "shared with BPF");
_Static_assert(sizeof(struct event_counters) == 128, "a multiple of the cache line");
