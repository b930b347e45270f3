/* SPDX-License-Identifier: Apache-2.0 */
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

#include "collector/net/tokens.h"

static char path[sizeof("/tmp/spanwise-tokens-XXXXXX")];
static struct tokens *tokens;
static struct buf message;

static void write_file(const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state)
{
	int fd;

	(void)state;
	memcpy(path, "/tmp/spanwise-tokens-XXXXXX", sizeof(path));
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	buf_init(&message, 0);
	tokens = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	buf_fini(&message);
	tokens_free(tokens);
	return 0;
}

static void only_a_whole_token_opens(void **state)
{
	(void)state;
	write_file("# ours\n\n  0123456789abcdef0  \nfedcba98765432100\n", 0600);
	assert_int_equal(tokens_new(path, &tokens, &message), 0);
	assert_true(tokens_allow(tokens, STR("Bearer 0123456789abcdef0")));
	assert_true(tokens_allow(tokens, STR("bEARER  fedcba98765432100 ")));
	assert_false(tokens_allow(tokens, STR("Bearer 0123456789abcdef")));
	assert_false(tokens_allow(tokens, STR("Bearer 0123456789abcdef00")));
	assert_false(tokens_allow(tokens, STR("Basic 0123456789abcdef0")));
	assert_false(tokens_allow(tokens, STR("Bearer ")));
	assert_false(tokens_allow(tokens, STR("Bearer # ours")));
	assert_false(tokens_allow(tokens, (struct str){ NULL, 0 }));
}

static void a_changed_file_is_read_again_and_a_bad_one_changes_nothing(void **state)
{
	(void)state;
	write_file("0123456789abcdef0\n", 0600);
	assert_int_equal(tokens_new(path, &tokens, &message), 0);
	assert_int_equal(tokens_reload(tokens, false, &message), 0);
	write_file("fedcba98765432100 and more\n", 0600);
	assert_int_equal(tokens_reload(tokens, false, &message), 1);
	assert_false(tokens_allow(tokens, STR("Bearer 0123456789abcdef0")));
	assert_true(tokens_allow(tokens, STR("Bearer fedcba98765432100 and more")));
	write_file("short\n", 0600);
	assert_true(tokens_reload(tokens, false, &message) < 0);
	assert_true(tokens_allow(tokens, STR("Bearer fedcba98765432100 and more")));
}

static void files_that_guard_nothing_are_refused(void **state)
{
	(void)state;
	assert_true(tokens_new("/nowhere/tokens", &tokens, &message) < 0);
	write_file("# nothing\n", 0600);
	assert_true(tokens_new(path, &tokens, &message) < 0);
	write_file("0123456789abcdef0\n", 0644);
	assert_true(tokens_new(path, &tokens, &message) < 0);
	assert_null(tokens);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_a_whole_token_opens),
		TEST(a_changed_file_is_read_again_and_a_bad_one_changes_nothing),
		TEST(files_that_guard_nothing_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
