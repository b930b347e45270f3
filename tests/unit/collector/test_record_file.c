/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/event.h"
#include "collector/record_file.h"

static char path[64];

static int set_up(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/spanwise-record-%d", getpid());
	unlink(path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

/* `count` entries of growing length; a chunk each when `flush`. */
static void write_some(unsigned count, bool flush)
{
	struct record_writer *writer;
	char data[64];

	assert_int_equal(record_writer_open(path, &writer), 0);
	for (unsigned i = 0; i < count; i++) {
		memset(data, (int)i, sizeof(data));
		record_put(writer, RECORD_SPANS, data, i % 64);
		if (flush)
			record_flush(writer);
	}
	assert_int_equal(record_writer_close(writer), 0);
}

/* Returns how many entries came, and the last return value. */
static unsigned read_all(int *out_rc, bool *out_truncated)
{
	struct record_reader *reader;
	struct record_entry entry;
	unsigned count = 0;

	*out_truncated = false;
	*out_rc = record_reader_open(path, &reader);
	if (*out_rc < 0)
		return 0;
	while ((*out_rc = record_next(reader, &entry)) == 1) {
		assert_int_equal(entry.kind, RECORD_SPANS);
		assert_int_equal(entry.data.len, count % 64);
		assert_int_equal((uintptr_t)entry.data.data % 8, 0);
		for (size_t i = 0; i < entry.data.len; i++)
			assert_int_equal((uint8_t)entry.data.data[i], count & 0xff);
		count++;
	}
	*out_truncated = record_is_truncated(reader);
	record_reader_close(reader);
	return count;
}

static void change_byte(long at, int change)
{
	FILE *file = fopen(path, "r+");
	int byte;

	assert_non_null(file);
	fseek(file, at, SEEK_SET);
	byte = fgetc(file);
	fseek(file, at, SEEK_SET);
	fputc(byte ^ change, file);
	fclose(file);
}

static void clear_bytes(long from, long to)
{
	FILE *file = fopen(path, "r+");

	assert_non_null(file);
	fseek(file, from, SEEK_SET);
	while (from++ < to)
		fputc(0, file);
	fclose(file);
}

static void what_was_put_comes_back(void **state)
{
	bool is_truncated;
	int rc;

	(void)state;
	write_some(20000, false);
	assert_int_equal(read_all(&rc, &is_truncated), 20000);
	assert_int_equal(rc, 0);
	assert_false(is_truncated);
}

static void an_existing_file_is_not_touched(void **state)
{
	struct record_writer *writer;

	(void)state;
	write_some(1, false);
	assert_int_equal(record_writer_open(path, &writer), -EEXIST);
}

static void a_file_cut_anywhere_gives_its_whole_chunks(void **state)
{
	struct stat status;
	bool is_truncated;
	int rc;

	(void)state;
	write_some(10, true);
	assert_int_equal(stat(path, &status), 0);
	for (off_t size = status.st_size - 1; size >= 16; size--) {
		unsigned count;

		assert_int_equal(truncate(path, size), 0);
		count = read_all(&rc, &is_truncated);
		assert_int_equal(rc, 0);
		assert_in_range(count, 0, 9);
		assert_true(is_truncated || size == 16 || count > 0);
	}
}

/* Also in a length: a file that is damaged does not pass for one that ends in the middle. */
static void a_changed_bit_is_damage(void **state)
{
	struct stat status;
	bool is_truncated;
	int rc;

	(void)state;
	write_some(3, true);
	assert_int_equal(stat(path, &status), 0);
	for (long bit = 16 * 8; bit < status.st_size * 8; bit++) {
		change_byte(bit / 8, 1 << bit % 8);
		read_all(&rc, &is_truncated);
		assert_int_equal(rc, -EBADMSG);
		assert_false(is_truncated);
		change_byte(bit / 8, 1 << bit % 8);
	}
}

static void a_changed_mark_is_no_recording(void **state)
{
	bool is_truncated;
	int rc;

	(void)state;
	write_some(1, false);
	for (long at = 0; at < 8; at++) {
		change_byte(at, 0x20);
		read_all(&rc, &is_truncated);
		assert_int_equal(rc, -EBADMSG);
		change_byte(at, 0x20);
	}
}

static void another_version_is_refused(void **state)
{
	bool is_truncated;
	int rc;

	(void)state;
	write_some(1, false);
	change_byte(8, RECORD_VERSION ^ (RECORD_VERSION + 1));
	read_all(&rc, &is_truncated);
	assert_int_equal(rc, -EPROTO);
	change_byte(8, RECORD_VERSION + 1);
	read_all(&rc, &is_truncated);
	assert_int_equal(rc, -EPROTO);
}

/* In its chunks' heads, zeros stood for the check. */
static void a_recording_of_version_1_is_read(void **state)
{
	bool is_truncated;
	int rc;

	(void)state;
	write_some(1, false);
	change_byte(8, RECORD_VERSION ^ 1);
	read_all(&rc, &is_truncated);
	assert_int_equal(rc, -EBADMSG);
	clear_bytes(16 + 12, 16 + 16);
	assert_int_equal(read_all(&rc, &is_truncated), 1);
	assert_int_equal(rc, 0);
	assert_false(is_truncated);
}

/* Kernel records of the version before lack one kind; those of the version before that differ. */
static void records_of_the_version_before_are_read(void **state)
{
	bool is_truncated;
	int rc;

	(void)state;
	write_some(1, false);
	change_byte(12, EVENT_VERSION ^ 5);
	read_all(&rc, &is_truncated);
	assert_int_equal(rc, 0);
	change_byte(12, 5 ^ 4);
	read_all(&rc, &is_truncated);
	assert_int_equal(rc, -EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_comes_back),
		TEST(an_existing_file_is_not_touched),
		TEST(a_file_cut_anywhere_gives_its_whole_chunks),
		TEST(a_changed_bit_is_damage),
		TEST(a_changed_mark_is_no_recording),
		TEST(another_version_is_refused),
		TEST(a_recording_of_version_1_is_read),
		TEST(records_of_the_version_before_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
