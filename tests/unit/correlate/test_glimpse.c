/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread showed when it woke another one: a look at its tag between two of its own. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

enum { PART = 1, ROOT };

struct scene {
	struct builder b;
	struct builder_thread own, other, third, fourth;
};

/* Who tells of the look, and when. */
enum teller { NOBODY, EARLIER, LATER, ALIKE };

static uint64_t at(uint64_t tenths)
{
	return 1000 * MS + tenths * 100 * US;
}

static void run(struct scene *scene, struct builder_thread *thread, uint64_t in, uint64_t out,
		uint64_t span)
{
	builder_slice(&scene->b, thread, at(in), at(in), at(out), span, 0, FUTEX);
}

/* The thread is woken at that moment by the root's, which shows the span then. */
static void be_woken_by(struct scene *scene, struct builder_thread *woken, uint64_t time,
			uint64_t span, uint8_t kind)
{
	scene->b.waker = (struct event_waker){ .pid = BUILDER_PID,
					       .tid = scene->own.tid,
					       .kind = kind,
					       .tag = builder_tag(&scene->b, span) };
	builder_slice(&scene->b, woken, at(time), at(time) + 10 * US, at(time) + 20 * US, 0, 0,
		      FUTEX);
}

static void be_woken(struct scene *scene, uint64_t time, uint64_t span, uint8_t kind)
{
	be_woken_by(scene, &scene->third, time, span, kind);
}

static void tell(struct scene *scene, enum teller teller, enum teller now, uint8_t kind)
{
	if (teller == now)
		be_woken(scene, 25, PART, kind);
	if (teller != ALIKE || now != LATER)
		return;
	for (uint64_t time = 22; time < 26; time++)
		be_woken(scene, time, PART, kind);
}

/* Within a slice of the root's thread from 0.8 to 12 ms, that shows the root at both ends, a part
 * begins at 1 ms and ends at 7.5 ms: another thread runs then, too, and shows nothing. */
static enum ledger_grade grade_of_part(enum teller teller, uint8_t kind)
{
	struct scene scene;
	struct builder_thread *threads[] = { &scene.own, &scene.other, &scene.third };
	enum ledger_grade grade;

	builder_begin(&scene.b, threads, ARRAY_LEN(threads));
	run(&scene, &scene.own, 0, 5, ROOT);
	run(&scene, &scene.other, 7, 90, 0);
	tell(&scene, teller, EARLIER, kind);
	run(&scene, &scene.own, 8, 120, ROOT);
	tell(&scene, teller, LATER, kind);
	run(&scene, &scene.own, 125, 140, 0);
	builder_span(&scene.b, ROOT, 0, at(1), at(130));
	builder_span(&scene.b, PART, ROOT, at(10), at(75));
	builder_settle(&scene.b);
	grade = builder_ledger(&scene.b, PART)->grade;
	correlator_free(scene.b.correlator);
	return grade;
}

static void what_it_showed_when_it_woke_another_is_its_own(void **state)
{
	(void)state;
	assert_int_equal(grade_of_part(NOBODY, WAKER_THREAD), GRADE_INFERRED);
	assert_true(grade_of_part(LATER, WAKER_THREAD) >= GRADE_BOUNDED);
	assert_true(grade_of_part(LATER, WAKER_NETWORK) >= GRADE_BOUNDED);
}

static void it_may_be_told_of_before_its_own_slice(void **state)
{
	(void)state;
	assert_true(grade_of_part(EARLIER, WAKER_THREAD) >= GRADE_BOUNDED);
}

static void it_may_be_told_of_by_slices_like_the_one_before(void **state)
{
	(void)state;
	assert_true(grade_of_part(ALIKE, WAKER_THREAD) >= GRADE_BOUNDED);
}

static void a_timer_is_no_look_at_whom_it_interrupted(void **state)
{
	(void)state;
	assert_int_equal(grade_of_part(LATER, WAKER_TIMER), GRADE_INFERRED);
}

/* ... in slices of a ms that are alike. */
static uint64_t doubt_in_many(bool is_told)
{
	struct scene scene;
	struct builder_thread *threads[] = { &scene.own, &scene.other, &scene.third };
	uint64_t doubt;

	builder_begin(&scene.b, threads, ARRAY_LEN(threads));
	run(&scene, &scene.own, 0, 5, ROOT);
	run(&scene, &scene.other, 7, 90, 0);
	for (uint64_t in = 8; in < 120; in += 12)
		run(&scene, &scene.own, in, in + 10, ROOT);
	if (is_told)
		be_woken(&scene, 50, PART, WAKER_THREAD);
	run(&scene, &scene.own, 130, 140, 0);
	builder_span(&scene.b, ROOT, 0, at(1), at(135));
	builder_span(&scene.b, PART, ROOT, at(10), at(75));
	builder_settle(&scene.b);
	doubt = builder_ledger(&scene.b, PART)->uncertain_ns;
	correlator_free(scene.b.correlator);
	return doubt;
}

static void slices_that_are_alike_are_cut_where_it_lies(void **state)
{
	(void)state;
	assert_true(doubt_in_many(true) + 4 * MS < doubt_in_many(false));
}

/* It woke two others while it had the part, in slices that are told of in either order. */
static uint64_t doubt_by_two(bool is_first, bool is_second, bool is_reverse)
{
	struct scene scene;
	struct builder_thread *threads[] = { &scene.own, &scene.other, &scene.third,
					     &scene.fourth };
	uint64_t doubt;

	builder_begin(&scene.b, threads, ARRAY_LEN(threads));
	run(&scene, &scene.own, 0, 5, ROOT);
	run(&scene, &scene.other, 7, 90, 0);
	run(&scene, &scene.own, 8, 120, ROOT);
	for (int i = 0; i < 2; i++) {
		bool is_later = (i == 1) != is_reverse;

		if (is_later ? is_second : is_first)
			be_woken_by(&scene, is_later ? &scene.fourth : &scene.third,
				    is_later ? 60 : 25, PART, WAKER_THREAD);
	}
	run(&scene, &scene.own, 125, 140, 0);
	builder_span(&scene.b, ROOT, 0, at(1), at(130));
	builder_span(&scene.b, PART, ROOT, at(10), at(75));
	builder_settle(&scene.b);
	doubt = builder_ledger(&scene.b, PART)->uncertain_ns;
	correlator_free(scene.b.correlator);
	return doubt;
}

static void looks_may_be_told_of_in_any_order(void **state)
{
	(void)state;
	assert_in_range(doubt_by_two(true, false, false), 0, US);
	assert_in_range(doubt_by_two(false, true, false), 0, US);
	assert_in_range(doubt_by_two(true, true, false), 0, US);
	assert_in_range(doubt_by_two(true, true, true), 0, US);
	assert_true(doubt_by_two(false, false, false) > 6 * MS);
}

/* 1,000 wakings by one that shows the root all along, and tells nothing new by that; in half of
 * them its own slice comes later. */
static uint64_t bytes_of_many(bool is_told)
{
	struct scene scene;
	struct builder_thread *threads[] = { &scene.own, &scene.third };
	struct correlator_stats stats;

	builder_begin(&scene.b, threads, ARRAY_LEN(threads));
	run(&scene, &scene.own, 0, 5, ROOT);
	for (uint64_t time = 10; time < 10010; time += 10) {
		if (time % 20)
			run(&scene, &scene.own, time, time + 5, ROOT);
		be_woken(&scene, time + 2, is_told ? ROOT : 0, WAKER_THREAD);
		if (time % 20 == 0)
			run(&scene, &scene.own, time, time + 5, ROOT);
	}
	correlator_stats(scene.b.correlator, &stats);
	correlator_free(scene.b.correlator);
	return stats.timeline_bytes;
}

static void what_tells_nothing_new_is_not_kept(void **state)
{
	(void)state;
	assert_in_range(bytes_of_many(true), 1,
			bytes_of_many(false) + 8 * sizeof(struct event_tag));
}

/* Within one slice of the thread, 2 us apart. */
static void more_than_are_kept_are_counted(void **state)
{
	enum { KEPT = 4096, MORE = 5 };
	struct scene scene;
	struct builder *b = &scene.b;
	struct builder_thread *threads[] = { &scene.own, &scene.third };
	struct correlator_stats stats;

	(void)state;
	builder_begin(b, threads, ARRAY_LEN(threads));
	run(&scene, &scene.own, 8, 120, 0);
	for (uint64_t i = 0; i < KEPT + MORE; i++) {
		uint64_t time = at(10) + i * 2 * US;

		b->waker = (struct event_waker){ .pid = BUILDER_PID,
						 .tid = scene.own.tid,
						 .kind = WAKER_THREAD,
						 .tag = builder_tag(b, PART) };
		builder_slice(b, &scene.third, time, time + 500, time + US, 0, 0, FUTEX);
	}
	correlator_stats(b->correlator, &stats);
	assert_int_equal(stats.looks_refused, MORE);
	correlator_free(b->correlator);
}

/* The part's thread shows it when it comes, and nothing when it leaves; the part ends 2 ms before
 * that, and 3 ms before its end the thread wakes another one while it shows the root. */
static uint64_t doubt_on_the_way(bool is_told)
{
	struct scene scene;
	struct builder_thread *threads[] = { &scene.own, &scene.third };
	uint64_t doubt;

	builder_begin(&scene.b, threads, ARRAY_LEN(threads));
	run(&scene, &scene.own, 0, 5, ROOT);
	run(&scene, &scene.own, 8, 20, PART);
	run(&scene, &scene.own, 30, 100, 0);
	if (is_told)
		be_woken(&scene, 50, ROOT, WAKER_THREAD);
	builder_span(&scene.b, ROOT, 0, at(1), at(90));
	builder_span(&scene.b, PART, ROOT, at(10), at(80));
	builder_settle(&scene.b);
	doubt = builder_ledger(&scene.b, PART)->uncertain_ns;
	correlator_free(scene.b.correlator);
	return doubt;
}

static void who_wakes_another_is_not_just_on_the_way_out(void **state)
{
	(void)state;
	assert_in_range(doubt_on_the_way(false), 0, US);
	assert_true(doubt_on_the_way(true) >= 3 * MS);
}

/* Looks that are told of late, at spans of several traces that have settled: all of them do so
 * again, and no more than that. */
static void late_looks_settle_their_traces_again(void **state)
{
	enum { TRACES = 3, SPAN = 10 };
	struct scene scene;
	struct builder *b = &scene.b;
	struct builder_thread *threads[] = { &scene.own, &scene.third };

	(void)state;
	builder_begin(b, threads, ARRAY_LEN(threads));
	run(&scene, &scene.own, 8, 120, 0);
	for (b->trace = 1; b->trace <= TRACES; b->trace++)
		builder_span(b, SPAN + b->trace, 0, at(10), at(75));
	builder_settle(b);
	for (b->trace = 1; b->trace <= TRACES; b->trace++)
		be_woken(&scene, 20 + b->trace, SPAN + b->trace, WAKER_THREAD);
	builder_clock(b, 3100 * MS);
	correlator_advance(b->correlator, 3100 * MS);
	for (uint64_t i = 1; i <= TRACES; i++)
		assert_in_range(builder_ledger(b, SPAN + i)->revision, 2, 3);
	correlator_free(b->correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_showed_when_it_woke_another_is_its_own),
		cmocka_unit_test(it_may_be_told_of_before_its_own_slice),
		cmocka_unit_test(it_may_be_told_of_by_slices_like_the_one_before),
		cmocka_unit_test(a_timer_is_no_look_at_whom_it_interrupted),
		cmocka_unit_test(slices_that_are_alike_are_cut_where_it_lies),
		cmocka_unit_test(looks_may_be_told_of_in_any_order),
		cmocka_unit_test(what_tells_nothing_new_is_not_kept),
		cmocka_unit_test(more_than_are_kept_are_counted),
		cmocka_unit_test(who_wakes_another_is_not_just_on_the_way_out),
		cmocka_unit_test(late_looks_settle_their_traces_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
