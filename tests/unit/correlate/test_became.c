/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that become another program. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX   202
#define EXECVE  59
#define TID     BUILDER_PID
#define EXEC_AT (1005 * MS)

static void tell_exec(struct builder *b, uint64_t at_ns)
{
	const struct event_life life = { .header = { .kind = EVENT_EXEC, .bytes = sizeof(life) },
					 .pid = BUILDER_PID,
					 .tid = TID,
					 .other_pid = TID,
					 .time_ns = at_ns };

	assert_int_equal(correlator_record(b->correlator, &life.header), 0);
}

static void tell_found(struct builder *b, enum event_publish publish)
{
	const struct event_process process = { .pid = BUILDER_PID,
					       .ns_pid = BUILDER_PID,
					       .publish = publish };

	assert_int_equal(correlator_process(b->correlator, &process), 0);
}

static void play_span_1(struct builder *b, struct builder_thread *t)
{
	*t = (struct builder_thread){ .pid = BUILDER_PID, .tid = TID };
	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, t);
	builder_slice(b, t, 1000 * MS, 1000 * MS, 1002 * MS, 1, 0, FUTEX);
}

/* On a CPU from 1000 ms on, with span 1 but for `before`, what it shows as it becomes another
 * program, at 1005. */
static void play_until_exec(struct builder *b, uint64_t before)
{
	struct builder_thread t;

	play_span_1(b, &t);
	builder_slice(b, &t, 1004 * MS, 1004 * MS, EXEC_AT, before, EVENT_TICK, -1);
	tell_exec(b, EXEC_AT);
}

/* Found at 1010; it shows `span` at 1011, and none at 1013. */
static void play_on(struct builder *b, uint64_t span)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = TID };

	tell_found(b, PUBLISH_TAGS);
	builder_slice(b, &t, 1010 * MS, 1010 * MS, 1011 * MS, span, 0, FUTEX);
	builder_slice(b, &t, 1012 * MS, 1012 * MS, 1013 * MS, 0, 0, FUTEX);
	builder_slice(b, &t, 1030 * MS, 1030 * MS, 1031 * MS, 0, 0, FUTEX);
}

static const struct ledger *end_with_span(struct builder *b, uint64_t end)
{
	builder_span(b, 1, 0, 1000 * MS, end);
	builder_clock(b, 3000 * MS);
	correlator_settle_all(b->correlator);
	return builder_ledger(b, 1);
}

static void a_span_that_goes_on_in_the_new_program_has_both_parts(void **state)
{
	const struct ledger *ledger;
	struct builder b;

	(void)state;
	play_until_exec(&b, 1);
	play_on(&b, 1);
	ledger = end_with_span(&b, 1013 * MS);
	assert_int_equal(ledger->grade, GRADE_PARTIAL);
	assert_in_range(ledger->all.running_ns, 4 * MS, 5 * MS);
	assert_in_range(ledger->all.unknown_ns, 5 * MS, 6 * MS);
	assert_int_equal(ledger->all.elsewhere_ns, 0);
	correlator_free(b.correlator);
}

static void what_a_new_program_does_that_is_not_found_yet_is_not_known(void **state)
{
	const struct ledger *ledger;
	struct builder b;

	(void)state;
	play_until_exec(&b, 1);
	ledger = end_with_span(&b, 1008 * MS);
	assert_int_equal(ledger->grade, GRADE_PARTIAL);
	assert_int_equal(ledger->all.unknown_ns, 3 * MS);
	correlator_free(b.correlator);
}

static void a_program_that_publishes_nothing_carries_nothing(void **state)
{
	const struct ledger *ledger;
	struct builder b;

	(void)state;
	play_until_exec(&b, 1);
	tell_found(&b, PUBLISH_NOTHING);
	ledger = end_with_span(&b, 1013 * MS);
	assert_int_equal(ledger->grade, GRADE_BOUNDED);
	assert_int_equal(ledger->all.elsewhere_ns, 8 * MS);
	correlator_free(b.correlator);
}

static void a_program_that_is_found_late_makes_known_what_was_not(void **state)
{
	const struct ledger *ledger;
	struct builder b;

	(void)state;
	play_until_exec(&b, 1);
	tell_found(&b, PUBLISH_NOTHING);
	play_on(&b, 0);
	ledger = end_with_span(&b, 1013 * MS);
	assert_int_equal(ledger->grade, GRADE_PARTIAL);
	assert_int_equal(ledger->all.unknown_ns, 5 * MS);
	correlator_free(b.correlator);
}

/* Its number is another process's from then on. */
static void who_carries_nothing_then_leaves_nothing_in_doubt(void **state)
{
	const struct ledger *ledger;
	struct builder b;

	(void)state;
	play_until_exec(&b, 0);
	play_on(&b, 2);
	ledger = end_with_span(&b, 1004 * MS + 500 * US);
	assert_int_equal(ledger->grade, GRADE_EXACT);
	assert_int_equal(ledger->all.unknown_ns, 0);
	correlator_free(b.correlator);
}

/* A tick finds it in the call when its memory is another program's already, which shows nothing. */
static void a_look_within_the_call_does_not_end_the_span(void **state)
{
	const struct ledger *ledger;
	struct builder_thread t;
	struct builder b;

	(void)state;
	play_span_1(&b, &t);
	builder_slice(&b, &t, 1004 * MS, 1004 * MS, EXEC_AT - 10 * US, 0, EVENT_TICK, EXECVE);
	builder_slice(&b, &t, 0, EXEC_AT - 10 * US, EXEC_AT, 0, EVENT_TICK, EXECVE);
	tell_exec(&b, EXEC_AT);
	ledger = end_with_span(&b, 1008 * MS);
	assert_int_equal(ledger->grade, GRADE_PARTIAL);
	assert_int_equal(ledger->all.unknown_ns, 3 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_that_goes_on_in_the_new_program_has_both_parts),
		cmocka_unit_test(what_a_new_program_does_that_is_not_found_yet_is_not_known),
		cmocka_unit_test(a_program_that_publishes_nothing_carries_nothing),
		cmocka_unit_test(a_program_that_is_found_late_makes_known_what_was_not),
		cmocka_unit_test(who_carries_nothing_then_leaves_nothing_in_doubt),
		cmocka_unit_test(a_look_within_the_call_does_not_end_the_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
