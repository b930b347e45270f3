/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that carry another thread's span, beside it. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

/* The root of trace `span`, 10 ms on its own thread, of whose first and last it runs. Another
 * thread runs for 2 ms meanwhile, and shows `shown` when it leaves the CPU, 1 ms after it came. */
static void request(struct builder *b, struct builder_thread *own, struct builder_thread *other,
		    uint64_t span, uint64_t shown)
{
	uint64_t at = (900 + 100 * span) * MS;

	b->trace = span;
	builder_slice(b, own, at, at, at + MS, span, 0, FUTEX);
	builder_slice(b, other, at + 2 * MS, at + 2 * MS, at + 3 * MS, shown, 0, FUTEX);
	builder_slice(b, other, at + 4 * MS, at + 4 * MS, at + 5 * MS, 0, 0, FUTEX);
	builder_slice(b, own, at + 9 * MS, at + 9 * MS, at + 11 * MS, 0, 0, FUTEX);
	builder_span(b, span, 0, at, at + 10 * MS);
}

/* What is learned later is learned for what was before, too. */
static void who_was_seen_to_lend_may_do_so_unseen(void **state)
{
	struct builder_thread own, other;
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	request(&b, &own, &other, 1, 0);
	request(&b, &own, &other, 2, 2);
	request(&b, &own, &other, 3, 0);
	builder_settle(&b);
	assert_int_equal(builder_ledger(&b, 1)->cpu_ns, 2 * MS);
	assert_in_range(builder_ledger(&b, 1)->uncertain_ns, 2 * MS, 2 * MS + 10 * US);
	assert_in_range(builder_ledger(&b, 3)->uncertain_ns, 2 * MS, 2 * MS + 10 * US);
	correlator_free(b.correlator);
}

/* All of that in one: what the second part shows concerns the first one, in the same trace. */
static void a_trace_knows_what_it_shows_itself(void **state)
{
	struct builder_thread own, other;
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	for (uint64_t part = 2; part <= 3; part++) {
		uint64_t at = 1000 * MS + part * 10 * MS;

		builder_slice(&b, &own, at, at, at + MS, part, 0, FUTEX);
		builder_slice(&b, &other, at + 2 * MS, at + 2 * MS, at + 3 * MS, part == 3 ? 3 : 0,
			      0, FUTEX);
		builder_slice(&b, &other, at + 4 * MS, at + 4 * MS, at + 5 * MS, 0, 0, FUTEX);
		builder_slice(&b, &own, at + 8 * MS, at + 8 * MS, at + 9 * MS, 1, 0, FUTEX);
		builder_span(&b, part, 1, at, at + 8 * MS + 500 * US);
	}
	builder_span(&b, 1, 0, 1020 * MS, 1040 * MS);
	builder_clock(&b, 3000 * MS);
	correlator_advance(b.correlator, 3000 * MS);
	assert_int_equal(builder_ledger(&b, 2)->revision, 1);
	assert_in_range(builder_ledger(&b, 2)->uncertain_ns, 2 * MS, 3 * MS);
	correlator_free(b.correlator);
}

/* A trace of 10 ms; its own thread begins span `part` in it, 1 ms after it came to a CPU for the
 * second time, shows it 2 ms later, and runs for another ms. The other thread runs for `beside_ns`
 * in between, and shows nothing. */
static void begin_part(struct builder *b, struct builder_thread *own, struct builder_thread *other,
		       uint64_t part, uint64_t beside_ns)
{
	uint64_t at = (900 + 100 * part) * MS;

	b->trace = part;
	builder_slice(b, own, at, at, at + MS, 100 + part, 0, FUTEX);
	if (beside_ns)
		builder_slice(b, other, at + 3 * MS, at + 3 * MS, at + 3 * MS + beside_ns, 0, 0,
			      FUTEX);
	builder_slice(b, own, at + 2 * MS, at + 2 * MS, at + 5 * MS, part, 0, FUTEX);
	builder_slice(b, own, at + 8 * MS, at + 8 * MS, at + 11 * MS, 0, 0, FUTEX);
	builder_span(b, 100 + part, 0, at, at + 10 * MS);
	builder_span(b, part, 100 + part, at + 3 * MS, at + 9 * MS);
}

/* Its 2 ms up to the first look, and what the other thread ran. */
static void who_may_have_been_given_a_span_may_have_given_it_back(void **state)
{
	struct builder_thread own, other;
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	request(&b, &own, &other, 2, 2);
	begin_part(&b, &own, &other, 3, 100 * US);
	begin_part(&b, &own, &other, 4, 0);
	builder_settle(&b);
	assert_in_range(builder_ledger(&b, 3)->uncertain_ns, 2 * MS + 100 * US, 2 * MS + 110 * US);
	assert_in_range(builder_ledger(&b, 103)->uncertain_ns, 2 * MS + 100 * US,
			2 * MS + 110 * US);
	assert_in_range(builder_ledger(&b, 4)->uncertain_ns, 0, 10 * US);
	correlator_free(b.correlator);
}

/* The root's thread makes another one 1 ms after its start, which runs for 3 ms, and for 1 ms more
 * when the root is over. `shown`: its own span, that it shows in between; `told`: all that it shows
 * is told. */
static struct ledger of_maker(uint64_t made_by, uint64_t shown, uint32_t told)
{
	struct builder_thread own, made = { .pid = BUILDER_PID, .tid = 20 };
	struct ledger ledger;
	struct builder b;

	builder_begin(&b, (struct builder_thread *[]){ &own }, 1);
	builder_slice(&b, &own, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, FUTEX);
	b.waker = (struct event_waker){ .pid = BUILDER_PID,
					.tid = own.tid,
					.kind = WAKER_THREAD,
					.tag = builder_tag(&b, made_by) };
	builder_slice(&b, &made, 1001 * MS, 1001 * MS, 1002 * MS, shown, told, FUTEX);
	builder_slice(&b, &made, 1005 * MS, 1005 * MS, 1006 * MS, 0, told, FUTEX);
	builder_slice(&b, &made, 1007 * MS, 1007 * MS, 1008 * MS, 0, told, FUTEX);
	builder_slice(&b, &own, 1009 * MS, 1009 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_slice(&b, &made, 1012 * MS, 1012 * MS, 1013 * MS, 0, told, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS, 1010 * MS);
	if (shown)
		builder_span(&b, shown, 1, 1001 * MS + 10 * US, 1006 * MS - 10 * US);
	builder_settle(&b);
	ledger = *builder_ledger(&b, 1);
	correlator_free(b.correlator);
	return ledger;
}

/* As a timer does, or a thread that a callback was given to. */
static void who_was_made_within_a_span_may_work_for_it_unseen(void **state)
{
	struct ledger ledger = of_maker(1, 0, 0);

	(void)state;
	assert_int_equal(ledger.cpu_ns, 2 * MS);
	assert_in_range(ledger.uncertain_ns, 3 * MS, 3 * MS + 10 * US);
	assert_true(of_maker(0, 0, 0).uncertain_ns < 10 * US);
	assert_true(of_maker(1, 0, EVENT_TOLD).uncertain_ns < 10 * US);
}

static void but_who_shows_a_span_of_its_own_does_not(void **state)
{
	(void)state;
	assert_true(of_maker(1, 2, 0).uncertain_ns < 50 * US);
}

static void who_was_not_is_not_suspected(void **state)
{
	struct builder_thread own, other;
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	request(&b, &own, &other, 1, 0);
	builder_settle(&b);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	assert_int_equal(builder_ledger(&b, 1)->cpu_ns, 2 * MS);
	correlator_free(b.correlator);
}

/* It had the span from the fork on, made one of its own within, and has it again after that. */
static void a_forked_child_lends_nothing(void **state)
{
	const struct event_life fork = { .header = { EVENT_FORK, sizeof(fork), 0 },
					 .pid = BUILDER_PID,
					 .tid = 11,
					 .other_pid = 20,
					 .time_ns = 1000 * MS + 500 * US };
	struct builder_thread own, other, child = { .pid = 20, .tid = 20, .span = 1 };
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	b.trace = 1;
	builder_slice(&b, &own, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, FUTEX);
	assert_int_equal(correlator_record(b.correlator, &fork.header), 0);
	builder_slice(&b, &child, 0, 1001 * MS, 1002 * MS, 9, 0, FUTEX);
	builder_slice(&b, &child, 1003 * MS, 1003 * MS, 1004 * MS, 1, 0, FUTEX);
	builder_slice(&b, &child, 1005 * MS, 1005 * MS, 1006 * MS, 1, EVENT_DEAD, -1);
	builder_slice(&b, &own, 1009 * MS, 1009 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS, 1010 * MS);
	request(&b, &own, &other, 3, 0);
	builder_settle(&b);
	assert_int_equal(builder_ledger(&b, 3)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* A thread shows what nobody exports; not its own span, `from` to `to`, which is too short for it,
 * and in which it may have begun that. */
static void check_hidden(uint64_t from, uint64_t to, uint64_t least, uint64_t most)
{
	struct builder_thread own, other;
	struct builder b;

	builder_begin_two(&b, &own, &other);
	request(&b, &own, &other, 1, 9);
	builder_span(&b, 2, 1, from, to);
	request(&b, &own, &other, 3, 0);
	builder_settle(&b);
	assert_in_range(builder_ledger(&b, 3)->uncertain_ns, least, most);
	correlator_free(b.correlator);
}

static void what_is_hidden_in_a_span_that_did_not_show_is_not_lent(void **state)
{
	(void)state;
	check_hidden(1002 * MS + 200 * US, 1004 * MS + 500 * US, 0, LEDGER_EXACT_NS);
}

static void what_is_hidden_without_one_is(void **state)
{
	(void)state;
	check_hidden(1000 * MS + 200 * US, 1000 * MS + 500 * US, 2 * MS, 2 * MS + 10 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_seen_to_lend_may_do_so_unseen),
		cmocka_unit_test(a_trace_knows_what_it_shows_itself),
		cmocka_unit_test(who_may_have_been_given_a_span_may_have_given_it_back),
		cmocka_unit_test(who_was_made_within_a_span_may_work_for_it_unseen),
		cmocka_unit_test(but_who_shows_a_span_of_its_own_does_not),
		cmocka_unit_test(who_was_not_is_not_suspected),
		cmocka_unit_test(a_forked_child_lends_nothing),
		cmocka_unit_test(what_is_hidden_in_a_span_that_did_not_show_is_not_lent),
		cmocka_unit_test(what_is_hidden_without_one_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
