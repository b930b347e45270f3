/* SPDX-License-Identifier: Apache-2.0 */
/* In exact mode: threads that leave a span for another one than they had before it, or show one
 * that is over. */
#include "tests/unit/correlate/turns_builder.h"

#define C 3

/* A service attaches a third span within B, or forgets to detach that, and ends B 20 us later. */
static void what_it_is_left_for_is_not_on_the_way_out_of_it(void **state)
{
	const struct turn left_for_another[] = {
		{ 1001 * MS, A },
		{ 1003 * MS, B },
		{ 1006 * MS - 20 * US, C },
		{ 1008 * MS, A },
	};
	const struct turn put_aside[] = {
		{ 1001 * MS, A },
		{ 1003 * MS, B },
		{ 1006 * MS - 20 * US, 0 },
		{ 1008 * MS, A },
	};
	const struct turn *const both[] = { put_aside, left_for_another };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct builder_thread t;
		struct builder b;

		begin(&b, &t);
		tell(&b, t.tid, both[i], 4, 1);
		builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, A,
			      EVENT_TOLD | EVENT_CHANGED, -1);
		builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
		builder_span(&b, A, 0, 1001 * MS, 1010 * MS);
		builder_span(&b, B, A, 1003 * MS, 1006 * MS);
		builder_span(&b, C, A, 1001 * MS + 500 * US, 1002 * MS);
		builder_clock(&b, 3000 * MS);
		correlator_settle_all(b.correlator);
		assert_int_equal(builder_ledger(&b, B)->cpu_ns, 3 * MS - (i ? 20 * US : 0));
		assert_in_range(builder_ledger(&b, B)->uncertain_ns, 0, 10 * US);
		correlator_free(b.correlator);
	}
}

/* ... nor is it if the thread waits there. */
static void where_it_waits_for_another_is_not_on_the_way_out_either(void **state)
{
	const struct turn left[] = {
		{ 1001 * MS, A }, { 1002 * MS, C }, { 1003 * MS, B }, { 1005 * MS + 450 * US, A }
	};
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, left, 4, 1);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1005 * MS + 500 * US, A,
		      EVENT_TOLD | EVENT_CHANGED, FUTEX);
	builder_slice(&b, &t, 1007 * MS, 1007 * MS, 1010 * MS, A, EVENT_TOLD, FUTEX);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(&b, A, 0, 1001 * MS, 1010 * MS);
	builder_span(&b, B, A, 1003 * MS, 1007 * MS + 50 * US);
	builder_span(&b, C, A, 1001 * MS + 500 * US, 1002 * MS);
	builder_settle(&b);
	assert_int_equal(builder_ledger(&b, B)->cpu_ns, 2 * MS + 450 * US);
	assert_in_range(builder_ledger(&b, B)->uncertain_ns, 0, 10 * US);
	correlator_free(b.correlator);
}

/* A callback in the context of B, which is over, on a thread that never showed A around it. */
static void who_shows_a_span_that_is_over_works_for_the_one_around_it(void **state)
{
	const struct turn own[] = { { 1001 * MS, A }, { 1003 * MS, B }, { 1004 * MS, A } };
	const struct turn others[] = { { 1006 * MS, B }, { 1008 * MS, 0 } };
	struct builder_thread t, other = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	begin(&b, &t);
	builder_warm_up(&b, &other);
	tell(&b, t.tid, own, 3, 1);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, A, EVENT_TOLD | EVENT_CHANGED, -1);
	tell(&b, other.tid, others, 2, 1);
	builder_slice(&b, &other, 1005 * MS, 1005 * MS, 1009 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(&b, A, 0, 1001 * MS, 1010 * MS);
	builder_span(&b, B, A, 1003 * MS, 1004 * MS);
	builder_settle(&b);
	assert_int_equal(builder_ledger(&b, A)->cpu_ns, 11 * MS);
	assert_in_range(builder_ledger(&b, A)->uncertain_ns, 0, 20 * US);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_is_left_for_is_not_on_the_way_out_of_it),
		cmocka_unit_test(where_it_waits_for_another_is_not_on_the_way_out_either),
		cmocka_unit_test(who_shows_a_span_that_is_over_works_for_the_one_around_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
