/* SPDX-License-Identifier: Apache-2.0 */
/* A span that one thread begins within its parent, and works at, and that another one carries on
 * with and ends, while the parent is at work, too; without a look in which the first thread shows
 * it. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX  202
#define PARENT 1
#define HANDED 2
#define HIDDEN 9 /* never exported */

struct scene {
	struct builder b;
	struct builder_thread own, other;
};

static void begin(struct scene *scene)
{
	scene->own = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	scene->other = (struct builder_thread){ .pid = BUILDER_PID, .tid = 12 };
	builder_init(&scene->b);
	builder_clock(&scene->b, 500 * MS);
	builder_warm_up(&scene->b, &scene->own);
	builder_warm_up(&scene->b, &scene->other);
}

/* The other thread has it from 1020 to 1030 ms. */
static void carry_on(struct scene *scene)
{
	struct builder *b = &scene->b;

	builder_slice(b, &scene->other, 1020 * MS, 1020 * MS, 1021 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->other, 1029 * MS, 1029 * MS, 1031 * MS, 0, 0, FUTEX);
}

/* The parent ends at 1090 ms. */
static void end(struct scene *scene)
{
	struct builder *b = &scene->b;

	builder_slice(b, &scene->own, 1089 * MS, 1089 * MS, 1091 * MS, 0, 0, FUTEX);
	builder_span(b, PARENT, 0, 1000 * MS, 1090 * MS);
	builder_span(b, HANDED, PARENT, 1006 * MS, 1030 * MS);
	builder_clock(b, 3000 * MS);
	correlator_advance(b->correlator, 3000 * MS);
	correlator_settle_all(b->correlator);
}

/* From its start until the thread's next look it may have had either, 4 ms; not in the 4 ms after
 * that look. What the other thread ran on the way in and out is in doubt, too. */
static void who_begins_a_span_may_have_worked_at_it(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1005 * MS, 1005 * MS, 1010 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1011 * MS, 1011 * MS, 1015 * MS, PARENT, 0, FUTEX);
	carry_on(&scene);
	end(&scene);
	assert_in_range(builder_ledger(b, PARENT)->uncertain_ns, 4 * MS, 7 * MS + 10 * US);
	assert_in_range(builder_ledger(b, HANDED)->uncertain_ns, 4 * MS, 7 * MS + 10 * US);
	correlator_free(b->correlator);
}

/* The first thread shows the handed one, then its parent, then one that nobody exports. */
static void what_nobody_exports_is_not_below_a_span_that_was_put_aside(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1006 * MS, 1006 * MS, 1007 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene.own, 1008 * MS, 1008 * MS, 1009 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1010 * MS, 1010 * MS, 1011 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.own, 1012 * MS, 1012 * MS, 1018 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.own, 1025 * MS, 1025 * MS, 1026 * MS, PARENT, 0, FUTEX);
	carry_on(&scene);
	end(&scene);
	assert_in_range(builder_ledger(b, HANDED)->cpu_ns, 2 * MS, 4 * MS);
	assert_in_range(builder_ledger(b, PARENT)->cpu_self_ns, 10 * MS, 13 * MS);
	correlator_free(b->correlator);
}

/* The hidden one has an exported child: that counts for the parent, too. */
static void who_has_no_parent_any_more_counts_for_the_span_around_it(void **state)
{
	enum { CHILD = 3 };
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1010 * MS, 1010 * MS, 1011 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.own, 1020 * MS, 1020 * MS, 1021 * MS, CHILD, 0, FUTEX);
	builder_slice(b, &scene.own, 1030 * MS, 1030 * MS, 1031 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.own, 1040 * MS, 1040 * MS, 1041 * MS, PARENT, 0, FUTEX);
	builder_span(b, CHILD, HIDDEN, 1020 * MS, 1030 * MS + 500 * US);
	carry_on(&scene);
	end(&scene);
	assert_int_equal(builder_ledger(b, PARENT)->cpu_ns, 6 * MS + 2 * MS);
	assert_int_equal(builder_ledger(b, PARENT)->all.elsewhere_ns, 0);
	assert_in_range(builder_ledger(b, CHILD)->cpu_ns, MS, 2 * MS);
	correlator_free(b->correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_begins_a_span_may_have_worked_at_it),
		cmocka_unit_test(who_has_no_parent_any_more_counts_for_the_span_around_it),
		cmocka_unit_test(what_nobody_exports_is_not_below_a_span_that_was_put_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
