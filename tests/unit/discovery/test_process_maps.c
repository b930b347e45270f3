/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "bpf/process_maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static const char text[] =
	"55d000000000-55d000001000 r--p 00000000 fe:01 100                        "
	"/usr/bin/program\n"
	"55d000001000-55d000002000 r-xp 00001000 fe:01 100                        "
	"/usr/bin/program\n"
	"55d000003000-55d000004000 rw-p 00002000 fe:01 100                        "
	"/usr/bin/program\n"
	"55d000004000-55d000025000 rw-p 00000000 00:00 0                          [heap]\n"
	"7f0000000000-7f0000100000 r--p 00000000 fe:01 200                        "
	"/usr/lib/locale/archive\n"
	"7f0000200000-7f0000201000 r--p 00000000 fe:01 300                        /tmp/a b.so "
	"(deleted)\n"
	"7f0000201000-7f0000202000 r-xp 00001000 fe:01 300                        /tmp/a b.so "
	"(deleted)\n"
	"7f0000202000-7f0000203000 ---p 00000000 00:00 0 \n"
	"7f0000203000-7f0000204000 rw-p 00001000 fe:01 300                        /tmp/a b.so "
	"(deleted)\n"
	"7f0000300000-7f0000301000 rw-s 00000000 00:01 400                        /memfd:OTEL_CTX "
	"(deleted)\n"
	"7f0000302000-7f0000303000 rw-p 00000000 00:00 0                          [anon:OTEL_CTX]\n"
	"7f0000304000-7f0000305000 rw-s 00000000 00:01 401                        "
	"[anon_shmem:OTEL_CTX]\n"
	"7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]\n";

static void parse(struct process_maps *maps, const char *data, size_t piece)
{
	size_t bytes = strlen(data);

	process_maps_start(maps);
	for (size_t at = 0; at < bytes; at += piece)
		process_maps_feed(maps, data + at, bytes - at < piece ? bytes - at : piece);
	assert_int_equal(process_maps_finish(maps), 0);
}

static void check_text(const struct process_maps *maps)
{
	assert_int_equal(maps->module_count, 2);
	assert_string_equal(process_maps_path(maps, &maps->modules[0]), "/usr/bin/program");
	assert_int_equal(maps->modules[0].segment_count, 3);
	assert_int_equal(maps->modules[0].device, makedev(0xfe, 1));
	assert_int_equal(maps->modules[0].inode, 100);
	assert_false(maps->modules[0].is_deleted);
	assert_string_equal(process_maps_path(maps, &maps->modules[1]), "/tmp/a b.so");
	assert_true(maps->modules[1].is_deleted);
	assert_int_equal(maps->modules[1].segment_count, 3);
	assert_int_equal(maps->segments[3].start, 0x7f0000200000);
	assert_int_equal(maps->context_count, 3);
	assert_int_equal(maps->contexts[0], 0x7f0000300000);
	assert_int_equal(maps->contexts[1], 0x7f0000302000);
	assert_false(maps->truncated);
}

static void only_executed_files_are_modules(void **state)
{
	struct process_maps maps;

	(void)state;
	process_maps_init(&maps);
	parse(&maps, text, sizeof(text));
	check_text(&maps);
	process_maps_fini(&maps);
}

static void text_may_be_cut_anywhere(void **state)
{
	struct process_maps maps;
	uint64_t signature;

	(void)state;
	process_maps_init(&maps);
	parse(&maps, text, sizeof(text));
	signature = maps.signature;
	for (size_t piece = 1; piece < 300; piece++) {
		parse(&maps, text, piece);
		check_text(&maps);
		assert_int_equal(maps.signature, signature);
	}
	process_maps_fini(&maps);
}

static void signature_changes_with_the_modules_only(void **state)
{
	char changed[sizeof(text)];
	struct process_maps maps;
	uint64_t signature;

	(void)state;
	process_maps_init(&maps);
	parse(&maps, text, sizeof(text));
	signature = maps.signature;
	memcpy(changed, text, sizeof(text));
	memcpy(strstr(changed, "000025000"), "000045000", 9); /* the heap grew */
	parse(&maps, changed, sizeof(text));
	assert_int_equal(maps.signature, signature);
	memcpy(strstr(changed, " 300 "), " 301 ", 5);
	parse(&maps, changed, sizeof(text));
	assert_int_not_equal(maps.signature, signature);
	process_maps_fini(&maps);
}

static void bias_is_where_the_file_really_lies(void **state)
{
	struct process_maps maps;
	uint64_t bias;

	(void)state;
	process_maps_init(&maps);
	parse(&maps, text, sizeof(text));
	assert_int_equal(process_maps_bias(&maps, &maps.modules[0], 0, 0, 0x3dd0, 0x2dd0, &bias),
			 0);
	assert_int_equal(bias, 0x55d000000000);
	assert_int_equal(process_maps_bias(&maps, &maps.modules[0], 0x400040, 0x40, 0, 0, &bias),
			 0);
	assert_int_equal(bias, 0x55d000000000 - 0x400000);
	assert_int_equal(process_maps_bias(&maps, &maps.modules[0], 0, 0, 0x9000, 0x8000, &bias),
			 -ENOENT);
	assert_int_equal(process_maps_bias(&maps, &maps.modules[0], 0, 0x7000, 0, 0, &bias),
			 -ENOENT);
	process_maps_fini(&maps);
}

static void nonsense_is_skipped(void **state)
{
	static const char *const lines[] = {
		"",
		"\n\n\n",
		"zzz\n",
		"1-2\n",
		"1-2 r-xp\n",
		"1-2 r-xp 0 0:0\n",
		"1-2 r-xp 0 0:0 1\n",
		"1-2 r-xp 0 0:0 1 x\n",
		"1-2 r-xp 0 0:0 99999999999999999999999 /x\n",
		"11111111111111111-2 r-xp 0 0:0 1 /x\n",
		"1-2 r-xp 0 0:0 1 /",
	};
	struct process_maps maps;

	(void)state;
	process_maps_init(&maps);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		parse(&maps, lines[i], 7);
	process_maps_fini(&maps);
}

/* As many modules as a hostile process likes: we keep what we have room for, and say so. */
static void too_much_is_cut_and_said(void **state)
{
	struct process_maps maps;
	char line[256];

	(void)state;
	process_maps_init(&maps);
	process_maps_start(&maps);
	for (unsigned i = 0; i <= MAPS_MAX_LINES; i++) {
		int bytes = snprintf(line, sizeof(line), "%x000-%x000 r-xp 0 0:1 %u /l%u\n", i + 1,
				     i + 2, i + 1, i);

		process_maps_feed(&maps, line, (size_t)bytes);
	}
	assert_int_equal(process_maps_finish(&maps), 0);
	assert_true(maps.truncated);
	assert_int_equal(maps.module_count, MAPS_MAX_MODULES);
	process_maps_start(&maps);
	for (unsigned i = 0; i <= MAPS_MAX_SEGMENTS; i++) {
		int bytes =
			snprintf(line, sizeof(line), "%x000-%x000 r-xp 0 0:1 1 /l\n", i + 1, i + 2);

		process_maps_feed(&maps, line, (size_t)bytes);
	}
	assert_int_equal(process_maps_finish(&maps), 0);
	assert_true(maps.truncated);
	assert_int_equal(maps.module_count, 1);
	process_maps_fini(&maps);
}

static void endless_line_is_cut(void **state)
{
	struct process_maps maps;
	char *line = malloc(1 << 20);

	(void)state;
	memset(line, 'a', 1 << 20);
	memcpy(line, "1000-2000 r-xp 0 0:1 1 /", 24);
	process_maps_init(&maps);
	process_maps_start(&maps);
	for (int i = 0; i < 16; i++)
		process_maps_feed(&maps, line + (i << 16), 1 << 16);
	assert_int_equal(process_maps_finish(&maps), 0);
	assert_int_equal(maps.module_count, 1);
	assert_true(strlen(process_maps_path(&maps, &maps.modules[0])) < MAPS_LINE_BYTES);
	process_maps_fini(&maps);
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_executed_files_are_modules),
		cmocka_unit_test(text_may_be_cut_anywhere),
		cmocka_unit_test(signature_changes_with_the_modules_only),
		cmocka_unit_test(bias_is_where_the_file_really_lies),
		cmocka_unit_test(nonsense_is_skipped),
		cmocka_unit_test(too_much_is_cut_and_said),
		cmocka_unit_test(endless_line_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
