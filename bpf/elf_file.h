/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF file, or its image in a running process, read piece by piece.
 *
 * Only program headers and PT_DYNAMIC are believed in: they are what the loader used, and they
 * survive stripping. Everything is hostile. Each piece is checked against its segment, each table
 * has a largest count, and the sum of all bytes read has a limit, so that no file can crash us,
 * hold us, or make us read it whole. x86-64 only.
 *
 * Errors: -ENOEXEC not ELF, or for another machine; -ENOTSUP 32-bit; -EBADMSG damaged; -E2BIG over
 * a limit; -EIO and the like from reading. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_MAX_LOADS        16
#define ELF_MAX_HEADERS      128
#define ELF_MAX_DYNAMIC      512
#define ELF_MAX_READ_BYTES   ((uint64_t)64 << 20)
#define ELF_MAX_SYMBOL_BYTES 64

struct elf_segment {
	uint64_t vaddr;
	uint64_t offset;
	uint64_t file_bytes;
	uint64_t memory_bytes;
	uint64_t align;
};

/* A table of PT_DYNAMIC; vaddr 0: there is none. */
struct elf_table {
	uint64_t vaddr;
	uint64_t bytes;
};

struct elf_file {
	int fd;                /* borrowed: the file, or /proc/PID/mem */
	bool in_memory;        /* addresses are read at bias + vaddr, not through the file */
	uint64_t size;         /* of the file */
	uint64_t bias;         /* of the image in memory */
	uint64_t budget_bytes; /* that may still be read */

	bool is_program;   /* ET_EXEC, or a position independent executable */
	uint64_t sections; /* offset of the section headers */
	uint32_t section_count;
	uint32_t section_names; /* index of the section that holds their names */
	uint32_t load_count;
	struct elf_segment loads[ELF_MAX_LOADS];
	struct elf_segment dynamic; /* align 0 and all: none */
	struct elf_segment tls;     /* memory_bytes 0: none */

	struct elf_table strings;
	struct elf_table relocations;     /* DT_RELA */
	struct elf_table plt_relocations; /* DT_JMPREL, of the kind RELA */
	uint64_t symbols, gnu_hash, hash; /* vaddrs, 0: absent */
};

/* Reads the headers and PT_DYNAMIC of a regular file. */
int elf_file_open(struct elf_file *file, int fd);

/* The same for an image that a process has mapped: `memory_fd` is its /proc/PID/mem, `address`
 * where the ELF header lies. For files that have been deleted since. */
int elf_file_open_image(struct elf_file *file, int memory_fd, uint64_t address);

/* `bytes` at a virtual address: all of them, or an error and `out` undefined. */
int elf_file_read(struct elf_file *file, uint64_t vaddr, void *out, size_t bytes);

/* The same at an offset of the file, for what is not loaded. -ENOTSUP for an image. */
int elf_file_read_raw(struct elf_file *file, uint64_t offset, void *out, size_t bytes);
