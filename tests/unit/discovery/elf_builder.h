/* SPDX-License-Identifier: Apache-2.0 */
/* A small shared library, written by hand so that each of its fields can be made to lie.
 *
 * One PT_LOAD maps the whole file at vaddr = offset. Tests change the fields after elf_builder_init
 * and put it into a file with elf_builder_file. */
#pragma once

#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUILDER_SYMBOLS     4 /* the null one, the variable, another variable, a function */
#define BUILDER_RELOCATIONS 4
#define BUILDER_DYNAMIC     12

struct elf_builder {
	Elf64_Ehdr header;
	Elf64_Phdr programs[3];
	Elf64_Dyn dynamic[BUILDER_DYNAMIC];
	Elf64_Sym symbols[BUILDER_SYMBOLS];
	struct {
		uint32_t head[4]; /* one bucket, first symbol 1, one filter word */
		uint64_t filter;
		uint32_t bucket;
		uint32_t chain[BUILDER_SYMBOLS - 1];
	} gnu_hash;
	struct {
		uint32_t head[2]; /* one bucket */
		uint32_t bucket;
		uint32_t chain[BUILDER_SYMBOLS];
	} hash;
	Elf64_Rela relocations[BUILDER_RELOCATIONS];
	char strings[128];
	uint64_t slots[8];
};

#define BUILDER_AT(field) offsetof(struct elf_builder, field)

static inline uint32_t elf_builder_gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

static inline void elf_builder_name(struct elf_builder *elf, uint32_t index, uint32_t at,
				    const char *name, unsigned char type, uint64_t value)
{
	strcpy(elf->strings + at, name);
	elf->symbols[index] = (Elf64_Sym){
		.st_name = at,
		.st_info = ELF64_ST_INFO(STB_GLOBAL, type),
		.st_shndx = 5,
		.st_value = value,
		.st_size = 8,
	};
	elf->gnu_hash.chain[index - 1] = elf_builder_gnu_hash(name) & ~1u;
}

static inline void elf_builder_tables(struct elf_builder *elf)
{
	const Elf64_Dyn dynamic[BUILDER_DYNAMIC] = {
		{ DT_SYMTAB, { BUILDER_AT(symbols) } },
		{ DT_STRTAB, { BUILDER_AT(strings) } },
		{ DT_STRSZ, { sizeof(elf->strings) } },
		{ DT_GNU_HASH, { BUILDER_AT(gnu_hash) } },
		{ DT_HASH, { BUILDER_AT(hash) } },
		{ DT_RELA, { BUILDER_AT(relocations) } },
		{ DT_RELASZ, { sizeof(elf->relocations) } },
		{ DT_PLTREL, { DT_RELA } },
	};

	memcpy(elf->dynamic, dynamic, sizeof(dynamic));
	elf_builder_name(elf, 1, 1, "otel_thread_ctx_v1", STT_TLS, 0x10);
	elf_builder_name(elf, 2, 48, "another_variable", STT_TLS, 0x18);
	elf_builder_name(elf, 3, 80, "a_function", STT_FUNC, 0x1000);
	elf->gnu_hash.chain[BUILDER_SYMBOLS - 2] |= 1;
	elf->gnu_hash.head[0] = elf->gnu_hash.head[1] = elf->gnu_hash.head[2] = 1;
	elf->gnu_hash.filter = UINT64_MAX;
	elf->gnu_hash.bucket = 1;
	elf->hash.head[0] = 1;
	elf->hash.head[1] = BUILDER_SYMBOLS;
	elf->hash.bucket = 3;
	elf->hash.chain[3] = 2;
	elf->hash.chain[2] = 1;
	elf->relocations[0] = (Elf64_Rela){ BUILDER_AT(slots), R_X86_64_RELATIVE, 0 };
	elf->relocations[1] =
		(Elf64_Rela){ BUILDER_AT(slots) + 8, ELF64_R_INFO(2ull, R_X86_64_TPOFF64), 0 };
	elf->relocations[2] =
		(Elf64_Rela){ BUILDER_AT(slots) + 16, ELF64_R_INFO(1ull, R_X86_64_TLSDESC), 0 };
	elf->relocations[3] = (Elf64_Rela){ BUILDER_AT(slots) + 32, R_X86_64_DTPMOD64, 0 };
}

static inline void elf_builder_init(struct elf_builder *elf)
{
	memset(elf, 0, sizeof(*elf));
	memcpy(elf->header.e_ident, ELFMAG, SELFMAG);
	elf->header.e_ident[EI_CLASS] = ELFCLASS64;
	elf->header.e_ident[EI_DATA] = ELFDATA2LSB;
	elf->header.e_type = ET_DYN;
	elf->header.e_machine = EM_X86_64;
	elf->header.e_phoff = BUILDER_AT(programs);
	elf->header.e_phentsize = sizeof(Elf64_Phdr);
	elf->header.e_phnum = 3;
	elf->header.e_shentsize = sizeof(Elf64_Shdr);
	elf->programs[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
					 .p_filesz = sizeof(*elf),
					 .p_memsz = sizeof(*elf),
					 .p_align = 4096 };
	elf->programs[1] = (Elf64_Phdr){ .p_type = PT_DYNAMIC,
					 .p_offset = BUILDER_AT(dynamic),
					 .p_vaddr = BUILDER_AT(dynamic),
					 .p_filesz = sizeof(elf->dynamic),
					 .p_memsz = sizeof(elf->dynamic),
					 .p_align = 8 };
	elf->programs[2] =
		(Elf64_Phdr){ .p_type = PT_TLS, .p_vaddr = 0x3dc8, .p_memsz = 0x30, .p_align = 8 };
	elf_builder_tables(elf);
}

/* An unnamed file with the first `bytes` of it, to be closed. */
static inline int elf_builder_file(const void *elf, size_t bytes)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, elf, bytes) != (ssize_t)bytes) {
		close(fd);
		fd = -1;
	}
	return fd;
}
