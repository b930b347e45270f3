/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "harness.h"

static struct harness harness;

#define LEAVING 8 /* as lives.c plays them */

static const struct event_life *find_life(uint32_t kind, int pid)
{
	const struct event_header *record = NULL;

	while ((record = harness_next(&harness, record))) {
		const struct event_life *life = (const void *)record;

		if (record->kind == kind && (int)life->pid == pid)
			return life;
	}
	return NULL;
}

static const struct event_life *find_fork_of(int child)
{
	const struct event_header *record = NULL;

	while ((record = harness_next(&harness, record))) {
		const struct event_life *life = (const void *)record;

		if (record->kind == EVENT_FORK && (int)life->other_pid == child)
			return life;
	}
	return NULL;
}

static const struct event_slice *last_slice(int tid)
{
	const struct event_slice *slice = NULL, *last = NULL;

	while ((slice = harness_next_slice(&harness, tid, slice)))
		last = slice;
	return last;
}

static uint64_t span_out(const struct event_slice *slice)
{
	struct event_tails tails;

	assert_true(event_slice_tails(slice, &tails));
	return harness_span(tails.tag_out);
}

/* The last that the thread is known to have carried: who is pushed off its CPU within an exec has
 * no memory any more that could say so. */
static uint64_t last_span(int tid)
{
	const struct event_slice *slice = NULL;
	uint64_t span = 0;

	while ((slice = harness_next_slice(&harness, tid, slice)))
		span = span_out(slice) ? span_out(slice) : span;
	return span;
}

static void a_new_thread_begins_without_a_tag_and_ends_with_its_last(void **state)
{
	int tid = harness_named(&harness, "short")->tid;
	const struct event_slice *first = harness_next_slice(&harness, tid, NULL);
	const struct event_slice *last = last_slice(tid);

	(void)state;
	assert_non_null(first);
	assert_int_equal(first->header.flags & (EVENT_FIRST | EVENT_TAG_IN_NONE),
			 EVENT_FIRST | EVENT_TAG_IN_NONE);
	assert_true(first->waking_ns > 0 && first->waking_ns <= first->in_ns);
	assert_int_equal(last->header.flags & EVENT_DEAD, EVENT_DEAD);
	assert_int_equal(span_out(last), 4001);
}

/* Since 6.16 a thread that ends is told of while its memory can be read. */
static bool is_read_at_its_end(void)
{
	struct utsname system;
	unsigned major = 0, minor = 0;

	assert_int_equal(uname(&system), 0);
	assert_int_equal(sscanf(system.release, "%u.%u", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 16);
}

/* It left its CPU between there and its end, and showed nothing then. */
static bool is_seen_without(int tid)
{
	const struct event_slice *slice = NULL;
	bool has_shown = false;

	while ((slice = harness_next_slice(&harness, tid, slice))) {
		has_shown |= span_out(slice) != 0;
		if (has_shown && !span_out(slice) &&
		    !(slice->header.flags & (EVENT_TICK | EVENT_DEAD)))
			return true;
	}
	return false;
}

static void check_leaving(const struct event_slice *last)
{
	if (!is_read_at_its_end()) {
		assert_int_equal(span_out(last), 4006);
		return;
	}
	assert_int_equal(span_out(last), 0);
	assert_int_equal(last->header.flags & (EVENT_AFTER_TICK | EVENT_TAG_IN_NONE),
			 EVENT_AFTER_TICK | EVENT_TAG_IN_NONE);
}

static void a_thread_that_has_left_its_span_ends_without_one(void **state)
{
	unsigned checked = 0;
	char name[24];

	(void)state;
	for (int i = 0; i < LEAVING; i++) {
		snprintf(name, sizeof(name), "leaving%d", i);
		int tid = harness_named(&harness, name)->tid;
		const struct event_slice *last = last_slice(tid);

		assert_non_null(last);
		assert_int_equal(last_span(tid), 4006);
		assert_int_equal(last->header.flags & EVENT_DEAD, EVENT_DEAD);
		if (is_seen_without(tid))
			continue;
		check_leaving(last);
		checked++;
	}
	assert_true(checked > 0);
}

static void a_thread_with_its_makers_variable_shows_from_its_birth_what_that_one_does(void **state)
{
	const struct event_slice *first =
		harness_next_slice(&harness, harness_named(&harness, "lent")->tid, NULL);

	(void)state;
	assert_non_null(first);
	assert_int_equal(first->header.flags & (EVENT_FIRST | EVENT_TAG_SAME | EVENT_TAG_IN_NONE),
			 EVENT_FIRST | EVENT_TAG_SAME);
	assert_int_equal(span_out(first), 4007);
}

static void a_process_in_its_makers_memory_begins_without_a_tag(void **state)
{
	const struct event_slice *first =
		harness_next_slice(&harness, harness_named(&harness, "apart")->tid, NULL);

	(void)state;
	assert_non_null(first);
	assert_int_equal(first->header.flags & (EVENT_FIRST | EVENT_TAG_IN_NONE),
			 EVENT_FIRST | EVENT_TAG_IN_NONE);
	assert_int_equal(span_out(first), 0);
}

static void a_forked_child_is_followed_from_its_first_instruction(void **state)
{
	int child = harness_named(&harness, "child")->tid;
	const struct event_life *fork = find_fork_of(child);
	const struct event_slice *first = harness_next_slice(&harness, child, NULL);

	(void)state;
	assert_non_null(fork);
	assert_int_equal(fork->pid, harness.pid);
	assert_non_null(first);
	assert_int_equal(first->pid, child);
	assert_int_equal(first->header.flags & EVENT_FIRST, EVENT_FIRST);
	assert_true(fork->time_ns <= first->in_ns);
	assert_int_equal(span_out(last_slice(child)), 4003);
}

static void a_forked_child_carries_its_parents_tag_until_it_publishes(void **state)
{
	const struct event_slice *slice = NULL;
	int child = harness_named(&harness, "child")->tid;

	(void)state;
	while ((slice = harness_next_slice(&harness, child, slice)) && slice->state == 0)
		assert_int_equal(span_out(slice), 4002);
	assert_int_equal(span_out(slice), 4002); /* its first sleep */
}

static void an_exec_ends_what_is_known_of_the_process(void **state)
{
	int child = harness_named(&harness, "exec")->tid;
	const struct event_life *exec = find_life(EVENT_EXEC, child);
	const struct event_slice *last = last_slice(child);

	(void)state;
	assert_non_null(exec);
	assert_int_equal(exec->other_pid, child);
	assert_non_null(last);
	assert_true(last->out_ns <= exec->time_ns);
	assert_int_equal(last->header.flags & EVENT_TICK, EVENT_TICK);
	assert_int_equal(last_span(child), 4002);
	assert_null(find_life(EVENT_EXIT, child)); /* of a program that publishes nothing */
}

/* It keeps its number until then, and takes over that of the first thread after that. */
static void an_exec_by_another_thread_ends_that_threads_records(void **state)
{
	int child = harness_named(&harness, "execother")->tid;
	const struct event_life *exec = find_life(EVENT_EXEC, child);
	const struct event_slice *last;

	(void)state;
	assert_non_null(exec);
	assert_int_not_equal(exec->other_pid, child);
	last = last_slice((int)exec->other_pid);
	assert_non_null(last);
	assert_true(last->out_ns <= exec->time_ns);
	assert_int_equal(last->header.flags & EVENT_TICK, EVENT_TICK);
	assert_int_equal(last_span((int)exec->other_pid), 4005);
}

static void a_process_exits_once_after_its_last_slice(void **state)
{
	int child = harness_named(&harness, "child")->tid;

	(void)state;
	assert_int_equal(harness_count(&harness, EVENT_EXIT, (uint32_t)child), 1);
	assert_int_equal(harness_count(&harness, EVENT_EXIT, (uint32_t)harness.pid), 1);
	assert_true(find_life(EVENT_EXIT, child)->time_ns >= last_slice(child)->out_ns);
	assert_int_equal(last_slice(child)->header.flags & EVENT_DEAD, EVENT_DEAD);
}

/* What a new process is known to carry: its parent's tag. */
static void check_child(const struct event_life *fork)
{
	const struct event_slice *first = harness_next_slice(&harness, (int)fork->other_pid, NULL);

	assert_non_null(first);
	assert_int_equal(first->header.flags & EVENT_FIRST, EVENT_FIRST);
	assert_int_equal(first->header.flags & EVENT_TAG_OUT_UNKNOWN, 0);
	assert_in_range(span_out(first), 6001, 6004);
	assert_int_equal(first->header.flags & EVENT_TAG_SAME, EVENT_TAG_SAME);
}

static void a_child_with_its_makers_variable_is_told_as_such(void **state)
{
	(void)state;
	assert_int_equal(find_fork_of(harness_named(&harness, "shared")->tid)->is_shared, 1);
	assert_int_equal(find_fork_of(harness_named(&harness, "child")->tid)->is_shared, 0);
}

/* Whoever is born is known from birth, though places change hands all the time. */
static void check_births(void)
{
	const struct event_header *record = NULL;
	struct event_counters sum;
	size_t forks = 0, threads = 0;

	harness_run(&harness, "births");
	while ((record = harness_next(&harness, record))) {
		const struct event_slice *slice = (const void *)record;

		if (record->kind == EVENT_FORK) {
			check_child((const void *)record);
			forks++;
		}
		if (record->kind != EVENT_SLICE || !(record->flags & EVENT_FIRST) ||
		    (int)slice->pid != harness.pid || (int)slice->tid == harness.pid)
			continue;
		assert_int_equal(record->flags & EVENT_TAG_IN_NONE, EVENT_TAG_IN_NONE);
		assert_int_equal(slice->exec_in_ns, 0);
		threads++;
	}
	ring_counters(harness.ring, &sum);
	assert_int_equal(sum.lost[LOSS_STORAGE_FULL], 0);
	assert_int_equal(forks, 4 * 60);
	assert_int_equal(threads, 4 * 60 + 4);
}

/* A burst of births makes the kernel refuse storage now and then; nobody may notice. */
static void a_burst_of_births_is_known_from_birth(void **state)
{
	(void)state;
	harness_open(&harness, 4u << 20, 0);
	check_births();
}

/* Where those who are born take the places of processes that are about to end. */
static void a_burst_of_births_in_few_places_is_known_from_birth(void **state)
{
	(void)state;
	harness_open_small(&harness, 32);
	check_births();
}

/* What found no place is counted, and told of; who comes when there is room again is followed from
 * birth. */
static void a_full_table_is_counted_and_places_are_used_again(void **state)
{
	struct event_counters sum;

	(void)state;
	harness_open_small(&harness, 8);
	harness_run(&harness, "crowd");
	ring_counters(harness.ring, &sum);
	assert_true(sum.lost[LOSS_STORAGE_FULL] > 0);
	assert_true(harness_count(&harness, EVENT_UNFOLLOWED, (uint32_t)harness.pid) > 0);
	int late = harness_named(&harness, "late")->tid;
	const struct event_slice *first = harness_next_slice(&harness, late, NULL);

	assert_non_null(first);
	assert_int_equal(first->header.flags & (EVENT_FIRST | EVENT_TAG_IN_NONE),
			 EVENT_FIRST | EVENT_TAG_IN_NONE);
	assert_int_equal(first->exec_in_ns, 0);
	assert_int_equal(span_out(last_slice(late)), 7002);
}

/* io_uring's poller has its maker's thread pointer, but no code of the program's runs there. */
static void a_worker_of_the_kernels_shows_nothing(void **state)
{
	const struct event_header *record = NULL;

	(void)state;
	harness_open(&harness, 4u << 20, 99);
	harness_run(&harness, "ring");
	if (!harness_named(&harness, "ring")->tid)
		skip(); /* a kernel without io_uring, or one that refuses it */
	while ((record = harness_next(&harness, record))) {
		const struct event_slice *slice = (const void *)record;

		if (record->kind == EVENT_SLICE && (int)slice->pid == harness.pid)
			assert_int_equal(slice->tid, harness.pid);
	}
	assert_int_equal(harness_count(&harness, EVENT_UNFOLLOWED, (uint32_t)harness.pid), 0);
	assert_int_equal(harness_count(&harness, EVENT_EXIT, (uint32_t)harness.pid), 1);
}

static int play_life(void **state)
{
	(void)state;
	harness_open(&harness, 4u << 20, 0);
	harness_run(&harness, "life");
	return 0;
}

static int close_harness(void **state)
{
	(void)state;
	harness_close(&harness);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_thread_begins_without_a_tag_and_ends_with_its_last),
		cmocka_unit_test(a_thread_that_has_left_its_span_ends_without_one),
		cmocka_unit_test(
			a_thread_with_its_makers_variable_shows_from_its_birth_what_that_one_does),
		cmocka_unit_test(a_process_in_its_makers_memory_begins_without_a_tag),
		cmocka_unit_test(a_forked_child_is_followed_from_its_first_instruction),
		cmocka_unit_test(a_forked_child_carries_its_parents_tag_until_it_publishes),
		cmocka_unit_test(an_exec_ends_what_is_known_of_the_process),
		cmocka_unit_test(an_exec_by_another_thread_ends_that_threads_records),
		cmocka_unit_test(a_process_exits_once_after_its_last_slice),
		cmocka_unit_test(a_child_with_its_makers_variable_is_told_as_such),
	};

	const struct CMUnitTest others[] = {
		cmocka_unit_test_teardown(a_burst_of_births_is_known_from_birth, close_harness),
		cmocka_unit_test_teardown(a_burst_of_births_in_few_places_is_known_from_birth,
					  close_harness),
		cmocka_unit_test_teardown(a_full_table_is_counted_and_places_are_used_again,
					  close_harness),
		cmocka_unit_test_teardown(a_worker_of_the_kernels_shows_nothing, close_harness),
	};

	harness_init(&harness, argc, argv);
	int failed = cmocka_run_group_tests(tests, play_life, close_harness) +
		     cmocka_run_group_tests(others, NULL, NULL);

	return harness_verdict(&harness, failed, argv);
}
