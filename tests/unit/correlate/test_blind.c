/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that the kernel's side had no place for. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

static void tell_unfollowed(struct builder *b, uint32_t pid, uint64_t at_ns)
{
	const struct event_life life = { .header = { .kind = EVENT_UNFOLLOWED,
						     .bytes = sizeof(life) },
					 .pid = pid,
					 .tid = 99,
					 .time_ns = at_ns };

	assert_int_equal(correlator_record(b->correlator, &life.header), 0);
}

/* Two spans, 1000 to 1010 and 1100 to 1110 ms, on the one thread that is followed. */
static void play(struct builder *b, uint32_t unfollowed_pid)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &t);
	for (uint64_t i = 0; i < 2; i++) {
		uint64_t at = (1000 + 100 * i) * MS;

		builder_slice(b, &t, at, at, at + MS, 1 + i, 0, FUTEX);
		builder_slice(b, &t, at + 8 * MS, at + 8 * MS, at + 11 * MS, 0, 0, FUTEX);
		builder_span(b, 1 + i, 0, at, at + 10 * MS);
	}
	tell_unfollowed(b, unfollowed_pid, 1004 * MS);
	tell_unfollowed(b, unfollowed_pid, 1012 * MS);
	builder_clock(b, 3000 * MS);
	correlator_settle_all(b->correlator);
}

static void spans_of_that_time_are_partial_and_others_are_not(void **state)
{
	struct builder b;

	(void)state;
	play(&b, BUILDER_PID);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void it_does_not_concern_other_processes(void **state)
{
	struct builder b;

	(void)state;
	play(&b, BUILDER_PID + 1);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_of_that_time_are_partial_and_others_are_not),
		cmocka_unit_test(it_does_not_concern_other_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
