/* SPDX-License-Identifier: Apache-2.0 */
/* What a trace taught of its process, and takes back. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202
#define CHILD 100 /* of the span with that number less */

static struct builder_thread own, other;

static uint64_t time_of(uint64_t trace)
{
	return (900 + 100 * trace) * MS;
}

/* The root of a trace, 10 ms on its own thread, of whose first and last it runs. Another thread
 * runs for 2 ms meanwhile, and shows `shown` when it leaves the CPU, 1 ms after it came. */
static void request(struct builder *b, uint64_t trace, uint64_t shown)
{
	uint64_t at = time_of(trace);

	b->trace = trace;
	builder_slice(b, &own, at, at, at + MS, trace, 0, FUTEX);
	builder_slice(b, &other, at + 2 * MS, at + 2 * MS, at + 3 * MS, shown, 0, FUTEX);
	builder_slice(b, &other, at + 4 * MS, at + 4 * MS, at + 5 * MS, 0, 0, FUTEX);
	builder_slice(b, &own, at + 9 * MS, at + 9 * MS, at + 11 * MS, 0, 0, FUTEX);
	builder_span(b, trace, 0, at, at + 10 * MS);
}

/* The other thread has begun it, and ends it. */
static void child_comes(struct builder *b, uint64_t trace)
{
	uint64_t at = time_of(trace);

	b->trace = trace;
	builder_span(b, CHILD + trace, trace, at + 2 * MS + 100 * US, at + 4 * MS + 900 * US);
}

static void settle(struct builder *b, uint64_t now_ns)
{
	builder_clock(b, now_ns);
	correlator_advance(b->correlator, now_ns);
	correlator_settle_all(b->correlator);
}

/* The other thread may have worked for it, or not. */
static void assert_doubted(const struct builder *b, uint64_t trace)
{
	assert_in_range(builder_ledger(b, trace)->uncertain_ns, 2 * MS, 3 * MS);
}

static void assert_sure(const struct builder *b, uint64_t trace)
{
	assert_in_range(builder_ledger(b, trace)->uncertain_ns, 0, 10 * US);
}

/* As long as it has not, it looks as if nobody exports it, and it was lent. */
static void what_a_span_shows_that_came_late_is_as_if_it_had_come_in_time(void **state)
{
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	request(&b, 1, 0);
	request(&b, 2, CHILD + 2);
	settle(&b, 3000 * MS);
	assert_doubted(&b, 1);
	child_comes(&b, 2);
	settle(&b, 5000 * MS);
	assert_sure(&b, 1);
	correlator_free(b.correlator);
}

static void what_another_trace_teaches_too_stays(void **state)
{
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	request(&b, 1, 0);
	request(&b, 2, CHILD + 2);
	request(&b, 3, CHILD + 3);
	settle(&b, 3000 * MS);
	child_comes(&b, 2);
	settle(&b, 5000 * MS);
	assert_doubted(&b, 1);
	child_comes(&b, 3);
	settle(&b, 7000 * MS);
	assert_sure(&b, 1);
	correlator_free(b.correlator);
}

/* Who asks right then is told what all that has come says, not what one trace was taken for. */
static void what_is_taken_back_is_so_at_once_for_those_that_settled_lately(void **state)
{
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	request(&b, 1, 0);
	request(&b, 2, CHILD + 2);
	settle(&b, 3000 * MS);
	assert_doubted(&b, 1);
	child_comes(&b, 2);
	builder_clock(&b, 3010 * MS);
	correlator_advance(b.correlator, 3010 * MS);
	assert_sure(&b, 1);
	correlator_free(b.correlator);
}

/* Its slices have left the timelines: nobody can look again. */
static void what_is_beyond_reach_is_not_taken_back(void **state)
{
	struct builder b;

	(void)state;
	builder_begin_two(&b, &own, &other);
	request(&b, 2, CHILD + 2);
	settle(&b, 3000 * MS);
	correlator_advance(b.correlator, 61200 * MS);
	child_comes(&b, 2);
	request(&b, 590, 0);
	settle(&b, 61300 * MS);
	assert_doubted(&b, 590);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_span_shows_that_came_late_is_as_if_it_had_come_in_time),
		cmocka_unit_test(what_another_trace_teaches_too_stays),
		cmocka_unit_test(what_is_taken_back_is_so_at_once_for_those_that_settled_lately),
		cmocka_unit_test(what_is_beyond_reach_is_not_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
