/* SPDX-License-Identifier: Apache-2.0 */
/* Random services against a slow, obviously right oracle.
 *
 * A failure names the seed and the span. `test_correlate_property 7` plays seed 7 alone, with
 * `1-5000` those; a second argument picks the claims by name (`*lie*`), a third one
 * has what was wrong explained, with so many us before and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "tests/unit/correlate/claims.h"
#include "tests/unit/correlate/explain.h"

static uint64_t first_seed = 1,
		last_seed; /* as the command line says; last 0: as each claim says */

static unsigned count_wrong(unsigned count, unsigned (*check)(uint64_t seed))
{
	unsigned wrong = 0;

	for (uint64_t seed = first_seed; seed <= (last_seed ? last_seed : count); seed++) {
		unsigned found = check(seed);

		if (found)
			print_message("seed %llu: %u wrong\n", (unsigned long long)seed, found);
		wrong += found ? 1 : 0;
	}
	return wrong;
}

void claims_for_seeds(unsigned count, unsigned (*check)(uint64_t seed))
{
	assert_int_equal(count_wrong(count, check), 0);
}

void claims_for_most_seeds(unsigned count, unsigned most, unsigned (*check)(uint64_t seed))
{
	assert_in_range(count_wrong(count, check), 0, most);
}

/* Found by long runs of the claims above, and mended since. */
static const struct {
	uint64_t seed;
	unsigned (*check)(uint64_t seed);
} found[] = {
	{ 3010, check_no_lie },
	{ 10053, check_no_lie },
	{ 41304, check_no_lie },
	{ 41455, check_orders },
	{ 201559, check_losses },
	{ 202567, check_losses },
	{ 400282, check_losses },
	{ 400972, check_losses },
	{ 203029, check_losses },
	{ 203449, check_losses },
	{ 204145, check_losses },
	{ 206523, check_losses },
	{ 207301, check_losses },
	{ 208508, check_losses },
	{ 40548, check_no_lie },
	{ 1000047, check_losses },
	{ 1005261, check_losses },
	{ 1005351, check_losses },
	{ 1005462, check_losses },
	{ 1002437, check_losses },
	{ 3004163, check_losses },
	{ 123, check_grain },
	{ 195, check_grain },
	{ 285, check_grain },
	{ 534, check_grain },
	{ 534, check_forks },
	{ 910389, check_exact_mode },
	{ 910135, check_long_pool },
	{ 920532, check_grain },
	{ 921171, check_grain },
	{ 2000005, check_exact_folded },
	{ 2000854, check_exact_mode },
	{ 2001122, check_styles },
	{ 3001639, check_forks },
	{ 7000343, check_grain },
	{ 7002401, check_grain },
	{ 8002471, check_exact_mode },
	{ 30, check_anchored },
	{ 55, check_anchored },
	{ 9004878, check_grain },
	{ 13000194, check_folded_service },
	{ 14002064, check_restart },
	{ 14002007, check_slewed },
	{ 14012607, check_restart },
	{ 14001958, check_restart },
	{ 14012350, check_restart },
	{ 11000318, check_restart },
	{ 21000702, check_restart },
	{ 11000148, check_set },
	{ 11000148, check_slewed },
	{ 21000866, check_slewed },
	{ 21001609, check_set },
	{ 29, check_anchored },
	{ 52, check_anchored },
	{ 21000060, check_anchored },
	{ 21000125, check_anchored },
	{ 21000450, check_anchored },
	{ 21000567, check_anchored },
	{ 21002309, check_anchored },
	{ 26000752, check_anchored },
	{ 21000086, check_off },
	{ 21000213, check_off },
	{ 21000475, check_off },
	{ 21001493, check_off },
	{ 28000076, check_off },
	{ 28000116, check_off },
	{ 28000288, check_off },
	{ 28000404, check_off },
	{ 28001012, check_off },
	{ 28001301, check_off },
	{ 28001398, check_off },
	{ 29000244, check_off },
	{ 28000818, check_anchored },
	{ 28000076, check_anchored },
	{ 28000288, check_anchored },
	{ 28001259, check_anchored },
	{ 29000192, check_anchored },
	{ 3, check_parts },
	{ 165, check_parts },
	{ 362, check_parts },
	{ 836, check_parts },
	{ 298, check_parts },
	{ 1187, check_parts },
	{ 1973, check_parts },
	{ 2236, check_parts },
	{ 570, check_orders },
	{ 1141, check_orders },
	{ 235, check_orders_off },
	{ 871, check_orders_off },
	{ 900, check_orders_off },
	{ 2388, check_orders_off },
	{ 2476, check_orders_off },
	{ 2215, check_orders_off },
	{ 12700548, check_styles },
	{ 12700548, check_forks },
	{ 163, check_slewed },
	{ 983, check_slewed },
	{ 163, check_set },
	{ 983, check_set },
	{ 621, check_slewed },
	{ 621, check_set },
	{ 621, check_off },
	{ 617, check_parts },
	{ 930, check_parts },
	{ 1964, check_parts },
	{ 2636, check_parts },
	{ 800, check_parts },
	{ 1710, check_parts },
	{ 2464, check_parts },
	{ 2785, check_parts },
	{ 31001706, check_parts },
	{ 22228, check_set },
	{ 22228, check_slewed },
	{ 60988, check_set },
	{ 40093, check_set }, /* three traces told each other of their claims for ever */
};

static void seeds_that_once_failed_do_not_any_more(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(found); i++) {
		for (cast_clocks = CLOCKS_TOLD; cast_clocks <= CLOCKS_UNTOLD; cast_clocks++) {
			if (found[i].check(found[i].seed) == 0)
				continue;
			print_message("seed %llu\n", (unsigned long long)found[i].seed);
			wrong++;
		}
	}
	cast_clocks = CLOCKS_AS_SEED;
	assert_int_equal(wrong, 0);
}

static void pick_seeds(const char *text)
{
	char *rest;

	first_seed = last_seed = strtoull(text, &rest, 10);
	if (*rest == '-')
		last_seed = strtoull(rest + 1, NULL, 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_of_one_thread_with_waits_are_exact),
		cmocka_unit_test(spans_within_one_slice_are_vouched_for_while_others_sleep),
		cmocka_unit_test(no_vouched_figure_is_further_off_than_admitted),
		cmocka_unit_test(coarse_clocks_make_no_lie),
		cmocka_unit_test(a_time_of_day_that_is_set_makes_no_lie),
		cmocka_unit_test(a_time_of_day_that_is_slewed_makes_no_lie),
		cmocka_unit_test(an_sdk_that_measures_from_its_begin_hardly_lies),
		cmocka_unit_test(an_sdk_whose_clock_is_off_hardly_lies),
		cmocka_unit_test(exact_mode_does_not_lie),
		cmocka_unit_test(exact_mode_does_not_lie_when_folded),
		cmocka_unit_test(forks_make_no_lie),
		cmocka_unit_test(who_has_never_taken_turns_is_not_believed_too_much),
		cmocka_unit_test(the_same_inputs_give_the_same_bytes),
		cmocka_unit_test(the_order_in_which_spans_come_does_not_matter),
		cmocka_unit_test(the_order_does_not_matter_where_clocks_are_off),
		cmocka_unit_test(a_late_root_revises_to_what_it_would_have_been),
		cmocka_unit_test(no_threading_style_makes_a_lie),
		cmocka_unit_test(spans_that_do_not_show_make_no_lie),
		cmocka_unit_test(spans_worked_at_in_parts_make_no_lie),
		cmocka_unit_test(loops_that_show_no_turn_hardly_lie),
		cmocka_unit_test(a_crowd_of_threads_makes_no_lie),
		cmocka_unit_test(a_log_that_begins_late_makes_no_lie),
		cmocka_unit_test(one_coarse_clock_among_others_makes_no_lie),
		cmocka_unit_test(traces_that_nobody_exports_within_spans_hardly_lie),
		cmocka_unit_test(a_restart_in_the_middle_makes_no_lie),
		cmocka_unit_test(a_span_of_ten_minutes_makes_no_lie),
		cmocka_unit_test(slips_make_no_lie),
		cmocka_unit_test(libraries_with_resources_of_their_own_make_no_lie),
		cmocka_unit_test(numbers_of_threads_that_have_ended_make_no_lie),
		cmocka_unit_test(batches_make_no_lie),
		cmocka_unit_test(all_of_that_with_losses_hardly_lies),
		cmocka_unit_test(losses_make_no_lie),
		cmocka_unit_test(a_full_ring_and_a_full_table_make_no_lie),
		cmocka_unit_test(seeds_that_once_failed_do_not_any_more),
		cmocka_unit_test(a_loss_leaves_the_other_spans_exact),
		cmocka_unit_test(a_span_beyond_the_reach_keeps_its_grade),
		cmocka_unit_test(what_was_folded_does_not_lie),
		cmocka_unit_test(a_process_without_tags_has_no_figures),
		cmocka_unit_test(hostile_records_break_no_identity),
	};

	int failed;

	if (argc > 1)
		pick_seeds(argv[1]);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	if (argc > 3)
		explain_margin_ns = strtoull(argv[3], NULL, 10) * US;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	judge_tell();
	return failed;
}
