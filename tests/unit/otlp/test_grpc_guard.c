/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_burst_is_allowed_and_not_one_more(void **state)
{
	struct grpc_guard guard = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_null(grpc_guard_count(&guard, GRPC_GUARD_SETTINGS, 5000));
	assert_string_equal(grpc_guard_count(&guard, GRPC_GUARD_SETTINGS, 5000),
			    "too_many_settings");
	assert_null(grpc_guard_count(&guard, GRPC_GUARD_EMPTY_DATA, 5000));
}

static void tokens_come_back_with_time_however_often_one_looks(void **state)
{
	struct grpc_guard guard = { 0 };
	uint64_t now_ms = 5000;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_null(grpc_guard_count(&guard, GRPC_GUARD_SETTINGS, now_ms));
	for (int i = 0; i < 1000; i++)
		assert_null(grpc_guard_count(&guard, GRPC_GUARD_SETTINGS, now_ms += 1000));
	assert_non_null(grpc_guard_count(&guard, GRPC_GUARD_SETTINGS, now_ms + 999));
}

static void the_third_early_ping_is_too_many(void **state)
{
	struct grpc_guard guard = { 0 };

	(void)state;
	assert_null(grpc_guard_ping(&guard, 10000, 1));
	assert_null(grpc_guard_ping(&guard, 10000, 10001));
	assert_null(grpc_guard_ping(&guard, 10000, 20000));
	assert_null(grpc_guard_ping(&guard, 10000, 29999));
	assert_string_equal(grpc_guard_ping(&guard, 10000, 39998), "too_many_pings");
}

static void a_reply_forgives(void **state)
{
	struct grpc_guard guard = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_null(grpc_guard_ping(&guard, 10000, 7));
		assert_null(grpc_guard_ping(&guard, 10000, 7));
		assert_null(grpc_guard_ping(&guard, 10000, 7));
		grpc_guard_forgive(&guard);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_burst_is_allowed_and_not_one_more),
		cmocka_unit_test(tokens_come_back_with_time_however_often_one_looks),
		cmocka_unit_test(the_third_early_ping_is_too_many),
		cmocka_unit_test(a_reply_forgives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
