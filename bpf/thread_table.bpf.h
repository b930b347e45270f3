/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Where tracked threads are kept: a table of fixed size, found by the address of the kernel stack.
 *
 * Task storage would be the kernel's own way, but costs 2 to 5 us for each thread made, a hash map
 * 0.2 us, and this 0.05 us. A thread keeps its kernel stack as long as it lives, so no
 * two live threads share a key, and one that changes its tid (exec) keeps its place. Of a thread
 * whose end was never reported a stale entry stays: it is taken over by the next thread on the same
 * stack, or by anyone once its process is no longer followed. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/stack.bpf.h"
#include "bpf/tag.bpf.h"

#define TABLE_KEY_SHIFT 14 /* kernel stacks are aligned to 16 KiB */
#define TABLE_GOLDEN    2654435769u
#define TABLE_PROBES    4 /* sets that a thread may be in: its own and the next ones */

/* Why it was woken, and when. */
struct wakeup {
	__u64 time_ns;
	struct event_waker waker;
};

/* What its last record said that the next one may leave out (again.bpf.h). */
struct told {
	__u32 flags; /* enum event_slice_flag */
	__u32 state;
	__s32 syscall;
	__u16 cpu;
	__u8 left;       /* so many may follow in short */
	__u8 same_waker; /* who ended the wait before this slice ended that before the last one */
	__u64 stack;
};

/* One tracked thread: what is known of it between two hooks. A switch without wakers, targets and
 * stacks touches three of its cache lines.
 *
 *   begun -> (enter -> leave)* -> leave(DEAD)
 *
 * Everything but the wake-ups is touched only by the CPU that switches the thread in or out, with
 * interrupts off, or by its creator before it first runs. */
struct thread {
	__u32 pid;
	__u32 tid;
	__u32 flags;  /* enum event_slice_flag: those that the beginning of its next record has set
		       */
	__u32 missed; /* records that found the ring full, since the last one that did not */
	__u64 out_ns; /* where the last record ended; the others as in struct event_slice */
	__u64 waking_ns;
	__u64 in_ns;
	__u64 exec_out_ns;
	__u64 exec_in_ns;
	__u64 exec_start_in_ns;
	__u64 exec_start_out_ns;
	__u64 stolen_in_ns;
	__u64 stolen_out_ns;

	struct event_tag tag; /* the last one read; meaningless unless has_tag */
	struct tag_reader reader;
	__u64 unseen_ns; /* waited without a stack since the last one */
	__u8 slot;
	__u8 has_tag;
	__u8 tag_unknown; /* the last reading did not succeed, or there was none yet */
	__u8 on_cpu;
	__u8 blocked;           /* left the CPU to wait */
	__u8 has_waker;         /* of the wait that ended where the slice began */
	__u8 is_last : 1;       /* of its process: the group is dead once it is */
	__u8 is_cutting : 1;    /* a hook that interrupts may come in between is ending its slice */
	__u8 knows_changes : 1; /* how far its log had come when it was last looked at */
	__u8 is_leaving : 1;    /* it exits, and its memory is read once more */
	__u8 is_over : 1;       /* no user code of it will run any more */
	__u8 is_born;           /* followed since its creation: its CPU clock began at 0 */
	__u64 changes_seen;     /* of its log of changes, if knows_changes */

	struct told told;
	__u32 is_polling; /* it waits for one of several: which, is told as it comes (ready.bpf.h)
			   */
	__u32 woken[2];   /* whom it has woken first since it was: of other processes, of its own */
	__u32 place; /* its own: of the set, and in it. What stands before it, begins as zero */

	/* Two, for a thread that has said that it will sleep may be woken while it still runs: that
	 * must not overwrite who ended the wait before. `slot` takes the next. */
	struct wakeup wakeups[2];

	struct event_target told_target;
	struct stack_memo memo;
};

_Static_assert(sizeof(struct thread) == TABLE_PLACE_BYTES, "as it is reckoned with");
_Static_assert(sizeof(struct thread) % 64 == 0, "whole cache lines");

/* place -> thread; as many as thread_bytes hold. Full: that thread is not followed,
 * LOSS_STORAGE_FULL counts. What can be mapped begins at a page, hence at a cache line. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TABLE_WAYS);
	__type(key, __u32);
	__type(value, struct thread);
} threads SEC(".maps");

static __always_inline __u32 table_key(struct task_struct *task)
{
	return (__u32)((__u64)LOAD(task, stack) >> TABLE_KEY_SHIFT);
}

/* Its own set. */
static __always_inline __u32 table_set(__u32 key)
{
	return key * TABLE_GOLDEN >> 16;
}

static __always_inline __u32 *table_keys(__u32 set)
{
	return shared.keys[set & knobs.set_mask & (TABLE_MAX_SETS - 1)];
}

static __always_inline __u8 *table_has_spilled(__u32 set)
{
	return &shared.has_spilled[set & knobs.set_mask & (TABLE_MAX_SETS - 1)];
}

static __always_inline __u32 table_place(__u32 set, __u32 way)
{
	return (set & knobs.set_mask) * TABLE_WAYS + way;
}

static __always_inline struct thread *table_at(__u32 set, __u32 way)
{
	__u32 place = table_place(set, way);

	return bpf_map_lookup_elem(&threads, &place);
}

static __always_inline struct thread *table_look(__u32 key, __u32 set)
{
	__u32 *keys = table_keys(set);

#pragma unroll
	for (__u32 way = 0; way < TABLE_WAYS; way++)
		if (keys[way] == key)
			return table_at(set, way);
	return 0;
}

/* Out of line: nearly all are in their own set, and sets that have never been full are the only
 * place where one can be. */
static __noinline struct thread *table_look_further(__u32 key)
{
	for (__u32 i = 1; i < TABLE_PROBES; i++) {
		struct thread *thread = table_look(key, table_set(key) + i);

		if (thread)
			return thread;
	}
	return 0;
}

/* What has this key, be it stale. */
static __always_inline struct thread *table_seek(__u32 key)
{
	struct thread *thread = table_look(key, table_set(key));

	if (!thread && *table_has_spilled(table_set(key)))
		thread = table_look_further(key);
	return thread;
}

/* 0: there is none. */
static __always_inline struct thread *table_find(struct task_struct *task)
{
	struct thread *thread = table_seek(table_key(task));

	return thread && thread->pid == LOAD(task, tgid) ? thread : 0;
}

/* Whoever makes the pid of a stale entry zero may have its place: no other CPU finds it then. */
static __always_inline bool table_is_free(__u32 *key_there, __u32 key, struct thread *thread)
{
	__u32 pid = thread->pid;

	if (!*key_there)
		return !__sync_val_compare_and_swap(key_there, 0, key);
	if (!pid || is_tracked(pid) || __sync_val_compare_and_swap(&thread->pid, pid, 0) != pid)
		return false;
	*key_there = key;
	return true;
}

/* A place in this set that is free, or that of a process that nobody follows any more. */
static __always_inline struct thread *table_take(__u32 key, __u32 set)
{
	__u32 *keys = table_keys(set);

	for (__u32 way = 0; way < TABLE_WAYS; way++) {
		struct thread *thread = table_at(set, way);

		if (thread && table_is_free(&keys[way], key, thread)) {
			thread->place = table_place(set, way);
			return thread;
		}
	}
	return 0;
}

/* A place for this thread, with whatever was in it before. 0: all its sets are full. */
static __always_inline struct thread *table_claim(struct task_struct *task)
{
	__u32 key = table_key(task);
	struct thread *thread = table_seek(key);

	for (__u32 i = 0; i < TABLE_PROBES && !thread; i++) {
		if (i)
			*table_has_spilled(table_set(key)) = 1;
		thread = table_take(key, table_set(key) + i);
	}
	return thread;
}

/* Gives the place of a thread of `pid` to others, unless one has taken it already. */
static __always_inline void table_release(struct thread *thread, __u32 pid)
{
	__u32 place = thread->place;

	if (__sync_val_compare_and_swap(&thread->pid, pid, 0) == pid)
		table_keys(place / TABLE_WAYS)[place % TABLE_WAYS] = 0;
}
