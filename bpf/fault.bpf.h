/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which file's page a thread waits for.
 *
 * Registers do not tell (what the CPU says of a fault is soon overwritten), but the kernel's own
 * description of it, struct vm_fault, lies on the stack as long as the fault is being handled,
 * right below the registers of the exception. It is looked for by what must be true of it: a
 * mapping of this process, and an address within; and that user code met it, or a system call,
 * for what faults before it left lies there, too. 0.5 us, where somebody waits for a disk. */
#pragma once

#include "bpf/target_file.bpf.h"
#include "bpf/unwind.bpf.h"

#define FAULT_WORDS                                                                                \
	240           /* of the stack at a time; some 900 bytes are between, or 2,000 in calls     \
		       */
#define FAULT_APART 8 /* from the mapping to the address, at most */
#define FAULT_LOOKS 2
#define FAULT_PAGE  4096

enum fault_flag___some { FAULT_USER = 0x40 }; /* user code met it, not a system call */

/* Some of its fields, wherever a kernel has them. */
struct vm_fault___some {
	struct vm_area_struct *vma;
	unsigned long address; /* of the page */
	enum fault_flag___some flags;
} __attribute__((preserve_access_index));

/* In bytes from the mapping; too far to look: this kernel does not have them so. */
static __always_inline __u32 fault_flags_at(void)
{
	struct vm_fault___some *fault = 0;

	if (!bpf_core_field_exists(fault->flags))
		return 8 * FAULT_APART;
	return bpf_core_field_offset(struct vm_fault___some, flags) -
	       bpf_core_field_offset(struct vm_fault___some, vma);
}

/* The file that is mapped there, if that is a mapping of the current process's; or 0. */
static __noinline __u64 fault_file(__u64 mapping, __u64 address)
{
	struct vm_area_struct *area = (void *)mapping;
	struct task_struct *task = task_current();

	if (address < BPF_CORE_READ(area, vm_start) || address >= BPF_CORE_READ(area, vm_end))
		return 0;
	return BPF_CORE_READ(area, vm_mm) == LOAD(task, mm) ? (__u64)BPF_CORE_READ(area, vm_file)
							    : 0;
}

/* A global function of a number: it is verified once. The outermost fault below `top`. */
__noinline __u64 fault_look(__u64 top, __u32 is_calling)
{
	struct unwind_walk *walk = unwind_scratch(); /* nobody walks yet */
	__u32 apart = (bpf_core_field_offset(struct vm_fault___some, address) -
		       bpf_core_field_offset(struct vm_fault___some, vma)) /
		      8;
	__u32 flags = fault_flags_at(), flags_apart = flags / 8;
	__u64 user = (__u64)FAULT_USER << flags % 8 * 8;

	if (!walk || apart >= FAULT_APART || flags_apart >= FAULT_APART)
		return 0;
	__u64 *words = walk->stack.addresses;

	if (bpf_probe_read_kernel(words, 8 * FAULT_WORDS, (void *)(top - 8 * FAULT_WORDS)))
		return 0;
	for (__u32 i = 0; i < FAULT_WORDS - FAULT_APART; i++) {
		__u32 at = FAULT_WORDS - FAULT_APART - i;
		__u64 mapping = words[at - 1], address = words[at - 1 + apart], file;

		if (!(mapping >> 63) || address % FAULT_PAGE || !address || address >> 63 ||
		    !!is_calling == !!(words[at - 1 + flags_apart] & user))
			continue;
		file = fault_file(mapping, address);
		if (file)
			return file;
	}
	return 0;
}

/* Only where it is known that it waits for a page: what earlier faults left is on the stack, too.
 */
static __noinline int target_fault(struct event_target *target)
{
	struct task_struct *task = task_current();
	__u64 file = 0;

	if (!target)
		return 0;
	__u32 is_calling = task_is_calling(task); /* learns where the registers are */
	/* probed: a number, with which one may reckon */
	__u64 top = (__u64)BPF_CORE_READ(task, stack) + registers_offset;

	__builtin_memset(target, 0, sizeof(*target));
	for (int i = 0; i < FAULT_LOOKS && !file; i++) {
		file = fault_look(top, is_calling);
		top -= 8 * (FAULT_WORDS - FAULT_APART);
	}
	if (file)
		target_file_at(file, target);
	return 0;
}
