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

/* ---- its own claim */

#define SPANS 2

/* Two spans of the trace, which nobody else claims; the thread is on a CPU from 90 to 310, and from
 * 390 to 410. */
struct claim {
	struct scene scene;
	struct process process;
	struct thread other;
	struct node nodes[SPANS];
	struct sighting sightings[SPANS];
	struct slice slices[2];
};

static void begin_claim(struct claim *claim)
{
	const struct {
		uint64_t a_ns, b_ns;
	} times[SPANS] = { { 150, 200 }, { 100, 180 } };

	memset(claim, 0, sizeof(*claim));
	begin(&claim->scene);
	memset(claim->scene.company, 0, sizeof(claim->scene.company));
	claim->slices[0] = (struct slice){ .in_ns = 90, .out_ns = 310, .stint = STINT_PLAIN };
	claim->slices[1] = (struct slice){
		.prev_out_ns = 310, .in_ns = 390, .out_ns = 410, .stint = STINT_PLAIN
	};
	claim->scene.lane.process = claim->scene.thread.process = &claim->process;
	claim->scene.lane.slices = claim->slices;
	claim->scene.lane.count = ARRAY_LEN(claim->slices);
	claim->scene.join.nodes = claim->nodes;
	claim->scene.join.count = SPANS;
	claim->scene.join.sightings = claim->sightings;
	for (int32_t i = 0; i < SPANS; i++)
		claim->nodes[i] = (struct node){ .process = &claim->process,
						 .parent = i - 1,
						 .a_ns = times[i].a_ns,
						 .b_ns = times[i].b_ns,
						 .sightings = -1 };
}

static void see(struct claim *claim, uint32_t node, struct thread *thread, uint64_t first_ns,
		uint64_t last_ns)
{
	uint32_t at = claim->scene.join.sighting_count++;

	claim->sightings[at] = (struct sighting){ -1, thread, first_ns, last_ns, NULL };
	claim->nodes[node].sightings = (int32_t)at;
}

/* to 0: it claims nothing. */
static void assert_claimed(struct claim *claim, uint64_t from_ns, uint64_t to_ns)
{
	company_claim(&claim->scene.join);
	assert_int_equal(claim->scene.lane.claim.from_ns, from_ns);
	assert_int_equal(claim->scene.lane.claim.to_ns, to_ns);
	arena_fini(&claim->scene.join.arena);
}

static void a_trace_claims_its_only_thread_for_as_long_as_its_spans(void **state)
{
	struct claim claim;

	(void)state;
	begin_claim(&claim);
	see(&claim, 0, &claim.scene.thread, 160, 170);
	see(&claim, 1, &claim.scene.thread, 160, 170);
	assert_claimed(&claim, 100, 200);
	begin_claim(&claim);
	claim.nodes[1].a_ns = 170; /* ... and the other way round */
	see(&claim, 0, &claim.scene.thread, 160, 170);
	see(&claim, 1, &claim.scene.thread, 175, 177);
	assert_claimed(&claim, 150, 200);
	begin_claim(&claim); /* off the CPU when they begin and when they end */
	claim.nodes[0].a_ns = claim.nodes[1].a_ns = 320;
	claim.nodes[0].b_ns = claim.nodes[1].b_ns = 380;
	see(&claim, 0, &claim.scene.thread, 330, 370);
	see(&claim, 1, &claim.scene.thread, 330, 370);
	assert_claimed(&claim, 320, 380);
}

/* The first span is seen here then, the second one on another thread. */
static void see_both(struct claim *claim, uint64_t start_ns, uint64_t end_ns, uint64_t first_ns,
		     uint64_t last_ns)
{
	begin_claim(claim);
	claim->nodes[0].a_ns = start_ns;
	claim->nodes[0].b_ns = end_ns;
	see(claim, 0, &claim->scene.thread, first_ns, last_ns);
	see(claim, 1, &claim->other, 160, 170);
}

static void of_two_threads_it_claims_each_while_it_is_seen_there(void **state)
{
	struct claim claim;

	(void)state;
	see_both(&claim, 320, 380, 330, 370); /* off the CPU when it begins and when it ends */
	assert_claimed(&claim, 330, 370);
	see_both(&claim, 320, 380, 100, 500);
	assert_claimed(&claim, 320, 380);
	see_both(&claim, 300, 380, 310, 370); /* it may have begun it */
	assert_claimed(&claim, 300, 370);
	see_both(&claim, 300, 380, 311, 370); /* it was off since */
	assert_claimed(&claim, 311, 370);
	see_both(&claim, 320, 400, 330, 390); /* it may have ended it */
	assert_claimed(&claim, 330, 400);
	see_both(&claim, 320, 400, 330, 389);
	assert_claimed(&claim, 330, 389);
}

static void a_span_that_was_never_seen_is_claimed_where_it_was_placed(void **state)
{
	struct claim claim;
	struct lane other = { 0 };

	(void)state;
	begin_claim(&claim);
	claim.nodes[0].placed = &claim.scene.lane;
	claim.nodes[1].placed = &other;
	assert_claimed(&claim, 150, 200);
	begin_claim(&claim);
	claim.nodes[0].placed = claim.nodes[1].placed = &other;
	claim.nodes[1].inferred = true; /* that was a guess: it may be here */
	assert_claimed(&claim, 100, 180);
	begin_claim(&claim);
	claim.nodes[0].process = claim.nodes[1].process = NULL;
	assert_claimed(&claim, 0, 0);
}

static void a_trace_that_was_never_seen_claims_wherever_it_may_have_begun_and_ended(void **state)
{
	struct claim claim;

	(void)state;
	begin_claim(&claim);
	claim.nodes[0].b_ns = 400; /* the thread is back by then */
	claim.nodes[1].a_ns = 320; /* it was on no CPU */
	claim.nodes[1].b_ns = 380;
	assert_claimed(&claim, 150, 400);
	begin_claim(&claim); /* nobody can tell any more */
	claim.nodes[0].b_ns = claim.nodes[1].b_ns = claim.scene.thread.folded_until_ns = 350;
	assert_claimed(&claim, 100, 350);
}

/* One thread began it, and another one ended it: from its start to the next look, since the last
 * look before its end. */
static void what_no_thread_can_have_begun_and_ended_is_claimed_at_either_edge(void **state)
{
	struct claim claim;

	(void)state;
	begin_claim(&claim);
	claim.nodes[0].b_ns = claim.nodes[1].b_ns = 350; /* it was off the CPU by then */
	assert_claimed(&claim, 100, 310);
	begin_claim(&claim);
	claim.nodes[0].a_ns = claim.nodes[1].a_ns = 80; /* not on a CPU yet */
	assert_claimed(&claim, 90, 200);
	begin_claim(&claim);
	claim.nodes[0].a_ns = claim.nodes[1].a_ns = 320;
	claim.nodes[0].b_ns = claim.nodes[1].b_ns = 380;
	assert_claimed(&claim, 0, 0);
}

/* Another trace's span may lie in the same slice, and is not to be vouched for then. */
static void an_error_of_its_clock_hides_no_thread_that_it_may_have_begun_on(void **state)
{
	struct claim claim;

	(void)state;
	begin_claim(&claim);
	claim.nodes[0].a_ns = 80; /* not on a CPU yet, by that */
	claim.nodes[0].skew_ns = 12;
	claim.nodes[1].a_ns = 320;
	claim.nodes[1].b_ns = 380;
	assert_claimed(&claim, 80, 200);
	begin_claim(&claim);
	claim.nodes[0].b_ns = 330; /* not any more */
	claim.nodes[0].bound_ns = 22;
	claim.nodes[1].a_ns = 320;
	claim.nodes[1].b_ns = 380;
	assert_claimed(&claim, 150, 330);
}

/* Its root may be anybody's; what lies below is with those that were seen. */
static void where_others_of_a_trace_were_seen_a_child_is_not_claimed(void **state)
{
	struct claim claim;

	(void)state;
	begin_claim(&claim);
	see(&claim, 0, &claim.other, 160, 170);
	assert_claimed(&claim, 0, 0);
	begin_claim(&claim);
	see(&claim, 1, &claim.other, 160, 170);
	assert_claimed(&claim, 150, 200);
}

/* It is alone on the thread, where it claimed 1 to UNTIL, and claims less, or more, when it settles
 * after so many rounds. Returns what it is known to claim. */
static struct company noted(struct scene *scene, uint8_t rounds, uint64_t from_ns, uint64_t to_ns)
{
	begin(scene);
	memset(scene->company + 1, 0, (COMPANY_MAX - 1) * sizeof(scene->company[0]));
	scene->trace.rounds = rounds;
	scene->lane.claim = (struct company){ .from_ns = from_ns, .to_ns = to_ns };
	company_note(&scene->join);
	arena_fini(&scene->join.arena);
	return scene->company[0];
}

static void a_claim_is_what_it_was_last(void **state)
{
	struct scene scene;
	struct company claim = noted(&scene, 0, 400, 500);

	(void)state;
	assert_int_equal(claim.from_ns, 400);
	assert_int_equal(claim.to_ns, 500);
}

static void but_from_some_rounds_on_it_grows(void **state)
{
	struct scene scene;
	struct company claim = noted(&scene, ROUNDS_GROWING, 400, UNTIL + 1);

	(void)state;
	assert_int_equal(claim.from_ns, 1);
	assert_int_equal(claim.to_ns, UNTIL + 1);
	claim = noted(&scene, ROUNDS_GROWING, 0, 0); /* it has left the thread */
	assert_int_equal(claim.from_ns, 1);
	assert_int_equal(claim.to_ns, UNTIL);
	assert_int_equal(scene.join.limits[LIMIT_rounds], 0);
}

static void and_then_it_stays_and_that_is_counted(void **state)
{
	struct scene scene;
	struct company claim = noted(&scene, ROUNDS_MAX, 1, UNTIL + 1);

	(void)state;
	assert_int_equal(claim.to_ns, UNTIL);
	assert_int_equal(scene.join.limits[LIMIT_rounds], 1);
	noted(&scene, ROUNDS_MAX, 1, UNTIL); /* the same */
	assert_int_equal(scene.join.limits[LIMIT_rounds], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_are_there_as_long_as_they_claim_the_thread),
		cmocka_unit_test(nobody_is_there_beyond_the_last_claim),
		cmocka_unit_test(a_claim_of_another_trace_begins_within_a_stretch),
		cmocka_unit_test(a_lane_has_company_while_others_claim_its_thread_as_well),
		cmocka_unit_test(a_lane_has_company_from_its_own_begin_on),
		cmocka_unit_test(a_trace_claims_its_only_thread_for_as_long_as_its_spans),
		cmocka_unit_test(of_two_threads_it_claims_each_while_it_is_seen_there),
		cmocka_unit_test(a_span_that_was_never_seen_is_claimed_where_it_was_placed),
		cmocka_unit_test(
			a_trace_that_was_never_seen_claims_wherever_it_may_have_begun_and_ended),
		cmocka_unit_test(what_no_thread_can_have_begun_and_ended_is_claimed_at_either_edge),
		cmocka_unit_test(an_error_of_its_clock_hides_no_thread_that_it_may_have_begun_on),
		cmocka_unit_test(where_others_of_a_trace_were_seen_a_child_is_not_claimed),
		cmocka_unit_test(a_claim_is_what_it_was_last),
		cmocka_unit_test(but_from_some_rounds_on_it_grows),
		cmocka_unit_test(and_then_it_stays_and_that_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
