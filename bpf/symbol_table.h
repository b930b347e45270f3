/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of one file, sorted by address: built once, then asked by binary search.
 *
 * Where a name comes from, the first that has any: .symtab; the separate debug file, by build id or
 * debug link; .gnu_debugdata; always also .dynsym; Go's own table (symbol_go.h). 16 bytes a
 * function and its name; many names are kept compressed. Errors as in symbol_sections.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/symbol_sections.h"

#define SYMBOLS_MAX_COUNT 4000000u
#define SYMBOLS_MAX_BYTES ((size_t)128 << 20) /* of names */

struct symbol_entry {
	uint64_t start;
	uint32_t size; /* 0: up to the next one */
	uint32_t name; /* offset in `names`, or block and offset in it; the top bits rank it while
			  the table is built */
};

struct symbol_pack;

struct symbol_table {
	struct symbol_entry *entries; /* owned, as the next */
	char *names;
	uint32_t count, cap;
	uint32_t names_bytes, names_cap;
	struct symbol_pack *pack; /* owned; NULL: `names` has them all, else it is empty */
};

/* Adds the functions of a section of type SHT_SYMTAB or SHT_DYNSYM. -ENOENT: there is none. */
int symbol_table_add(struct symbol_table *table, const struct sections *sections, uint32_t type);

/* Adds one. `rank`: of two at the same address, the lower one names it. */
int symbol_table_put(struct symbol_table *table, uint64_t start, uint64_t size, unsigned rank,
		     const char *name, size_t name_bytes);

/* After the last one has been added. */
void symbol_table_sort(struct symbol_table *table);
/* After that, of a table that is kept: in as little memory as goes. */
void symbol_table_pack(struct symbol_table *table);
void symbol_table_fini(struct symbol_table *table);

/* NULL: nobody's. Borrowed from the table, until the next one is asked for. */
const char *symbol_table_find(const struct symbol_table *table, uint64_t address);
const char *symbol_table_name(const struct symbol_table *table, const struct symbol_entry *entry);
/* Of two packed ones. */
bool symbol_table_equals(const struct symbol_table *a, const struct symbol_table *b);
size_t symbol_table_bytes(const struct symbol_table *table);
