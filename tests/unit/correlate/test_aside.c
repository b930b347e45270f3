/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that a thread put aside, though none was seen to come back: by when they began and ended.
 * Whether the engine believes it shows by what another span of the process has in doubt. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX   202
#define ASKED   90 /* trace and span, shown at both ends, that are in doubt by any turn */
#define MANY    25 /* spans, after which a thread beside an event loop is believed to be none */
#define SEEN    100
#define SCENE   (1500 * MS)
#define ROOT    1
#define CHILD   2
#define SHOWN   5 /* another child */
#define OTHERS  3 /* trace */
#define ANOTHER 4 /* ... */

struct scene {
	struct builder b;
	struct builder_thread own, other;
};

/* The other thread has shown many spans, and no turn. */
static void begin(struct scene *scene)
{
	builder_begin_two(&scene->b, &scene->own, &scene->other);
	for (uint64_t i = 0; i < MANY; i++) {
		uint64_t at = (1000 + 10 * i) * MS;

		scene->b.trace = SEEN + i;
		builder_slice(&scene->b, &scene->other, at, at, at + MS, SEEN, 0, FUTEX);
		builder_slice(&scene->b, &scene->other, at + 2 * MS, at + 2 * MS, at + 3 * MS, 0, 0,
			      FUTEX);
	}
	scene->b.trace = 1;
}

/* Runs for a ms from `ms` after the scene's begin on, shows the trace's span then, and waits, or is
 * preempted. A trace's spans are numbered by it. */
static void run(struct scene *scene, struct builder_thread *thread, uint64_t ms, uint64_t trace,
		uint64_t span, uint32_t flags)
{
	uint64_t at = SCENE + ms * MS;

	scene->b.trace = trace;
	builder_slice(&scene->b, thread, at, at, at + MS, span, flags, flags ? -1 : FUTEX);
}

/* In half ms since the scene's begin. */
static void span(struct scene *scene, uint64_t id, uint64_t parent, uint64_t from, uint64_t to)
{
	scene->b.trace = 1;
	builder_span(&scene->b, id, parent, SCENE + from * MS / 2, SCENE + to * MS / 2);
}

/* Then the thread serves one more, for which it waits in between. */
static uint64_t doubt_on(struct scene *scene, struct builder_thread *thread)
{
	uint64_t doubt;

	run(scene, thread, 100, ASKED, ASKED, 0);
	run(scene, thread, 102, ASKED, 0, 0);
	builder_span(&scene->b, ASKED, 0, SCENE + 100 * MS + 100 * US, SCENE + 103 * MS - 100 * US);
	builder_clock(&scene->b, 5000 * MS);
	correlator_advance(scene->b.correlator, 5000 * MS);
	correlator_settle_all(scene->b.correlator);
	doubt = builder_ledger(&scene->b, ASKED)->uncertain_ns;
	correlator_free(scene->b.correlator);
	return doubt;
}

static void assert_put_aside(struct scene *scene)
{
	assert_true(doubt_on(scene, &scene->other) >= 1800 * US);
}

static void assert_not(struct scene *scene)
{
	assert_true(doubt_on(scene, &scene->other) < 100 * US);
}

/* ---- another trace within a span: at 2 to 4 ms */

static void show_another(struct scene *scene)
{
	run(scene, &scene->own, 2, OTHERS, OTHERS, 0);
	run(scene, &scene->own, 4, OTHERS, 0, 0);
}

static void another_trace_within_a_span_that_nobody_saw_lay_in_it(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	run(&scene, &scene.own, 0, 1, 0, 0);
	show_another(&scene);
	span(&scene, ROOT, 0, 1, 9);
	assert_put_aside(&scene);
}

static void it_may_end_as_the_thread_leaves(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	run(&scene, &scene.own, 0, 1, 0, 0);
	show_another(&scene);
	span(&scene, ROOT, 0, 1, 10);
	assert_put_aside(&scene);
}

/* The thread showed the other one first at 3 ms. */
static void one_that_was_there_before_a_span_does_not_lie_in_it(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	show_another(&scene);
	span(&scene, ROOT, 0, 8, 9);
	assert_not(&scene);
}

static void the_span_may_be_anothers_that_ran_at_its_start_or_its_end(void **state)
{
	const uint64_t beside[] = { 0, 4 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
		struct scene scene;

		begin(&scene);
		run(&scene, &scene.own, 0, 1, 0, 0);
		run(&scene, &scene.other, beside[i], 1, 0, 0);
		show_another(&scene);
		span(&scene, ROOT, 0, 1, 9);
		assert_not(&scene);
	}
}

/* The thread shows it only after the other trace, and may not have begun it. */
static void a_span_that_was_taken_over_since_had_it_not_within(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	run(&scene, &scene.own, 0, 1, 0, 0);
	run(&scene, &scene.other, 0, 1, 0, 0);
	show_another(&scene);
	run(&scene, &scene.own, 6, 1, ROOT, 0);
	run(&scene, &scene.own, 8, 1, 0, 0);
	span(&scene, ROOT, 0, 1, 17);
	assert_not(&scene);
}

/* Whoever showed it last. */
static void a_span_that_another_thread_showed_too_may_be_its_own(void **state)
{
	(void)state;
	for (uint64_t back = 0; back <= 1; back++) {
		struct scene scene;

		begin(&scene);
		if (back)
			run(&scene, &scene.other, 0, 1, ROOT, 0);
		run(&scene, &scene.own, 0, 1, ROOT, 0);
		run(&scene, &scene.own, 1, 1, 0, 0);
		show_another(&scene);
		if (!back)
			run(&scene, &scene.other, 6, 1, ROOT, 0);
		run(&scene, &scene.other, 8, 1, 0, 0);
		run(&scene, &scene.own, 10, 1, 0, 0);
		span(&scene, ROOT, 0, 1, 21);
		assert_not(&scene);
	}
}

/* ... or of which it showed a child, alone or before the thread itself did. */
static void a_span_whose_child_another_thread_showed_may_be_its_own(void **state)
{
	(void)state;
	for (uint64_t both = 0; both <= 1; both++) {
		struct scene scene;

		begin(&scene);
		run(&scene, &scene.own, 0, 1, 0, 0);
		show_another(&scene);
		run(&scene, &scene.other, 6, 1, CHILD, 0);
		run(&scene, &scene.other, 8, 1, 0, 0);
		if (both)
			run(&scene, &scene.own, 9, 1, CHILD, EVENT_PREEMPTED);
		run(&scene, &scene.own, 10, 1, 0, 0);
		span(&scene, ROOT, 0, 1, 21);
		span(&scene, CHILD, ROOT, 13, 20);
		assert_not(&scene);
	}
}

/* ---- spans of two traces, of which each ends within the other's time: the thread runs from 0 to
 * 9 ms, and shows nothing */

static void begin_unseen(struct scene *scene)
{
	begin(scene);
	builder_slice(&scene->b, &scene->own, SCENE, SCENE, SCENE + 9 * MS, 0, 0, FUTEX);
}

static void anothers_span(struct scene *scene, uint64_t trace, uint64_t from, uint64_t to)
{
	scene->b.trace = trace;
	builder_span(&scene->b, trace, 0, SCENE + from * MS / 2, SCENE + to * MS / 2);
}

static void assert_crossed(struct scene *scene, bool is_crossed)
{
	assert_int_equal(doubt_on(scene, &scene->own) >= 1800 * US, is_crossed);
}

/* Shorter ones before it, within it, and after it change nothing of that. */
static void the_longest_span_of_a_trace_may_cross_anothers(void **state)
{
	struct scene scene;

	(void)state;
	begin_unseen(&scene);
	span(&scene, CHILD, 0, 1, 2);
	span(&scene, ROOT, 0, 3, 11);
	span(&scene, SHOWN, ROOT, 5, 6);
	span(&scene, SHOWN + 1, 0, 16, 17);
	anothers_span(&scene, OTHERS, 7, 15);
	assert_crossed(&scene, true);
}

/* Two traces, each of which gets a longer one when it has settled. One alone would settle once more
 * by what it has taught, and then know better; and so would both, if the third one did not claim
 * the thread all the time anyway. */
static void a_span_does_not_cross_what_was_the_longest_of_its_own_trace(void **state)
{
	struct scene scene;

	(void)state;
	begin_unseen(&scene);
	span(&scene, CHILD, 0, 4, 8);
	anothers_span(&scene, OTHERS, 2, 15);
	anothers_span(&scene, ANOTHER, 1, 18);
	builder_settle(&scene.b);
	span(&scene, ROOT, 0, 5, 13);
	scene.b.trace = OTHERS;
	builder_span(&scene.b, SHOWN, 0, SCENE + 3 * MS / 2, SCENE + 17 * MS / 2);
	assert_crossed(&scene, false);
}

/* The thread shows a short one of the same trace, and another thread the long one. */
static void a_span_that_another_thread_shows_does_not_cross(void **state)
{
	struct scene scene;

	(void)state;
	for (uint64_t shown = 0; shown <= 1; shown++) {
		begin(&scene);
		run(&scene, &scene.own, 0, 1, CHILD, EVENT_PREEMPTED);
		run(&scene, &scene.own, 1, 1, 0, EVENT_PREEMPTED);
		builder_slice(&scene.b, &scene.own, 0, SCENE + 2 * MS, SCENE + 9 * MS, 0, 0, FUTEX);
		if (shown) {
			run(&scene, &scene.other, 3, 1, ROOT, 0);
			run(&scene, &scene.other, 4, 1, 0, 0);
		}
		span(&scene, CHILD, 0, 1, 3);
		span(&scene, ROOT, 0, 5, 11);
		anothers_span(&scene, OTHERS, 7, 15);
		assert_crossed(&scene, !shown);
	}
}

/* ---- waits without a span that is open: what the thread ran may have been another trace's */

#define BACK  (SCENE + 20 * MS)
#define LATER (BACK + MS / 2)

/* The thread shows the root at 1 ms, then nothing: as it is preempted so many times, and once more
 * with those flags, or waits. It is back at 20 ms; the child was over by 1 ms. */
static void leave(struct scene *scene, uint32_t preemptions, uint32_t flags)
{
	begin(scene);
	run(scene, &scene->own, 0, 1, ROOT, 0);
	for (uint32_t i = 0; i < preemptions; i++)
		run(scene, &scene->own, 2 + i, 1, 0, EVENT_PREEMPTED);
	run(scene, &scene->own, 2 + preemptions, 1, 0, flags);
}

static bool is_child_in_doubt(struct scene *scene, uint64_t end_ns)
{
	uint64_t doubt;

	run(scene, &scene->own, 20, 1, 0, 0);
	scene->b.trace = 1;
	builder_span(&scene->b, ROOT, 0, SCENE + MS / 2, end_ns);
	span(scene, CHILD, ROOT, 1, 2);
	builder_clock(&scene->b, 5000 * MS);
	correlator_advance(scene->b.correlator, 5000 * MS);
	correlator_settle_all(scene->b.correlator);
	doubt = builder_ledger(&scene->b, CHILD)->uncertain_ns;
	correlator_free(scene->b.correlator);
	return doubt >= 400 * US;
}

static void a_wait_without_an_open_span_tells_that_it_was_put_aside(void **state)
{
	struct scene scene;

	(void)state;
	leave(&scene, 0, 0);
	assert_true(is_child_in_doubt(&scene, LATER));
	leave(&scene, 2, 0); /* after two slices more */
	assert_true(is_child_in_doubt(&scene, LATER));
}

/* Within what a clock may be off by. */
static void a_span_that_ends_as_the_thread_comes_back_may_have_ended_before(void **state)
{
	struct scene scene;

	(void)state;
	leave(&scene, 0, 0);
	assert_false(is_child_in_doubt(&scene, BACK + 500));
	leave(&scene, 0, 0);
	assert_true(is_child_in_doubt(&scene, BACK + 20 * US));
}

static void a_pause_without_a_wait_tells_nothing(void **state)
{
	const uint32_t flags[] = { EVENT_PREEMPTED, EVENT_TICK };
	struct scene scene;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		leave(&scene, 0, flags[i]);
		assert_false(is_child_in_doubt(&scene, LATER));
	}
}

static void a_span_that_was_shown_on_another_thread_as_well_was_handed_on(void **state)
{
	struct scene scene;

	(void)state;
	leave(&scene, 0, 0);
	run(&scene, &scene.other, 6, 1, ROOT, 0);
	run(&scene, &scene.other, 8, 1, 0, 0);
	assert_false(is_child_in_doubt(&scene, LATER));
}

/* Another child was shown, and a third one nowhere. */
static void so_was_one_above_a_child_that_was_shown(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	run(&scene, &scene.own, 0, 1, 0, 0);
	run(&scene, &scene.own, 1, 1, SHOWN, 0);
	run(&scene, &scene.own, 2, 1, 0, 0);
	span(&scene, SHOWN, ROOT, 3, 5);
	span(&scene, SHOWN + 1, ROOT, 6, 8);
	assert_true(is_child_in_doubt(&scene, LATER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_trace_within_a_span_that_nobody_saw_lay_in_it),
		cmocka_unit_test(it_may_end_as_the_thread_leaves),
		cmocka_unit_test(one_that_was_there_before_a_span_does_not_lie_in_it),
		cmocka_unit_test(the_span_may_be_anothers_that_ran_at_its_start_or_its_end),
		cmocka_unit_test(a_span_that_was_taken_over_since_had_it_not_within),
		cmocka_unit_test(a_span_that_another_thread_showed_too_may_be_its_own),
		cmocka_unit_test(a_span_whose_child_another_thread_showed_may_be_its_own),
		cmocka_unit_test(the_longest_span_of_a_trace_may_cross_anothers),
		cmocka_unit_test(a_span_does_not_cross_what_was_the_longest_of_its_own_trace),
		cmocka_unit_test(a_span_that_another_thread_shows_does_not_cross),
		cmocka_unit_test(a_wait_without_an_open_span_tells_that_it_was_put_aside),
		cmocka_unit_test(a_span_that_ends_as_the_thread_comes_back_may_have_ended_before),
		cmocka_unit_test(so_was_one_above_a_child_that_was_shown),
		cmocka_unit_test(a_pause_without_a_wait_tells_nothing),
		cmocka_unit_test(a_span_that_was_shown_on_another_thread_as_well_was_handed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
