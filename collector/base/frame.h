/* SPDX-License-Identifier: Apache-2.0 */
/* A stack with names, as bytes: one frame after the other, innermost first.
 *
 *   frame := kind:1, address:varint, name:text, module:text     text := length:varint, bytes
 *
 * Written by the probe, kept by the store, read for every answer. The names come from files of
 * observed processes and prove nothing; readers must not trust the bytes either. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "collector/base/wire.h"

#define FRAME_NAME_BYTES 1024 /* longer names are cut */

enum frame_kind {
	FRAME_NATIVE = 0,  /* address: the file's own virtual address; module: its path */
	FRAME_KERNEL = 1,  /* module: empty, or "[name]" of a kernel module */
	FRAME_JIT = 2,     /* compiled at run time, named by its runtime */
	FRAME_PYTHON = 3,  /* address: the line; module: the source file */
	FRAME_UNKNOWN = 4, /* in no file: address is the process's own */
};

struct frame {
	enum frame_kind kind;
	uint64_t address;
	struct str name; /* empty: not known */
	struct str module;
};

void frame_put(struct buf *out, const struct frame *frame);

/* 1: a frame; 0: the end; -EBADMSG: these are no frames. Texts are slices of what is read. */
int frame_next(struct wire_reader *reader, struct frame *out_frame);

/* The last part of a path. */
struct str frame_base_name(struct str path);

/* "main.handleReport", "report.py: Report.make", or "libc.so.6+0x1234", or "[unknown]". */
void frame_text(const struct frame *frame, struct buf *out);
