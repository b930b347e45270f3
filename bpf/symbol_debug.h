/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that a stripped file keeps elsewhere: in a debug file, found by build id or by its
 * debug link, or compressed in its own section .gnu_debugdata. */
#pragma once

#include "bpf/symbol_table.h"

/* `path` and `root_fd` as in symbol_files_get. -ENOENT: nowhere. */
int symbol_debug_add(struct symbol_table *table, const struct sections *sections, int root_fd,
		     const char *path);
