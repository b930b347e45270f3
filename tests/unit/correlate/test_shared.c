/* SPDX-License-Identifier: Apache-2.0 */
/* A child process, or a thread, in its maker's memory, with its thread pointer: what it shows is
 * what that one does. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202
#define CHILD 20

static void tell_fork(struct builder *b, uint64_t at_ns, uint32_t is_shared)
{
	const struct event_life life = { .header = { .kind = EVENT_FORK, .bytes = sizeof(life) },
					 .pid = BUILDER_PID,
					 .tid = 11,
					 .other_pid = CHILD,
					 .is_shared = is_shared,
					 .time_ns = at_ns };

	assert_int_equal(correlator_record(b->correlator, &life.header), 0);
}

/* Span 1, 1000 to 1020 ms, has a child process from 1002 on. Span 2 within it, 1006 to 1014, shows
 * on that before it shows on the thread that has it. */
static void play(struct builder *b, uint32_t is_shared)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 },
			      child = { .pid = CHILD, .tid = CHILD, .span = 1 };

	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &t);
	builder_slice(b, &t, 999 * MS, 999 * MS, 1004 * MS, 1, 0, FUTEX);
	tell_fork(b, 1002 * MS, is_shared);
	builder_slice(b, &child, 0, 1003 * MS, 1005 * MS, 1, 0, FUTEX);
	builder_slice(b, &child, 1007 * MS, 1007 * MS, 1008 * MS, 2, 0, FUTEX);
	builder_slice(b, &t, 1005 * MS, 1005 * MS, 1010 * MS, 2, 0, FUTEX);
	builder_slice(b, &t, 1012 * MS, 1012 * MS, 1015 * MS, 1, 0, FUTEX);
	builder_slice(b, &child, 1016 * MS, 1016 * MS, 1017 * MS, 1, EVENT_DEAD, -1);
	builder_slice(b, &t, 1018 * MS, 1018 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(b, 1, 0, 1000 * MS, 1020 * MS);
	builder_span(b, 2, 1, 1006 * MS, 1014 * MS);
	builder_clock(b, 3000 * MS);
	correlator_settle_all(b->correlator);
}

static void what_it_shows_is_its_makers(void **state)
{
	const struct ledger *outer, *inner;
	struct builder b;

	(void)state;
	play(&b, 1);
	outer = builder_ledger(&b, 1);
	inner = builder_ledger(&b, 2);
	assert_int_equal(outer->pid, BUILDER_PID);
	assert_int_equal(inner->pid, BUILDER_PID);
	assert_int_equal(inner->cpu_ns, 6 * MS);
	assert_int_equal(outer->cpu_ns, 14 * MS);
	correlator_free(b.correlator);
}

static void what_it_burns_meanwhile_is_told_apart(void **state)
{
	struct builder b;

	(void)state;
	play(&b, 1);
	assert_int_equal(builder_ledger(&b, 1)->forked_cpu_ns, 3 * MS);
	assert_int_equal(builder_ledger(&b, 2)->forked_cpu_ns, 1 * MS);
	correlator_free(b.correlator);
}

/* With a variable of its own, it has taken the span over, which began while it was not at work. */
static void another_child_has_not_what_it_shows_first(void **state)
{
	struct builder b;

	(void)state;
	play(&b, 0);
	assert_int_equal(builder_ledger(&b, 2)->pid, BUILDER_PID);
	assert_int_equal(builder_ledger(&b, 2)->cpu_ns, 6 * MS);
	correlator_free(b.correlator);
}

/* The span ends while the thread that was born within it sleeps, 30 us before that comes back. */
static void what_a_thread_shows_may_be_over_when_it_comes_back(void **state)
{
	struct builder_thread maker = { .pid = BUILDER_PID, .tid = 11 },
			      thread = { .pid = BUILDER_PID, .tid = 12, .span = 1 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &maker);
	builder_slice(&b, &maker, 999 * MS, 999 * MS, 1004 * MS, 1, 0, FUTEX);
	builder_slice(&b, &thread, 0, 1002 * MS, 1005 * MS, 1, 0, FUTEX);
	builder_slice(&b, &maker, 1006 * MS, 1006 * MS, 1010 * MS + 5 * US, 0, 0, FUTEX);
	builder_slice(&b, &thread, 1010 * MS + 30 * US, 1010 * MS + 30 * US, 1011 * MS, 0,
		      EVENT_DEAD, -1);
	builder_span(&b, 1, 0, 1000 * MS, 1010 * MS);
	builder_settle(&b);
	assert_int_equal(builder_ledger(&b, 1)->cpu_ns, 11 * MS);
	assert_true(builder_ledger(&b, 1)->uncertain_ns < 10 * US);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_shows_is_its_makers),
		cmocka_unit_test(what_it_burns_meanwhile_is_told_apart),
		cmocka_unit_test(another_child_has_not_what_it_shows_first),
		cmocka_unit_test(what_a_thread_shows_may_be_over_when_it_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
