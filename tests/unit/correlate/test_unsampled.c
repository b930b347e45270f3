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

/* Until nobody waits any more for what was not exported. */
static void settle(struct builder *b)
{
	for (uint64_t at = 3000 * MS; at <= 12000 * MS; at += 1000 * MS) {
		builder_clock(b, at);
		correlator_advance(b->correlator, at);
	}
}

/* Thread 11 has A, and within it B, of both of which it runs a part; from 1005 to 1007 ms thread 12
 * works at a span that nobody exported, and shows nothing else. */
static void add_spans(struct builder *b)
{
	builder_span(b, A, 0, 1000 * MS + 100 * US, 1020 * MS + 500 * US);
	builder_span(b, B, A, 1002 * MS, 1010 * MS + 500 * US);
	settle(b);
}

/* Which of them began it, nobody knows. */
static void assert_anybodys(struct builder *b)
{
	assert_true(builder_ledger(b, A)->uncertain_ns >= 2 * MS);
	assert_true(builder_ledger(b, B)->uncertain_ns >= 2 * MS);
	correlator_free(b->correlator);
}

static void what_another_thread_has_that_nobody_exported_is_anybodys(void **state)
{
	struct builder_thread own, other = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	begin(&b, &own);
	builder_warm_up(&b, &other);
	builder_slice(&b, &own, 1000 * MS, 1000 * MS, 1001 * MS, A, 0, FUTEX);
	builder_slice(&b, &own, 1003 * MS, 1003 * MS, 1008 * MS, B, 0, FUTEX);
	builder_slice(&b, &other, 1004 * MS, 1004 * MS, 1005 * MS, HIDDEN, 0, FUTEX);
	builder_slice(&b, &other, 1005 * MS, 1005 * MS, 1007 * MS, HIDDEN, EVENT_TICK, -1);
	builder_slice(&b, &other, 0, 1007 * MS, 1007 * MS + US, 0, 0, FUTEX);
	builder_slice(&b, &own, 1010 * MS, 1010 * MS, 1011 * MS, A, 0, FUTEX);
	builder_slice(&b, &own, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	add_spans(&b);
	assert_anybodys(&b);
}

/* It came to that in a slice in which A ended, and was seen with it only afterwards. */
static void what_another_thread_is_seen_with_late_may_have_begun_before(void **state)
{
	struct builder_thread own, other = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	begin(&b, &own);
	builder_warm_up(&b, &other);
	builder_slice(&b, &own, 1000 * MS, 1000 * MS, 1001 * MS, A, 0, FUTEX);
	builder_slice(&b, &own, 1010 * MS, 1010 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_slice(&b, &other, 1004 * MS, 1004 * MS, 1015 * MS, HIDDEN, 0, FUTEX);
	builder_slice(&b, &other, 1016 * MS, 1016 * MS, 1017 * MS, 0, 0, FUTEX);
	builder_span(&b, A, 0, 1000 * MS + 100 * US, 1010 * MS + 500 * US);
	settle(&b);
	assert_true(builder_ledger(&b, A)->uncertain_ns >= 6 * MS);
	correlator_free(b.correlator);
}

/* ... nor where both threads tell: nothing else is in doubt, and that not twice for the inner one.
 */
static void nor_is_it_known_where_threads_tell(void **state)
{
	const uint32_t flags = EVENT_TOLD | EVENT_CHANGED;
	const struct turn own_told[] = { { 1000 * MS + 100 * US, A },
					 { 1002 * MS, B },
					 { 1010 * MS + 500 * US, A },
					 { 1020 * MS + 500 * US, 0 } };
	const struct turn other_told[] = { { 1005 * MS, HIDDEN }, { 1007 * MS, 0 } };
	struct builder_thread own, other = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	begin(&b, &own);
	builder_warm_up(&b, &other);
	tell(&b, own.tid, own_told, ARRAY_LEN(own_told), 1);
	tell(&b, other.tid, other_told, ARRAY_LEN(other_told), 1);
	builder_slice(&b, &own, 1000 * MS, 1000 * MS, 1008 * MS, B, flags, FUTEX);
	builder_slice(&b, &other, 1005 * MS - US, 1005 * MS - US, 1007 * MS + US, 0, flags, FUTEX);
	builder_slice(&b, &own, 1010 * MS, 1010 * MS, 1011 * MS, A, flags, FUTEX);
	builder_slice(&b, &own, 1020 * MS, 1020 * MS, 1021 * MS, 0, flags, FUTEX);
	add_spans(&b);
	assert_true(builder_ledger(&b, A)->uncertain_ns <= 2100 * US);
	assert_true(builder_ledger(&b, B)->uncertain_ns <= 2100 * US);
	assert_anybodys(&b);
}

/* Thread 11 shows B, which lies within A, then what nobody exported, and leaves its CPU for another
 * one 2 ms later. B ends just then; that thread shows nothing, and ran there, too, or a bit later.
 */
static uint64_t doubt_of_end_at_switch(uint64_t other_in_ns)
{
	struct builder_thread own, other = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;
	uint64_t doubt;

	begin(&b, &own);
	builder_warm_up(&b, &other);
	builder_slice(&b, &own, 1000 * MS, 1000 * MS, 1001 * MS, A, 0, FUTEX);
	builder_slice(&b, &own, 1002 * MS, 1002 * MS, 1003 * MS, B, 0, FUTEX);
	builder_slice(&b, &own, 1004 * MS, 1004 * MS, 1006 * MS, HIDDEN, EVENT_PREEMPTED, -1);
	builder_slice(&b, &other, other_in_ns, other_in_ns, 1008 * MS, 0, 0, FUTEX);
	builder_slice(&b, &own, 0, 1008 * MS, 1010 * MS, A, 0, FUTEX);
	builder_slice(&b, &own, 1011 * MS, 1011 * MS, 1012 * MS, 0, 0, FUTEX);
	builder_span(&b, A, 0, 1000 * MS + 100 * US, 1011 * MS + 500 * US);
	builder_span(&b, B, A, 1002 * MS + 100 * US, 1006 * MS);
	settle(&b);
	doubt = builder_ledger(&b, B)->uncertain_ns;
	correlator_free(b.correlator);
	return doubt;
}

/* So that may have been given B, and what nobody exported lies below A. */
static void who_came_just_when_it_ended_may_have_ended_it(void **state)
{
	(void)state;
	assert_in_range(doubt_of_end_at_switch(1006 * MS), 2 * MS, 5 * MS);
	assert_in_range(doubt_of_end_at_switch(1006 * MS + US), 0, 10 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_not_exported_counts_for_the_span_it_began_in),
		cmocka_unit_test(what_another_thread_has_that_nobody_exported_is_anybodys),
		cmocka_unit_test(what_another_thread_is_seen_with_late_may_have_begun_before),
		cmocka_unit_test(nor_is_it_known_where_threads_tell),
		cmocka_unit_test(who_came_just_when_it_ended_may_have_ended_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
