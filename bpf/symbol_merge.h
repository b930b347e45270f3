/* SPDX-License-Identifier: Apache-2.0 */
/* One stack out of two: the interpreter's own frames, and the Python frames that they run.
 *
 * Each call of the interpreter's C function stands for the Python frames up to the one that is
 * marked as the outermost of its call. What lies between two such calls, or around them all, is the
 * interpreter's plumbing: those of its frames are left out. Below the innermost nothing is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/event.h"
#include "collector/base/buf.h"
#include "collector/base/frame.h"

struct merge_piece {
	uint32_t offset, bytes; /* of the encoded frame in `encoded` */
	bool is_call; /* native: of the interpreter's function; Python: outermost of one */
	bool is_plumbing;
};

struct symbol_merge {
	struct buf encoded;
	struct merge_piece native[EVENT_MAX_FRAMES], python[EVENT_MAX_FRAMES];
	uint32_t native_count, python_count;
};

void symbol_merge_init(struct symbol_merge *merge);
void symbol_merge_fini(struct symbol_merge *merge);
void symbol_merge_clear(struct symbol_merge *merge);

/* Takes one frame that was appended to merge->encoded from `offset` on; `interpreter`: path of the
 * file that the interpreter is in, NULL: there is none. */
void symbol_merge_native(struct symbol_merge *merge, size_t offset, const struct frame *frame,
			 const char *interpreter);
void symbol_merge_python(struct symbol_merge *merge, size_t offset, bool is_entry);

/* Appends all of them, innermost first. */
void symbol_merge_put(const struct symbol_merge *merge, struct buf *out);
