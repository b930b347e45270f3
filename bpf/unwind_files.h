/* SPDX-License-Identifier: Apache-2.0 */
/* The unwind tables of files in the maps that the kernel half walks by (unwind.h): rows, and pages
 * that lead to them.
 *
 * A file's table is there once, whoever maps it, and however many copies of the file there are. It
 * goes when room is needed and no process uses it any more. What finds no room is read again when
 * others have left. One thread. Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/python_layout.h"
#include "bpf/symbol_maps.h"
#include "bpf/symbol_sections.h"

/* A file's place in the tables; without pages, its code is walked by frame pointers. */
struct unwind_file {
	uint32_t keys; /* that lead to it; with the last one it goes */
	struct sections_load loads[SECTIONS_MAX_LOADS];
	uint32_t load_count;
	uint32_t first_row, row_count;
	uint32_t first_page, page_count, base_page;
	uint32_t wanted_rows; /* for which there was no room; 0: none */
	uint64_t left;        /* unwind_files' when it was read */
	uint32_t users;       /* processes, each as often as it maps the file */
	bool moves_stacks;    /* UNWIND_MOVES_STACKS */
	struct python_symbols python;
};

struct unwind_files;

struct unwind_files_stats {
	uint32_t files, refused; /* refused: damaged, or no room for them */
	uint64_t rows;
	uint64_t build_ns; /* spent on making tables */
};

/* The BPF maps are the caller's. -ENODEV: there are no such maps. */
int unwind_files_new(int rows_fd, int pages_fd, struct unwind_files **out_files);
void unwind_files_free(struct unwind_files *files);

/* Its table is read if it is not known. NULL: no memory, or too many files. Borrowed: until used,
 * valid until the next call. */
struct unwind_file *unwind_files_get(struct unwind_files *files, int fd);
struct unwind_file *unwind_files_vdso(struct unwind_files *files);

void unwind_files_use(struct unwind_file *file);
void unwind_files_leave(struct unwind_files *files, struct unwind_file *file);

/* What is added to the file's addresses where a process has mapped it so; false: this is no code.
 */
bool unwind_file_bias(const struct unwind_file *file, const struct symbol_mapping *mapping,
		      uint64_t *out_bias);
void unwind_files_stats(const struct unwind_files *files, struct unwind_files_stats *out_stats);

/* The values of a BPF array map, shared with the kernel half; the caller unmaps it. NULL: no such
 * map. */
void *unwind_map_array(int fd, size_t bytes);
