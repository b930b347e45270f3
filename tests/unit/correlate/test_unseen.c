/* SPDX-License-Identifier: Apache-2.0 */
/* A span that was seen on one thread only, which did not run at its start, or at its end: another
 * one that shows nothing may have had it there, and not what lies above it. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

enum { PART = 1, ROOT, ABOVE, SIBLING, STRANGE = 70 };

struct scene {
	struct builder b;
	struct builder_thread own, other, third;
};

/* When the third thread runs, in 100 us since 1 s, and which tag it shows at both ends. */
struct beside {
	uint64_t in, out;
	uint64_t trace, span; /* 0: none */
};

static uint64_t at(uint64_t tenths)
{
	return 1000 * MS + tenths * 100 * US;
}

static void run(struct scene *scene, struct builder_thread *thread, uint64_t in, uint64_t out,
		uint64_t span)
{
	builder_slice(&scene->b, thread, at(in), at(in), at(out), span, 0, FUTEX);
}

static void run_beside(struct scene *scene, const struct beside *beside)
{
	scene->b.trace = beside->trace;
	scene->third.span = beside->span;
	builder_slice(&scene->b, &scene->third, at(beside->in), at(beside->in), at(beside->out),
		      beside->span, 0, FUTEX);
	scene->b.trace = 1;
}

/* The root's own thread leaves its CPU at `out`. */
static void begin(struct scene *scene, uint64_t out)
{
	struct builder_thread *threads[] = { &scene->own, &scene->other, &scene->third };

	builder_begin(&scene->b, threads, ARRAY_LEN(threads));
	run(scene, &scene->own, 0, out, ROOT);
}

/* Of the root, which begins and ends on its own thread. */
static uint64_t end(struct scene *scene)
{
	uint64_t doubt;

	run(scene, &scene->own, 120, 140, 0);
	builder_span(&scene->b, ROOT, 0, at(1), at(130));
	builder_settle(&scene->b);
	doubt = builder_ledger(&scene->b, ROOT)->uncertain_ns;
	correlator_free(scene->b.correlator);
	return doubt;
}

/* The part begins at 1 ms; the other thread shows it from 6 ms on, and ends it at 7.5 ms. */
static uint64_t doubt_at_start(const struct beside *beside, uint64_t own_out)
{
	struct scene scene;

	begin(&scene, own_out);
	run_beside(&scene, beside);
	run(&scene, &scene.other, 50, 60, PART);
	run(&scene, &scene.other, 70, 80, 0);
	builder_span(&scene.b, PART, ROOT, at(10), at(75));
	return end(&scene);
}

/* The other thread begins it at 1 ms, and shows it until 4 ms; it ends at 8.5 ms. */
static uint64_t doubt_at_end(const struct beside *beside)
{
	struct scene scene;

	begin(&scene, 8);
	run(&scene, &scene.other, 9, 20, PART);
	run(&scene, &scene.other, 40, 50, 0);
	run_beside(&scene, beside);
	builder_span(&scene.b, PART, ROOT, at(10), at(85));
	return end(&scene);
}

static void assert_more(uint64_t doubt, uint64_t than, uint64_t tenths)
{
	assert_in_range(doubt, than + tenths * 100 * US - US, than + tenths * 100 * US + US);
}

static const struct beside before = { .in = 5, .out = 9 }, nothing_then = { .in = 11, .out = 30 };

/* From its start on, until the thread leaves, or another one shows it. */
static void who_ran_at_its_start_may_have_begun_it(void **state)
{
	uint64_t least = doubt_at_start(&before, 8);

	(void)state;
	assert_more(doubt_at_start(&(struct beside){ .in = 5, .out = 30 }, 8), least, 20);
	assert_more(doubt_at_start(&(struct beside){ .in = 5, .out = 65 }, 8), least, 50);
	assert_more(doubt_at_start(&nothing_then, 8), least, 0);
}

/* From when it came, or the span was shown last, until its end. */
static void who_ran_at_its_end_may_have_ended_it(void **state)
{
	uint64_t least = doubt_at_end(&(struct beside){ .in = 86, .out = 95 });

	(void)state;
	assert_more(doubt_at_end(&(struct beside){ .in = 75, .out = 95 }), least, 10);
	assert_more(doubt_at_end(&(struct beside){ .in = 35, .out = 95 }), least, 45);
}

static void who_shows_something_else_all_the_time_did_not(void **state)
{
	const struct beside start = { 5, 30, STRANGE, STRANGE }, end = { 75, 95, STRANGE, STRANGE };

	(void)state;
	assert_more(doubt_at_start(&start, 8), doubt_at_start(&before, 8), 0);
	assert_more(doubt_at_end(&end), doubt_at_end(&(struct beside){ .in = 86, .out = 95 }), 0);
}

/* It shows another part of the root when it comes, and none when it leaves. */
static uint64_t doubt_beside_sibling(uint64_t out)
{
	struct scene scene;

	begin(&scene, 8);
	scene.third.span = SIBLING;
	run(&scene, &scene.third, 5, out, 0);
	run(&scene, &scene.other, 50, 60, PART);
	run(&scene, &scene.other, 70, 80, 0);
	builder_span(&scene.b, PART, ROOT, at(10), at(75));
	builder_span(&scene.b, SIBLING, ROOT, at(2), at(6));
	return end(&scene);
}

static void who_had_another_part_before_may_have_begun_it(void **state)
{
	(void)state;
	/* 2 ms of the part's, and the 2.1 ms that it may have gone on for the root */
	assert_more(doubt_beside_sibling(30), doubt_beside_sibling(9), 41);
}

/* It leaves its CPU just when the part is over. */
static void who_leaves_as_it_ends_may_have_ended_it(void **state)
{
	(void)state;
	assert_more(doubt_at_end(&(struct beside){ .in = 75, .out = 85 }),
		    doubt_at_end(&(struct beside){ .in = 86, .out = 95 }), 10);
}

static void who_has_its_parent_at_its_end_may_have_ended_it(void **state)
{
	(void)state;
	assert_in_range(doubt_at_end(&(struct beside){ 75, 95, 1, ROOT }), 1 * MS, 12 * MS);
}

static void who_has_its_parent_at_its_start_began_it(void **state)
{
	(void)state;
	assert_more(doubt_at_start(&(struct beside){ .in = 5, .out = 30 }, 12),
		    doubt_at_start(&before, 12), 0);
}

/* One that shows nothing runs for 3 ms, and for one of these it has a part that nobody else can
 * have, below an `above` that is over by then, or not. */
static uint64_t doubt_around(bool has_part, uint64_t above_end)
{
	struct scene scene;

	begin(&scene, 8);
	run(&scene, &scene.other, 20, 50, 0);
	builder_span(&scene.b, ABOVE, ROOT, at(2), at(above_end));
	if (has_part)
		builder_span(&scene.b, PART, ABOVE, at(30), at(40));
	return end(&scene);
}

static void who_begins_a_part_when_its_parent_is_over_shows_that_one_around_it(void **state)
{
	(void)state;
	assert_more(doubt_around(true, 7), doubt_around(false, 7), 20);
	assert_more(doubt_around(true, 100), doubt_around(false, 100), 0);
}

/* Another one runs for 4 ms about that, and may have had the part as well. */
static uint64_t doubt_around_either(bool has_part)
{
	const struct beside beside = { .in = 18, .out = 58 };
	struct scene scene;

	begin(&scene, 8);
	run(&scene, &scene.other, 20, 50, 0);
	run_beside(&scene, &beside);
	builder_span(&scene.b, ABOVE, ROOT, at(2), at(7));
	if (has_part)
		builder_span(&scene.b, PART, ABOVE, at(30), at(40));
	return end(&scene);
}

static void where_two_may_have_begun_it_both_show_that(void **state)
{
	uint64_t doubt = doubt_around_either(false);

	(void)state;
	assert_in_range(doubt_around_either(true), doubt + 7 * MS, doubt + 9 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_ran_at_its_start_may_have_begun_it),
		cmocka_unit_test(who_ran_at_its_end_may_have_ended_it),
		cmocka_unit_test(who_shows_something_else_all_the_time_did_not),
		cmocka_unit_test(who_had_another_part_before_may_have_begun_it),
		cmocka_unit_test(who_leaves_as_it_ends_may_have_ended_it),
		cmocka_unit_test(who_has_its_parent_at_its_end_may_have_ended_it),
		cmocka_unit_test(who_has_its_parent_at_its_start_began_it),
		cmocka_unit_test(
			who_begins_a_part_when_its_parent_is_over_shows_that_one_around_it),
		cmocka_unit_test(where_two_may_have_begun_it_both_show_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
