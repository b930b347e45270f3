/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/clock_map.h"

#define SEC   NS_PER_SEC
#define EPOCH (1763798400ull * SEC)

static struct clock_map map;

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

/* A clock that knows its truth: realtime as a function of the monotonic time. */
struct truth {
	uint64_t from_ns; /* the rate or the offset changes here */
	int64_t offset_ns;
	int64_t ppb;
};

static uint64_t unix_at(const struct truth *truth, size_t count, uint64_t mono_ns)
{
	size_t i = count - 1;

	while (i > 0 && truth[i].from_ns > mono_ns)
		i--;
	return EPOCH + mono_ns + truth[i].offset_ns +
	       (int64_t)((__int128)(int64_t)(mono_ns - truth[i].from_ns) * truth[i].ppb /
			 1000000000);
}

/* One reading: realtime is read anywhere inside the bracket. */
static void read_clock(const struct truth *truth, size_t count, uint64_t mono_ns,
		       uint64_t bracket_ns)
{
	uint64_t at_ns = mono_ns + random_below(bracket_ns + 1);

	clock_map_add(&map, mono_ns, unix_at(truth, count, at_ns), mono_ns + bracket_ns);
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void assert_unix(uint64_t mono_ns, uint64_t expected, uint64_t max_bound_ns)
{
	uint64_t ns, bound_ns;

	assert_true(clock_map_to_unix(&map, mono_ns, &ns, &bound_ns));
	if (difference(ns, expected) > bound_ns || bound_ns > max_bound_ns)
		fail_msg("mono %llu: off by %llu, bound %llu, at most %llu",
			 (unsigned long long)mono_ns, (unsigned long long)difference(ns, expected),
			 (unsigned long long)bound_ns, (unsigned long long)max_bound_ns);
}

static void assert_mono(uint64_t unix_ns, uint64_t expected, uint64_t max_bound_ns)
{
	uint64_t ns, bound_ns;

	assert_true(clock_map_to_mono(&map, unix_ns, &ns, &bound_ns));
	if (difference(ns, expected) > bound_ns || bound_ns > max_bound_ns)
		fail_msg("unix %llu: off by %llu, bound %llu, at most %llu",
			 (unsigned long long)unix_ns, (unsigned long long)difference(ns, expected),
			 (unsigned long long)bound_ns, (unsigned long long)max_bound_ns);
}

static int start(void **unused)
{
	(void)unused;
	random_state = 0x9e3779b97f4a7c15;
	clock_map_init(&map);
	return 0;
}

static void without_a_reading_nothing_is_said(void **unused)
{
	uint64_t ns = 7, bound_ns = 8;

	(void)unused;
	assert_false(clock_map_to_mono(&map, EPOCH, &ns, &bound_ns));
	assert_false(clock_map_to_unix(&map, SEC, &ns, &bound_ns));
	assert_int_equal(ns, 7);
	assert_int_equal(bound_ns, 8);
}

static void an_even_slew_costs_no_more_than_the_bracket(void **unused)
{
	static const struct truth truth[] = { { 0, 12345, 400000 } }; /* 400 ppm */

	(void)unused;
	for (uint64_t i = 1; i <= 100; i++)
		clock_map_add(&map, i * SEC - 50, unix_at(truth, 1, i * SEC), i * SEC + 50);
	for (uint64_t ns = SEC; ns < 100 * SEC; ns += SEC / 7) {
		assert_unix(ns, unix_at(truth, 1, ns), 55);
		assert_mono(unix_at(truth, 1, ns), ns, 55);
	}
	assert_int_equal(map.steps, 0);
}

static void a_change_of_rate_between_two_readings_is_covered(void **unused)
{
	static const struct truth truth[] = {
		{ 0, 0, 0 },
		{ 10 * SEC + SEC / 2, 0, 20000 },
	};

	(void)unused;
	for (uint64_t i = 1; i <= 20; i++)
		clock_map_add(&map, i * SEC - 20, unix_at(truth, 2, i * SEC), i * SEC + 20);
	for (uint64_t ns = SEC; ns < 20 * SEC; ns += SEC / 9) {
		assert_unix(ns, unix_at(truth, 2, ns), 20100);
		assert_mono(unix_at(truth, 2, ns), ns, 20100);
	}
	assert_unix(5 * SEC + 1, unix_at(truth, 2, 5 * SEC + 1), 25);
}

static void outside_of_the_readings_the_bound_grows_by_the_slew(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 } };

	(void)unused;
	for (uint64_t i = 100; i <= 110; i++)
		clock_map_add(&map, i * SEC, unix_at(truth, 1, i * SEC), i * SEC);
	assert_unix(111 * SEC, EPOCH + 111 * SEC, 500001);
	assert_mono(EPOCH + 111 * SEC, 111 * SEC, 500001);
	assert_unix(90 * SEC, EPOCH + 90 * SEC, 5000001);
	assert_mono(EPOCH + 90 * SEC, 90 * SEC, 5000001);
	assert_mono(EPOCH + 210 * SEC, 210 * SEC, 50000001);
}

static void a_single_reading_is_enough(void **unused)
{
	(void)unused;
	clock_map_add(&map, 100 * SEC, EPOCH, 100 * SEC + 100);
	assert_unix(100 * SEC + 50, EPOCH, 52);
	assert_mono(EPOCH + SEC, 101 * SEC + 50, 500060);
}

static void a_step_forward_is_ambiguous_only_between_its_readings(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 }, { 10 * SEC + 300000000, 200000000, 0 } };
	uint64_t ns, bound_ns;

	(void)unused;
	for (uint64_t i = 1; i <= 20; i++)
		clock_map_add(&map, i * SEC, unix_at(truth, 2, i * SEC), i * SEC);
	assert_int_equal(map.steps, 1);
	for (ns = SEC; ns <= 20 * SEC; ns += SEC / 10) {
		uint64_t max_bound_ns = ns > 10 * SEC && ns < 11 * SEC ? 200600000 : 2;

		assert_unix(ns, unix_at(truth, 2, ns), max_bound_ns);
		assert_mono(unix_at(truth, 2, ns), ns, max_bound_ns);
	}
	/* skipped by the step */
	assert_true(clock_map_to_mono(&map, EPOCH + 10 * SEC + 400000000, &ns, &bound_ns));
	assert_true(ns >= 10 * SEC && ns <= 11 * SEC && bound_ns >= 200000000);
}

static void a_time_skipped_by_a_long_step_lies_behind_it(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 }, { 10 * SEC + 1, 3600 * SEC, 0 } };
	uint64_t ns, bound_ns;

	(void)unused;
	for (uint64_t i = 1; i <= 20; i++)
		clock_map_add(&map, i * SEC, unix_at(truth, 2, i * SEC), i * SEC);
	assert_true(clock_map_to_mono(&map, EPOCH + 1800 * SEC, &ns, &bound_ns));
	assert_int_equal(ns, 11 * SEC);
	assert_int_equal(bound_ns, SEC); /* not an hour: it was within that second */
	assert_mono(EPOCH + 5 * SEC + 1, 5 * SEC + 1, 2);
	assert_mono(EPOCH + 3615 * SEC + 1, 15 * SEC + 1, 2);
}

static void a_time_that_came_twice_is_the_later_one(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 }, { 10 * SEC + 500000000, -5 * SEC, 0 } };
	uint64_t ns, bound_ns;

	(void)unused;
	for (uint64_t i = 1; i <= 30; i++)
		clock_map_add(&map, i * SEC, unix_at(truth, 2, i * SEC), i * SEC);
	assert_int_equal(map.steps, 1);
	assert_mono(EPOCH + 5 * SEC + 1, 5 * SEC + 1, 5 * SEC + 600000); /* within the gap */
	assert_mono(EPOCH + 8 * SEC + 1, 13 * SEC + 1, 2);
	assert_mono(EPOCH + 4 * SEC + 1, 4 * SEC + 1, 2);
	assert_unix(8 * SEC + 1, EPOCH + 8 * SEC + 1, 2);
	assert_unix(13 * SEC + 1, EPOCH + 8 * SEC + 1, 2);
	assert_true(clock_map_to_unix(&map, 10 * SEC + 100, &ns, &bound_ns));
	assert_true(bound_ns >= 5 * SEC);
}

static void a_time_from_before_a_step_back_is_not_in_the_future(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 }, { 10 * SEC + 1, -3600 * SEC, 0 } };

	(void)unused;
	for (uint64_t i = 1; i <= 12; i++)
		clock_map_add(&map, i * SEC, unix_at(truth, 2, i * SEC), i * SEC);
	assert_mono(EPOCH + 9 * SEC + 1, 9 * SEC + 1, 2);
	assert_mono(EPOCH + 13 * SEC - 3600 * SEC, 13 * SEC, 500002);
}

static void close_readings_replace_the_last_one(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 } };

	(void)unused;
	for (uint64_t ns = SEC; ns <= 11 * SEC; ns += 1000000)
		read_clock(truth, 1, ns, 40);
	assert_true(map.count <= 24);
	assert_int_equal(map.steps, 0);
	assert_mono(EPOCH + 11 * SEC + 100000, 11 * SEC + 100000, 120);
}

/* Between two pairs that would lie half a second apart, were the clock even. */
static void slews_that_cancel_out_between_readings_that_stay_are_seen(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 },
					      { 2 * SEC + 53000000, 0, 500000 },
					      { 2 * SEC + 153000000, 50000, -500000 },
					      { 2 * SEC + 253000000, 0, 0 } };

	(void)unused;
	for (uint64_t ns = SEC; ns <= 4 * SEC; ns += 10000000)
		clock_map_add(&map, ns - 20, unix_at(truth, ARRAY_LEN(truth), ns), ns + 20);
	assert_int_equal(map.steps, 0);
	for (uint64_t ns = SEC; ns < 4 * SEC; ns += 777777) {
		assert_unix(ns, unix_at(truth, ARRAY_LEN(truth), ns), 11000);
		assert_mono(unix_at(truth, ARRAY_LEN(truth), ns), ns, 11000);
	}
	assert_unix(2 * SEC + 20000001, EPOCH + 2 * SEC + 20000001, 200);
	assert_unix(3 * SEC + 1, EPOCH + 3 * SEC + 1, 200);
}

/* Else the error of two close readings would be that of a rate over a long time. */
static void what_two_close_readings_stray_is_not_taken_for_a_slew(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 } };

	(void)unused;
	for (uint64_t ns = SEC; ns <= 5 * SEC; ns += 10000000) {
		read_clock(truth, 1, ns, 60);
		if (ns > 2 * SEC)
			assert_mono(EPOCH + ns - SEC / 4, ns - SEC / 4, 250);
	}
}

/* One that took long in between tells nothing, and does not hide it. */
static void readings_too_wide_to_tell_leave_what_is_between_in_doubt(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 },
					      { SEC + 53000000, 0, 500000 },
					      { SEC + 63000000, 5000, -500000 },
					      { SEC + 73000000, 0, 500000 },
					      { SEC + 500000000, 213500, 0 } };

	(void)unused;
	for (uint64_t ns = SEC; ns <= 4 * SEC; ns += 10000000) {
		uint64_t bracket_ns = ns > SEC + 50000000 && ns < SEC + 75000000 ? 8000 : 40;

		read_clock(truth, ARRAY_LEN(truth), ns, bracket_ns);
	}
	for (uint64_t ns = SEC; ns < 4 * SEC; ns += 777777)
		assert_unix(ns, unix_at(truth, ARRAY_LEN(truth), ns), 40000);
}

static void a_wide_bracket_does_not_spoil_a_narrow_one(void **unused)
{
	(void)unused;
	clock_map_add(&map, 10 * SEC, EPOCH, 10 * SEC + 20);
	clock_map_add(&map, 11 * SEC, EPOCH + SEC, 11 * SEC + 20);
	clock_map_add(&map, 11 * SEC + 1000000, EPOCH + SEC + 2000000, 11 * SEC + 9000000);
	assert_int_equal(map.refused, 1);
	assert_int_equal(map.steps, 0);
	assert_mono(EPOCH + SEC, 11 * SEC + 10, 12);
}

static void readings_that_make_no_sense_are_refused(void **unused)
{
	(void)unused;
	clock_map_add(&map, 100, EPOCH, 99);
	clock_map_add(&map, 100, EPOCH, 101 + SEC);
	clock_map_add(&map, UINT64_MAX - 1, EPOCH, UINT64_MAX);
	clock_map_add(&map, 100, UINT64_MAX, 110);
	assert_int_equal(map.refused, 4);
	assert_int_equal(map.count, 0);
	clock_map_add(&map, SEC, EPOCH, SEC);
	clock_map_add(&map, SEC, EPOCH, SEC);
	clock_map_add(&map, SEC - 1, EPOCH, SEC - 1);
	assert_int_equal(map.refused, 6);
	assert_int_equal(map.count, 1);
}

static void results_that_do_not_fit_are_refused(void **unused)
{
	uint64_t ns, bound_ns;

	(void)unused;
	clock_map_add(&map, 100 * SEC, EPOCH, 100 * SEC);
	assert_false(clock_map_to_mono(&map, 0, &ns, &bound_ns));
	assert_false(clock_map_to_unix(&map, UINT64_MAX, &ns, &bound_ns));
	assert_true(clock_map_to_mono(&map, UINT64_MAX, &ns, &bound_ns));
	assert_true(clock_map_to_unix(&map, 0, &ns, &bound_ns));
}

static void time_never_runs_back_inside_of_a_segment(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 300000 },
					      { 30 * SEC, 9000000, -450000 },
					      { 60 * SEC, -4500000, 20000 } };
	uint64_t last_mono_ns = 0, last_unix_ns = 0, mono_ns, unix_ns, bound_ns;

	(void)unused;
	for (uint64_t i = 1; i <= 100; i++)
		read_clock(truth, 3, i * SEC, random_below(2000));
	assert_int_equal(map.steps, 0);
	for (uint64_t ns = SEC / 2; ns < 102 * SEC; ns += SEC / 101) {
		assert_true(clock_map_to_unix(&map, ns, &unix_ns, &bound_ns));
		assert_true(unix_ns > last_unix_ns);
		last_unix_ns = unix_ns;
		assert_true(clock_map_to_mono(&map, unix_ns, &mono_ns, &bound_ns));
		assert_true(difference(mono_ns, ns) <= 2);
		assert_true(mono_ns > last_mono_ns);
		last_mono_ns = mono_ns;
	}
}

static void a_full_map_thins_its_past_and_still_tells_the_truth(void **unused)
{
	static struct truth truth[400];
	uint64_t seconds = 20000;

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(truth); i++) {
		truth[i].from_ns = i * 50 * SEC;
		truth[i].ppb = (int64_t)random_below(2000) - 1000;
		if (i > 0)
			truth[i].offset_ns = truth[i - 1].offset_ns + 50 * truth[i - 1].ppb;
	}
	for (uint64_t i = 1; i <= seconds; i++)
		read_clock(truth, ARRAY_LEN(truth), i * SEC, 60);
	assert_true(map.count <= CLOCK_MAP_PAIRS);
	assert_true(map.pairs[0].mono_ns < 2 * SEC);
	for (uint64_t ns = 2 * SEC; ns < seconds * SEC; ns += 7 * SEC + 1234567)
		assert_mono(unix_at(truth, ARRAY_LEN(truth), ns), ns, SEC);
	for (uint64_t ns = (seconds - 2000) * SEC; ns < seconds * SEC; ns += 7 * SEC + 1234567)
		assert_mono(unix_at(truth, ARRAY_LEN(truth), ns), ns, 2500);
}

static void steps_alone_do_not_overflow_the_map(void **unused)
{
	uint64_t ns, bound_ns;

	(void)unused;
	for (uint64_t i = 1; i <= 3 * CLOCK_MAP_PAIRS; i++)
		clock_map_add(&map, i * SEC, EPOCH + i * SEC + (i & 1) * 100000000, i * SEC);
	assert_int_equal(map.steps, 3 * CLOCK_MAP_PAIRS - 1);
	assert_true(map.count <= CLOCK_MAP_PAIRS);
	assert_true(clock_map_to_mono(&map, map.pairs[7].unix_ns, &ns, &bound_ns));
	assert_true(difference(ns, map.pairs[7].mono_ns) <= bound_ns);
}

/* Steps, slews and brackets by chance, forward steps only: a time then comes at most once, and no
 * conversion may be further off than it says. */
static void no_conversion_is_further_off_than_its_bound(void **unused)
{
	struct truth truth[30];

	(void)unused;
	for (int round = 0; round < 50; round++) {
		clock_map_init(&map);
		for (size_t i = 0; i < ARRAY_LEN(truth); i++) {
			truth[i] = (struct truth){ i * 10 * SEC + random_below(SEC), 0,
						   (int64_t)random_below(400000) - 200000 };
			if (i == 0)
				continue;
			truth[i].offset_ns = truth[i - 1].offset_ns +
					     (int64_t)(truth[i].from_ns - truth[i - 1].from_ns) /
						     1000 * truth[i - 1].ppb / 1000000;
			if (random_below(3) == 0)
				truth[i].offset_ns += random_below(1ull << random_below(42));
		}
		for (uint64_t i = 1; i <= 300; i++)
			read_clock(truth, ARRAY_LEN(truth), i * SEC, random_below(5000));
		for (uint64_t ns = SEC; ns < 301 * SEC; ns += SEC / 3 + 7) {
			assert_unix(ns, unix_at(truth, ARRAY_LEN(truth), ns), UINT64_MAX);
			assert_mono(unix_at(truth, ARRAY_LEN(truth), ns), ns, UINT64_MAX);
		}
	}
}

static void assert_history(int64_t from_ns, int64_t to_ns, int64_t least_ns, int64_t most_ns)
{
	struct clock_range within = { (int64_t)EPOCH + from_ns, (int64_t)EPOCH + to_ns }, was;

	assert_true(clock_map_history(&map, &within, &was));
	assert_int_equal(was.least_ns - (int64_t)EPOCH, least_ns);
	assert_int_equal(was.most_ns - (int64_t)EPOCH, most_ns);
}

static void the_history_tells_what_the_time_of_day_was_before_it_was_set(void **unused)
{
	static const struct truth truth[] = { { 0, 0, 0 },
					      { 10 * SEC, 200000000, 0 },
					      { 20 * SEC, -300000000, 0 } };
	struct clock_range nowhere = { (int64_t)EPOCH + 1, (int64_t)EPOCH + 1000 }, was;

	(void)unused;
	assert_false(clock_map_history(&map, &nowhere, &was));
	for (uint64_t i = 1; i <= 30; i++)
		clock_map_add(&map, i * SEC, unix_at(truth, ARRAY_LEN(truth), i * SEC), i * SEC);
	assert_history(-SEC, SEC, -300000000, 200000000);
	assert_history(-1000, SEC, 0, 200000000);
	assert_history(-1000, 1000, 0, 0);
	assert_false(clock_map_history(&map, &nowhere, &was));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_history_tells_what_the_time_of_day_was_before_it_was_set,
				       start),
		cmocka_unit_test_setup(without_a_reading_nothing_is_said, start),
		cmocka_unit_test_setup(an_even_slew_costs_no_more_than_the_bracket, start),
		cmocka_unit_test_setup(a_change_of_rate_between_two_readings_is_covered, start),
		cmocka_unit_test_setup(outside_of_the_readings_the_bound_grows_by_the_slew, start),
		cmocka_unit_test_setup(a_single_reading_is_enough, start),
		cmocka_unit_test_setup(a_step_forward_is_ambiguous_only_between_its_readings,
				       start),
		cmocka_unit_test_setup(a_time_skipped_by_a_long_step_lies_behind_it, start),
		cmocka_unit_test_setup(a_time_that_came_twice_is_the_later_one, start),
		cmocka_unit_test_setup(a_time_from_before_a_step_back_is_not_in_the_future, start),
		cmocka_unit_test_setup(close_readings_replace_the_last_one, start),
		cmocka_unit_test_setup(slews_that_cancel_out_between_readings_that_stay_are_seen,
				       start),
		cmocka_unit_test_setup(what_two_close_readings_stray_is_not_taken_for_a_slew,
				       start),
		cmocka_unit_test_setup(readings_too_wide_to_tell_leave_what_is_between_in_doubt,
				       start),
		cmocka_unit_test_setup(a_wide_bracket_does_not_spoil_a_narrow_one, start),
		cmocka_unit_test_setup(readings_that_make_no_sense_are_refused, start),
		cmocka_unit_test_setup(results_that_do_not_fit_are_refused, start),
		cmocka_unit_test_setup(time_never_runs_back_inside_of_a_segment, start),
		cmocka_unit_test_setup(a_full_map_thins_its_past_and_still_tells_the_truth, start),
		cmocka_unit_test_setup(steps_alone_do_not_overflow_the_map, start),
		cmocka_unit_test_setup(no_conversion_is_further_off_than_its_bound, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
