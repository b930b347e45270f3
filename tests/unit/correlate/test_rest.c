/* SPDX-License-Identifier: Apache-2.0 */
/* Traces at rest: what comes late finds them as they were. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202
#define S     (1000 * MS)

static struct builder_thread main_thread, worker;

static size_t resting(const struct builder *b)
{
	struct correlator_stats stats;

	correlator_stats(b->correlator, &stats);
	return stats.traces_resting;
}

static size_t trace_bytes(const struct builder *b)
{
	struct correlator_stats stats;

	correlator_stats(b->correlator, &stats);
	return stats.trace_bytes;
}

/* Span 1 of the trace, ten milliseconds on the main thread, for which the worker runs, too; within
 * it span 2, which the worker shows. */
static void request(struct builder *b, uint64_t trace, uint64_t at)
{
	b->trace = trace;
	builder_slice(b, &main_thread, at, at, at + MS, 1, 0, FUTEX);
	builder_slice(b, &worker, at + 2 * MS, at + 2 * MS, at + 3 * MS, 2, 0, FUTEX);
	builder_slice(b, &worker, at + 4 * MS, at + 4 * MS, at + 5 * MS, 0, 0, FUTEX);
	builder_slice(b, &main_thread, at + 9 * MS, at + 9 * MS, at + 11 * MS, 0, 0, FUTEX);
}

static void begin(struct builder *b)
{
	builder_begin_two(b, &main_thread, &worker);
}

static void advance(struct builder *b, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at <= to; at += S) {
		builder_clock(b, at);
		correlator_advance(b->correlator, at);
	}
}

/* The root is told at once, its child `later`, when the trace has settled and rests. */
static void settle_late(struct builder *b, uint64_t later)
{
	begin(b);
	request(b, 1, 1000 * MS);
	request(b, 2, 1100 * MS);
	builder_clock(b, 2 * S);
	b->trace = 1;
	builder_span(b, 1, 0, 1000 * MS, 1010 * MS);
	advance(b, 2 * S, later);
	assert_int_equal(resting(b), later > 15 * S);
	builder_span(b, 2, 1, 1002 * MS, 1005 * MS);
	advance(b, later, later + 12 * S);
}

static void what_comes_late_gives_the_ledger_that_it_gives_in_time(void **state)
{
	struct builder early, late;

	(void)state;
	settle_late(&early, 2 * S);
	assert_int_equal(builder_ledger(&early, 1)->revision, 1);
	settle_late(&late, 20 * S);
	assert_true(builder_ledger(&late, 1)->revision > 1);
	for (uint64_t span = 1; span <= 2; span++) {
		struct ledger one = *builder_ledger(&early, span);
		const struct ledger *other = builder_ledger(&late, span);

		assert_int_equal(one.cpu_ns, other->cpu_ns);
		assert_int_equal(one.uncertain_ns, other->uncertain_ns);
		assert_int_equal(one.grade, other->grade);
		assert_int_equal(one.wait_count, other->wait_count);
		assert_memory_equal(&one.all, &other->all, sizeof(one.all));
		assert_memory_equal(&one.self, &other->self, sizeof(one.self));
	}
	correlator_free(early.correlator);
	correlator_free(late.correlator);
}

/* A second after the last news, unless it is what a thread showed last. */
static void who_is_not_carried_any_more_rests(void **state)
{
	struct builder b;

	(void)state;
	begin(&b);
	request(&b, 1, 1000 * MS);
	request(&b, 2, 1020 * MS);
	correlator_advance(b.correlator, 1500 * MS);
	assert_int_equal(resting(&b), 0);
	advance(&b, 3 * S, 5 * S);
	assert_int_equal(resting(&b), 1); /* though nobody exported it */
	request(&b, 3, 5 * S);
	advance(&b, 7 * S, 9 * S);
	assert_int_equal(resting(&b), 2);
	correlator_free(b.correlator);
}

static void who_is_shown_again_wakes(void **state)
{
	struct builder b;

	(void)state;
	begin(&b);
	request(&b, 1, 1000 * MS);
	request(&b, 2, 1020 * MS);
	advance(&b, 3 * S, 5 * S);
	assert_int_equal(resting(&b), 1);
	b.trace = 1;
	builder_slice(&b, &worker, 5 * S, 5 * S, 5 * S + MS, 2, 0, FUTEX);
	assert_int_equal(resting(&b), 0);
	request(&b, 2, 6 * S);
	advance(&b, 8 * S, 10 * S);
	assert_int_equal(resting(&b), 1);
	correlator_free(b.correlator);
}

/* They go when it is their time, and nothing stays. */
static void a_minute_later_all_are_forgotten(void **state)
{
	struct builder b;
	size_t bytes;

	(void)state;
	begin(&b);
	bytes = trace_bytes(&b);
	for (uint64_t i = 0; i < 50; i++)
		request(&b, 1 + i, 1000 * MS + i * 20 * MS);
	builder_clock(&b, 3 * S);
	for (uint64_t i = 0; i < 50; i++) {
		b.trace = 1 + i;
		builder_span(&b, 1, 0, 1000 * MS + i * 20 * MS, 1010 * MS + i * 20 * MS);
		builder_span(&b, 2, 1, 1002 * MS + i * 20 * MS, 1005 * MS + i * 20 * MS);
	}
	advance(&b, 4 * S, 8 * S);
	assert_int_equal(resting(&b), 49); /* the threads showed the last one last */
	assert_in_range(trace_bytes(&b) - bytes, 50 * 100, 50 * 280);
	advance(&b, 9 * S, 80 * S);
	assert_int_equal(resting(&b), 0);
	assert_true(trace_bytes(&b) - bytes < 1000); /* of that one */
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_late_gives_the_ledger_that_it_gives_in_time),
		cmocka_unit_test(who_is_not_carried_any_more_rests),
		cmocka_unit_test(who_is_shown_again_wakes),
		cmocka_unit_test(a_minute_later_all_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
