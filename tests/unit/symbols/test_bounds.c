/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of symbols, and in how little memory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/symbol_file.h"
#include "bpf/symbol_kernel.h"
#include "bpf/symbolizer.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"

#define FUNCTIONS 20000u

static void many_names_are_found_again_in_a_quarter_of_their_bytes(void **state)
{
	struct symbol_table table = { 0 };
	char name[128];
	size_t before;

	(void)state;
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		int bytes = snprintf(name, sizeof(name), "_ZN4some9namespace5class%uEv", i);

		assert_int_equal(
			symbol_table_put(&table, 0x1000 + 16ull * i, 16, 0, name, (size_t)bytes),
			0);
	}
	symbol_table_sort(&table);
	before = table.names_bytes;
	symbol_table_pack(&table);
	assert_true(symbol_table_bytes(&table) - FUNCTIONS * sizeof(struct symbol_entry) <
		    before / 4);
	for (uint32_t i = 0; i < FUNCTIONS; i += 7) {
		uint32_t at = i * 31 % FUNCTIONS; /* from block to block */

		snprintf(name, sizeof(name), "_ZN4some9namespace5class%uEv", at);
		assert_string_equal(symbol_table_find(&table, 0x1000 + 16ull * at + 15), name);
	}
	assert_null(symbol_table_find(&table, 0x1000 + 16ull * FUNCTIONS));
	symbol_table_fini(&table);
}

static void a_table_without_names_is_packed_too(void **state)
{
	struct symbol_table table = { 0 };

	(void)state;
	symbol_table_sort(&table);
	symbol_table_pack(&table);
	assert_null(symbol_table_find(&table, 0x1000));
	symbol_table_fini(&table);
}

static int copy_of_this_program(void)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = memfd_create("copy", MFD_CLOEXEC);
	off_t bytes = lseek(from, 0, SEEK_END), at = 0;

	assert_true(from >= 0 && to >= 0);
	while (at < bytes)
		assert_true(sendfile(to, from, &at, (size_t)(bytes - at)) > 0);
	close(from);
	return to;
}

/* As containers have the same library. */
static void copies_of_a_file_share_what_was_read(void **state)
{
	const struct symbol_file *first, *second;
	struct symbol_file_key first_key, second_key;
	struct symbol_files *files;
	size_t bytes;

	(void)state;
	assert_int_equal(symbol_files_new(64u << 20, &files), 0);
	for (int i = 0; i < 2; i++) {
		int fd = copy_of_this_program();

		assert_int_equal(symbol_files_get(files, fd, -1, "/copy", i ? &second : &first,
						  i ? &second_key : &first_key),
				 0);
		bytes = i ? bytes : symbol_files_bytes(files);
		close(fd);
	}
	assert_ptr_equal(first, second);
	assert_memory_not_equal(&first_key, &second_key, sizeof(first_key));
	assert_int_equal(symbol_files_bytes(files), bytes);
	/* one of the two goes first; with the other one all is gone */
	assert_true(symbol_files_drop(files));
	assert_true(!symbol_files_recall(files, &first_key) !=
		    !symbol_files_recall(files, &second_key));
	assert_true(symbol_files_drop(files));
	assert_false(symbol_files_drop(files));
	assert_true(symbol_files_bytes(files) < 1u << 16);
	symbol_files_free(files);
}

/* Two functions of different files, again and again, in less memory than their files take. */
static void names_are_found_in_less_memory_than_they_take(void **state)
{
	const size_t limit = 128u << 10;
	struct event_stack stack = {
		.pid = (uint32_t)getpid(),
		.count = 2,
		.addresses = { (uintptr_t)copy_of_this_program, (uintptr_t)getpid },
	};
	struct symbolizer *symbolizer;
	struct symbolizer_stats stats;
	struct buf frames;

	(void)state;
	buf_init(&frames, 0);
	assert_int_equal(symbolizer_new(limit, &symbolizer), 0);
	for (uint64_t second = 1; second < 4; second++) {
		struct wire_reader reader;
		struct frame frame;

		buf_clear(&frames);
		symbolizer_put(symbolizer, &stack, second * NS_PER_SEC, &frames);
		reader = wire_read(buf_str(&frames));
		assert_int_equal(frame_next(&reader, &frame), 1);
		assert_true(str_eq(frame.name, STR("copy_of_this_program")));
		symbolizer_stats(symbolizer, &stats);
		assert_true(stats.bytes <= limit);
	}
	symbolizer_free(symbolizer);
	buf_fini(&frames);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_names_are_found_again_in_a_quarter_of_their_bytes),
		cmocka_unit_test(a_table_without_names_is_packed_too),
		cmocka_unit_test(copies_of_a_file_share_what_was_read),
		cmocka_unit_test(names_are_found_in_less_memory_than_they_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
