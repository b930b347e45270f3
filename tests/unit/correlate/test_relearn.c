/* SPDX-License-Identifier: Apache-2.0 */
/* What is learned of a process after its traces have settled. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX  202
#define S      (1000 * MS)
#define ENOUGH 250 /* spans seen on threads: that they take no turns is learned before */

static struct builder_thread main_thread, worker;

/* Span 1 of trace 1 runs from 1000 to 1010 ms, is told at `told` and settles. */
static void settle_one(struct builder *b, uint64_t told)
{
	main_thread = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	worker = (struct builder_thread){ .pid = BUILDER_PID, .tid = 12 };
	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &main_thread);
	builder_slice(b, &worker, 920 * MS, 920 * MS, 921 * MS, 0, 0, FUTEX);
	builder_slice(b, &main_thread, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, FUTEX);
	builder_slice(b, &main_thread, 1008 * MS, 1008 * MS, 1011 * MS, 0, 0, FUTEX);
	correlator_advance(b->correlator, told);
	builder_clock(b, told);
	builder_span(b, 1, 0, 1000 * MS, 1010 * MS);
	correlator_advance(b->correlator, told + 11 * S);
	assert_int_equal(builder_ledger(b, 1)->grade, GRADE_EXACT);
	assert_int_equal(builder_ledger(b, 1)->revision, 1);
}

/* The worker shows a span of `trace`. */
static void show(struct builder *b, uint64_t trace, uint64_t at)
{
	b->trace = trace;
	builder_slice(b, &worker, at, at, at + 100 * US, trace, 0, FUTEX);
}

static uint64_t show_many(struct builder *b, uint64_t first, uint64_t at)
{
	for (uint64_t i = 0; i < ENOUGH; i++, at += MS)
		show(b, first + i, at);
	return at;
}

static void a_lesson_settles_again_what_the_timelines_still_have(void **state)
{
	struct builder b;

	(void)state;
	settle_one(&b, 2 * S);
	correlator_advance(b.correlator, show_many(&b, 1000, 30 * S) + 2 * S);
	assert_int_equal(builder_ledger(&b, 1)->revision, 2);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void what_has_left_them_keeps_the_ledger_that_it_has(void **state)
{
	struct builder b;

	(void)state;
	settle_one(&b, 20 * S);
	correlator_advance(b.correlator, 65 * S);
	correlator_advance(b.correlator, show_many(&b, 1000, 65 * S) + 2 * S);
	assert_int_equal(builder_ledger(&b, 1)->revision, 1);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void turns_now_and_then_do_not_settle_all_again_each_time(void **state)
{
	struct builder b;

	(void)state;
	settle_one(&b, 2 * S);
	for (uint64_t i = 1; i <= 10; i++) {
		uint64_t at = show_many(&b, 1000 * i, (20 + 2 * i) * S);

		show(&b, 1000 * i, at);
		show(&b, 1000 * i + 1, at + MS);
		show(&b, 1000 * i, at + 2 * MS);
		correlator_advance(b.correlator, at + S);
	}
	assert_in_range(builder_ledger(&b, 1)->revision, 2, 3);
	correlator_free(b.correlator);
}

/* Span 1 of trace `trace`, 10 ms on the main thread; the worker runs meanwhile, with nothing to be
 * seen, or with that span. */
static void request(struct builder *b, uint64_t trace, bool is_lent)
{
	uint64_t at = 1000 * MS + trace * 20 * MS;

	b->trace = trace;
	builder_slice(b, &main_thread, at, at, at + MS, trace, 0, FUTEX);
	builder_slice(b, &worker, at + 2 * MS, at + 2 * MS, at + 3 * MS, is_lent ? trace : 0, 0,
		      FUTEX);
	builder_slice(b, &worker, at + 4 * MS, at + 4 * MS, at + 5 * MS, 0, 0, FUTEX);
	builder_slice(b, &main_thread, at + 9 * MS, at + 9 * MS, at + 11 * MS, 0, 0, FUTEX);
}

/* Nobody can ask in between. */
static void the_first_answers_know_what_those_right_after_them_show(void **state)
{
	struct builder b;

	(void)state;
	builder_begin_two(&b, &main_thread, &worker);
	for (uint64_t trace = 1; trace <= 3; trace++)
		request(&b, trace, trace == 3);
	builder_clock(&b, 3 * S);
	correlator_advance(b.correlator, 3 * S);
	for (uint64_t trace = 1; trace <= 3; trace++) {
		uint64_t at = 1000 * MS + trace * 20 * MS;

		b.trace = trace;
		builder_span(&b, trace, 0, at, at + 10 * MS);
	}
	correlator_advance(b.correlator, 3 * S + 10 * MS);
	assert_int_equal(builder_ledger(&b, 1)->revision, 2);
	for (uint64_t trace = 1; trace <= 2; trace++)
		assert_in_range(builder_ledger(&b, trace)->uncertain_ns, 2 * MS, 3 * MS);
	correlator_free(b.correlator);
}

static void tell_exit(struct builder *b)
{
	const struct event_life life = { .header = { .kind = EVENT_EXIT, .bytes = sizeof(life) },
					 .pid = BUILDER_PID,
					 .tid = 11,
					 .time_ns = 1021 * MS };

	assert_int_equal(correlator_record(b->correlator, &life.header), 0);
}

/* Trace 1, whose span has come, is all that is known of the process. */
static void begin_young(struct builder *b, bool has_worker)
{
	main_thread = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	worker = (struct builder_thread){ .pid = BUILDER_PID, .tid = 12 };
	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &main_thread);
	if (has_worker)
		builder_warm_up(b, &worker);
	builder_slice(b, &main_thread, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, FUTEX);
	builder_slice(b, &main_thread, 1008 * MS, 1008 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(b, 1, 0, 1000 * MS, 1010 * MS);
	builder_clock(b, 1100 * MS);
}

static void threads_have_a_second_to_show_what_they_do(void **state)
{
	struct builder b;

	(void)state;
	begin_young(&b, true);
	correlator_advance(b.correlator, 1100 * MS);
	assert_int_equal(b.count, 0);
	correlator_advance(b.correlator, 2010 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void one_thread_needs_none(void **state)
{
	struct builder b;

	(void)state;
	begin_young(&b, false);
	correlator_advance(b.correlator, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void who_has_ended_shows_nothing_more(void **state)
{
	struct builder b;

	(void)state;
	begin_young(&b, true);
	tell_exit(&b);
	correlator_advance(b.correlator, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* The worker shows a span within trace 2's root, and that never comes: what the process does with
 * such is known when trace 2 has waited for it. Trace 1 waits so long, for once. */
static void what_never_comes_is_waited_for_once(void **state)
{
	struct builder b;

	(void)state;
	begin_young(&b, true);
	b.trace = 2;
	builder_slice(&b, &main_thread, 1020 * MS, 1020 * MS, 1021 * MS, 2, 0, FUTEX);
	builder_slice(&b, &worker, 1022 * MS, 1022 * MS, 1023 * MS, 9, 0, FUTEX);
	builder_slice(&b, &worker, 1024 * MS, 1024 * MS, 1025 * MS, 0, 0, FUTEX);
	builder_slice(&b, &main_thread, 1028 * MS, 1028 * MS, 1031 * MS, 0, 0, FUTEX);
	builder_span(&b, 2, 0, 1020 * MS, 1030 * MS);
	correlator_advance(b.correlator, 1100 * MS);
	builder_clock(&b, 13 * S);
	correlator_advance(b.correlator, 5 * S);
	assert_int_equal(b.count, 0);
	correlator_advance(b.correlator, 12 * S);
	assert_int_equal(b.count, 2);
	assert_int_equal(builder_ledger(&b, 1)->revision, 2); /* told by trace 2 at once */
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lesson_settles_again_what_the_timelines_still_have),
		cmocka_unit_test(what_has_left_them_keeps_the_ledger_that_it_has),
		cmocka_unit_test(turns_now_and_then_do_not_settle_all_again_each_time),
		cmocka_unit_test(the_first_answers_know_what_those_right_after_them_show),
		cmocka_unit_test(threads_have_a_second_to_show_what_they_do),
		cmocka_unit_test(one_thread_needs_none),
		cmocka_unit_test(who_has_ended_shows_nothing_more),
		cmocka_unit_test(what_never_comes_is_waited_for_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
