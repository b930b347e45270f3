/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/elf_sections.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "collector/base/macros.h"

#define MAX_SECTIONS 4096
#define NAME_BYTES   64

static int read_header(struct elf_file *file, uint32_t index, Elf64_Shdr *out_header)
{
	if (file->sections == 0 || file->sections > file->size ||
	    index >= MIN(file->section_count, (uint32_t)MAX_SECTIONS))
		return -ENOENT;
	return elf_file_read_raw(file, file->sections + (uint64_t)index * sizeof(*out_header),
				 out_header, sizeof(*out_header));
}

static struct elf_section section_of(const Elf64_Shdr *header)
{
	return (struct elf_section){
		.type = header->sh_type,
		.link = header->sh_link,
		.offset = header->sh_offset,
		.bytes = header->sh_size,
		.entry_bytes = header->sh_entsize,
	};
}

int elf_sections_at(struct elf_file *file, uint32_t index, struct elf_section *out_section)
{
	Elf64_Shdr header;
	int rc = read_header(file, index, &header);

	if (rc == 0)
		*out_section = section_of(&header);
	return rc;
}

int elf_sections_find_type(struct elf_file *file, uint32_t type, struct elf_section *out_section)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0; i++) {
		struct elf_section section;

		rc = elf_sections_at(file, i, &section);
		if (rc == 0 && section.type == type) {
			*out_section = section;
			return 0;
		}
	}
	return rc;
}

/* 1: yes; 0: no. */
static int is_named(struct elf_file *file, const struct elf_section *names, uint32_t at,
		    const char *name)
{
	char text[NAME_BYTES];
	size_t bytes = strlen(name) + 1;
	int rc;

	if (bytes > sizeof(text) || at >= names->bytes || bytes > names->bytes - at)
		return 0;
	rc = elf_file_read_raw(file, names->offset + at, text, bytes);
	return rc < 0 ? rc : memcmp(text, name, bytes) == 0;
}

int elf_sections_find(struct elf_file *file, const char *name, struct elf_section *out_section)
{
	struct elf_section names;
	int rc = elf_sections_at(file, file->section_names, &names);

	for (uint32_t i = 0; rc == 0; i++) {
		Elf64_Shdr header;

		rc = read_header(file, i, &header);
		if (rc == 0)
			rc = is_named(file, &names, header.sh_name, name);
		if (rc == 1) {
			*out_section = section_of(&header);
			return 0;
		}
	}
	return rc;
}
