/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/python_layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/process_memory.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"

#define LARGE_BYTES (1u << 24) /* of the runtime and an interpreter's state, at most */
#define SMALL_BYTES 4096       /* of the other structures */

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

/* ---- versions that do: _Py_DebugOffsets, the first thing in the runtime */

/* The words of it that we read, by number; 3.14 has one more in the interpreter's part, and two
 * more in the frame's. */
struct described {
	unsigned interpreter, thread, frame, code, bytes, text;
};

static const struct described described_3_13 = {
	.interpreter = 6, .thread = 19, .frame = 28, .code = 34, .bytes = 64, .text = 67
};

#define DESCRIBED_WORDS 72
#define RUNTIME_INTERPRETERS                                                                       \
	5 /* in each of them; as are 1 the version, 2 whether it has no GIL                        \
	   */

/* Offsets that are read: of the interpreter's state, of a small structure, within a frame. */
static bool is_plausible(const uint64_t *words, const struct described *at)
{
	const uint64_t *interpreter = words + at->interpreter, *thread = words + at->thread;
	const uint64_t *frame = words + at->frame, *code = words + at->code;
	const uint64_t large[] = { words[RUNTIME_INTERPRETERS], interpreter[2], interpreter[3] };
	const uint64_t small[] = { thread[2],
				   thread[4],
				   thread[5],
				   code[1],
				   code[2],
				   code[3],
				   code[4],
				   code[5],
				   code[9],
				   words[at->bytes + 1],
				   words[at->bytes + 2],
				   words[at->text + 1],
				   words[at->text + 2],
				   words[at->text + 3] };
	const uint64_t in_frame[] = { frame[1], frame[2], frame[3], frame[5] };

	for (size_t i = 0; i < ARRAY_LEN(large); i++)
		if (large[i] >= LARGE_BYTES)
			return false;
	for (size_t i = 0; i < ARRAY_LEN(small); i++)
		if (small[i] >= SMALL_BYTES)
			return false;
	for (size_t i = 0; i < ARRAY_LEN(in_frame); i++)
		if (in_frame[i] > PYTHON_FRAME_BYTES - 9)
			return false;
	return true;
}

static int read_described(const uint64_t *words, const struct described *at, uint64_t runtime,
			  struct python_layout *layout)
{
	const uint64_t *interpreter = words + at->interpreter, *thread = words + at->thread;
	const uint64_t *frame = words + at->frame, *code = words + at->code;

	if (!is_plausible(words, at))
		return -ENOTSUP;
	layout->kernel = (struct python_process){
		.interpreters = runtime + words[RUNTIME_INTERPRETERS],
		.interpreter_next = (uint32_t)interpreter[2],
		.interpreter_threads = (uint32_t)interpreter[3],
		.thread_next = (uint16_t)thread[2],
		.thread_id = (uint16_t)thread[5],
		.thread_frame = (uint16_t)thread[4],
		.indirect_frame = PYTHON_DIRECT,
		.frame_previous = (uint16_t)frame[1],
		.frame_code = (uint16_t)frame[2],
		.frame_place = (uint16_t)frame[3],
		.frame_mark = (uint16_t)frame[5],
		.frame_bytes = (uint16_t)MAX(MAX(frame[1], frame[2]), MAX(frame[3], frame[5])) + 8,
		.code_start = (uint16_t)code[9],
		.form = PYTHON_SHIMS,
	};
	layout->code_filename = (uint16_t)code[1];
	layout->code_name = (uint16_t)code[2];
	layout->code_qualname = (uint16_t)code[3];
	layout->code_lines = (uint16_t)code[4];
	layout->code_first_line = (uint16_t)code[5];
	layout->bytes_length = (uint16_t)words[at->bytes + 1];
	layout->bytes_value = (uint16_t)words[at->bytes + 2];
	layout->text_state = (uint16_t)words[at->text + 1];
	layout->text_length = (uint16_t)words[at->text + 2];
	layout->text_ascii = (uint16_t)words[at->text + 3];
	layout->text_compact = (uint16_t)(words[at->text + 3] + 16);
	layout->lines = PYTHON_LINES_LOCATIONS;
	return 0;
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
	uint64_t words[DESCRIBED_WORDS];
	int rc;

	if (!place->runtime)
		return -ENOENT;
	rc = process_memory_read(memory_fd, place->runtime, words, sizeof(words));
	if (rc < 0)
		return rc;
	if (memcmp(words, "xdebugpy", 8) == 0) {
		layout.version = (uint32_t)words[1] >> 16;
		rc = layout.version == 0x030d && words[2] == 0
			     ? read_described(words, &described_3_13, place->runtime, &layout)
			     : -ENOTSUP;
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
