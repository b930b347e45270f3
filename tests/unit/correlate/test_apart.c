/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that a request's thread begins, and a pool's carries. That one is seen asleep at the start
 * of some of them; of others it runs then, for its own sake. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX       202
#define BESIDE_NS   (4 * MS) /* of the pool's slices, before the job and after it */
#define PARENT(job) (10 * (job))
#define JOB(job)    (10 * (job) + 1)

struct scene {
	struct builder b;
	struct builder_thread own, pool;
};

/* A trace of 20 ms, in which the own thread runs for 17 ms. The job is from the 4th to the 12th;
 * the pool's thread leaves a CPU with it after the 10th, to which it came at `pool_in`. */
static void request(struct scene *scene, uint64_t job, uint64_t pool_in, uint32_t flags)
{
	uint64_t at = (900 + 100 * job) * MS;
	struct builder *b = &scene->b;

	b->trace = job;
	builder_slice(b, &scene->own, at, at, at + 2 * MS, PARENT(job), 0, FUTEX);
	builder_slice(b, &scene->own, at + 3 * MS, at + 3 * MS, at + 18 * MS, PARENT(job), 0,
		      FUTEX);
	builder_slice(b, &scene->own, at + 19 * MS, at + 19 * MS, at + 21 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene->pool, at + pool_in, at + pool_in, at + 10 * MS, JOB(job), 0,
		      FUTEX);
	builder_slice(b, &scene->pool, at + 11 * MS, at + 11 * MS, at + 13 * MS,
		      flags ? JOB(job) : 0, flags, flags ? -1 : FUTEX);
	scene->pool.span = 0;
	builder_slice(b, &scene->pool, at + 14 * MS, at + 14 * MS, at + 15 * MS, 0, 0, FUTEX);
	builder_span(b, PARENT(job), 0, at + 500 * US, at + 20 * MS);
	builder_span(b, JOB(job), PARENT(job), at + 4 * MS, at + 12 * MS);
}

static void settle(struct scene *scene)
{
	builder_settle(&scene->b);
}

static uint64_t uncertain_ns(struct scene *scene, uint64_t span)
{
	return builder_ledger(&scene->b, span)->uncertain_ns;
}

/* It carries what it begins, for all that is known. */
static void who_was_never_seen_away_began_its_spans(void **state)
{
	struct scene scene;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.pool);
	request(&scene, 1, 1 * MS, 0);
	request(&scene, 2, 1 * MS, 0);
	settle(&scene);
	assert_in_range(uncertain_ns(&scene, JOB(2)), 0, 20 * US);
	assert_in_range(uncertain_ns(&scene, PARENT(2)), 0, BESIDE_NS + 20 * US);
	correlator_free(scene.b.correlator);
}

/* Of the 6 ms from the second job's start to its first look, it may have had any; and of the 1 ms
 * before its end. */
static void who_was_away_at_a_start_may_have_been_given_others(void **state)
{
	struct scene scene;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.pool);
	request(&scene, 1, 6 * MS, 0);
	request(&scene, 2, 1 * MS, 0);
	settle(&scene);
	assert_in_range(uncertain_ns(&scene, JOB(2)), 6 * MS, 7 * MS + 20 * US);
	assert_in_range(uncertain_ns(&scene, PARENT(2)), BESIDE_NS + 6 * MS,
			BESIDE_NS + 7 * MS + 20 * US);
	correlator_free(scene.b.correlator);
}

/* The tag at the end of the slice in which the job ends is told as the one before: its last ms is
 * in doubt beside the 12 that are with a tag, too. */
static void a_tag_that_could_not_be_read_does_not_show_who_ended_it(void **state)
{
	struct scene scene;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.pool);
	request(&scene, 1, 6 * MS, 0);
	request(&scene, 2, 6 * MS, EVENT_PREEMPTED | EVENT_TAG_OUT_UNKNOWN);
	settle(&scene);
	assert_in_range(uncertain_ns(&scene, JOB(2)), 12 * MS + 500 * US, 14 * MS);
	assert_in_range(uncertain_ns(&scene, PARENT(2)), 13 * MS + 500 * US, 15 * MS);
	correlator_free(scene.b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_never_seen_away_began_its_spans),
		cmocka_unit_test(who_was_away_at_a_start_may_have_been_given_others),
		cmocka_unit_test(a_tag_that_could_not_be_read_does_not_show_who_ended_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
