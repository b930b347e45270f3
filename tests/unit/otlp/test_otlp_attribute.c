/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_attribute.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/otlp/otlp_bytes.h"

static void attributes_are_found_by_key_and_owner(void **state)
{
	struct buf span = bytes_span(SPAN_A, "name");
	struct otlp_value value = { 0 };

	(void)state;
	bytes_put_text(&span, OTLP_OWNER_SPAN, "http.route", "/report");
	bytes_put_int(&span, OTLP_OWNER_SPAN, "http.status", 200);
	assert_int_equal(
		otlp_attribute_find(buf_str(&span), OTLP_OWNER_SPAN, STR("http.route"), &value), 0);
	assert_int_equal(value.type, OTLP_VALUE_STRING);
	assert_true(str_eq(value.bytes, STR("/report")));
	assert_int_equal(
		otlp_attribute_find(buf_str(&span), OTLP_OWNER_SPAN, STR("http.routes"), &value),
		-ENOENT);
	assert_int_equal(
		otlp_attribute_find(buf_str(&span), OTLP_OWNER_SCOPE, STR("http.route"), &value),
		-ENOENT);
	buf_fini(&span);
}

static void the_last_of_equal_keys_wins(void **state)
{
	struct buf resource = { 0 };
	struct otlp_value value;

	(void)state;
	bytes_put_text(&resource, 1, "k", "old");
	bytes_put_text(&resource, 1, "k", "new");
	assert_int_equal(
		otlp_attribute_find(buf_str(&resource), OTLP_OWNER_RESOURCE, STR("k"), &value), 0);
	assert_true(str_eq(value.bytes, STR("new")));
	buf_fini(&resource);
}

static void the_last_member_of_a_value_wins(void **state)
{
	struct buf any = { 0 };
	struct otlp_value value;

	(void)state;
	wire_put_bytes(&any, 1, STR("text"));
	wire_put_uint(&any, 2, 7);
	wire_put_uint(&any, 8, 9); /* no member of ours */
	wire_put_uint(&any, 1, 9); /* a string that is no string */
	assert_int_equal(otlp_attribute_value(buf_str(&any), &value), 0);
	assert_int_equal(value.type, OTLP_VALUE_BOOL);
	assert_int_equal(value.integer, 1);
	buf_fini(&any);
	assert_int_equal(otlp_attribute_value((struct str){ NULL, 0 }, &value), 0);
	assert_int_equal(value.type, OTLP_VALUE_EMPTY);
}

static struct otlp_value text_value(const char *text)
{
	return (struct otlp_value){ .type = OTLP_VALUE_STRING, .bytes = str_of(text) };
}

static void only_whole_numbers_are_ints(void **state)
{
	static const char *const no_ints[] = {
		"", " 1", "1 ", "1.0", "0x10", "one", "9223372036854775808"
	};
	const double no_doubles[] = { 1.5, 1e300, -1e300, 0.0 / 0.0, 1.0 / 0.0 };
	struct otlp_value value;
	int64_t integer = 5;

	(void)state;
	for (size_t i = 0; i < sizeof(no_ints) / sizeof(no_ints[0]); i++) {
		value = text_value(no_ints[i]);
		assert_false(otlp_attribute_as_int(&value, &integer));
	}
	for (size_t i = 0; i < sizeof(no_doubles) / sizeof(no_doubles[0]); i++) {
		value = (struct otlp_value){ .type = OTLP_VALUE_DOUBLE, .number = no_doubles[i] };
		assert_false(otlp_attribute_as_int(&value, &integer));
	}
	assert_int_equal(integer, 5);
	value = text_value("-9223372036854775808");
	assert_true(otlp_attribute_as_int(&value, &integer));
	assert_true(integer == INT64_MIN);
}

static void values_match_what_people_write(void **state)
{
	struct otlp_value text = text_value("200"), yes = { .type = OTLP_VALUE_BOOL, .integer = 1 },
			  number = { .type = OTLP_VALUE_INT, .integer = 200 },
			  half = { .type = OTLP_VALUE_DOUBLE, .number = 0.5 },
			  list = { .type = OTLP_VALUE_ARRAY }, empty = { 0 };

	(void)state;
	assert_true(otlp_attribute_matches(&text, STR("200")));
	assert_false(otlp_attribute_matches(&text, STR("0200")));
	assert_true(otlp_attribute_matches(&yes, STR("true")));
	assert_false(otlp_attribute_matches(&yes, STR("1")));
	assert_true(otlp_attribute_matches(&number, STR("200")));
	assert_false(otlp_attribute_matches(&number, STR("200x")));
	assert_true(otlp_attribute_matches(&half, STR("0.50")));
	assert_false(otlp_attribute_matches(&half, STR("")));
	assert_false(otlp_attribute_matches(&list, STR("")));
	assert_false(otlp_attribute_matches(&empty, STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes_are_found_by_key_and_owner),
		cmocka_unit_test(the_last_of_equal_keys_wins),
		cmocka_unit_test(the_last_member_of_a_value_wins),
		cmocka_unit_test(only_whole_numbers_are_ints),
		cmocka_unit_test(values_match_what_people_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
