/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/trace_events.h"

#define PID 10
#define TID 11

static void add_span(struct trace_events *events, uint64_t end_ns, bool truncated,
		     const struct ledger_slice *slices, uint16_t slice_count,
		     struct ledger_wait *waits, uint16_t wait_count)
{
	struct store_span stored = {
		.span = { .start_unix_ns = 0, .end_unix_ns = end_ns },
		.has_ledger = true,
		.ledger = { .grade = GRADE_EXACT,
			    .wall_ns = end_ns,
			    .pid = PID,
			    .slices_truncated = truncated,
			    .slices = (struct ledger_slice *)slices,
			    .slice_count = slice_count,
			    .waits = waits,
			    .wait_count = wait_count },
	};

	assert_int_equal(trace_events_add(events, &stored), 0);
}

static struct ledger_slice slice(uint64_t start, uint64_t ns, uint8_t state, uint8_t reason)
{
	return (struct ledger_slice){ start, ns, TID, state, reason };
}

static void check(const struct traced_slice *slice, uint64_t start, uint64_t end, uint8_t state)
{
	assert_int_equal(slice->start_ns, start);
	assert_int_equal(slice->end_ns, end);
	assert_int_equal(slice->state, state);
}

/* The parent's slices were merged; the child's say what really was. */
static void each_instant_of_a_thread_is_drawn_once(void **state)
{
	const struct ledger_slice parent[] = { slice(0, 100, STATE_RUNNING, 0) };
	const struct ledger_slice child[] = { slice(20, 10, STATE_RUNNING, 0),
					      slice(30, 30, STATE_BLOCKED, REASON_NET),
					      slice(60, 20, STATE_RUNNING, 0) };
	struct traced_slice *slices;
	struct trace_events events;
	size_t count;

	(void)state;
	trace_events_init(&events, NULL);
	add_span(&events, 100, true, parent, ARRAY_LEN(parent), NULL, 0);
	add_span(&events, 80, false, child, ARRAY_LEN(child), NULL, 0);
	assert_int_equal(trace_events_tracks(&events, &slices, &count), 0);
	assert_int_equal(count, 3);
	check(&slices[0], 0, 30, STATE_RUNNING);
	check(&slices[1], 30, 60, STATE_BLOCKED);
	check(&slices[2], 60, 100, STATE_RUNNING);
	free(slices);
	trace_events_fini(&events);
}

static void gaps_stay_gaps(void **state)
{
	const struct ledger_slice own[] = { slice(0, 10, STATE_RUNNING, 0),
					    slice(50, 10, STATE_RUNNING, 0) };
	struct traced_slice *slices;
	struct trace_events events;
	size_t count;

	(void)state;
	trace_events_init(&events, NULL);
	add_span(&events, 100, false, own, ARRAY_LEN(own), NULL, 0);
	assert_int_equal(trace_events_tracks(&events, &slices, &count), 0);
	assert_int_equal(count, 2);
	check(&slices[0], 0, 10, STATE_RUNNING);
	check(&slices[1], 50, 60, STATE_RUNNING);
	free(slices);
	trace_events_fini(&events);
}

static struct ledger_wait wait_of(uint32_t count, uint64_t ns, uint32_t first, uint32_t second)
{
	struct ledger_wait wait = { .reason = REASON_LOCK, .count = count, .ns = ns };

	wait.wakers[wait.waker_count].ns = second ? ns / 2 : ns;
	wait.wakers[wait.waker_count++].tid = first;
	if (second)
		wait.wakers[wait.waker_count++].tid = second;
	return wait;
}

static uint32_t waker_of(struct ledger_wait *waits, uint16_t count, uint64_t ns)
{
	const struct ledger_slice own[] = { slice(0, ns, STATE_BLOCKED, REASON_LOCK) };
	const struct ledger_waker *waker;
	struct trace_events events;
	uint32_t tid;

	trace_events_init(&events, NULL);
	add_span(&events, 100, false, own, 1, waits, count);
	waker = trace_events_waker(&events, &events.slices[0]);
	tid = waker ? waker->tid : 0;
	trace_events_fini(&events);
	return tid;
}

static void an_arrow_is_drawn_only_without_a_doubt(void **state)
{
	struct ledger_wait one[] = { wait_of(1, 30, 7, 0) };
	struct ledger_wait many[] = { wait_of(3, 90, 7, 0) };
	struct ledger_wait two_wakers[] = { wait_of(3, 90, 7, 8) };
	struct ledger_wait two_waits[] = { wait_of(2, 60, 7, 0), wait_of(2, 50, 8, 0) };
	struct ledger_wait by_length[] = { wait_of(2, 60, 7, 0), wait_of(1, 30, 8, 0) };
	struct ledger_wait too_short[] = { wait_of(2, 60, 7, 0), wait_of(2, 20, 8, 0) };

	struct ledger_wait not_all[] = { wait_of(3, 90, 7, 0) };

	(void)state;
	not_all[0].wakers[0].ns = 60;
	assert_int_equal(waker_of(not_all, 1, 30), 0);
	assert_int_equal(waker_of(one, 1, 30), 7);
	assert_int_equal(waker_of(many, 1, 30), 7);
	assert_int_equal(waker_of(two_wakers, 1, 30), 0);
	assert_int_equal(waker_of(two_waits, 2, 30), 0);
	assert_int_equal(waker_of(by_length, 2, 30), 8);
	assert_int_equal(waker_of(too_short, 2, 30), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_instant_of_a_thread_is_drawn_once),
		cmocka_unit_test(gaps_stay_gaps),
		cmocka_unit_test(an_arrow_is_drawn_only_without_a_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
