/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that were never seen, in a process that never puts a span aside. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX    202
#define REQUESTS 200 /* before anybody believes that it does not */
#define PARENT   1000
#define FIRST    1001
#define SECOND   1002
#define THIRD    1003

/* Each in one go. */
static void play_requests(struct builder *b, struct builder_thread *t)
{
	for (uint64_t i = 1; i <= REQUESTS; i++) {
		uint64_t at = 1000 * MS + i * MS;

		b->trace = i;
		builder_slice(b, t, at, at, at + 200 * US, i, 0, FUTEX);
		builder_slice(b, t, at + 300 * US, at + 300 * US, at + 500 * US, 0, 0, FUTEX);
	}
}

/* The process is believed by then, and its first thread shows the parent. */
static void begin_request(struct builder *b, struct builder_thread *own,
			  struct builder_thread *second, struct builder_thread *third)
{
	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, own);
	builder_warm_up(b, second);
	builder_warm_up(b, third);
	play_requests(b, own);
	builder_clock(b, 1500 * MS);
	correlator_advance(b->correlator, 1500 * MS);
	b->trace = PARENT;
	builder_slice(b, own, 2000 * MS, 2000 * MS, 2001 * MS, PARENT, 0, FUTEX);
}

static void settle(struct builder *b)
{
	builder_clock(b, 4000 * MS);
	correlator_advance(b->correlator, 4000 * MS);
	correlator_settle_all(b->correlator);
}

/* Of two children at once, the one is guessed to be on either of two threads, and so the other one
 * on what is left: it may as well be the other way round. One of them waits, for 400 us of the
 * second one. */
static void a_guess_leaves_the_next_one_as_open(void **state)
{
	struct builder_thread own = { .pid = BUILDER_PID, .tid = 11 },
			      steady = { .pid = BUILDER_PID, .tid = 12 },
			      other = { .pid = BUILDER_PID, .tid = 13 };
	const struct ledger *l;
	struct builder b;

	(void)state;
	begin_request(&b, &own, &steady, &other);
	builder_slice(&b, &steady, 2002 * MS, 2002 * MS, 2006 * MS, 0, 0, FUTEX);
	builder_slice(&b, &other, 2002 * MS, 2002 * MS, 2004200 * US, 0, 0, FUTEX);
	builder_slice(&b, &other, 2004600 * US, 2004600 * US, 2006 * MS, 0, 0, FUTEX);
	builder_slice(&b, &own, 2007 * MS, 2007 * MS, 2008 * MS, 0, 0, FUTEX);
	builder_span(&b, FIRST, PARENT, 2003 * MS, 2004 * MS);
	builder_span(&b, SECOND, PARENT, 2003 * MS + US, 2005 * MS);
	builder_span(&b, PARENT, 0, 2000 * MS + 500 * US, 2007 * MS + 500 * US);
	settle(&b);
	l = builder_ledger(&b, PARENT);
	assert_true(l->uncertain_ns >= 400 * US);
	correlator_free(b.correlator);
}

/* A pool's thread does three parts of a request, and shows the first and the last one; the second
 * may as well have been done by another one, which ran all the time, too. For the request it is the
 * same. */
static void which_of_two_busy_threads_had_a_part_does_not_matter_to_the_whole(void **state)
{
	struct builder_thread own = { .pid = BUILDER_PID, .tid = 11 },
			      busy = { .pid = BUILDER_PID, .tid = 12 },
			      other = { .pid = BUILDER_PID, .tid = 13 };
	const struct ledger *l;
	struct builder b;

	(void)state;
	begin_request(&b, &own, &busy, &other);
	builder_slice(&b, &busy, 2002 * MS, 2002 * MS, 2004 * MS, FIRST, 0, FUTEX);
	builder_slice(&b, &other, 2002 * MS, 2002 * MS, 2012 * MS, 0, 0, FUTEX);
	builder_slice(&b, &busy, 2004010 * US, 2004010 * US, 2008 * MS, THIRD, 0, FUTEX);
	builder_slice(&b, &busy, 2008010 * US, 2008010 * US, 2009 * MS, 0, 0, FUTEX);
	builder_slice(&b, &own, 2010 * MS, 2010 * MS, 2011 * MS, 0, 0, FUTEX);
	builder_span(&b, FIRST, PARENT, 2002001 * US, 2005499 * US);
	builder_span(&b, SECOND, PARENT, 2005500 * US, 2006500 * US);
	builder_span(&b, THIRD, PARENT, 2006501 * US, 2008999 * US);
	builder_span(&b, PARENT, 0, 2000 * MS + 500 * US, 2010 * MS + 500 * US);
	settle(&b);
	l = builder_ledger(&b, PARENT);
	assert_in_range(l->cpu_ns, 7970 * US, 7980 * US);
	assert_true(l->uncertain_ns < 50 * US);
	assert_int_equal(builder_ledger(&b, SECOND)->grade, GRADE_INFERRED);
	correlator_free(b.correlator);
}

/* A child of the first part is seen on one thread; but the part may as well have been another
 * thread's, which ran all the time. That one is all that is left for the second part, which ended
 * later. */
static void who_has_but_one_thread_left_keeps_others_from_it(void **state)
{
	struct builder_thread own = { .pid = BUILDER_PID, .tid = 11 },
			      busy = { .pid = BUILDER_PID, .tid = 12 },
			      other = { .pid = BUILDER_PID, .tid = 13 };
	struct builder b;

	(void)state;
	begin_request(&b, &own, &busy, &other);
	builder_slice(&b, &busy, 2002 * MS, 2002 * MS, 2006 * MS, 0, 0, FUTEX);
	builder_slice(&b, &other, 2002 * MS, 2002 * MS, 2003 * MS, THIRD, 0, FUTEX);
	builder_slice(&b, &other, 2004 * MS, 2004 * MS, 2005 * MS, 0, 0, FUTEX);
	builder_slice(&b, &own, 2007 * MS, 2007 * MS, 2008 * MS, 0, 0, FUTEX);
	builder_span(&b, FIRST, PARENT, 2002100 * US, 2004800 * US);
	builder_span(&b, THIRD, FIRST, 2002500 * US, 2004700 * US);
	builder_span(&b, SECOND, PARENT, 2002200 * US, 2005900 * US);
	builder_span(&b, PARENT, 0, 2000 * MS + 500 * US, 2007 * MS + 500 * US);
	settle(&b);
	assert_true(builder_ledger(&b, FIRST)->grade >= GRADE_BOUNDED);
	assert_true(builder_ledger(&b, FIRST)->uncertain_ns <= 10 * US);
	assert_true(builder_ledger(&b, PARENT)->uncertain_ns <= 500 * US);
	assert_int_equal(builder_ledger(&b, SECOND)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* The thread is pushed off its CPU while it writes its tag: what is told of it is the one before,
 * of a span that is over. That keeps no later one away from it, though another thread ran all the
 * time, too. */
static void a_tag_that_could_not_be_read_keeps_nobody_away(void **state)
{
	const uint64_t ran_ns = 3300 * US;
	struct builder_thread own = { .pid = BUILDER_PID, .tid = 11 },
			      busy = { .pid = BUILDER_PID, .tid = 12 },
			      other = { .pid = BUILDER_PID, .tid = 13 };
	const struct ledger *l;
	struct builder b;

	(void)state;
	begin_request(&b, &own, &busy, &other);
	builder_slice(&b, &busy, 2002 * MS, 2002 * MS, 2010 * MS, 0, 0, FUTEX);
	builder_slice(&b, &own, 2002 * MS, 2002 * MS, 2003 * MS, FIRST, 0, FUTEX);
	builder_slice(&b, &own, 2004 * MS, 2004 * MS, 2006 * MS, FIRST,
		      EVENT_PREEMPTED | EVENT_TAG_OUT_UNKNOWN, -1);
	own.span = 0;
	builder_slice(&b, &own, 0, 2006100 * US, 2007 * MS, 0, 0, FUTEX);
	builder_span(&b, FIRST, PARENT, 2002500 * US, 2004500 * US);
	builder_span(&b, SECOND, PARENT, 2004600 * US, 2005 * MS);
	builder_span(&b, PARENT, 0, 2000 * MS + 500 * US, 2005800 * US);
	settle(&b);
	l = builder_ledger(&b, PARENT);
	assert_in_range(l->cpu_ns, ran_ns - 10 * US, ran_ns + 10 * US);
	assert_in_range(builder_ledger(&b, SECOND)->cpu_ns, 390 * US, 400 * US);
	correlator_free(b.correlator);
}

/* A thread shows one trace's root at each look, and another one's, that is seen nowhere, begins
 * and ends while it runs. Another thread ran all the time. */
static void play_beside(struct builder *b, bool is_believed)
{
	struct builder_thread own = { .pid = BUILDER_PID, .tid = 11 },
			      other = { .pid = BUILDER_PID, .tid = 12 };

	builder_begin_two(b, &own, &other);
	if (is_believed)
		play_requests(b, &own);
	b->trace = PARENT;
	builder_slice(b, &other, 2002 * MS, 2002 * MS, 2012 * MS, 0, 0, FUTEX);
	builder_slice(b, &own, 2003 * MS, 2003 * MS, 2004 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &own, 2005 * MS, 2005 * MS, 2006 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &own, 2007 * MS, 2007 * MS, 2008 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &own, 2009 * MS, 2009 * MS, 2010 * MS, 0, 0, FUTEX);
	builder_span(b, PARENT, 0, 2003100 * US, 2009900 * US);
	b->trace = SECOND;
	builder_span(b, SECOND, 0, 2005200 * US, 2007800 * US);
	settle(b);
}

/* Which had it in turns, until so much was seen of its process that they would have shown. */
static void who_ran_at_both_edges_may_have_had_it_between_two_looks(void **state)
{
	struct builder b;

	(void)state;
	play_beside(&b, false);
	assert_int_equal(builder_ledger(&b, SECOND)->grade, GRADE_INFERRED);
	assert_true(builder_ledger(&b, PARENT)->uncertain_ns >= 1600 * US);
	correlator_free(b.correlator);
	play_beside(&b, true);
	assert_int_equal(builder_ledger(&b, SECOND)->grade, GRADE_EXACT);
	assert_int_equal(builder_ledger(&b, PARENT)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* Threads that tell what they show, and hand spans on. The root's thread runs at a part's start, a
 * thread that shows nothing at both of its edges. */
static uint64_t doubt_of_queued(bool is_there)
{
	struct builder_thread own = { .pid = BUILDER_PID, .tid = 11 },
			      idle = { .pid = BUILDER_PID, .tid = 12 },
			      other = { .pid = BUILDER_PID, .tid = 13 };
	struct builder b;
	uint64_t doubt;

	begin_request(&b, &own, &idle, &other);
	builder_slice(&b, &own, 2002 * MS, 2002 * MS, 2004 * MS, PARENT, EVENT_TOLD, FUTEX);
	builder_slice(&b, &idle, 2003 * MS, 2003 * MS, 2006 * MS, 0, EVENT_TOLD, FUTEX);
	builder_slice(&b, &idle, 2010 * MS, 2010 * MS, 2011 * MS, SECOND, 0, FUTEX);
	builder_slice(&b, &idle, 2012 * MS, 2012 * MS, 2013 * MS, 0, 0, FUTEX);
	builder_slice(&b, &other, 2020 * MS, 2020 * MS, 2021 * MS, SECOND, 0, FUTEX);
	builder_slice(&b, &other, 2022 * MS, 2022 * MS, 2023 * MS, 0, 0, FUTEX);
	builder_slice(&b, &own, 2030 * MS, 2030 * MS, 2031 * MS, 0, 0, FUTEX);
	if (is_there)
		builder_span(&b, FIRST, PARENT, 2003500 * US, 2005500 * US);
	builder_span(&b, SECOND, PARENT, 2010500 * US, 2022500 * US);
	builder_span(&b, PARENT, 0, 2000 * MS + 500 * US, 2030 * MS + 500 * US);
	settle(&b);
	doubt = builder_ledger(&b, PARENT)->uncertain_ns;
	correlator_free(b.correlator);
	return doubt;
}

static void what_is_handed_on_may_have_waited_for_nobody(void **state)
{
	(void)state;
	assert_true(doubt_of_queued(true) >= doubt_of_queued(false) + 1900 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guess_leaves_the_next_one_as_open),
		cmocka_unit_test(which_of_two_busy_threads_had_a_part_does_not_matter_to_the_whole),
		cmocka_unit_test(a_tag_that_could_not_be_read_keeps_nobody_away),
		cmocka_unit_test(who_has_but_one_thread_left_keeps_others_from_it),
		cmocka_unit_test(who_ran_at_both_edges_may_have_had_it_between_two_looks),
		cmocka_unit_test(what_is_handed_on_may_have_waited_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
