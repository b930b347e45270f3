/* SPDX-License-Identifier: Apache-2.0 */
/* A service whose resource names no process, and that was restarted, or runs twice. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202
#define NEXT  20 /* the process after the first one, or beside it */
#define KNOWN 1  /* a span of the first one that its thread shows ... */
#define LATER 2  /* ... and of the next one */
#define EARLY 3  /* not shown, while the first one lived ... */
#define LATE  4  /* ... and once it was gone */

struct scene {
	struct builder b;
	bool are_together; /* what is shown and what is not, in one trace */
	struct builder_thread first, next;
};

static void add(struct builder *b, uint64_t id, uint64_t start, uint64_t end)
{
	const struct builder_call call = {
		.id = id, .start = start, .end = end, .kind = SPAN_KIND_INTERNAL, .name = "work"
	};

	builder_add(b, &call);
}

/* Works for 40 ms, 10 of them on a span that it shows and 10 on one that it does not. */
static void work(struct scene *scene, struct builder_thread *thread, uint64_t at, uint64_t shown,
		 uint64_t unshown)
{
	struct builder *b = &scene->b;

	b->trace = shown;
	builder_slice(b, thread, at, at, at + 5 * MS, shown, 0, FUTEX);
	builder_slice(b, thread, at + 6 * MS, at + 6 * MS, at + 40 * MS, 0, 0, FUTEX);
	add(b, shown, at + MS, at + 11 * MS);
	if (!scene->are_together)
		b->trace = unshown;
	add(b, unshown, at + 20 * MS, at + 30 * MS);
}

static void exit_first(struct builder *b, uint64_t time_ns)
{
	const struct event_life life = { .header = { .kind = EVENT_EXIT, .bytes = sizeof(life) },
					 .pid = BUILDER_PID,
					 .tid = 11,
					 .time_ns = time_ns };

	correlator_advance(b->correlator, time_ns);
	assert_int_equal(correlator_record(b->correlator, &life.header), 0);
}

static void begin_next(struct scene *scene, uint64_t at)
{
	const struct event_process process = { .pid = NEXT,
					       .ns_pid = NEXT,
					       .publish = PUBLISH_TAGS };

	assert_int_equal(correlator_process(scene->b.correlator, &process), 0);
	scene->next = (struct builder_thread){ .pid = NEXT, .tid = NEXT };
	builder_slice(&scene->b, &scene->next, at, at, at + MS, 0, 0, FUTEX);
}

static void begin(struct scene *scene, bool are_together)
{
	scene->are_together = are_together;
	builder_init(&scene->b);
	builder_clock(&scene->b, 500 * MS);
	scene->first = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	builder_warm_up(&scene->b, &scene->first);
}

/* Long enough for every lesson to come round. */
static void advance_to(struct builder *b, uint64_t end_ns)
{
	for (uint64_t now = 3000 * MS; now <= end_ns; now += 500 * MS) {
		builder_clock(b, now);
		correlator_advance(b->correlator, now);
	}
}

static void each_time_has_its_own_process(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	work(&scene, &scene.first, 1000 * MS, KNOWN, EARLY);
	exit_first(b, 1100 * MS);
	begin_next(&scene, 1990 * MS);
	work(&scene, &scene.next, 2000 * MS, LATER, LATE);
	advance_to(b, 20000 * MS);
	assert_int_equal(builder_ledger(b, KNOWN)->pid, BUILDER_PID);
	assert_int_equal(builder_ledger(b, EARLY)->pid, BUILDER_PID);
	assert_int_equal(builder_ledger(b, EARLY)->cpu_ns, 10 * MS);
	assert_int_equal(builder_ledger(b, LATER)->pid, NEXT);
	assert_int_equal(builder_ledger(b, LATE)->pid, NEXT);
	assert_int_equal(builder_ledger(b, LATE)->cpu_ns, 10 * MS);
	correlator_free(b->correlator);
}

/* The traces of the one and of the other do not go on telling each other. */
static void who_is_known_is_told_once(void **state)
{
	struct correlator_stats then, now;
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, true);
	work(&scene, &scene.first, 1000 * MS, KNOWN, EARLY);
	exit_first(b, 1100 * MS);
	begin_next(&scene, 1990 * MS);
	work(&scene, &scene.next, 2000 * MS, LATER, LATE);
	advance_to(b, 18000 * MS);
	correlator_stats(b->correlator, &then);
	advance_to(b, 30000 * MS);
	correlator_stats(b->correlator, &now);
	assert_true(then.traces_revised > 0);
	assert_int_equal(now.traces_revised, then.traces_revised);
	correlator_free(b->correlator);
}

static void of_two_at_a_time_nobody_is_taken(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	begin_next(&scene, 990 * MS);
	work(&scene, &scene.first, 1000 * MS, KNOWN, EARLY);
	work(&scene, &scene.next, 2000 * MS, LATER, LATE);
	advance_to(b, 20000 * MS);
	assert_int_equal(builder_ledger(b, KNOWN)->pid, BUILDER_PID);
	assert_int_equal(builder_ledger(b, LATER)->pid, NEXT);
	assert_int_equal(builder_ledger(b, EARLY)->grade, GRADE_NONE);
	assert_int_equal(builder_ledger(b, LATE)->grade, GRADE_NONE);
	correlator_free(b->correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_time_has_its_own_process),
		cmocka_unit_test(who_is_known_is_told_once),
		cmocka_unit_test(of_two_at_a_time_nobody_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
