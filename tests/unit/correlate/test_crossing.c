/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that a thread does not end in the order in which it began them, as where a generator puts
 * back the context that it had found. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

enum { ROOT = 1, FIRST, SECOND };

struct doubts {
	uint64_t root, second;
};

static uint64_t at(uint64_t ms)
{
	return (1000 + ms) * MS;
}

/* The thread shows the root before the other two, which it begins at 3 and 5 ms, and of which it
 * ends the second at 9; the root ends at 13. */
static struct doubts end_first_at(uint64_t first_end, uint64_t second_parent)
{
	struct builder_thread own, *threads[] = { &own };
	struct doubts doubts;
	struct builder b;

	builder_begin(&b, threads, 1);
	builder_slice(&b, &own, at(0), at(0), at(1), ROOT, 0, FUTEX);
	builder_slice(&b, &own, at(2), at(2), at(14), 0, 0, FUTEX);
	builder_span(&b, ROOT, 0, at(0) + 100 * US, at(13));
	builder_span(&b, FIRST, ROOT, at(3), at(first_end));
	builder_span(&b, SECOND, second_parent, at(5), at(9));
	builder_settle(&b);
	doubts = (struct doubts){ builder_ledger(&b, ROOT)->uncertain_ns,
				  builder_ledger(&b, SECOND)->uncertain_ns };
	correlator_free(b.correlator);
	return doubts;
}

/* From the end of the first one on the thread may have been at what that one lies in. */
static void what_outlives_a_span_that_it_began_in_is_in_doubt_since(void **state)
{
	struct doubts in_order = end_first_at(10, FIRST), crossed = end_first_at(6, FIRST);

	(void)state;
	assert_in_range(in_order.second, 0, 10 * US);
	assert_in_range(in_order.root, 0, 10 * US);
	assert_in_range(crossed.second, 3 * MS, 3 * MS + 10 * US);
	assert_in_range(crossed.root, 3 * MS, 3 * MS + 10 * US);
}

/* For 1 ms both are open, each of which may have the thread; then what was said above. */
static void so_is_what_outlives_one_beside_it(void **state)
{
	struct doubts crossed = end_first_at(6, ROOT);

	(void)state;
	assert_in_range(crossed.second, 4 * MS, 5 * MS + 10 * US);
	assert_in_range(crossed.root, 4 * MS, 5 * MS + 10 * US);
}

/* The thread is preempted after the first one's end, at 6 ms, and shows the root: until the second
 * one ends, at 9, it may be on its way there, or at the root. */
static void a_look_that_shows_what_is_around_both_does_not_show_the_way_to_an_end(void **state)
{
	struct builder_thread own, *threads[] = { &own };
	struct builder b;

	(void)state;
	builder_begin(&b, threads, 1);
	builder_slice(&b, &own, at(0), at(0), at(1), ROOT, 0, FUTEX);
	builder_slice(&b, &own, at(2), at(2), at(5) + 500 * US, SECOND, EVENT_PREEMPTED, -1);
	builder_slice(&b, &own, 0, at(5) + 500 * US, at(7), ROOT, EVENT_PREEMPTED, -1);
	builder_slice(&b, &own, 0, at(7), at(8), ROOT, EVENT_PREEMPTED, -1);
	builder_slice(&b, &own, 0, at(8), at(14), 0, 0, FUTEX);
	builder_span(&b, ROOT, 0, at(0) + 100 * US, at(13));
	builder_span(&b, FIRST, ROOT, at(3), at(6));
	builder_span(&b, SECOND, FIRST, at(5), at(9));
	builder_settle(&b);
	assert_in_range(builder_ledger(&b, SECOND)->uncertain_ns, 3 * MS - 10 * US, 4 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_outlives_a_span_that_it_began_in_is_in_doubt_since),
		cmocka_unit_test(so_is_what_outlives_one_beside_it),
		cmocka_unit_test(
			a_look_that_shows_what_is_around_both_does_not_show_the_way_to_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
