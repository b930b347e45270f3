/* SPDX-License-Identifier: Apache-2.0 */
/* Who had a span at its edge, where its thread was at another one then, or another thread was seen
 * with it, too. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

enum { ROOT = 1, FIRST, NEXT };

struct scene {
	struct builder b;
	struct builder_thread own, other;
};

static uint64_t at(uint64_t tenths)
{
	return 1000 * MS + tenths * 100 * US;
}

static void run(struct scene *scene, struct builder_thread *thread, uint64_t in_ns, uint64_t out_ns,
		uint64_t span)
{
	builder_slice(&scene->b, thread, in_ns, in_ns, out_ns, span, 0, FUTEX);
}

/* The root is its own thread's, from 1 ms on. */
static void begin(struct scene *scene)
{
	builder_begin_two(&scene->b, &scene->own, &scene->other);
	run(scene, &scene->own, at(0), at(15), ROOT);
}

static uint64_t end(struct scene *scene, uint64_t span)
{
	uint64_t doubt;

	run(scene, &scene->own, at(200), at(210), 0);
	builder_span(&scene->b, ROOT, 0, at(10), at(205));
	builder_settle(&scene->b);
	doubt = builder_ledger(&scene->b, span)->uncertain_ns;
	correlator_free(scene->b.correlator);
	return doubt;
}

/* A thread goes from one span to the next one in the midst of a slice, from 4 to 8 ms; but the
 * second one begins 10 us before the first one ends, at 6 ms. The other thread runs then, or 0.5 ms
 * later. */
static uint64_t doubt_of_overlap(uint64_t span, uint64_t other_in_ns)
{
	struct scene scene;

	begin(&scene);
	run(&scene, &scene.own, at(20), at(30), FIRST);
	run(&scene, &scene.own, at(40), at(80), NEXT);
	run(&scene, &scene.other, other_in_ns, at(70), 0);
	run(&scene, &scene.own, at(100), at(120), ROOT);
	builder_span(&scene.b, FIRST, ROOT, at(25), at(60));
	builder_span(&scene.b, NEXT, ROOT, at(60) - 10 * US, at(110));
	return end(&scene, span);
}

/* One thread cannot have begun a span while it was at another one: if it was not the only one that
 * ran, the span may have been handed to it later, and the other one away earlier. */
static void who_is_at_another_span_may_have_been_given_this_one(void **state)
{
	(void)state;
	assert_in_range(doubt_of_overlap(NEXT, at(55)), 2 * MS, 3 * MS);
	assert_in_range(doubt_of_overlap(FIRST, at(55)), 2 * MS, 3 * MS);
	assert_in_range(doubt_of_overlap(NEXT, at(65)), 10 * US, 100 * US);
	assert_in_range(doubt_of_overlap(FIRST, at(65)), 10 * US, 100 * US);
}

/* A thread shows a span, which ends at 7 ms, in the midst of a slice that begins at 4 ms. The other
 * one had it, too, and lets go of it in a slice that ends then. */
static uint64_t doubt_of_shared(uint64_t other_out_ns)
{
	struct scene scene;

	begin(&scene);
	run(&scene, &scene.own, at(20), at(30), FIRST);
	run(&scene, &scene.other, at(35), at(38), FIRST);
	run(&scene, &scene.own, at(40), at(90), ROOT);
	run(&scene, &scene.other, at(50), other_out_ns, 0);
	builder_span(&scene.b, FIRST, ROOT, at(25), at(70));
	return end(&scene, FIRST);
}

static void who_was_off_its_cpu_by_then_has_not_ended_it(void **state)
{
	uint64_t off = doubt_of_shared(at(60));

	(void)state;
	assert_in_range(doubt_of_shared(at(80)), off + 3 * MS, off + 5 * MS);
	assert_in_range(doubt_of_shared(at(70) - 40), off + 3 * MS, off + 5 * MS); /* the clock */
}

/* The same, of its begin at 2.5 ms: the other one comes at some time, and shows it 0.5 ms before
 * its own thread does, at the end of the slice in which it began. */
static uint64_t doubt_of_shared_begin(uint64_t other_in_ns)
{
	struct scene scene;

	begin(&scene);
	run(&scene, &scene.other, other_in_ns, at(35), FIRST);
	run(&scene, &scene.own, at(20), at(40), FIRST);
	run(&scene, &scene.other, at(45), at(46), 0);
	run(&scene, &scene.own, at(60), at(90), ROOT);
	builder_span(&scene.b, FIRST, ROOT, at(25), at(70));
	return end(&scene, FIRST);
}

static void who_came_to_its_cpu_later_has_not_begun_it(void **state)
{
	uint64_t off = doubt_of_shared_begin(at(30));

	(void)state;
	assert_in_range(doubt_of_shared_begin(at(20)), off + 1500 * US, off + 3 * MS);
	assert_in_range(doubt_of_shared_begin(at(25) + 40), off + 1500 * US, off + 3 * MS);
	assert_in_range(doubt_of_shared_begin(at(25) + 100), 0, off + 600 * US);
}

/* The other thread begins a span and shows it until 4 ms; its end is at 7 ms, when the root's own
 * thread runs again, which has shown nothing but the root since 5 ms, and left its CPU at 6.9 ms,
 * as `flags` and `syscall` tell. */
static uint64_t doubt_of_ender(uint32_t flags, int32_t syscall)
{
	struct scene scene;

	begin(&scene);
	run(&scene, &scene.other, at(20), at(30), FIRST);
	run(&scene, &scene.other, at(40), at(42), 0);
	run(&scene, &scene.own, at(45), at(46), ROOT);
	builder_slice(&scene.b, &scene.own, at(50), at(50), at(69), ROOT, flags, syscall);
	builder_slice(&scene.b, &scene.own, 0, at(69), at(90), ROOT, 0, FUTEX);
	builder_span(&scene.b, FIRST, ROOT, at(25), at(70));
	return end(&scene, FIRST);
}

/* For 2 ms; what it does not go on with after a wait, it had not before that. */
static void who_ends_a_span_may_have_worked_at_it(void **state)
{
	uint64_t waited = doubt_of_ender(0, FUTEX);

	(void)state;
	assert_in_range(doubt_of_ender(EVENT_TICK, -1), waited + 1800 * US, waited + 2 * MS);
	assert_in_range(doubt_of_ender(EVENT_PREEMPTED, -1), waited + 1800 * US, waited + 2 * MS);
}

/* Generators: the second one begins within the first, and goes on after it, from 4 to 9 ms; until
 * then the first one lasts, from 2 to 6 ms, or longer than the second one. `shown_at_out` by their
 * thread, whose slice ends with 8 ms. */
static uint64_t doubt_of_generator(uint64_t first_end_ns, uint64_t shown_at_out)
{
	struct scene scene;

	begin(&scene);
	run(&scene, &scene.own, at(15) + 100 * US, at(30), FIRST);
	run(&scene, &scene.own, at(30) + 100 * US, at(80), shown_at_out);
	run(&scene, &scene.own, at(100), at(120), ROOT);
	builder_span(&scene.b, FIRST, ROOT, at(20), first_end_ns);
	builder_span(&scene.b, NEXT, FIRST, at(40), shown_at_out == NEXT ? at(90) : at(75));
	return end(&scene, NEXT);
}

static void who_ends_around_another_one_may_have_put_that_aside(void **state)
{
	(void)state;
	assert_in_range(doubt_of_generator(at(60), ROOT), 1500 * US, 1510 * US);
	assert_true(doubt_of_generator(at(78), ROOT) < 10 * US);
	assert_true(doubt_of_generator(at(60), NEXT) < 10 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_at_another_span_may_have_been_given_this_one),
		cmocka_unit_test(who_was_off_its_cpu_by_then_has_not_ended_it),
		cmocka_unit_test(who_came_to_its_cpu_later_has_not_begun_it),
		cmocka_unit_test(who_ends_a_span_may_have_worked_at_it),
		cmocka_unit_test(who_ends_around_another_one_may_have_put_that_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
