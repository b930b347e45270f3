/* SPDX-License-Identifier: Apache-2.0 */
/* What an ELF file tells about the thread-local variable that says which span a thread works on:
 * whether it defines one, of which form (tag.h), where in its TLS block, and which of its words
 * tell, once relocated, where that block is.
 *
 * The same for every process that maps the file, so it is computed once. Errors as in elf_file.h.
 */
#pragma once

#include "bpf/elf_file.h"
#include "bpf/elf_go.h"
#include "bpf/tag.h"

#define ELF_MAX_SLOTS 6

enum elf_libc {
	ELF_LIBC_NONE = 0, /* the file is no C library */
	ELF_LIBC_GLIBC,
	ELF_LIBC_MUSL,
};

enum elf_slot_kind {
	ELF_SLOT_OFFSET = 1, /* R_X86_64_TPOFF64: s64 offset from TP ("initial exec") */
	ELF_SLOT_MODULE,     /* R_X86_64_DTPMOD64: {module id, offset} ("general dynamic") */
	ELF_SLOT_DESCRIPTOR, /* R_X86_64_TLSDESC: {function, argument} */
};

/* A relocated word. It speaks of the byte at `block_offset` of the file's TLS block. */
struct elf_slot {
	uint64_t vaddr;
	uint64_t block_offset;
	enum elf_slot_kind kind;
	uint32_t rank;   /* 0: of the variable, by name; 1: by offset; 2: of another one */
	bool has_offset; /* MODULE: the word after it must equal block_offset */
};

struct elf_tls {
	bool has_variable;
	bool is_program;
	enum tag_form form; /* of the variable */
	enum elf_libc libc;
	uint64_t variable_offset; /* in the TLS block */
	struct elf_segment tls;
	struct elf_segment first_load; /* tells the bias of a mapping */
	struct elf_segment dynamic;    /* confirms it */
	uint64_t link_map_modid;       /* vaddr of _thread_db_link_map_l_tls_modid, or 0 */
	uint64_t link_map_offset;      /* ... l_tls_offset */
	struct elf_go go;
	bool has_go_tls; /* runtime.tlsg, at go_tls_offset of the TLS block */
	uint64_t go_tls_offset;
	uint32_t slot_count;
	struct elf_slot slots[ELF_MAX_SLOTS]; /* best first */
};

/* The symbol of that form's variable. */
const char *elf_tls_name(enum tag_form form);

int elf_tls_read(struct elf_file *file, struct elf_tls *out_tls);
