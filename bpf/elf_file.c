/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/base/macros.h"

#define PAGE_BYTES          4096ull
#define DYNAMIC_PER_READ    64
#define READ_COST_BYTES     512 /* what a read takes from the budget, however small */
#define MAX_SECTION_HEADERS 65536

static int read_at(struct elf_file *file, uint64_t position, void *out, size_t bytes)
{
	if (bytes + READ_COST_BYTES > file->budget_bytes)
		return -E2BIG;
	if (position > INT64_MAX - bytes)
		return -EBADMSG;
	file->budget_bytes -= bytes + READ_COST_BYTES;
	for (size_t done = 0; done < bytes;) {
		ssize_t n =
			pread(file->fd, (char *)out + done, bytes - done, (off_t)(position + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		done += (size_t)n;
	}
	return 0;
}

int elf_file_read_raw(struct elf_file *file, uint64_t offset, void *out, size_t bytes)
{
	if (file->in_memory)
		return -ENOTSUP;
	if (offset > file->size || bytes > file->size - offset)
		return -EBADMSG;
	return read_at(file, offset, out, bytes);
}

/* What part of a segment can be read: all of it in memory, without .bss in the file. */
static uint64_t readable_bytes(const struct elf_file *file, const struct elf_segment *load)
{
	return file->in_memory ? load->memory_bytes : load->file_bytes;
}

static bool is_within(uint64_t at, uint64_t bytes, uint64_t start, uint64_t length)
{
	return at >= start && at - start <= length && bytes <= length - (at - start);
}

static const struct elf_segment *load_of(const struct elf_file *file, uint64_t vaddr,
					 uint64_t bytes)
{
	for (uint32_t i = 0; i < file->load_count; i++) {
		const struct elf_segment *load = &file->loads[i];

		if (is_within(vaddr, bytes, load->vaddr, readable_bytes(file, load)))
			return load;
	}
	return NULL;
}

int elf_file_read(struct elf_file *file, uint64_t vaddr, void *out, size_t bytes)
{
	const struct elf_segment *load = load_of(file, vaddr, bytes);

	if (!load)
		return -EBADMSG;
	if (file->in_memory)
		return read_at(file, file->bias + vaddr, out, bytes);
	return elf_file_read_raw(file, load->offset + (vaddr - load->vaddr), out, bytes);
}

static int check_header(struct elf_file *file, const Elf64_Ehdr *header)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (header->e_ident[EI_CLASS] == ELFCLASS32)
		return -ENOTSUP;
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != EM_X86_64)
		return -ENOEXEC;
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return -ENOEXEC;
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0)
		return -EBADMSG;
	if (header->e_phnum > ELF_MAX_HEADERS)
		return -E2BIG;
	file->is_program = header->e_type == ET_EXEC;
	if (header->e_shentsize == sizeof(Elf64_Shdr)) {
		file->sections = header->e_shoff;
		file->section_count = MIN((uint32_t)header->e_shnum, MAX_SECTION_HEADERS);
		file->section_names = header->e_shstrndx;
	}
	return 0;
}

static bool is_sane(const struct elf_segment *segment)
{
	return segment->vaddr <= INT64_MAX && segment->memory_bytes <= INT64_MAX &&
	       segment->offset <= INT64_MAX && segment->file_bytes <= segment->memory_bytes &&
	       segment->vaddr + segment->memory_bytes <= INT64_MAX &&
	       (segment->align & (segment->align - 1)) == 0;
}

static int add_segment(struct elf_file *file, const Elf64_Phdr *header)
{
	struct elf_segment segment = {
		.vaddr = header->p_vaddr,
		.offset = header->p_offset,
		.file_bytes = header->p_filesz,
		.memory_bytes = header->p_memsz,
		.align = header->p_align ? header->p_align : 1,
	};

	if (header->p_type != PT_LOAD && header->p_type != PT_DYNAMIC && header->p_type != PT_TLS)
		return 0;
	if (!is_sane(&segment))
		return -EBADMSG;
	if (header->p_type == PT_DYNAMIC) {
		file->dynamic = segment;
	} else if (header->p_type == PT_TLS) {
		file->tls = segment;
	} else {
		if (file->load_count == ELF_MAX_LOADS)
			return -E2BIG;
		file->loads[file->load_count++] = segment;
	}
	return 0;
}

static int add_segments(struct elf_file *file, const Elf64_Phdr *headers, uint32_t count)
{
	int rc = 0;

	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = add_segment(file, &headers[i]);
	if (rc == 0 && file->load_count == 0)
		rc = -EBADMSG;
	return rc;
}

/* glibc writes absolute addresses into a mapped PT_DYNAMIC, musl leaves them as in the file. */
static uint64_t to_vaddr(const struct elf_file *file, uint64_t value)
{
	if (file->in_memory && !load_of(file, value, 0) && load_of(file, value - file->bias, 0))
		return value - file->bias;
	return value;
}

static void note_dynamic(struct elf_file *file, const Elf64_Dyn *entry, uint64_t *plt_kind)
{
	uint64_t value = entry->d_un.d_val;

	switch (entry->d_tag) {
	case DT_SYMTAB:
		file->symbols = to_vaddr(file, value);
		break;
	case DT_STRTAB:
		file->strings.vaddr = to_vaddr(file, value);
		break;
	case DT_STRSZ:
		file->strings.bytes = value;
		break;
	case DT_GNU_HASH:
		file->gnu_hash = to_vaddr(file, value);
		break;
	case DT_HASH:
		file->hash = to_vaddr(file, value);
		break;
	case DT_RELA:
		file->relocations.vaddr = to_vaddr(file, value);
		break;
	case DT_RELASZ:
		file->relocations.bytes = value;
		break;
	case DT_JMPREL:
		file->plt_relocations.vaddr = to_vaddr(file, value);
		break;
	case DT_PLTRELSZ:
		file->plt_relocations.bytes = value;
		break;
	case DT_PLTREL:
		*plt_kind = value;
		break;
	case DT_FLAGS_1:
		if (value & DF_1_PIE)
			file->is_program = true;
		break;
	case DT_DEBUG: /* of older linkers' there is no flag, but the loader's word */
		file->is_program = true;
		break;
	default:
		break;
	}
}

/* So that no sum with a table's address can wrap around. */
static int check_tables(const struct elf_file *file)
{
	const uint64_t places[] = {
		file->symbols,
		file->strings.vaddr,
		file->gnu_hash,
		file->hash,
		file->relocations.bytes ? file->relocations.vaddr : 0,
		file->plt_relocations.bytes ? file->plt_relocations.vaddr : 0,
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (places[i] && !load_of(file, places[i], 0))
			return -EBADMSG;
	return 0;
}

static int read_dynamic(struct elf_file *file)
{
	uint64_t count = file->dynamic.memory_bytes / sizeof(Elf64_Dyn);
	uint64_t plt_kind = DT_RELA;
	bool ended = false;

	for (uint64_t i = 0; i < count && !ended; i += DYNAMIC_PER_READ) {
		Elf64_Dyn entries[DYNAMIC_PER_READ];
		size_t n = (size_t)MIN(count - i, (uint64_t)DYNAMIC_PER_READ);
		int rc;

		if (i >= ELF_MAX_DYNAMIC)
			return -E2BIG;
		rc = elf_file_read(file, file->dynamic.vaddr + i * sizeof(Elf64_Dyn), entries,
				   n * sizeof(Elf64_Dyn));
		if (rc < 0)
			return rc;
		for (size_t k = 0; k < n && !ended; k++) {
			ended = entries[k].d_tag == DT_NULL;
			note_dynamic(file, &entries[k], &plt_kind);
		}
	}
	if (plt_kind != DT_RELA)
		file->plt_relocations = (struct elf_table){ 0 };
	return check_tables(file);
}

int elf_file_open(struct elf_file *file, int fd)
{
	Elf64_Phdr headers[ELF_MAX_HEADERS];
	Elf64_Ehdr header = { 0 };
	struct stat status;
	int rc;

	*file = (struct elf_file){ .fd = fd, .budget_bytes = ELF_MAX_READ_BYTES };
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size < (off_t)sizeof(header))
		return -ENOEXEC;
	file->size = (uint64_t)status.st_size;
	rc = elf_file_read_raw(file, 0, &header, sizeof(header));
	if (rc == 0)
		rc = check_header(file, &header);
	if (rc == 0)
		rc = elf_file_read_raw(file, header.e_phoff, headers,
				       header.e_phnum * sizeof(headers[0]));
	if (rc == 0)
		rc = add_segments(file, headers, header.e_phnum);
	return rc < 0 ? rc : read_dynamic(file);
}

int elf_file_open_image(struct elf_file *file, int memory_fd, uint64_t address)
{
	Elf64_Phdr headers[ELF_MAX_HEADERS];
	Elf64_Ehdr header = { 0 };
	int rc;

	*file = (struct elf_file){
		.fd = memory_fd,
		.in_memory = true,
		.budget_bytes = ELF_MAX_READ_BYTES,
	};
	rc = read_at(file, address, &header, sizeof(header));
	if (rc == 0)
		rc = check_header(file, &header);
	if (rc == 0 && header.e_phoff > PAGE_BYTES) /* they follow the header in what is loaded */
		rc = -EBADMSG;
	if (rc == 0)
		rc = read_at(file, address + header.e_phoff, headers,
			     header.e_phnum * sizeof(headers[0]));
	if (rc == 0)
		rc = add_segments(file, headers, header.e_phnum);
	if (rc < 0)
		return rc;
	file->bias = address - (file->loads[0].vaddr & ~(PAGE_BYTES - 1));
	return read_dynamic(file);
}
