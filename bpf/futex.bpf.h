/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Futexes that several processes may share: the same lock has another address in each.
 *
 * Who joins a thread waits on such a one, too, though the word is the process's own. To ask the
 * kernel for the mapping locks it, and with interrupts off that lock is given back by an interrupt
 * to oneself: 10 us and more in a virtual machine. So what it says of a page is kept, for as long
 * as the process maps nothing else, and a second at most. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/stack.bpf.h"

#define FUTEX_PAGES       512
#define FUTEX_PAGE_SHIFT  12
#define FUTEX_KEEP_SHIFT  30 /* of the ns: about a second */
#define MAPPING_IS_SHARED 8  /* VM_SHARED */

/* What a page of an address space is to all who share it. */
struct futex_page {
	__u64 key;       /* of page, address space and time; 0: none */
	__u64 to_offset; /* from the address of the word to its place in the file */
	__u64 inode;
	__u32 device;
	__u8 is_known;
	__u8 is_shared;
	__u8 pad[2];
};

/* key's hash -> page, as this CPU was told. What another one has pushed out is asked for again. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FUTEX_PAGES);
	__type(key, __u32);
	__type(value, struct futex_page);
} futex_pages SEC(".maps");

static long futex_mapping(struct task_struct *task, struct vm_area_struct *area, void *context)
{
	struct futex_page *page = context;
	struct file *file = BPF_CORE_READ(area, vm_file);

	page->is_known = 1;
	if (!file || !(BPF_CORE_READ(area, vm_flags) & MAPPING_IS_SHARED))
		return 0;
	page->is_shared = 1;
	page->to_offset = (BPF_CORE_READ(area, vm_pgoff) << 12) - BPF_CORE_READ(area, vm_start);
	page->inode = BPF_CORE_READ(file, f_inode, i_ino);
	page->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	return 0;
}

static __always_inline __u64 futex_key(struct task_struct *task, __u64 address)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 key = stack_mix((__u64)mm, address >> FUTEX_PAGE_SHIFT);

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

	if (!target || !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_find_vma))
		return 0;
	key = futex_key(task, target->id);
	__u32 index = key >> 32 & (FUTEX_PAGES - 1);

	kept = bpf_map_lookup_elem(&futex_pages, &index);
	if (!kept)
		return 0;
	if (kept->key == key) {
		page = *kept;
	} else {
		bpf_find_vma(task, target->id, futex_mapping, &page, 0);
		page.key = key;
		if (page.is_known)
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
