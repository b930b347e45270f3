/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/query/params.h"

#define NOW 1763798400000000000ull

static void begin(struct params *params, const char *query)
{
	params_parse(params, str_of(query), NOW);
}

/* What `params_check` complains about; then all is given back. */
static void expect_complaint(struct params *params, const char *expected)
{
	assert_int_not_equal(params_check(params), 0);
	buf_append_byte(&params->complaint, '\0');
	assert_string_equal(params->complaint.data, expected);
	params_fini(params);
}

static const char *colour(unsigned i)
{
	static const char *const names[] = { "red", NULL, "blue" };

	return names[i];
}

static void values_are_decoded_and_typed(void **state)
{
	struct params params;

	(void)state;
	begin(&params, "operation=GET+%2Freport&limit=7&max_ratio=0.25&timeline=1&c=blue&&");
	assert_true(str_eq(params_text(&params, "operation"), STR("GET /report")));
	assert_int_equal(params_uint(&params, "limit", 1, 10, 5), 7);
	assert_true(params_double(&params, "max_ratio", 0, 1, -1) == 0.25);
	assert_true(params_flag(&params, "timeline"));
	assert_int_equal(params_choice(&params, "c", colour, 3, -1), 2);
	assert_int_equal(params_check(&params), 0);
	params_fini(&params);
}

static void absent_ones_give_what_the_caller_says(void **state)
{
	struct params params;

	(void)state;
	begin(&params, "");
	assert_int_equal(params_text(&params, "service").len, 0);
	assert_int_equal(params_uint(&params, "limit", 1, 10, 5), 5);
	assert_false(params_flag(&params, "timeline"));
	assert_int_equal(params_time(&params, "from", 3), 3);
	assert_int_equal(params_choice(&params, "c", colour, 3, -1), -1);
	assert_int_equal(params_check(&params), 0);
	params_fini(&params);
}

static void an_unknown_parameter_is_named(void **state)
{
	struct params params;

	(void)state;
	begin(&params, "servce=a");
	params_text(&params, "service");
	params_text(&params, "operation");
	expect_complaint(&params, "unknown parameter 'servce'; known here: service operation");
	begin(&params, "a=b");
	expect_complaint(&params, "unknown parameter 'a'; known here: none");
}

static void each_mistake_names_its_parameter(void **state)
{
	struct params params;

	(void)state;
	begin(&params, "limit=11");
	params_uint(&params, "limit", 1, 10, 5);
	expect_complaint(&params, "'limit' must be a whole number from 1 to 10");
	begin(&params, "limit=-1");
	params_uint(&params, "limit", 0, 10, 5);
	expect_complaint(&params, "'limit' must be a whole number from 0 to 10");
	begin(&params, "limit=99999999999999999999999");
	params_uint(&params, "limit", 0, UINT64_MAX, 5);
	expect_complaint(&params, "'limit' must be a whole number from 0 to 18446744073709551615");
	begin(&params, "r=nan");
	params_double(&params, "r", 0, 1, 0);
	expect_complaint(&params, "'r' must be a number from 0 to 1");
	begin(&params, "r=0x1");
	params_double(&params, "r", 0, 1, 0);
	expect_complaint(&params, "'r' must be a number from 0 to 1");
	begin(&params, "c=green");
	params_choice(&params, "c", colour, 3, -1);
	expect_complaint(&params, "'c' must be one of: red blue");
	begin(&params, "service=");
	params_text(&params, "service");
	expect_complaint(&params, "'service' has no value");
	begin(&params, "service=a&service=b");
	params_text(&params, "service");
	expect_complaint(&params, "'service' stands there twice");
	begin(&params, "service=%zz");
	params_text(&params, "service");
	expect_complaint(&params, "'%zz' is not percent-encoded text");
}

static void prefixed_ones_are_walked(void **state)
{
	struct str key, value;
	struct params params;
	unsigned cursor = 0;

	(void)state;
	begin(&params, "attr.http.route=%2Fa&limit=1&attr.x=y");
	assert_true(params_next_prefixed(&params, "attr.", &cursor, &key, &value));
	assert_true(str_eq(key, STR("http.route")) && str_eq(value, STR("/a")));
	assert_true(params_next_prefixed(&params, "attr.", &cursor, &key, &value));
	assert_true(str_eq(key, STR("x")) && str_eq(value, STR("y")));
	assert_false(params_next_prefixed(&params, "attr.", &cursor, &key, &value));
	assert_int_equal(params_uint(&params, "limit", 0, 9, 0), 1);
	assert_int_equal(params_check(&params), 0);
	params_fini(&params);
}

static void too_many_are_refused(void **state)
{
	struct params params;
	char query[PARAMS_MAX * 8] = "", *at = query;

	(void)state;
	for (int i = 0; i <= PARAMS_MAX; i++) {
		*at++ = (char)('a' + i % 26);
		*at++ = (char)('a' + i / 26);
		*at++ = '=';
		*at++ = '1';
		*at++ = '&';
	}
	begin(&params, query);
	expect_complaint(&params, "more than 32 parameters");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_decoded_and_typed),
		cmocka_unit_test(absent_ones_give_what_the_caller_says),
		cmocka_unit_test(an_unknown_parameter_is_named),
		cmocka_unit_test(each_mistake_names_its_parameter),
		cmocka_unit_test(prefixed_ones_are_walked),
		cmocka_unit_test(too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
