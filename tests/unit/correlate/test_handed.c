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
	builder_settle(b);
}

/* From its start until the thread's next look it may have had either, 4 ms; not in the 4 ms after
 * that look. What the other thread ran on the way in and out is in doubt, too. */
static void who_begins_a_span_may_have_worked_at_it(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
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
	builder_begin_two(&scene.b, &scene.own, &scene.other);
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
	builder_begin_two(&scene.b, &scene.own, &scene.other);
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

/* The hidden one shows again after its child, which another thread ends. */
static void what_nobody_exports_does_not_count_for_its_child(void **state)
{
	enum { CHILD = 3 };
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1010 * MS, 1010 * MS, 1011 * MS, CHILD, 0, FUTEX);
	builder_slice(b, &scene.own, 1012 * MS, 1012 * MS, 1013 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.own, 1013 * MS, 1013 * MS, 1017 * MS, PARENT, 0, FUTEX);
	carry_on(&scene);
	builder_span(b, CHILD, HIDDEN, 1010 * MS, 1018 * MS);
	end(&scene);
	assert_in_range(builder_ledger(b, CHILD)->cpu_ns, MS, 2 * MS);
	correlator_free(b->correlator);
}

/* The first thread shows the handed one at 1007 ms, then the hidden one until 1025 ms. */
static void hide(struct scene *scene, uint64_t shown_then)
{
	struct builder *b = &scene->b;

	builder_slice(b, &scene->own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene->own, 1006 * MS, 1006 * MS, 1007 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->own, 1008 * MS, 1008 * MS, 1009 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene->own, 1012 * MS, 1012 * MS, 1018 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene->own, 1025 * MS, 1025 * MS, 1026 * MS, shown_then, 0, FUTEX);
}

/* Until what nobody exports is not waited for any more. */
static void pass_time(struct builder *b)
{
	for (uint64_t at = 3000 * MS; at <= 12000 * MS; at += 1000 * MS) {
		builder_clock(b, at);
		correlator_advance(b->correlator, at);
	}
}

/* It ends there, too, at 1027 ms. */
static void end_here(struct scene *scene)
{
	struct builder *b = &scene->b;

	builder_slice(b, &scene->own, 1026 * MS, 1026 * MS, 1030 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene->own, 1089 * MS, 1089 * MS, 1091 * MS, 0, 0, FUTEX);
	builder_span(b, PARENT, 0, 1000 * MS, 1090 * MS);
	builder_span(b, HANDED, PARENT, 1006 * MS, 1027 * MS);
	pass_time(b);
}

static void assert_doubt(const struct scene *scene, uint64_t least_ns, uint64_t most_ns)
{
	assert_in_range(builder_ledger(&scene->b, HANDED)->uncertain_ns, least_ns, most_ns);
	assert_in_range(builder_ledger(&scene->b, PARENT)->uncertain_ns, least_ns, most_ns);
}

/* What it shows next is the parent, though the handed one is open still. */
static void what_follows_a_span_that_was_put_aside_may_be_its_parents(void **state)
{
	struct scene scene;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	hide(&scene, PARENT);
	end_here(&scene);
	assert_doubt(&scene, 17 * MS, 22 * MS);
	correlator_free(scene.b.correlator);
}

/* Another trace, whose span within another one is seen on two threads. */
static void hand_on_before(struct scene *scene)
{
	struct builder *b = &scene->b;

	b->trace = 2;
	builder_slice(b, &scene->own, 940 * MS, 940 * MS, 941 * MS, 2 * PARENT + 20, 0, FUTEX);
	builder_slice(b, &scene->own, 942 * MS, 942 * MS, 943 * MS, 2 * HANDED + 20, 0, FUTEX);
	builder_slice(b, &scene->own, 944 * MS, 944 * MS, 945 * MS, 2 * PARENT + 20, 0, FUTEX);
	builder_slice(b, &scene->other, 946 * MS, 946 * MS, 947 * MS, 2 * HANDED + 20, 0, FUTEX);
	builder_slice(b, &scene->other, 948 * MS, 948 * MS, 950 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene->own, 951 * MS, 951 * MS, 953 * MS, 0, 0, FUTEX);
	builder_span(b, 2 * PARENT + 20, 0, 940 * MS, 952 * MS);
	builder_span(b, 2 * HANDED + 20, 2 * PARENT + 20, 942 * MS, 949 * MS);
	b->trace = 1;
}

/* Nothing of the trace tells that it was put aside, but the process does such things. */
static void who_hands_spans_on_may_have_done_so_unseen(void **state)
{
	(void)state;
	for (int hands_on = 0; hands_on < 2; hands_on++) {
		struct scene scene;

		builder_begin_two(&scene.b, &scene.own, &scene.other);
		if (hands_on)
			hand_on_before(&scene);
		hide(&scene, HIDDEN);
		end_here(&scene);
		if (hands_on)
			assert_doubt(&scene, 17 * MS, 20 * MS);
		else
			assert_doubt(&scene, 0, 10 * US);
		correlator_free(scene.b.correlator);
	}
}

/* The hidden one has an exported child, which counts for the handed one, or for the parent. */
static void so_is_an_exported_span_below_it(void **state)
{
	enum { CHILD = 3 };
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1006 * MS, 1006 * MS, 1007 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene.own, 1008 * MS, 1008 * MS, 1012 * MS, CHILD, 0, FUTEX);
	builder_slice(b, &scene.own, 1020 * MS, 1020 * MS, 1024 * MS, PARENT, 0, FUTEX);
	builder_span(b, CHILD, HIDDEN, 1009 * MS, 1022 * MS);
	end_here(&scene);
	assert_doubt(&scene, 13 * MS, 21 * MS + 10 * US);
	correlator_free(b->correlator);
}

/* The other thread has a span of another trace, which nobody saw, until 1012 ms: it is not the one
 * that began the handed span at 1006 ms. */
static void who_is_at_another_trace_did_not_begin_a_span(void **state)
{
	enum { OTHERS = 30 };

	(void)state;
	for (int is_busy = 0; is_busy < 2; is_busy++) {
		struct scene scene;
		struct builder *b = &scene.b;

		builder_begin_two(&scene.b, &scene.own, &scene.other);
		builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
		builder_slice(b, &scene.own, 1003 * MS, 1003 * MS, 1015 * MS, PARENT, 0, FUTEX);
		builder_slice(b, &scene.other, 1004 * MS, 1004 * MS, 1020 * MS, HANDED, 0, FUTEX);
		builder_slice(b, &scene.other, 1029 * MS, 1029 * MS, 1031 * MS, 0, 0, FUTEX);
		b->trace = 2;
		if (is_busy)
			builder_span(b, OTHERS, 0, 1004 * MS + 10 * US, 1012 * MS);
		b->trace = 1;
		end(&scene);
		assert_in_range(builder_ledger(b, HANDED)->cpu_ns, 14 * MS, 16 * MS);
		assert_in_range(builder_ledger(b, HANDED)->uncertain_ns, is_busy ? 6 * MS : 0,
				is_busy ? 24 * MS + US : 10 * US);
		correlator_free(b->correlator);
	}
}

/* Within the hidden one the thread shows the handed span, then the hidden one again, then another
 * one that nobody exports: that lies where the first hidden one lies. */
static void what_is_hidden_within_another_one_counts_for_what_that_one_does(void **state)
{
	enum { WITHIN = 10 };
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1002 * MS, 1002 * MS, 1003 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.own, 1006 * MS, 1006 * MS, 1007 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene.own, 1008 * MS, 1008 * MS, 1009 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.own, 1010 * MS, 1010 * MS, 1011 * MS, WITHIN, 0, FUTEX);
	builder_slice(b, &scene.own, 1012 * MS, 1012 * MS, 1018 * MS, WITHIN, 0, FUTEX);
	carry_on(&scene);
	end(&scene);
	assert_in_range(builder_ledger(b, HANDED)->cpu_ns, 2 * MS, 4 * MS);
	assert_in_range(builder_ledger(b, PARENT)->cpu_self_ns, 8 * MS, 15 * MS);
	correlator_free(b->correlator);
}

/* A tick finds the first thread between the handed span's start and its attach. */
static void a_look_before_the_attach_does_not_tell(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1002 * MS, 1002 * MS, 1006 * MS + 100 * US, PARENT, EVENT_TICK,
		      -1);
	builder_slice(b, &scene.own, 0, 1006 * MS + 100 * US, 1015 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1016 * MS, 1016 * MS, 1019 * MS, PARENT, 0, FUTEX);
	carry_on(&scene);
	end(&scene);
	assert_in_range(builder_ledger(b, PARENT)->uncertain_ns, 9 * MS, 12 * MS + 10 * US);
	assert_in_range(builder_ledger(b, HANDED)->uncertain_ns, 9 * MS, 12 * MS + 10 * US);
	correlator_free(b->correlator);
}

/* The thread that shows it last runs at its end, at 1027 ms, and another one did from 1025 ms on.
 */
static void who_ran_at_its_end_may_have_been_given_it(void **state)
{
	(void)state;
	for (int hands_on = 0; hands_on < 2; hands_on++) {
		struct scene scene;
		struct builder *b = &scene.b;

		builder_begin_two(&scene.b, &scene.own, &scene.other);
		if (hands_on)
			hand_on_before(&scene);
		builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
		builder_slice(b, &scene.own, 1005 * MS, 1005 * MS, 1007 * MS, HANDED, 0, FUTEX);
		builder_slice(b, &scene.own, 1020 * MS, 1020 * MS, 1026 * MS, HANDED, 0, FUTEX);
		builder_slice(b, &scene.other, 1025 * MS, 1025 * MS, 1028 * MS, 0, 0, FUTEX);
		builder_slice(b, &scene.other, 1029 * MS, 1029 * MS, 1030 * MS, 0, 0, FUTEX);
		end_here(&scene);
		if (hands_on)
			assert_doubt(&scene, MS, MS + 10 * US);
		else
			assert_doubt(&scene, 0, 10 * US);
		correlator_free(b->correlator);
	}
}

/* The one thread begins the parent at 1001 ms, shows it at 1010 and 1020 ms, and ends it at 1029;
 * the other one shows it in between. `early_ns`: that one is on a CPU from then on. */
static uint64_t share(uint64_t early_ns)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t uncertain;

	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1010 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.other, early_ns, early_ns, 1006 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1020 * MS, 1020 * MS, 1030 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.other, 1022 * MS, 1022 * MS, 1023 * MS, 0, 0, FUTEX);
	builder_span(b, PARENT, 0, 1001 * MS, 1029 * MS);
	builder_settle(b);
	uncertain = builder_ledger(b, PARENT)->uncertain_ns;
	correlator_free(b->correlator);
	return uncertain;
}

/* It was nobody else who can have begun or ended it, so it had it at that edge and where it shows
 * it; of the other one, the slices in which it came to it, and left it, are in doubt. */
static void a_span_of_two_at_once_is_surely_its_beginners(void **state)
{
	(void)state;
	assert_in_range(share(1005 * MS), 2 * MS, 2 * MS + 10 * US);
	assert_true(share(1000500 * US) >= 10 * MS);
}

/* The thread begins a span, and a hidden one within it, and is looked at only then. */
static void what_a_hidden_span_has_below_it_is_of_what_was_begun_just_before(void **state)
{
	enum { CHILD = 3 };
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1005 * MS, 1005 * MS, 1010 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.other, 1012 * MS, 1012 * MS, 1013 * MS, CHILD, 0, FUTEX);
	builder_slice(b, &scene.other, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.own, 1022 * MS, 1022 * MS, 1023 * MS, HANDED, 0, FUTEX);
	builder_span(b, CHILD, HIDDEN, 1012 * MS + 500 * US, 1020 * MS + 500 * US);
	end_here(&scene);
	assert_int_equal(builder_ledger(b, CHILD)->cpu_ns, MS);
	assert_in_range(builder_ledger(b, HANDED)->cpu_ns - builder_ledger(b, HANDED)->cpu_self_ns,
			MS - 10 * US, MS + 10 * US);
	correlator_free(b->correlator);
}

/* Its parent is hidden, and stands in no exported span of its thread, which shows it, and nothing
 * else, at the handed span's end at 1048 ms. */
static void who_shows_its_hidden_parent_may_have_ended_it(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;
	struct builder_thread third = { .pid = BUILDER_PID, .tid = 13 };

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_warm_up(b, &third);
	builder_slice(b, &third, 998 * MS, 998 * MS, 999 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &scene.own, 1005 * MS, 1005 * MS, 1007 * MS, HIDDEN, 0, FUTEX);
	carry_on(&scene);
	builder_slice(b, &scene.own, 1040 * MS, 1040 * MS, 1050 * MS, HIDDEN, 0, FUTEX);
	builder_slice(b, &third, 1089 * MS, 1089 * MS, 1091 * MS, 0, 0, FUTEX);
	builder_span(b, PARENT, 0, 998 * MS, 1090 * MS);
	builder_span(b, HANDED, HIDDEN, 1006 * MS, 1048 * MS);
	pass_time(b);
	assert_in_range(builder_ledger(b, HANDED)->uncertain_ns, 8 * MS, 16 * MS);
	correlator_free(b->correlator);
}

/* Nobody knows where a span without a parent was, nor of what it is a part: of all its length. */
static void all_of_a_lost_span_may_be_of_those_around_it(void **state)
{
	enum { LOST = 3, OTHERS = 30 };
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	builder_begin_two(&scene.b, &scene.own, &scene.other);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1010 * MS, 1010 * MS, 1012 * MS + 500 * US, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1031 * MS, 1031 * MS, 1050 * MS, PARENT, 0, FUTEX);
	builder_slice(b, &scene.own, 1089 * MS, 1089 * MS, 1091 * MS, 0, 0, FUTEX);
	b->trace = 2;
	builder_slice(b, &scene.other, 1011 * MS, 1011 * MS, 1013 * MS, OTHERS, 0, FUTEX);
	builder_slice(b, &scene.other, 1031 * MS, 1031 * MS, 1032 * MS, 0, 0, FUTEX);
	b->trace = 1;
	builder_span(b, LOST, HIDDEN, 1012 * MS, 1032 * MS - 100 * US);
	builder_span(b, PARENT, 0, 1000 * MS, 1090 * MS);
	pass_time(b);
	assert_in_range(builder_ledger(b, PARENT)->uncertain_ns, 19 * MS, 90 * MS);
	correlator_free(b->correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_begins_a_span_may_have_worked_at_it),
		cmocka_unit_test(who_has_no_parent_any_more_counts_for_the_span_around_it),
		cmocka_unit_test(what_nobody_exports_does_not_count_for_its_child),
		cmocka_unit_test(what_nobody_exports_is_not_below_a_span_that_was_put_aside),
		cmocka_unit_test(what_follows_a_span_that_was_put_aside_may_be_its_parents),
		cmocka_unit_test(who_hands_spans_on_may_have_done_so_unseen),
		cmocka_unit_test(so_is_an_exported_span_below_it),
		cmocka_unit_test(what_is_hidden_within_another_one_counts_for_what_that_one_does),
		cmocka_unit_test(a_look_before_the_attach_does_not_tell),
		cmocka_unit_test(who_ran_at_its_end_may_have_been_given_it),
		cmocka_unit_test(what_a_hidden_span_has_below_it_is_of_what_was_begun_just_before),
		cmocka_unit_test(who_shows_its_hidden_parent_may_have_ended_it),
		cmocka_unit_test(all_of_a_lost_span_may_be_of_those_around_it),
		cmocka_unit_test(who_is_at_another_trace_did_not_begin_a_span),
		cmocka_unit_test(a_span_of_two_at_once_is_surely_its_beginners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
