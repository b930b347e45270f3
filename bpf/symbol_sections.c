/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_sections.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/base/macros.h"

#define MAX_HEADERS    512
#define MAX_NOTE_BYTES 4096

static int read_at(const struct sections *sections, uint64_t offset, void *out, uint64_t bytes)
{
	if (offset > sections->size || bytes > sections->size - offset)
		return -EBADMSG;
	for (uint64_t done = 0; done < bytes;) {
		ssize_t n = pread(sections->fd, (char *)out + done, bytes - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		done += (uint64_t)n;
	}
	return 0;
}

static int read_new(const struct sections *sections, uint64_t offset, uint64_t bytes,
		    char **out_bytes)
{
	char *data;
	int rc;

	if (bytes > SECTIONS_MAX_BYTES)
		return -E2BIG;
	if (offset > sections->size || bytes > sections->size - offset)
		return -EBADMSG;
	data = malloc(bytes + 1);
	if (!data)
		return -ENOMEM;
	rc = read_at(sections, offset, data, bytes);
	if (rc < 0) {
		free(data);
		return rc;
	}
	data[bytes] = '\0';
	*out_bytes = data;
	return 0;
}

/* Notes: name length, description length, type, name, description, each padded to four bytes. */
static void take_note(struct sections *sections, const char *data, uint64_t bytes)
{
	Elf64_Nhdr note;

	for (uint64_t at = 0; bytes - at >= sizeof(note) && at <= bytes;) {
		uint64_t name, end;

		memcpy(&note, data + at, sizeof(note));
		name = at + sizeof(note);
		end = name + (note.n_namesz + 3ull) / 4 * 4 + (note.n_descsz + 3ull) / 4 * 4;
		if (end > bytes)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(data + name, "GNU", 4) == 0 && note.n_descsz > 0 &&
		    note.n_descsz <= SECTIONS_ID_BYTES) {
			memcpy(sections->build_id, data + name + 4, note.n_descsz);
			sections->build_id_bytes = (uint8_t)note.n_descsz;
			return;
		}
		at = end;
	}
}

static int take_segment(struct sections *sections, const Elf64_Phdr *header)
{
	char notes[MAX_NOTE_BYTES];

	if (header->p_type == PT_NOTE && header->p_filesz <= sizeof(notes) &&
	    sections->build_id_bytes == 0 &&
	    read_at(sections, header->p_offset, notes, header->p_filesz) == 0)
		take_note(sections, notes, header->p_filesz);
	if (header->p_type != PT_LOAD)
		return 0;
	if (sections->load_count == SECTIONS_MAX_LOADS)
		return -E2BIG;
	if (header->p_vaddr > INT64_MAX || header->p_memsz > INT64_MAX ||
	    header->p_offset > INT64_MAX || header->p_filesz > INT64_MAX)
		return -EBADMSG;
	sections->loads[sections->load_count++] = (struct sections_load){
		.vaddr = header->p_vaddr,
		.offset = header->p_offset,
		.file_bytes = header->p_filesz,
		.memory_bytes = header->p_memsz,
		.flags = header->p_flags,
	};
	return 0;
}

static int read_segments(struct sections *sections, const Elf64_Ehdr *header)
{
	Elf64_Phdr *headers;
	char *bytes;
	int rc;

	if (header->e_phnum == 0)
		return 0;
	if (header->e_phentsize != sizeof(*headers))
		return -EBADMSG;
	if (header->e_phnum > MAX_HEADERS)
		return -E2BIG;
	rc = read_new(sections, header->e_phoff, header->e_phnum * sizeof(*headers), &bytes);
	if (rc < 0)
		return rc;
	headers = (Elf64_Phdr *)(void *)bytes;
	for (uint32_t i = 0; i < header->e_phnum && rc == 0; i++)
		rc = take_segment(sections, &headers[i]);
	free(bytes);
	return rc;
}

/* Without sections a file may still have segments: then it just has no symbols for us. */
static int read_sections(struct sections *sections, const Elf64_Ehdr *header)
{
	char *bytes;
	int rc;

	if (header->e_shoff == 0 || header->e_shnum == 0)
		return 0;
	if (header->e_shentsize != sizeof(Elf64_Shdr))
		return -EBADMSG;
	if (header->e_shnum > SECTIONS_MAX_COUNT)
		return -E2BIG;
	rc = read_new(sections, header->e_shoff, header->e_shnum * sizeof(Elf64_Shdr), &bytes);
	if (rc < 0)
		return rc == -EBADMSG ? 0 : rc; /* stripped of them, or cut off */
	sections->headers = (Elf64_Shdr *)(void *)bytes;
	sections->count = header->e_shnum;
	if (header->e_shstrndx >= sections->count || !sections_at(sections, header->e_shstrndx))
		return 0;
	sections->names_bytes = sections->headers[header->e_shstrndx].sh_size;
	rc = sections_read(sections, &sections->headers[header->e_shstrndx], &sections->names);
	if (rc < 0)
		sections->names_bytes = 0;
	return rc;
}

int sections_open(struct sections *sections, int fd)
{
	Elf64_Ehdr header;
	struct stat status;
	int rc;

	*sections = (struct sections){ .fd = fd };
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size < (off_t)sizeof(header))
		return -ENOEXEC;
	sections->size = (uint64_t)status.st_size;
	rc = read_at(sections, 0, &header, sizeof(header));
	if (rc == 0 && (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
			header.e_ident[EI_CLASS] != ELFCLASS64 ||
			header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_X86_64))
		rc = -ENOEXEC;
	if (rc == 0)
		rc = read_segments(sections, &header);
	if (rc == 0)
		rc = read_sections(sections, &header);
	if (rc < 0)
		sections_close(sections);
	return rc;
}

void sections_close(struct sections *sections)
{
	free(sections->headers);
	free(sections->names);
	sections->headers = NULL;
	sections->names = NULL;
	sections->count = 0;
	sections->names_bytes = 0;
}

const Elf64_Shdr *sections_at(const struct sections *sections, uint32_t index)
{
	const Elf64_Shdr *header = index < sections->count ? &sections->headers[index] : NULL;

	if (!header || header->sh_type == SHT_NOBITS || header->sh_type == SHT_NULL ||
	    header->sh_size > sections->size ||
	    header->sh_offset > sections->size - header->sh_size)
		return NULL;
	return header;
}

const Elf64_Shdr *sections_find(const struct sections *sections, const char *name)
{
	for (uint32_t i = 0; i < sections->count; i++) {
		const Elf64_Shdr *header = sections_at(sections, i);

		if (header && header->sh_name < sections->names_bytes &&
		    strcmp(sections->names + header->sh_name, name) == 0)
			return header;
	}
	return NULL;
}

const Elf64_Shdr *sections_of_type(const struct sections *sections, uint32_t type)
{
	for (uint32_t i = 0; i < sections->count; i++) {
		if (sections->headers[i].sh_type == type && sections_at(sections, i))
			return &sections->headers[i];
	}
	return NULL;
}

int sections_read(const struct sections *sections, const Elf64_Shdr *header, char **out_bytes)
{
	if (header->sh_flags & SHF_COMPRESSED)
		return -ENOENT; /* of debug information only, which we do not read */
	return read_new(sections, header->sh_offset, header->sh_size, out_bytes);
}

int sections_vaddr(const struct sections *sections, uint64_t offset, uint64_t *out_vaddr)
{
	for (uint32_t i = 0; i < sections->load_count; i++) {
		const struct sections_load *load = &sections->loads[i];

		if (!(load->flags & PF_X) || offset < load->offset ||
		    offset - load->offset >= load->file_bytes)
			continue;
		*out_vaddr = load->vaddr + (offset - load->offset);
		return 0;
	}
	return -ENOENT;
}
