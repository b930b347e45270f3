/* SPDX-License-Identifier: Apache-2.0 */
/* Spans whose parent nobody exported: for which span they count. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX   202
#define OUTER   1
#define ANOTHER 2 /* beside it, on another thread */
#define CHILD   3
#define HIDDEN  90
#define STEP    (10 * MS)

struct scene {
	struct builder b;
	struct builder_thread own, other, third;
	uint64_t now;
};

static void begin(struct scene *scene)
{
	struct builder_thread *threads[] = { &scene->own, &scene->other, &scene->third };

	builder_begin(&scene->b, threads, ARRAY_LEN(threads));
	scene->now = 1000 * MS;
}

/* Runs for a ms, and shows the span at its end and, 10 ms on, when it comes to the next. */
static void show(struct scene *scene, struct builder_thread *thread, uint64_t span)
{
	builder_slice(&scene->b, thread, scene->now, scene->now, scene->now + MS, span, 0, FUTEX);
	scene->now += STEP;
}

/* A child of a hidden span, of 10.1 ms: it runs for half a ms, and for one. */
static void play_child(struct scene *scene, uint64_t id, uint64_t parent, uint8_t kind)
{
	const struct builder_call call = { .id = id,
					   .parent = parent,
					   .start = scene->now + MS / 2,
					   .end = scene->now + STEP + MS,
					   .kind = kind,
					   .name = "work",
					   .pid = BUILDER_PID };

	show(scene, &scene->third, id);
	show(scene, &scene->third, 0);
	builder_add(&scene->b, &call);
}

/* Until what nobody exports is not waited for any more. */
static void settle(struct scene *scene)
{
	for (uint64_t at = 3000 * MS; at <= 15000 * MS; at += 1000 * MS) {
		builder_clock(&scene->b, at);
		correlator_advance(scene->b.correlator, at);
	}
}

static uint64_t below(const struct scene *scene, uint64_t span)
{
	const struct ledger *ledger = builder_ledger(&scene->b, span);

	return ledger->cpu_ns - ledger->cpu_self_ns;
}

static void assert_below(const struct scene *scene, uint64_t span, uint64_t ns)
{
	assert_in_range(below(scene, span), ns - MIN(ns, 10 * US), ns + 10 * US);
}

/* Each of many counts for what its own parent was in, whatever the order of their ids. */
static void each_counts_for_the_span_in_which_its_parent_came_up(void **state)
{
	enum { COUNT = 7, INNER = 20, BELOW = 40 };
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, &scene.own, OUTER);
	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t start = scene.now, hidden = HIDDEN + i * 4 % COUNT;

		show(&scene, &scene.own, INNER + i);
		show(&scene, &scene.own, hidden);
		play_child(&scene, BELOW + i, hidden, SPAN_KIND_INTERNAL);
		show(&scene, &scene.own, OUTER);
		builder_span(&scene.b, INNER + i, OUTER, start + MS / 2, scene.now - STEP + MS / 2);
	}
	show(&scene, &scene.own, 0);
	builder_span(&scene.b, OUTER, 0, 1000 * MS + MS / 2, scene.now - STEP + MS / 2);
	settle(&scene);
	for (uint64_t i = 0; i < COUNT; i++)
		assert_below(&scene, INNER + i, 3 * MS / 2);
	correlator_free(scene.b.correlator);
}

/* Two threads, each in its own span, show the same hidden one; the child is anybody's. */
static void play_two(struct scene *scene, struct builder_thread *first, uint64_t first_span,
		     struct builder_thread *second, uint64_t second_span)
{
	begin(scene);
	show(scene, first, first_span);
	show(scene, second, second_span);
	show(scene, first, HIDDEN);
	show(scene, second, HIDDEN);
	play_child(scene, CHILD, HIDDEN, SPAN_KIND_INTERNAL);
	show(scene, second, second_span);
	show(scene, first, first_span);
	show(scene, second, 0);
	show(scene, first, 0);
	builder_span(&scene->b, first_span, 0, 1000 * MS + MS / 2, scene->now - STEP + MS / 2);
	builder_span(&scene->b, second_span, 0, 1010 * MS + MS / 2, scene->now - 2 * STEP + MS / 2);
	settle(scene);
}

static void of_two_threads_that_showed_the_parent_the_first_one_has_it(void **state)
{
	struct scene scene;

	(void)state;
	play_two(&scene, &scene.own, OUTER, &scene.other, ANOTHER);
	assert_below(&scene, OUTER, 3 * MS / 2);
	assert_below(&scene, ANOTHER, 0);
	correlator_free(scene.b.correlator);
	play_two(&scene, &scene.other, ANOTHER, &scene.own, OUTER);
	assert_below(&scene, OUTER, 0);
	assert_below(&scene, ANOTHER, 3 * MS / 2);
	correlator_free(scene.b.correlator);
}

/* The span itself is seen in another one: on one thread, then on a second, in one, too. */
static void of_a_parent_that_was_never_seen_the_span_tells(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, &scene.other, ANOTHER);
	show(&scene, &scene.own, OUTER);
	show(&scene, &scene.own, CHILD);
	show(&scene, &scene.other, CHILD);
	show(&scene, &scene.own, OUTER);
	show(&scene, &scene.other, ANOTHER);
	show(&scene, &scene.own, 0);
	show(&scene, &scene.other, 0);
	builder_span(&scene.b, ANOTHER, 0, 1000 * MS + MS / 2, scene.now - STEP + MS / 2);
	builder_span(&scene.b, OUTER, 0, 1010 * MS + MS / 2, scene.now - 2 * STEP + MS / 2);
	builder_span(&scene.b, CHILD, HIDDEN, 1020 * MS + MS / 2, 1050 * MS + MS / 2);
	settle(&scene);
	assert_int_equal(below(&scene, OUTER), builder_ledger(&scene.b, CHILD)->cpu_ns);
	assert_int_equal(below(&scene, ANOTHER), 0);
	correlator_free(scene.b.correlator);
}

/* Its parent is of another process, whatever is seen here. */
static void a_server_span_counts_for_nobody(void **state)
{
	const uint8_t kinds[] = { SPAN_KIND_SERVER, SPAN_KIND_CONSUMER, SPAN_KIND_CLIENT };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct scene scene;

		begin(&scene);
		show(&scene, &scene.own, OUTER);
		show(&scene, &scene.own, HIDDEN);
		play_child(&scene, CHILD, HIDDEN, kinds[i]);
		show(&scene, &scene.own, OUTER);
		show(&scene, &scene.own, 0);
		builder_span(&scene.b, OUTER, 0, 1000 * MS + MS / 2, scene.now - STEP + MS / 2);
		settle(&scene);
		assert_below(&scene, OUTER, kinds[i] == SPAN_KIND_CLIENT ? 3 * MS / 2 : 0);
		correlator_free(scene.b.correlator);
	}
}

/* Two that begin at the same moment, and each one's parent comes up where the other is shown. */
static void no_span_stands_in_itself(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, &scene.own, OUTER);
	show(&scene, &scene.own, HIDDEN);
	show(&scene, &scene.own, ANOTHER);
	show(&scene, &scene.own, HIDDEN + 1);
	show(&scene, &scene.own, 0);
	builder_span(&scene.b, ANOTHER, HIDDEN, 1000 * MS + MS / 2, scene.now);
	builder_span(&scene.b, OUTER, HIDDEN + 1, 1000 * MS + MS / 2, scene.now);
	settle(&scene);
	assert_true(below(&scene, OUTER) == 0 || below(&scene, ANOTHER) == 0);
	correlator_free(scene.b.correlator);
}

/* Its thread shows the part, then a child of what nobody exported, 3 ms into the slice between; the
 * other one shows the part next, or nobody does. */
static uint64_t doubt_of_part(bool is_handed)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, ANOTHER, 0, FUTEX);
	builder_slice(b, &scene.own, 1002 * MS, 1002 * MS, 1006 * MS, CHILD, 0, FUTEX);
	builder_slice(b, &scene.own, 1007 * MS, 1007 * MS, 1008 * MS, OUTER, 0, FUTEX);
	builder_slice(b, &scene.other, 1009 * MS, 1009 * MS, 1010 * MS, is_handed ? ANOTHER : 0, 0,
		      FUTEX);
	builder_slice(b, &scene.other, 1011 * MS, 1011 * MS, 1013 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.own, 1020 * MS, 1020 * MS, 1023 * MS, 0, 0, FUTEX);
	builder_span(b, OUTER, 0, 1000 * MS, 1022 * MS);
	builder_span(b, ANOTHER, OUTER, 1000 * MS, 1012 * MS);
	builder_span(b, CHILD, HIDDEN, 1005 * MS, 1007 * MS + 500 * US);
	settle(&scene);
	doubt = builder_ledger(b, ANOTHER)->uncertain_ns;
	correlator_free(b->correlator);
	return doubt;
}

/* The part may have been handed on at once after the look, not only when the child began. */
static void who_came_to_one_may_have_put_aside_what_it_showed_since_then(void **state)
{
	(void)state;
	assert_true(doubt_of_part(true) >= 7 * MS);
}

/* Another thread shows what nobody exported, then a child of it, and then nothing: that one is over
 * within the slice. What the thread ran in the rest of it may be anybody's who was open. */
static void after_a_child_its_thread_may_be_in_the_parent_again(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, OUTER, 0, FUTEX);
	builder_slice(b, &scene.other, 1002 * MS, 1002 * MS, 1003 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.other, 1004 * MS, 1004 * MS, 1005 * MS, CHILD, 0, FUTEX);
	builder_slice(b, &scene.other, 1006 * MS, 1006 * MS, 1016 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.own, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(b, OUTER, 0, 1000 * MS, 1020 * MS + 500 * US);
	builder_span(b, CHILD, HIDDEN, 1004 * MS + 500 * US, 1007 * MS);
	settle(&scene);
	assert_true(builder_ledger(b, OUTER)->uncertain_ns >= 9 * MS);
	correlator_free(b->correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_counts_for_the_span_in_which_its_parent_came_up),
		cmocka_unit_test(of_two_threads_that_showed_the_parent_the_first_one_has_it),
		cmocka_unit_test(of_a_parent_that_was_never_seen_the_span_tells),
		cmocka_unit_test(a_server_span_counts_for_nobody),
		cmocka_unit_test(no_span_stands_in_itself),
		cmocka_unit_test(who_came_to_one_may_have_put_aside_what_it_showed_since_then),
		cmocka_unit_test(after_a_child_its_thread_may_be_in_the_parent_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
