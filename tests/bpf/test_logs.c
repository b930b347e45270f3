/* SPDX-License-Identifier: Apache-2.0 */
/* Logs of changes, honest and hostile: what is told, and that nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

static struct harness harness;

/* Times are the machine's, not the process's. */
static void check_times(const struct event_changes *changes, const struct event_slice *slice)
{
	for (uint32_t i = 0; changes && i < changes->count; i++) {
		uint64_t time_ns = changes->changes[i].time_ns;

		assert_in_range(time_ns, slice->prev_out_ns, slice->out_ns);
	}
}

/* The slice that ends with this wait, and how many changes were told right
 * before it. */
static const struct event_slice *find(const struct harness_wait *wait, uint64_t *out_changes)
{
	const struct event_changes *last = NULL;

	*out_changes = 0;
	for (const struct event_header *at = harness_next(&harness, NULL); at;
	     at = harness_next(&harness, at)) {
		const struct event_changes *changes = (const void *)at;
		const struct event_slice *slice = (const void *)at;

		if (at->kind == EVENT_CHANGES && changes->is_first)
			*out_changes = 0;
		if (at->kind == EVENT_CHANGES) {
			*out_changes += changes->count;
			last = changes;
		}
		if (at->kind != EVENT_SLICE)
			continue;
		check_times(last, slice);
		last = NULL;
		if (slice->state != 0 && slice->out_ns > wait->before_ns &&
		    slice->out_ns < wait->after_ns)
			return slice;
		*out_changes = 0;
	}
	fail_msg("no record of the wait %s", wait->name);
	return NULL;
}

/* Who lost its CPU on its way since the last state, which was over at `since_ns`, has told a part
 * of this one then, and may have been disbelieved then. */
static void check(const struct harness_wait *wait, uint64_t since_ns)
{
	uint64_t changes;
	const struct event_slice *slice = find(wait, &changes);
	bool is_told = slice->header.flags & EVENT_TOLD;
	bool is_whole = slice->prev_out_ns < since_ns;

	if (is_told != (wait->span > 0) && (is_whole || !is_told))
		fail_msg("%s: %s", wait->name, is_told ? "told" : "not told");
	if (is_told && wait->span > 0 && changes > wait->span - 1)
		fail_msg("%s: %lu changes told of %lu", wait->name, changes, wait->span - 1);
	if (is_told && wait->span > 0 && changes < wait->span - 1 && is_whole)
		fail_msg("%s: only %lu changes told of %lu", wait->name, changes, wait->span - 1);
	assert_int_equal(!(slice->header.flags & EVENT_CHANGED), !(is_told && changes));
}

static uint64_t end_of_last(size_t wait)
{
	return wait > 0 ? harness.waits[wait - 1].after_ns : 0;
}

static void play(const char *scenario, bool has_changes)
{
	harness_open(&harness, 1u << 20, 0);
	harness_start(&harness, scenario, false);
	harness.descriptor.has_changes = has_changes;
	assert_int_equal(
		programs_follow(harness.programs, (uint32_t)harness.pid, &harness.descriptor), 0);
	harness_play(&harness, true);
	assert_true(harness.wait_count > 0);
}

static void check_log(const char *scenario)
{
	struct event_counters counters;

	play(scenario, true);
	for (size_t i = 0; i < harness.wait_count; i++)
		check(&harness.waits[i], end_of_last(i));
	ring_counters(harness.ring, &counters);
	assert_int_equal(counters.lost[LOSS_CHANGES], 6);
	harness_close(&harness);
}

static void a_log_is_told_if_it_can_be_believed(void **state)
{
	(void)state;
	check_log("logs");
}

static void a_log_by_a_clock_of_its_own_is_told_by_the_machines(void **state)
{
	(void)state;
	check_log("ahead");
}

/* The program has not said so yet, or nobody has looked since: only that a thread without a record
 * has attached nothing is not known then. */
static void a_log_that_no_descriptor_tells_of_is_told_from_its_first_record_on(void **state)
{
	(void)state;
	play("logs", false);
	for (size_t i = 0; i < harness.wait_count; i++) {
		struct harness_wait *wait = &harness.waits[i];

		if (strcmp(wait->name, "nothing-yet") == 0 || strcmp(wait->name, "never") == 0)
			wait->span = 0;
		check(wait, end_of_last(i));
	}
	harness_close(&harness);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_is_told_if_it_can_be_believed),
		cmocka_unit_test(a_log_by_a_clock_of_its_own_is_told_by_the_machines),
		cmocka_unit_test(
			a_log_that_no_descriptor_tells_of_is_told_from_its_first_record_on),
	};

	harness_init(&harness, argc, argv);
	return harness_verdict(&harness, cmocka_run_group_tests(tests, NULL, NULL), argv);
}
