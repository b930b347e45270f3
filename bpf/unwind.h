/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Unwind tables as the kernel half reads them: what the worker makes of .eh_frame.
 *
 *   process:  pid -> its mappings, sorted by address
 *   mapping   a piece of code of a process -> pages of its file, 64 KiB of addresses each
 *   page      -> its rows, sorted; the last one that is not behind an address is its rule
 *
 * All three are plain arrays that the worker writes through a mapping of its own; that of rows is
 * made of pieces, which come as files need them (unwind_rows.h). */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define UNWIND_ROWS       (1u << 20) /* unless the operator gives more or less memory */
#define UNWIND_LEAST_ROWS (1u << 17)
#define UNWIND_MAX_ROWS   (1u << 26)
#define UNWIND_PIECE_BITS 15 /* of rows: 256 KiB */
#define UNWIND_PIECE_ROWS (1u << UNWIND_PIECE_BITS)
#define UNWIND_PAGES      (1u << 16)
#define UNWIND_MAPPINGS   (1u << 14)
#define UNWIND_PROCESSES  4096
#define UNWIND_PAGE_BITS  16

/* Where the frame of the caller begins (the canonical frame address, CFA). */
enum unwind_cfa {
	UNWIND_END = 0,      /* nothing is known of this code */
	UNWIND_SP = 1,       /* rsp + offset */
	UNWIND_FP = 2,       /* rbp + offset */
	UNWIND_PLT = 3,      /* rsp + 8, and 8 more from the offset'th byte of the entry on */
	UNWIND_SP_DEREF = 4, /* *(rsp + low half) + high half, both signed, in words */
	UNWIND_FP_DEREF = 5,
	UNWIND_SIGNAL = 6, /* the registers lie in the signal's frame */
	UNWIND_CHAIN = 7,  /* code that keeps frame pointers */
	UNWIND_STOP = 8,   /* the thread's first function: there is no caller */
	UNWIND_RDI = 9, /* rsp + offset, and rdi holds the return address: vfork, while it runs */
};

/* Where the caller's rbp is. */
enum unwind_fp {
	UNWIND_FP_SAME = 0,
	UNWIND_FP_AT_CFA = 1, /* at CFA + fp_offset */
	UNWIND_FP_AT_FP = 2,  /* at rbp + fp_offset */
	UNWIND_FP_LOST = 3,
};

struct unwind_row {
	__u16 pc_low; /* the low 16 bits of the file's own address from which on it holds */
	__u8 cfa;     /* enum unwind_cfa */
	__u8 fp;      /* enum unwind_fp */
	__u16 offset; /* in words of 8 bytes */
	__s16 fp_offset;
};

struct unwind_page {
	__u32 first_row;
	__u32 row_count;
};

struct unwind_mapping {
	__u64 start, end;
	__u64 bias;       /* what is to be taken off an address for that of the file */
	__u32 first_page; /* its place among all pages, of address `base_page` << 16 */
	__u32 base_page;
	__u16 page_count; /* 0: without a table; by frame pointers */
	__u16 flags;      /* enum unwind_mapping_flag */
	__u32 owner;      /* as the process's: a place may have been given to another one since.
			     Written last, read last */
};

enum unwind_mapping_flag {
	UNWIND_MOVES_STACKS = 1, /* Go: a frame's caller may lie on another stack, below it */
	UNWIND_WITHOUT_ROOM = 2, /* it has a table, for which there is no room */
};

/* A child process has its parent's until it is looked at itself. */
struct unwind_process {
	__u32 first_mapping;
	__u32 mapping_count;
	__u32 owner; /* another number for each time that its mappings are written */
	__u32 pad;
};

_Static_assert(sizeof(struct unwind_row) == 8, "the size of an array's element");
_Static_assert(sizeof(struct unwind_mapping) == 40, "shared with BPF");
_Static_assert(sizeof(struct unwind_process) == 16, "shared with BPF");
