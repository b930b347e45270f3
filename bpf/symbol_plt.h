/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of the procedure linkage table, which the linker makes and gives no symbols:
 * "read@plt", as debuggers call them. */
#pragma once

#include "bpf/symbol_table.h"

/* Errors as in symbol_sections.h; -ENOENT: the file has none that can be named. */
int symbol_plt_add(struct symbol_table *table, const struct sections *sections);
