/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/cpu_lag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS       1000000ull
#define START_NS (100000 * MS)
#define BASE     840000

static struct cpu_lag_base base_of(const struct cpu_lag *lag, int64_t raw_from, int64_t raw_to)
{
	const struct cpu_lag_slice slice = { 0, START_NS, START_NS + MS, raw_from, raw_to };

	return cpu_lag_base(lag, &slice);
}

static void a_cpu_that_says_nothing_leaves_all_open(void **state)
{
	struct cpu_lag lag = { 0 };

	(void)state;
	assert_int_equal(base_of(&lag, BASE, BASE + 9000).thin_ns, CPU_LAG_MAX_NS);
	assert_int_equal(base_of(&lag, BASE, BASE + 9000).highest, BASE + 9000);
	assert_int_equal(base_of(&lag, BASE, BASE + 9000).lowest, BASE);
}

static void samples_that_agree_settle_the_base(void **state)
{
	struct cpu_lag lag = { 0 };
	struct cpu_lag_base base;

	(void)state;
	for (unsigned i = 1; i <= 3; i++)
		cpu_lag_add(&lag, 0, START_NS - i * 20 * MS, BASE + 100 * i);
	base = base_of(&lag, BASE + 20000, BASE + 300);
	assert_int_equal(base.thin_ns, 0);
	assert_int_equal(base.lowest, base.highest);
	cpu_lag_fini(&lag);
}

static void a_switch_told_twice_is_one_sample(void **state)
{
	struct cpu_lag once = { 0 }, twice = { 0 };

	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		cpu_lag_add(&once, 0, START_NS - i * 20 * MS, BASE);
		cpu_lag_add(&twice, 0, START_NS - i * 20 * MS, BASE);
		cpu_lag_add(&twice, 0, START_NS - i * 20 * MS, BASE);
	}
	assert_int_equal(base_of(&once, BASE + 9000, BASE + 9000).thin_ns, CPU_LAG_MAX_NS / 3);
	assert_int_equal(base_of(&twice, BASE + 9000, BASE + 9000).thin_ns, CPU_LAG_MAX_NS / 3);
	cpu_lag_fini(&once);
	cpu_lag_fini(&twice);
}

static void a_quiet_cpu_is_bound_by_what_it_said_seconds_ago(void **state)
{
	struct cpu_lag lag = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		cpu_lag_add(&lag, 0, START_NS - (5000 + 8 * i) * MS, BASE);
	assert_int_equal(base_of(&lag, BASE + 9000, BASE + 9000).thin_ns, 0);
	assert_int_equal(base_of(&lag, BASE + 9000, BASE + 9000).lowest, BASE);
	cpu_lag_fini(&lag);
}

/* The little that is near is better than the much that is far, where it says more. */
static void what_was_stolen_long_ago_does_not_widen_the_bounds(void **state)
{
	struct cpu_lag lag = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		cpu_lag_add(&lag, 0, START_NS - (5000 + 8 * i) * MS, BASE - 500000);
	for (unsigned i = 1; i <= 2; i++)
		cpu_lag_add(&lag, 0, START_NS - i * 20 * MS, BASE);
	assert_int_equal(base_of(&lag, BASE + 9000, BASE + 9000).thin_ns, CPU_LAG_MAX_NS / 3);
	assert_int_equal(base_of(&lag, BASE + 9000, BASE + 9000).lowest, BASE);
	cpu_lag_fini(&lag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cpu_that_says_nothing_leaves_all_open),
		cmocka_unit_test(samples_that_agree_settle_the_base),
		cmocka_unit_test(a_switch_told_twice_is_one_sample),
		cmocka_unit_test(a_quiet_cpu_is_bound_by_what_it_said_seconds_ago),
		cmocka_unit_test(what_was_stolen_long_ago_does_not_widen_the_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
