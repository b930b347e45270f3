/* SPDX-License-Identifier: Apache-2.0 */
/* A process in exact mode whose writer was opened anew, elsewhere: for a while its threads' logs
 * are looked for where nothing is written any more. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

struct move {
	uint64_t seen_ns;
	uint32_t moved_ms;
};

/* Runs from 1000 to 1010 ms, with a span from 1001 to 1009. */
static uint8_t grade_with(const struct move *moves, size_t count)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;
	uint8_t grade;

	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 999 * MS, 1000 * MS, 1005 * MS, 1, EVENT_TICK, -1);
	builder_slice(&b, &t, 0, 1005 * MS, 1010 * MS, 0, 0, FUTEX);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	for (size_t i = 0; i < count; i++) {
		const struct event_process news = { .pid = BUILDER_PID,
						    .ns_pid = BUILDER_PID,
						    .publish = PUBLISH_TAGS,
						    .seen_ns = moves[i].seen_ns,
						    .moved_ms = moves[i].moved_ms };

		assert_int_equal(correlator_process(b.correlator, &news), 0);
	}
	builder_span(&b, 1, 0, 1001 * MS, 1009 * MS);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	grade = builder_ledger(&b, 1)->grade;
	correlator_free(b.correlator);
	return grade;
}

static void spans_of_that_time_are_partial(void **state)
{
	static const struct move moves[] = { { 1005 * MS, 20 }, { 1500 * MS, 5 } };

	(void)state;
	assert_int_equal(grade_with(moves, 1), GRADE_PARTIAL);
	assert_int_equal(grade_with(moves, 2), GRADE_PARTIAL);
}

static void those_of_other_times_are_not(void **state)
{
	static const struct move moves[] = { { 900 * MS, 5 }, { 1200 * MS, 20 }, { 1500 * MS, 0 } };

	(void)state;
	assert_int_equal(grade_with(NULL, 0), GRADE_EXACT);
	assert_int_equal(grade_with(moves, 3), GRADE_EXACT);
}

/* Many of them: the oldest become one. */
static void none_is_forgotten(void **state)
{
	struct move moves[20] = { { 1005 * MS, 20 } };

	(void)state;
	for (unsigned i = 1; i < 20; i++)
		moves[i] = (struct move){ (1100 + 100 * i) * MS, 5 };
	assert_int_equal(grade_with(moves, 20), GRADE_PARTIAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_of_that_time_are_partial),
		cmocka_unit_test(those_of_other_times_are_not),
		cmocka_unit_test(none_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
