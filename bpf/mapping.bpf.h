/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the current thread's process has mapped at an address.
 *
 * bpf_find_vma() must have the lock of all mappings, which a busy process or another tracing
 * program may hold, and gives it back, with interrupts off, by an interrupt to oneself: 10 us and
 * more in a virtual machine. Since 6.1 (d4af56c5c7c6) the mappings are in a maple tree, which is
 * read without. What another thread changes meanwhile may lead astray, but not out of bounds: what
 * is found is checked for the address. */
#pragma once

#include "bpf/unwind.bpf.h"

#define MAPPING_IS_SHARED 8  /* VM_SHARED */
#define MAPPING_DEPTH     10 /* of the tree: nodes of 10 or 16 ways */
#define MAPPING_PIVOTS    15

struct mapping {
	__u64 start;
	__u64 page_offset;
	__u64 flags;
	struct file *file; /* 0: none */
};

/* What mapping_find() found: the BPF stack is short. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mapping);
} mapping_result SEC(".maps");

static __always_inline struct mapping *mapping_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&mapping_result, &zero);
}

static __always_inline void mapping_copy(struct mapping *out, struct vm_area_struct *area)
{
	out->start = BPF_CORE_READ(area, vm_start);
	out->page_offset = BPF_CORE_READ(area, vm_pgoff);
	out->flags = BPF_CORE_READ(area, vm_flags);
	out->file = BPF_CORE_READ(area, vm_file);
}

static long mapping_found(struct task_struct *task, struct vm_area_struct *area, void *context)
{
	struct mapping *found = mapping_scratch();

	if (found)
		mapping_copy(found, area);
	return 0;
}

/* lib/maple_tree.c: what the low byte of a node's address says. */
enum mapping_node {
	NODE_BITS = 255,
	NODE_TYPE_SHIFT = 3,
	NODE_TYPES = 15,
	NODE_LEAF = 1, /* as NODE_RANGE, but what it holds are the mappings */
	NODE_RANGE = 2,
	NODE_ALLOCATION_RANGE = 3,
};

/* From a node to the slot for the address. A global function of numbers: it is verified once. */
__noinline __u64 mapping_step(__u64 node, __u64 address)
{
	__u32 type = node >> NODE_TYPE_SHIFT & NODE_TYPES;
	bool is_short = type == NODE_ALLOCATION_RANGE;
	__u64 at = node & ~(__u64)NODE_BITS, slot = 0;
	struct unwind_walk *walk = unwind_scratch(); /* nobody walks yet */
	__u32 count = is_short ? 9 : MAPPING_PIVOTS, index = 0;

	if (!walk || !at || type < NODE_LEAF || type > NODE_ALLOCATION_RANGE)
		return 0;
	__u64 *pivots = walk->stack.addresses;
	if (bpf_probe_read_kernel(
		    pivots, 8 * MAPPING_PIVOTS,
		    (void *)(at + bpf_core_field_offset(struct maple_range_64, pivot))))
		return 0;
	for (__u32 i = 0; i < MAPPING_PIVOTS; i++) {
		if (index < i || i >= count)
			break;
		if (address > pivots[i] && (pivots[i] || !i))
			index++;
	}
	at += is_short ? bpf_core_field_offset(struct maple_arange_64, slot)
		       : bpf_core_field_offset(struct maple_range_64, slot);
	bpf_probe_read_kernel(&slot, sizeof(slot), (void *)(at + 8 * index));
	return slot;
}

static __always_inline struct vm_area_struct *mapping_walk(struct mm_struct *mm, __u64 address)
{
	__u64 node = (__u64)BPF_CORE_READ(mm, mm_mt.ma_root);

	for (int depth = 0; depth < MAPPING_DEPTH && node; depth++) {
		bool is_leaf = (node >> NODE_TYPE_SHIFT & NODE_TYPES) == NODE_LEAF;

		node = mapping_step(node, address);
		if (is_leaf)
			return (struct vm_area_struct *)node;
	}
	return 0;
}

/* Into mapping_scratch(). 0: nothing is there, or nobody can tell now. */
__noinline int mapping_find(__u64 address)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct mapping *found = mapping_scratch();

	if (!found || !mm)
		return 0;
	found->start = 0;
	if (bpf_core_field_exists(mm->mm_mt)) {
		struct vm_area_struct *area = mapping_walk(mm, address);

		if (!area || address < BPF_CORE_READ(area, vm_start) ||
		    address >= BPF_CORE_READ(area, vm_end))
			return 0;
		mapping_copy(found, area);
	} else if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_find_vma)) {
		bpf_find_vma(task, address, mapping_found, 0, 0);
	}
	return found->start != 0;
}
