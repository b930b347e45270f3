/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/elf_symbols.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "bpf/elf_sections.h"
#include "collector/base/macros.h"

#define MAX_CHAIN        4096    /* symbols of one hash bucket */
#define MAX_SCANNED      2000000 /* symbols of .symtab: 48 MB */
#define SYMBOLS_PER_READ 128

static struct elf_symbol symbol_of(const Elf64_Sym *raw, uint32_t index)
{
	return (struct elf_symbol){
		.index = index,
		.is_tls = ELF64_ST_TYPE(raw->st_info) == STT_TLS,
		.is_defined = raw->st_shndx != SHN_UNDEF,
		.value = raw->st_value,
	};
}

static int read_symbol(struct elf_file *file, uint32_t index, Elf64_Sym *out_raw)
{
	return elf_file_read(file, file->symbols + (uint64_t)index * sizeof(*out_raw), out_raw,
			     sizeof(*out_raw));
}

int elf_symbols_at(struct elf_file *file, uint32_t index, struct elf_symbol *out_symbol)
{
	Elf64_Sym raw;
	int rc = file->symbols ? read_symbol(file, index, &raw) : -ENOENT;

	if (rc == 0)
		*out_symbol = symbol_of(&raw, index);
	return rc;
}

/* 1: symbol `index` is a definition of `name`; 0: it is not. */
static int is_named(struct elf_file *file, uint32_t index, const char *name,
		    struct elf_symbol *out_symbol)
{
	char text[ELF_MAX_SYMBOL_BYTES];
	size_t bytes = strlen(name) + 1;
	Elf64_Sym raw;
	int rc = read_symbol(file, index, &raw);

	if (rc < 0)
		return rc;
	if (raw.st_shndx == SHN_UNDEF || raw.st_name >= file->strings.bytes ||
	    bytes > file->strings.bytes - raw.st_name)
		return 0;
	rc = elf_file_read(file, file->strings.vaddr + raw.st_name, text, bytes);
	if (rc < 0)
		return rc;
	if (memcmp(text, name, bytes) != 0)
		return 0;
	*out_symbol = symbol_of(&raw, index);
	return 1;
}

static uint32_t gnu_hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

static uint32_t sysv_hash_of(const char *name)
{
	uint32_t hash = 0;

	for (; *name; name++) {
		hash = (hash << 4) + (unsigned char)*name;
		hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
	}
	return hash;
}

/* Layout: {buckets, first symbol, filter words, shift}, filter, buckets, one hash per symbol whose
 * lowest bit ends a chain. */
static int find_gnu(struct elf_file *file, const char *name, struct elf_symbol *out_symbol)
{
	uint32_t hash = gnu_hash_of(name), head[4], index;
	uint64_t filter, buckets, hashes;
	int rc = elf_file_read(file, file->gnu_hash, head, sizeof(head));

	if (rc < 0)
		return rc;
	if (head[0] == 0 || head[2] == 0)
		return -ENOENT;
	buckets = file->gnu_hash + sizeof(head) + 8ull * head[2];
	hashes = buckets + 4ull * head[0];
	rc = elf_file_read(file, file->gnu_hash + sizeof(head) + 8ull * (hash / 64 % head[2]),
			   &filter, sizeof(filter));
	if (rc < 0)
		return rc;
	if (!(filter >> hash % 64 & filter >> (hash >> (head[3] & 31)) % 64 & 1))
		return -ENOENT;
	rc = elf_file_read(file, buckets + 4ull * (hash % head[0]), &index, sizeof(index));
	if (rc < 0)
		return rc;
	if (index < head[1])
		return index == 0 ? -ENOENT : -EBADMSG;
	for (uint32_t steps = 0; steps < MAX_CHAIN && index + steps >= index; steps++) {
		uint32_t link;

		rc = elf_file_read(file, hashes + 4ull * (index + steps - head[1]), &link,
				   sizeof(link));
		if (rc == 0 && (link | 1) == (hash | 1))
			rc = is_named(file, index + steps, name, out_symbol);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		if (link & 1)
			return -ENOENT;
	}
	return -E2BIG;
}

/* Layout: {buckets, chains}, buckets, one link per symbol; 0 ends a chain. A chain may be a circle.
 */
static int find_sysv(struct elf_file *file, const char *name, struct elf_symbol *out_symbol)
{
	uint32_t head[2], index;
	int rc = elf_file_read(file, file->hash, head, sizeof(head));

	if (rc < 0)
		return rc;
	if (head[0] == 0)
		return -ENOENT;
	rc = elf_file_read(file, file->hash + 8 + 4ull * (sysv_hash_of(name) % head[0]), &index,
			   sizeof(index));
	for (uint32_t steps = 0; rc == 0 && index != 0; steps++) {
		if (steps == MAX_CHAIN || steps > head[1])
			return -E2BIG;
		rc = is_named(file, index, name, out_symbol);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		rc = elf_file_read(file, file->hash + 8 + 4ull * head[0] + 4ull * index, &index,
				   sizeof(index));
	}
	return rc < 0 ? rc : -ENOENT;
}

int elf_symbols_find(struct elf_file *file, const char *name, struct elf_symbol *out_symbol)
{
	if (strlen(name) >= ELF_MAX_SYMBOL_BYTES || !file->symbols || !file->strings.vaddr)
		return -ENOENT;
	if (file->gnu_hash)
		return find_gnu(file, name, out_symbol);
	return file->hash ? find_sysv(file, name, out_symbol) : -ENOENT;
}

static int find_symtab(struct elf_file *file, struct elf_section *out_symbols,
		       struct elf_section *out_strings)
{
	int rc = elf_sections_find_type(file, SHT_SYMTAB, out_symbols);

	if (rc < 0)
		return rc;
	if (out_symbols->entry_bytes != sizeof(Elf64_Sym))
		return -EBADMSG;
	rc = elf_sections_at(file, out_symbols->link, out_strings);
	return rc == -ENOENT ? -EBADMSG : rc;
}

/* What one scan looks for. */
struct scan {
	struct elf_file *file;
	struct elf_section strings;
	const char *const *names;
	size_t count;
	struct elf_symbol *found;
};

static int compare_names(const struct scan *scan, const Elf64_Sym *raw)
{
	char text[ELF_MAX_SYMBOL_BYTES] = "";
	size_t bytes;
	int rc;

	if (raw->st_name >= scan->strings.bytes)
		return 0;
	bytes = (size_t)MIN(scan->strings.bytes - raw->st_name, (uint64_t)sizeof(text) - 1);
	rc = elf_file_read_raw(scan->file, scan->strings.offset + raw->st_name, text, bytes);
	for (size_t i = 0; i < scan->count && rc == 0; i++)
		if (strcmp(text, scan->names[i]) == 0 && !scan->found[i].is_defined)
			scan->found[i] = symbol_of(raw, 0);
	return rc;
}

/* Names are read of thread-local symbols only: there are few. */
static int scan_block(const struct scan *scan, const Elf64_Sym *block, size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++) {
		struct elf_symbol symbol = symbol_of(&block[i], 0);

		if (symbol.is_tls && symbol.is_defined)
			rc = compare_names(scan, &block[i]);
	}
	return rc;
}

int elf_symbols_scan(struct elf_file *file, const char *const *names, size_t count,
		     struct elf_symbol *out_symbols)
{
	struct scan scan = { .file = file, .names = names, .count = count, .found = out_symbols };
	struct elf_section symbols;
	uint64_t left, at;
	int rc = find_symtab(file, &symbols, &scan.strings);

	if (rc < 0)
		return rc;
	left = symbols.bytes / sizeof(Elf64_Sym);
	if (left > MAX_SCANNED)
		return -E2BIG;
	for (at = symbols.offset; left > 0 && rc == 0;) {
		Elf64_Sym block[SYMBOLS_PER_READ];
		size_t n = (size_t)MIN(left, (uint64_t)SYMBOLS_PER_READ);

		rc = elf_file_read_raw(file, at, block, n * sizeof(Elf64_Sym));
		if (rc == 0)
			rc = scan_block(&scan, block, n);
		at += n * sizeof(Elf64_Sym);
		left -= n;
	}
	return rc;
}
