/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/compress.h"
#include "collector/base/macros.h"

#define MAX_NAME_BYTES 4096
#define RANK_SHIFT     30 /* SYMBOLS_MAX_BYTES needs fewer bits */
#define NAME_MASK      ((1u << RANK_SHIFT) - 1)

/* A block is what one lookup decompresses; names do not reach over its end. */
#define PACK_LEAST_BYTES (32u << 10) /* less is not worth it */
#define BLOCK_BITS       14
#define BLOCK_BYTES      (1u << BLOCK_BITS)
#define PACK_LEVEL       3

enum rank { RANK_GLOBAL = 0, RANK_WEAK, RANK_LOCAL, RANK_OTHER };

static bool grow(void **array, uint32_t *cap, uint32_t least, size_t size)
{
	uint32_t want = MAX(MAX(*cap, 256u), least);
	void *grown;

	if (least <= *cap)
		return true;
	if (want < *cap + *cap / 2)
		want = *cap + *cap / 2;
	grown = realloc(*array, want * size);
	if (!grown)
		return false;
	*array = grown;
	*cap = want;
	return true;
}

int symbol_table_put(struct symbol_table *table, uint64_t start, uint64_t size, unsigned rank,
		     const char *name, size_t name_bytes)
{
	if (table->count >= SYMBOLS_MAX_COUNT ||
	    table->names_bytes + name_bytes + 1 > SYMBOLS_MAX_BYTES)
		return -E2BIG;
	if (!grow((void **)&table->entries, &table->cap, table->count + 1,
		  sizeof(*table->entries)) ||
	    !grow((void **)&table->names, &table->names_cap,
		  table->names_bytes + (uint32_t)name_bytes + 1, 1))
		return -ENOMEM;
	table->entries[table->count++] = (struct symbol_entry){
		.start = start,
		.size = (uint32_t)MIN(size, (uint64_t)UINT32_MAX),
		.name = table->names_bytes | (uint32_t)MIN(rank, RANK_OTHER) << RANK_SHIFT,
	};
	memcpy(table->names + table->names_bytes, name, name_bytes);
	table->names[table->names_bytes + name_bytes] = '\0';
	table->names_bytes += (uint32_t)name_bytes + 1;
	return 0;
}

/* Assembler code often has no type: then its section must be one of code. */
static bool is_code(const struct sections *sections, const Elf64_Sym *symbol)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0)
		return false;
	if (type == STT_FUNC || type == STT_GNU_IFUNC)
		return true;
	return type == STT_NOTYPE && symbol->st_shndx < sections->count &&
	       sections->headers[symbol->st_shndx].sh_flags & SHF_EXECINSTR;
}

/* One without a size reaches to the next, but not out of its section: what is made by the linker
 * comes behind it, and has no symbols. */
static uint64_t size_of(const struct sections *sections, const Elf64_Sym *symbol)
{
	const Elf64_Shdr *section =
		symbol->st_shndx < sections->count ? &sections->headers[symbol->st_shndx] : NULL;

	if (symbol->st_size || !section || symbol->st_value < section->sh_addr ||
	    symbol->st_value - section->sh_addr >= section->sh_size)
		return symbol->st_size;
	return section->sh_size - (symbol->st_value - section->sh_addr);
}

static unsigned rank_of(const Elf64_Sym *symbol)
{
	switch (ELF64_ST_BIND(symbol->st_info)) {
	case STB_GLOBAL:
		return RANK_GLOBAL;
	case STB_WEAK:
		return RANK_WEAK;
	default:
		return ELF64_ST_TYPE(symbol->st_info) == STT_NOTYPE ? RANK_OTHER : RANK_LOCAL;
	}
}

/* Without the version that a linker hangs on: "read@@GLIBC_2.2.5". */
static size_t name_length(const char *name, uint64_t most)
{
	size_t bytes = strnlen(name, MIN(most, MAX_NAME_BYTES));
	const char *version = memchr(name, '@', bytes);

	return version && version > name ? (size_t)(version - name) : bytes;
}

static int add_all(struct symbol_table *table, const struct sections *sections,
		   const Elf64_Sym *symbols, uint64_t count, const char *texts,
		   uint64_t texts_bytes)
{
	int rc = 0;

	for (uint64_t i = 0; i < count && rc == 0; i++) {
		const Elf64_Sym *symbol = &symbols[i];
		const char *name = texts + symbol->st_name;
		size_t bytes;

		if (symbol->st_name >= texts_bytes || !is_code(sections, symbol))
			continue;
		bytes = name_length(name, texts_bytes - symbol->st_name);
		if (bytes == 0 || name[0] == '$') /* of the assembler's own */
			continue;
		rc = symbol_table_put(table, symbol->st_value, size_of(sections, symbol),
				      rank_of(symbol), name, bytes);
	}
	return rc;
}

int symbol_table_add(struct symbol_table *table, const struct sections *sections, uint32_t type)
{
	const Elf64_Shdr *header = sections_of_type(sections, type);
	const Elf64_Shdr *strings = header ? sections_at(sections, header->sh_link) : NULL;
	char *symbols = NULL, *texts = NULL;
	int rc;

	if (!header || !strings)
		return -ENOENT;
	if (header->sh_entsize != sizeof(Elf64_Sym))
		return -EBADMSG;
	rc = sections_read(sections, header, &symbols);
	if (rc == 0)
		rc = sections_read(sections, strings, &texts);
	if (rc == 0)
		rc = add_all(table, sections, (const Elf64_Sym *)(const void *)symbols,
			     header->sh_size / sizeof(Elf64_Sym), texts, strings->sh_size);
	free(symbols);
	free(texts);
	return rc;
}

static int by_start(const void *a, const void *b)
{
	const struct symbol_entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name; /* its rank first */
}

void symbol_table_sort(struct symbol_table *table)
{
	uint32_t kept = 0;

	if (table->count)
		qsort(table->entries, table->count, sizeof(*table->entries), by_start);
	for (uint32_t i = 0; i < table->count; i++) {
		struct symbol_entry entry = table->entries[i];

		entry.name &= NAME_MASK;
		if (kept && table->entries[kept - 1].start == entry.start) {
			if (table->entries[kept - 1].size == 0)
				table->entries[kept - 1].size = entry.size;
			continue;
		}
		table->entries[kept++] = entry;
	}
	table->count = kept;
}

/* ---- names in little memory */

struct symbol_block {
	uint32_t packed; /* where it begins */
	uint32_t bytes;  /* once it is open */
};

struct symbol_pack {
	struct buf packed;
	struct symbol_block *blocks; /* owned; one more than there are, for the last one's end */
	uint32_t count, open;        /* open == count: none is */
	char names[BLOCK_BYTES];     /* of the open one */
};

static void free_pack(struct symbol_pack *pack)
{
	if (!pack)
		return;
	buf_fini(&pack->packed);
	free(pack->blocks);
	free(pack);
}

static int close_block(struct symbol_pack *pack, struct compress_packer *packer, uint32_t bytes)
{
	int rc = compress_pack(packer, (struct str){ pack->names, bytes }, &pack->packed);

	pack->blocks[pack->count++].bytes = bytes;
	pack->blocks[pack->count].packed = (uint32_t)pack->packed.len;
	return rc;
}

/* The places of names in the pack are told in `places`, one an entry. */
static int fill_pack(const struct symbol_table *table, struct symbol_pack *pack,
		     struct compress_packer *packer, uint32_t *places)
{
	uint32_t at = 0;
	int rc = 0;

	for (uint32_t i = 0; i < table->count && rc == 0; i++) {
		const char *name = table->names + table->entries[i].name;
		uint32_t bytes = (uint32_t)strnlen(name, MAX_NAME_BYTES - 1);

		if (at + bytes + 1 > BLOCK_BYTES) {
			rc = close_block(pack, packer, at);
			at = 0;
		}
		places[i] = pack->count << BLOCK_BITS | at;
		memcpy(pack->names + at, name, bytes);
		pack->names[at + bytes] = '\0';
		at += bytes + 1;
	}
	if (rc == 0)
		rc = close_block(pack, packer, at);
	pack->open = pack->count;
	return rc;
}

static struct symbol_pack *new_pack(const struct symbol_table *table)
{
	struct symbol_pack *pack = calloc(1, sizeof(*pack));
	/* a block is closed with no more than one name's length left of it */
	uint32_t most = table->names_bytes / (BLOCK_BYTES - MAX_NAME_BYTES) + 2;

	if (!pack)
		return NULL;
	buf_init(&pack->packed, 0);
	pack->blocks = calloc(most + 1, sizeof(*pack->blocks));
	if (pack->blocks)
		return pack;
	free_pack(pack);
	return NULL;
}

static void shrink(struct symbol_table *table)
{
	void *less = table->count ? realloc(table->entries, table->count * sizeof(*table->entries))
				  : NULL;

	if (!less)
		return;
	table->entries = less;
	table->cap = table->count;
}

static void shrink_pack(struct symbol_pack *pack)
{
	char *less = realloc(pack->packed.data, pack->packed.len);

	if (!less)
		return;
	pack->packed.data = less;
	pack->packed.cap = pack->packed.len;
}

/* What cannot be packed stays as it is. */
void symbol_table_pack(struct symbol_table *table)
{
	struct compress_packer *packer;
	struct symbol_pack *pack;
	uint32_t *places;

	shrink(table);
	if (table->pack || table->names_bytes < PACK_LEAST_BYTES)
		return;
	packer = compress_packer_new(PACK_LEVEL, 0);
	pack = new_pack(table);
	places = reallocarray(NULL, table->count + 1, sizeof(*places));
	if (packer && pack && places && fill_pack(table, pack, packer, places) == 0) {
		for (uint32_t i = 0; i < table->count; i++)
			table->entries[i].name = places[i];
		free(table->names);
		table->names = NULL;
		table->names_bytes = table->names_cap = 0;
		table->pack = pack;
		shrink_pack(pack);
		pack = NULL;
	}
	compress_packer_free(packer);
	free_pack(pack);
	free(places);
}

static const char *name_in_pack(struct symbol_pack *pack, uint32_t place)
{
	uint32_t number = place >> BLOCK_BITS;
	const struct symbol_block *block = &pack->blocks[number];
	struct str packed = { pack->packed.data + block->packed, block[1].packed - block->packed };

	if (number != pack->open) {
		pack->open = pack->count;
		if (compress_unpack(packed, pack->names, block->bytes) < 0)
			return ""; /* no memory for it */
		pack->open = number;
	}
	return pack->names + (place & (BLOCK_BYTES - 1));
}

const char *symbol_table_name(const struct symbol_table *table, const struct symbol_entry *entry)
{
	return table->pack ? name_in_pack(table->pack, entry->name) : table->names + entry->name;
}

void symbol_table_fini(struct symbol_table *table)
{
	free(table->entries);
	free(table->names);
	free_pack(table->pack);
	*table = (struct symbol_table){ 0 };
}

const char *symbol_table_find(const struct symbol_table *table, uint64_t address)
{
	uint32_t low = 0, high = table->count;
	const struct symbol_entry *entry;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (table->entries[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	entry = &table->entries[low - 1];
	if (entry->size && address - entry->start >= entry->size)
		return NULL;
	return symbol_table_name(table, entry);
}

static struct str names_of(const struct symbol_table *table)
{
	return table->pack ? buf_str(&table->pack->packed)
			   : (struct str){ table->names, table->names_bytes };
}

/* The same names in the same order are packed to the same bytes. */
bool symbol_table_equals(const struct symbol_table *a, const struct symbol_table *b)
{
	return a->count == b->count && !a->pack == !b->pack && str_eq(names_of(a), names_of(b)) &&
	       (a->count == 0 ||
		memcmp(a->entries, b->entries, a->count * sizeof(*a->entries)) == 0);
}

size_t symbol_table_bytes(const struct symbol_table *table)
{
	const struct symbol_pack *pack = table->pack;
	size_t bytes = table->cap * sizeof(*table->entries) + table->names_cap;

	if (pack)
		bytes += sizeof(*pack) + pack->packed.cap +
			 (pack->count + 1) * sizeof(*pack->blocks);
	return bytes;
}
