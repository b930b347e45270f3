/* SPDX-License-Identifier: Apache-2.0 */
/* Code that a process compiled at run time, as its /tmp/perf-PID.map names it: Node, Java, Python
 * from 3.12 on, .NET.
 *
 * Lines "START SIZE name", hexadecimal, appended as code is made; a later one that overlaps wins.
 * Only what is new is read, and no more than the limits: the process writes what it likes. */
#pragma once

#include <stdbool.h>

#include "bpf/symbol_table.h"

#define PERF_MAP_MAX_BYTES    ((uint64_t)64 << 20) /* of the file */
#define PERF_MAP_MEMORY_BYTES ((size_t)16 << 20)   /* names beyond are not taken */

/* By address; `reach` is the farthest end of this entry and of those before it. */
struct symbol_perf_place {
	uint64_t start, reach;
	uint32_t entry;
};

struct symbol_perf_map {
	struct symbol_table table;        /* in the order of the file */
	struct symbol_perf_place *places; /* owned; of the first `placed` entries */
	uint32_t placed, places_cap;
	uint32_t moves;      /* of a jitdump's code */
	uint64_t read_bytes; /* of the file */
	uint64_t inode;      /* of the file that was read; another one starts anew */
	size_t most_bytes;   /* of memory, if less than PERF_MAP_MEMORY_BYTES; 0: that */
};

void symbol_perf_map_fini(struct symbol_perf_map *map);
size_t symbol_perf_map_bytes(const struct symbol_perf_map *map);
bool symbol_perf_map_is_full(const struct symbol_perf_map *map);

/* Reads what was appended. `fd`: the file. 0: nothing new; 1: something. */
int symbol_perf_map_read(struct symbol_perf_map *map, int fd);

/* Takes whole lines; returns the bytes used. For symbol_perf_map_read and for tests. */
size_t symbol_perf_map_parse(struct symbol_perf_map *map, const char *text, size_t bytes);

/* The newest that covers the address; NULL: none. Sorts what came since it was last asked. */
const char *symbol_perf_map_find(struct symbol_perf_map *map, uint64_t address);
/* The same by looking at all of them, for who asks seldom, or while they are being read. */
const char *symbol_perf_map_scan(const struct symbol_perf_map *map, uint64_t address);
