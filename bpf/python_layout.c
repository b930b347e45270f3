/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/python_layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/process_memory.h"
#include "bpf/python_described.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"

/* ---- the file's symbols */

static int find_in(const struct sections *sections, uint32_t type, struct python_symbols *out)
{
	const Elf64_Shdr *header = sections_of_type(sections, type);
	const Elf64_Shdr *strings = header ? sections_at(sections, header->sh_link) : NULL;
	char *texts = NULL, *bytes = NULL;
	int rc;

	if (!strings || header->sh_entsize != sizeof(Elf64_Sym))
		return -ENOENT;
	rc = sections_read(sections, strings, &texts);
	if (rc == 0 && !memmem(texts, strings->sh_size, "\0_PyRuntime", sizeof("\0_PyRuntime")))
		rc = -ENOENT;
	if (rc == 0)
		rc = sections_read(sections, header, &bytes);
	for (uint64_t i = 0; rc == 0 && i < header->sh_size / sizeof(Elf64_Sym); i++) {
		const Elf64_Sym *symbol = (const Elf64_Sym *)(const void *)bytes + i;
		const char *name = texts + symbol->st_name;

		if (symbol->st_shndx == SHN_UNDEF || symbol->st_name >= strings->sh_size)
			continue;
		if (strcmp(name, "_PyRuntime") == 0)
			out->runtime = symbol->st_value;
		else if (strcmp(name, "Py_Version") == 0)
			out->version = symbol->st_value;
	}
	free(texts);
	free(bytes);
	return rc == 0 && !out->runtime ? -ENOENT : rc;
}

int python_symbols_find(const struct sections *sections, struct python_symbols *out_symbols)
{
	const Elf64_Shdr *own = sections_find(sections, ".PyRuntime"); /* from 3.13 on */
	struct python_symbols found = { 0 };
	int rc = find_in(sections, SHT_DYNSYM, &found);

	if (rc == -ENOENT && !sections_of_type(sections, SHT_DYNSYM)) /* a static program */
		rc = find_in(sections, SHT_SYMTAB, &found);
	if (rc == -ENOENT && own) {
		found.runtime = own->sh_addr;
		rc = 0;
	}
	if (rc == 0)
		*out_symbols = found;
	return rc;
}

uint32_t python_layout_version_of(const char *path)
{
	struct str name = frame_base_name(str_of(path));
	const char *at = memmem(name.data, name.len, "python3.", 8);

	return at ? 0x0300 | (uint32_t)MIN(strtoul(at + 8, NULL, 10), 255ul) : 0;
}

/* ---- versions that do not describe themselves */

/* Up to 3.10: frames are objects. */
#define OBJECTS(head, lasti, shift)                                                                \
	{                                                                                          \
		.interpreters = head, .interpreter_threads = 8, .thread_next = 8,                  \
		.thread_id = 176, .thread_frame = 24, .indirect_frame = PYTHON_DIRECT,             \
		.frame_previous = 24, .frame_code = 32, .frame_place = lasti,                      \
		.frame_bytes = (lasti) + 4, .form = PYTHON_OBJECTS, .place_shift = shift           \
	}

static const struct python_layout known[] = {
	{ .version = 0x0307,
	  .kernel = OBJECTS(24, 104, 1),
	  .code_filename = 96,
	  .code_name = 104,
	  .code_first_line = 36,
	  .code_lines = 112,
	  .text_ascii = 48,
	  .text_compact = 72,
	  .lines = PYTHON_LINES_LNOTAB },
	{ .version = 0x0308,
	  .kernel = OBJECTS(32, 104, 1),
	  .code_filename = 104,
	  .code_name = 112,
	  .code_first_line = 40,
	  .code_lines = 120,
	  .text_ascii = 48,
	  .text_compact = 72,
	  .lines = PYTHON_LINES_LNOTAB },
	{ .version = 0x0309,
	  .kernel = OBJECTS(32, 104, 1),
	  .code_filename = 104,
	  .code_name = 112,
	  .code_first_line = 40,
	  .code_lines = 120,
	  .text_ascii = 48,
	  .text_compact = 72,
	  .lines = PYTHON_LINES_LNOTAB },
	{ .version = 0x030a,
	  .kernel = OBJECTS(32, 96, 0),
	  .code_filename = 104,
	  .code_name = 112,
	  .code_first_line = 40,
	  .code_lines = 120,
	  .text_ascii = 48,
	  .text_compact = 72,
	  .lines = PYTHON_LINES_RANGES },
	{ .version = 0x030b,
	  .kernel = { .interpreters = 40,
		      .interpreter_threads = 16,
		      .thread_next = 8,
		      .thread_id = 152,
		      .thread_frame = 56,
		      .indirect_frame = 8,
		      .frame_previous = 48,
		      .frame_code = 32,
		      .frame_place = 56,
		      .frame_mark = 68,
		      .frame_bytes = 72,
		      .code_start = 184,
		      .form = PYTHON_ENTRIES },
	  .code_filename = 112,
	  .code_name = 120,
	  .code_qualname = 128,
	  .code_first_line = 72,
	  .code_lines = 136,
	  .text_ascii = 48,
	  .text_compact = 72,
	  .lines = PYTHON_LINES_LOCATIONS },
	{ .version = 0x030c,
	  .kernel = { .interpreters = 40,
		      .interpreter_threads = 72,
		      .thread_next = 8,
		      .thread_id = 136,
		      .thread_frame = 56,
		      .indirect_frame = 0,
		      .frame_previous = 8,
		      .frame_code = 0,
		      .frame_place = 56,
		      .frame_mark = 70,
		      .frame_bytes = 72,
		      .code_start = 192,
		      .form = PYTHON_SHIMS },
	  .code_filename = 112,
	  .code_name = 120,
	  .code_qualname = 128,
	  .code_first_line = 68,
	  .code_lines = 136,
	  .text_ascii = 40,
	  .text_compact = 56,
	  .lines = PYTHON_LINES_LOCATIONS },
};

static int look_up(uint32_t version, struct python_layout *layout)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].version != version)
			continue;
		*layout = known[i];
		layout->text_length = 16;
		layout->text_state = 32;
		layout->bytes_length = 16;
		layout->bytes_value = 32;
		return 0;
	}
	return -ENOTSUP;
}

/* ---- one process */

static uint32_t version_of(int memory_fd, const struct python_place *place)
{
	uint64_t version;

	if (place->version &&
	    process_memory_read(memory_fd, place->version, &version, sizeof(version)) == 0)
		return (uint32_t)version >> 16;
	return python_layout_version_of(place->module);
}

int python_layout_read(int memory_fd, const struct python_place *place,
		       struct python_layout *out_layout)
{
	struct python_layout layout = { 0 };
	uint64_t words[PYTHON_DESCRIBED_WORDS];
	int rc;

	if (!place->runtime)
		return -ENOENT;
	rc = process_memory_read(memory_fd, place->runtime, words, sizeof(words));
	if (rc < 0)
		return rc;
	if (memcmp(words, "xdebugpy", 8) == 0) {
		layout.version = (uint32_t)words[1] >> 16;
		rc = python_described_read(words, place->runtime, memory_fd, &layout);
	} else {
		rc = look_up(version_of(memory_fd, place), &layout);
		layout.kernel.interpreters += place->runtime;
	}
	if (rc < 0)
		return rc;
	snprintf(layout.module, sizeof(layout.module), "%s", place->module);
	*out_layout = layout;
	return 0;
}
