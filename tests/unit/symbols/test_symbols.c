/* SPDX-License-Identifier: Apache-2.0 */
/* Names of code: of this very program, of texts made up, and of nonsense. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/kernel_waits.h"
#include "bpf/symbol_end.h"
#include "bpf/symbol_jitdump.h"
#include "bpf/symbol_kernel.h"
#include "bpf/symbol_maps.h"
#include "bpf/symbol_name.h"
#include "bpf/symbol_perf_map.h"
#include "bpf/symbolizer.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"

static void check_name(const char *mangled, const char *expected)
{
	struct buf name;

	buf_init(&name, 0);
	symbol_name_put(mangled, &name);
	buf_append_byte(&name, 0);
	assert_string_equal(name.data, expected);
	buf_fini(&name);
}

static void names_are_those_of_the_source(void **state)
{
	(void)state;
	check_name("_ZNSt6vectorIiSaIiEE9push_backERKi",
		   "std::vector<int, std::allocator<int> >::push_back");
	check_name("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
		   "core::fmt::Write::write_fmt");
	check_name("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE.llvm.15497395970735389417",
		   "core::fmt::Write::write_fmt");
	check_name("sort_rows.llvm.42", "sort_rows");
	check_name("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar");
	check_name("main.handleReport", "main.handleReport");
	check_name("_Znonsense", "_Znonsense");
}

static void the_innermost_and_the_best_symbol_wins(void **state)
{
	struct symbol_table table = { 0 };

	(void)state;
	symbol_table_put(&table, 0x2000, 0x100, 2, "local", 5);
	symbol_table_put(&table, 0x1000, 0x100, 1, "weak", 4);
	symbol_table_put(&table, 0x1000, 0x100, 0, "global", 6);
	symbol_table_put(&table, 0x3000, 0, 0, "open", 4);
	symbol_table_sort(&table);
	assert_int_equal(table.count, 3);
	assert_string_equal(symbol_table_find(&table, 0x10ff), "global");
	assert_null(symbol_table_find(&table, 0x1100));
	assert_null(symbol_table_find(&table, 0xfff));
	assert_string_equal(symbol_table_find(&table, 0x2000), "local");
	assert_string_equal(symbol_table_find(&table, 0x30ff), "open");
	symbol_table_fini(&table);
}

static void kernel_symbols_are_its_functions_alone(void **state)
{
	static const char text[] =
		"ffffffff81000000 T _text\nffffffff81000100 d data\n"
		"ffffffff81000200 t schedule\nffffffffc0000000 t ext4_sync\t[ext4]\n"
		"0000000000000000 T hidden\n";
	struct symbol_table table = { 0 };

	(void)state;
	assert_int_equal(symbol_kernel_parse(&table, text, sizeof(text) - 1), 0);
	symbol_table_sort(&table);
	assert_int_equal(table.count, 3);
	assert_string_equal(symbol_table_find(&table, 0xffffffff81000150), "_text");
	assert_string_equal(symbol_table_find(&table, 0xffffffffc0000010), "ext4_sync");
	symbol_table_fini(&table);
}

static void of_code_made_twice_at_one_place_the_later_counts(void **state)
{
	static const char text[] = "1000 20 JS:~first /app.js:1\n1000 10 JS:*second\nnonsense\n"
				   "zz 10 bad\n2000 0 empty\n3000 10 cut";
	struct symbol_perf_map map = { 0 };
	size_t used = symbol_perf_map_parse(&map, text, sizeof(text) - 1);

	(void)state;
	assert_string_equal(text + used, "3000 10 cut");
	assert_string_equal(symbol_perf_map_find(&map, 0x1005), "JS:*second");
	assert_string_equal(symbol_perf_map_find(&map, 0x1015), "JS:~first /app.js:1");
	assert_null(symbol_perf_map_find(&map, 0x2000));
	symbol_perf_map_fini(&map);
}

static void kernel_functions_tell_what_is_waited_for(void **state)
{
	static const char text[] =
		"ffffffff81000000 t rwsem_down_read_slowpath\n"
		"ffffffff81000100 t schedule\nffffffff81000200 t anon_pipe_read\n"
		"ffffffff81000300 t pipe_release\nffffffff81000400 T _end\n";
	static struct kernel_wait waits[KERNEL_WAITS];
	struct symbol_table table = { 0 };

	(void)state;
	assert_int_equal(kernel_waits_of("do_nanosleep"), KERNEL_WAIT_SLEEP);
	assert_int_equal(kernel_waits_of("sk_wait_data.isra.0"), KERNEL_WAIT_NET);
	assert_int_equal(kernel_waits_of("sk_wait_data_too"), KERNEL_WAIT_UNKNOWN);
	assert_int_equal(kernel_waits_of("wait_for_completion"), KERNEL_WAIT_UNKNOWN);
	assert_int_equal(kernel_waits_of("de_thread"), KERNEL_WAIT_OTHER);
	assert_int_equal(kernel_waits_of("fanotify_handle_event"), KERNEL_WAIT_OTHER);
	assert_int_equal(kernel_waits_of("eventfd_read"), KERNEL_WAIT_UNKNOWN); /* by its call */
	assert_int_equal(symbol_kernel_parse(&table, text, sizeof(text) - 1), 0);
	symbol_table_sort(&table);
	assert_int_equal(kernel_waits_pick(&table, waits), 2);
	assert_true(waits[0].start == 0xffffffff81000000 && waits[0].bytes == 0x100);
	assert_int_equal(waits[0].wait, KERNEL_WAIT_LOCK);
	assert_int_equal(waits[1].wait, KERNEL_WAIT_PIPE);
	assert_true(waits[2].start == UINT64_MAX && waits[KERNEL_WAITS - 1].start == UINT64_MAX);
	symbol_table_fini(&table);
}

/* Both ways to find, on code that is made and made again all over the place. */
static void sorted_code_is_found_as_by_looking_at_all(void **state)
{
	struct symbol_perf_map map = { 0 };
	char line[64];

	(void)state;
	srandom(7);
	for (int round = 0; round < 3000; round++) {
		uint64_t start = 0x1000 + (uint64_t)random() % 0x4000;
		uint64_t size = round % 100 ? 1 + (uint64_t)random() % 64 : 0x3000;
		uint64_t asked = 0x0f00 + (uint64_t)random() % 0x5000;
		int bytes = snprintf(line, sizeof(line), "%lx %lx f%d\n", start, size, round);

		assert_int_equal(symbol_perf_map_parse(&map, line, (size_t)bytes), bytes);
		assert_ptr_equal(symbol_perf_map_find(&map, asked),
				 symbol_perf_map_scan(&map, asked));
	}
	symbol_perf_map_parse(&map, "ffffffffffffff00 ffffffff last\n", 31);
	assert_string_equal(symbol_perf_map_find(&map, UINT64_MAX - 1), "last");
	symbol_perf_map_fini(&map);
}

/* ---- jitdump */

struct dump_record {
	uint32_t id, bytes;
	uint64_t time;
	uint32_t pid, tid;
	uint64_t address, code, code_bytes, index;
};

static void put_dump_record(int fd, uint32_t id, uint64_t code, const char *name, uint32_t bytes)
{
	struct dump_record record = { .id = id, .code = code, .code_bytes = 0x100 };

	record.bytes = bytes ? bytes : (uint32_t)(sizeof(record) + strlen(name) + 1);
	assert_int_equal(write(fd, &record, sizeof(record)), sizeof(record));
	assert_int_equal(write(fd, name, strlen(name) + 1), strlen(name) + 1);
}

static int new_dump(uint32_t magic)
{
	const uint32_t head[10] = { magic, 1, 40, 62 };
	int fd = memfd_create("jit-1.dump", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	return fd;
}

static void a_jitdump_is_read_as_it_grows(void **state)
{
	struct symbol_perf_map map = { 0 };
	int fd = new_dump(0x4a695444);

	(void)state;
	assert_true(symbol_jitdump_is("/tmp/jit-77.dump"));
	assert_false(symbol_jitdump_is("/usr/lib/libjit-1.so"));
	put_dump_record(fd, 0, 0x1000, "first", 0);
	put_dump_record(fd, 2, 0, "debug information", 0);
	assert_int_equal(symbol_jitdump_read(&map, fd), 1);
	assert_int_equal(symbol_jitdump_read(&map, fd), 0);
	put_dump_record(fd, 0, 0x1000, "second", 0);
	assert_int_equal(symbol_jitdump_read(&map, fd), 1);
	assert_string_equal(symbol_perf_map_find(&map, 0x10ff), "second");
	put_dump_record(fd, 0, 0x2000, "not yet whole", 4096);
	assert_int_equal(symbol_jitdump_read(&map, fd), 0);
	assert_null(symbol_perf_map_find(&map, 0x2000));
	symbol_perf_map_fini(&map);
	close(fd);
}

static void a_damaged_jitdump_ends_where_it_is_damaged(void **state)
{
	struct symbol_perf_map map = { 0 };
	int fd = new_dump(0x4a695444), foreign = new_dump(0x4454694a);

	(void)state;
	put_dump_record(fd, 0, 0x1000, "first", 0);
	put_dump_record(fd, 0, 0x2000, "length of 8", 8);
	assert_int_equal(symbol_jitdump_read(&map, fd), -EBADMSG);
	assert_string_equal(symbol_perf_map_find(&map, 0x1000), "first");
	symbol_perf_map_fini(&map);
	assert_int_equal(symbol_jitdump_read(&map, foreign), -EBADMSG);
	symbol_perf_map_fini(&map);
	close(fd);
	close(foreign);
}

static void only_code_is_mapped(void **state)
{
	char code[] = "1000-3000 r-xp 00002000 fe:00 42                 /usr/lib/a library.so";
	char data[] = "3000-4000 rw-p 00004000 fe:00 42                 /usr/lib/a library.so";
	char jit[] = "5000-6000 rwxp 00000000 00:00 0 ";
	char nonsense[] = "x";
	struct symbol_maps maps = { 0 };

	(void)state;
	assert_int_equal(symbol_maps_take(&maps, code), 0);
	assert_int_equal(symbol_maps_take(&maps, data), 0);
	assert_int_equal(symbol_maps_take(&maps, jit), 0);
	assert_int_equal(symbol_maps_take(&maps, nonsense), 0);
	assert_int_equal(maps.count, 2);
	assert_string_equal(symbol_maps_find(&maps, 0x2fff)->path, "/usr/lib/a library.so");
	assert_null(symbol_maps_find(&maps, 0x3000));
	assert_string_equal(symbol_maps_find(&maps, 0x5000)->path, "");
	symbol_maps_fini(&maps);
}

static void frame_of(struct buf *frames, unsigned index, struct frame *out_frame)
{
	struct wire_reader reader = wire_read(buf_str(frames));

	for (unsigned i = 0; i <= index; i++)
		assert_int_equal(frame_next(&reader, out_frame), 1);
}

/* Three of our own, the last one nobody's. A return address right behind a function's last byte
 * still belongs to it. */
static void own_functions_have_names(void **state)
{
	uint64_t now_ns = 1000 * NS_PER_SEC;
	struct event_stack stack = {
		.pid = (uint32_t)getpid(),
		.count = 4,
		/* a first instruction is its function's own, also where a signal came */
		.addresses = { (uintptr_t)own_functions_have_names, (uintptr_t)frame_of,
			       (uintptr_t)getpid, 0x10 },
	};
	struct symbolizer_stats stats;
	struct symbolizer *symbolizer;
	struct frame frame;
	struct buf frames;

	(void)state;
	buf_init(&frames, 0);
	assert_int_equal(symbolizer_new(64u << 20, &symbolizer), 0);
	symbolizer_put(symbolizer, &stack, now_ns, &frames);
	frame_of(&frames, 0, &frame);
	assert_true(str_eq(frame.name, STR("own_functions_have_names")));
	assert_int_equal(frame.kind, FRAME_NATIVE);
	frame_of(&frames, 1, &frame);
	assert_true(str_eq(frame.name, STR("frame_of")));
	frame_of(&frames, 3, &frame);
	assert_int_equal(frame.kind, FRAME_UNKNOWN);
	symbolizer_stats(symbolizer, &stats);
	assert_int_equal(stats.frames, 4);
	assert_int_equal(stats.unknown, 1);
	symbolizer_free(symbolizer);
	buf_fini(&frames);
}

static uint32_t trimmed(uint32_t end, uint32_t count, uint32_t wanted_end)
{
	char code[] = "1000-3000 r-xp 00000000 08:01 7      /usr/lib/library.so";
	const uint64_t addresses[] = { 0x1100, 0x1200 | STACK_SIGNAL, 0x9000, 0x1300 };
	struct symbol_maps maps = { 0 };
	uint32_t kept;

	assert_int_equal(symbol_maps_take(&maps, code), 0);
	kept = symbol_end_trim(&maps, addresses, count, &end);
	assert_int_equal(end, wanted_end);
	symbol_maps_fini(&maps);
	return kept;
}

/* A whole stack stays as it is; so does where the thread was. */
static void what_lies_in_no_mapping_is_no_caller(void **state)
{
	const uint64_t nowhere = 0x9000;
	struct symbol_maps none = { 0 };
	uint32_t end = STACK_NO_FILE;

	(void)state;
	assert_int_equal(trimmed(STACK_COMPLETE, 4, STACK_COMPLETE), 4);
	assert_int_equal(trimmed(STACK_NO_FILE, 3, STACK_BROKEN), 2);
	assert_int_equal(trimmed(STACK_UNREADABLE, 4, STACK_BROKEN), 2);
	assert_int_equal(trimmed(STACK_WITHOUT_TABLES, 4, STACK_WITHOUT_TABLES), 2);
	assert_int_equal(trimmed(STACK_NO_FILE, 2, STACK_WITHOUT_TABLES), 2); /* opened since */
	assert_int_equal(trimmed(STACK_NO_RULE, 1, STACK_NO_RULE), 1);
	assert_int_equal(trimmed(STACK_NO_FILE, 0, STACK_NO_FILE), 0);
	assert_int_equal(symbol_end_trim(&none, &nowhere, 1, &end), 1);
	assert_int_equal(end, STACK_NO_FILE);
}

/* Every prefix of an ELF file, and each with a byte changed: an error or a table, never a crash. */
static void damaged_files_are_refused(void **state)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int fd = memfd_create("damaged", MFD_CLOEXEC);
	static char head[65536];
	ssize_t bytes = read(from, head, sizeof(head));

	(void)state;
	assert_true(from >= 0 && fd >= 0 && bytes > 4096);
	srandom(1);
	for (int round = 0; round < 400; round++) {
		struct symbol_file file;
		size_t at = (size_t)random() % 1024;
		char saved = head[at];

		head[at] = (char)random();
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_true(pwrite(fd, head, (size_t)random() % (size_t)bytes + 1, 0) > 0);
		if (symbol_file_read(&file, fd, -1, "/damaged") == 0)
			symbol_file_fini(&file);
		head[at] = saved;
	}
	close(fd);
	close(from);
}

static void frames_that_are_none_are_refused(void **state)
{
	const struct str bad[] = { STR("\x09"), STR("\x00"), STR("\x00\x01\x7f"),
				   STR("\x00\x01\x01x\x05") };
	struct frame frame;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct wire_reader reader = wire_read(bad[i]);

		assert_int_equal(frame_next(&reader, &frame), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_source),
		cmocka_unit_test(the_innermost_and_the_best_symbol_wins),
		cmocka_unit_test(kernel_symbols_are_its_functions_alone),
		cmocka_unit_test(of_code_made_twice_at_one_place_the_later_counts),
		cmocka_unit_test(kernel_functions_tell_what_is_waited_for),
		cmocka_unit_test(sorted_code_is_found_as_by_looking_at_all),
		cmocka_unit_test(a_jitdump_is_read_as_it_grows),
		cmocka_unit_test(a_damaged_jitdump_ends_where_it_is_damaged),
		cmocka_unit_test(only_code_is_mapped),
		cmocka_unit_test(own_functions_have_names),
		cmocka_unit_test(what_lies_in_no_mapping_is_no_caller),
		cmocka_unit_test(damaged_files_are_refused),
		cmocka_unit_test(frames_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
