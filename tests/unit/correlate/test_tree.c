/* SPDX-License-Identifier: Apache-2.0 */
/* The spans of a trace, in whatever order they come, and the tree that they make. */
#include "otlp/span.h"
#include "tests/unit/correlate/world_builder.h"

#define RECVFROM 45
#define FUTEX    202

/* One thread that shows `span` from 1,000 ms on, and waits within it until 1,010 ms. */
static void play_wait(struct builder *b, uint64_t span)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &t);
	builder_slice(b, &t, 999 * MS, 999 * MS, 1001 * MS, span, 0, RECVFROM);
	builder_slice(b, &t, 1010 * MS, 1010 * MS, 1012 * MS, 0, 0, FUTEX);
}

static void finish(struct builder *b)
{
	builder_clock(b, 1200 * MS);
	correlator_advance(b->correlator, 1200 * MS);
	correlator_settle_all(b->correlator);
}

static void a_call_that_its_thread_waits_for_is_linked(void **state)
{
	static const struct builder_call call = {
		1, 0, 1000 * MS, 1011 * MS, SPAN_KIND_CLIENT, "GET", "far:80", BUILDER_PID
	};
	static const struct builder_call answer = {
		2, 1, 1003 * MS, 1008 * MS, SPAN_KIND_SERVER, "GET /", "", 0
	};
	const uint64_t id = 2;
	struct builder b;

	(void)state;
	play_wait(&b, 1);
	builder_add(&b, &answer);
	builder_add(&b, &call);
	finish(&b);
	assert_int_equal(builder_ledger(&b, 1)->all.elsewhere_ns, 0);
	assert_int_equal(builder_ledger(&b, 1)->link_count, 1);
	assert_int_equal(builder_link(&b, 1, 0)->ns, 5 * MS);
	assert_memory_equal(builder_link(&b, 1, 0)->to.span_id, &id, sizeof(id));
	correlator_free(b.correlator);
}

/* 1 below 3 below 2 below 1, and 4 below 1. Bit n: span n is a local root. */
static unsigned roots_of_a_ring(const uint64_t order[4])
{
	static const uint64_t parents[] = { 0, 3, 1, 2, 1 };
	struct builder b;
	unsigned roots = 0;

	play_wait(&b, 1);
	for (unsigned i = 0; i < 4; i++)
		builder_span(&b, order[i], parents[order[i]], 1000 * MS, 1011 * MS);
	finish(&b);
	for (unsigned i = 0; i < 4; i++)
		roots |= (unsigned)builder_ledger(&b, order[i])->is_local_root << order[i];
	correlator_free(b.correlator);
	return roots;
}

static void a_ring_of_parents_is_cut_at_one_place_whatever_the_order(void **state)
{
	static const uint64_t orders[][4] = {
		{ 1, 2, 3, 4 }, { 4, 3, 2, 1 }, { 3, 1, 4, 2 }, { 2, 4, 1, 3 }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++)
		assert_int_equal(roots_of_a_ring(orders[i]), 1u << 1);
}

/* More of them than are searched through; the last one comes first. */
static void none_of_many_spans_is_taken_twice(void **state)
{
	const uint64_t spans = 60;
	struct correlator_stats stats;
	struct builder b;

	(void)state;
	play_wait(&b, 1);
	for (unsigned round = 0; round < 2; round++) {
		for (uint64_t id = spans; id > 0; id--)
			builder_span(&b, id, id - 1, (1000 * MS) + id * US, 1011 * MS - id * US);
	}
	finish(&b);
	correlator_stats(b.correlator, &stats);
	assert_int_equal(stats.spans_duplicate, spans);
	assert_int_equal(b.count, spans);
	for (uint64_t id = 1; id <= spans; id++)
		assert_int_equal(builder_ledger(&b, id)->is_local_root, id == 1);
	builder_span(&b, spans / 2, 0, 1000 * MS, 1011 * MS);
	correlator_stats(b.correlator, &stats);
	assert_int_equal(stats.spans_duplicate, spans + 1);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_its_thread_waits_for_is_linked),
		cmocka_unit_test(a_ring_of_parents_is_cut_at_one_place_whatever_the_order),
		cmocka_unit_test(none_of_many_spans_is_taken_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
