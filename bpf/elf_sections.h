/* SPDX-License-Identifier: Apache-2.0 */
/* Sections of an ELF file, for the few things that program headers do not tell. They are no part of
 * the program: any file may lack them or lie. Errors as in elf_file.h; -ENOENT: no such section. */
#pragma once

#include "bpf/elf_file.h"

struct elf_section {
	uint32_t type;
	uint32_t link;
	uint64_t offset;
	uint64_t bytes;
	uint64_t entry_bytes;
};

int elf_sections_at(struct elf_file *file, uint32_t index, struct elf_section *out_section);

/* The first one of that type. */
int elf_sections_find_type(struct elf_file *file, uint32_t type, struct elf_section *out_section);

/* The first one of that name. */
int elf_sections_find(struct elf_file *file, const char *name, struct elf_section *out_section);
