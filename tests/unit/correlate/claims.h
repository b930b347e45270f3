/* SPDX-License-Identifier: Apache-2.0 */
/* The claims of the property test, a file for each kind (claims_*.c), and what they share. */
#pragma once

#include "tests/unit/correlate/cast.h"
#include "tests/unit/correlate/judge.h"
#include "tests/unit/correlate/player.h"

/* Calls `check` for seeds from 1 to `count`, or for those of the command line; it returns the
 * number of things that were wrong. */
void claims_for_seeds(unsigned count, unsigned (*check)(uint64_t seed));
/* ... of what is known to go wrong for a few. */
void claims_for_most_seeds(unsigned count, unsigned most, unsigned (*check)(uint64_t seed));
/* Flaws and lies of a schedule so played. Takes the schedule. */
unsigned claims_check_play(struct schedule *schedule, const struct play *how);

/* claims_grade.c */
void spans_of_one_thread_with_waits_are_exact(void **state);
void spans_within_one_slice_are_vouched_for_while_others_sleep(void **state);
void a_span_beyond_the_reach_keeps_its_grade(void **state);
void a_process_without_tags_has_no_figures(void **state);

/* claims_lie.c */
void coarse_clocks_make_no_lie(void **state);
void exact_mode_does_not_lie(void **state);
void exact_mode_does_not_lie_when_folded(void **state);
void forks_make_no_lie(void **state);
void who_has_never_taken_turns_is_not_believed_too_much(void **state);
void no_vouched_figure_is_further_off_than_admitted(void **state);
void no_threading_style_makes_a_lie(void **state);
void spans_that_do_not_show_make_no_lie(void **state);
void spans_worked_at_in_parts_make_no_lie(void **state);
unsigned check_parts(uint64_t seed);
unsigned check_marks(uint64_t seed);
unsigned check_styles(uint64_t seed);
unsigned check_no_lie(uint64_t seed);
unsigned check_grain(uint64_t seed);
unsigned check_exact_mode(uint64_t seed);
unsigned check_exact_folded(uint64_t seed);
unsigned check_folded_service(uint64_t seed);
unsigned check_forks(uint64_t seed);
unsigned check_long_pool(uint64_t seed);

/* claims_slips.c */
void slips_make_no_lie(void **state);
void libraries_with_resources_of_their_own_make_no_lie(void **state);
void numbers_of_threads_that_have_ended_make_no_lie(void **state);
void batches_make_no_lie(void **state);
void all_of_that_with_losses_hardly_lies(void **state);
unsigned check_slips(uint64_t seed);
unsigned check_libraries(uint64_t seed);
unsigned check_tids(uint64_t seed);
unsigned check_batches(uint64_t seed);
unsigned check_all_at_once(uint64_t seed);

/* claims_clock.c */
void a_time_of_day_that_is_set_makes_no_lie(void **state);
void a_time_of_day_that_is_slewed_makes_no_lie(void **state);
void an_sdk_that_measures_from_its_begin_hardly_lies(void **state);
void an_sdk_whose_clock_is_off_hardly_lies(void **state);
unsigned check_anchored(uint64_t seed);
unsigned check_off(uint64_t seed);
unsigned check_set(uint64_t seed);
unsigned check_slewed(uint64_t seed);

/* claims_life.c */
void a_crowd_of_threads_makes_no_lie(void **state);
void a_log_that_begins_late_makes_no_lie(void **state);
void one_coarse_clock_among_others_makes_no_lie(void **state);
void traces_that_nobody_exports_within_spans_hardly_lie(void **state);
void a_restart_in_the_middle_makes_no_lie(void **state);
void a_span_of_ten_minutes_makes_no_lie(void **state);
void loops_that_show_no_turn_hardly_lie(void **state);
unsigned check_unshown_turns(uint64_t seed);
unsigned check_crowd(uint64_t seed);
unsigned check_late_log(uint64_t seed);
unsigned check_one_coarse(uint64_t seed);
unsigned check_hidden(uint64_t seed);
unsigned check_restart(uint64_t seed);
unsigned check_ten_minutes(uint64_t seed);

/* claims_order.c */
void the_same_inputs_give_the_same_bytes(void **state);
void the_order_in_which_spans_come_does_not_matter(void **state);
void the_order_does_not_matter_where_clocks_are_off(void **state);
void a_late_root_revises_to_what_it_would_have_been(void **state);
unsigned check_orders(uint64_t seed);
unsigned check_orders_off(uint64_t seed);

/* claims_loss.c */
void losses_make_no_lie(void **state);
void a_loss_leaves_the_other_spans_exact(void **state);
void what_was_folded_does_not_lie(void **state);
void a_full_ring_and_a_full_table_make_no_lie(void **state);
unsigned check_more_losses(uint64_t seed);
unsigned check_losses(uint64_t seed);

/* claims_hostile.c */
void hostile_records_break_no_identity(void **state);
