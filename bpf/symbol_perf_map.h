/* SPDX-License-Identifier: Apache-2.0 */
/* Code that a process compiled at run time, as its /tmp/perf-PID.map names it: Node, Java, Python
 * from 3.12 on, .NET.
 *
 * Lines "START SIZE name", hexadecimal, appended as code is made; a later one that overlaps wins.
 * Only what is new is read, and no more than the limits: the process writes what it likes. */
#pragma once

#include "bpf/symbol_table.h"

#define PERF_MAP_MAX_BYTES ((uint64_t)64 << 20)

struct symbol_perf_map {
	struct symbol_table table; /* in the order of the file until it is sorted */
	uint64_t read_bytes;       /* of the file */
	uint64_t inode;            /* of the file that was read; another one starts anew */
};

void symbol_perf_map_fini(struct symbol_perf_map *map);

/* Reads what was appended. `fd`: the file. 0: nothing new; 1: something. */
int symbol_perf_map_read(struct symbol_perf_map *map, int fd);

/* Takes whole lines; returns the bytes used. For symbol_perf_map_read and for tests. */
size_t symbol_perf_map_parse(struct symbol_perf_map *map, const char *text, size_t bytes);

/* The newest that covers the address; NULL: none. */
const char *symbol_perf_map_find(const struct symbol_perf_map *map, uint64_t address);
