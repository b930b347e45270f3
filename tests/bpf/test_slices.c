/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

#define RING_BYTES (4u << 20)

static struct harness harness;

/* The slice with which the thread went to wait, and the one after the wait. */
struct both {
	const struct event_slice *leaving, *back;
	struct event_tails leaving_tails, back_tails;
};

static struct both find(const struct harness_wait *wait)
{
	const struct event_slice *slice = NULL;
	struct both both = { 0 };

	while ((slice = harness_next_slice(&harness, wait->tid, slice)))
		if (slice->state != 0 && slice->out_ns > wait->before_ns &&
		    slice->out_ns < wait->after_ns)
			both.leaving = slice;
	if (!both.leaving)
		fail_msg("no record of the wait %s", wait->name);
	both.back = harness_next_slice(&harness, wait->tid, both.leaving);
	assert_non_null(both.back);
	assert_true(event_slice_tails(both.leaving, &both.leaving_tails));
	assert_true(event_slice_tails(both.back, &both.back_tails));
	return both;
}

static void check_first(const struct event_slice *slice)
{
	assert_int_equal(slice->header.flags & EVENT_FIRST, EVENT_FIRST);
	assert_int_equal(slice->prev_out_ns, 0);
}

/* Kernels do skip a switch now and then; the CPU clock closes the gap without a seam. */
static void check_continues(const struct event_slice *slice, const struct event_slice *before)
{
	assert_int_equal(slice->header.flags & EVENT_FIRST, 0);
	assert_int_equal(slice->exec_in_ns, before->exec_out_ns);
	assert_int_equal(slice->prev_out_ns, before->out_ns);
	if (slice->header.flags & EVENT_IN_LOST)
		assert_int_equal(slice->in_ns, 0);
	else
		assert_true(slice->in_ns >= slice->prev_out_ns);
	if (slice->waking_ns)
		assert_true(slice->waking_ns >= slice->prev_out_ns);
}

static void check_chain(int tid)
{
	const struct event_slice *slice = NULL, *before = NULL;

	while ((slice = harness_next_slice(&harness, tid, slice))) {
		assert_int_equal(slice->header.flags & EVENT_OUT_LOST, 0);
		assert_int_equal(slice->lost_before, 0);
		assert_true(slice->in_ns <= slice->out_ns);
		assert_true(slice->waking_ns <= slice->out_ns);
		assert_true(slice->exec_in_ns <= slice->exec_out_ns);
		if (before)
			check_continues(slice, before);
		else
			check_first(slice);
		before = slice;
	}
	assert_non_null(before);
	assert_int_equal(before->header.flags & EVENT_DEAD, EVENT_DEAD);
}

static void every_slice_continues_the_one_before(void **state)
{
	(void)state;
	check_chain(harness_named(&harness, "main")->tid);
	check_chain(harness_wait(&harness, "pipe")->waker);
}

static void a_wait_lies_between_the_clocks_read_around_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < harness.wait_count; i++) {
		const struct harness_wait *wait = &harness.waits[i];
		struct both both = find(wait);

		assert_int_equal(both.back->prev_out_ns, both.leaving->out_ns);
		assert_true(both.back->waking_ns >= both.leaving->out_ns);
		assert_true(both.back->in_ns < wait->after_ns);
		assert_true(both.leaving->exec_out_ns >= wait->cpu_before_ns);
		assert_true(both.leaving->exec_out_ns <= wait->cpu_after_ns);
	}
}

static void a_wait_carries_the_tag_of_its_thread(void **state)
{
	(void)state;
	for (size_t i = 0; i < harness.wait_count; i++) {
		struct both both = find(&harness.waits[i]);
		uint32_t same = both.back->header.flags & EVENT_TAG_SAME;

		assert_int_equal(harness_span(both.leaving_tails.tag_out), harness.waits[i].span);
		assert_int_equal(
			harness_span(same ? both.back_tails.tag_out : both.back_tails.tag_in),
			harness.waits[i].span);
	}
}

static void check_wait(const char *name, int syscall, uint32_t kind)
{
	struct both both = find(harness_wait(&harness, name));

	assert_int_equal(both.leaving->syscall, syscall);
	assert_int_equal(both.leaving->state & 1, 1); /* interruptible */
	assert_int_equal(both.leaving->header.flags & (EVENT_PREEMPTED | EVENT_IOWAIT), 0);
	if (kind == TARGET_NONE) {
		assert_null(both.leaving_tails.target);
		return;
	}
	assert_non_null(both.leaving_tails.target);
	assert_int_equal(both.leaving_tails.target->kind, kind);
}

static void a_wait_names_its_system_call_and_target(void **state)
{
	(void)state;
	check_wait("sleep", 230, TARGET_NONE);
	check_wait("pipe", 0, TARGET_PIPE);
	check_wait("unix", 45, TARGET_UNIX);
	check_wait("tcp", 45, TARGET_INET4);
	check_wait("poll", 7, TARGET_INET4);
	check_wait("epoll", 232, TARGET_ANON);
	check_wait("flock", 73, TARGET_FILE);
}

static void a_target_is_the_very_pipe_socket_or_file(void **state)
{
	static const char *const by_inode[] = { "pipe", "unix", "flock" };
	static const char *const by_port[] = { "tcp", "poll" };
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct harness_wait *wait = harness_wait(&harness, by_inode[i]);

		assert_int_equal(find(wait).leaving_tails.target->id, wait->identity);
	}
	for (size_t i = 0; i < 2; i++) {
		const struct harness_wait *wait = harness_wait(&harness, by_port[i]);
		const struct event_target *target = find(wait).leaving_tails.target;

		assert_int_equal(target->port, wait->identity);
		assert_memory_equal(target->address, loopback, 4);
	}
}

static void check_waker(const char *name, uint32_t kind, bool is_partner)
{
	const struct harness_wait *wait = harness_wait(&harness, name);
	const struct event_waker *waker = find(wait).back_tails.waker;

	assert_non_null(waker);
	assert_int_equal(waker->kind, kind);
	if (!is_partner)
		return;
	assert_int_equal(waker->tid, wait->waker);
	assert_int_equal(waker->pid, harness.pid);
	assert_string_equal(waker->comm, "bpf_subject");
	assert_int_equal(harness_span(&waker->tag), 9000);
}

static void a_wait_is_ended_by_its_true_waker(void **state)
{
	(void)state;
	check_waker("sleep", WAKER_TIMER, false);
	check_waker("pipe", WAKER_THREAD, true);
	check_waker("unix", WAKER_THREAD, true);
	check_waker("tcp", WAKER_NETWORK, true);
	check_waker("poll", WAKER_NETWORK, true);
	check_waker("epoll", WAKER_THREAD, true);
	check_waker("flock", WAKER_THREAD, true);
}

static uint64_t count_flag(uint32_t flag)
{
	const struct event_header *record = NULL;
	uint64_t count = 0;

	while ((record = harness_next(&harness, record)))
		count += record->kind == EVENT_SLICE && record->flags & flag;
	return count;
}

/* What the kernel never reported is not ours to lose, but ours to count. */
static void nothing_is_lost_and_what_was_skipped_is_counted(void **state)
{
	static const enum event_loss ours[] = { LOSS_RING_FULL, LOSS_STORAGE_FULL, LOSS_TAG_FAULT };
	struct event_counters sum;

	(void)state;
	ring_counters(harness.ring, &sum);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert_int_equal(sum.lost[ours[i]], 0);
	assert_int_equal(sum.lost[LOSS_SWITCH_IN], count_flag(EVENT_IN_LOST));
	assert_int_equal(sum.lost[LOSS_SWITCH_OUT], count_flag(EVENT_OUT_LOST));
	assert_true(sum.lost[LOSS_CPU_CHAIN] >= sum.lost[LOSS_SWITCH_IN]);
	assert_int_equal(ring_malformed(harness.ring), 0);
	assert_int_equal(harness_count(&harness, 0, 0), sum.records);
}

static int play_waits(void **state)
{
	(void)state;
	harness_open(&harness, RING_BYTES, 0);
	harness_run(&harness, "waits");
	return 0;
}

static int close_harness(void **state)
{
	(void)state;
	harness_close(&harness);
	return 0;
}

static void a_mutex_names_its_word_and_owner(void **state)
{
	(void)state;
	harness_open(&harness, RING_BYTES, 0);
	harness_run(&harness, "mutex");
	const struct harness_wait *wait = harness_wait(&harness, "mutex");
	struct both both = find(wait);

	assert_int_equal(both.leaving->syscall, 202);
	assert_int_equal(both.leaving_tails.target->kind, TARGET_FUTEX);
	assert_int_equal(both.leaving_tails.target->id, wait->identity);
	assert_int_equal(both.leaving_tails.target->aux, wait->waker);
	assert_int_equal(both.back_tails.waker->tid, wait->waker);
	assert_int_equal(harness_span(&both.back_tails.waker->tag), 9001);
}

static void ticks_cut_a_long_slice_and_see_its_tag(void **state)
{
	const struct event_slice *slice = NULL;
	size_t cuts[3] = { 0 }, bare = 0;

	(void)state;
	harness_open(&harness, RING_BYTES, 99);
	harness_run(&harness, "spin");
	int tid = harness_named(&harness, "main")->tid;

	while ((slice = harness_next_slice(&harness, tid, slice))) {
		struct event_tails tails;
		const struct event_slice *next = harness_next_slice(&harness, tid, slice);

		event_slice_tails(slice, &tails);
		uint64_t span = harness_span(tails.tag_out);

		if (!(slice->header.flags & EVENT_TICK))
			continue;
		if (span >= 3001 && span <= 3003)
			cuts[span - 3001]++;
		/* nor is a record half written that says of itself that it shows nothing */
		assert_int_equal(slice->header.flags & EVENT_TAG_OUT_UNKNOWN, 0);
		bare += !span && cuts[2];
		assert_non_null(next);
		assert_int_equal(next->header.flags & EVENT_AFTER_TICK, EVENT_AFTER_TICK);
		assert_int_equal(next->in_ns, slice->out_ns);
		assert_int_equal(next->prev_out_ns, slice->out_ns);
	}
	/* four times 60 ms of CPU time each, a tick every 10 ms */
	for (int i = 0; i < 3; i++)
		assert_true(cuts[i] >= 2);
	assert_true(bare >= 2);
	check_chain(tid);
}

/* Of a writer that says nothing else: it has shown a span, and entered the kernel nowhere since. */
static void a_record_without_ids_may_be_half_written(void **state)
{
	const struct event_slice *slice = NULL;
	size_t in_the_midst = 0;

	(void)state;
	harness_open(&harness, RING_BYTES, 99);
	harness_run(&harness, "switching");
	int tid = harness_named(&harness, "main")->tid;

	while ((slice = harness_next_slice(&harness, tid, slice))) {
		struct event_tails tails;

		event_slice_tails(slice, &tails);
		if (!(slice->header.flags & EVENT_TAG_OUT_UNKNOWN))
			continue;
		assert_int_equal(harness_span(tails.tag_out), 3001); /* as far as is known */
		in_the_midst++;
	}
	assert_true(in_the_midst > 0);
	check_chain(tid);
}

/* As ticks do, without a hole in the CPU clock. */
static void timers_cut_a_slice_of_which_much_was_stolen(void **state)
{
	const struct event_slice *slice = NULL, *last = NULL;
	unsigned cuts = 0;

	(void)state;
	harness_open_cutting(&harness);
	harness_run(&harness, "spin");
	int tid = harness_named(&harness, "main")->tid;

	while ((slice = harness_next_slice(&harness, tid, slice))) {
		if (last && last->header.flags & EVENT_TICK) {
			assert_int_equal(slice->in_ns, last->out_ns);
			assert_int_equal(slice->exec_in_ns, last->exec_out_ns);
			assert_int_equal(slice->stolen_in_ns, last->stolen_out_ns);
			cuts++;
		}
		last = slice;
	}
	/* of 720 ms at least; the slowest scheduler's timer comes each 10 ms */
	assert_true(cuts >= 6);
	check_chain(tid);
}

/* Nobody is booked by a clock that is yet to come. Returns how many were found that ran a moment
 * before the clock was read. */
static unsigned check_booking(const struct event_clock *clock, int tid)
{
	int64_t base = (int64_t)(clock->before_ns - clock->sched_ns);
	const struct event_slice *slice = NULL;
	unsigned checked = 0;

	while ((slice = harness_next_slice(&harness, tid, slice))) {
		int64_t raw =
			(int64_t)(slice->out_ns - slice->exec_start_out_ns - slice->stolen_out_ns);

		if (slice->cpu != clock->cpu || slice->out_ns > clock->after_ns ||
		    slice->out_ns + 20000000 < clock->before_ns)
			continue;
		assert_true(raw + 5000 >= base); /* the clocks part by some ppm */
		checked++;
	}
	return checked;
}

static void ticks_tell_of_both_clocks_where_somebody_is_followed(void **state)
{
	const struct event_header *record = NULL;
	unsigned told = 0, checked = 0;

	(void)state;
	harness_open(&harness, RING_BYTES, 99);
	harness_run(&harness, "spin");
	while ((record = harness_next(&harness, record))) {
		const struct event_clock *clock = (const void *)record;

		if (record->kind != EVENT_CLOCK)
			continue;
		assert_true(clock->before_ns <= clock->after_ns);
		if (told++ >= 3) /* it runs by then */
			checked += check_booking(clock, harness_named(&harness, "main")->tid);
	}
	assert_true(checked > 0);
	assert_true(told >= 10); /* 720 ms of CPU time at least */
}

static void an_untracked_process_yields_nothing(void **state)
{
	(void)state;
	harness_open(&harness, RING_BYTES, 99);
	harness_start(&harness, "waits", false);
	harness_play(&harness, true);
	assert_int_equal(harness.records_bytes, 0);
}

/* The first records of a flood fill a small ring; the ones after the drain must own up to all that
 * found it full. */
static void a_full_ring_is_counted_and_owned_up_to(void **state)
{
	const struct event_slice *slice = NULL;
	struct event_counters sum, after;
	uint64_t owned_up = 0, missed;

	(void)state;
	harness_open(&harness, 65536, 0);
	harness_start(&harness, "flood", true);
	harness_play(&harness, false);
	harness_drain(&harness);
	ring_counters(harness.ring, &sum);
	assert_true(sum.lost[LOSS_RING_FULL] > 0);
	missed = ring_missed(harness.ring);
	assert_true(missed > 0);
	harness_start(&harness, "gated", true);
	harness_play_gated(&harness);
	ring_counters(harness.ring, &after);
	assert_int_equal(harness_count(&harness, 0, 0), after.records);
	while ((slice = harness_next_slice(&harness, harness.pid, slice)))
		owned_up += slice->lost_before;
	assert_true(owned_up > 0);
	assert_int_equal(owned_up, after.lost[LOSS_RING_FULL] - sum.lost[LOSS_RING_FULL]);
	assert_int_equal(owned_up, ring_missed(harness.ring) - missed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest waits[] = {
		cmocka_unit_test(every_slice_continues_the_one_before),
		cmocka_unit_test(a_wait_lies_between_the_clocks_read_around_it),
		cmocka_unit_test(a_wait_carries_the_tag_of_its_thread),
		cmocka_unit_test(a_wait_names_its_system_call_and_target),
		cmocka_unit_test(a_target_is_the_very_pipe_socket_or_file),
		cmocka_unit_test(a_wait_is_ended_by_its_true_waker),
		cmocka_unit_test(nothing_is_lost_and_what_was_skipped_is_counted),
	};
	const struct CMUnitTest others[] = {
		cmocka_unit_test_teardown(a_mutex_names_its_word_and_owner, close_harness),
		cmocka_unit_test_teardown(ticks_cut_a_long_slice_and_see_its_tag, close_harness),
		cmocka_unit_test_teardown(a_record_without_ids_may_be_half_written, close_harness),
		cmocka_unit_test_teardown(timers_cut_a_slice_of_which_much_was_stolen,
					  close_harness),
		cmocka_unit_test_teardown(ticks_tell_of_both_clocks_where_somebody_is_followed,
					  close_harness),
		cmocka_unit_test_teardown(an_untracked_process_yields_nothing, close_harness),
		cmocka_unit_test_teardown(a_full_ring_is_counted_and_owned_up_to, close_harness),
	};

	harness_init(&harness, argc, argv);
	int failed = cmocka_run_group_tests(waits, play_waits, close_harness) +
		     cmocka_run_group_tests(others, NULL, NULL);

	return harness_verdict(&harness, failed, argv);
}
