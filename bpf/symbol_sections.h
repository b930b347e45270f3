/* SPDX-License-Identifier: Apache-2.0 */
/* The sections and segments of an ELF file, read whole and by name: for symbols and unwind tables,
 * which loaders do not need and elf_file.h does not believe in.
 *
 * Everything is hostile: each place is checked against the file's size, each count and size has a
 * limit. x86-64 only. Errors: -ENOEXEC not such a file; -EBADMSG damaged; -E2BIG over a limit;
 * -ENOENT no such section; -ENOMEM. */
#pragma once

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define SECTIONS_MAX_COUNT 8192
#define SECTIONS_MAX_LOADS 64
#define SECTIONS_MAX_BYTES ((uint64_t)192 << 20) /* of one section */
#define SECTIONS_ID_BYTES  20

struct sections_load {
	uint64_t vaddr, offset, file_bytes, memory_bytes;
	uint32_t flags; /* PF_X ... */
};

struct sections {
	int fd; /* borrowed */
	uint64_t size;
	Elf64_Shdr *headers; /* owned */
	uint32_t count;
	char *names; /* owned, NUL terminated */
	size_t names_bytes;
	uint32_t load_count;
	struct sections_load loads[SECTIONS_MAX_LOADS];
	uint8_t build_id[SECTIONS_ID_BYTES];
	uint8_t build_id_bytes; /* 0: it has none */
};

int sections_open(struct sections *sections, int fd);
void sections_close(struct sections *sections);

/* By name, by type, or by index; NULL: there is none, or it holds no bytes of the file. */
const Elf64_Shdr *sections_find(const struct sections *sections, const char *name);
const Elf64_Shdr *sections_of_type(const struct sections *sections, uint32_t type);
const Elf64_Shdr *sections_at(const struct sections *sections, uint32_t index);

/* All its bytes, NUL behind them, for free(). */
int sections_read(const struct sections *sections, const Elf64_Shdr *header, char **out_bytes);

/* The virtual address of what the file has at `offset` in an executable segment. -ENOENT: none. */
int sections_vaddr(const struct sections *sections, uint64_t offset, uint64_t *out_vaddr);
