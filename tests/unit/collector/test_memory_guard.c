/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/memory_guard.h"

#define MIB ((size_t)1 << 20)

static const struct memory_plan plan = {
	.limit_bytes = 256 * MIB,
	.correlator_bytes = 124 * MIB,
	.in_flight_bytes = 32 * MIB,
};

static struct memory_shares after(size_t resident, size_t correlator, size_t in_flight,
				  struct memory_shares shares)
{
	const struct memory_look look = { resident * MIB, correlator * MIB, in_flight * MIB };

	memory_shares_weigh(&plan, &look, &shares);
	return shares;
}

static const struct memory_shares whole = { 124 * MIB, 32 * MIB };

static void the_plan_holds_while_there_is_room(void **state)
{
	struct memory_shares shares = after(200, 110, 30, whole);

	(void)state;
	assert_int_equal(shares.correlator_bytes, whole.correlator_bytes);
	assert_int_equal(shares.in_flight_bytes, whole.in_flight_bytes);
}

static void the_correlator_gives_way_first_and_by_what_is_over(void **state)
{
	struct memory_shares shares = after(218, 110, 30, whole);

	(void)state;
	assert_int_equal(shares.correlator_bytes, 100 * MIB);
	assert_int_equal(shares.in_flight_bytes, whole.in_flight_bytes);
	/* what it has freed may show only later */
	shares = after(218, 110, 30, shares);
	assert_int_equal(shares.correlator_bytes, 100 * MIB);
}

static void then_less_may_be_in_flight(void **state)
{
	struct memory_shares shares = after(234, 110, 30, whole);

	(void)state;
	assert_int_equal(shares.correlator_bytes, 84 * MIB);
	assert_int_equal(shares.in_flight_bytes, 20 * MIB);
}

static void a_part_is_always_left(void **state)
{
	struct memory_shares shares = after(1000, 110, 30, whole);

	(void)state;
	assert_int_equal(shares.correlator_bytes, 31 * MIB);
	assert_int_equal(shares.in_flight_bytes, 8 * MIB);
}

static void what_gave_way_grows_back(void **state)
{
	struct memory_shares shares = after(1000, 110, 30, whole);
	int steps = 0;

	(void)state;
	while (shares.correlator_bytes < whole.correlator_bytes && steps < 100) {
		struct memory_shares before = shares;

		shares = after(100, 10, 1, shares);
		assert_true(shares.correlator_bytes > before.correlator_bytes);
		steps++;
	}
	assert_in_range(steps, 2, MEMORY_GUARD_STEPS);
	assert_int_equal(shares.correlator_bytes, whole.correlator_bytes);
	assert_int_equal(shares.in_flight_bytes, whole.in_flight_bytes);
}

static void queries_that_read_for_long_need_room(void **state)
{
	(void)state;
	assert_int_equal(memory_guard_queries(&plan, 90 * MIB), 2);
	assert_int_equal(memory_guard_queries(&plan, 150 * MIB), 1);
	assert_int_equal(memory_guard_queries(&plan, 1000 * MIB), 1);
	assert_int_equal(memory_guard_queries(&plan, 0), 4);
}

static void near_the_target_nothing_flutters(void **state)
{
	struct memory_shares shares = { 60 * MIB, 20 * MIB }, same = after(207, 60, 20, shares);

	(void)state;
	assert_int_equal(same.correlator_bytes, shares.correlator_bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plan_holds_while_there_is_room),
		cmocka_unit_test(the_correlator_gives_way_first_and_by_what_is_over),
		cmocka_unit_test(then_less_may_be_in_flight),
		cmocka_unit_test(a_part_is_always_left),
		cmocka_unit_test(what_gave_way_grows_back),
		cmocka_unit_test(queries_that_read_for_long_need_room),
		cmocka_unit_test(near_the_target_nothing_flutters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
