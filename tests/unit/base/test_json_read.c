/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/json_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct json_value *read_ok(const char *text)
{
	struct json_value *root = NULL;

	assert_int_equal(json_read(str_of(text), &root, NULL), 0);
	return root;
}

static void members_are_read_by_type(void **state)
{
	struct json_value *root = read_ok("{\"text\":\"x\",\"number\":7,\"half\":0.5,\"yes\":true,"
					  "\"time\":\"18446744073709551615\",\"none\":null}");

	(void)state;
	assert_string_equal(json_read_text(root, "text"), "x");
	assert_int_equal(json_read_uint(root, "number"), 7);
	assert_true(json_read_uint(root, "time") == UINT64_MAX);
	assert_true(json_read_double(root, "half") == 0.5);
	assert_true(json_read_double(root, "number") == 7.0);
	assert_true(json_read_bool(root, "yes"));
	assert_true(json_read_is_null(json_read_get(root, "none")));
	assert_false(json_read_is_null(json_read_get(root, "text")));
	json_read_free(root);
}

static void what_is_missing_or_of_another_type_reads_as_nothing(void **state)
{
	struct json_value *root = read_ok("{\"text\":\"x\",\"list\":[1],\"minus\":-1}");

	(void)state;
	assert_string_equal(json_read_text(root, "nothing"), "");
	assert_string_equal(json_read_text(root, "list"), "");
	assert_int_equal(json_read_uint(root, "minus"), 0);
	assert_int_equal(json_read_uint(root, "list"), 0);
	assert_false(json_read_bool(root, "text"));
	assert_null(json_read_get(json_read_get(root, "text"), "deeper"));
	assert_null(json_read_at(json_read_get(root, "list"), 1));
	assert_null(json_read_at(NULL, 0));
	assert_int_equal(json_read_count(NULL), 0);
	assert_string_equal(json_read_as_text(NULL), "");
	json_read_free(root);
	json_read_free(NULL);
}

static void members_are_walked_in_their_order(void **state)
{
	struct json_value *root = read_ok("{\"z\":1,\"a\":2,\"m\":3}");
	const struct json_value *value;
	const char *key, *wanted = "zam";
	void *cursor = NULL;
	uint64_t number = 0;

	(void)state;
	while ((value = json_read_next(root, &cursor, &key))) {
		assert_int_equal(key[0], *wanted++);
		assert_int_equal(json_read_as_uint(value), ++number);
	}
	assert_int_equal(number, 3);
	json_read_free(root);
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
	struct json_value *root = NULL;
	struct buf message = { 0 };

	(void)state;
	assert_int_equal(json_read(STR("{\n\"a\":}"), &root, &message), -EBADMSG);
	assert_null(root);
	assert_memory_equal(message.data, "line 2, column ", 15);
	buf_fini(&message);
	assert_int_equal(json_read(STR(""), &root, NULL), -EBADMSG);
	assert_int_equal(json_read((struct str){ NULL, 0 }, &root, NULL), -EBADMSG);
	assert_int_equal(json_read(STR("{\"a\":1,\"a\":2}"), &root, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_read_by_type),
		cmocka_unit_test(what_is_missing_or_of_another_type_reads_as_nothing),
		cmocka_unit_test(members_are_walked_in_their_order),
		cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
