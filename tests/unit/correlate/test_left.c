/* SPDX-License-Identifier: Apache-2.0 */
/* Roots that their thread lets go of, and that another one ends: where a process is seen to have
 * such, who shows a root no more may have been done with it since its last look. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

enum { ROOT = 1, CHILD, LEFT = 60 };

struct scene {
	struct builder b;
	struct builder_thread own, other;
};

static void run(struct scene *scene, struct builder_thread *thread, uint64_t from, uint64_t to,
		uint64_t span)
{
	builder_slice(&scene->b, thread, from, from, to, span, 0, FUTEX);
}

/* A root that ends while the only thread that showed it sleeps. */
static void leave_one(struct scene *scene)
{
	scene->b.trace = LEFT;
	run(scene, &scene->own, 950 * MS, 951 * MS, LEFT);
	run(scene, &scene->own, 952 * MS, 953 * MS, 0);
	run(scene, &scene->other, 955 * MS, 957 * MS, 0);
	builder_span(&scene->b, LEFT, 0, 950 * MS, 956 * MS);
	scene->b.trace = 1;
}

/* Its thread shows `shown` of it, and runs without it for 5 ms, of which it is open for 3; the
 * other one runs as it ends, or not. */
static uint64_t doubt_of(bool is_known, bool is_beside, uint64_t shown)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	builder_begin_two(b, &scene.own, &scene.other);
	if (is_known)
		leave_one(&scene);
	run(&scene, &scene.own, 999 * MS, 1001 * MS, shown);
	if (is_beside)
		run(&scene, &scene.other, 1004 * MS, 1006 * MS, 0);
	run(&scene, &scene.own, 1002 * MS, 1007 * MS, 0);
	builder_span(b, ROOT, 0, 1000 * MS, 1005 * MS);
	if (shown == CHILD)
		builder_span(b, CHILD, ROOT, 1000 * MS, 1002 * MS);
	builder_settle(b);
	doubt = builder_ledger(b, ROOT)->uncertain_ns;
	correlator_free(b->correlator);
	return doubt;
}

static void who_shows_a_root_no_more_may_have_been_done_with_it(void **state)
{
	(void)state;
	assert_in_range(doubt_of(true, true, ROOT), 3 * MS, 3 * MS + 20 * US);
	assert_in_range(doubt_of(true, true, CHILD), 3 * MS, 3 * MS + 20 * US);
}

static void who_was_alone_at_its_end_ended_it(void **state)
{
	(void)state;
	assert_in_range(doubt_of(true, false, ROOT), 0, 20 * US);
	assert_in_range(doubt_of(true, false, CHILD), 0, 20 * US);
}

static void threads_are_not_taken_to_leave_their_roots(void **state)
{
	(void)state;
	assert_in_range(doubt_of(false, true, ROOT), 0, 20 * US);
	assert_in_range(doubt_of(false, true, CHILD), 0, 20 * US);
}

/* Its thread shows it for all of its time. A root of another trace, which nobody shows, begins 3 ms
 * before that thread sleeps, and ends as it sleeps, or as it runs again. */
static uint64_t doubt_beside(uint64_t end)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	builder_begin_two(b, &scene.own, &scene.other);
	run(&scene, &scene.own, 999 * MS, 1001 * MS, ROOT);
	run(&scene, &scene.own, 1002 * MS, 1008 * MS, ROOT);
	run(&scene, &scene.other, 1019 * MS, 1021 * MS, 0);
	run(&scene, &scene.own, 1029 * MS, 1032 * MS, 0);
	builder_span(b, ROOT, 0, 1000 * MS, 1030 * MS);
	b->trace = LEFT;
	builder_span(b, LEFT, 0, 1005 * MS, end);
	b->trace = 1;
	builder_settle(b);
	doubt = builder_ledger(b, ROOT)->uncertain_ns;
	correlator_free(b->correlator);
	return doubt;
}

static void what_one_thread_begins_and_another_one_ends_may_have_had_the_first(void **state)
{
	(void)state;
	assert_in_range(doubt_beside(1020 * MS), 3 * MS, 6 * MS + 20 * US);
	assert_in_range(doubt_beside(1030 * MS), 3 * MS, 7 * MS + 20 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_shows_a_root_no_more_may_have_been_done_with_it),
		cmocka_unit_test(who_was_alone_at_its_end_ended_it),
		cmocka_unit_test(threads_are_not_taken_to_leave_their_roots),
		cmocka_unit_test(
			what_one_thread_begins_and_another_one_ends_may_have_had_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
