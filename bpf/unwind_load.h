/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what the kernel half unwinds by (unwind.h): the tables of files (unwind_files.h), and each
 * process's mappings. What finds no room is walked by frame pointers, or ends a stack, and is
 * counted. One thread. Errors are negative errno. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bpf/python_layout.h"
#include "bpf/symbol_maps.h"
#include "bpf/unwind_files.h"

struct unwind_load;

struct unwind_load_fds {
	/* of the BPF maps; the caller's */
	int rows, pages, mappings, processes, pythons, kernel_waits;
};

struct unwind_load_stats {
	struct unwind_files_stats files;
	uint32_t processes;
};

/* -ENODEV: there are no such maps. */
int unwind_load_new(const struct unwind_load_fds *fds, struct unwind_load **out_load);
void unwind_load_free(struct unwind_load *load);

/* What a process has mapped now; replaces what was known of it. Files are opened by
 * symbol_open_file. */
int unwind_load_process(struct unwind_load *load, uint32_t pid, const struct symbol_maps *maps);
/* Where it runs Python; NULL: it does not, or is not known. Borrowed until the next call. */
const struct python_place *unwind_load_python(const struct unwind_load *load, uint32_t pid);
void unwind_load_forget(struct unwind_load *load, uint32_t pid);
void unwind_load_stats(const struct unwind_load *load, struct unwind_load_stats *out_stats);
