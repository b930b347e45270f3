/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that loses its CPU between a span's start and its attach, or its detach and its end. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202
#define SPAN  1

struct scene {
	struct builder b;
	struct builder_thread own, other;
};

/* It runs for 3 ms, 5 and 4, with 2 ms in between; `first` and `second` are what it shows at the
 * end of two of these, and `syscall` is what it left the CPU in then; -1: it was preempted. */
static void play(struct scene *scene, uint64_t first, uint64_t second, int32_t syscall)
{
	uint32_t flags = syscall < 0 ? EVENT_PREEMPTED : 0;
	struct builder *b = &scene->b;

	builder_slice(b, &scene->own, 1000 * MS, 1000 * MS, 1003 * MS, first, flags, syscall);
	builder_slice(b, &scene->own, 0, 1005 * MS, 1010 * MS, second, flags, syscall);
	builder_slice(b, &scene->own, 0, 1012 * MS, 1016 * MS, 0, 0, FUTEX);
	builder_span(b, SPAN, 0, 1001 * MS, 1015 * MS);
	builder_settle(b);
}

static void check_sure(uint64_t first, uint64_t second)
{
	const struct ledger *ledger;
	struct scene scene;

	builder_begin_two(&scene.b, &scene.own, &scene.other);
	play(&scene, first, second, -1);
	ledger = builder_ledger(&scene.b, SPAN);
	assert_int_equal(ledger->grade, GRADE_EXACT);
	assert_int_equal(ledger->cpu_ns, 10 * MS);
	assert_int_equal(ledger->all.running_ns, 10 * MS);
	assert_int_equal(ledger->all.runnable_ns, 4 * MS);
	correlator_free(scene.b.correlator);
}

static void who_was_alone_and_only_preempted_had_the_way_into_it(void **state)
{
	(void)state;
	check_sure(0, SPAN);
}

static void who_was_alone_and_only_preempted_had_the_way_out_of_it(void **state)
{
	(void)state;
	check_sure(SPAN, 0);
}

/* Of the way, 4 ms and the 2 in between. */
static void who_waited_on_the_way_may_have_done_something_else(void **state)
{
	struct scene scene;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	play(&scene, 0, SPAN, FUTEX);
	assert_true(builder_ledger(&scene.b, SPAN)->uncertain_ns >= 2 * MS);
	correlator_free(scene.b.correlator);
}

/* At its start. */
static void another_one_that_ran_may_have_begun_it(void **state)
{
	struct scene scene;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_slice(&scene.b, &scene.other, 999 * MS, 999 * MS, 1002 * MS, 0, 0, FUTEX);
	play(&scene, 0, SPAN, -1);
	assert_true(builder_ledger(&scene.b, SPAN)->uncertain_ns >= 2 * MS);
	correlator_free(scene.b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_alone_and_only_preempted_had_the_way_into_it),
		cmocka_unit_test(who_was_alone_and_only_preempted_had_the_way_out_of_it),
		cmocka_unit_test(who_waited_on_the_way_may_have_done_something_else),
		cmocka_unit_test(another_one_that_ran_may_have_begun_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
