/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Python's own frames: where an interpreter keeps them, and how a stack names them.
 *
 *   runtime -> interpreters -> thread states -> frames, innermost first -> code objects
 *
 * The worker knows the layout of each version (python_layout.h); the kernel half follows it. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define PYTHON_MAX_FRAMES  96
#define PYTHON_FRAME_BYTES 128 /* at most, up to the last member that is read */

/* How the frames that one call of the interpreter's C function runs are told apart. */
enum python_form {
	PYTHON_OBJECTS = 0, /* up to 3.10: each frame is a call; the place is a number in it */
	PYTHON_ENTRIES = 1, /* 3.11: the outermost frame of a call has a mark */
	PYTHON_SHIMS = 2,   /* from 3.12 on: a frame without code stands outside of it */
};

/* One process. All but the first are offsets. */
struct python_process {
	__u64 interpreters; /* address of the pointer to the first interpreter */
	__u32 interpreter_next, interpreter_threads;
	__u16 thread_next, thread_id, thread_frame;
	__u16 indirect_frame; /* in what thread_frame points to; PYTHON_DIRECT: it is the frame */
	__u16 frame_previous, frame_code, frame_place;
	__u16 frame_mark; /* a byte: 3.11 is_entry, later the owner */
	__u16 frame_bytes;
	__u16 code_start; /* of the instructions in a code object */
	__u8 form;        /* enum python_form */
	__u8 place_shift; /* PYTHON_OBJECTS: the number counts bytes (1) or units of two (0) */
	__u8 pad[2];
};
#define PYTHON_DIRECT     0xffff
#define PYTHON_OWNER_SHIM 3 /* owners from here on have no code */

/* A Python frame among a stack's addresses is no address: bit 63 is clear, bit 62 set.
 *
 *   61..18 code object / 8    17 outermost of its call    16..0 instruction, in units of 2 bytes */
#define PYTHON_WORD        (1ull << 62)
#define PYTHON_ENTRY       (1ull << 17)
#define PYTHON_PLACE_MASK  (PYTHON_ENTRY - 1) /* all ones: not known */
#define PYTHON_CODE_SHIFT  18
#define PYTHON_CODE_BITS   44
#define PYTHON_IS_WORD(a)  ((a) >> 62 == 1)
#define PYTHON_CODE_OF(a)  (((a) >> PYTHON_CODE_SHIFT & ((1ull << PYTHON_CODE_BITS) - 1)) << 3)
#define PYTHON_PLACE_OF(a) ((a)&PYTHON_PLACE_MASK)

_Static_assert(sizeof(struct python_process) == 40, "shared with BPF");
