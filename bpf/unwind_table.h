/* SPDX-License-Identifier: Apache-2.0 */
/* The unwind rules of one ELF file, made of its .eh_frame: rows sorted by address, neighbours that
 * say the same merged, gaps between functions marked (UNWIND_CHAIN).
 *
 * https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/ehframechpt.html
 * and DWARF 5, 6.4. Hostile bytes: each read is checked, each count has a limit; a record that is
 * not understood costs its function only. Errors as in symbol_sections.h; -ENOENT: no .eh_frame. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bpf/symbol_sections.h"
#include "bpf/unwind.h"

#define UNWIND_TABLE_MAX_ROWS (1u << 22) /* of one file */

struct unwind_place {
	uint64_t address;      /* the file's own */
	struct unwind_row row; /* pc_low is set */
};

struct unwind_table {
	struct unwind_place *places; /* owned */
	uint32_t count, cap;
	uint32_t functions;   /* FDEs read */
	uint32_t unsupported; /* ... and not understood */
};

int unwind_table_read(struct unwind_table *table, const struct sections *sections);

/* The same from bytes; `vaddr`: the section's own address. For the above, tests and fuzzing. */
int unwind_table_parse(struct unwind_table *table, const uint8_t *bytes, size_t size,
		       uint64_t vaddr);
void unwind_table_fini(struct unwind_table *table);

/* The row in force at an address; NULL: none. For tests. */
const struct unwind_row *unwind_table_find(const struct unwind_table *table, uint64_t address);
