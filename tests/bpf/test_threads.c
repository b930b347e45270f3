/* SPDX-License-Identifier: Apache-2.0 */
/* The table of threads: none is lost in it, none takes over what another one left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "harness.h"

static struct harness harness;

/* As crowds.c plays them. */
#define MANY    20000
#define SERIES  500
#define ROUNDS  30
#define BLOCKED 8

struct sum {
	size_t born;  /* threads that began without a tag and with a CPU clock of 0 */
	size_t first; /* that began at all */
	size_t dead;  /* that ended at all */
	size_t ended; /* whose last record carries the span */
	size_t wrong; /* ... or another one; none: nobody looked after it was published */
};

static uint64_t span_out(const struct event_slice *slice)
{
	struct event_tails tails;

	assert_true(event_slice_tails(slice, &tails));
	return harness_span(tails.tag_out);
}

/* Of all threads but the subject's first one. */
static struct sum sum_up(uint64_t span)
{
	const struct event_header *record = NULL;
	struct sum sum = { 0 };

	while ((record = harness_next(&harness, record))) {
		const struct event_slice *slice = (const void *)record;

		if (record->kind != EVENT_SLICE || (int)slice->tid == harness.pid)
			continue;
		if (record->flags & EVENT_FIRST) {
			sum.first++;
			sum.born += record->flags & EVENT_TAG_IN_NONE && slice->exec_in_ns == 0;
		}
		if (record->flags & EVENT_DEAD) {
			sum.dead++;
			sum.ended += span_out(slice) == span;
			sum.wrong += span_out(slice) != span && span_out(slice) != 0;
		}
	}
	return sum;
}

/* A process can be waited for before all its threads have left their CPUs. */
static struct sum sum_up_ended(uint64_t span, size_t threads)
{
	struct timespec moment = { .tv_nsec = 10000000 };
	struct sum sum = sum_up(span);

	for (int tries = 0; tries < 3000 && sum.dead < threads; tries++) {
		nanosleep(&moment, NULL);
		harness_drain(&harness);
		sum = sum_up(span);
	}
	return sum;
}

/* This kernel leaves a switch out now and then; the chain check counts it. */
static void are_all_but_unreported(size_t found, size_t wanted)
{
	struct event_counters sum;
	uint64_t gaps;

	ring_counters(harness.ring, &sum);
	gaps = sum.lost[LOSS_SWITCH_IN] + sum.lost[LOSS_SWITCH_OUT] + sum.lost[LOSS_CPU_CHAIN];
	assert_true(found <= wanted && found + gaps >= wanted);
	assert_true(found + wanted / 20 >= wanted);
}

static void nothing_is_lost(void)
{
	struct event_counters sum;

	ring_counters(harness.ring, &sum);
	assert_int_equal(sum.lost[LOSS_STORAGE_FULL], 0);
	assert_int_equal(sum.lost[LOSS_RING_FULL], 0);
}

static void twenty_thousand_threads_have_their_places(void **state)
{
	(void)state;
	harness_open_small(&harness, 32768);
	harness_run(&harness, "many");
	nothing_is_lost();
	struct sum sum = sum_up_ended(8001, MANY);

	are_all_but_unreported(sum.first, MANY);
	are_all_but_unreported(sum.born, MANY);
	are_all_but_unreported(sum.dead, MANY);
	assert_int_equal(sum.wrong, 0);
	assert_true(sum.ended > MANY / 2);
}

/* The kernel gives the stack of one to the next. */
static void a_thread_on_the_stack_of_another_begins_anew(void **state)
{
	(void)state;
	harness_open_small(&harness, 8);
	harness_run(&harness, "series");
	nothing_is_lost();
	struct sum sum = sum_up_ended(8002, SERIES);

	are_all_but_unreported(sum.first, SERIES);
	are_all_but_unreported(sum.born, SERIES);
	are_all_but_unreported(sum.dead, SERIES);
	assert_int_equal(sum.wrong, 0);
	assert_true(sum.ended > SERIES / 2);
}

/* Thirty times more than the table holds at once. */
static void who_is_killed_while_it_waits_gives_its_place_back(void **state)
{
	(void)state;
	harness_open_small(&harness, 64);
	harness_run(&harness, "killed");
	nothing_is_lost();
	struct sum sum = sum_up_ended(8003, ROUNDS * BLOCKED);

	are_all_but_unreported(sum.first, ROUNDS * BLOCKED);
	are_all_but_unreported(sum.dead, ROUNDS * BLOCKED);
	assert_int_equal(sum.wrong, 0);
	assert_true(sum.ended > ROUNDS * BLOCKED / 2);
	assert_int_equal(harness_count(&harness, EVENT_EXIT, 0), ROUNDS + 1);
}

static void a_process_of_an_old_number_begins_anew(void **state)
{
	const struct event_slice *slice = NULL;
	uint64_t begins[2] = { 8004, 8005 };
	size_t processes = 0;

	(void)state;
	harness_open_small(&harness, 64);
	harness_run(&harness, "reused");
	nothing_is_lost();
	int pid = harness_named(&harness, "pid")->tid;

	while ((slice = harness_next_slice(&harness, pid, slice))) {
		if (slice->header.flags & EVENT_FIRST) {
			assert_true(processes < 2);
			assert_int_equal(slice->exec_in_ns, 0);
			assert_int_equal(slice->prev_out_ns, 0);
			processes++;
		}
		assert_true(processes > 0);
		if (slice->state != 0)
			assert_int_equal(span_out(slice), begins[processes - 1]);
	}
	assert_int_equal(processes, 2);
	assert_int_equal(harness_count(&harness, EVENT_EXIT, (uint32_t)pid), 2);
}

/* Most of them have no thread that found a place. */
static void that_a_process_is_over_is_told_of_whom_the_table_had_no_place_for(void **state)
{
	struct event_counters sum;

	(void)state;
	harness_open_small(&harness, 8);
	harness_run(&harness, "crowded");
	ring_counters(harness.ring, &sum);
	assert_true(sum.lost[LOSS_STORAGE_FULL] > 0);
	assert_int_equal(harness_count(&harness, EVENT_EXIT, 0), ROUNDS + 1);
}

static int close_harness(void **state)
{
	(void)state;
	harness_close(&harness);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(twenty_thousand_threads_have_their_places, close_harness),
		cmocka_unit_test_teardown(a_thread_on_the_stack_of_another_begins_anew,
					  close_harness),
		cmocka_unit_test_teardown(who_is_killed_while_it_waits_gives_its_place_back,
					  close_harness),
		cmocka_unit_test_teardown(a_process_of_an_old_number_begins_anew, close_harness),
		cmocka_unit_test_teardown(
			that_a_process_is_over_is_told_of_whom_the_table_had_no_place_for,
			close_harness),
	};

	harness_init(&harness, argc, argv);
	return harness_verdict(&harness, cmocka_run_group_tests(tests, NULL, NULL), argv);
}
