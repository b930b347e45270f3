/* SPDX-License-Identifier: Apache-2.0 */
/* How far a trace is weighed (limits.def): what is beyond is in doubt, and counted. */
#define BUILDER_MAX_LEDGER 1200
#define BUILDER_MAX_SPANS  1200

#include "tests/unit/correlate/world_builder.h"

#define FUTEX   202
#define OUTER   5000 /* spans that are exported ... */
#define INNER   5001
#define HIDDEN  6000 /* ... and that are not */
#define MISSING 7000

static struct builder b; /* too large for a stack */

static uint64_t limited(enum correlator_limit limit)
{
	struct correlator_stats stats;

	correlator_stats(b.correlator, &stats);
	return stats.limits[limit];
}

static void begin(struct builder_thread *thread)
{
	*thread = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, thread);
}

static void finish(uint64_t time_ns)
{
	builder_clock(&b, time_ns + 1000 * MS);
	correlator_settle_all(b.correlator);
}

/* The thread runs for 10 us, and waits for 10 us. */
static uint64_t step(struct builder_thread *thread, uint64_t time_ns, uint64_t shown)
{
	builder_slice(&b, thread, time_ns, time_ns, time_ns + 10 * US, shown, 0, FUTEX);
	return time_ns + 20 * US;
}

/* ---- spans whose parent is missing, all of them open at once. Who is seen later began earlier, so
 * none of them is within another one. */

static void play_orphans(uint32_t count)
{
	struct builder_thread thread;
	uint64_t now = 1001 * MS;

	begin(&thread);
	for (uint64_t id = 1; id <= count; id++)
		now = step(&thread, now, id);
	now = step(&thread, now, 0);
	for (uint64_t id = 1; id <= count; id++)
		builder_span(&b, id, MISSING, 1000 * MS + count - id, now);
	finish(now);
}

/* Each showed itself for 10 us, which any of the others may have had that were open before. */
static void whose_parent_is_missing_may_be_anybodys(void **state)
{
	(void)state;
	play_orphans(100);
	assert_int_equal(limited(LIMIT_orphans), 0);
	assert_true(builder_ledger(&b, 100)->uncertain_ns >= 99 * 10 * US);
	correlator_free(b.correlator);
}

/* More pairs than are looked at: what was not is in doubt for all. */
static void beyond_a_million_pairs_all_are_in_doubt(void **state)
{
	uint32_t count = 1100;

	(void)state;
	play_orphans(count);
	assert_int_equal(limited(LIMIT_orphans), 1);
	for (uint64_t id = 1; id <= count; id++) {
		const struct ledger *ledger = builder_ledger(&b, id);

		assert_true(ledger->grade == GRADE_INFERRED ||
			    ledger->uncertain_ns >= (id - 1) * 10 * US);
	}
	correlator_free(b.correlator);
}

/* ---- what nobody exported, long after something that was */

/* The thread shows the outer one, the inner one, which stays open, the outer one again; for long
 * `between`; and then a span that nobody exported. */
static void play_hidden(uint32_t slices, uint64_t between)
{
	struct builder_thread thread;
	uint64_t now = 1001 * MS, end;

	begin(&thread);
	now = step(&thread, now, OUTER);
	now = step(&thread, now, INNER);
	now = step(&thread, now, OUTER);
	now = step(&thread, now, OUTER);
	for (uint32_t i = 0; i < slices; i++)
		now = step(&thread, now, between);
	now = step(&thread, now, HIDDEN);
	builder_slice(&b, &thread, now, now, now + 1 * MS, HIDDEN, 0, FUTEX);
	end = step(&thread, now + 2 * MS, 0);
	builder_span(&b, OUTER, 0, 1000 * MS, end - 5 * US);
	builder_span(&b, INNER, OUTER, 1001 * MS + 15 * US, end - 6 * US);
	finish(end);
}

static void what_is_hidden_long_after_another_one_counts_for_the_same(void **state)
{
	const uint32_t lengths[] = { 10, 200, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		play_hidden(lengths[i], HIDDEN + 1);
		assert_int_equal(limited(LIMIT_enclosing), 0);
		assert_true(builder_ledger(&b, OUTER)->cpu_self_ns >= 1 * MS);
		assert_true(builder_ledger(&b, INNER)->cpu_ns < 100 * US);
		correlator_free(b.correlator);
	}
}

static void what_is_hidden_long_after_nothing_is_in_doubt(void **state)
{
	(void)state;
	play_hidden(10, 0);
	assert_int_equal(limited(LIMIT_enclosing), 0);
	assert_true(builder_ledger(&b, OUTER)->cpu_self_ns >= 1 * MS);
	correlator_free(b.correlator);
	play_hidden(200, 0);
	assert_int_equal(limited(LIMIT_enclosing), 1);
	assert_true(builder_ledger(&b, OUTER)->uncertain_ns >= 1 * MS);
	assert_true(builder_ledger(&b, INNER)->uncertain_ns >= 1 * MS);
	correlator_free(b.correlator);
}

/* ---- threads that may have begun a span */

/* The inner span starts at 1010 ms, on none of its own threads, and is seen from 1020 ms on; so
 * many others were seen in the process, and the last one of them is on its CPU then. */
static void play_beside(uint32_t threads)
{
	static struct builder_thread others[BUILDER_MAX_SPANS];
	struct builder_thread outer, inner = { .pid = BUILDER_PID, .tid = 12 };

	begin(&outer);
	builder_warm_up(&b, &inner);
	for (uint32_t i = 0; i < threads; i++) {
		others[i] = (struct builder_thread){ .pid = BUILDER_PID, .tid = 100 + i };
		b.trace = 2;
		builder_slice(&b, &others[i], 980 * MS, 980 * MS, 981 * MS, 1, 0, FUTEX);
		builder_slice(&b, &others[i], 982 * MS, 982 * MS, 983 * MS, 0, 0, FUTEX);
		b.trace = 1;
	}
	builder_slice(&b, &outer, 1000 * MS, 1000 * MS, 1001 * MS, OUTER, 0, FUTEX);
	builder_slice(&b, &others[0], 1009 * MS, 1009 * MS, 1012 * MS, 0, 0, FUTEX);
	for (uint32_t i = 1; i < threads; i++)
		builder_slice(&b, &others[i], 1030 * MS, 1030 * MS, 1031 * MS, 0, 0, FUTEX);
	builder_slice(&b, &inner, 1020 * MS, 1020 * MS, 1021 * MS, INNER, 0, FUTEX);
	builder_slice(&b, &inner, 1039 * MS, 1039 * MS, 1041 * MS, 0, 0, FUTEX);
	builder_slice(&b, &outer, 1090 * MS, 1090 * MS, 1091 * MS, 0, 0, FUTEX);
	builder_span(&b, OUTER, 0, 1000 * MS, 1091 * MS);
	builder_span(&b, INNER, OUTER, 1010 * MS, 1040 * MS);
	finish(1100 * MS);
}

static void more_threads_than_are_looked_at_may_all_have_begun_it(void **state)
{
	(void)state;
	play_beside(20);
	assert_int_equal(limited(LIMIT_beside), 0);
	assert_true(builder_ledger(&b, OUTER)->uncertain_ns >= 2 * MS);
	assert_true(builder_ledger(&b, OUTER)->uncertain_ns < 11 * MS);
	correlator_free(b.correlator);
	play_beside(600);
	assert_int_equal(limited(LIMIT_beside), 1);
	assert_true(builder_ledger(&b, OUTER)->uncertain_ns >= 11 * MS);
	correlator_free(b.correlator);
}

/* ---- switch-ins that a clock may have moved over a span's edge */

/* The clocks are a ms apart, and the span ends after so many slices of 1 us, 9 us after each other,
 * ahead of each second one of which 5 us were booked. */
static void play_heads(uint32_t slices)
{
	struct builder_thread thread = { .pid = BUILDER_PID, .tid = 11 };
	uint64_t now = 1010 * MS;

	builder_init(&b);
	correlator_clock(b.correlator, 499 * MS, BUILDER_EPOCH_NS + 500 * MS, 501 * MS);
	builder_warm_up(&b, &thread);
	builder_slice(&b, &thread, 1000 * MS, 1000 * MS, 1001 * MS, OUTER, 0, FUTEX);
	for (uint32_t i = 0; i < slices; i++, now += 10 * US) {
		b.ahead_ns = i % 2 ? 5 * US : 0;
		builder_slice(&b, &thread, now, now, now + US, OUTER, 0, FUTEX);
	}
	builder_slice(&b, &thread, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(&b, OUTER, 0, 1000 * MS + 500 * US, now);
	correlator_clock(b.correlator, 2999 * MS, BUILDER_EPOCH_NS + 3000 * MS, 3001 * MS);
	correlator_settle_all(b.correlator);
}

static void more_switches_than_are_looked_at_may_all_have_been_before_the_end(void **state)
{
	uint64_t few;

	(void)state;
	play_heads(60);
	assert_int_equal(limited(LIMIT_heads), 0);
	few = builder_ledger(&b, OUTER)->uncertain_ns;
	correlator_free(b.correlator);
	play_heads(300);
	assert_int_equal(limited(LIMIT_heads), 1);
	assert_true(builder_ledger(&b, OUTER)->uncertain_ns >= few + MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whose_parent_is_missing_may_be_anybodys),
		cmocka_unit_test(beyond_a_million_pairs_all_are_in_doubt),
		cmocka_unit_test(what_is_hidden_long_after_another_one_counts_for_the_same),
		cmocka_unit_test(what_is_hidden_long_after_nothing_is_in_doubt),
		cmocka_unit_test(more_threads_than_are_looked_at_may_all_have_begun_it),
		cmocka_unit_test(more_switches_than_are_looked_at_may_all_have_been_before_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
