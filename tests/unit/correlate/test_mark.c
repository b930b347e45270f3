/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that mark where spans begin and end. A span and a sibling of it are begun at about the
 * same time, so that without marks nobody could say which of two threads began it. */
#include "tests/unit/correlate/world_builder.h"

#define A          1
#define B          2
#define HIDDEN     3
#define C          4
#define FUTEX      202
#define NANOSLEEP  35
#define EPOLL_WAIT 232

struct entry {
	uint64_t at_ns, span;
	bool is_mark;
};

static void tell(struct builder *b, const struct builder_thread *t, const struct entry *log,
		 uint32_t count)
{
	struct event_changes record = {
		.header = { .kind = EVENT_CHANGES }, .pid = t->pid, .tid = t->tid, .is_first = 1
	};
	uint64_t shown = t->span;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t mark = log[i].is_mark ? EVENT_MARK : 0;

		record.changes[record.count++] =
			(struct event_change){ log[i].at_ns | mark, builder_tag(b, log[i].span) };
		shown = mark ? shown : log[i].span;
		if (mark)
			record.changes[record.count++] =
				(struct event_change){ log[i].at_ns, builder_tag(b, shown) };
	}
	record.header.bytes = (uint16_t)EVENT_CHANGES_BYTES(record.count);
	assert_int_equal(correlator_record(b->correlator, &record.header), 0);
}

/* Both run from 1000 to 1010 ms, and the first one then shows A. */
static void begin(struct builder *b, struct builder_thread *t, struct builder_thread *other)
{
	*t = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	*other = (struct builder_thread){ .pid = BUILDER_PID, .tid = 12 };
	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, t);
	builder_slice(b, other, 0, 1000 * MS, 1000 * MS + US, 0, EVENT_TOLD, FUTEX);
}

/* A is open from 1002 to 1008 ms and shown from 1003 to 1007; who made it marked it as `log` says.
 */
static struct ledger of_shown(const struct entry *log, uint32_t count, const struct entry *others,
			      uint32_t other_count)
{
	struct builder_thread t, other;
	struct ledger ledger;
	struct builder b;

	begin(&b, &t, &other);
	tell(&b, &t, log, count);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	tell(&b, &other, others, other_count);
	builder_slice(&b, &other, 1001 * MS, 1001 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_span(&b, A, 0, 1002 * MS, 1008 * MS);
	builder_span(&b, B, 0, 1002 * MS + 10 * US, 1009 * MS);
	builder_settle(&b);
	ledger = *builder_ledger(&b, A);
	correlator_free(b.correlator);
	return ledger;
}

static const struct entry of_b[] = { { 1002 * MS + 10 * US, B, true },
				     { 1002 * MS + 20 * US, B, false },
				     { 1009 * MS - 20 * US, 0, false },
				     { 1009 * MS, B, true } };

static void who_begins_a_span_and_shows_it_has_worked_for_it_since(void **state)
{
	static const struct entry marked[] = { { 1002 * MS, A, true },
					       { 1003 * MS, A, false },
					       { 1007 * MS, 0, false },
					       { 1008 * MS, A, true },
					       { 1009 * MS, 0, false } }; /* a turn */
	static const struct entry unmarked[] = { { 1003 * MS, A, false }, { 1007 * MS, 0, false } };
	struct ledger sure = of_shown(marked, 5, of_b, 4), unsure = of_shown(unmarked, 2, of_b, 4);

	(void)state;
	assert_int_equal(sure.cpu_ns, 6 * MS);
	assert_int_equal(sure.all.running_ns, 6 * MS);
	assert_true(sure.uncertain_ns < 10 * US);
	assert_true(unsure.uncertain_ns > 500 * US);
}

static void who_came_to_something_else_in_between_has_not(void **state)
{
	static const struct entry turned[] = { { 1002 * MS, A, true },
					       { 1002 * MS + 500 * US, 0, false },
					       { 1003 * MS, A, false },
					       { 1007 * MS, 0, false },
					       { 1007 * MS + 500 * US, 0, false },
					       { 1008 * MS, A, true } };
	struct ledger ledger = of_shown(turned, 6, of_b, 4);

	(void)state;
	assert_int_equal(ledger.cpu_ns, 4 * MS);
	assert_int_equal(ledger.all.elsewhere_ns, 2 * MS);
	assert_true(ledger.uncertain_ns < 10 * US);
}

static void a_span_that_another_thread_began_and_ended_was_not_here_before_it_showed(void **state)
{
	static const struct entry shown[] = { { 1003 * MS, A, false }, { 1007 * MS, 0, false } };
	static const struct entry marked[] = { { 1002 * MS, A, true },
					       { 1002 * MS + 10 * US, B, true },
					       { 1002 * MS + 20 * US, B, false },
					       { 1008 * MS, A, true },
					       { 1009 * MS - 20 * US, 0, false },
					       { 1009 * MS, B, true } };
	struct ledger ledger = of_shown(shown, 2, marked, 6);

	(void)state;
	assert_int_equal(ledger.cpu_ns, 4 * MS);
	assert_int_equal(ledger.all.elsewhere_ns, 2 * MS);
	assert_true(ledger.uncertain_ns < 10 * US);
}

/* It lost its CPU, or waited, before it read the clock. */
static void who_marked_its_end_long_before_the_clock_was_read_has_ended_it(void **state)
{
	static const struct entry begun[] = { { 1002 * MS, A, true },
					      { 1003 * MS, A, false },
					      { 1007 * MS, 0, false } };
	static const struct entry ended[] = { { 1002 * MS + 10 * US, B, true },
					      { 1002 * MS + 20 * US, B, false },
					      { 1008 * MS - 50 * US, A, true },
					      { 1009 * MS - 20 * US, 0, false },
					      { 1009 * MS, B, true } };
	struct ledger ledger = of_shown(begun, 3, ended, 5);

	(void)state;
	assert_int_equal(ledger.cpu_ns, 5 * MS);
	assert_int_equal(ledger.all.elsewhere_ns, 1 * MS);
	assert_true(ledger.uncertain_ns < 10 * US);
}

/* A timer was given its context, and shows it when the span is over. */
static void who_takes_up_a_context_later_has_not_ended_its_span(void **state)
{
	static const struct entry marked[] = { { 1002 * MS, A, true },
					       { 1003 * MS, A, false },
					       { 1007 * MS, 0, false },
					       { 1008 * MS, A, true } };
	static const struct entry later[] = {
		{ 1002 * MS + 10 * US, B, true },   { 1002 * MS + 20 * US, B, false },
		{ 1009 * MS - 20 * US, 0, false },  { 1009 * MS, B, true },
		{ 1009 * MS + 100 * US, A, false }, { 1009 * MS + 500 * US, 0, false }
	};
	struct ledger ledger = of_shown(marked, 4, later, 6);

	(void)state;
	assert_int_equal(ledger.cpu_ns, 6 * MS);
	assert_true(ledger.uncertain_ns < 10 * US);
}

/* A forked child shows its parent's span, too, for longer than that lasts. */
static void what_another_process_has_in_its_context_changes_nothing(void **state)
{
	static const struct entry marked[] = { { 1002 * MS, A, true },
					       { 1003 * MS, A, false },
					       { 1007 * MS, 0, false },
					       { 1008 * MS, A, true } };
	const struct event_process process = { .pid = 20, .ns_pid = 20, .publish = PUBLISH_TAGS };
	struct builder_thread t, other, child = { .pid = 20, .tid = 20 };
	const struct ledger *ledger;
	struct builder b;

	(void)state;
	begin(&b, &t, &other);
	assert_int_equal(correlator_process(b.correlator, &process), 0);
	builder_slice(&b, &child, 0, 1001 * MS, 1002 * MS, 0, 0, FUTEX);
	tell(&b, &t, marked, 4);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_slice(&b, &child, 1005 * MS, 1005 * MS, 1009 * MS, A, 0, FUTEX);
	builder_slice(&b, &child, 1020 * MS, 1020 * MS, 1021 * MS, A, 0, FUTEX);
	builder_span(&b, A, 0, 1002 * MS, 1008 * MS);
	builder_settle(&b);
	ledger = builder_ledger(&b, A);
	assert_int_equal(ledger->cpu_ns, 6 * MS);
	assert_true(ledger->uncertain_ns < 10 * US);
	correlator_free(b.correlator);
}

/* The thread lost its CPU after it had read the clock for the mark. */
static void a_mark_may_be_older_than_the_slice_in_which_it_shows(void **state)
{
	static const struct entry marked[] = { { 999 * MS, A, true },
					       { 1003 * MS, A, false },
					       { 1007 * MS, 0, false },
					       { 1008 * MS, A, true } };
	struct builder_thread t, other;
	struct correlator_stats stats;
	struct builder b;

	(void)state;
	begin(&b, &t, &other);
	builder_slice(&b, &t, 0, 990 * MS, 999 * MS + US, 0, EVENT_TOLD | EVENT_PREEMPTED, -1);
	tell(&b, &t, marked, 4);
	builder_slice(&b, &t, 0, 1002 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED, FUTEX);
	builder_span(&b, A, 0, 999 * MS, 1008 * MS);
	builder_settle(&b);
	correlator_stats(b.correlator, &stats);
	assert_int_equal(stats.changes_refused, 0);
	assert_true(builder_ledger(&b, A)->uncertain_ns < 10 * US);
	correlator_free(b.correlator);
}

/* ... between the mark and the reading of the clock for the span's start, or its end. */
static void the_clock_may_be_read_late_after_a_mark(void **state)
{
	static const struct entry marked[] = { { 1002 * MS - 50 * US, A, true },
					       { 1003 * MS, A, false },
					       { 1007 * MS, 0, false },
					       { 1008 * MS - 50 * US, A, true },
					       { 1009 * MS, 0, false } }; /* a turn */
	struct ledger ledger = of_shown(marked, 5, of_b, 4);

	(void)state;
	assert_int_equal(ledger.cpu_ns, 6 * MS);
	assert_true(ledger.uncertain_ns < 10 * US);
}

static void another_span_marked_in_between_leaves_it_open(void **state)
{
	static const struct entry passed[] = { { 1002 * MS, A, true },
					       { 1002 * MS + 10 * US, B, true },
					       { 1003 * MS, A, false },
					       { 1007 * MS, 0, false },
					       { 1008 * MS, A, true } };
	static const struct entry shown[] = { { 1002 * MS + 20 * US, B, false },
					      { 1009 * MS, 0, false } };
	struct ledger ledger = of_shown(passed, 5, shown, 2);

	(void)state;
	assert_true(ledger.uncertain_ns > 900 * US && ledger.uncertain_ns < 1100 * US);
}

/* A is shown from 1000.5 ms on; B, below it, from 1002 to 1018 and never shown: the thread waits in
 * it from 1005 to 1015 ms. */
static void unshown(struct builder *b, uint64_t turn_ns)
{
	const struct entry first[] = { { 1000 * MS + 400 * US, A, true },
				       { 1000 * MS + 500 * US, A, false },
				       { 1002 * MS, B, true } };
	const struct entry second[] = { { turn_ns, A, false },
					{ 1018 * MS, B, true },
					{ 1019 * MS, 0, false },
					{ 1019 * MS + 100 * US, A, true } };
	uint32_t skipped = turn_ns ? 0 : 1;
	struct builder_thread t, other;

	begin(b, &t, &other);
	tell(b, &t, first, 3);
	builder_slice(b, &t, 1000 * MS, 1000 * MS, 1005 * MS, A, EVENT_TOLD | EVENT_CHANGED,
		      NANOSLEEP);
	tell(b, &t, second + skipped, 4 - skipped);
	builder_slice(b, &t, 1015 * MS, 1015 * MS, 1020 * MS, 0, EVENT_TOLD | EVENT_CHANGED, FUTEX);
	builder_slice(b, &other, 1001 * MS, 1001 * MS, 1010 * MS, 0, EVENT_TOLD, FUTEX);
	builder_span(b, A, 0, 1000 * MS + 400 * US, 1019 * MS + 100 * US);
	builder_span(b, B, A, 1002 * MS, 1018 * MS);
	builder_settle(b);
}

static void a_span_that_nobody_shows_is_whose_it_was_marked(void **state)
{
	const struct ledger *a, *of_unshown;
	struct builder b;

	(void)state;
	unshown(&b, 0);
	a = builder_ledger(&b, A);
	of_unshown = builder_ledger(&b, B);
	assert_int_equal(of_unshown->cpu_ns, 6 * MS);
	assert_int_equal(of_unshown->all.blocked_ns[REASON_SLEEP], 10 * MS);
	assert_int_equal(of_unshown->all.elsewhere_ns, 0);
	assert_true(of_unshown->uncertain_ns < 10 * US);
	assert_int_equal(a->all.blocked_ns[REASON_SLEEP], 10 * MS);
	assert_int_equal(a->self.blocked_ns[REASON_SLEEP], 0);
	assert_true(a->uncertain_ns < 20 * US);
	correlator_free(b.correlator);
}

static void unless_its_thread_came_to_something_else(void **state)
{
	struct builder b;

	(void)state;
	unshown(&b, 1016 * MS);
	assert_int_equal(builder_ledger(&b, B)->grade, GRADE_INFERRED);
	correlator_free(b.correlator);
}

/* Some runtimes enter a task's context unseen. Without a tag nothing else would tell. */
static void or_showed_nothing_and_waited_for_events_as_loops_do(void **state)
{
	const struct entry first[] = { { 1000 * MS + 200 * US, A, false },
				       { 1000 * MS + 800 * US, 0, false },
				       { 1002 * MS, B, true } };
	const struct entry second = { 1018 * MS, B, true };
	struct builder_thread t, other;
	struct builder b;

	(void)state;
	begin(&b, &t, &other);
	tell(&b, &t, first, 3);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1005 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      EPOLL_WAIT);
	tell(&b, &t, &second, 1);
	builder_slice(&b, &t, 1015 * MS, 1015 * MS, 1020 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_slice(&b, &other, 1021 * MS, 1021 * MS, 1022 * MS, 0, EVENT_TOLD, FUTEX);
	builder_span(&b, B, 0, 1002 * MS, 1018 * MS);
	builder_settle(&b);
	assert_int_equal(builder_ledger(&b, B)->grade, GRADE_INFERRED);
	correlator_free(b.correlator);
}

/* A from 1000.4 to 1009.9 ms and within it B from 1001 to 1009 on one thread, which begins
 * something at 1002 ms that nobody exports; another thread carries that, or C below it, from 1003
 * to 1007. */
static void hidden(struct builder *b, bool is_marked, uint64_t carried)
{
	const struct entry first[] = { { 1000 * MS + 400 * US, A, true },
				       { 1000 * MS + 401 * US, A, false },
				       { 1001 * MS, B, true },
				       { 1001 * MS + US, B, false },
				       { 1002 * MS, HIDDEN, true } };
	const struct entry last[] = { { 1009 * MS - US, A, false },
				      { 1009 * MS, B, true },
				      { 1010 * MS - 101 * US, 0, false },
				      { 1010 * MS - 100 * US, A, true } };
	const struct entry others[] = { { 1003 * MS, carried, false }, { 1007 * MS, 0, false } };
	struct builder_thread t, other;

	begin(b, &t, &other);
	tell(b, &t, first, is_marked ? 5 : 4);
	builder_slice(b, &t, 1000 * MS, 1000 * MS, 1005 * MS, B,
		      EVENT_TOLD | EVENT_CHANGED | EVENT_PREEMPTED, -1);
	tell(b, &t, last, 4);
	builder_slice(b, &t, 1005 * MS, 1005 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED, FUTEX);
	tell(b, &other, others, 2);
	builder_slice(b, &other, 1001 * MS, 1001 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_span(b, A, 0, 1000 * MS + 400 * US, 1010 * MS - 100 * US);
	builder_span(b, B, A, 1001 * MS, 1009 * MS);
	if (carried == C)
		builder_span(b, C, HIDDEN, 1003 * MS, 1007 * MS);
	for (uint64_t at = 3000 * MS; at <= 13000 * MS; at += 1000 * MS) { /* nothing is awaited */
		builder_clock(b, at);
		correlator_advance(b->correlator, at);
	}
}

static void what_nobody_exports_counts_for_the_span_in_which_it_was_marked_to_begin(void **state)
{
	struct builder b;

	(void)state;
	hidden(&b, true, HIDDEN);
	assert_int_equal(builder_ledger(&b, B)->cpu_ns, 12 * MS);
	assert_int_equal(builder_ledger(&b, A)->cpu_ns, 13 * MS + 500 * US);
	assert_true(builder_ledger(&b, B)->uncertain_ns < 20 * US);
	assert_true(builder_ledger(&b, A)->uncertain_ns < 20 * US);
	correlator_free(b.correlator);
	hidden(&b, false, HIDDEN);
	assert_true(builder_ledger(&b, B)->uncertain_ns > 3 * MS);
	correlator_free(b.correlator);
}

static void and_so_does_what_was_begun_within_it(void **state)
{
	struct builder b;

	(void)state;
	hidden(&b, true, C);
	assert_int_equal(builder_ledger(&b, C)->cpu_ns, 4 * MS);
	assert_int_equal(builder_ledger(&b, B)->cpu_ns, 12 * MS);
	assert_true(builder_ledger(&b, B)->uncertain_ns < 20 * US);
	correlator_free(b.correlator);
	hidden(&b, false, C);
	assert_true(builder_ledger(&b, B)->uncertain_ns > 3 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_begins_a_span_and_shows_it_has_worked_for_it_since),
		cmocka_unit_test(who_came_to_something_else_in_between_has_not),
		cmocka_unit_test(
			a_span_that_another_thread_began_and_ended_was_not_here_before_it_showed),
		cmocka_unit_test(who_marked_its_end_long_before_the_clock_was_read_has_ended_it),
		cmocka_unit_test(who_takes_up_a_context_later_has_not_ended_its_span),
		cmocka_unit_test(what_another_process_has_in_its_context_changes_nothing),
		cmocka_unit_test(a_mark_may_be_older_than_the_slice_in_which_it_shows),
		cmocka_unit_test(the_clock_may_be_read_late_after_a_mark),
		cmocka_unit_test(another_span_marked_in_between_leaves_it_open),
		cmocka_unit_test(a_span_that_nobody_shows_is_whose_it_was_marked),
		cmocka_unit_test(unless_its_thread_came_to_something_else),
		cmocka_unit_test(or_showed_nothing_and_waited_for_events_as_loops_do),
		cmocka_unit_test(
			what_nobody_exports_counts_for_the_span_in_which_it_was_marked_to_begin),
		cmocka_unit_test(and_so_does_what_was_begun_within_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
