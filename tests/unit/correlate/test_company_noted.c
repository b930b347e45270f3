/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread remembers of the traces that claimed it, and who is told of a new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/join.h"

#define TRACES 4 /* that have settled */

struct scene {
	struct model model;
	struct process process;
	struct thread thread;
	struct trace traces[TRACES];
};

static void begin(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	trace_set_init(&scene->model.traces, 0);
	scene->thread.process = &scene->process;
	scene->process.threads = &scene->thread;
	for (uint8_t i = 0; i < TRACES; i++) {
		struct trace *trace = &scene->traces[i];

		trace->id[0] = i + 1;
		trace->revision = 1;
		assert_non_null(trace_set_add(&scene->model.traces, trace));
	}
}

static void end(struct scene *scene)
{
	trace_set_fini(&scene->model.traces);
	free(scene->thread.company);
}

/* The trace settles, and claims the thread for that long; NULL: it has nothing to do with it. */
static void settle(struct scene *scene, struct trace *trace, const struct company *claim)
{
	struct lane lane = { .thread = &scene->thread, .process = &scene->process };
	struct lane *lanes[] = { &lane };
	struct node node = { .process = &scene->process };
	struct join join = { .model = &scene->model,
			     .trace = trace,
			     .lanes = lanes,
			     .lane_count = claim ? 1 : 0,
			     .nodes = &node,
			     .count = 1 };

	if (claim)
		lane.claim = *claim;
	company_note(&join);
}

static void claim(struct scene *scene, unsigned trace, uint64_t from_ns, uint64_t to_ns)
{
	settle(scene, &scene->traces[trace],
	       &(struct company){ .from_ns = from_ns, .to_ns = to_ns });
}

/* Whether it is to settle again; then it has. */
static bool is_told(struct scene *scene, unsigned trace)
{
	bool again = scene->traces[trace].again;

	trace_unlist(&scene->model, &scene->traces[trace]);
	scene->traces[trace].again = false;
	scene->traces[trace].unsettled = 0;
	return again;
}

static unsigned count(const struct scene *scene)
{
	unsigned known = 0;

	for (unsigned i = 0; i < COMPANY_MAX; i++)
		known += scene->thread.company[i].to_ns != 0;
	return known;
}

static void a_claim_is_remembered_once(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	claim(&scene, 0, 100, 200);
	claim(&scene, 0, 100, 200);
	claim(&scene, 0, 100, 300);
	claim(&scene, 0, 90, 300);
	assert_int_equal(count(&scene), 1);
	assert_int_equal(scene.thread.company->trace_id[0], 1);
	assert_int_equal(scene.thread.company->from_ns, 90);
	assert_int_equal(scene.thread.company->to_ns, 300);
	assert_int_equal(scene.thread.company_until_ns, 300);
	claim(&scene, 1, 50, 60);
	assert_int_equal(count(&scene), 2);
	assert_int_equal(scene.thread.company_until_ns, 300);
	end(&scene);
}

/* A span of which the thread is known to have begun and ended it is told even where the claim has
 * not changed. */
static void what_the_thread_began_and_ended_goes_with_it(void **state)
{
	struct company own = { .from_ns = 100, .to_ns = 200, .own_from_ns = 120, .own_to_ns = 150 };
	struct scene scene;

	(void)state;
	begin(&scene);
	claim(&scene, 0, 100, 200);
	settle(&scene, &scene.traces[0], &own);
	assert_int_equal(scene.thread.company->own_from_ns, 120);
	assert_int_equal(scene.thread.company->own_to_ns, 150);
	own.own_from_ns = 110;
	settle(&scene, &scene.traces[0], &own);
	assert_int_equal(scene.thread.company->own_from_ns, 110);
	own.own_to_ns = 160;
	settle(&scene, &scene.traces[0], &own);
	assert_int_equal(scene.thread.company->own_to_ns, 160);
	end(&scene);
}

static void the_oldest_gives_way(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	for (unsigned i = 0; i <= COMPANY_MAX; i++) {
		struct trace trace = { .id = { 9, (uint8_t)i } };

		settle(&scene, &trace, &(struct company){ .from_ns = i, .to_ns = i + 10 });
	}
	assert_int_equal(count(&scene), COMPANY_MAX);
	assert_int_equal(scene.thread.company[0].trace_id[1], COMPANY_MAX);
	assert_int_equal(scene.thread.company[0].from_ns, COMPANY_MAX);
	assert_int_equal(scene.thread.company[1].trace_id[1], 1);
	end(&scene);
}

/* It settled before, without knowing of it. */
static void who_claimed_it_at_the_same_time_settles_again(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	claim(&scene, 0, 100, 200);
	claim(&scene, 1, 200, 300);
	assert_false(is_told(&scene, 0));
	claim(&scene, 2, 199, 210);
	assert_true(is_told(&scene, 0));
	assert_true(is_told(&scene, 1));
	assert_false(is_told(&scene, 2));
	claim(&scene, 2, 199, 210); /* all know */
	assert_false(is_told(&scene, 0));
	end(&scene);
}

static void who_had_company_then_anyway_does_not(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	claim(&scene, 0, 100, 200);
	claim(&scene, 1, 120, 160);
	assert_true(is_told(&scene, 0));
	claim(&scene, 2, 130, 160);
	assert_false(is_told(&scene, 0));
	assert_false(is_told(&scene, 1));
	claim(&scene, 3, 150, 161);
	assert_true(is_told(&scene, 0));
	end(&scene);
}

/* A claim that has become another one: those of before are told, and those of now. */
static void who_was_told_of_a_claim_hears_when_it_is_taken_back(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	claim(&scene, 0, 100, 200);
	claim(&scene, 1, 300, 400);
	claim(&scene, 2, 150, 160);
	assert_true(is_told(&scene, 0));
	claim(&scene, 2, 350, 360);
	assert_true(is_told(&scene, 0));
	assert_true(is_told(&scene, 1));
	settle(&scene, &scene.traces[2], NULL); /* it does not know the thread any more */
	assert_false(is_told(&scene, 0));
	assert_true(is_told(&scene, 1));
	assert_int_equal(count(&scene), 2);
	end(&scene);
}

/* All claim the thread as long as before, and a third one does so all the time: nothing else is
 * news. */
static void who_was_told_of_a_span_that_crosses_hears_when_it_does_not(void **state)
{
	struct company one = { .from_ns = 100, .to_ns = 300, .own_from_ns = 120, .own_to_ns = 150 };
	struct company two = { .from_ns = 100, .to_ns = 300, .own_from_ns = 140, .own_to_ns = 170 };
	struct scene scene;

	(void)state;
	begin(&scene);
	claim(&scene, 2, 100, 300);
	settle(&scene, &scene.traces[0], &one);
	settle(&scene, &scene.traces[1], &two);
	one.own_to_ns = 145; /* it crosses still */
	settle(&scene, &scene.traces[0], &one);
	assert_false(is_told(&scene, 1));
	one.own_to_ns = 139;
	settle(&scene, &scene.traces[0], &one);
	assert_true(is_told(&scene, 1));
	assert_false(is_told(&scene, 0));
	one.own_to_ns = 145; /* whoever sees it teaches it */
	settle(&scene, &scene.traces[0], &one);
	assert_false(is_told(&scene, 1));
	one.own_from_ns = one.own_to_ns = 0;
	settle(&scene, &scene.traces[0], &one);
	assert_true(is_told(&scene, 1));
	end(&scene);
}

/* For the first time there is nothing to take back. */
static void only_who_settled_before_takes_back(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	claim(&scene, 0, 100, 200);
	scene.traces[0].revision = 0;
	settle(&scene, &scene.traces[0], NULL);
	assert_int_equal(count(&scene), 1);
	end(&scene);
}

/* What it would settle by is not what it settled by. */
static void whose_slices_are_gone_since_does_not_settle_again(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	claim(&scene, 0, 100, 200);
	scene.thread.folded_until_ns = 160;
	claim(&scene, 1, 150, 250);
	assert_false(is_told(&scene, 0));
	claim(&scene, 2, 240, 260); /* ... but who settled with that knowledge does */
	assert_true(is_told(&scene, 1));
	end(&scene);
	begin(&scene);
	claim(&scene, 0, 100, 200);
	scene.thread.folded_until_ns = 100; /* before it */
	claim(&scene, 1, 150, 250);
	assert_true(is_told(&scene, 0));
	end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_claim_is_remembered_once),
		cmocka_unit_test(what_the_thread_began_and_ended_goes_with_it),
		cmocka_unit_test(the_oldest_gives_way),
		cmocka_unit_test(who_claimed_it_at_the_same_time_settles_again),
		cmocka_unit_test(who_had_company_then_anyway_does_not),
		cmocka_unit_test(who_was_told_of_a_claim_hears_when_it_is_taken_back),
		cmocka_unit_test(who_was_told_of_a_span_that_crosses_hears_when_it_does_not),
		cmocka_unit_test(only_who_settled_before_takes_back),
		cmocka_unit_test(whose_slices_are_gone_since_does_not_settle_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
