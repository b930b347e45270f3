/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Futexes that several processes may share: the same lock has another address in each.
 *
 * Who joins a thread waits on such a one, too, though the word is the process's own. So what its
 * mapping says of a page is kept, for as long as the process maps nothing else, and a second at
 * most. */
#pragma once

#include "bpf/mapping.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/stack.bpf.h"

#define FUTEX_PAGES      512
#define FUTEX_PAGE_SHIFT 12
#define FUTEX_KEEP_SHIFT 30 /* of the ns: about a second */

/* What a page of an address space is to all who share it. */
struct futex_page {
	__u64 key;       /* of page, address space and time; 0: none */
	__u64 to_offset; /* from the address of the word to its place in the file */
	__u64 inode;
	__u32 device;
	__u8 is_shared;
	__u8 pad[3];
};

/* key's hash -> page, as this CPU was told. What another one has pushed out is asked for again. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FUTEX_PAGES);
	__type(key, __u32);
	__type(value, struct futex_page);
} futex_pages SEC(".maps");

/* false: not known now. */
static __always_inline bool futex_look(__u64 address, struct futex_page *page)
{
	struct mapping *mapping = mapping_find(address) ? mapping_scratch() : 0;

	if (!mapping)
		return false;
	struct file *file = mapping->file;

	if (!file || !(mapping->flags & MAPPING_IS_SHARED))
		return true;
	page->is_shared = 1;
	page->to_offset = (mapping->page_offset << FUTEX_PAGE_SHIFT) - mapping->start;
	page->inode = BPF_CORE_READ(file, f_inode, i_ino);
	page->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	return true;
}

/* 6.4 (5e31275cc997), where mappings have locks of their own: counts what changes any of them. 6.13
 * (eb449bd96954) made it a counter of a kind. */
struct mm_struct___since_6_4 {
	int mm_lock_seq;
} __attribute__((preserve_access_index));

struct seqcount___since_6_13 {
	unsigned int sequence;
} __attribute__((preserve_access_index));

struct mm_struct___since_6_13 {
	struct seqcount___since_6_13 mm_lock_seq;
} __attribute__((preserve_access_index));

static __always_inline __u64 futex_changes(struct mm_struct *mm)
{
	struct mm_struct___since_6_13 *newer = (void *)mm;
	struct mm_struct___since_6_4 *older = (void *)mm;

	if (bpf_core_field_exists(newer->mm_lock_seq.sequence))
		return BPF_CORE_READ(newer, mm_lock_seq.sequence);
	return bpf_core_field_exists(older->mm_lock_seq) ? (__u32)BPF_CORE_READ(older, mm_lock_seq)
							 : 0;
}

/* Whether what is kept of a page can be told to be out of date: on 6.1 to 6.3 nothing tells, but to
 * look again takes little. Before, it takes long, and another file at the same place may be told as
 * the one before for a second. */
static __always_inline bool futex_may_keep(struct mm_struct *mm)
{
	struct mm_struct___since_6_13 *newer = (void *)mm;
	struct mm_struct___since_6_4 *older = (void *)mm;

	return bpf_core_field_exists(newer->mm_lock_seq.sequence) ||
	       bpf_core_field_exists(older->mm_lock_seq) || !bpf_core_field_exists(mm->mm_mt);
}

static __always_inline __u64 futex_key(struct task_struct *task, __u64 address)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 key = stack_mix((__u64)mm, address >> FUTEX_PAGE_SHIFT);

	key = stack_mix(key, futex_changes(mm));
	key = stack_mix(key, BPF_CORE_READ(mm, map_count));
	key = stack_mix(key, BPF_CORE_READ(mm, total_vm));
	return stack_mix(key, bpf_ktime_get_ns() >> FUTEX_KEEP_SHIFT) | 1;
}

/* Out of line, for it is rare: a word that others may share becomes the same for all of them. */
static __noinline int futex_share(struct event_target *target)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct futex_page page = { 0 };
	struct futex_page *kept;
	__u64 key;

	if (!target)
		return 0;
	key = futex_key(task, target->id);
	__u32 index = key >> 32 & (FUTEX_PAGES - 1);

	kept = bpf_map_lookup_elem(&futex_pages, &index);
	if (!kept)
		return 0;
	if (kept->key == key && futex_may_keep(BPF_CORE_READ(task, mm))) {
		page = *kept;
	} else {
		page.key = key;
		if (futex_look(target->id, &page))
			*kept = page;
	}
	if (!page.is_shared)
		return 0;
	target->kind = TARGET_FUTEX_SHARED;
	target->id += page.to_offset;
	*(__u64 *)target->address = page.inode;
	*(__u32 *)(target->address + 8) = page.device;
	return 0;
}

enum target_futex {
	FUTEX_CALL = 0x7f, /* without FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME */
	FUTEX_PRIVATE = 0x80,
	FUTEX_WAIT = 0,
	FUTEX_LOCK_PI = 6,
	FUTEX_LOCK_PI2 = 13,
	FUTEX_TIDS = 0x3fffffff, /* FUTEX_TID_MASK */
};

/* What glibc has at the word of a mutex. */
struct futex_mutex {
	__u32 lock, count, owner, users, kind;
};

enum futex_mutex_kind {
	MUTEX_TYPE = 3,
	MUTEX_RECURSIVE = 1,
	MUTEX_CONTENDED =
		2, /* in `lock`; with priorities or a robust list it is the owner instead */
};

/* One that only looks like it will hardly have, as it is awaited, a thread's number in its place
 * that then wakes the waiter (correlate/holder.c asks for that). */
static __always_inline bool futex_is_mutex(const struct futex_mutex *mutex)
{
	if (mutex->count > 1 &&
	    (mutex->users != 1 || (mutex->kind & MUTEX_TYPE) != MUTEX_RECURSIVE))
		return false;
	return mutex->owner < WORKER_PIDS &&
	       (mutex->lock == MUTEX_CONTENDED || (mutex->lock & FUTEX_TIDS) == mutex->owner);
}

/* Whose tid stands there: in the word itself (priority inheritance), or two words on in a contended
 * mutex of glibc. Pid numbers are the process's own namespace's. */
static __always_inline __u32 futex_owner(__u64 word, __u32 operation)
{
	struct futex_mutex mutex;
	__u32 tid;

	if (operation == FUTEX_LOCK_PI || operation == FUTEX_LOCK_PI2)
		return bpf_probe_read_user(&tid, sizeof(tid), (void *)word) ? 0 : tid & FUTEX_TIDS;
	if (operation != FUTEX_WAIT) /* as do conditions, semaphores and time limits */
		return 0;
	if (bpf_probe_read_user(&mutex, sizeof(mutex), (void *)word))
		return 0;
	return futex_is_mutex(&mutex) ? mutex.owner : 0;
}

static __always_inline void target_futex(void *registers, struct event_target *target)
{
	__u32 call = FIELD(struct pt_regs, registers, si);

	target->kind = TARGET_FUTEX;
	target->id = FIELD(struct pt_regs, registers, di);
	target->aux = futex_owner(target->id, call & FUTEX_CALL);
	if (!(call & FUTEX_PRIVATE))
		futex_share(target);
}

/* futex_wait(word, value, mask, flags ...), since 6.7. */
static __always_inline void target_futex2(void *registers, struct event_target *target)
{
	target->kind = TARGET_FUTEX;
	target->id = FIELD(struct pt_regs, registers, di);
	if (!(FIELD(struct pt_regs, registers, r10) & FUTEX_PRIVATE))
		futex_share(target);
}

/* struct futex_waitv of the kernel's interface. */
struct futex_waited {
	__u64 value;
	__u64 word;
	__u32 flags;
	__u32 reserved;
};

/* futex_waitv(words, count ...): the first of them stands for all. */
static __always_inline void target_futexes(void *registers, struct event_target *target)
{
	void *words = (void *)FIELD(struct pt_regs, registers, di);
	__u32 count = FIELD(struct pt_regs, registers, si);
	struct futex_waited first;

	if (!count || bpf_probe_read_user(&first, sizeof(first), words))
		return;
	target->kind = TARGET_FUTEX;
	target->id = first.word;
	target->port = count - 1;
	if (!(first.flags & FUTEX_PRIVATE))
		futex_share(target);
}
