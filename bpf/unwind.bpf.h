/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walks a user stack by tables (unwind.h), frame by frame.
 *
 * One frame is a global function: the verifier (5.6 and newer) looks at such once and not in each
 * turn of the loop, so neither bpf_loop (5.17) nor tail calls are needed. Everything that is read
 * from user memory is hostile: a frame must lie above the one before, and a walk ends after
 * EVENT_MAX_NATIVE. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/unwind.h"

struct unwind_piece {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UNWIND_PIECE_ROWS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct unwind_row)); /* clang 14 leaves out types of inner maps */
};

/* Pieces of the rows of all files, as far as there are such: 8 MB at most by default. A file that
 * does not fit has none, and stacks end in it; the worker counts it. Likewise for the two below. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, UNWIND_ROWS / UNWIND_PIECE_ROWS);
	__type(key, __u32);
	__array(values, struct unwind_piece);
} unwind_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UNWIND_PAGES);
	__type(key, __u32);
	__type(value, struct unwind_page);
} unwind_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UNWIND_MAPPINGS);
	__type(key, __u32);
	__type(value, struct unwind_mapping);
} unwind_mappings SEC(".maps");

/* pid -> where its mappings stand. Of one that is not there yet, only frames that keep frame
 * pointers are found. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UNWIND_PROCESSES);
	__type(key, __u32);
	__type(value, struct unwind_process);
} unwind_processes SEC(".maps");

/* The stack being taken, and the walk through it. One for each CPU will do: the scheduler's hook
 * and the tick both run with interrupts off, and neither inside the other. */
struct unwind_walk {
	struct event_stack stack;
	struct unwind_mapping mapping; /* the last one found; end 0: none */
	struct unwind_process process;
	__u64 pc, sp, fp;
	__u64 di;    /* of the innermost frame */
	__u64 print; /* as stack_memo.print, and the next */
	__u64 python;
	__u8 is_return; /* pc is a return address: the call stands before it */
	__u8 end;       /* enum event_stack_end */
	__u8 moves;     /* to another stack, so far */
	__u8 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_walk);
} stack_scratch SEC(".maps");

static __always_inline struct unwind_walk *unwind_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&stack_scratch, &zero);
}

#define UNWIND_MAPPING_STEPS 13 /* 2^13 mappings of one process */
#define UNWIND_ROW_STEPS     16

/* The last one that does not begin behind the address. */
static __noinline int unwind_find_mapping(struct unwind_walk *walk, __u64 address)
{
	if (!walk)
		return 0;
	__u32 low = walk->process.first_mapping;
	__u32 high = low + walk->process.mapping_count;
	__u32 first = low;

	for (int step = 0; step < UNWIND_MAPPING_STEPS && low < high; step++) {
		__u32 middle = (low + high) / 2;
		struct unwind_mapping *mapping = bpf_map_lookup_elem(&unwind_mappings, &middle);

		if (!mapping)
			return 0;
		if (mapping->start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == first)
		return 0;
	low--;
	struct unwind_mapping *found = bpf_map_lookup_elem(&unwind_mappings, &low);

	if (!found || address >= found->end)
		return 0;
	walk->mapping = *found;
	if (walk->mapping.owner == walk->process.owner)
		return 1;
	walk->mapping.end = 0;
	return 0;
}

static __always_inline struct unwind_row *unwind_row_at(__u32 place)
{
	__u32 piece = place >> UNWIND_PIECE_BITS, at = place & (UNWIND_PIECE_ROWS - 1);
	void *rows = bpf_map_lookup_elem(&unwind_rows, &piece);

	return rows ? bpf_map_lookup_elem(rows, &at) : 0;
}

/* The row's place; 0: none (place 0 is never given to a file). */
static __noinline __u32 unwind_find_row(struct unwind_walk *walk, __u64 address)
{
	if (!walk)
		return 0;
	__u64 vaddr = address - walk->mapping.bias;
	__u32 page_index = (__u32)(vaddr >> UNWIND_PAGE_BITS) - walk->mapping.base_page;
	__u32 place = walk->mapping.first_page + page_index;
	__u16 pc_low = (__u16)vaddr;

	if (page_index >= walk->mapping.page_count)
		return 0;
	struct unwind_page *page = bpf_map_lookup_elem(&unwind_pages, &place);

	if (!page)
		return 0;
	__u32 low = page->first_row, high = low + page->row_count;

	for (int step = 0; step < UNWIND_ROW_STEPS && low < high; step++) {
		__u32 middle = (low + high) / 2;
		struct unwind_row *row = unwind_row_at(middle);

		if (!row)
			return 0;
		if (row->pc_low <= pc_low)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1; /* of the page before, if all of this one's begin behind it */
}

/* Why the walk ends here; false, for its callers to pass on. */
static __always_inline bool unwind_ends(struct unwind_walk *walk, enum event_stack_end end)
{
	walk->end = end;
	return false;
}

/* A frame pointer of 0 marks the outermost frame (System V ABI); one that was lost is odd. */
#define UNWIND_LOST_FP 1

/* No code lies in the first page, nor beyond what a process has of the addresses. */
#define UNWIND_FIRST_CODE 4096
#define UNWIND_USER_BITS  47

static __always_inline bool unwind_is_code(__u64 pc)
{
	return pc >= UNWIND_FIRST_CODE && !(pc >> UNWIND_USER_BITS);
}

static __always_inline bool unwind_read(__u64 address, void *out, __u32 bytes)
{
	return bpf_probe_read_user(out, bytes, (void *)address) == 0;
}

/* The caller's registers, as the kernel saved them for the signal: 40 bytes into the frame r8 to
 * r15, then rdi rsi rbp rbx rdx rax rcx rsp rip. */
static __always_inline bool unwind_signal(struct unwind_walk *walk)
{
	__u64 saved[2], fp;

	if (!unwind_read(walk->sp + 40 + 15 * 8, saved, sizeof(saved)) ||
	    !unwind_read(walk->sp + 40 + 10 * 8, &fp, sizeof(fp)))
		return unwind_ends(walk, STACK_UNREADABLE);
	walk->sp = saved[0];
	walk->pc = saved[1];
	walk->fp = fp;
	walk->is_return = 0;
	return walk->pc ? true : unwind_ends(walk, STACK_BROKEN);
}

static __always_inline bool unwind_cfa_of(struct unwind_walk *walk, const struct unwind_row *row,
					  __u64 *out_cfa)
{
	__u64 base = row->cfa == UNWIND_FP || row->cfa == UNWIND_FP_DEREF ? walk->fp : walk->sp;

	switch (row->cfa) {
	case UNWIND_SP:
	case UNWIND_FP:
		*out_cfa = base + 8ull * row->offset;
		return true;
	case UNWIND_PLT:
		*out_cfa = walk->sp + 8 + ((walk->pc & 15) >= row->offset ? 8 : 0);
		return true;
	case UNWIND_SP_DEREF:
	case UNWIND_FP_DEREF:
		if (!unwind_read(base + 8 * (__s64)(__s8)row->offset, out_cfa, 8))
			return unwind_ends(walk, STACK_UNREADABLE);
		*out_cfa += 8 * (__s64)(__s8)(row->offset >> 8);
		return true;
	case UNWIND_STOP:
		return unwind_ends(walk, STACK_COMPLETE);
	}
	return unwind_ends(walk, walk->fp ? STACK_NO_RULE : STACK_COMPLETE);
}

/* To the caller. false: the walk ends. */
static __always_inline bool unwind_apply(struct unwind_walk *walk, const struct unwind_row *row)
{
	__u64 cfa, fp = walk->fp, pc;

	if (row->cfa == UNWIND_SIGNAL)
		return unwind_signal(walk);
	if (!unwind_cfa_of(walk, row, &cfa))
		return false;
	if (cfa <= walk->sp || (cfa & 7))
		return unwind_ends(walk, STACK_BROKEN);
	if (!unwind_read(cfa - 8, &pc, sizeof(pc)))
		return unwind_ends(walk, STACK_UNREADABLE);
	if (!pc)
		return unwind_ends(walk, STACK_COMPLETE);
	if (!unwind_is_code(pc))
		return unwind_ends(walk, STACK_BROKEN);
	if (row->fp == UNWIND_FP_AT_CFA && !unwind_read(cfa + (__s64)row->fp_offset, &fp, 8))
		return unwind_ends(walk, STACK_UNREADABLE);
	if (row->fp == UNWIND_FP_AT_FP && !unwind_read(walk->fp + (__s64)row->fp_offset, &fp, 8))
		return unwind_ends(walk, STACK_UNREADABLE);
	walk->pc = pc;
	walk->sp = cfa;
	walk->fp = row->fp == UNWIND_FP_LOST ? UNWIND_LOST_FP : fp;
	walk->is_return = 1;
	return true;
}

/* Of the innermost frame only: no other one's rdi is known. */
static __always_inline bool unwind_rdi(struct unwind_walk *walk, const struct unwind_row *row)
{
	if (walk->is_return || !walk->di)
		return unwind_ends(walk, STACK_NO_RULE);
	walk->pc = walk->di;
	walk->sp += 8ull * row->offset;
	walk->is_return = 1;
	return true;
}

/* Go calls from a goroutine's stack into its thread's own (systemstack, cgo), keeping rbp; the one
 * may lie anywhere to the other. In between it does so a few times at most. */
#define UNWIND_MOVES_MOST 8

/* Why a walk by frame pointers ends: whether there are any is not known. */
static __always_inline bool unwind_strays(struct unwind_walk *walk, enum event_stack_end end)
{
	return unwind_ends(walk,
			   walk->mapping.flags & UNWIND_WITHOUT_ROOM ? STACK_WITHOUT_ROOM : end);
}

static __always_inline bool unwind_may_move(struct unwind_walk *walk)
{
	return walk->mapping.flags & UNWIND_MOVES_STACKS && walk->moves++ < UNWIND_MOVES_MOST;
}

/* By the frame pointer, where the code keeps one: [rbp] is the caller's, [rbp + 8] its address. */
static __always_inline bool unwind_chain(struct unwind_walk *walk)
{
	__u64 at = walk->fp, frame[2];

	if (!walk->fp || walk->fp == walk->pc) /* Boost's contexts begin so */
		return unwind_ends(walk, STACK_COMPLETE);
	if (walk->fp & 7 || (walk->fp < walk->sp && !unwind_may_move(walk)))
		return unwind_strays(walk, STACK_BROKEN);
	if (!unwind_read(at, frame, sizeof(frame)))
		return unwind_strays(walk, STACK_UNREADABLE);
	if (frame[0] == at + 8) { /* Go's crosscall2, which C calls, makes two of them */
		at += 8;
		if (!unwind_read(at, frame, sizeof(frame)))
			return unwind_strays(walk, STACK_UNREADABLE);
	}
	if (!frame[1])
		return unwind_ends(walk, STACK_COMPLETE);
	if (!unwind_is_code(frame[1]))
		return unwind_strays(walk, STACK_BROKEN);
	walk->sp = at + 16;
	walk->fp = frame[0];
	walk->pc = frame[1];
	walk->is_return = 1;
	return true;
}

/* One frame; 1 ends the walk. */
__noinline int unwind_step(__u32 index)
{
	struct unwind_walk *walk = unwind_scratch();

	if (!walk || index >= EVENT_MAX_NATIVE)
		return 1;
	__u64 address = walk->pc - walk->is_return;

	walk->stack.addresses[index] = address;
	walk->stack.count = index + 1;
	if ((address < walk->mapping.start || address >= walk->mapping.end) &&
	    !unwind_find_mapping(walk, address))
		return !unwind_ends(walk, STACK_NO_FILE);
	if (walk->mapping.page_count == 0)
		return !unwind_chain(walk);
	__u32 place = unwind_find_row(walk, address);
	struct unwind_row *found = place ? unwind_row_at(place) : 0;

	if (!found) /* before or behind all that is described: made by other means, as in gaps */
		return !unwind_chain(walk);
	struct unwind_row row = *found;

	if (row.cfa == UNWIND_SIGNAL)
		walk->stack.addresses[index] = walk->pc | STACK_SIGNAL;
	if (row.cfa == UNWIND_CHAIN)
		return !unwind_chain(walk);
	if (row.cfa == UNWIND_RDI)
		return !unwind_rdi(walk, &row);
	return !unwind_apply(walk, &row);
}

/* Of a process without tables yet, all code is taken for one that keeps frame pointers: where it
 * does not, the first look at rbp ends the walk. */
static __always_inline void unwind_find_process(struct unwind_walk *walk, __u32 pid)
{
	struct unwind_process *process = bpf_map_lookup_elem(&unwind_processes, &pid);

	__builtin_memset(&walk->mapping, 0, sizeof(walk->mapping));
	__builtin_memset(&walk->process, 0, sizeof(walk->process));
	if (process)
		walk->process = *process;
	else
		walk->mapping.end = ~0ull;
}

static __always_inline void unwind_stack(struct unwind_walk *walk, struct task_struct *task,
					 __u32 pid)
{
	void *registers = task_registers(task);

	unwind_find_process(walk, pid);
	walk->pc = FIELD(struct pt_regs, registers, ip);
	walk->sp = FIELD(struct pt_regs, registers, sp);
	walk->fp = FIELD(struct pt_regs, registers, bp);
	walk->di = FIELD(struct pt_regs, registers, di);
	walk->is_return = 0;
	walk->end = STACK_TOO_DEEP; /* unless it says otherwise */
	walk->moves = 0;
	walk->stack.count = 0;
	for (__u32 index = 0; index < EVENT_MAX_NATIVE; index++)
		if (unwind_step(index))
			break;
	if (!walk->process.owner)
		walk->end = STACK_WITHOUT_TABLES;
}

static __always_inline void unwind_inherit(__u32 parent_pid, __u32 child_pid)
{
	struct unwind_process *process = bpf_map_lookup_elem(&unwind_processes, &parent_pid);

	if (process)
		bpf_map_update_elem(&unwind_processes, &child_pid, process, BPF_ANY);
}
