/* SPDX-License-Identifier: Apache-2.0 */
/* The breakdown of one span: where its wall time went, and how sure that is.
 *
 *   wall = running + runnable + sum(blocked) + elsewhere + unknown      always, to the nanosecond
 *
 * A ledger is computed by the correlator and immutable afterwards. All durations are ns; times are
 * Unix ns. With GRADE_NONE there are no figures at all: print null, not 0. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpf/event.h"
#include "collector/base/buf.h"
#include "collector/base/hex.h"
#include "collector/base/str.h"

/* X(symbol, name, meaning) */
#define LEDGER_REASONS(X)                                                                          \
	X(LOCK, "lock", "a mutex, condition, semaphore, join, file lock")                          \
	X(NET, "net", "a socket")                                                                  \
	X(DISK, "disk", "block or file system I/O")                                                \
	X(POLL, "poll", "epoll; poll or select on several descriptors")                            \
	X(SLEEP, "sleep", "asked for by the thread itself")                                        \
	X(PIPE, "pipe", "a pipe, FIFO, terminal or message queue")                                 \
	X(FAULT, "fault", "a page had to be read in, or memory reclaimed")                         \
	X(CHILD, "child", "waiting for a child process")                                           \
	X(SIGNAL, "signal", "waiting for a signal; stopped, traced, frozen")                       \
	X(IO_URING, "io_uring", "completions of io_uring")                                         \
	X(OTHER, "other", "anything else; decided_by names the system call")

enum ledger_reason {
#define X(symbol, name, meaning) REASON_##symbol,
	LEDGER_REASONS(X)
#undef X
		REASON_COUNT
};

enum ledger_grade {
	GRADE_NONE = 0,     /* no tags, or not on this node: figures are null */
	GRADE_PARTIAL = 1,  /* records lost, or older than the timelines */
	GRADE_INFERRED = 2, /* never observed; the likeliest thread was taken */
	GRADE_BOUNDED = 3,  /* uncertain_ns > LEDGER_EXACT_NS */
	GRADE_EXACT = 4,
};

/* What decided a wait's reason: the number of a system call, -1: none, or the kernel's frames, in a
 * call (its number and this bit) or outside of any. */
#define LEDGER_KERNEL_IN_CALL (1 << 20)
#define LEDGER_KERNEL_NO_CALL (-2)
#define LEDGER_FROZEN         (-3) /* a cgroup held it, in whatever call */

#define LEDGER_EXACT_NS   2000 /* an `exact` ledger misplaces at most this much */
#define LEDGER_MAX_WAITS  64
#define LEDGER_MAX_WAKERS 8
#define LEDGER_MAX_ITEMS  32
#define LEDGER_MAX_LINKS  16
#define LEDGER_MAX_SLICES 64
#define LEDGER_MAX_STACKS 64

struct ledger_split {
	uint64_t running_ns;
	uint64_t runnable_ns;
	uint64_t blocked_ns[REASON_COUNT];
	uint64_t elsewhere_ns;
	uint64_t unknown_ns;
};

/* In place of an event_waker_kind: not who ended the wait, but who had the lock, or was behind. */
enum ledger_holder_kind {
	HOLDER_HELD = 8, /* all of these ns: it was woken for the lock, or its tid stood in it */
	HOLDER_RELEASED = 9, /* it let go of it at their end; since when it had it is not known */
	HOLDER_BEHIND = 10,  /* of no lock: it ended a wait of so many ns of whoever ended ours, and
				which publishes nothing; tag: whom it worked for */
};

#define HOLDER_LAST HOLDER_BEHIND

struct ledger_waker {
	uint32_t pid, tid;
	uint8_t kind; /* enum event_waker_kind, or enum ledger_holder_kind */
	char comm[EVENT_COMM_BYTES];
	struct event_tag tag; /* the span it carried; zero: none */
	uint64_t ns;          /* of the waits that it ended, or during which it held the lock */
};

/* Waits of one (reason, target, system call, stack). Inclusive of descendants; `self_ns` is the
 * part that belongs to the span itself. */
struct ledger_wait {
	uint8_t reason; /* enum ledger_reason */
	uint8_t waker_count;
	int32_t syscall; /* what decided the reason, see LEDGER_KERNEL_IN_CALL */
	uint32_t count;
	uint64_t ns;
	uint64_t self_ns;
	uint64_t longest_ns;
	uint64_t stack; /* an id, or enum event_no_stack */
	struct event_target target;
	struct ledger_waker wakers[LEDGER_MAX_WAKERS]; /* then holders; each by ns, most first */
};

enum ledger_item_kind {
	ITEM_CHILD = 1,  /* the deepest client or producer span that covers it: below, or itself */
	ITEM_QUEUED = 2, /* before the span was first observed */
	ITEM_UNCOVERED = 3,
};

struct ledger_item {
	uint8_t kind; /* enum ledger_item_kind */
	uint8_t span_id[SPAN_ID_BYTES];
	uint8_t server_span_id[SPAN_ID_BYTES]; /* zero: not on this node, or not yet seen */
	uint64_t ns;
	char name[64]; /* of the child, cut */
	char peer[64];
};

enum ledger_via {
	LINK_WAKER = 0,
	LINK_PARENT = 1, /* client span -> server span */
	LINK_CHAIN = 2,  /* it made the waker go on, which carries no span itself (behind.c) */
};

struct ledger_link {
	struct event_tag to;
	uint8_t via; /* enum ledger_via */
	uint64_t ns;
};

enum ledger_state {
	STATE_RUNNING = 0,
	STATE_RUNNABLE,
	STATE_BLOCKED,
	STATE_ELSEWHERE,
	STATE_UNKNOWN
};

struct ledger_slice {
	uint64_t start_unix_ns;
	uint64_t ns;
	uint32_t tid;   /* 0 for elsewhere and unknown */
	uint8_t state;  /* enum ledger_state */
	uint8_t reason; /* of STATE_BLOCKED */
};

/* Code found on a CPU by ticks, or when the CPU was taken away: the running time of the slices that
 * ended so, and of those before and after them without a wait in between. The rest stands behind
 * STACK_NOT_TAKEN, so that they add up to running_ns. */
struct ledger_stack {
	uint64_t stack; /* an id, or enum event_no_stack */
	uint64_t ns;
	uint64_t self_ns;
};

struct ledger {
	uint8_t trace_id[TRACE_ID_BYTES];
	uint8_t span_id[SPAN_ID_BYTES];
	uint64_t start_unix_ns;
	uint64_t wall_ns;
	uint32_t pid;      /* of the process that made the span; 0: not known */
	uint16_t revision; /* 1, then higher when a late span had its trace computed again */
	uint8_t grade;     /* enum ledger_grade */
	bool settled;
	bool is_local_root;
	bool slices_truncated; /* the shortest were given to their neighbours */
	uint8_t none_cause;    /* enum ledger_none; with GRADE_NONE */
	uint64_t uncertain_ns;
	uint64_t cpu_ns;
	uint64_t cpu_self_ns;
	uint64_t forked_cpu_ns;
	uint64_t preempted_ns; /* of runnable_ns */
	uint64_t throttled_ns; /* of runnable_ns */
	uint64_t yielded_ns;   /* of runnable_ns: by sched_yield; the rest was woken */
	struct ledger_split all;
	struct ledger_split self;
	uint16_t wait_count, item_count, link_count, slice_count, stack_count;
	struct ledger_wait *waits; /* by ns, most first; at most LEDGER_MAX_WAITS, the last one then
				      sums the rest of its reason */
	struct ledger_item *items;
	struct ledger_link *links;
	struct ledger_slice *slices;
	struct ledger_stack *stacks; /* by ns, most first; at most LEDGER_MAX_STACKS */
};

enum ledger_none {
	NONE_NOT_SET = 0,
	NONE_NO_PROCESS,   /* nobody knows which process made the span */
	NONE_NO_TAGS,      /* its process publishes none */
	NONE_FOREIGN,      /* made on another node */
	NONE_NO_KERNEL,    /* spanwise has no eBPF rights here */
	NONE_BEFORE_START, /* the span ended before spanwise watched */
};

const char *ledger_reason_name(enum ledger_reason reason);
const char *ledger_grade_name(enum ledger_grade grade);
const char *ledger_none_text(enum ledger_none cause);
uint64_t ledger_blocked_ns(const struct ledger_split *split);
/* cpu / wall; negative when there is none (GRADE_NONE, or a wall of 0). */
double ledger_ratio(const struct ledger *ledger);
/* The identity above, for `all`; and self never exceeds all. */
bool ledger_adds_up(const struct ledger *ledger);
/* The waits of each reason are its blocked_ns, and the stacks running_ns; of self too. */
bool ledger_stacks_add_up(const struct ledger *ledger);

/* Versioned bytes: the same ledger, the same bytes. */
void ledger_encode(const struct ledger *ledger, struct buf *out);
/* The arrays are allocated in `arena`. -EBADMSG: damaged. -EPROTO: a newer version. */
struct arena;
int ledger_decode(struct str bytes, struct arena *arena, struct ledger *out_ledger);

enum ledger_verdict {
	VERDICT_NONE = 0, /* no figures */
	VERDICT_STARVED,
	VERDICT_QUEUED,
	VERDICT_WAITING,
	VERDICT_CPU_BOUND,
	VERDICT_MIXED,
};

/* Who knows what code a stack is: its function as one says it, empty where nobody knows; and which
 * span below this one had most of its time on a CPU, empty where none has more than half. Borrowed
 * until the next call of ledger_judge. NULL: nobody. */
struct ledger_code {
	struct str (*name)(uint64_t stack, void *arg);
	void *arg;
	struct str (*subtree)(const struct ledger *ledger, void *arg);
	void *subtree_arg;
};

/* By the rules of the design, the first that fits. Appends one line to `out_text`. `code`: NULL
 * where nobody knows. */
enum ledger_verdict ledger_judge(const struct ledger *ledger, const struct ledger_code *code,
				 struct buf *out_text);
const char *ledger_verdict_name(enum ledger_verdict verdict);
/* "10.0.0.5:5432", "futex 0x7f..", "pipe 1234"; appends nothing for TARGET_NONE. */
void ledger_target_text(const struct event_target *target, struct buf *out);
/* A call that waits for its answer. */
static inline bool ledger_item_is_own(const struct ledger *ledger, const struct ledger_item *item)
{
	return item->kind == ITEM_CHILD && !hex_is_zero(item->span_id, SPAN_ID_BYTES) &&
	       memcmp(item->span_id, ledger->span_id, SPAN_ID_BYTES) == 0;
}

static inline bool ledger_is_holder(const struct ledger_waker *waker)
{
	return waker->kind >= HOLDER_HELD;
}

/* Those that come first. */
static inline unsigned ledger_count_wakers(const struct ledger_wait *wait)
{
	unsigned count = 0;

	while (count < wait->waker_count && count < LEDGER_MAX_WAKERS &&
	       !ledger_is_holder(&wait->wakers[count]))
		count++;
	return count;
}

/* What decided a wait's reason, as text: "syscall recvfrom", "page fault", "state D". */
void ledger_decided_by(const struct ledger_wait *wait, struct buf *out);
