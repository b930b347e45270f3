/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols of an ELF file by name, through its hash tables: a few reads, whatever its size. Errors
 * as in elf_file.h; -ENOENT: no such symbol. */
#pragma once

#include "bpf/elf_file.h"

struct elf_symbol {
	uint32_t index;
	bool is_tls;
	bool is_defined;
	uint64_t value;
};

/* Among the dynamic symbols. Only a definition is found. */
int elf_symbols_find(struct elf_file *file, const char *name, struct elf_symbol *out_symbol);

/* The dynamic symbol of that index, as relocations name it. */
int elf_symbols_at(struct elf_file *file, uint32_t index, struct elf_symbol *out_symbol);

/* Among all symbols of .symtab, one by one: for programs without dynamic symbols. Looks for all
 * names at once; only thread-local definitions are found. What is not found keeps is_defined false.
 */
int elf_symbols_scan(struct elf_file *file, const char *const *names, size_t count,
		     struct elf_symbol *out_symbols);
