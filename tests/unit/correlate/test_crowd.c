/* SPDX-License-Identifier: Apache-2.0 */
/* More spans of one trace than are weighed against each other at once (OVERLAY_MAX_SPANS, 512). */
#define BUILDER_MAX_LEDGER 1000 /* as many as a builder's trace takes */

#include "correlate/overlay.h"
#include "tests/unit/correlate/world_builder.h"

#define FUTEX        202
#define MOST         700
#define WORK         (500 * US) /* of the innermost one */
#define STEP         (3 * US)
#define SLICES       (2 * MOST + 8)
#define BACK_TO_BACK 900

static struct builder b; /* too large for a stack */

struct nest {
	struct builder_thread thread;
	uint64_t time_ns;
	struct {
		uint64_t in_ns, out_ns;
	} slices[SLICES];
	uint32_t slice_count;
	uint32_t above[MOST + 1];
	uint64_t start_ns[MOST + 1], end_ns[MOST + 1];
};

static void begin(struct builder_thread *thread)
{
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, thread);
}

static void finish(uint64_t time_ns)
{
	builder_clock(&b, time_ns + 1000 * MS);
	correlator_settle_all(b.correlator);
}

static uint64_t crowded(void)
{
	struct correlator_stats stats;

	correlator_stats(b.correlator, &stats);
	return stats.slices_crowded;
}

static void run(struct nest *nest, uint64_t ns, uint64_t shown)
{
	uint64_t in = nest->time_ns, out = in + ns;

	builder_slice(&b, &nest->thread, in, in, out, shown, 0, FUTEX);
	nest->slices[nest->slice_count].in_ns = in;
	nest->slices[nest->slice_count++].out_ns = out;
	nest->time_ns = out + STEP;
}

/* Each span below the one before, the first below `above`; the thread waits within each on the way
 * down and on the way up. */
static void go_down(struct nest *nest, uint32_t above, uint32_t first, uint32_t last)
{
	for (uint32_t id = first; id <= last; id++) {
		nest->above[id] = id == first ? above : id - 1;
		nest->start_ns[id] = nest->time_ns + STEP / 3;
		run(nest, STEP, id);
	}
}

static void go_up(struct nest *nest, uint32_t last, uint32_t first)
{
	for (uint32_t id = last; id >= first; id--) {
		nest->end_ns[id] = nest->time_ns + STEP / 3;
		run(nest, STEP, nest->above[id]);
	}
}

static void start(struct nest *nest)
{
	*nest = (struct nest){ .thread = { .pid = BUILDER_PID, .tid = 11 }, .time_ns = 1000 * MS };
	begin(&nest->thread);
}

static void end(struct nest *nest, uint32_t count)
{
	for (uint32_t id = 1; id <= count; id++)
		builder_span(&b, id, nest->above[id], nest->start_ns[id], nest->end_ns[id]);
	finish(nest->time_ns);
}

static void play(struct nest *nest, uint32_t depth)
{
	start(nest);
	go_down(nest, 0, 1, depth);
	run(nest, WORK, depth);
	go_up(nest, depth, 1);
	end(nest, depth);
}

static uint64_t truth(const struct nest *nest, uint32_t id)
{
	uint64_t ran = 0;

	for (uint32_t i = 0; i < nest->slice_count; i++) {
		uint64_t from = MAX(nest->slices[i].in_ns, nest->start_ns[id]);
		uint64_t to = MIN(nest->slices[i].out_ns, nest->end_ns[id]);

		ran += to - MIN(from, to);
	}
	return ran;
}

static uint64_t apart(uint64_t x, uint64_t y)
{
	return MAX(x, y) - MIN(x, y);
}

static void who_is_nested_too_deep_to_be_weighed_says_so(void **state)
{
	static struct nest nest;
	uint32_t deepest = MOST;
	const struct ledger *ledger;

	(void)state;
	play(&nest, deepest);
	assert_true(crowded() > 0);
	for (uint32_t id = 1; id <= deepest; id++) {
		ledger = builder_ledger(&b, id);
		assert_true(apart(ledger->all.running_ns, truth(&nest, id)) <=
			    ledger->uncertain_ns);
		assert_true(apart(ledger->cpu_ns, truth(&nest, id)) <= ledger->uncertain_ns);
	}
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_BOUNDED);
	ledger = builder_ledger(&b, deepest); /* its tag was shown, so it has what it ran ... */
	assert_true(apart(ledger->all.running_ns, truth(&nest, deepest)) < 10 * US);
	assert_true(ledger->uncertain_ns >= WORK); /* ... but all of that is in doubt */
	assert_int_equal(ledger->grade, GRADE_INFERRED);
	correlator_free(b.correlator);
}

static void who_is_nested_less_deep_is_exact(void **state)
{
	static struct nest nest;
	const uint32_t deepest = OVERLAY_MAX_SPANS - 1;

	(void)state;
	play(&nest, deepest);
	assert_int_equal(crowded(), 0);
	for (uint32_t id = 1; id <= deepest; id++) {
		const struct ledger *ledger = builder_ledger(&b, id);

		assert_int_equal(ledger->grade, GRADE_EXACT);
		assert_true(apart(ledger->all.running_ns, truth(&nest, id)) <=
			    ledger->uncertain_ns);
	}
	correlator_free(b.correlator);
}

/* The same of it are too many twice, and in between some are over: that time is nobody's doubt. */
static void between_two_crowds_nothing_is_in_doubt(void **state)
{
	enum { CALM = 500, FIRST = 520, SECOND = 540 };
	static struct nest nest;
	const uint32_t second_crowd = FIRST + OVERLAY_MAX_SPANS - CALM;
	uint64_t crowds_ns;

	(void)state;
	start(&nest);
	go_down(&nest, 0, 1, FIRST);
	go_up(&nest, FIRST, CALM + 1);
	run(&nest, WORK, CALM);
	go_down(&nest, CALM, FIRST + 1, SECOND);
	go_up(&nest, SECOND, FIRST + 1);
	run(&nest, WORK, CALM);
	go_up(&nest, CALM, 1);
	end(&nest, SECOND);
	crowds_ns = nest.end_ns[OVERLAY_MAX_SPANS] - nest.start_ns[OVERLAY_MAX_SPANS] +
		    nest.end_ns[second_crowd] - nest.start_ns[second_crowd];
	assert_true(crowded() > 0);
	for (uint32_t id = 1; id <= CALM; id++) {
		const struct ledger *ledger = builder_ledger(&b, id);

		assert_in_range(ledger->uncertain_ns, crowds_ns, crowds_ns + 20 * US);
		assert_true(apart(ledger->all.running_ns, truth(&nest, id)) <=
			    ledger->uncertain_ns);
	}
	correlator_free(b.correlator);
}

/* Within one slice, which shows their parent at both ends. */
static void of_any_number_back_to_back_each_has_its_time(void **state)
{
	const uint64_t length = 5 * US, step = 6 * US, first = 2;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	(void)state;
	begin(&t);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, FUTEX);
	builder_slice(&b, &t, 1002 * MS, 1002 * MS, 1010 * MS, 1, 0, FUTEX);
	builder_slice(&b, &t, 1011 * MS, 1011 * MS, 1012 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS + 10 * US, 1012 * MS - 10 * US);
	for (uint64_t i = 0; i < BACK_TO_BACK; i++) {
		uint64_t start = 1003 * MS + i * step;

		builder_span(&b, first + i, 1, start, start + length);
	}
	finish(1012 * MS);
	assert_int_equal(crowded(), 0);
	for (uint64_t i = 0; i < BACK_TO_BACK; i++) {
		const struct ledger *ledger = builder_ledger(&b, first + i);

		assert_int_equal(ledger->all.running_ns, length);
		assert_true(apart(ledger->cpu_ns, length) <= 1);
		assert_int_equal(ledger->grade, GRADE_EXACT);
	}
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_nested_too_deep_to_be_weighed_says_so),
		cmocka_unit_test(who_is_nested_less_deep_is_exact),
		cmocka_unit_test(between_two_crowds_nothing_is_in_doubt),
		cmocka_unit_test(of_any_number_back_to_back_each_has_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
