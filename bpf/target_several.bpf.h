/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Polls and selects of several descriptors: they are kept as the thread leaves, and which of them
 * came is told as it is woken (ready.bpf.h). */
#pragma once

#include "bpf/target_file.bpf.h"
#include "bpf/thread_table.bpf.h"

#define POLL_SEVERAL 8 /* descriptors; of more, nobody looks */
#define POLL_THREADS 1024

enum poll_event {
	POLL_READS = 0x1 | 0x2 | 0x40 | 0x2000, /* POLLIN, POLLPRI, POLLRDNORM, POLLRDHUP */
};

struct polled {
	__s32 fd;
	__s16 events, happened;
};

/* In place of the one descriptor that is waited for. */
enum several_found {
	FOUND_NONE = -1,
	FOUND_SEVERAL = -2, /* or too many to look through */
};

/* What a thread polls. */
struct polled_set {
	__u32 tid;
	__u16 count;
	__u16 reads; /* bits: of these it wants to read */
	__s32 fds[POLL_SEVERAL];
};

/* tid, cut -> what it polls. Whom another thread has pushed out is not told. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLL_THREADS);
	__type(key, __u32);
	__type(value, struct polled_set);
} polled SEC(".maps");

static __always_inline struct polled_set *polled_of(__u32 tid)
{
	__u32 place = tid & (POLL_THREADS - 1);

	return bpf_map_lookup_elem(&polled, &place);
}

/* Empty, for the current thread. 0: there is none. */
static __always_inline struct polled_set *polled_begin(struct task_struct *task)
{
	struct polled_set *set = polled_of(LOAD(task, pid));

	if (!set)
		return 0;
	set->tid = 0;
	set->count = 0;
	set->reads = 0;
	return set;
}

static __always_inline void polled_add(struct polled_set *set, __s32 fd, bool reads)
{
	__u32 at = set->count;

	barrier_var(at); /* or the compiler leaves out what the verifier asks for */
	at &= POLL_SEVERAL - 1;
	set->fds[at] = fd;
	set->reads |= reads << at;
	set->count++;
}

/* Who wakes the current thread looks for which it was. */
static __always_inline void target_of_several(struct task_struct *task)
{
	struct thread *thread = table_find(task);

	if (thread)
		thread->is_polling = 1;
}

static __always_inline void polled_end(struct polled_set *set, struct task_struct *task)
{
	set->tid = LOAD(task, pid);
	target_of_several(task);
}

/* ---- poll */

/* poll and select of no descriptor at all: a way to sleep. */
static __always_inline void target_time(struct event_target *target)
{
	target->kind = TARGET_ANON;
	__builtin_memcpy(target->name, TARGET_TIME, sizeof(TARGET_TIME));
}

/* The only one that is not left out (a negative number), or enum several_found: of those, which
 * came is told as the thread is woken. */
__noinline int target_polls(__u64 polls, __u32 count)
{
	struct task_struct *task = task_current();
	struct polled_set *set = polled_begin(task);
	__s32 found = FOUND_NONE;
	struct polled each;

	if (!set || count > POLL_SEVERAL)
		return FOUND_SEVERAL;
	for (__u32 i = 0; i < POLL_SEVERAL && i < count; i++) {
		if (bpf_probe_read_user(&each, sizeof(each), (void *)(polls + 8 * i)))
			return FOUND_SEVERAL;
		if (each.fd < 0)
			continue;
		found = found == FOUND_NONE ? each.fd : FOUND_SEVERAL;
		polled_add(set, each.fd, each.events & POLL_READS);
	}
	if (found == FOUND_SEVERAL)
		polled_end(set, task);
	return found;
}

/* ---- select */

#define SELECT_WORDS 16 /* of a set: descriptors below 1024, as FD_SETSIZE */

/* Of a word that is a power of two. Without branches, which the verifier would follow one by one.
 */
static __always_inline __u32 select_bit(__u64 word)
{
	word -= 1; /* as many ones as there are zeros below */
	word -= word >> 1 & 0x5555555555555555ull;
	word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return word * 0x0101010101010101ull >> 56;
}

/* Of a set of so many descriptors. */
static __always_inline __u64 select_word(__u64 set, __u32 index, __u64 count)
{
	__u64 word = 0, beyond = 64 * (index + 1) - count;

	if (set)
		bpf_probe_read_user(&word, sizeof(word), (void *)(set + 8 * index));
	return 64 * (index + 1) > count ? word & ~0ull >> (beyond & 63) : word;
}

/* The one that is waited for, in whichever sets, or enum several_found. */
__noinline int select_one(__u64 count, __u64 in, __u64 out, __u64 except)
{
	__s32 found = FOUND_NONE;

	if (count > 64 * SELECT_WORDS)
		return FOUND_SEVERAL;
	for (__u32 i = 0; i < SELECT_WORDS && 64 * i < count; i++) {
		__u64 word = select_word(in, i, count) | select_word(out, i, count) |
			     select_word(except, i, count);

		if (!word)
			continue;
		if (found != FOUND_NONE || word & (word - 1))
			return FOUND_SEVERAL;
		found = (__s32)(select_bit(word) + 64 * i);
	}
	return found;
}

/* Of select: those that it wants to read from. */
__noinline int target_selects(__u64 count, __u64 in)
{
	struct task_struct *task = task_current();
	struct polled_set *set = polled_begin(task);

	if (!set)
		return 0;
	for (__u32 i = 0; i < SELECT_WORDS && 64 * i < count; i++) {
		__u64 word = select_word(in, i, count);

		for (__u32 k = 0; k < POLL_SEVERAL && word; k++) {
			if (set->count >= POLL_SEVERAL)
				return 0;
			polled_add(set, (__s32)(select_bit(word & -word) + 64 * i), true);
			word &= word - 1;
		}
		if (word)
			return 0;
	}
	polled_end(set, task);
	return 0;
}

static __always_inline void target_select(struct task_struct *task, void *registers,
					  struct event_target *target)
{
	__s32 fd = select_one(
		FIELD(struct pt_regs, registers, di), FIELD(struct pt_regs, registers, si),
		FIELD(struct pt_regs, registers, dx), FIELD(struct pt_regs, registers, r10));

	if (fd == FOUND_NONE)
		target_time(target);
	else if (fd >= 0)
		target_fd(task, fd, target);
	else
		target_selects(FIELD(struct pt_regs, registers, di),
			       FIELD(struct pt_regs, registers, si));
}
