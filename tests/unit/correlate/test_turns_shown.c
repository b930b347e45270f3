/* SPDX-License-Identifier: Apache-2.0 */
/* Turns as turns.c is told of them, tag by tag: test_turns.c has what ledgers make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/model.h"

#define MS         NS_PER_MS
#define HOLD       TRACE_HOLD_NS /* a turn counts so long before and afterwards */
#define START      (10 * HOLD)
#define FUTEX      202
#define EPOLL_WAIT 232
#define OF_PROCESS 200 /* spans without a turn, before a process is believed to take none */
#define OF_THREAD  20  /* ... a thread beside others that do */

struct scene {
	struct model model;
	struct process process;
	struct thread threads[3];
	uint64_t now_ns;
	uint64_t shown_ns; /* since when the last tag shows */
};

static void begin(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->now_ns = START;
	scene->process.first_ns = MS;
	for (unsigned i = 0; i < ARRAY_LEN(scene->threads); i++) {
		scene->threads[i].process = &scene->process;
		scene->threads[i].next = scene->process.threads;
		scene->process.threads = &scene->threads[i];
	}
}

static void look(struct scene *scene, unsigned thread, const struct event_tag *tag,
		 struct observation *seen)
{
	bool is_known = seen->last_ns;

	scene->now_ns += MS;
	turns_show(&scene->model, &scene->threads[thread], tag, is_known ? seen : NULL,
		   scene->now_ns);
	seen->last_ns = scene->now_ns;
}

/* The thread shows a span of that trace for a millisecond; `seen` keeps when that was. */
static void show(struct scene *scene, unsigned thread, uint8_t trace, struct observation *seen)
{
	const struct event_tag tag = { .trace_id = { trace }, .span_id = { trace } };

	look(scene, thread, &tag, seen);
	scene->shown_ns = scene->now_ns;
	look(scene, thread, &tag, seen);
}

static void wait_without(struct scene *scene, unsigned thread, int32_t syscall)
{
	scene->now_ns += MS;
	turns_idle(&scene->threads[thread], scene->now_ns, syscall);
}

static void a_turn_counts_for_a_minute_before_and_after_it(void **state)
{
	struct turns_period period = { 0 };

	(void)state;
	assert_false(turns_taken(&period, 0, START)); /* there was none */
	assert_true(turns_extend(&period, START));
	assert_true(turns_taken(&period, START - HOLD - 2, START - HOLD + 1));
	assert_false(turns_taken(&period, START - HOLD - 2, START - HOLD));
	assert_true(turns_taken(&period, START + HOLD - 1, START + HOLD + 2));
	assert_false(turns_taken(&period, START + HOLD, START + HOLD + 2));
}

static void turns_within_a_minute_are_one_period(void **state)
{
	struct turns_period period = { 0 };

	(void)state;
	turns_extend(&period, START);
	assert_false(turns_extend(&period, START + HOLD - 1));
	assert_int_equal(period.from_ns, START);
	assert_int_equal(period.to_ns, START + HOLD - 1);
	assert_false(turns_extend(&period, START + 1)); /* told late */
	assert_int_equal(period.to_ns, START + HOLD - 1);
	assert_true(turns_extend(&period, START + 2 * HOLD));
	assert_int_equal(period.from_ns, START + 2 * HOLD);
}

/* Of a thread that takes none itself, and whose process has one that does. */
static void a_thread_is_believed_from_when_on_it_had_shown_enough(void **state)
{
	struct scene scene;
	struct thread *thread = &scene.threads[0];

	(void)state;
	begin(&scene);
	assert_false(turns_of_thread(thread, START, START + MS));
	turns_note(&scene.model, &scene.threads[1], TURN_AFTER_WAIT, START);
	assert_true(turns_of_thread(thread, START, START + MS));
	for (unsigned i = 0; i < OF_THREAD; i++) {
		assert_int_equal(thread->turns.believed_ns, 0);
		turns_count_kept(thread, START + i * MS);
	}
	assert_int_equal(thread->turns.believed_ns, START + (OF_THREAD - 1) * MS);
	turns_count_kept(thread, START + HOLD / 2);
	assert_int_equal(thread->turns.believed_ns, START + (OF_THREAD - 1) * MS);
	assert_true(turns_of_thread(thread, thread->turns.believed_ns - 1, START + HOLD / 2));
	assert_false(turns_of_thread(thread, thread->turns.believed_ns, START + HOLD / 2));
	turns_note(&scene.model, thread, TURN_AFTER_WAIT, START + HOLD / 2);
	assert_true(turns_of_thread(thread, START + HOLD / 2, START + HOLD / 2 + MS));
	for (unsigned i = 0; i < OF_THREAD; i++)
		turns_count_kept(thread, START + HOLD);
	assert_int_equal(thread->turns.believed_ns, START + (OF_THREAD - 1) * MS);
}

static void a_turn_lets_a_thread_begin_anew_that_was_not_believed_yet(void **state)
{
	struct scene scene;
	struct thread *thread = &scene.threads[0];

	(void)state;
	begin(&scene);
	for (unsigned i = 0; i < OF_THREAD - 1; i++)
		turns_count_kept(thread, START);
	turns_note(&scene.model, thread, TURN_AFTER_WAIT, START + MS);
	turns_count_kept(thread, START + 2 * MS);
	assert_int_equal(thread->turns.believed_ns, 0);
}

/* It takes none, as far as that can be known; who thought otherwise is settled again. */
static void a_process_is_believed_after_many_spans_without_a_turn(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	for (unsigned i = 0; i < OF_PROCESS; i++) {
		assert_false(turns_are_none(&scene.process));
		assert_int_equal(scene.model.lesson, 0);
		turns_count(&scene.model, &scene.process, START + i);
	}
	assert_true(turns_are_none(&scene.process));
	assert_int_equal(scene.model.lesson, 1);
	assert_int_equal(scene.process.lesson_from_ns, scene.process.first_ns);
	turns_count(&scene.model, &scene.process, START + OF_PROCESS);
	assert_int_equal(scene.model.lesson, 1);
}

static void after_a_turn_it_takes_a_minute_before_spans_count(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	turns_note(&scene.model, &scene.threads[1], TURN_AFTER_WAIT, START);
	for (unsigned i = 0; i < OF_PROCESS; i++)
		turns_count(&scene.model, &scene.process, START + HOLD - 1);
	assert_false(turns_are_none(&scene.process));
	for (unsigned i = 0; i < OF_PROCESS; i++)
		turns_count(&scene.model, &scene.process, START + HOLD);
	assert_true(turns_are_none(&scene.process));
	turns_note(&scene.model, &scene.threads[1], TURN_AFTER_WAIT, START + HOLD);
	assert_false(turns_are_none(&scene.process));
}

/* A trace shows turns of its own. */
static void a_process_that_is_found_out_is_not_believed_for_a_minute(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	for (unsigned i = 0; i < OF_PROCESS; i++)
		turns_count(&scene.model, &scene.process, START);
	scene.process.habits.within = (struct turns_period){ START + MS, START + MS };
	turns_recount(&scene.model, &scene.process);
	assert_false(turns_are_none(&scene.process));
	assert_int_equal(scene.model.lesson, 2);
	turns_recount(&scene.model, &scene.process); /* it was not believed any more */
	assert_int_equal(scene.model.lesson, 2);
	for (unsigned i = 0; i < OF_PROCESS; i++)
		turns_count(&scene.model, &scene.process, START + HOLD);
	assert_false(turns_are_none(&scene.process));
	turns_count_all(&scene.model, &scene.process); /* it does not, after all */
	assert_true(turns_are_none(&scene.process));
	assert_int_equal(scene.model.lesson, 3);
}

static void a_span_that_is_back_after_a_wait_without_it_was_put_aside(void **state)
{
	struct observation a = { 0 };
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, 0, 1, &a);
	show(&scene, 0, 1, &a); /* it goes on */
	assert_int_equal(scene.process.habits.turns.to_ns, 0);
	wait_without(&scene, 0, FUTEX);
	show(&scene, 0, 1, &a);
	assert_int_equal(scene.process.habits.turns.to_ns, scene.shown_ns);
	assert_int_equal(scene.threads[0].turns.habits.turns.to_ns, scene.shown_ns);
	assert_int_equal(scene.process.habits.crossed.to_ns,
			 0); /* it may have got more work for it */
	assert_int_equal(scene.process.habits.nested.to_ns, 0);
}

static void who_waited_for_events_meanwhile_is_a_loop(void **state)
{
	struct observation a = { 0 };
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, 0, 1, &a);
	wait_without(&scene, 0, EPOLL_WAIT);
	show(&scene, 0, 1, &a);
	assert_int_equal(scene.process.habits.crossed.to_ns, scene.shown_ns);
	assert_true(scene.threads[0].turns.habits.crosses);
	assert_int_equal(scene.model.lesson, 1);
}

static void another_trace_in_between_lay_within_the_span(void **state)
{
	struct observation a = { 0 }, b = { 0 };
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, 0, 1, &a);
	show(&scene, 0, 2, &b);
	show(&scene, 0, 1, &a);
	assert_int_equal(scene.process.habits.nested.to_ns, scene.shown_ns);
	assert_int_equal(scene.process.habits.crossed.to_ns, 0);
	assert_true(turns_of_thread(&scene.threads[1], scene.now_ns, scene.now_ns + MS));
}

/* ... unless that one is back, too: so it was put aside, and with it whatever lay within others. */
static void who_is_back_that_was_shown_in_between_tells_a_loop(void **state)
{
	struct observation a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, 0, 1, &a);
	show(&scene, 0, 2, &b);
	show(&scene, 0, 1, &a);
	show(&scene, 0, 2, &b);
	assert_int_equal(scene.process.habits.crossed.to_ns, scene.shown_ns);
	assert_int_equal(scene.process.habits.nested.to_ns, 0);
	show(&scene, 0, 3, &c); /* and from now on nothing lies within its spans */
	show(&scene, 0, 4, &d);
	show(&scene, 0, 3, &c);
	assert_int_equal(scene.process.habits.nested.to_ns, 0);
}

/* Nothing tells that it was put aside for the first one. */
static void who_was_shown_before_all_that_was_not_in_between(void **state)
{
	struct observation a = { 0 }, b = { 0 }, c = { 0 };
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, 0, 2, &b);
	show(&scene, 0, 1, &a);
	show(&scene, 0, 3, &c);
	show(&scene, 0, 1, &a);
	show(&scene, 0, 2, &b);
	assert_int_equal(scene.process.habits.nested.to_ns, scene.shown_ns);
	assert_int_equal(scene.process.habits.crossed.to_ns, 0);
}

/* A handler's span is over when it leaves: the next one has another number, and is not known. */
static void handlers_one_after_the_other_are_no_loop(void **state)
{
	struct observation a = { 0 }, handlers[2 * TURNS_WINDOWS] = { 0 };
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, 0, 1, &a);
	for (unsigned i = 0; i < ARRAY_LEN(handlers); i++) {
		show(&scene, 0, (uint8_t)(2 + i), &handlers[i]);
		show(&scene, 0, 1, &a);
		assert_int_equal(scene.process.habits.nested.to_ns, scene.shown_ns);
		assert_int_equal(scene.process.habits.crossed.to_ns, 0);
	}
}

/* More of them than are kept one by one, and then one of them is back. */
static void whichever_handler_is_back_was_put_aside(void **state)
{
	(void)state;
	for (unsigned back = 0; back <= TURNS_WINDOWS; back++) {
		struct observation a = { 0 }, others[TURNS_WINDOWS + 1] = { 0 };
		struct scene scene;

		begin(&scene);
		show(&scene, 0, 1, &a);
		for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
			show(&scene, 0, (uint8_t)(2 + i), &others[i]);
			show(&scene, 0, 1, &a);
		}
		assert_int_equal(scene.process.habits.crossed.to_ns, 0);
		show(&scene, 0, (uint8_t)(2 + back), &others[back]);
		assert_int_equal(scene.process.habits.crossed.to_ns, scene.shown_ns);
	}
}

/* The other thread does not cross: what it was seen with stays. The third one shows nothing. */
static void what_lay_within_spans_of_another_thread_stays_known(void **state)
{
	struct observation a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, e = { 0 };
	struct scene scene;
	uint64_t first_ns, last_ns;

	(void)state;
	begin(&scene);
	show(&scene, 1, 3, &c);
	show(&scene, 1, 4, &d);
	show(&scene, 1, 3, &c);
	first_ns = scene.shown_ns;
	show(&scene, 1, 5, &e);
	show(&scene, 1, 3, &c);
	last_ns = scene.shown_ns;
	show(&scene, 2, 1, &a);
	show(&scene, 2, 2, &b);
	show(&scene, 2, 1, &a);
	show(&scene, 2, 2, &b);
	assert_int_equal(scene.process.habits.nested.from_ns, first_ns);
	assert_int_equal(scene.process.habits.nested.to_ns, last_ns);
	assert_int_equal(scene.process.lesson_from_ns, scene.process.first_ns);
}

/* A forked process keeps its parent's span, and shows it whenever it has none of its own. */
static void an_inherited_span_that_is_back_is_no_turn(void **state)
{
	struct observation a = { .inherited = true };
	struct scene scene;

	(void)state;
	begin(&scene);
	show(&scene, 0, 1, &a);
	wait_without(&scene, 0, FUTEX);
	show(&scene, 0, 1, &a);
	assert_int_equal(scene.process.habits.turns.to_ns, 0);
}

/* What is not new is learned once. */
static void turns_of_one_period_are_one_lesson(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene);
	turns_note(&scene.model, &scene.threads[0], TURN_AFTER_WAIT, START);
	assert_int_equal(scene.model.lesson, 1);
	assert_int_equal(scene.process.lesson_from_ns, START - HOLD);
	turns_note(&scene.model, &scene.threads[0], TURN_AFTER_WAIT, START + MS);
	assert_int_equal(scene.model.lesson, 1);
	turns_note(&scene.model, &scene.threads[0], TURN_NESTED, START + MS);
	assert_int_equal(scene.model.lesson, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turn_counts_for_a_minute_before_and_after_it),
		cmocka_unit_test(turns_within_a_minute_are_one_period),
		cmocka_unit_test(a_thread_is_believed_from_when_on_it_had_shown_enough),
		cmocka_unit_test(a_turn_lets_a_thread_begin_anew_that_was_not_believed_yet),
		cmocka_unit_test(a_process_is_believed_after_many_spans_without_a_turn),
		cmocka_unit_test(after_a_turn_it_takes_a_minute_before_spans_count),
		cmocka_unit_test(a_process_that_is_found_out_is_not_believed_for_a_minute),
		cmocka_unit_test(a_span_that_is_back_after_a_wait_without_it_was_put_aside),
		cmocka_unit_test(who_waited_for_events_meanwhile_is_a_loop),
		cmocka_unit_test(another_trace_in_between_lay_within_the_span),
		cmocka_unit_test(who_is_back_that_was_shown_in_between_tells_a_loop),
		cmocka_unit_test(who_was_shown_before_all_that_was_not_in_between),
		cmocka_unit_test(handlers_one_after_the_other_are_no_loop),
		cmocka_unit_test(whichever_handler_is_back_was_put_aside),
		cmocka_unit_test(what_lay_within_spans_of_another_thread_stays_known),
		cmocka_unit_test(an_inherited_span_that_is_back_is_no_turn),
		cmocka_unit_test(turns_of_one_period_are_one_lesson),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
