/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/cpu_lag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS      1000000ull
#define TIME_NS (100000 * MS)
#define BASE    840000

static struct cpu_lag lag;

static int forget(void **state)
{
	(void)state;
	cpu_lag_fini(&lag);
	return 0;
}

static void a_cpu_that_says_nothing_leaves_all_open(void **state)
{
	(void)state;
	assert_true(cpu_lag_floor(&lag, 0, TIME_NS) == INT64_MIN);
	assert_true(cpu_lag_ceiling(&lag, 0, TIME_NS, UINT64_MAX) == INT64_MAX);
	assert_true(cpu_lag_floor(&lag, EVENT_MAX_CPUS, TIME_NS) == INT64_MIN);
}

static void whoever_was_woken_bounds_the_later_base_from_below(void **state)
{
	(void)state;
	cpu_lag_add(&lag, 0, TIME_NS - 20 * MS, BASE + 300, 500);
	cpu_lag_add(&lag, 0, TIME_NS - 10 * MS, BASE + 90000, CPU_LAG_UNBOUND);
	assert_int_equal(cpu_lag_floor(&lag, 0, TIME_NS), BASE - 200);
	assert_int_equal(cpu_lag_floor(&lag, 0, TIME_NS + 5000 * MS), BASE - 200);
	assert_true(cpu_lag_floor(&lag, 0, TIME_NS - 20 * MS) == INT64_MIN);
	assert_true(cpu_lag_floor(&lag, 1, TIME_NS) == INT64_MIN);
}

/* What was stolen in between stays in the base. */
static void a_floor_never_sinks(void **state)
{
	(void)state;
	cpu_lag_add(&lag, 0, TIME_NS - 40 * MS, BASE + 5000, 100);
	cpu_lag_add(&lag, 0, TIME_NS - 20 * MS, BASE + 5000, 90000);
	assert_int_equal(cpu_lag_floor(&lag, 0, TIME_NS), BASE + 4900);
}

/* The same moment is asked again and again. */
static void what_is_told_after_a_question_counts_in_the_next_one(void **state)
{
	int64_t lowest, highest;

	(void)state;
	cpu_lag_add(&lag, 0, TIME_NS - 40 * MS, BASE + 5000, 100);
	assert_int_equal(cpu_lag_floor(&lag, 0, TIME_NS), BASE + 4900);
	assert_false(cpu_lag_around(&lag, 0, TIME_NS, &lowest, &highest));
	for (uint64_t i = 0; i < 3; i++)
		cpu_lag_add(&lag, 0, TIME_NS - 20 * MS + i, BASE + 6000, 100);
	assert_int_equal(cpu_lag_floor(&lag, 0, TIME_NS), BASE + 5900);
	assert_true(cpu_lag_around(&lag, 0, TIME_NS, &lowest, &highest));
	assert_in_range(highest, BASE + 6000, BASE + 19000);
	/* 65 s later its place is another's */
	cpu_lag_add(&lag, 0, TIME_NS - 20 * MS + CPU_LAG_WINDOWS * CPU_LAG_WINDOW_NS, BASE, 100);
	assert_int_equal(cpu_lag_floor(&lag, 0, TIME_NS), BASE + 4900);
}

static void every_switch_bounds_the_base_before_it_from_above(void **state)
{
	(void)state;
	cpu_lag_add(&lag, 0, TIME_NS + 6 * MS, BASE + 40000, CPU_LAG_UNBOUND);
	cpu_lag_add(&lag, 0, TIME_NS + 9 * MS, BASE + 150, CPU_LAG_UNBOUND);
	assert_int_equal(cpu_lag_ceiling(&lag, 0, TIME_NS, UINT64_MAX), BASE + 150);
	assert_int_equal(cpu_lag_ceiling(&lag, 0, TIME_NS, TIME_NS + 8 * MS), BASE + 40000);
}

/* So that a ledger does not tell when it was computed. */
static void what_comes_much_later_is_not_asked(void **state)
{
	(void)state;
	cpu_lag_add(&lag, 0, TIME_NS + 60 * MS, BASE, CPU_LAG_UNBOUND);
	assert_true(cpu_lag_ceiling(&lag, 0, TIME_NS, UINT64_MAX) == INT64_MAX);
}

static void a_sample_out_of_order_is_not_taken(void **state)
{
	(void)state;
	cpu_lag_add(&lag, 0, TIME_NS + 60 * MS, BASE, CPU_LAG_UNBOUND);
	cpu_lag_add(&lag, 0, TIME_NS - 60 * MS, BASE, 0);
	assert_true(cpu_lag_floor(&lag, 0, TIME_NS) == INT64_MIN);
}

/* Told what is stolen, the base hardly moves: a few that agree say where it is. */
static void those_that_agree_enclose_a_clock_that_drifts(void **state)
{
	int64_t lowest, highest;

	(void)state;
	cpu_lag_add(&lag, 0, TIME_NS - 30 * MS, BASE + 90, CPU_LAG_UNBOUND);
	assert_false(cpu_lag_around(&lag, 0, TIME_NS, &lowest, &highest));
	cpu_lag_add(&lag, 0, TIME_NS - 20 * MS, BASE + 30, CPU_LAG_UNBOUND);
	cpu_lag_add(&lag, 0, TIME_NS - 12 * MS, BASE + 40000, CPU_LAG_UNBOUND);
	cpu_lag_add(&lag, 0, TIME_NS - 10 * MS, BASE + 150, CPU_LAG_UNBOUND);
	assert_true(cpu_lag_around(&lag, 0, TIME_NS, &lowest, &highest));
	assert_true(lowest <= BASE && BASE <= highest);
	assert_true(highest - lowest < 50000); /* nothing is known of the drift */
	assert_false(cpu_lag_around(&lag, 1, TIME_NS, &lowest, &highest));
}

static void seconds_tell_how_fast_it_drifts(void **state)
{
	int64_t lowest, highest;

	(void)state;
	for (unsigned i = 0; i < 4000; i += 20)
		cpu_lag_add(&lag, 0, TIME_NS + i * MS, BASE + i / 10, CPU_LAG_UNBOUND);
	assert_true(cpu_lag_around(&lag, 0, TIME_NS + 4000 * MS, &lowest, &highest));
	assert_true(lowest <= BASE + 400 && BASE + 398 <= highest);
	assert_true(highest - lowest < 300);
}

/* The scheduler's clock lies BASE behind, and is read within `width`. */
static void read_at(uint64_t time_ns, int64_t base, uint64_t width_ns)
{
	cpu_lag_read(&lag, 0, time_ns - width_ns, time_ns - width_ns / 2 - (uint64_t)base, time_ns);
}

static void two_readings_enclose_what_is_between_them(void **state)
{
	struct cpu_lag_range base;

	(void)state;
	read_at(TIME_NS, BASE, 100);
	read_at(TIME_NS + 10 * MS, BASE + 400, 100);
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 4 * MS, UINT64_MAX, &base));
	assert_int_equal(base.lowest, BASE - 50);
	assert_int_equal(base.highest, BASE + 450);
	assert_false(cpu_lag_told(&lag, 1, TIME_NS + 4 * MS, UINT64_MAX, &base));
}

/* What came after the trace has settled must not count. */
static void a_reading_that_comes_too_late_is_not_asked(void **state)
{
	struct cpu_lag_range base;

	(void)state;
	read_at(TIME_NS, BASE, 100);
	read_at(TIME_NS + 10 * MS, BASE + 5000, 100);
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 4 * MS, TIME_NS + 9 * MS, &base));
	assert_int_equal(base.lowest, BASE - 50 - 2000); /* 500 us a second */
	assert_int_equal(base.highest, BASE + 50 + 2000);
	assert_false(cpu_lag_told(&lag, 0, TIME_NS + 4000 * MS, UINT64_MAX, &base));
}

static void the_nearer_of_two_that_are_far_apart_counts_and_their_rate(void **state)
{
	struct cpu_lag_range base;

	(void)state;
	read_at(TIME_NS, BASE, 100);
	read_at(TIME_NS + 1000 * MS, BASE + 9900, 100);
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 990 * MS, UINT64_MAX, &base));
	assert_int_equal(base.lowest, BASE + 9850 - 200);
	assert_int_equal(base.highest, BASE + 9950 + 200);
}

/* An interrupt made one reading take long: those before it tell where the clock is. */
static void readings_narrow_down_the_one_after_them(void **state)
{
	struct cpu_lag_range base;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		read_at(TIME_NS + 10 * i * MS, BASE, i == 199 ? 8000 : 200);
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 1985 * MS, UINT64_MAX, &base));
	assert_true(base.lowest <= BASE && BASE <= base.highest);
	assert_in_range(base.highest - base.lowest, 200, 600);
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 2100 * MS, UINT64_MAX, &base));
	assert_in_range(base.highest - base.lowest, 200, 3000);
}

/* A clock that begins to be slewed: those before it contradict the reading. */
static void readings_that_contradict_narrow_nothing_down(void **state)
{
	struct cpu_lag_range base;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		read_at(TIME_NS + 10 * i * MS, BASE, 200);
	read_at(TIME_NS + 2000 * MS, BASE + 5000, 1000);
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 1995 * MS, UINT64_MAX, &base));
	assert_true(base.lowest <= BASE + 100 && BASE + 5500 <= base.highest);
}

/* Two seconds without anybody: the rate over that time, not what it may be at most. */
static void readings_far_apart_enclose_what_lies_near_either(void **state)
{
	struct cpu_lag_range base;

	(void)state;
	read_at(TIME_NS, BASE, 1000);
	read_at(TIME_NS + 4000 * MS, BASE + 400, 1000);
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 2000 * MS, UINT64_MAX, &base));
	assert_true(base.lowest <= BASE && BASE + 400 <= base.highest);
	assert_in_range(base.highest - base.lowest, 1000, 3 * 1400);
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 3990 * MS, UINT64_MAX, &base));
	assert_in_range(base.highest - base.lowest, 1000, 1100);
}

/* The clocks of all CPUs run as one: so one that was not read for long is where it was, moved as
 * another one has moved; and where one was hardly read, others tell how fast. */
static void another_cpu_tells_how_a_clock_has_moved(void **state)
{
	struct cpu_lag_range base;

	(void)state;
	cpu_lag_read(&lag, 1, TIME_NS - 100, TIME_NS - 50 - 7000, TIME_NS);
	for (unsigned i = 0; i < 2000; i++)
		read_at(TIME_NS + 10 * i * MS, BASE + 10 * i, 100);
	assert_true(cpu_lag_told(&lag, 1, TIME_NS + 15000 * MS, UINT64_MAX, &base));
	assert_true(base.lowest <= 7000 + 15000 && 7000 + 15000 <= base.highest);
	assert_in_range(base.highest - base.lowest, 100, 400);
	cpu_lag_read(&lag, 1, TIME_NS + 19000 * MS - 100, TIME_NS + 19000 * MS - 50 - 26000,
		     TIME_NS + 19000 * MS);
	assert_true(cpu_lag_told(&lag, 1, TIME_NS + 19100 * MS, UINT64_MAX, &base));
	assert_true(base.lowest <= 26100 && 26100 <= base.highest);
	assert_in_range(base.highest - base.lowest, 100, 600);
}

static void the_oldest_readings_are_forgotten(void **state)
{
	struct cpu_lag_range base;

	(void)state;
	for (unsigned i = 0; i < CPU_LAG_READINGS + 100; i++)
		read_at(TIME_NS + 10 * i * MS, BASE + i, 100);
	assert_false(cpu_lag_told(&lag, 0, TIME_NS + 700 * MS, UINT64_MAX, &base));
	assert_true(cpu_lag_told(&lag, 0, TIME_NS + 1005 * MS, UINT64_MAX, &base));
	assert_int_equal(base.lowest, BASE + 100 - 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cpu_that_says_nothing_leaves_all_open),
		cmocka_unit_test_teardown(whoever_was_woken_bounds_the_later_base_from_below,
					  forget),
		cmocka_unit_test_teardown(a_floor_never_sinks, forget),
		cmocka_unit_test_teardown(what_is_told_after_a_question_counts_in_the_next_one,
					  forget),
		cmocka_unit_test_teardown(every_switch_bounds_the_base_before_it_from_above,
					  forget),
		cmocka_unit_test_teardown(what_comes_much_later_is_not_asked, forget),
		cmocka_unit_test_teardown(a_sample_out_of_order_is_not_taken, forget),
		cmocka_unit_test_teardown(those_that_agree_enclose_a_clock_that_drifts, forget),
		cmocka_unit_test_teardown(seconds_tell_how_fast_it_drifts, forget),
		cmocka_unit_test_teardown(two_readings_enclose_what_is_between_them, forget),
		cmocka_unit_test_teardown(a_reading_that_comes_too_late_is_not_asked, forget),
		cmocka_unit_test_teardown(
			the_nearer_of_two_that_are_far_apart_counts_and_their_rate, forget),
		cmocka_unit_test_teardown(readings_narrow_down_the_one_after_them, forget),
		cmocka_unit_test_teardown(readings_that_contradict_narrow_nothing_down, forget),
		cmocka_unit_test_teardown(readings_far_apart_enclose_what_lies_near_either, forget),
		cmocka_unit_test_teardown(another_cpu_tells_how_a_clock_has_moved, forget),
		cmocka_unit_test_teardown(the_oldest_readings_are_forgotten, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
