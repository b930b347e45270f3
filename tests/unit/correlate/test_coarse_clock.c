/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "correlate/coarse_clock.h"
#include "world_builder.h"

#define TICK     (4 * MS)
#define EPOCH    BUILDER_EPOCH_NS
#define RECVFROM 45
#define FUTEX    202

static struct coarse_clock clock;

static void start(void)
{
	memset(&clock, 0, sizeof(clock));
}

/* The kernel's tick is a little off, as the time of day is slewed. */
static uint64_t told(uint64_t number)
{
	return EPOCH + number * (TICK + 200);
}

static void times_between_two_readings_are_known(void **state)
{
	(void)state;
	start();
	coarse_clock_add(&clock, told(5), TICK);
	coarse_clock_add(&clock, told(10), TICK);
	for (uint64_t i = 5; i <= 10; i++)
		assert_int_equal(coarse_clock_tick(&clock, told(i)), TICK);
	assert_int_equal(coarse_clock_tick(&clock, told(7) + 1), TICK);
	assert_int_equal(coarse_clock_tick(&clock, told(7) - 1), TICK);
	assert_int_equal(coarse_clock_tick(&clock, told(7) + US), 0);
	assert_int_equal(coarse_clock_tick(&clock, told(7) - US), 0);
	assert_int_equal(coarse_clock_tick(&clock, told(7) + TICK / 2), 0);
	assert_int_equal(coarse_clock_tick(&clock, told(4)), 0);
	assert_int_equal(coarse_clock_tick(&clock, told(11)), 0);
}

static void nothing_is_known_where_it_was_not_read_for_long(void **state)
{
	(void)state;
	start();
	assert_int_equal(coarse_clock_tick(&clock, told(1)), 0);
	coarse_clock_add(&clock, told(5), TICK);
	coarse_clock_add(&clock, told(500), TICK);
	assert_int_equal(coarse_clock_tick(&clock, told(5)), TICK);
	assert_int_equal(coarse_clock_tick(&clock, told(100)), 0);
	assert_int_equal(coarse_clock_tick(&clock, told(500)), TICK);
}

static void a_time_of_day_that_was_set_back_forgets_what_was(void **state)
{
	(void)state;
	start();
	coarse_clock_add(&clock, told(5), TICK);
	coarse_clock_add(&clock, told(10), TICK);
	coarse_clock_add(&clock, told(2) + US, TICK);
	coarse_clock_add(&clock, told(7) + US, TICK);
	assert_int_equal(coarse_clock_tick(&clock, told(6)), 0);
	assert_int_equal(coarse_clock_tick(&clock, told(6) + US), TICK);
}

static void ticks_that_no_timer_has_are_ignored(void **state)
{
	(void)state;
	start();
	coarse_clock_add(&clock, told(5), 0);
	coarse_clock_add(&clock, told(5), 1);
	coarse_clock_add(&clock, told(5), NS_PER_SEC);
	assert_int_equal(coarse_clock_tick(&clock, told(5)), 0);
}

static void the_oldest_are_forgotten(void **state)
{
	const uint64_t last = COARSE_CLOCK_READINGS + 9;

	(void)state;
	start();
	for (uint64_t i = 0; i <= last; i++)
		coarse_clock_add(&clock, told(i), TICK);
	assert_int_equal(coarse_clock_tick(&clock, told(9)), 0);
	assert_int_equal(coarse_clock_tick(&clock, told(10)), TICK);
	assert_int_equal(coarse_clock_tick(&clock, told(last)), TICK);
}

/* A trace of one span, which ran from 1000 to 1002 ms and from 1005 on; ticks lie at even multiples
 * of 4 ms and 37 ns. */
static uint64_t uncertain_of(uint64_t start_ns, uint64_t end_ns)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;
	uint64_t uncertain_ns;

	builder_init(&b);
	for (uint64_t at = 100 * MS; at < 1100 * MS; at += 20 * MS) {
		builder_clock(&b, at + 37 + MS);
		correlator_coarse_clock(b.correlator, EPOCH + at + 37, TICK);
	}
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1005 * MS, 1005 * MS, 1030 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, start_ns, end_ns);
	builder_clock(&b, 1200 * MS);
	correlator_advance(b.correlator, 3100 * MS);
	correlator_settle_all(b.correlator);
	uncertain_ns = builder_ledger(&b, 1)->uncertain_ns;
	correlator_free(b.correlator);
	return uncertain_ns;
}

static void a_span_of_such_times_may_be_off_by_a_tick(void **state)
{
	(void)state;
	assert_true(uncertain_of(1000 * MS + 37, 1028 * MS + 37) >= TICK);
}

/* Else its clock told more than ticks. */
static void a_span_with_one_such_time_is_as_sure_as_others(void **state)
{
	(void)state;
	assert_true(uncertain_of(1000 * MS + 37, 1027 * MS + 41 * US) < 10 * US);
	assert_true(uncertain_of(1000 * MS + 41 * US, 1028 * MS + 37) < 10 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_between_two_readings_are_known),
		cmocka_unit_test(nothing_is_known_where_it_was_not_read_for_long),
		cmocka_unit_test(a_time_of_day_that_was_set_back_forgets_what_was),
		cmocka_unit_test(ticks_that_no_timer_has_are_ignored),
		cmocka_unit_test(the_oldest_are_forgotten),
		cmocka_unit_test(a_span_of_such_times_may_be_off_by_a_tick),
		cmocka_unit_test(a_span_with_one_such_time_is_as_sure_as_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
