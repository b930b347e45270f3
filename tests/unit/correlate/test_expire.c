/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves the timelines, and what is still known of it (world_expire.c, sweep_fold.c). */
#include "tests/unit/correlate/world_builder.h"

#define RECVFROM 45

/* Where they are too many, as few leave as have to, and how far back they go is told. */
static void timelines_fill_their_share_of_memory(void **state)
{
	const uint64_t seconds = 20, cycles = 10000; /* some 100 KB of timelines a second */
	const size_t limit = 1 << 20, share = limit / 20 * 17;
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct correlator_stats stats;
	uint64_t at = 1000 * MS;
	bool is_full = false;

	(void)state;
	builder_init(&b);
	correlator_limit(b.correlator, limit);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	for (uint64_t i = 1; i <= seconds * cycles; i++, at += 100 * US) {
		builder_slice(&b, &t, i > 1 ? at - 10 * US : 0, at, at + 50 * US, 1, 0, RECVFROM);
		if (i % cycles)
			continue;
		builder_clock(&b, at + 50 * US);
		correlator_advance(b.correlator, at + 50 * US);
		correlator_stats(b.correlator, &stats);
		is_full |= stats.slices_folded > 0;
		assert_true(stats.timeline_bytes <= share);
		assert_true(!is_full || stats.timeline_bytes > share / 4 * 3);
		assert_true(!is_full || stats.reach_ns < 20000 * MS);
	}
	assert_true(is_full);
	assert_in_range(stats.reach_ns, 4000 * MS, 12000 * MS);
	correlator_free(b.correlator);
}

static void begin_short(struct builder *b, struct builder_thread *t)
{
	builder_init_reaching(b, 100 * MS);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, t);
}

/* The child is over at 1006 ms, and its thread shows it until 1016: what of that is the parent's
 * own does not stand in a sum. */
static void what_was_folded_under_a_span_that_is_over_may_be_the_parents_own(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct correlator_stats stats;
	struct builder b;

	(void)state;
	begin_short(&b, &t);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1002 * MS, 1002 * MS, 1003 * MS, 2, 0, RECVFROM);
	builder_slice(&b, &t, 1005 * MS, 1005 * MS, 1015 * MS, 2, 0, RECVFROM);
	builder_slice(&b, &t, 1016 * MS, 1016 * MS, 1020 * MS, 0, 0, RECVFROM);
	for (uint64_t at = 1100 * MS; at <= 4000 * MS; at += 100 * MS) {
		builder_clock(&b, at);
		correlator_advance(b.correlator, at);
	}
	correlator_stats(b.correlator, &stats);
	assert_true(stats.slices_folded > 0);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, 1019 * MS);
	builder_span(&b, 2, 1, 1002 * MS + 500 * US, 1006 * MS);
	builder_clock(&b, 4100 * MS);
	correlator_settle_all(b.correlator);
	assert_true(builder_ledger(&b, 1)->uncertain_ns >= 9 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timelines_fill_their_share_of_memory),
		cmocka_unit_test(what_was_folded_under_a_span_that_is_over_may_be_the_parents_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
