/* SPDX-License-Identifier: Apache-2.0 */
/* SDKs whose clocks are not the machine's. */
#include "tests/unit/correlate/world_builder.h"

#define RECVFROM 45
#define FUTEX    202
#define OFF_NS   (300 * MS) /* the SDK's clock */
#define NEXT_NS  (2000 * MS)

/* The thread carries `span` from `at` on, and waits within it until 10 ms later. */
static void carry(struct builder *b, struct builder_thread *t, uint64_t at, uint64_t span)
{
	builder_slice(b, t, at, at, at + MS, span, 0, RECVFROM);
	builder_slice(b, t, at + 10 * MS, at + 10 * MS, at + 12 * MS, 0, 0, FUTEX);
}

static void settle(struct builder *b, uint64_t now_ns)
{
	builder_clock(b, now_ns);
	correlator_advance(b->correlator, now_ns);
	correlator_settle_all(b->correlator);
}

/* Two traces: of the first one the span is seen, of the second one it runs between two looks. Both
 * are told `off_ns` too early. */
static void play(struct builder *b, uint64_t off_ns)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &t);
	carry(b, &t, 1000 * MS, 1);
	carry(b, &t, NEXT_NS - OFF_NS, 0);
	carry(b, &t, NEXT_NS, 0);
	builder_span(b, 1, 0, 1000 * MS + 500 * US - off_ns, 1011 * MS - off_ns);
	settle(b, 2100 * MS);
	b->trace = 2;
	builder_span(b, 2, 0, NEXT_NS + 100 * US - off_ns, NEXT_NS + 200 * US - off_ns);
	settle(b, 2200 * MS);
}

static void a_span_that_is_seen_after_its_end_only_has_a_wrong_clock(void **state)
{
	struct builder b;

	(void)state;
	play(&b, OFF_NS);
	assert_true(builder_ledger(&b, 1)->grade < GRADE_BOUNDED ||
		    builder_ledger(&b, 1)->uncertain_ns >= OFF_NS - 11 * MS);
	correlator_free(b.correlator);
}

static void what_one_span_tells_of_the_clock_holds_for_the_next(void **state)
{
	struct builder b;

	(void)state;
	play(&b, OFF_NS);
	assert_true(builder_ledger(&b, 2)->grade < GRADE_BOUNDED ||
		    builder_ledger(&b, 2)->uncertain_ns >= OFF_NS - 11 * MS);
	correlator_free(b.correlator);
}

static void a_clock_that_is_right_is_not_doubted(void **state)
{
	struct builder b;

	(void)state;
	play(&b, 0);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* Somebody works on in the context of a span that is over: one look shows that its clock is right.
 */
static void work_in_the_context_of_an_ended_span_is_no_wrong_clock(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 999 * MS, 999 * MS, 1000 * MS + 510 * US, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1010 * MS, 1010 * MS, 1012 * MS, 1, 0, RECVFROM);
	carry(&b, &t, 1500 * MS, 1);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, 1011 * MS);
	settle(&b, 2100 * MS);
	assert_true(builder_ledger(&b, 1)->grade >= GRADE_BOUNDED);
	assert_in_range(builder_ledger(&b, 1)->uncertain_ns, 0, 20 * US);
	correlator_free(b.correlator);
}

static void a_thread_that_ends_in_a_spans_context_is_no_wrong_clock(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder_thread worker = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &worker, 0, 999 * MS, 1002 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &worker, 1010 * MS, 1010 * MS, 1012 * MS, 1, EVENT_DEAD, -1);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, 1011 * MS);
	settle(&b, 2100 * MS);
	assert_true(builder_ledger(&b, 1)->grade >= GRADE_BOUNDED);
	assert_in_range(builder_ledger(&b, 1)->uncertain_ns, 0, 20 * US);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_that_is_seen_after_its_end_only_has_a_wrong_clock),
		cmocka_unit_test(what_one_span_tells_of_the_clock_holds_for_the_next),
		cmocka_unit_test(a_clock_that_is_right_is_not_doubted),
		cmocka_unit_test(work_in_the_context_of_an_ended_span_is_no_wrong_clock),
		cmocka_unit_test(a_thread_that_ends_in_a_spans_context_is_no_wrong_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
