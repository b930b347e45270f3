/* SPDX-License-Identifier: Apache-2.0 */
/* Where a process may execute, from /proc/PID/maps: files, [vdso], and code made at run time.
 *
 * Sorted by address. Hostile text: lines and mappings beyond the limits are left out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/symbol_file.h"

#define SYMBOL_MAPS_MAX       4096
#define SYMBOL_MAPS_MAX_LINES 131072

struct symbol_mapping {
	uint64_t start, end;
	uint64_t offset;            /* in the file */
	uint64_t inode;             /* 0: no file */
	char *path;                 /* owned; "[vdso]", "" for anonymous memory */
	struct symbol_file_key key; /* of the file, once it was opened; size 0: not yet */
};

struct symbol_maps {
	struct symbol_mapping *mappings; /* owned */
	uint32_t count, cap;
	size_t path_bytes;
};

/* Takes one line without its newline; for symbol_maps_read and for tests. -ENOMEM; others are
 * ignored. */
int symbol_maps_take(struct symbol_maps *maps, char *line);

/* `directory_fd`: /proc/PID. Replaces what was there. -ESRCH: no process, or nothing mapped. */
int symbol_maps_read(struct symbol_maps *maps, int directory_fd);
void symbol_maps_fini(struct symbol_maps *maps);
size_t symbol_maps_bytes(const struct symbol_maps *maps);
struct symbol_mapping *symbol_maps_find(const struct symbol_maps *maps, uint64_t address);
