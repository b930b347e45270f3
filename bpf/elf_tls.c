/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/elf_tls.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "bpf/elf_symbols.h"
#include "collector/base/macros.h"

#define MAX_RELOCATIONS      2000000 /* 48 MB; a browser has some 500,000 */
#define RELOCATIONS_PER_READ 256

/* The slots that are to be collected, and what they are compared with. */
struct search {
	struct elf_file *file;
	struct elf_tls *tls;
	uint32_t variable_index; /* 0: it has no dynamic symbol */
};

/* Best first. Go's is no symbol but a word of its runtime's own. */
static const struct {
	const char *name;
	uint64_t bytes;
	enum tag_form form;
} variables[] = {
	{ "otel_thread_ctx_v1", 8, TAG_FORM_RECORD },
	{ "otel_thread_ctx_nodejs_v1", sizeof(struct tag_nodejs), TAG_FORM_NODEJS },
	{ "elastic_apm_profiling_correlation_tls_v1", 8, TAG_FORM_ELASTIC },
	{ "custom_labels_current_set", 8, TAG_FORM_LABELS },
	{ "runtime.tlsg", 8, TAG_FORM_GO },
};
#define GO_VARIABLE (ARRAY_LEN(variables) - 1)

const char *elf_tls_name(enum tag_form form)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (variables[i].form == form)
			return variables[i].name;
	return "";
}

/* A static program has no dynamic symbols, and others may have been linked without exporting
 * theirs: unless they are stripped, all symbols tell as well. */
static int find_symbols(struct elf_file *file, struct elf_symbol found[ARRAY_LEN(variables)])
{
	const char *names[ARRAY_LEN(variables)];
	bool has_any = false;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(variables) && rc == 0; i++) {
		names[i] = variables[i].name;
		rc = elf_symbols_find(file, names[i], &found[i]);
		has_any |= rc == 0;
		rc = rc == -ENOENT ? 0 : rc;
	}
	if (rc == 0 && !has_any && file->is_program && file->tls.memory_bytes && !file->in_memory)
		rc = elf_symbols_scan(file, names, ARRAY_LEN(names), found);
	return rc == -ENOENT ? 0 : rc;
}

/* The best variable. */
static int choose(const struct elf_file *file, const struct elf_symbol *found, struct elf_tls *tls,
		  uint32_t *out_index)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		if (!found[i].is_tls || !found[i].is_defined)
			continue;
		if (file->tls.memory_bytes < variables[i].bytes ||
		    found[i].value > file->tls.memory_bytes - variables[i].bytes)
			return -EBADMSG;
		if (i == GO_VARIABLE) {
			tls->has_go_tls = true;
			tls->go_tls_offset = found[i].value;
		} else if (!tls->has_variable) {
			tls->has_variable = true;
			tls->form = variables[i].form;
			tls->variable_offset = found[i].value;
			*out_index = found[i].index;
		}
	}
	return 0;
}

static enum elf_libc libc_of(struct elf_file *file)
{
	struct elf_symbol symbol;

	if (elf_symbols_find(file, "__libc_start_main", &symbol) < 0)
		return ELF_LIBC_NONE;
	return elf_symbols_find(file, "gnu_get_libc_version", &symbol) == 0 ? ELF_LIBC_GLIBC
									    : ELF_LIBC_MUSL;
}

static uint64_t address_of(struct elf_file *file, const char *name)
{
	struct elf_symbol symbol;

	return elf_symbols_find(file, name, &symbol) == 0 ? symbol.value : 0;
}

static enum elf_slot_kind kind_of(uint32_t relocation)
{
	switch (relocation) {
	case R_X86_64_TPOFF64:
		return ELF_SLOT_OFFSET;
	case R_X86_64_DTPMOD64:
		return ELF_SLOT_MODULE;
	case R_X86_64_TLSDESC:
		return ELF_SLOT_DESCRIPTOR;
	default:
		return 0;
	}
}

/* Keeps the best few, in the order of their rank. */
static void keep(struct elf_tls *tls, const struct elf_slot *slot)
{
	uint32_t at = tls->slot_count;

	while (at > 0 && tls->slots[at - 1].rank > slot->rank)
		at--;
	if (at == ELF_MAX_SLOTS)
		return;
	tls->slot_count = MIN(tls->slot_count + 1, (uint32_t)ELF_MAX_SLOTS);
	memmove(&tls->slots[at + 1], &tls->slots[at],
		(tls->slot_count - at - 1) * sizeof(tls->slots[0]));
	tls->slots[at] = *slot;
}

/* A relocation without a symbol speaks of this file's own block, at its addend; with one, of the
 * symbol's place, and only a symbol defined here tells us anything. */
static int consider(const struct search *search, const Elf64_Rela *relocation)
{
	struct elf_slot slot = {
		.vaddr = relocation->r_offset,
		.block_offset = (uint64_t)relocation->r_addend,
		.kind = kind_of((uint32_t)ELF64_R_TYPE(relocation->r_info)),
	};
	uint32_t index = (uint32_t)ELF64_R_SYM(relocation->r_info);
	struct elf_symbol symbol;

	if (!slot.kind)
		return 0;
	if (index != 0) {
		int rc = elf_symbols_at(search->file, index, &symbol);

		if (rc < 0)
			return rc;
		if (!symbol.is_tls || !symbol.is_defined)
			return 0;
		slot.block_offset += symbol.value;
	}
	slot.has_offset = slot.kind == ELF_SLOT_MODULE && index != 0;
	slot.rank = index != 0 && index == search->variable_index                     ? 0
		    : index == 0 && slot.block_offset == search->tls->variable_offset ? 1
										      : 2;
	if (slot.block_offset <= search->tls->tls.memory_bytes)
		keep(search->tls, &slot);
	return 0;
}

static int collect(const struct search *search, const struct elf_table *table)
{
	uint64_t count = table->bytes / sizeof(Elf64_Rela);

	if (!table->vaddr)
		return 0;
	if (count > MAX_RELOCATIONS)
		return -E2BIG;
	for (uint64_t i = 0; i < count; i += RELOCATIONS_PER_READ) {
		Elf64_Rela block[RELOCATIONS_PER_READ];
		size_t n = (size_t)MIN(count - i, (uint64_t)RELOCATIONS_PER_READ);
		int rc = elf_file_read(search->file, table->vaddr + i * sizeof(block[0]), block,
				       n * sizeof(block[0]));

		for (size_t k = 0; k < n && rc == 0; k++)
			rc = consider(search, &block[k]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int collect_slots(struct elf_file *file, struct elf_tls *tls, uint32_t variable_index)
{
	struct search search = { file, tls, variable_index };
	int rc = collect(&search, &file->relocations);

	return rc < 0 ? rc : collect(&search, &file->plt_relocations);
}

int elf_tls_read(struct elf_file *file, struct elf_tls *out_tls)
{
	struct elf_tls tls = {
		.is_program = file->is_program,
		.tls = file->tls,
		.first_load = file->loads[0],
		.dynamic = file->dynamic,
	};
	struct elf_symbol found[ARRAY_LEN(variables)] = { 0 };
	uint32_t index = 0;
	int rc = find_symbols(file, found);

	if (rc == 0)
		rc = choose(file, found, &tls, &index);
	if (rc == 0 && file->is_program && !file->in_memory)
		rc = elf_go_read(file, &tls.go);
	if (rc < 0)
		return rc;
	tls.libc = libc_of(file);
	if (tls.libc == ELF_LIBC_GLIBC) {
		tls.link_map_modid = address_of(file, "_thread_db_link_map_l_tls_modid");
		tls.link_map_offset = address_of(file, "_thread_db_link_map_l_tls_offset");
	}
	rc = tls.has_variable ? collect_slots(file, &tls, index) : 0;
	if (rc == 0)
		*out_tls = tls;
	return rc;
}
