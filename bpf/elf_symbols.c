/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/elf_symbols.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "collector/base/macros.h"

#define MAX_CHAIN        4096    /* symbols of one hash bucket */
#define MAX_SCANNED      2000000 /* symbols of .symtab: 48 MB */
#define MAX_SECTIONS     4096
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

static int read_section(struct elf_file *file, uint32_t index, Elf64_Shdr *out_header)
{
	return elf_file_read_raw(file, file->sections + (uint64_t)index * sizeof(*out_header),
				 out_header, sizeof(*out_header));
}

static int find_symtab(struct elf_file *file, Elf64_Shdr *out_symbols, Elf64_Shdr *out_strings)
{
	uint32_t count = MIN(file->section_count, (uint32_t)MAX_SECTIONS);

	if (file->sections == 0 || file->sections > file->size)
		return -ENOENT;
	for (uint32_t i = 0; i < count; i++) {
		int rc = read_section(file, i, out_symbols);

		if (rc < 0)
			return rc;
		if (out_symbols->sh_type != SHT_SYMTAB)
			continue;
		if (out_symbols->sh_entsize != sizeof(Elf64_Sym) ||
		    out_symbols->sh_link >= file->section_count)
			return -EBADMSG;
		return read_section(file, out_symbols->sh_link, out_strings);
	}
	return -ENOENT;
}

/* 1: found; 0: not among these. Names are read of thread-local symbols only: there are few. */
static int scan_block(struct elf_file *file, const Elf64_Sym *block, size_t count,
		      const Elf64_Shdr *strings, const char *name, struct elf_symbol *out_symbol)
{
	char text[ELF_MAX_SYMBOL_BYTES];
	size_t bytes = strlen(name) + 1;

	for (size_t i = 0; i < count; i++) {
		struct elf_symbol symbol = symbol_of(&block[i], 0);
		int rc;

		if (!symbol.is_tls || !symbol.is_defined || block[i].st_name >= strings->sh_size ||
		    bytes > strings->sh_size - block[i].st_name)
			continue;
		rc = elf_file_read_raw(file, strings->sh_offset + block[i].st_name, text, bytes);
		if (rc < 0)
			return rc;
		if (memcmp(text, name, bytes) == 0) {
			*out_symbol = symbol;
			return 1;
		}
	}
	return 0;
}

int elf_symbols_scan(struct elf_file *file, const char *name, struct elf_symbol *out_symbol)
{
	Elf64_Shdr symbols = { 0 }, strings = { 0 };
	uint64_t count;
	int rc = strlen(name) < ELF_MAX_SYMBOL_BYTES ? find_symtab(file, &symbols, &strings)
						     : -ENOENT;

	if (rc < 0)
		return rc;
	count = symbols.sh_size / sizeof(Elf64_Sym);
	if (count > MAX_SCANNED)
		return -E2BIG;
	for (uint64_t i = 0; i < count && rc == 0; i += SYMBOLS_PER_READ) {
		Elf64_Sym block[SYMBOLS_PER_READ];
		size_t n = (size_t)MIN(count - i, (uint64_t)SYMBOLS_PER_READ);

		rc = elf_file_read_raw(file, symbols.sh_offset + i * sizeof(Elf64_Sym), block,
				       n * sizeof(Elf64_Sym));
		if (rc == 0)
			rc = scan_block(file, block, n, &strings, name, out_symbol);
	}
	if (rc == 0)
		return -ENOENT;
	return rc < 0 ? rc : 0;
}
