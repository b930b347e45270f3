/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that put spans aside, unseen: what tells of it. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX  202
#define ENOUGH 20 /* spans, before a thread beside an event loop is believed to be none */

static void begin(struct builder *b, struct builder_thread *t, uint32_t count)
{
	builder_init(b);
	builder_clock(b, 500 * MS);
	for (uint32_t i = 0; i < count; i++) {
		t[i] = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 + i };
		builder_warm_up(b, &t[i]);
	}
}

static void settle(struct builder *b)
{
	builder_clock(b, 5000 * MS);
	correlator_advance(b->correlator, 5000 * MS);
	correlator_settle_all(b->correlator);
}

/* 3 ms from `at` on, of which it runs two: the first and the last. */
static void request(struct builder *b, struct builder_thread *t, uint64_t trace, uint64_t at)
{
	b->trace = trace;
	builder_slice(b, t, at, at, at + MS, trace, 0, FUTEX);
	builder_slice(b, t, at + 2 * MS, at + 2 * MS, at + 3 * MS, 0, 0, FUTEX);
}

static void request_span(struct builder *b, uint64_t trace, uint64_t at)
{
	b->trace = trace;
	builder_span(b, trace, 0, at + 100 * US, at + 2900 * US);
}

/* The span is back after a wait without it. */
static void turn(struct builder *b, struct builder_thread *t, uint64_t trace, uint64_t at)
{
	request(b, t, trace, at);
	request(b, t, trace, at + 10 * MS);
}

/* ... and shows it in the middle of the second one, too. */
static void kept_request(struct builder *b, struct builder_thread *t, uint64_t trace, uint64_t at)
{
	b->trace = trace;
	builder_slice(b, t, at, at, at + MS, trace, 0, FUTEX);
	builder_slice(b, t, at + 2 * MS, at + 2 * MS, at + 2500 * US, trace, 0, FUTEX);
	builder_slice(b, t, at + 2500 * US, at + 2500 * US, at + 3 * MS, 0, 0, FUTEX);
}

static void a_thread_beside_an_event_loop_is_believed_in_time(void **state)
{
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	begin(&b, t, 2);
	turn(&b, &t[0], 1, 1000 * MS);
	for (uint64_t i = 2; i <= ENOUGH + 2; i++)
		kept_request(&b, &t[1], i, (1000 + 20 * i) * MS);
	request_span(&b, 2, 1040 * MS);
	request_span(&b, ENOUGH + 2, (1000 + 20 * (ENOUGH + 2)) * MS);
	settle(&b);
	assert_true(builder_ledger(&b, 2)->uncertain_ns >= 1800 * US);
	assert_int_equal(builder_ledger(&b, ENOUGH + 2)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* Of spans that are seen but once none can come back. */
static void what_is_seen_once_does_not_tell_who_takes_no_turns(void **state)
{
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	begin(&b, t, 2);
	turn(&b, &t[0], 1, 1000 * MS);
	for (uint64_t i = 2; i <= ENOUGH + 2; i++)
		request(&b, &t[1], i, (1000 + 20 * i) * MS);
	request_span(&b, ENOUGH + 2, (1000 + 20 * (ENOUGH + 2)) * MS);
	settle(&b);
	assert_true(builder_ledger(&b, ENOUGH + 2)->uncertain_ns >= 1800 * US);
	correlator_free(b.correlator);
}

static void a_thread_where_nobody_takes_turns_is_believed_at_once(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t, 1);
	request(&b, &t, 1, 1000 * MS);
	request_span(&b, 1, 1000 * MS);
	settle(&b);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* It ends in a slice that shows another trace at both ends: when that one was put aside for it, and
 * taken up again, nobody knows. */
static void an_end_within_anothers_slice_puts_all_of_that_in_doubt(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t, 1);
	b.trace = 1;
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, FUTEX);
	b.trace = 2;
	t.span = 1;
	builder_slice(&b, &t, 1002 * MS, 1002 * MS, 1003 * MS, 2, EVENT_TICK, -1);
	builder_slice(&b, &t, 0, 1003 * MS, 1013 * MS, 2, EVENT_TICK, -1);
	builder_slice(&b, &t, 0, 1013 * MS, 1014 * MS, 0, 0, FUTEX);
	b.trace = 1;
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, 1004 * MS);
	b.trace = 2;
	builder_span(&b, 2, 0, 1002 * MS + 500 * US, 1013 * MS + 500 * US);
	settle(&b);
	assert_true(builder_ledger(&b, 2)->uncertain_ns >= 10 * MS);
	correlator_free(b.correlator);
}

/* Only its end tells that the thread came back to it. */
static void a_span_that_is_open_over_a_wait_without_it_was_put_aside(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t, 1);
	request(&b, &t, 1, 1000 * MS);
	builder_slice(&b, &t, 1010 * MS, 1010 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS + 100 * US, 1010 * MS + 100 * US);
	builder_span(&b, 2, 1, 1000 * MS + 200 * US, 1000 * MS + 800 * US);
	settle(&b);
	assert_true(builder_ledger(&b, 2)->uncertain_ns >= 500 * US);
	correlator_free(b.correlator);
}

/* One span after the other in 10 ms, of two ms each: of these traces, spans being numbered alike.
 */
static void show(struct builder *b, struct builder_thread *t, const uint64_t *traces, size_t count,
		 uint64_t at)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t from = at + i * 2 * MS;

		b->trace = traces[i];
		builder_slice(b, t, i ? 0 : at, from, from + MS, traces[i], EVENT_TICK, -1);
		builder_slice(b, t, 0, from + MS, from + 2 * MS, 0, i + 1 < count ? EVENT_TICK : 0,
			      i + 1 < count ? -1 : FUTEX);
	}
}

/* A second thread that has shown many spans, and no turn; then the first one shows those traces. */
static void serve(struct builder *b, struct builder_thread *t, const uint64_t *traces, size_t count)
{
	begin(b, t, 2);
	for (uint64_t i = 10; i <= 10 + ENOUGH; i++)
		kept_request(b, &t[1], i, (1000 + 10 * i) * MS);
	show(b, &t[0], traces, count, 1500 * MS);
}

/* ... and goes on. */
static void serve_another(struct builder *b, struct builder_thread *t)
{
	request(b, &t[1], 40, 1600 * MS);
	request_span(b, 40, 1600 * MS);
	settle(b);
}

/* Any thread may do so that serves the like. */
static void another_trace_within_a_span_may_lie_in_those_of_other_threads(void **state)
{
	const uint64_t traces[] = { 1, 2, 1 };
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	serve(&b, t, traces, ARRAY_LEN(traces));
	serve_another(&b, t);
	assert_true(builder_ledger(&b, 40)->uncertain_ns >= 1800 * US);
	correlator_free(b.correlator);
}

/* The first three looked the same. */
static void traces_that_a_loop_puts_aside_lie_in_no_others_spans(void **state)
{
	const uint64_t traces[] = { 1, 2, 1, 2 };
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	serve(&b, t, traces, ARRAY_LEN(traces));
	serve_another(&b, t);
	assert_int_equal(builder_ledger(&b, 40)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* The first span ends in a slice that shows nothing, after another trace has shown, at 1502 ms. */
static void end_after_another(struct builder *b, struct builder_thread *t, uint64_t beside,
			      uint64_t start, uint64_t end)
{
	const uint64_t traces[] = { 1, 2 };

	serve(b, t, traces, ARRAY_LEN(traces));
	if (beside)
		request(b, &t[1], 39, beside);
	b->trace = 1;
	builder_span(b, 1, 0, start, end);
	serve_another(b, t);
}

/* It was not seen to come back, but who else should have ended it? */
static void another_trace_lay_within_a_span_that_nobody_else_can_have_ended(void **state)
{
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	end_after_another(&b, t, 0, 1500 * MS + 100 * US, 1503 * MS + 500 * US);
	assert_true(builder_ledger(&b, 40)->uncertain_ns >= 1800 * US);
	correlator_free(b.correlator);
}

/* The other one may have it by then. */
static void a_span_that_was_handed_over_has_no_other_trace_within(void **state)
{
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	end_after_another(&b, t, 1503 * MS, 1500 * MS + 100 * US, 1503 * MS + 500 * US);
	assert_int_equal(builder_ledger(&b, 40)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void another_trace_after_a_span_is_not_within_it(void **state)
{
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	end_after_another(&b, t, 0, 1500 * MS + 100 * US, 1501 * MS + 500 * US);
	assert_int_equal(builder_ledger(&b, 40)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

#define FIRST_START  (1001 * MS)
#define FIRST_END    (1005 * MS + 100 * US)
#define SECOND_START (1003 * MS)
#define SECOND_END   (1008 * MS + 100 * US)

/* Two threads, of which the first runs from 1000 to 1009 ms and shows nothing, and the second one
 * is on a CPU for a ms around `beside`, if that is not 0. */
static void begin_unseen(struct builder *b, struct builder_thread *t, uint64_t beside)
{
	begin(b, t, 2);
	if (beside)
		builder_slice(b, &t[1], beside - MS / 2, beside - MS / 2, beside + MS / 2, 0, 0,
			      FUTEX);
	builder_slice(b, &t[0], 1000 * MS, 1000 * MS, 1009 * MS, 0, 0, FUTEX);
}

/* Spans of two traces that no tag shows; then one that is shown. */
static void end_unseen(struct builder *b, struct builder_thread *t, uint64_t second_start,
		       uint64_t second_end)
{
	b->trace = 1;
	builder_span(b, 1, 0, FIRST_START, FIRST_END);
	b->trace = 2;
	builder_span(b, 2, 0, second_start, second_end);
	request(b, &t[0], 3, 1100 * MS);
	request_span(b, 3, 1100 * MS);
	settle(b);
}

/* The second span begins within the first and ends after it. */
static void a_span_that_ends_within_anothers_by_the_same_thread_was_put_aside(void **state)
{
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	begin_unseen(&b, t, 0);
	end_unseen(&b, t, SECOND_START, SECOND_END);
	assert_true(builder_ledger(&b, 3)->uncertain_ns >= 1800 * US);
	correlator_free(b.correlator);
}

static void a_span_that_another_thread_may_have_begun_or_ended_was_perhaps_not(void **state)
{
	const uint64_t edges[] = { FIRST_START, FIRST_END, SECOND_START, SECOND_END };
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		begin_unseen(&b, t, edges[i]);
		end_unseen(&b, t, SECOND_START, SECOND_END);
		assert_int_equal(builder_ledger(&b, 3)->grade, GRADE_EXACT);
		correlator_free(b.correlator);
	}
}

static void a_span_within_another_or_after_it_was_not(void **state)
{
	const uint64_t ends[][2] = { { SECOND_START, FIRST_END - MS },
				     { FIRST_END + MS, SECOND_END } };
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		begin_unseen(&b, t, 0);
		end_unseen(&b, t, ends[i][0], ends[i][1]);
		assert_int_equal(builder_ledger(&b, 3)->grade, GRADE_EXACT);
		correlator_free(b.correlator);
	}
}

/* The second thread shows the first span, while that is open. */
static void a_span_that_was_seen_elsewhere_was_not(void **state)
{
	struct builder_thread t[2];
	struct builder b;

	(void)state;
	begin_unseen(&b, t, 0);
	b.trace = 1;
	builder_slice(&b, &t[1], 1002 * MS, 1002 * MS, 1002 * MS + 100 * US, 1, 0, FUTEX);
	builder_slice(&b, &t[1], 1004 * MS, 1004 * MS, 1004 * MS + 100 * US, 0, 0, FUTEX);
	end_unseen(&b, t, SECOND_START, SECOND_END);
	assert_int_equal(builder_ledger(&b, 3)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_beside_an_event_loop_is_believed_in_time),
		cmocka_unit_test(what_is_seen_once_does_not_tell_who_takes_no_turns),
		cmocka_unit_test(a_thread_where_nobody_takes_turns_is_believed_at_once),
		cmocka_unit_test(an_end_within_anothers_slice_puts_all_of_that_in_doubt),
		cmocka_unit_test(a_span_that_is_open_over_a_wait_without_it_was_put_aside),
		cmocka_unit_test(another_trace_within_a_span_may_lie_in_those_of_other_threads),
		cmocka_unit_test(traces_that_a_loop_puts_aside_lie_in_no_others_spans),
		cmocka_unit_test(another_trace_lay_within_a_span_that_nobody_else_can_have_ended),
		cmocka_unit_test(a_span_that_was_handed_over_has_no_other_trace_within),
		cmocka_unit_test(another_trace_after_a_span_is_not_within_it),
		cmocka_unit_test(a_span_that_ends_within_anothers_by_the_same_thread_was_put_aside),
		cmocka_unit_test(
			a_span_that_another_thread_may_have_begun_or_ended_was_perhaps_not),
		cmocka_unit_test(a_span_within_another_or_after_it_was_not),
		cmocka_unit_test(a_span_that_was_seen_elsewhere_was_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
