/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "storage/folder.h"
#include "storage/state_kv.h"

struct place {
	char path[64], file[96];
	struct state_kv *kv;
	struct folder folder;
	struct buf message;
};

static int make(void **state)
{
	static struct place place;

	place = (struct place){ .path = "/tmp/state_kv.XXXXXX" };
	buf_init(&place.message, 0);
	if (!mkdtemp(place.path))
		return -1;
	snprintf(place.file, sizeof(place.file), "%s/state/kv.mdb", place.path);
	*state = &place;
	return folder_open(place.path, false, &place.folder, &place.message) < 0 ||
	       state_kv_open(place.path, &place.kv, &place.message) < 0;
}

static int drop(void **state)
{
	struct place *place = *state;
	char command[96];

	state_kv_close(place->kv);
	folder_close(&place->folder);
	buf_fini(&place->message);
	snprintf(command, sizeof(command), "rm -r '%s'", place->path);
	return system(command);
}

static int append(struct str key, struct str value, void *arg)
{
	buf_printf(arg, "%.*s=%.*s ", (int)key.len, key.data, (int)value.len, value.data);
	return 0;
}

static void check(struct place *place, const char *prefix, const char *expected)
{
	struct buf all;

	buf_init(&all, 0);
	assert_int_equal(state_kv_each(place->kv, str_of(prefix), append, &all), 0);
	buf_append_byte(&all, '\0');
	assert_string_equal(all.data, expected);
	buf_fini(&all);
}

static void put_three(struct place *place)
{
	const struct state_kv_change changes[] = {
		{ STR("a/2"), STR("two"), false },
		{ STR("a/1"), STR("one"), false },
		{ STR("b/1"), STR("three"), false },
	};

	assert_int_equal(state_kv_apply(place->kv, changes, ARRAY_LEN(changes)), 0);
}

static int stop_at_once(struct str key, struct str value, void *arg)
{
	(void)key;
	(void)value;
	(void)arg;
	return 7;
}

static void entries_come_back_in_order_after_a_restart(void **state)
{
	struct place *place = *state;
	const struct state_kv_change more[] = {
		{ STR("a/1"), { 0 }, true },
		{ STR("a/none"), { 0 }, true },
		{ STR("a/3"), STR(""), false },
	};

	check(place, "", "");
	put_three(place);
	state_kv_close(place->kv);
	assert_int_equal(state_kv_open(place->path, &place->kv, &place->message), 0);
	check(place, "", "a/1=one a/2=two b/1=three ");
	check(place, "a/", "a/1=one a/2=two ");
	assert_int_equal(state_kv_apply(place->kv, more, ARRAY_LEN(more)), 0);
	check(place, "a/", "a/2=two a/3= ");
	check(place, "c", "");
	assert_int_equal(state_kv_each(place->kv, STR(""), stop_at_once, NULL), 7);
}

static void a_step_that_fails_changes_nothing(void **state)
{
	struct place *place = *state;
	static char long_key[STATE_KV_KEY_BYTES + 1];
	const struct state_kv_change changes[] = {
		{ STR("a/2"), STR("other"), false },
		{ { long_key, sizeof(long_key) }, STR("x"), false },
	};

	put_three(place);
	assert_true(state_kv_apply(place->kv, changes, ARRAY_LEN(changes)) < 0);
	check(place, "a/2", "a/2=two ");
}

static void a_full_file_says_so_and_stays_readable(void **state)
{
	struct place *place = *state;
	static char large[(size_t)8 << 20];
	int rc = 0;

	put_three(place);
	for (unsigned i = 0; i < 16 && rc == 0; i++) {
		char key[] = { 'l', (char)('a' + i) };
		const struct state_kv_change change = { { key, 2 },
							{ large, sizeof(large) },
							false };

		rc = state_kv_apply(place->kv, &change, 1);
	}
	assert_int_equal(rc, -ENOSPC);
	check(place, "a/", "a/1=one a/2=two ");
}

static void a_damaged_file_is_refused_by_name(void **state)
{
	struct place *place = *state;
	int fd;

	put_three(place);
	state_kv_close(place->kv);
	place->kv = NULL;
	fd = open(place->file, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "garbage", 7, 16), 7);
	assert_int_equal(pwrite(fd, "garbage", 7, 4096 + 16), 7);
	close(fd);
	assert_true(state_kv_open(place->path, &place->kv, &place->message) < 0);
	assert_non_null(memmem(place->message.data, place->message.len, "kv.mdb is damaged", 17));
}

/* What a power cut left behind where nothing was committed yet. */
static void an_empty_file_and_half_a_new_one_are_as_none(void **state)
{
	struct place *place = *state;
	char fresh[96];
	int fd;

	state_kv_close(place->kv);
	place->kv = NULL;
	assert_int_equal(truncate(place->file, 0), 0);
	snprintf(fresh, sizeof(fresh), "%s/state/kv.new", place->path);
	fd = open(fresh, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "half", 4), 4);
	close(fd);
	assert_int_equal(state_kv_open(place->path, &place->kv, &place->message), 0);
	check(place, "", "");
	put_three(place);
	check(place, "a/", "a/1=one a/2=two ");
	assert_int_equal(access(fresh, F_OK), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(entries_come_back_in_order_after_a_restart),
		TEST(a_step_that_fails_changes_nothing),
		TEST(a_full_file_says_so_and_stays_readable),
		TEST(a_damaged_file_is_refused_by_name),
		TEST(an_empty_file_and_half_a_new_one_are_as_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
