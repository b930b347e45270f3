/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_go.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define WORD           8
#define MAX_FUNCTIONS  2000000u
#define MAX_NAME_BYTES 4096
#define MAX_CANDIDATES 8
#define TEXT_WORD      22 /* of the runtime's moduledata, whose first word points to our table */

enum magic {
	MAGIC_1_2 = 0xfffffffb,
	MAGIC_1_16 = 0xfffffffa,
	MAGIC_1_18 = 0xfffffff0,
	MAGIC_1_20 = 0xfffffff1,
};

/* The table as its header describes it; offsets within it. */
struct pclntab {
	const char *data;
	uint64_t bytes;
	uint64_t count;
	uint64_t text;      /* entries are relative to it; 0: they are addresses */
	uint64_t names;     /* offset of the names */
	uint64_t functions; /* ... of the list of functions, to which theirs are relative */
	unsigned width;     /* of an element of that list: 4 or 8 */
};

/* Beyond the end: 0. */
static uint64_t read_word(const struct pclntab *tab, uint64_t offset, unsigned width)
{
	uint64_t value = 0;

	if (offset <= tab->bytes && width <= tab->bytes - offset)
		memcpy(&value, tab->data + offset, width);
	return value;
}

static const Elf64_Shdr *find_table(const struct sections *sections)
{
	const Elf64_Shdr *header = sections_find(sections, ".gopclntab");

	return header ? header : sections_find(sections, ".data.rel.ro.gopclntab");
}

bool symbol_go_has_table(const struct sections *sections)
{
	return find_table(sections) != NULL;
}

/* ---- where Go's code begins, if the header does not say (1.26; position independent) */

static bool is_code(const struct sections *sections, uint64_t address)
{
	for (uint32_t i = 0; i < sections->load_count; i++) {
		const struct sections_load *load = &sections->loads[i];

		if (load->flags & PF_X && address >= load->vaddr &&
		    address - load->vaddr < load->memory_bytes)
			return true;
	}
	return false;
}

static uint64_t text_in_section(const struct sections *sections, const char *name, uint64_t table)
{
	const Elf64_Shdr *header = sections_find(sections, name);
	uint64_t words, text = 0;
	char *bytes;

	if (!header || sections_read(sections, header, &bytes) < 0)
		return 0;
	words = header->sh_size / WORD;
	for (uint64_t i = 0; i + TEXT_WORD < words && !text; i++) {
		uint64_t word, candidate;

		memcpy(&word, bytes + i * WORD, WORD);
		memcpy(&candidate, bytes + (i + TEXT_WORD) * WORD, WORD);
		if (word == table && is_code(sections, candidate))
			text = candidate;
	}
	free(bytes);
	return text;
}

/* What the loader will write at `at`. */
static uint64_t relocated(const Elf64_Rela *relocations, uint64_t count, uint64_t at)
{
	for (uint64_t i = 0; i < count; i++)
		if (relocations[i].r_offset == at &&
		    ELF64_R_TYPE(relocations[i].r_info) == R_X86_64_RELATIVE)
			return (uint64_t)relocations[i].r_addend;
	return 0;
}

static uint64_t text_by_relocations(const struct sections *sections, uint64_t table)
{
	const Elf64_Shdr *header = sections_find(sections, ".rela.dyn");
	uint64_t count, text = 0;
	unsigned candidates = 0;
	char *bytes;

	if (!header)
		header = sections_find(sections, ".rela");
	if (!header || sections_read(sections, header, &bytes) < 0)
		return 0;
	count = header->sh_size / sizeof(Elf64_Rela);
	const Elf64_Rela *relocations = (const void *)bytes;

	for (uint64_t i = 0; i < count && !text && candidates < MAX_CANDIDATES; i++) {
		if ((uint64_t)relocations[i].r_addend != table ||
		    ELF64_R_TYPE(relocations[i].r_info) != R_X86_64_RELATIVE)
			continue;
		text = relocated(relocations, count, relocations[i].r_offset + TEXT_WORD * WORD);
		text = is_code(sections, text) ? text : 0;
		candidates++;
	}
	free(bytes);
	return text;
}

static uint64_t find_text(const struct sections *sections, uint64_t table)
{
	static const char *const names[] = { ".go.module", ".noptrdata", ".data", ".data.rel.ro" };
	uint64_t text = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && !text; i++)
		text = text_in_section(sections, names[i], table);
	return text ? text : text_by_relocations(sections, table);
}

/* ---- the table */

static int read_header(struct pclntab *tab, const struct sections *sections,
		       const Elf64_Shdr *header)
{
	uint32_t magic = (uint32_t)read_word(tab, 0, 4);

	if (read_word(tab, 7, 1) != WORD)
		return -EBADMSG;
	tab->count = read_word(tab, WORD, WORD);
	switch (magic) {
	case MAGIC_1_2:
		tab->functions = 2 * WORD;
		tab->width = WORD;
		break;
	case MAGIC_1_16:
		tab->names = read_word(tab, 3 * WORD, WORD);
		tab->functions = read_word(tab, 7 * WORD, WORD);
		tab->width = WORD;
		break;
	case MAGIC_1_18:
	case MAGIC_1_20:
		tab->text = read_word(tab, 3 * WORD, WORD);
		tab->names = read_word(tab, 4 * WORD, WORD);
		tab->functions = read_word(tab, 8 * WORD, WORD);
		tab->width = 4;
		if (!is_code(sections, tab->text))
			tab->text = find_text(sections, header->sh_addr);
		if (!tab->text)
			return -ENOTSUP;
		break;
	default:
		return -ENOTSUP;
	}
	return tab->count > MAX_FUNCTIONS || tab->functions > tab->bytes || tab->names > tab->bytes
		       ? -EBADMSG
		       : 0;
}

static int add_function(struct symbol_table *table, const struct pclntab *tab, uint64_t index)
{
	uint64_t at = tab->functions + index * 2 * tab->width;
	uint64_t start = read_word(tab, at, tab->width);
	uint64_t function = read_word(tab, at + tab->width, tab->width);
	uint64_t end = read_word(tab, at + 2 * tab->width, tab->width);
	uint64_t base = tab->names ? tab->functions : 0, name;

	if (function > tab->bytes || end <= start)
		return 0;
	/* its first member is its entry, the next one where its name is */
	name = tab->names + read_word(tab, base + function + tab->width, 4);
	if (name >= tab->bytes)
		return 0;
	return symbol_table_put(
		table, tab->text + start, end - start, 0, tab->data + name,
		strnlen(tab->data + name, MIN(tab->bytes - name, (uint64_t)MAX_NAME_BYTES)));
}

int symbol_go_add(struct symbol_table *table, const struct sections *sections)
{
	const Elf64_Shdr *header = find_table(sections);
	struct pclntab tab = { 0 };
	char *bytes;
	int rc;

	if (!header)
		return -ENOENT;
	rc = sections_read(sections, header, &bytes);
	if (rc < 0)
		return rc;
	tab.data = bytes;
	tab.bytes = header->sh_size;
	rc = read_header(&tab, sections, header);
	for (uint64_t i = 0; i < tab.count && rc == 0; i++)
		rc = add_function(table, &tab, i);
	free(bytes);
	return rc;
}
