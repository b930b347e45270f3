/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/world_builder.h"

#define RECVFROM 45
#define FUTEX    202

static void warm_up(struct builder *b, struct builder_thread *t)
{
	builder_clock(b, 100 * MS);
	builder_warm_up(b, t);
}

static void finish(struct builder *b, uint64_t at)
{
	builder_clock(b, at);
	correlator_advance(b->correlator, at + BUILDER_YOUNG_NS);
}

static void one_span_over_a_wait_is_exact(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	const struct ledger *l;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	/* starts at 1001 ms, waits for the network from 1002 to 1005, runs from 1006 to its end */
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1002 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1005 * MS, 1006 * MS, 1010 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1001 * MS, 1008 * MS);
	finish(&b, 1100 * MS);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->grade, GRADE_EXACT);
	assert_int_equal(l->all.running_ns, 3 * MS);
	assert_int_equal(l->all.runnable_ns, 1 * MS);
	assert_int_equal(l->all.blocked_ns[REASON_NET], 3 * MS);
	assert_int_equal(l->all.elsewhere_ns, 0);
	assert_int_equal(l->cpu_ns, 3 * MS);
	assert_int_equal(l->cpu_self_ns, 3 * MS);
	assert_int_equal(l->wait_count, 1);
	correlator_free(b.correlator);
}

static void a_child_takes_its_part_of_the_slice(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	const struct ledger *l;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1005 * MS, 1006 * MS, 1010 * MS, 1, 0, FUTEX);
	builder_slice(&b, &t, 1011 * MS, 1011 * MS, 1012 * MS, 0, 0, FUTEX);
	builder_span(&b, 2, 1, 1007 * MS, 1009 * MS);
	builder_span(&b, 1, 0, 1001 * MS, 1011 * MS + 500 * US);
	finish(&b, 1100 * MS);
	l = builder_ledger(&b, 2);
	assert_true(l->grade >= GRADE_BOUNDED);
	assert_int_equal(l->cpu_ns, 2 * MS);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->grade, GRADE_EXACT);
	assert_int_equal(l->cpu_ns, 5 * MS + 500 * US);
	assert_int_equal(l->cpu_self_ns, 3 * MS + 500 * US);
	assert_int_equal(l->self.running_ns, 3 * MS + 500 * US);
	correlator_free(b.correlator);
}

static void spans_within_one_slice_are_proved_to_their_thread(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 },
			      exporter = { .pid = BUILDER_PID, .tid = 12 };

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &exporter, 0, 990 * MS, 991 * MS, 0, 0, FUTEX);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 0, 0, FUTEX);
	for (uint64_t i = 0; i < 5; i++) {
		b.trace = 100 + i;
		builder_span(&b, 1 + i, 0, 1000 * MS + (100 + 10 * i) * US,
			     1000 * MS + (105 + 10 * i) * US);
	}
	finish(&b, 1100 * MS);
	for (uint64_t i = 0; i < 5; i++) {
		const struct ledger *l = builder_ledger(&b, 1 + i);

		assert_int_equal(l->grade, GRADE_EXACT);
		assert_int_equal(l->cpu_ns, 5 * US);
	}
	correlator_free(b.correlator);
}

/* Whatever other threads did meanwhile: what showed its child all along carried it, too. */
static void a_span_that_only_its_child_showed_is_vouched_for(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 },
			      other = { .pid = BUILDER_PID, .tid = 12 };
	const struct ledger *l;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 2, 0, RECVFROM);
	builder_slice(&b, &other, 0, 1002 * MS, 1004 * MS, 0, 0, FUTEX);
	builder_slice(&b, &t, 1005 * MS, 1006 * MS, 1010 * MS, 0, 0, FUTEX);
	builder_span(&b, 2, 1, 1001 * MS + 200 * US, 1007 * MS);
	builder_span(&b, 1, 0, 1001 * MS, 1008 * MS);
	finish(&b, 1100 * MS);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->grade, GRADE_EXACT);
	assert_int_equal(l->cpu_ns, 3 * MS);
	assert_int_equal(l->cpu_self_ns, 1 * MS + 200 * US);
	assert_int_equal(l->all.blocked_ns[REASON_NET], 3 * MS);
	correlator_free(b.correlator);
}

/* A thread of a pool does one part after the other; what it does between them is nobody's. */
static void between_two_parts_a_pools_thread_carries_nothing(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 },
			      worker = { .pid = BUILDER_PID, .tid = 12 };
	const struct ledger *l;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &worker, 0, 990 * MS, 991 * MS, 0, 0, FUTEX);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 1, 0, FUTEX);
	builder_slice(&b, &worker, 1002 * MS, 1003 * MS, 1005 * MS, 2, 0, RECVFROM);
	builder_slice(&b, &worker, 1007 * MS, 1008 * MS, 1012 * MS, 3, 0, RECVFROM);
	builder_slice(&b, &worker, 1014 * MS, 1015 * MS, 1017 * MS, 0, 0, FUTEX);
	builder_slice(&b, &t, 1017 * MS, 1018 * MS, 1020 * MS, 0, 0, FUTEX);
	builder_span(&b, 2, 1, 1004 * MS, 1009 * MS);
	builder_span(&b, 3, 1, 1010 * MS, 1016 * MS);
	builder_span(&b, 1, 0, 1001 * MS, 1019 * MS);
	finish(&b, 1100 * MS);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->cpu_self_ns, 2 * MS);
	assert_int_equal(l->cpu_ns, 7 * MS);
	correlator_free(b.correlator);
}

/* It may have begun within another trace's span, and ended, between two looks at that thread. */
static void a_root_within_a_busy_slice_is_not_proved_to_be_elsewhere(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 },
			      busy = { .pid = BUILDER_PID, .tid = 12 };

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	b.trace = 77;
	builder_slice(&b, &busy, 0, 990 * MS, 991 * MS, 9, 0, FUTEX);
	builder_slice(&b, &busy, 992 * MS, 999 * MS, 1003 * MS, 9, 0, FUTEX);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 0, 0, FUTEX);
	builder_slice(&b, &busy, 1003 * MS, 1004 * MS, 1005 * MS, 0, 0, FUTEX);
	builder_span(&b, 9, 0, 990 * MS + 500 * US, 1004 * MS + 500 * US);
	b.trace = 1;
	builder_span(&b, 1, 0, 1001 * MS, 1001 * MS + 50 * US);
	finish(&b, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_INFERRED);
	assert_true(builder_ledger(&b, 9)->uncertain_ns >= 50 * US);
	correlator_free(b.correlator);
}

static void of_two_threads_neither_is_proved(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 },
			      other = { .pid = BUILDER_PID, .tid = 12 };

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	b.trace = 77; /* it publishes, but not this span */
	builder_slice(&b, &t, 0, 990 * MS, 991 * MS, 9, 0, FUTEX);
	builder_slice(&b, &t, 0, 992 * MS, 993 * MS, 0, 0, FUTEX);
	b.trace = 1;
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 0, 0, FUTEX);
	builder_slice(&b, &other, 0, 1000 * MS, 1002 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1001 * MS, 1001 * MS + 5 * US);
	finish(&b, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_INFERRED);
	correlator_free(b.correlator);
}

static void a_process_that_never_shows_a_tag_has_no_figures(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 0, 0, RECVFROM);
	builder_slice(&b, &t, 1005 * MS, 1006 * MS, 1010 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1001 * MS, 1008 * MS);
	finish(&b, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_NONE);
	assert_int_equal(builder_ledger(&b, 1)->none_cause, NONE_NO_TAGS);
	correlator_free(b.correlator);
}

static void lost_records_make_the_span_partial(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 1, 0, RECVFROM);
	t.out_ns = 1004 * MS; /* a slice from 1003 to 1004 was never reported */
	builder_slice(&b, &t, 1005 * MS, 1006 * MS, 1010 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1001 * MS, 1008 * MS);
	finish(&b, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	assert_true(builder_ledger(&b, 1)->all.unknown_ns > 0);
	correlator_free(b.correlator);
}

static void a_late_root_revises_its_trace(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1005 * MS, 1006 * MS, 1007 * MS, 2, 0, RECVFROM);
	builder_slice(&b, &t, 1008 * MS, 1008 * MS, 1010 * MS, 0, 0, FUTEX);
	builder_span(&b, 2, 1, 1006 * MS + 500 * US, 1009 * MS);
	finish(&b, 1100 * MS);
	assert_int_equal(b.count, 0); /* its parent was seen in the thread: wait for it */
	for (uint64_t at = 2000; at < 12000; at += 1000)
		finish(&b, at * MS);
	assert_int_equal(builder_ledger(&b, 2)->revision, 1);
	builder_span(&b, 1, 0, 1001 * MS, 1009 * MS + 500 * US);
	finish(&b, 12000 * MS);
	assert_int_equal(builder_ledger(&b, 1)->revision, 2);
	assert_int_equal(builder_ledger(&b, 1)->all.blocked_ns[REASON_NET], 4 * MS);
	correlator_free(b.correlator);
}

static void a_span_longer_than_the_reach_keeps_its_grade(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	uint64_t at = 1000, cycles = 200000;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	for (uint64_t i = 0; i < cycles; i++, at += 2) {
		builder_slice(&b, &t, i ? at * MS - 100 * US : 0, at * MS, (at + 1) * MS, 1, 0,
			      RECVFROM);
		if (i % 500 == 0)
			finish(&b, (at + 1) * MS + 1);
	}
	builder_slice(&b, &t, at * MS, at * MS, (at + 1) * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, at * MS + 500 * US);
	finish(&b, (at + 100) * MS);
	assert_true(builder_ledger(&b, 1)->grade >= GRADE_BOUNDED);
	assert_in_range(builder_ledger(&b, 1)->all.running_ns, cycles * MS - MS, cycles * MS + MS);
	assert_in_range(builder_ledger(&b, 1)->all.runnable_ns, cycles * 100 * US - MS,
			cycles * 100 * US + MS);
	correlator_free(b.correlator);
}

/* One trace for all that a process ever does: each of its spans is found again among all others. */
static void a_trace_of_many_spans_finds_each(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct correlator_stats stats;
	const uint64_t spans = 30000;
	uint64_t at = 1000;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	for (uint64_t round = 0; round < 2; round++) {
		for (uint64_t i = 1; i <= spans; i++, at++)
			builder_slice(&b, &t, 0, at * MS, at * MS + 900 * US, i, 0, RECVFROM);
	}
	builder_slice(&b, &t, 0, at * MS, at * MS + 100 * US, 0, 0, RECVFROM);
	correlator_stats(b.correlator, &stats);
	assert_int_equal(stats.tags_seen, spans);
	builder_span(&b, 7, 0, (1000 + spans + 6) * MS + 900 * US, (1000 + spans + 7) * MS);
	finish(&b, (at + 100) * MS);
	assert_true(builder_ledger(&b, 7)->grade >= GRADE_BOUNDED);
	assert_true(builder_ledger(&b, 7)->all.blocked_ns[REASON_NET] > 0);
	correlator_free(b.correlator);
}

static void count_figures(const struct ledger *ledgers, size_t count, void *arg)
{
	struct builder *b = arg;

	for (size_t i = 0; i < count; i++)
		b->count += ledgers[i].grade >= GRADE_BOUNDED;
}

static void all_spans_of_a_large_trace_have_figures(void **state)
{
	struct correlator_options options = {
		.limit_bytes = 64 << 20,
		.settle_ns = 10000 * MS,
		.reach_ns = 60000 * MS,
		.max_trace_spans = 5000,
		.on_ledgers = count_figures,
	};
	const struct event_process process = { .pid = BUILDER_PID, .publish = PUBLISH_TAGS };
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	const uint64_t spans = 3000;
	struct builder b = { .trace = 1 };

	(void)state;
	options.arg = &b;
	assert_int_equal(correlator_new(&options, &b.correlator), 0);
	assert_int_equal(correlator_process(b.correlator, &process), 0);
	warm_up(&b, &t);
	for (uint64_t i = 1; i <= spans; i++)
		builder_slice(&b, &t, 0, (999 + i) * MS, (999 + i) * MS + 900 * US, i, 0, RECVFROM);
	builder_slice(&b, &t, 0, (1000 + spans) * MS, (1000 + spans) * MS + 100 * US, 0, 0,
		      RECVFROM);
	for (uint64_t i = 1; i <= spans; i++)
		builder_span(&b, i, 0, (999 + i) * MS + 100 * US, (1000 + i) * MS + 50 * US);
	finish(&b, (1100 + spans) * MS);
	assert_int_equal(b.count, spans);
	correlator_free(b.correlator);
}

/* Most services export few of their traces, yet publish the tags of all. */
static void traces_that_nobody_exports_leave_room(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 },
			      keeper = { .pid = BUILDER_PID, .tid = 12 };
	struct correlator_stats stats;
	uint64_t at = 1000;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	warm_up(&b, &keeper);
	for (uint64_t i = 0; i < 200000; i++, at += 2) {
		b.trace = 1000 + i;
		builder_slice(&b, &t, at * MS - 100 * US, at * MS, at * MS + 100 * US, 2, 0,
			      RECVFROM);
		b.trace = 1;
		builder_slice(&b, &keeper, i ? at * MS : 0, at * MS + 200 * US, (at + 1) * MS, 1, 0,
			      RECVFROM);
		if (i % 500 == 0)
			finish(&b, (at + 1) * MS + 1);
	}
	correlator_stats(b.correlator, &stats);
	assert_true(stats.trace_bytes + stats.fold_bytes < (64 << 20) / 2);
	assert_true(stats.traces_unsampled > 100000);
	builder_slice(&b, &keeper, at * MS, at * MS, (at + 1) * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, at * MS + 500 * US);
	finish(&b, (at + 100) * MS);
	assert_true(builder_ledger(&b, 1)->grade >= GRADE_BOUNDED);
	correlator_free(b.correlator);
}

/* Threads that a fork handler starts in the child may be heard of before the one that forked. */
static void a_wait_whose_end_was_lost_is_unknown(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	const struct ledger *l;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	/* goes to sleep, and ends the span 49 ms later: without having been woken, so it seems */
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, RECVFROM);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, 1050 * MS);
	finish(&b, 12000 * MS);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->grade, GRADE_PARTIAL);
	assert_int_equal(l->all.unknown_ns, 49 * MS);
	assert_int_equal(ledger_blocked_ns(&l->all), 0);
	correlator_free(b.correlator);
}

static void a_picture_with_too_many_slices_has_no_hole(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	const uint64_t cycles = 4 * LEDGER_MAX_SLICES;
	uint64_t at = 1000 * MS;
	const struct ledger *l;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, at, at, at + MS, 1, 0, RECVFROM);
	for (uint64_t i = 0; i < cycles; i++, at += 3 * MS)
		builder_slice(&b, &t, at + 2 * MS, at + 3 * MS, at + 4 * MS - i, 1, 0, RECVFROM);
	builder_slice(&b, &t, at + 2 * MS, at + 3 * MS, at + 4 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, at + 3 * MS + 500 * US);
	finish(&b, at + 100 * MS);
	l = builder_ledger(&b, 1);
	assert_in_range(l->slice_count, LEDGER_MAX_SLICES / 2, LEDGER_MAX_SLICES);
	assert_true(l->slices_truncated);
	assert_int_equal(b.drawn_ns[l - b.ledgers], l->wall_ns);
	correlator_free(b.correlator);
}

static void a_gap_lasts_until_the_process_is_heard_of_again(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 }, again = t;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 1, 0, RECVFROM);
	correlator_gap(b.correlator, 1004 * MS, 1010 * MS);
	again.exec_ns = t.exec_ns;
	again.span = 1;
	builder_slice(&b, &again, 0, 1020 * MS, 1022 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &again, 1025 * MS, 1025 * MS, 1027 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1001 * MS, 1026 * MS);
	finish(&b, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	assert_int_equal(builder_ledger(&b, 1)->all.elsewhere_ns, 0);
	assert_in_range(builder_ledger(&b, 1)->all.unknown_ns, 16 * MS, 18 * MS);
	assert_int_equal(builder_ledger(&b, 1)->cpu_ns, 4 * MS);
	correlator_free(b.correlator);
}

static void after_a_gap_a_silent_process_is_unknown(void **state)
{
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 9, 0, FUTEX);
	builder_slice(&b, &t, 1002 * MS, 1002 * MS, 1003 * MS, 0, 0, FUTEX);
	correlator_gap(b.correlator, 1004 * MS, 1010 * MS);
	b.trace = 2;
	builder_span(&b, 1, 0, 1012 * MS, 1020 * MS);
	finish(&b, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	assert_int_equal(builder_ledger(&b, 1)->all.unknown_ns, 8 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_span_over_a_wait_is_exact),
		cmocka_unit_test(a_child_takes_its_part_of_the_slice),
		cmocka_unit_test(spans_within_one_slice_are_proved_to_their_thread),
		cmocka_unit_test(a_span_that_only_its_child_showed_is_vouched_for),
		cmocka_unit_test(between_two_parts_a_pools_thread_carries_nothing),
		cmocka_unit_test(a_root_within_a_busy_slice_is_not_proved_to_be_elsewhere),
		cmocka_unit_test(of_two_threads_neither_is_proved),
		cmocka_unit_test(a_process_that_never_shows_a_tag_has_no_figures),
		cmocka_unit_test(lost_records_make_the_span_partial),
		cmocka_unit_test(a_late_root_revises_its_trace),
		cmocka_unit_test(a_span_longer_than_the_reach_keeps_its_grade),
		cmocka_unit_test(a_trace_of_many_spans_finds_each),
		cmocka_unit_test(all_spans_of_a_large_trace_have_figures),
		cmocka_unit_test(traces_that_nobody_exports_leave_room),
		cmocka_unit_test(a_wait_whose_end_was_lost_is_unknown),
		cmocka_unit_test(a_picture_with_too_many_slices_has_no_hole),
		cmocka_unit_test(a_gap_lasts_until_the_process_is_heard_of_again),
		cmocka_unit_test(after_a_gap_a_silent_process_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
