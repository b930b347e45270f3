/* SPDX-License-Identifier: Apache-2.0 */
/* Python frames: made of memory that a test wrote, merged with native ones, and of nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/python_code.h"
#include "bpf/python_described.h"
#include "bpf/symbol_merge.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"

#define MODULE "/usr/bin/python3.11"

static void a_version_is_told_by_the_name(void **state)
{
	(void)state;
	assert_int_equal(python_layout_version_of("/usr/bin/python3.9"), 0x0309);
	assert_int_equal(python_layout_version_of("/opt/lib/libpython3.10.so.1.0"), 0x030a);
	assert_int_equal(python_layout_version_of("/usr/lib/python3.9/x.so"), 0);
	assert_int_equal(python_layout_version_of("/usr/bin/uwsgi"), 0);
}

/* As CPython itself made them. */
static void lines_are_found_in_every_form(void **state)
{
	/* 3.9: 2 bytes of code on line 2, then line 3 */
	static const uint8_t deltas[] = { 0, 1, 2, 1 };
	static const uint8_t ranges[] = { 4, 1, 2, 0x80, 2, 2 };
	/* one instruction without columns, one line further; two on the next, with columns */
	static const uint8_t locations[] = { 0x80 | 13 << 3, 2, 0x80 | 11 << 3 | 1, 1, 2 };

	(void)state;
	assert_int_equal(python_line(PYTHON_LINES_LNOTAB, deltas, sizeof(deltas), 1, 0), 2);
	assert_int_equal(python_line(PYTHON_LINES_LNOTAB, deltas, sizeof(deltas), 1, 1), 3);
	assert_int_equal(python_line(PYTHON_LINES_RANGES, ranges, sizeof(ranges), 1, 1), 2);
	assert_int_equal(python_line(PYTHON_LINES_RANGES, ranges, sizeof(ranges), 9, 2), 9);
	assert_int_equal(python_line(PYTHON_LINES_RANGES, ranges, sizeof(ranges), 1, 3), 4);
	assert_int_equal(python_line(PYTHON_LINES_LOCATIONS, locations, sizeof(locations), 7, 0),
			 8);
	assert_int_equal(python_line(PYTHON_LINES_LOCATIONS, locations, sizeof(locations), 7, 2),
			 9);
	assert_int_equal(python_line(PYTHON_LINES_LOCATIONS, locations, sizeof(locations), 7, 9),
			 7);
}

/* ---- how versions from 3.13 on describe themselves: the parts' words, up to the text's */

struct description {
	uint32_t version;
	unsigned interpreter, thread, frame, code, others; /* words of each part */
	unsigned thread_id;                                /* its word of the thread's part */
};

static const struct description descriptions[] = {
	{ 0x030d, 13, 9, 6, 10, 20, 5 },
	{ 0x030e, 16, 9, 8, 11, 24, 5 },
	{ 0x030f, 16, 15, 8, 11, 25, 7 },
	{ 0x0310, 19, 16, 9, 12, 30, 8 },
};

static void put_part(uint64_t **at, unsigned words, const uint64_t *known, unsigned count)
{
	for (unsigned i = 0; i < words; i++)
		(*at)[i] = i < count ? known[i] : 900 + 16 * i;
	*at += words;
}

/* A runtime at 4096, an interpreter at 8192 and a thread's state at 12288. */
static int described_memory(const struct description *description, uint64_t *words)
{
	const uint64_t head[] = { 0, (uint64_t)description->version << 16, 0, 315600, 784, 808 };
	const uint64_t interpreter[] = { 225672, 7280, 7272, 7336 };
	const uint64_t frame[] = { 88, 8, 0, 56, 80, 74, 64, 0 };
	const uint64_t code[] = { 216, 112, 120, 128, 136, 68, 52, 96, 104, 208 };
	const uint64_t tail[] = { 40, 16, 32, 64, 32, 16, 40 };
	uint64_t thread[16] = { 824, 0, 8, 16, 72 }, *at = words, value = 8192;
	uint64_t id[] = { 0x7f0000001000, 77 };
	int fd = memfd_create("described", MFD_CLOEXEC);

	for (unsigned i = 5; i < description->thread_id; i++)
		thread[i] = 80 + 8 * (i - 5); /* other pointers, side by side */
	thread[description->thread_id] = 152;
	thread[description->thread_id + 1] = 160;
	put_part(&at, 6, head, ARRAY_LEN(head));
	put_part(&at, description->interpreter, interpreter, ARRAY_LEN(interpreter));
	put_part(&at, description->thread, thread, description->thread_id + 2);
	put_part(&at, description->frame, frame, 6);
	put_part(&at, description->code, code, ARRAY_LEN(code));
	put_part(&at, description->others, NULL, 0);
	put_part(&at, ARRAY_LEN(tail), tail, ARRAY_LEN(tail));
	assert_true(at <= words + PYTHON_DESCRIBED_WORDS);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, words, 8 * PYTHON_DESCRIBED_WORDS, 4096),
			 8 * PYTHON_DESCRIBED_WORDS);
	assert_int_equal(pwrite(fd, "xdebugpy", 8, 4096), 8);
	assert_int_equal(pwrite(fd, &value, 8, 4096 + 808), 8);
	value = 12288;
	assert_int_equal(pwrite(fd, &value, 8, 8192 + 7336), 8);
	value = 0x7f0000002000; /* a frame, where no id is */
	for (unsigned i = 5; i < description->thread_id; i++)
		assert_int_equal(pwrite(fd, &value, 8, 12288 + (off_t)thread[i]), 8);
	assert_int_equal(pwrite(fd, id, sizeof(id), 12288 + 152), sizeof(id));
	return fd;
}

static void versions_that_describe_themselves_are_read(void **state)
{
	const struct python_place place = { .runtime = 4096, .module = MODULE };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(descriptions); i++) {
		uint64_t words[PYTHON_DESCRIBED_WORDS] = { 0 };
		int fd = described_memory(&descriptions[i], words);
		struct python_layout layout;

		assert_int_equal(python_layout_read(fd, &place, &layout), 0);
		assert_int_equal(layout.version, descriptions[i].version);
		assert_int_equal(layout.kernel.interpreters, 4096 + 808);
		assert_int_equal(layout.kernel.thread_id, 152);
		assert_int_equal(layout.kernel.thread_frame, 72);
		assert_int_equal(layout.kernel.frame_mark, 74);
		assert_int_equal(layout.kernel.code_start, 208);
		assert_int_equal(layout.code_qualname, 128);
		assert_int_equal(layout.text_state, 32);
		assert_int_equal(layout.text_compact, 56);
		assert_int_equal(layout.bytes_value, 32);
		close(fd);
	}
}

/* Whichever of its words says something else: an error, or offsets within their structures. */
static void a_description_that_makes_no_sense_is_refused(void **state)
{
	const struct python_place place = { .runtime = 4096, .module = MODULE };
	uint64_t words[PYTHON_DESCRIBED_WORDS] = { 0 };
	int fd = described_memory(&descriptions[1], words);

	(void)state;
	for (unsigned i = 1; i < PYTHON_DESCRIBED_WORDS; i++) {
		const uint64_t wrong = UINT64_MAX - 7;
		struct python_layout layout;

		assert_int_equal(pwrite(fd, &wrong, 8, 4096 + 8 * (off_t)i), 8);
		if (python_layout_read(fd, &place, &layout) == 0) {
			assert_true(layout.kernel.frame_bytes < PYTHON_FRAME_BYTES);
			assert_true(layout.kernel.frame_mark < PYTHON_FRAME_BYTES);
			assert_true(layout.code_qualname < 4096);
		}
		assert_int_equal(pwrite(fd, &words[i], 8, 4096 + 8 * (off_t)i), 8);
	}
	close(fd);
}

/* ---- memory with one code object of 3.11 */

struct object {
	uint64_t head[2];
	uint64_t length, hash, state;
	uint64_t wide; /* 48 bytes so far: behind them stand ASCII characters */
	char letters[88];
};

struct memory {
	uint64_t code[32];
	struct object name, file;
};

static void set_text(struct object *object, const char *text, uint64_t state)
{
	object->length = strlen(text);
	object->state = state;
	snprintf(object->letters, sizeof(object->letters), "%s", text);
}

#define ASCII (1u << 2 | 1u << 5 | 1u << 6)

static int memory_with(const struct memory *memory)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, memory, sizeof(*memory), 4096), sizeof(*memory));
	return fd;
}

static struct python_layout layout_3_11(void)
{
	return (struct python_layout){
		.code_filename = 112,
		.code_name = 120,
		.code_qualname = 128,
		.code_first_line = 72,
		.code_lines = 136,
		.text_length = 16,
		.text_state = 32,
		.text_ascii = 48,
		.text_compact = 72,
		.bytes_length = 16,
		.bytes_value = 32,
		.lines = PYTHON_LINES_LOCATIONS,
		.module = MODULE,
	};
}

static struct memory sound_memory(void)
{
	struct memory memory = { 0 };

	memory.code[72 / 8] = 41;
	memory.code[112 / 8] = 4096 + offsetof(struct memory, file);
	memory.code[128 / 8] = 4096 + offsetof(struct memory, name);
	set_text(&memory.name, "Report.make", ASCII);
	set_text(&memory.file, "/srv/report.py", ASCII);
	return memory;
}

#define WORD (PYTHON_WORD | 4096ull >> 3 << PYTHON_CODE_SHIFT | PYTHON_PLACE_MASK)

static void check_text(struct python_codes *codes, int fd, const char *expected)
{
	struct python_layout layout = layout_3_11();
	struct wire_reader reader;
	struct frame frame;
	struct buf out, text;

	buf_init(&out, 0);
	buf_init(&text, 0);
	python_codes_put(codes, 7, fd, &layout, WORD, &out);
	reader = wire_read(buf_str(&out));
	assert_int_equal(frame_next(&reader, &frame), 1);
	frame_text(&frame, &text);
	buf_append_byte(&text, 0);
	assert_string_equal(text.data, expected);
	buf_fini(&out);
	buf_fini(&text);
}

static void names_outlive_the_process_but_not_the_code(void **state)
{
	struct memory memory = sound_memory();
	struct python_codes codes;
	int fd = memory_with(&memory);

	(void)state;
	python_codes_init(&codes);
	check_text(&codes, fd, "report.py: Report.make");
	check_text(&codes, -1, "report.py: Report.make");
	set_text(&memory.name, "other", ASCII);
	memory.code[72 / 8] = 99;
	assert_int_equal(pwrite(fd, &memory, sizeof(memory), 4096), sizeof(memory));
	check_text(&codes, fd, "report.py: other");
	python_codes_fini(&codes);
	close(fd);
}

static void memory_that_lies_names_nothing(void **state)
{
	struct memory bad[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = sound_memory();
	bad[0].name.length = 1ull << 40;
	bad[1].name.state = 0;
	bad[2].name.state = 3u << 2 | 1u << 5;
	bad[3].code[128 / 8] = UINT64_MAX - 8;
	bad[4].code[112 / 8] = 1ull << 46;
	bad[5].file.length = 1u << 20;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct python_codes codes;
		int fd = memory_with(&bad[i]);

		python_codes_init(&codes);
		check_text(&codes, fd, "python+0x1000");
		python_codes_fini(&codes);
		close(fd);
	}
}

/* ---- merging */

static void take_native(struct symbol_merge *merge, const char *name, const char *module)
{
	struct frame frame = { .kind = FRAME_NATIVE, .address = 1 };
	size_t offset = merge->encoded.len;

	frame.name = str_of(name);
	frame.module = str_of(module);
	frame_put(&merge->encoded, &frame);
	symbol_merge_native(merge, offset, &frame, MODULE);
}

static void take_python(struct symbol_merge *merge, const char *name, bool is_entry)
{
	struct frame frame = { .kind = FRAME_PYTHON, .name = str_of(name) };
	size_t offset = merge->encoded.len;

	frame_put(&merge->encoded, &frame);
	symbol_merge_python(merge, offset, is_entry);
}

static void check_merged(struct symbol_merge *merge, const char *expected)
{
	struct wire_reader reader;
	struct frame frame;
	struct buf out, text;

	buf_init(&out, 0);
	buf_init(&text, 0);
	symbol_merge_put(merge, &out);
	reader = wire_read(buf_str(&out));
	while (frame_next(&reader, &frame) == 1) {
		frame_text(&frame, &text);
		buf_append_byte(&text, ' ');
	}
	buf_append_byte(&text, 0);
	assert_string_equal(text.data, expected);
	buf_fini(&out);
	buf_fini(&text);
	symbol_merge_clear(merge);
}

static void python_frames_take_the_place_of_the_calls_that_run_them(void **state)
{
	struct symbol_merge merge;

	(void)state;
	symbol_merge_init(&merge);
	take_native(&merge, "read", "/lib/libc.so.6");
	take_native(&merge, "os_read", MODULE);
	take_native(&merge, "_PyEval_EvalFrameDefault", MODULE);
	take_native(&merge, "_PyFunction_Vectorcall", MODULE);
	take_native(&merge, "list_sort", MODULE);
	take_native(&merge, "", MODULE);
	take_native(&merge, "_PyEval_EvalFrameDefault", MODULE);
	take_native(&merge, "Py_BytesMain", MODULE);
	take_native(&merge, "_start", MODULE);
	take_python(&merge, "key", true);
	take_python(&merge, "sort_rows", false);
	take_python(&merge, "main", true);
	check_merged(&merge, "read os_read key list_sort sort_rows main _start ");
	symbol_merge_fini(&merge);
}

static void what_does_not_fit_is_kept_in_order(void **state)
{
	struct symbol_merge merge;

	(void)state;
	symbol_merge_init(&merge);
	take_native(&merge, "read", "/lib/libc.so.6");
	take_python(&merge, "f", true);
	take_python(&merge, "g", true);
	check_merged(&merge, "read f g "); /* the walk ended in the C library */
	take_native(&merge, "read", "/lib/libc.so.6");
	take_native(&merge, "", MODULE);
	take_native(&merge, "_start", MODULE);
	take_python(&merge, "f", true);
	check_merged(&merge, "read f _start "); /* stripped of its symbols */
	take_native(&merge, "_PyEval_EvalFrameDefault", MODULE);
	take_native(&merge, "_start", MODULE);
	check_merged(&merge, "_PyEval_EvalFrameDefault _start "); /* of no Python function */
	symbol_merge_fini(&merge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_is_told_by_the_name),
		cmocka_unit_test(lines_are_found_in_every_form),
		cmocka_unit_test(versions_that_describe_themselves_are_read),
		cmocka_unit_test(a_description_that_makes_no_sense_is_refused),
		cmocka_unit_test(names_outlive_the_process_but_not_the_code),
		cmocka_unit_test(memory_that_lies_names_nothing),
		cmocka_unit_test(python_frames_take_the_place_of_the_calls_that_run_them),
		cmocka_unit_test(what_does_not_fit_is_kept_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
