/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that tags tell of, and that have not come when the others settle. */
#include "tests/unit/correlate/world_builder.h"

#define RECVFROM   45
#define FUTEX      202
#define SETTLE_NS  (10000 * MS) /* as builder_init() says */
#define WITHIN_NS  (3 * MS)     /* the thread ran for the child */
#define BETWEEN_NS (4 * MS)     /* ... and waited for it */

/* 1 begins at 1000 ms; 2, which is below it, runs from 1002 to 1005 and from 1009 to 1010 ms, or so
 * much later on; another thread carries 3, which nobody has heard of either, for 2 ms. */
static void play(struct builder *b)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder_thread other = { .pid = BUILDER_PID, .tid = 12 };

	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &t);
	builder_slice(b, &t, 999 * MS, 999 * MS, 1001 * MS, 1, 0, RECVFROM);
	builder_slice(b, &t, 1002 * MS, 1002 * MS, 1005 * MS, 2, 0, RECVFROM);
	builder_slice(b, &other, 0, 1006 * MS, 1007 * MS, 3, 0, FUTEX);
	builder_slice(b, &other, 1007 * MS, 1007 * MS, 1008 * MS, 0, 0, FUTEX);
	builder_slice(b, &t, 1009 * MS, 1009 * MS, 1010 * MS, 1, 0, RECVFROM);
	builder_slice(b, &t, 1020 * MS, 1020 * MS, 1025 * MS, 0, 0, FUTEX);
	builder_span(b, 1, 0, 1000 * MS, 1022 * MS);
	builder_clock(b, 1100 * MS);
	correlator_advance(b->correlator, 1100 * MS);
}

static void what_ends_before_a_child_has_come_is_in_doubt_by_it(void **state)
{
	struct builder b;

	(void)state;
	play(&b);
	assert_int_equal(b.count, 0);
	correlator_settle_all(b.correlator);
	assert_in_range(builder_ledger(&b, 1)->uncertain_ns, WITHIN_NS + BETWEEN_NS + 2 * MS,
			13 * MS + 2 * MS);
	correlator_free(b.correlator);
}

/* The other thread shows another one that nobody exported: it may have had more of them, unseen,
 * for the 2 ms that it ran. */
static void a_child_that_is_overdue_was_never_exported(void **state)
{
	struct builder b;

	(void)state;
	play(&b);
	correlator_advance(b.correlator, 1100 * MS + SETTLE_NS);
	assert_in_range(builder_ledger(&b, 1)->uncertain_ns, 0, 4 * MS + 2 * MS);
	correlator_free(b.correlator);
}

static void once_all_have_come_nothing_is_in_doubt(void **state)
{
	struct builder b;

	(void)state;
	play(&b);
	builder_span(&b, 2, 1, 1003 * MS, 1009 * MS + 500 * US);
	builder_span(&b, 3, 1, 1006 * MS, 1008 * MS);
	correlator_advance(b.correlator, 1110 * MS + BUILDER_YOUNG_NS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_ends_before_a_child_has_come_is_in_doubt_by_it),
		cmocka_unit_test(a_child_that_is_overdue_was_never_exported),
		cmocka_unit_test(once_all_have_come_nothing_is_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
