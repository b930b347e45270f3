/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/reason.h"

#include <string.h>

#include "collector/base/macros.h"

/* Raw bits of task->__state (include/linux/sched.h). A wait often carries others beside them, such
 * as wakekill or freezable: so test bits, never equality. */
#define STATE_UNINTERRUPTIBLE 0x2u
#define STATE_STOPPED         0x4u
#define STATE_TRACED          0x8u
/* From outside, wherever it was. */
#define STATE_HELD (STATE_STOPPED | STATE_TRACED | EVENT_STATE_FROZEN)

/* What a system call waits for when it blocks. */
enum class {
	CLASS_UNKNOWN = 0, /* no such number */
	CLASS_OTHER,
	CLASS_FUTEX,
	CLASS_LOCK,   /* file locks and SysV semaphores; they wait interruptibly */
	CLASS_FLOCK,  /* of a file as a whole */
	CLASS_QUEUE,  /* of messages */
	CLASS_POLL,   /* the target decides if there is but one */
	CLASS_EPOLL,  /* several descriptors by nature */
	CLASS_SOCKET, /* the descriptor must be a socket */
	CLASS_READ,   /* the descriptor decides */
	CLASS_SLEEP,
	CLASS_MEMORY, /* they may bring pages in, and do no other I/O */
	CLASS_CHILD,
	CLASS_FORK, /* a vfork waits for the child, which is its target then (posix_spawn too) */
	CLASS_DISK,
	CLASS_AIO,   /* a disk, unless there is a target: then it polls */
	CLASS_FILES, /* uninterruptible: the file system's metadata is read in */
	CLASS_EXEC,  /* as these; the memory becomes another program's */
	CLASS_SIGNAL,
	CLASS_IO_URING,
	CLASS_YIELD,   /* it does not wait */
	CLASS_RESTART, /* nanosleep, poll or futex after a signal: nobody knows which */
};

struct syscall {
	const char *name;
	enum class class;
};

static const struct syscall syscalls[] = {
#define X(number, name, class) [number] = { #name, CLASS_##class },
#include "correlate/syscalls.def"
#undef X
};

static const struct syscall *find(int32_t number)
{
	static const struct syscall none = { NULL, CLASS_UNKNOWN };

	return number >= 0 && (size_t)number < ARRAY_LEN(syscalls) ? &syscalls[number] : &none;
}

const char *reason_syscall_name(int32_t syscall)
{
	return find(syscall)->name;
}

bool reason_syscall_waits_for_signal(int32_t syscall)
{
	return find(syscall)->class == CLASS_SIGNAL;
}

bool reason_syscall_is_restart(int32_t syscall)
{
	return find(syscall)->class == CLASS_RESTART;
}

bool reason_syscall_is_exec(int32_t syscall)
{
	return find(syscall)->class == CLASS_EXEC;
}

bool reason_syscall_is_lock(int32_t syscall)
{
	return find(syscall)->class == CLASS_LOCK || find(syscall)->class == CLASS_FLOCK;
}

bool reason_syscall_is_flock(int32_t syscall)
{
	return find(syscall)->class == CLASS_FLOCK;
}

bool reason_syscall_is_yield(int32_t syscall)
{
	return find(syscall)->class == CLASS_YIELD;
}

bool reason_state_is_held(uint32_t state)
{
	return (state & STATE_HELD) != 0;
}

static enum ledger_reason by_name(const struct event_target *target, enum ledger_reason fallback)
{
	if (strncmp(target->name, TARGET_TIMERFD, sizeof(target->name)) == 0 ||
	    strncmp(target->name, TARGET_TIME, sizeof(target->name)) == 0)
		return REASON_SLEEP;
	if (strncmp(target->name, TARGET_SIGNALFD, sizeof(target->name)) == 0)
		return REASON_SIGNAL;
	return fallback;
}

/* The kernel's own dev_t (Documentation/admin-guide/devices.txt). */
#define DEVICE(major, minor) ((major) << 20 | (minor))
#define DEVICE_TUN           DEVICE(10u, 200u)

static bool is_terminal(uint32_t device)
{
	switch (device >> 20) {
	case 0: /* not told: recordings of earlier versions */
	case 2:
	case 3:
	case 4:
	case 5:   /* tty, console, ptmx */
	case 136: /* pts */
	case 166: /* ttyACM */
	case 188: /* ttyUSB */
	case 204: /* serial lines */
	case 229: /* hvc */
		return true;
	}
	return false;
}

/* A terminal is a pipe to somebody, a tunnel a way to the network. What others wait for (graphics
 * cards, logs), nobody knows. */
static enum ledger_reason by_device(uint32_t device, enum ledger_reason fallback)
{
	if (is_terminal(device))
		return REASON_PIPE;
	return device == DEVICE_TUN ? REASON_NET : fallback;
}

/* `fallback`: when the target is missing or says nothing. */
static enum ledger_reason by_target(const struct event_target *target, enum ledger_reason fallback)
{
	switch (target ? (enum event_target_kind)target->kind : TARGET_NONE) {
	case TARGET_INET4:
	case TARGET_INET6:
	case TARGET_UNIX:
	case TARGET_SOCKET:
		return REASON_NET;
	case TARGET_PIPE:
	case TARGET_QUEUE:
		return REASON_PIPE;
	case TARGET_CHAR:
		return by_device(target->aux, fallback);
	case TARGET_FILE:
		return REASON_DISK;
	case TARGET_FUTEX:
	case TARGET_FUTEX_SHARED:
	case TARGET_SEMAPHORE:
		return REASON_LOCK;
	case TARGET_CHILD:
		return REASON_CHILD;
	case TARGET_ANON:
		return by_name(target, fallback);
	case TARGET_NONE:
		break;
	}
	return fallback;
}

/* A regular file is always ready; what makes one wait for it is news of another kind. */
static enum ledger_reason by_polled(const struct event_target *target)
{
	return target && target->kind == TARGET_FILE ? REASON_POLL : by_target(target, REASON_POLL);
}

/* io_schedule() waits for a block or a page. A call that does no I/O of its own can only have
 * faulted on its arguments. */
static enum ledger_reason by_iowait(enum class class)
{
	switch (class) {
	case CLASS_IO_URING: /* some kernels count the ring's own wait as iowait */
		return REASON_IO_URING;
	case CLASS_UNKNOWN:
	case CLASS_FUTEX:
	case CLASS_QUEUE:
	case CLASS_POLL:
	case CLASS_EPOLL:
	case CLASS_SOCKET:
	case CLASS_SLEEP:
	case CLASS_MEMORY:
	case CLASS_CHILD:
	case CLASS_SIGNAL:
		return REASON_FAULT;
	default:
		return REASON_DISK;
	}
}

static enum ledger_reason by_class(enum class class, bool uninterruptible,
				   const struct event_target *target)
{
	switch (class) {
	case CLASS_FUTEX:
	case CLASS_LOCK:
	case CLASS_FLOCK:
		return REASON_LOCK;
	case CLASS_QUEUE:
		return REASON_PIPE;
	case CLASS_POLL:
		return by_polled(target);
	case CLASS_EPOLL:
		return REASON_POLL;
	case CLASS_SOCKET:
		return REASON_NET;
	case CLASS_READ:
	case CLASS_FORK:
		return by_target(target, REASON_OTHER);
	case CLASS_SLEEP:
		return REASON_SLEEP;
	case CLASS_CHILD:
		return REASON_CHILD;
	case CLASS_DISK:
		return REASON_DISK;
	case CLASS_AIO:
		return target && target->kind != TARGET_NONE ? REASON_POLL : REASON_DISK;
	case CLASS_FILES:
	case CLASS_EXEC:
		return uninterruptible ? REASON_DISK : REASON_OTHER;
	case CLASS_SIGNAL:
		return REASON_SIGNAL;
	case CLASS_IO_URING:
		return REASON_IO_URING;
	case CLASS_RESTART:
		return by_target(target, REASON_OTHER);
	case CLASS_UNKNOWN:
	case CLASS_MEMORY:
	case CLASS_YIELD:
	case CLASS_OTHER:
		break;
	}
	return REASON_OTHER;
}

enum ledger_reason reason_of(uint32_t state, int32_t syscall, bool iowait,
			     const struct event_target *target)
{
	enum class class = find(syscall)->class;

	if (state & STATE_HELD)
		return REASON_SIGNAL;
	if (iowait)
		return by_iowait(class);
	return by_class(class, (state & STATE_UNINTERRUPTIBLE) != 0, target);
}

static const enum ledger_reason of_kernel[] = {
	[KERNEL_WAIT_UNKNOWN] = REASON_OTHER,     [KERNEL_WAIT_LOCK] = REASON_LOCK,
	[KERNEL_WAIT_NET] = REASON_NET,           [KERNEL_WAIT_DISK] = REASON_DISK,
	[KERNEL_WAIT_POLL] = REASON_POLL,         [KERNEL_WAIT_SLEEP] = REASON_SLEEP,
	[KERNEL_WAIT_PIPE] = REASON_PIPE,         [KERNEL_WAIT_FAULT] = REASON_FAULT,
	[KERNEL_WAIT_CHILD] = REASON_CHILD,       [KERNEL_WAIT_SIGNAL] = REASON_SIGNAL,
	[KERNEL_WAIT_IO_URING] = REASON_IO_URING, [KERNEL_WAIT_OTHER] = REASON_OTHER,
};

/* KERNEL_WAIT_UNKNOWN: the kernel's frames were not asked, told nothing, or have no say. */
static uint32_t kernel_says(const struct slice *slice, enum ledger_reason reason)
{
	uint32_t wait = (slice->flags & EVENT_KERNEL_WAIT) >> EVENT_KERNEL_WAIT_SHIFT;

	if (wait >= ARRAY_LEN(of_kernel) || slice->state & STATE_HELD)
		return KERNEL_WAIT_UNKNOWN;
	if (slice->flags & EVENT_IOWAIT) /* for a disk, that may be for a page */
		return wait == KERNEL_WAIT_FAULT ? wait : KERNEL_WAIT_UNKNOWN;
	return reason == REASON_OTHER || slice->state & STATE_UNINTERRUPTIBLE ? wait
									      : KERNEL_WAIT_UNKNOWN;
}

/* By a cgroup: the kernel calls so, too, what is stopped or traced meanwhile. */
static bool is_frozen(uint32_t state)
{
	return state & EVENT_STATE_FROZEN && !(state & (STATE_STOPPED | STATE_TRACED));
}

enum ledger_reason reason_of_slice(const struct slice *slice, int32_t *out_syscall)
{
	enum ledger_reason reason =
		reason_of(slice->state, slice->syscall, slice->flags & EVENT_IOWAIT, slice->target);
	uint32_t wait = kernel_says(slice, reason);

	*out_syscall = is_frozen(slice->state) ? LEDGER_FROZEN : slice->syscall;
	if (wait == KERNEL_WAIT_UNKNOWN || of_kernel[wait] == reason)
		return reason;
	*out_syscall =
		slice->syscall < 0 ? LEDGER_KERNEL_NO_CALL : slice->syscall | LEDGER_KERNEL_IN_CALL;
	return of_kernel[wait];
}

bool reason_syscall_is_event_loop(int32_t syscall)
{
	return find(syscall)->class == CLASS_EPOLL;
}

bool reason_is_guess(const struct slice *slice)
{
	enum class class = find(slice->syscall)->class;

	if (slice->target->kind != TARGET_NONE || slice->state & STATE_HELD)
		return false;
	return class == CLASS_READ || class == CLASS_POLL || class == CLASS_RESTART ||
	       class == CLASS_UNKNOWN || class == CLASS_MEMORY || class == CLASS_YIELD ||
	       class == CLASS_OTHER || slice->state & STATE_UNINTERRUPTIBLE;
}
