/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread tells of its tag's changes, and when it is believed. */
#include "tests/unit/correlate/turns_builder.h"

static void turns_that_were_told_are_cut_to_the_nanosecond(void **state)
{
	const struct ledger *a, *of_b;
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, turns, 5, 1);
	slice(&b, &t, EVENT_TOLD | EVENT_CHANGED);
	end(&b);
	a = builder_ledger(&b, A);
	of_b = builder_ledger(&b, B);
	assert_int_equal(a->cpu_ns, 4 * MS);
	assert_int_equal(a->all.running_ns, 4 * MS);
	assert_int_equal(a->all.elsewhere_ns, 1 * MS);
	assert_int_equal(of_b->cpu_ns, 3 * MS);
	assert_int_equal(of_b->all.elsewhere_ns, 5 * MS);
	assert_true(a->uncertain_ns >= 3 * 2000 && a->uncertain_ns < 20 * US);
	assert_true(of_b->uncertain_ns >= 3 * 2000 && of_b->uncertain_ns < 20 * US);
	assert_int_equal(refused(&b), 0);
	correlator_free(b.correlator);
}

static void changes_may_come_in_several_records(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, turns, 2, 1);
	tell(&b, t.tid, turns + 2, 3, 0);
	slice(&b, &t, EVENT_TOLD | EVENT_CHANGED);
	end(&b);
	assert_int_equal(builder_ledger(&b, A)->cpu_ns, 4 * MS);
	assert_int_equal(builder_ledger(&b, B)->cpu_ns, 3 * MS);
	correlator_free(b.correlator);
}

/* The log tells of what the thread did, whoever saw it come in. */
static void a_slice_of_which_nobody_saw_the_beginning_is_told_all_the_same(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, turns, 5, 1);
	slice(&b, &t, EVENT_TOLD | EVENT_CHANGED | EVENT_IN_LOST);
	end(&b);
	assert_int_equal(builder_ledger(&b, A)->cpu_ns, 4 * MS);
	assert_int_equal(builder_ledger(&b, B)->cpu_ns, 3 * MS);
	assert_true(builder_ledger(&b, A)->uncertain_ns < 1 * MS);
	assert_int_equal(refused(&b), 0);
	correlator_free(b.correlator);
}

/* The slice that they belonged to was lost. */
static void changes_of_an_earlier_slice_are_forgotten(void **state)
{
	static const struct turn old[] = { { 950 * MS, A }, { 960 * MS, 0 } };
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, old, 2, 1);
	tell(&b, t.tid, turns, 5, 1);
	slice(&b, &t, EVENT_TOLD | EVENT_CHANGED);
	end(&b);
	assert_int_equal(builder_ledger(&b, A)->cpu_ns, 4 * MS);
	assert_int_equal(refused(&b), 0);
	correlator_free(b.correlator);
}

/* All of what is told makes no sense: only the tags at both ends count, and that is owned up to. */
static void refuses(const struct turn *told, uint32_t count, uint32_t flags)
{
	struct builder_thread t;
	struct builder b;

	begin(&b, &t);
	if (count)
		tell(&b, t.tid, told, count, 1);
	slice(&b, &t, flags);
	end(&b);
	assert_int_equal(refused(&b), 1);
	assert_true(builder_ledger(&b, A)->uncertain_ns >= 1 * MS);
	assert_true(builder_ledger(&b, B)->uncertain_ns >= 1 * MS);
	correlator_free(b.correlator);
}

static void what_does_not_fit_the_slice_is_refused(void **state)
{
	static const struct turn another_tag[] = { { 1001 * MS, A } };
	static const struct turn backwards[] = { { 1003 * MS, A }, { 1002 * MS, B } };
	static const struct turn too_late[] = { { 1001 * MS, A }, { 1012 * MS, B } };
	static const struct turn too_early[] = { { 1 * MS, A }, { 1002 * MS, B } };

	(void)state;
	refuses(another_tag, 1, EVENT_TOLD | EVENT_CHANGED);
	refuses(backwards, 2, EVENT_TOLD | EVENT_CHANGED);
	refuses(too_late, 2, EVENT_TOLD | EVENT_CHANGED);
	refuses(too_early, 2, EVENT_TOLD | EVENT_CHANGED);
	refuses(NULL, 0, EVENT_TOLD | EVENT_CHANGED);
	refuses(NULL, 0, EVENT_TOLD); /* nothing changed, but the tags differ */
	refuses(turns, 5, EVENT_TOLD);
}

/* The clock was read, then the thread had to leave its CPU: it came back as what it had left. */
static void play_interrupted(struct builder *b, struct builder_thread *t)
{
	static const struct turn late[] = { { 1009 * MS + 999 * US, B } };

	begin(b, t);
	tell(b, t->tid, turns, 1, 1);
	builder_slice(b, t, 1000 * MS, 1000 * MS, 1010 * MS, A,
		      EVENT_TOLD | EVENT_CHANGED | EVENT_PREEMPTED, -1);
	tell(b, t->tid, late, 1, 1);
	builder_slice(b, t, 0, 1015 * MS, 1020 * MS, B, EVENT_TOLD | EVENT_CHANGED, -1);
	builder_slice(b, t, 1030 * MS, 1030 * MS, 1031 * MS, 0, 0, FUTEX);
}

static void end_interrupted(struct builder *b, uint64_t now)
{
	builder_clock(b, now);
	correlator_advance(b->correlator, now);
	builder_span(b, A, 0, 1001 * MS, 1018 * MS);
	builder_span(b, B, 0, 1010 * MS, 1018 * MS);
	builder_clock(b, now + 500 * MS);
	correlator_settle_all(b->correlator);
	assert_int_equal(builder_ledger(b, A)->all.runnable_ns, 5 * MS);
	assert_int_equal(builder_ledger(b, B)->all.runnable_ns, 0);
	assert_int_equal(refused(b), 0);
	correlator_free(b->correlator);
}

static void a_change_that_was_interrupted_counts_from_the_next_slice_on(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	play_interrupted(&b, &t);
	end_interrupted(&b, 3000 * MS);
	assert_in_range(builder_ledger(&b, A)->all.running_ns, 9 * MS, 9 * MS + 1);
	assert_in_range(builder_ledger(&b, B)->all.running_ns, 3 * MS - 1, 3 * MS);
}

static void nor_does_it_when_it_has_left_the_timeline(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	play_interrupted(&b, &t);
	for (uint64_t at = 2000 * MS; at < 130000 * MS; at += 100 * MS)
		builder_slice(&b, &t, at, at, at + 100 * US, 0, EVENT_TOLD, FUTEX);
	end_interrupted(&b, 130000 * MS);
}

/* A was there for less than the clock tells, and on its way in and out for longer. */
static void a_turn_of_no_length_has_its_ways(void **state)
{
	static const struct turn short_turn[] = { { 1001 * MS, A },
						  { 1001 * MS, 0 },
						  { 1008 * MS, B } };
	struct builder_thread t, other = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, short_turn, 3, 1);
	slice(&b, &t, EVENT_TOLD | EVENT_CHANGED);
	builder_slice(&b, &other, 0, 1000 * MS, 1010 * MS, 0, EVENT_TOLD, FUTEX);
	builder_span(&b, A, 0, 1001 * MS - 2 * US, 1001 * MS + 2 * US);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_true(builder_ledger(&b, A)->grade >= GRADE_BOUNDED);
	assert_in_range(builder_ledger(&b, A)->all.running_ns, 3900, 4 * US);
	assert_int_equal(refused(&b), 0);
	correlator_free(b.correlator);
}

/* Between its start and its attach; nobody else can have begun it. */
static void a_span_that_was_preempted_on_its_way_in_has_waited(void **state)
{
	static const struct turn attach[] = { { 1010 * MS + US, A } };
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1003 * MS, 0, EVENT_TOLD | EVENT_PREEMPTED, -1);
	tell(&b, t.tid, attach, 1, 1);
	builder_slice(&b, &t, 0, 1010 * MS, 1020 * MS, A, EVENT_TOLD | EVENT_CHANGED, FUTEX);
	builder_slice(&b, &t, 1030 * MS, 1030 * MS, 1031 * MS, 0, 0, FUTEX);
	builder_span(&b, A, 0, 1003 * MS - US, 1030 * MS + US);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_in_range(builder_ledger(&b, A)->uncertain_ns, 0, 10 * US);
	assert_int_equal(builder_ledger(&b, A)->all.runnable_ns, 7 * MS);
	correlator_free(b.correlator);
}

#define GATHERING 3
#define GATHERED  4

/* Made 50 us before its thread slept for another one, and first resumed 50 us after: where those
 * of its trace take turns, it slept for none. */
static void a_coroutine_does_not_wait_before_its_first_turn(void **state)
{
	static const struct turn first[] = { { 1000100 * US, GATHERING },
					     { 1001 * MS, A },
					     { 1002 * MS, B },
					     { 1003 * MS, A },
					     { 1004 * MS, GATHERING } };
	static const struct turn second[] = { { 1015050 * US, GATHERED },
					      { 1016 * MS, GATHERING },
					      { 1017 * MS, 0 } };
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, first, 5, 1);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, GATHERING,
		      EVENT_TOLD | EVENT_CHANGED, FUTEX);
	tell(&b, t.tid, second, 3, 1);
	builder_slice(&b, &t, 1015 * MS, 1015 * MS, 1020 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_span(&b, GATHERING, 0, 1000100 * US, 1017 * MS);
	builder_span(&b, A, GATHERING, 1001 * MS, 1004 * MS);
	builder_span(&b, B, GATHERING, 1002 * MS, 1003 * MS);
	builder_span(&b, GATHERED, GATHERING, 1009950 * US, 1016 * MS);
	builder_settle(&b);
	assert_in_range(builder_ledger(&b, GATHERED)->cpu_ns, 950 * US, 1050 * US);
	assert_true(builder_ledger(&b, GATHERED)->uncertain_ns < 200 * US);
	assert_true(builder_ledger(&b, GATHERING)->uncertain_ns < 200 * US);
	correlator_free(b.correlator);
}

/* Folded, the pieces are summed up: each has one tag. */
static void turns_keep_their_figures_when_they_leave_the_timeline(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, turns, 5, 1);
	slice(&b, &t, EVENT_TOLD | EVENT_CHANGED);
	for (uint64_t at = 2000 * MS; at < 130000 * MS; at += 100 * MS)
		builder_slice(&b, &t, at, at, at + 100 * US, 0, EVENT_TOLD, FUTEX);
	builder_clock(&b, 130000 * MS);
	correlator_advance(b.correlator, 130000 * MS);
	builder_span(&b, A, 0, 1001 * MS, 1006 * MS);
	builder_span(&b, B, 0, 1002 * MS, 1010 * MS);
	builder_clock(&b, 130500 * MS);
	correlator_settle_all(b.correlator);
	assert_in_range(builder_ledger(&b, A)->cpu_ns, 4 * MS - 10 * US, 4 * MS + 10 * US);
	assert_in_range(builder_ledger(&b, B)->cpu_ns, 3 * MS - 10 * US, 3 * MS + 10 * US);
	correlator_free(b.correlator);
}

/* B is told when it is over: no thread showed it, and this one, which shows A, may have waited for
 * it. */
static void who_waits_may_do_so_for_a_child_that_it_never_shows(void **state)
{
	const struct turn told[] = { { 1001 * MS, A } }, left[] = { { 1029 * MS, 0 } };
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, told, 1, 1);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, A, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	tell(&b, t.tid, left, 1, 1);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1030 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_span(&b, A, 0, 1001 * MS, 1029 * MS);
	builder_span(&b, B, A, 1005 * MS, 1025 * MS);
	builder_settle(&b);
	assert_true(builder_ledger(&b, A)->uncertain_ns >= 25 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_that_were_told_are_cut_to_the_nanosecond),
		cmocka_unit_test(changes_may_come_in_several_records),
		cmocka_unit_test(a_slice_of_which_nobody_saw_the_beginning_is_told_all_the_same),
		cmocka_unit_test(changes_of_an_earlier_slice_are_forgotten),
		cmocka_unit_test(what_does_not_fit_the_slice_is_refused),
		cmocka_unit_test(a_change_that_was_interrupted_counts_from_the_next_slice_on),
		cmocka_unit_test(nor_does_it_when_it_has_left_the_timeline),
		cmocka_unit_test(a_turn_of_no_length_has_its_ways),
		cmocka_unit_test(a_span_that_was_preempted_on_its_way_in_has_waited),
		cmocka_unit_test(a_coroutine_does_not_wait_before_its_first_turn),
		cmocka_unit_test(who_waits_may_do_so_for_a_child_that_it_never_shows),
		cmocka_unit_test(turns_keep_their_figures_when_they_leave_the_timeline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
