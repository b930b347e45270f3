/* SPDX-License-Identifier: Apache-2.0 */
/* A Python frame's name, file and line, read out of the process's memory.
 *
 * Everything there is hostile: lengths have limits, texts are mended to UTF-8. What was read is
 * kept, and read again once the code object at that address is another one. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/python_layout.h"
#include "collector/base/buf.h"
#include "collector/base/map.h"

struct python_codes {
	struct map known; /* {pid, word} -> struct known, see python_code.c */
	size_t bytes;     /* of their texts */
};

void python_codes_init(struct python_codes *codes);
void python_codes_fini(struct python_codes *codes);
void python_codes_clear(struct python_codes *codes);
size_t python_codes_bytes(const struct python_codes *codes);

/* Appends the frame (collector/base/frame.h) that `word` (python.h) stands for. `memory_fd`:
 * /proc/PID/mem; -1: the process is gone, what is known must do. False: nothing is known of it; a
 * frame without a name was appended. */
bool python_codes_put(struct python_codes *codes, uint32_t pid, int memory_fd,
		      const struct python_layout *layout, uint64_t word, struct buf *out);

/* The line of an instruction (in units of two bytes), by a table of that form. For the above, tests
 * and fuzzing. */
uint32_t python_line(enum python_lines form, const uint8_t *table, size_t bytes,
		     uint32_t first_line, uint32_t place);
