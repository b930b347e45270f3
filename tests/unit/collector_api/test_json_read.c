/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "collector/base/json_read.h"

static void what_is_missing_reads_as_nothing(void **state)
{
	struct json_value *root;
	void *cursor = NULL;
	const char *key;

	(void)state;
	assert_int_equal(json_read(STR("{\"a\":{\"t\":\"x\"},\"n\":null,\"l\":[1,2.5,-3],"
				       "\"when\":\"1763798400000000000\",\"yes\":true}"),
				   &root, NULL),
			 0);
	assert_string_equal(json_read_text(json_read_get(root, "a"), "t"), "x");
	assert_string_equal(json_read_text(json_read_get(root, "b"), "t"), "");
	assert_string_equal(json_read_text(root, "l"), "");
	assert_true(json_read_is_null(json_read_get(root, "n")));
	assert_true(json_read_is_null(json_read_get(root, "zz")));
	assert_int_equal(json_read_uint(root, "when"), 1763798400000000000ull);
	assert_int_equal(json_read_count(json_read_get(root, "l")), 3);
	assert_int_equal(json_read_as_uint(json_read_at(json_read_get(root, "l"), 1)), 2);
	assert_int_equal(json_read_as_uint(json_read_at(json_read_get(root, "l"), 2)), 0);
	assert_null(json_read_at(json_read_get(root, "l"), 3));
	assert_null(json_read_at(NULL, 0));
	assert_int_equal(json_read_count(NULL), 0);
	assert_true(json_read_bool(root, "yes"));
	assert_false(json_read_bool(root, "no"));
	assert_non_null(json_read_next(json_read_get(root, "a"), &cursor, &key));
	assert_string_equal(key, "t");
	assert_null(json_read_next(json_read_get(root, "a"), &cursor, &key));
	json_read_free(root);
	json_read_free(NULL);
}

static void bad_json_says_where(void **state)
{
	struct json_value *root = NULL;
	struct buf message;

	(void)state;
	buf_init(&message, 0);
	assert_int_equal(json_read(STR("{\"a\":"), &root, &message), -EBADMSG);
	assert_true(message.len > 0);
	assert_int_equal(json_read(STR(""), &root, NULL), -EBADMSG);
	assert_int_equal(json_read(STR("{\"a\":1,\"a\":2}"), &root, NULL), -EBADMSG);
	assert_null(root);
	buf_fini(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_missing_reads_as_nothing),
		cmocka_unit_test(bad_json_says_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
