/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_plt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define ENTRY_BYTES 16
#define MAX_NAME    256

/* The relocations of the table's slots, one an entry in the same order, and the names they have. */
struct slots {
	char *relocations, *symbols, *texts; /* owned */
	uint64_t count, symbol_count, text_bytes;
};

static int read_slots(struct slots *slots, const struct sections *sections)
{
	const Elf64_Shdr *relocations = sections_find(sections, ".rela.plt");
	const Elf64_Shdr *symbols = sections_of_type(sections, SHT_DYNSYM);
	const Elf64_Shdr *texts = symbols ? sections_at(sections, symbols->sh_link) : NULL;
	int rc;

	if (!relocations || !texts)
		return -ENOENT;
	rc = sections_read(sections, relocations, &slots->relocations);
	if (rc == 0)
		rc = sections_read(sections, symbols, &slots->symbols);
	if (rc == 0)
		rc = sections_read(sections, texts, &slots->texts);
	slots->count = relocations->sh_size / sizeof(Elf64_Rela);
	slots->symbol_count = symbols->sh_size / sizeof(Elf64_Sym);
	slots->text_bytes = texts->sh_size;
	return rc;
}

/* NULL: it has none, as one whose target the loader asks a function for. */
static const char *name_of(const struct slots *slots, uint64_t index)
{
	const Elf64_Rela *relocation = (const Elf64_Rela *)(const void *)slots->relocations + index;
	uint64_t number = ELF64_R_SYM(relocation->r_info);
	const Elf64_Sym *symbol = (const Elf64_Sym *)(const void *)slots->symbols + number;

	if (number == 0 || number >= slots->symbol_count || symbol->st_name >= slots->text_bytes)
		return NULL;
	return slots->texts + symbol->st_name;
}

static int add_section(struct symbol_table *table, const struct slots *slots,
		       const Elf64_Shdr *section, uint64_t first)
{
	int rc = 0;

	for (uint64_t i = 0; i < slots->count && rc == 0; i++) {
		uint64_t offset = (first + i) * ENTRY_BYTES;
		const char *name = name_of(slots, i);
		char text[MAX_NAME];

		if (offset >= section->sh_size)
			break;
		if (!name || !*name)
			continue;
		snprintf(text, sizeof(text), "%s@plt", name);
		rc = symbol_table_put(table, section->sh_addr + offset, ENTRY_BYTES, 3, text,
				      strlen(text));
	}
	return rc;
}

/* The first entry of .plt calls the loader; .plt.sec (with -fcf-protection) has none such. */
int symbol_plt_add(struct symbol_table *table, const struct sections *sections)
{
	const Elf64_Shdr *lazy = sections_find(sections, ".plt");
	const Elf64_Shdr *direct = sections_find(sections, ".plt.sec");
	struct slots slots = { 0 };
	int rc = lazy || direct ? read_slots(&slots, sections) : -ENOENT;

	if (rc == 0 && lazy)
		rc = symbol_table_put(table, lazy->sh_addr, ENTRY_BYTES, 3, "[plt]", 5);
	if (rc == 0 && lazy)
		rc = add_section(table, &slots, lazy, 1);
	if (rc == 0 && direct)
		rc = add_section(table, &slots, direct, 0);
	free(slots.relocations);
	free(slots.symbols);
	free(slots.texts);
	return rc;
}
