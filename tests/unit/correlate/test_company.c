/* SPDX-License-Identifier: Apache-2.0 */
/* Which other traces claim a thread, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/join.h"

#define ARENA_BYTES (1u << 20)
#define SELF        1 /* the trace that asks */
#define UNTIL       1000

struct scene {
	struct trace trace;
	struct thread thread;
	struct company company[COMPANY_MAX];
	struct lane lane, *lanes[1];
	struct join join;
};

/* Two others have the thread from 100 to 300, one of them only until 200; the trace itself claims
 * it, too, all the time; and a fourth one comes at 500. */
static void begin(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->trace.id[0] = SELF;
	scene->company[0] = (struct company){ .trace_id = { SELF }, .from_ns = 1, .to_ns = UNTIL };
	scene->company[1] = (struct company){ .trace_id = { 2 }, .from_ns = 100, .to_ns = 200 };
	scene->company[3] = (struct company){ .trace_id = { 3 }, .from_ns = 150, .to_ns = 300 };
	scene->company[4] = (struct company){ .trace_id = { 4 }, .from_ns = 500, .to_ns = 600 };
	scene->thread.company = scene->company;
	scene->thread.company_until_ns = UNTIL;
	scene->lane.thread = &scene->thread;
	scene->lanes[0] = &scene->lane;
	scene->join =
		(struct join){ .trace = &scene->trace, .lanes = scene->lanes, .lane_count = 1 };
	arena_init(&scene->join.arena, ARENA_BYTES);
}

static bool is_there(const struct scene *scene, uint64_t from_ns, uint64_t to_ns)
{
	return company_is_there(&scene->join, &scene->thread, from_ns, to_ns);
}

static void others_are_there_as_long_as_they_claim_the_thread(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	assert_false(is_there(&scene, 1, 100));
	assert_true(is_there(&scene, 1, 101));
	assert_true(is_there(&scene, 250, 260));
	assert_false(is_there(&scene, 300, 500));
	assert_true(is_there(&scene, 300, 501));
	assert_false(is_there(&scene, 600, UNTIL));
	arena_fini(&scene.join.arena);
}

static void nobody_is_there_beyond_the_last_claim(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	scene.thread.company_until_ns = 150;
	assert_true(is_there(&scene, 149, UNTIL));
	assert_false(is_there(&scene, 150, UNTIL));
	scene.thread.company = NULL;
	assert_false(company_begins(&scene.join, &scene.thread, 0, UNTIL));
	arena_fini(&scene.join.arena);
}

static void a_claim_of_another_trace_begins_within_a_stretch(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	assert_false(company_begins(&scene.join, &scene.thread, 0, 99)); /* but its own does */
	assert_true(company_begins(&scene.join, &scene.thread, 0, 100));
	assert_true(company_begins(&scene.join, &scene.thread, 101, 150));
	assert_false(company_begins(&scene.join, &scene.thread, 151, 499));
	assert_true(company_begins(&scene.join, &scene.thread, 500, 500));
	arena_fini(&scene.join.arena);
}

static void claim_from(struct scene *scene, uint64_t from_ns, uint64_t to_ns)
{
	begin(scene);
	scene->lane.claim = (struct company){ .from_ns = from_ns, .to_ns = to_ns };
	company_claim(&scene->join);
	assert_false(scene->join.out_of_memory);
}

static void a_lane_has_company_while_others_claim_its_thread_as_well(void **state)
{
	struct scene scene;

	(void)state;
	claim_from(&scene, 50, 550);
	assert_int_equal(company_overlap_ns(&scene.lane, 0, UNTIL), 200 + 50);
	assert_int_equal(company_overlap_ns(&scene.lane, 0, 100), 0);
	assert_int_equal(company_overlap_ns(&scene.lane, 90, 110), 10);
	assert_int_equal(company_overlap_ns(&scene.lane, 190, 210), 20); /* and not twice */
	assert_int_equal(company_overlap_ns(&scene.lane, 290, 510), 10 + 10);
	assert_int_equal(company_overlap_ns(&scene.lane, 300, 500), 0);
	assert_int_equal(company_overlap_ns(&scene.lane, 540, UNTIL), 10); /* until its own end */
	arena_fini(&scene.join.arena);
}

static void a_lane_has_company_from_its_own_begin_on(void **state)
{
	struct scene scene;

	(void)state;
	claim_from(&scene, 180, 190);
	assert_int_equal(company_overlap_ns(&scene.lane, 0, UNTIL), 10);
	arena_fini(&scene.join.arena);
	claim_from(&scene, 300, 500);
	assert_int_equal(scene.lane.company_count, 0);
	arena_fini(&scene.join.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_are_there_as_long_as_they_claim_the_thread),
		cmocka_unit_test(nobody_is_there_beyond_the_last_claim),
		cmocka_unit_test(a_claim_of_another_trace_begins_within_a_stretch),
		cmocka_unit_test(a_lane_has_company_while_others_claim_its_thread_as_well),
		cmocka_unit_test(a_lane_has_company_from_its_own_begin_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
