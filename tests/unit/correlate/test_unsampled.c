/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that were never exported, and whose their time is. */
#include "tests/unit/correlate/turns_builder.h"

#define HIDDEN 3

/* A and B are open on the thread; within the owner, a span shows that nobody exported. */
static void hide_one_within(uint64_t owner)
{
	const uint64_t other = owner == A ? B : A;
	const struct turn told[] = {
		{ 1001 * MS, A },      { 1002 * MS, B },      { 1003 * MS, 0 },
		{ 1004 * MS, owner },  { 1005 * MS, HIDDEN }, { 1006 * MS, other },
		{ 1007 * MS, HIDDEN }, { 1008 * MS, owner },  { 1009 * MS, 0 },
	};
	struct builder_thread t;
	struct builder b;

	begin(&b, &t);
	tell(&b, t.tid, told, sizeof(told) / sizeof(told[0]), 1);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED, -1);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(&b, A, 0, 1001 * MS, 1009 * MS);
	builder_span(&b, B, 0, 1002 * MS, 1009 * MS);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_int_equal(builder_ledger(&b, owner)->cpu_ns, 5 * MS);
	assert_int_equal(builder_ledger(&b, other)->cpu_ns, 2 * MS);
	correlator_free(b.correlator);
}

/* Two coroutines, say; it counts for the one that had the thread when it came up. */
static void what_was_not_exported_counts_for_the_span_it_began_in(void **state)
{
	(void)state;
	hide_one_within(A);
	hide_one_within(B);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_not_exported_counts_for_the_span_it_began_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
