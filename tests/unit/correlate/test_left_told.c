/* SPDX-License-Identifier: Apache-2.0 */
/* In exact mode: spans that another thread begins or ends than the one that shows them. */
#include "tests/unit/correlate/turns_builder.h"

enum { OTHERS = 9, LEFT_TRACE = 60, OTHERS_TRACE = 70 };

struct scene {
	struct builder b;
	struct builder_thread own, other;
};

static void begin_two(struct scene *scene)
{
	begin(&scene->b, &scene->own);
	scene->other = (struct builder_thread){ .pid = BUILDER_PID, .tid = 12 };
	builder_warm_up(&scene->b, &scene->other);
}

/* The other thread works for another trace all the while. */
static void run_other(struct scene *scene, uint64_t from, uint64_t to)
{
	struct builder *b = &scene->b;
	const struct turn turn[] = { { from + 1 * US, OTHERS }, { to - 1 * US, 0 } };

	b->trace = OTHERS_TRACE;
	tell(b, scene->other.tid, turn, 2, 1);
	builder_slice(b, &scene->other, from, from, to, 0, EVENT_TOLD | EVENT_CHANGED, FUTEX);
	b->trace = 1;
}

static void run_own(struct scene *scene, uint64_t from, uint64_t to, const struct turn *turn,
		    uint32_t count)
{
	tell(&scene->b, scene->own.tid, turn, count, 1);
	builder_slice(&scene->b, &scene->own, from, from, to, turn[count - 1].span,
		      EVENT_TOLD | EVENT_CHANGED, FUTEX);
}

/* One that ends while the only thread that showed it sleeps. */
static void leave_one(struct scene *scene, bool is_root)
{
	const struct turn root[] = { { 950 * MS, A }, { 951 * MS, 0 } };
	const struct turn child[] = { { 950 * MS, B }, { 951 * MS, A }, { 952 * MS, 0 } };

	scene->b.trace = LEFT_TRACE;
	run_own(scene, 949 * MS, 953 * MS, is_root ? root : child, is_root ? 2 : 3);
	run_other(scene, 955 * MS, 957 * MS);
	scene->b.trace = LEFT_TRACE;
	builder_span(&scene->b, A, 0, 950 * MS, is_root ? 956 * MS : 952 * MS);
	if (!is_root)
		builder_span(&scene->b, B, A, 950 * MS, 956 * MS);
	scene->b.trace = 1;
}

enum known { NOTHING, ROOTS, CHILDREN };

/* A and B, below it, end 100 us after their thread has let go of them; the other one is at work for
 * somebody else then, or asleep. */
static void play(struct scene *scene, enum known known, bool is_beside)
{
	const struct turn turn[] = {
		{ 1001 * MS, A }, { 1003 * MS, B }, { 1005 * MS, A }, { 1008 * MS, 0 }
	};
	struct builder *b = &scene->b;

	begin_two(scene);
	if (known)
		leave_one(scene, known == ROOTS);
	if (is_beside)
		run_other(scene, 1004 * MS, 1009 * MS);
	run_own(scene, 1000 * MS, 1010 * MS, turn, 4);
	run_other(scene, 1020 * MS, 1021 * MS);
	builder_span(b, A, 0, 1001 * MS, 1008 * MS + 100 * US);
	builder_span(b, B, A, 1003 * MS, 1005 * MS + 100 * US);
	builder_settle(b);
}

static void who_shows_a_span_no_more_may_have_been_done_with_it(void **state)
{
	struct scene scene;

	(void)state;
	for (int known = ROOTS; known <= CHILDREN; known++) {
		play(&scene, known, true);
		assert_in_range(builder_ledger(&scene.b, A)->uncertain_ns, 100 * US, 220 * US);
		assert_in_range(builder_ledger(&scene.b, B)->uncertain_ns, 100 * US, 120 * US);
		correlator_free(scene.b.correlator);
	}
}

static void who_was_alone_at_its_end_ended_it(void **state)
{
	struct scene scene;

	(void)state;
	play(&scene, ROOTS, false);
	assert_in_range(builder_ledger(&scene.b, A)->uncertain_ns, 0, 20 * US);
	assert_in_range(builder_ledger(&scene.b, B)->uncertain_ns, 0, 20 * US);
	correlator_free(scene.b.correlator);
}

static void threads_are_not_taken_to_leave_their_spans(void **state)
{
	struct scene scene;

	(void)state;
	play(&scene, NOTHING, true);
	assert_in_range(builder_ledger(&scene.b, A)->uncertain_ns, 0, 20 * US);
	assert_in_range(builder_ledger(&scene.b, B)->uncertain_ns, 0, 20 * US);
	correlator_free(scene.b.correlator);
}

/* It lets go of A, waits for 5 ms, and runs until then. A is over at 1007.1 ms. */
static uint64_t doubt_after(uint64_t until)
{
	const struct turn turn[] = { { 1001 * MS, A }, { 1002 * MS, 0 } };
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	begin_two(&scene);
	run_own(&scene, 1000 * MS, 1002 * MS + 50 * US, turn, 2);
	builder_slice(b, &scene.own, 1007 * MS, 1007 * MS, until, 0, EVENT_TOLD, FUTEX);
	run_other(&scene, 1006 * MS, 1009 * MS);
	builder_slice(b, &scene.own, 1020 * MS, 1020 * MS, 1021 * MS, 0, EVENT_TOLD, FUTEX);
	builder_span(b, A, 0, 1001 * MS, 1007 * MS + 100 * US);
	builder_settle(b);
	doubt = builder_ledger(b, A)->uncertain_ns;
	correlator_free(b->correlator);
	return doubt;
}

/* It shows A at 1005.03 ms, before which it waits for 4.9 ms, and runs from then on. A begins at
 * 1000.02 ms. */
static uint64_t doubt_before(uint64_t from)
{
	const struct turn turn[] = { { 1005 * MS + 30 * US, A }, { 1008 * MS, 0 } };
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	begin_two(&scene);
	builder_slice(b, &scene.own, from, from, 1000 * MS + 100 * US, 0, EVENT_TOLD, FUTEX);
	run_other(&scene, 999 * MS, 1002 * MS);
	run_own(&scene, 1005 * MS, 1010 * MS, turn, 2);
	run_other(&scene, 1020 * MS, 1021 * MS);
	builder_span(b, A, 0, 1000 * MS + 20 * US, 1008 * MS);
	builder_settle(b);
	doubt = builder_ledger(b, A)->uncertain_ns;
	correlator_free(b->correlator);
	return doubt;
}

static void who_was_off_its_cpu_at_an_edge_waits_on_no_way_from_it(void **state)
{
	(void)state;
	assert_in_range(doubt_after(1008 * MS), 4900 * US, 5200 * US);
	assert_in_range(doubt_after(1007 * MS + 50 * US), 0, 20 * US);
	assert_in_range(doubt_before(1000 * MS), 4800 * US, 5200 * US);
	assert_in_range(doubt_before(1000 * MS + 50 * US), 0, 20 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_shows_a_span_no_more_may_have_been_done_with_it),
		cmocka_unit_test(who_was_alone_at_its_end_ended_it),
		cmocka_unit_test(threads_are_not_taken_to_leave_their_spans),
		cmocka_unit_test(who_was_off_its_cpu_at_an_edge_waits_on_no_way_from_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
