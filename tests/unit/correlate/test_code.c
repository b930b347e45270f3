/* SPDX-License-Identifier: Apache-2.0 */
/* Which code a slice on a CPU is said to have run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define TICKED 1000u
#define TAKEN  2000u

static const struct event_tag one = { .span_id = { 1 } }, other = { .span_id = { 2 } };

static struct slice slice_of(const struct event_tag *tag, uint32_t flags, uint64_t stack)
{
	struct slice slice = slice_empty();

	slice.tag_in = slice.tag_out = tag;
	slice.flags = flags;
	slice.state = flags & (EVENT_TICK | EVENT_PREEMPTED) ? 0 : 1;
	slice.stack = stack;
	return slice;
}

/* What the stack at a wait says is where it waits, and not what it did before. */
static void a_look_holds_until_the_next_wait(void **state)
{
	struct slice slices[] = {
		slice_of(&one, 0, 7777),            /* nobody looked */
		slice_of(&one, EVENT_PREEMPTED, 0), /* too short to be looked at */
		slice_of(&one, EVENT_TICK, TICKED),
		slice_of(&one, EVENT_PREEMPTED, 0),
		slice_of(&one, EVENT_PREEMPTED, TAKEN),
		slice_of(&one, 0, 7777),
		slice_of(&one, 0, 7777),
	};
	const uint64_t wanted[] = { 0, TICKED, TICKED, TICKED, TAKEN, TAKEN, 0 };
	struct lane lane = { .slices = slices, .count = ARRAY_LEN(slices) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(slices); i++)
		assert_int_equal(overlay_stack_of(&lane, &slices[i]), wanted[i]);
	slices[3].gap = true;
	assert_int_equal(overlay_stack_of(&lane, &slices[3]), TAKEN);
	slices[5].gap = true;
	assert_int_equal(overlay_stack_of(&lane, &slices[5]), 0);
}

static void a_look_is_of_its_own_span(void **state)
{
	struct slice slices[] = {
		slice_of(&one, EVENT_TICK, TICKED),
		slice_of(&other, EVENT_PREEMPTED, 0),
		slice_of(&one, EVENT_PREEMPTED, TAKEN),
		slice_of(&one, 0, 0),
	};
	struct lane lane = { .slices = slices, .count = ARRAY_LEN(slices) };

	(void)state;
	assert_int_equal(overlay_stack_of(&lane, &slices[1]), 0);
	slices[3].tag_out = &other; /* where in it that changed, nobody says */
	assert_int_equal(overlay_stack_of(&lane, &slices[3]), 0);
	slices[2].flags |= SLICE_CHANGE; /* the look was at what came after */
	assert_int_equal(overlay_stack_of(&lane, &slices[2]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_holds_until_the_next_wait),
		cmocka_unit_test(a_look_is_of_its_own_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
