/* SPDX-License-Identifier: Apache-2.0 */
/* What is told in short is, byte for byte, what would have been told in full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"

static struct harness harness;

/* The harness compares each of them as it comes. */
static size_t play(const char *scenario, bool takes_stacks)
{
	size_t told;

	harness_open_twice(&harness, takes_stacks);
	harness_run(&harness, scenario);
	told = harness.told_in_short;
	assert_int_equal(ring_malformed(harness.ring), 0);
	harness_close(&harness);
	return told;
}

static void slices_told_in_short_are_those_told_in_full(void **state)
{
	(void)state;
	/* 1500 waits; of five, three are like the one before */
	assert_true(play("rounds", false) > 500);
	play("flood", false);
	play("waits", false);
	play("mutex", false);
	play("life", false);
	play("births", false);
	play("spin", false);
}

static void stacks_are_told_in_short_too(void **state)
{
	(void)state;
	assert_true(play("rounds", true) > 100);
}

/* None in a row is too long for who has missed one. */
static void now_and_then_one_is_told_in_full(void **state)
{
	const struct event_header *record = NULL;
	size_t slices = 0;

	(void)state;
	harness_open(&harness, 4u << 20, 0);
	harness_run(&harness, "rounds");
	while ((record = harness_next(&harness, record)))
		slices += record->kind == EVENT_SLICE;
	assert_true(harness.told_in_short > 500);
	assert_true(harness.told_in_short <= slices - slices / (EVENT_AGAIN_MOST + 1));
	harness_close(&harness);
}

/* What found no room is never what a short one refers to: the harness asserts that. */
static void after_a_loss_a_slice_is_told_in_full(void **state)
{
	const struct event_header *record = NULL;
	uint64_t owned_up = 0;

	(void)state;
	harness_open(&harness, 65536, 0);
	harness_start(&harness, "gated-rounds", true);
	harness_play_gated(&harness);
	while ((record = harness_next(&harness, record)))
		if (record->kind == EVENT_SLICE)
			owned_up += ((const struct event_slice *)record)->lost_before;
	assert_true(owned_up > 0);
	assert_true(harness.told_in_short > 0);
	assert_int_equal(owned_up, ring_missed(harness.ring));
	harness_close(&harness);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_told_in_short_are_those_told_in_full),
		cmocka_unit_test(stacks_are_told_in_short_too),
		cmocka_unit_test(now_and_then_one_is_told_in_full),
		cmocka_unit_test(after_a_loss_a_slice_is_told_in_full),
	};

	harness_init(&harness, argc, argv);
	return harness_verdict(&harness, cmocka_run_group_tests(tests, NULL, NULL), argv);
}
