/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of a process that hands them on from thread to thread, where a thread that shows nothing
 * may have had one for a while. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

enum { PART = 1, ROOT, CHILD, HANDED_ROOT = 61, HANDED, STRANGE = 71 };

struct scene {
	struct builder b;
	struct builder_thread own, other, third, fourth;
};

/* A span that two threads had, one after the other. */
static void hand_on(struct scene *scene)
{
	struct builder *b = &scene->b;

	b->trace = 60;
	builder_slice(b, &scene->own, 955 * MS, 955 * MS, 956 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->own, 957 * MS, 957 * MS, 958 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene->other, 965 * MS, 965 * MS, 966 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->other, 967 * MS, 967 * MS, 968 * MS, 0, 0, FUTEX);
	builder_span(b, HANDED_ROOT, 0, 954 * MS, 975 * MS);
	builder_span(b, HANDED, HANDED_ROOT, 955 * MS, 967 * MS + 500 * US);
	b->trace = 1;
}

static void begin_without(struct scene *scene)
{
	struct builder_thread *threads[] = { &scene->own, &scene->other, &scene->third,
					     &scene->fourth };

	builder_begin(&scene->b, threads, ARRAY_LEN(threads));
}

static void begin(struct scene *scene)
{
	begin_without(scene);
	hand_on(scene);
}

/* A span that one thread begins and another one has: that one slept then. */
static void give_one(struct scene *scene)
{
	struct builder *b = &scene->b;

	b->trace = 60;
	builder_slice(b, &scene->own, 955 * MS, 955 * MS, 957 * MS, HANDED_ROOT, 0, FUTEX);
	builder_slice(b, &scene->other, 965 * MS, 965 * MS, 966 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->other, 967 * MS, 967 * MS, 968 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene->own, 974 * MS, 974 * MS, 976 * MS, 0, 0, FUTEX);
	builder_span(b, HANDED_ROOT, 0, 955 * MS, 975 * MS);
	builder_span(b, HANDED, HANDED_ROOT, 956 * MS, 967 * MS + 500 * US);
	b->trace = 1;
}

static uint64_t doubt_of(struct scene *scene, uint64_t span)
{
	return builder_ledger(&scene->b, span)->uncertain_ns;
}

/* Its maker's thread begins a part, another one shows it 5 ms later and ends it. In between a third
 * one ran for `ran_ns`. */
static void pass_on(struct scene *scene, uint64_t ran_ns)
{
	struct builder *b = &scene->b;

	begin(scene);
	builder_slice(b, &scene->own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
	if (ran_ns)
		builder_slice(b, &scene->third, 1002 * MS, 1002 * MS, 1002 * MS + ran_ns, 0, 0,
			      FUTEX);
	builder_slice(b, &scene->other, 1005 * MS, 1005 * MS, 1006 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene->other, 1007 * MS, 1007 * MS, 1008 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene->own, 1009 * MS, 1009 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1010 * MS);
	builder_span(b, PART, ROOT, 1000 * MS + 900 * US, 1007 * MS + 500 * US);
	builder_settle(&scene->b);
}

static void a_third_one_may_have_had_it_for_those_above_too(void **state)
{
	struct scene with, without;

	(void)state;
	pass_on(&with, 2 * MS);
	pass_on(&without, 0);
	assert_true(doubt_of(&with, ROOT) >= 2 * MS);
	assert_true(doubt_of(&with, ROOT) >= doubt_of(&without, ROOT) + 1900 * US);
	correlator_free(with.b.correlator);
	correlator_free(without.b.correlator);
}

/* ... in between a third one ran, and then a fourth one, for a ms each. */
static void several_may_have_had_it_one_after_the_other(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(&scene);
		builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
		builder_slice(b, &scene.third, 1002 * MS, 1002 * MS, 1003 * MS, 0, 0, FUTEX);
		if (i)
			builder_slice(b, &scene.fourth, 1003 * MS, 1003 * MS, 1004 * MS, 0, 0,
				      FUTEX);
		builder_slice(b, &scene.other, 1005 * MS, 1005 * MS, 1006 * MS, PART, 0, FUTEX);
		builder_slice(b, &scene.other, 1007 * MS, 1007 * MS, 1008 * MS, 0, 0, FUTEX);
		builder_slice(b, &scene.own, 1009 * MS, 1009 * MS, 1011 * MS, 0, 0, FUTEX);
		builder_span(b, ROOT, 0, 1000 * MS, 1010 * MS);
		builder_span(b, PART, ROOT, 1000 * MS + 900 * US, 1007 * MS + 500 * US);
		builder_settle(b);
		doubt[i] = doubt_of(&scene, ROOT);
		correlator_free(b->correlator);
	}
	assert_in_range(doubt[1] - doubt[0], 1 * MS - 10 * US, 1 * MS + 10 * US);
}

/* ... or both at once for most of the time: but not longer than that. */
static void nobody_had_it_for_longer_than_it_was_away(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(&scene);
		builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
		if (i) {
			builder_slice(b, &scene.third, 1002 * MS, 1002 * MS, 1005 * MS, 0, 0,
				      FUTEX);
			builder_slice(b, &scene.fourth, 1002 * MS, 1002 * MS, 1005 * MS, 0, 0,
				      FUTEX);
		}
		builder_slice(b, &scene.other, 1004 * MS, 1004 * MS, 1005 * MS, PART, 0, FUTEX);
		builder_slice(b, &scene.other, 1007 * MS, 1007 * MS, 1008 * MS, 0, 0, FUTEX);
		builder_slice(b, &scene.own, 1009 * MS, 1009 * MS, 1012 * MS, 0, 0, FUTEX);
		builder_span(b, ROOT, 0, 1000 * MS, 1011 * MS);
		builder_span(b, PART, ROOT, 1000 * MS + 900 * US, 1007 * MS + 500 * US);
		builder_settle(b);
		doubt[i] = doubt_of(&scene, ROOT);
		correlator_free(b->correlator);
	}
	assert_in_range(doubt[1] - doubt[0], 4 * MS - 10 * US, 4 * MS + 10 * US);
}

/* Its maker's thread shows the part, and next its parent; within that slice another one shows the
 * part, too, and sleeps as it ends. A third one runs then, or nobody else. */
static uint64_t doubt_of_ended(bool is_beside)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	begin_without(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.other, 1003 * MS, 1003 * MS, 1004 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.other, 1005 * MS, 1005 * MS, 1006 * MS, 0, 0, FUTEX);
	if (is_beside)
		builder_slice(b, &scene.third, 1007 * MS, 1007 * MS, 1009 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.own, 1002 * MS, 1002 * MS, 1010 * MS, ROOT, 0, FUTEX);
	builder_slice(b, &scene.own, 1011 * MS, 1011 * MS, 1013 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1012 * MS);
	builder_span(b, PART, ROOT, 1000 * MS, 1008 * MS);
	builder_settle(b);
	doubt = doubt_of(&scene, PART);
	correlator_free(b->correlator);
	return doubt;
}

/* The 6 ms of its maker's slice, not only the ms for which the other one has it for sure. */
static void who_handed_it_on_has_not_ended_it_where_others_may_have(void **state)
{
	(void)state;
	assert_true(doubt_of_ended(true) >= 6 * MS);
	assert_in_range(doubt_of_ended(false), 0, 5 * MS);
}

/* One thread begins and ends a part of 3 ms without a look at it. Another one has that tag of
 * another trace, and runs 1 ms of these; `flags` tell how that was read. */
static void give(struct scene *scene, bool is_beside, uint64_t shown, uint32_t flags)
{
	struct builder *b = &scene->b;

	begin(scene);
	builder_slice(b, &scene->own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
	if (is_beside) {
		b->trace = 70;
		builder_slice(b, &scene->third, 1000 * MS, 1000 * MS, 1001 * MS, shown, 0, FUTEX);
		builder_slice(b, &scene->third, 1004 * MS, 1004 * MS, 1005 * MS, shown, flags,
			      FUTEX);
		b->trace = 1;
	}
	builder_slice(b, &scene->own, 1002 * MS, 1002 * MS, 1008 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1008 * MS);
	builder_span(b, PART, ROOT, 1003 * MS, 1006 * MS);
	builder_settle(b);
}

static void what_nobody_shows_may_have_been_given_away(void **state)
{
	struct scene scene;

	(void)state;
	give(&scene, true, 0, 0);
	assert_in_range(doubt_of(&scene, PART), 3 * MS, 4 * MS + 10 * US);
	assert_in_range(doubt_of(&scene, ROOT), 3 * MS, 6 * MS + 10 * US);
	correlator_free(scene.b.correlator);
	give(&scene, false, 0, 0); /* to nobody */
	assert_in_range(doubt_of(&scene, PART), 0, 2 * US);
	correlator_free(scene.b.correlator);
}

static void who_shows_another_all_the_time_was_not_given_it(void **state)
{
	struct scene scene;

	(void)state;
	give(&scene, true, STRANGE, 0);
	assert_in_range(doubt_of(&scene, PART), 0, 2 * US);
	correlator_free(scene.b.correlator);
	give(&scene, true, STRANGE, EVENT_TAG_OUT_UNKNOWN); /* for all that is known */
	assert_in_range(doubt_of(&scene, PART), 3 * MS, 4 * MS + 10 * US);
	correlator_free(scene.b.correlator);
}

/* Nor where nobody hands spans on: that the third thread may have begun it itself is all. */
static void what_nobody_hands_on_was_not_given_away(void **state)
{
	uint64_t doubt[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct scene scene;
		struct builder *b = &scene.b;

		begin_without(&scene);
		builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
		if (i)
			builder_slice(b, &scene.third, 1004 * MS, 1004 * MS, 1005 * MS, 0, 0,
				      FUTEX);
		builder_slice(b, &scene.own, 1002 * MS, 1002 * MS, 1008 * MS, 0, 0, FUTEX);
		builder_span(b, ROOT, 0, 1000 * MS, 1008 * MS);
		builder_span(b, PART, ROOT, 1003 * MS, 1006 * MS);
		builder_settle(b);
		doubt[i] = doubt_of(&scene, ROOT);
		correlator_free(b->correlator);
	}
	assert_in_range(doubt[1], doubt[0], 3 * MS + 10 * US);
}

/* ... of which a child is shown, so that it is known whose thread has it, unless it was given away
 * around that. The third thread runs for a ms of its 3, or not, and shows something else at both
 * ends, or nothing. */
static uint64_t give_around_child(bool is_beside, uint64_t shown)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
	b->trace = 70;
	builder_slice(b, &scene.third, 1000 * MS, 1000 * MS, 1001 * MS, shown, 0, FUTEX);
	b->trace = 1;
	builder_slice(b, &scene.own, 1002 * MS, 1002 * MS, 1004 * MS, CHILD, 0, FUTEX);
	b->trace = 70;
	if (is_beside)
		builder_slice(b, &scene.third, 1004 * MS, 1004 * MS, 1005 * MS, shown, 0, FUTEX);
	b->trace = 1;
	builder_slice(b, &scene.own, 1004500 * US, 1004500 * US, 1008 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1008 * MS);
	builder_span(b, PART, ROOT, 1003 * MS, 1006 * MS);
	builder_span(b, CHILD, PART, 1003500 * US, 1005 * MS);
	builder_settle(b);
	doubt = doubt_of(&scene, PART);
	correlator_free(b->correlator);
	return doubt;
}

static void what_its_thread_had_around_a_child_may_have_been_given_away(void **state)
{
	(void)state;
	assert_in_range(give_around_child(true, 0), 3 * MS, 4 * MS);
	assert_in_range(give_around_child(true, STRANGE), 0, 2 * US);
	assert_in_range(give_around_child(false, 0), 0, 2 * US);
}

/* The thread that showed it last runs at its end. Another one ran for the last ms: it may have been
 * given the span 2 ms before. */
static void what_is_shown_no_more_may_have_waited_for_who_took_it(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.third, 1005 * MS, 1005 * MS, 1006 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.own, 1003 * MS, 1003 * MS, 1008 * MS, ROOT, 0, FUTEX);
	builder_slice(b, &scene.own, 1009 * MS, 1009 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1010 * MS);
	builder_span(b, PART, ROOT, 1000 * MS, 1006 * MS);
	builder_settle(&scene.b);
	assert_in_range(doubt_of(&scene, PART), 3 * MS, 3 * MS + 10 * US);
	correlator_free(b->correlator);
}

/* Its maker's thread goes on with the parent, and takes the part up itself 5 ms later. In between
 * another one ran for `ran_ns`. */
static void put_aside(struct scene *scene, uint64_t ran_ns)
{
	struct builder *b = &scene->b;

	begin(scene);
	builder_slice(b, &scene->own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
	if (ran_ns)
		builder_slice(b, &scene->third, 1002 * MS, 1002 * MS, 1002 * MS + ran_ns, 0, 0,
			      FUTEX);
	builder_slice(b, &scene->own, 1005 * MS, 1005 * MS, 1006 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene->own, 1007 * MS, 1007 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1010 * MS);
	builder_span(b, PART, ROOT, 1000 * MS + 900 * US, 1007 * MS + 500 * US);
	builder_settle(&scene->b);
}

static void while_its_maker_has_the_parent_others_may_have_it(void **state)
{
	struct scene with, without;

	(void)state;
	put_aside(&with, 2 * MS);
	put_aside(&without, 0);
	assert_in_range(doubt_of(&with, ROOT), doubt_of(&without, ROOT) + 1900 * US,
			doubt_of(&without, ROOT) + 2 * MS + 10 * US);
	correlator_free(with.b.correlator);
	correlator_free(without.b.correlator);
}

/* A thread that was given the part puts it aside for the parent, and takes it up again. A third one
 * runs for a ms meanwhile, or not. */
static uint64_t doubt_of_aside(bool is_beside)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.own, 1001 * MS, 1001 * MS, 1002 * MS, ROOT, 0, FUTEX);
	builder_slice(b, &scene.other, 1003 * MS, 1003 * MS, 1004 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.other, 1004 * MS, 1004 * MS, 1005 * MS, ROOT, 0, FUTEX);
	if (is_beside)
		builder_slice(b, &scene.third, 1006 * MS, 1006 * MS, 1007 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.other, 1008 * MS, 1008 * MS, 1009 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.other, 1010 * MS, 1010 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.own, 1013 * MS, 1013 * MS, 1015 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1014 * MS);
	builder_span(b, PART, ROOT, 1000 * MS, 1010 * MS + 500 * US);
	builder_settle(b);
	doubt = doubt_of(&scene, ROOT);
	correlator_free(b->correlator);
	return doubt;
}

static void while_who_was_given_it_has_the_parent_others_may_have_it(void **state)
{
	(void)state;
	assert_in_range(doubt_of_aside(true) - doubt_of_aside(false), 2 * MS - 10 * US,
			2 * MS + 10 * US);
}

/* ... where nobody shows a span of another one's, but spans are begun for others. */
static void who_begins_spans_for_others_may_hand_them_on(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin_without(&scene);
		if (i)
			give_one(&scene);
		builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PART, 0, FUTEX);
		builder_slice(b, &scene.own, 1001 * MS, 1001 * MS, 1002 * MS, ROOT, 0, FUTEX);
		builder_slice(b, &scene.third, 1003 * MS, 1003 * MS, 1005 * MS, 0, 0, FUTEX);
		builder_slice(b, &scene.own, 1006 * MS, 1006 * MS, 1011 * MS, 0, 0, FUTEX);
		builder_span(b, ROOT, 0, 1000 * MS, 1010 * MS);
		builder_span(b, PART, ROOT, 1000 * MS, 1009 * MS);
		builder_settle(b);
		doubt[i] = doubt_of(&scene, ROOT);
		correlator_free(b->correlator);
	}
	assert_true(doubt[1] >= doubt[0] + 2 * MS - 10 * US);
}

/* Shows one trace, then another one, and the first one again. */
static void take_turns(struct scene *scene, struct builder_thread *thread)
{
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t at = (980 + i) * MS;

		scene->b.trace = 80 + i % 2;
		builder_slice(&scene->b, thread, at, at, at + 500 * US, 80 + i % 2, 0, FUTEX);
	}
	builder_slice(&scene->b, thread, 984 * MS, 984 * MS, 985 * MS, 0, 0, FUTEX);
	scene->b.trace = 1;
}

/* The part's own thread runs for 2 ms, and shows nothing, before it shows it. */
static void who_takes_turns_may_have_had_it_before(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin_without(&scene);
		take_turns(&scene, &scene.other);
		builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
		if (i)
			builder_slice(b, &scene.other, 1002 * MS, 1002 * MS, 1004 * MS, 0, 0,
				      FUTEX);
		builder_slice(b, &scene.other, 1005 * MS, 1005 * MS, 1006 * MS, PART, 0, FUTEX);
		builder_slice(b, &scene.other, 1007 * MS, 1007 * MS, 1008 * MS, 0, 0, FUTEX);
		builder_slice(b, &scene.own, 1009 * MS, 1009 * MS, 1011 * MS, 0, 0, FUTEX);
		builder_span(b, ROOT, 0, 1000 * MS, 1010 * MS);
		builder_span(b, PART, ROOT, 1000 * MS + 900 * US, 1007 * MS + 500 * US);
		builder_settle(b);
		doubt[i] = doubt_of(&scene, ROOT);
		correlator_free(b->correlator);
	}
	assert_true(doubt[1] >= doubt[0] + 2 * MS - 10 * US);
}

/* A span that its thread puts aside for the parent, and takes up again. */
static void resume(struct scene *scene)
{
	struct builder *b = &scene->b;

	b->trace = 60;
	builder_slice(b, &scene->own, 970 * MS, 970 * MS, 971 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->own, 972 * MS, 972 * MS, 973 * MS, HANDED_ROOT, 0, FUTEX);
	builder_slice(b, &scene->own, 973 * MS, 973 * MS, 974 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->own, 974 * MS, 974 * MS, 976 * MS, 0, 0, FUTEX);
	b->trace = 1;
}

/* A thread shows a part at the end of the slice in which it began it, 5 ms before. */
static uint64_t doubt_of_resumed(bool resumes)
{
	struct scene scene;
	struct builder *b = &scene.b;
	struct builder_thread *threads[] = { &scene.own, &scene.other, &scene.third };
	uint64_t doubt;

	builder_begin(b, threads, ARRAY_LEN(threads));
	if (resumes) {
		resume(&scene);
		b->trace = 60;
		builder_span(b, HANDED_ROOT, 0, 969 * MS, 975 * MS);
		builder_span(b, HANDED, HANDED_ROOT, 970 * MS, 974 * MS + 500 * US);
		b->trace = 1;
	}
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, ROOT, 0, FUTEX);
	builder_slice(b, &scene.own, 1002 * MS, 1002 * MS, 1008 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.own, 1009 * MS, 1009 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1010 * MS);
	builder_span(b, PART, ROOT, 1003 * MS, 1009 * MS + 500 * US);
	builder_settle(b);
	doubt = doubt_of(&scene, PART);
	correlator_free(b->correlator);
	return doubt;
}

static void who_takes_spans_up_again_may_do_so_unseen(void **state)
{
	(void)state;
	assert_in_range(doubt_of_resumed(true), 5 * MS, 6 * MS);
	assert_in_range(doubt_of_resumed(false), 0, 10 * US);
}

/* The part's thread shows the parent next, and runs for the last 2 ms of the part, as does a third
 * one for one of these. Its last slice ends with the part, and has these flags. */
static uint64_t doubt_of_taken(bool is_beside, uint32_t flags)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	begin(&scene);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1001 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.own, 1002 * MS, 1002 * MS, 1003 * MS, ROOT, 0, FUTEX);
	if (is_beside)
		builder_slice(b, &scene.third, 1005 * MS, 1005 * MS, 1006 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.own, 1005 * MS, 1005 * MS, 1007 * MS, ROOT, flags, FUTEX);
	builder_slice(b, &scene.own, 1009 * MS, 1009 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 1000 * MS, 1010 * MS);
	builder_span(b, PART, ROOT, 1000 * MS, 1007 * MS);
	builder_settle(b);
	doubt = doubt_of(&scene, ROOT);
	correlator_free(b->correlator);
	return doubt;
}

/* For the 2 ms since it came to its CPU last, unless it tells itself what it is at; and the third
 * one may have had it before that, for the ms that it ran. */
static void who_runs_at_its_end_may_have_given_it_away_since_it_came(void **state)
{
	uint64_t least = doubt_of_taken(false, 0);

	(void)state;
	assert_in_range(doubt_of_taken(true, 0), least + 3 * MS - US, least + 3 * MS + 10 * US);
	assert_in_range(doubt_of_taken(true, EVENT_TOLD), 0, least + 10 * US);
}

/* Two threads show a span at the same time. */
static void lend(struct scene *scene)
{
	struct builder *b = &scene->b;

	b->trace = 60;
	builder_slice(b, &scene->own, 955 * MS, 955 * MS, 956 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->other, 955 * MS, 955 * MS, 957 * MS, HANDED, 0, FUTEX);
	builder_slice(b, &scene->other, 960 * MS, 960 * MS, 961 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene->own, 962 * MS, 962 * MS, 964 * MS, 0, 0, FUTEX);
	builder_span(b, HANDED, 0, 955 * MS, 963 * MS);
	b->trace = 1;
}

/* The part's thread shows the parent at both ends of the slice in which it begins that, a ms before
 * it leaves, with these flags, and the part only later. A third one runs meanwhile, or not. */
static uint64_t doubt_of_given_back(bool is_beside, uint32_t flags)
{
	struct scene scene;
	struct builder *b = &scene.b;
	uint64_t doubt;

	begin_without(&scene);
	lend(&scene);
	builder_slice(b, &scene.own, 998 * MS, 998 * MS, 999 * MS, ROOT, 0, FUTEX);
	if (is_beside)
		builder_slice(b, &scene.third, 1001 * MS, 1001 * MS, 1003 * MS, 0, 0, FUTEX);
	builder_slice(b, &scene.own, 1000 * MS, 1000 * MS, 1002 * MS, ROOT, flags, FUTEX);
	builder_slice(b, &scene.own, 1004 * MS, 1004 * MS, 1006 * MS, PART, 0, FUTEX);
	builder_slice(b, &scene.own, 1007 * MS, 1007 * MS, 1011 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 998 * MS, 1010 * MS);
	builder_span(b, PART, ROOT, 1001 * MS, 1008 * MS);
	builder_settle(b);
	doubt = doubt_of(&scene, ROOT);
	correlator_free(b->correlator);
	return doubt;
}

/* For a ms; and the third one may have had it for the 2 ms that it ran. */
static void who_runs_at_its_start_may_have_had_it_given_back_until_it_leaves(void **state)
{
	uint64_t least = doubt_of_given_back(false, 0);

	(void)state;
	assert_in_range(doubt_of_given_back(true, 0), least + 3 * MS - US,
			least + 3 * MS + 10 * US);
	least = doubt_of_given_back(false, EVENT_TOLD);
	assert_in_range(doubt_of_given_back(true, EVENT_TOLD), least, least + 2 * MS + 10 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_third_one_may_have_had_it_for_those_above_too),
		cmocka_unit_test(several_may_have_had_it_one_after_the_other),
		cmocka_unit_test(nobody_had_it_for_longer_than_it_was_away),
		cmocka_unit_test(while_who_was_given_it_has_the_parent_others_may_have_it),
		cmocka_unit_test(who_handed_it_on_has_not_ended_it_where_others_may_have),
		cmocka_unit_test(what_nobody_shows_may_have_been_given_away),
		cmocka_unit_test(who_shows_another_all_the_time_was_not_given_it),
		cmocka_unit_test(what_nobody_hands_on_was_not_given_away),
		cmocka_unit_test(what_its_thread_had_around_a_child_may_have_been_given_away),
		cmocka_unit_test(what_is_shown_no_more_may_have_waited_for_who_took_it),
		cmocka_unit_test(while_its_maker_has_the_parent_others_may_have_it),
		cmocka_unit_test(who_begins_spans_for_others_may_hand_them_on),
		cmocka_unit_test(who_takes_turns_may_have_had_it_before),
		cmocka_unit_test(who_takes_spans_up_again_may_do_so_unseen),
		cmocka_unit_test(who_runs_at_its_end_may_have_given_it_away_since_it_came),
		cmocka_unit_test(who_runs_at_its_start_may_have_had_it_given_back_until_it_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
