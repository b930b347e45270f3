/* SPDX-License-Identifier: Apache-2.0 */
/* What can be known is vouched for, and what cannot is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/correlate/claims.h"
#include "tests/unit/correlate/scenario.h"

static unsigned check_simple(uint64_t seed)
{
	struct schedule *s = cast_simple(seed);
	struct outcome outcome = play(s, &play_in_time);
	unsigned wrong = judge_flaws(s, &outcome) + judge_below(s, &outcome, GRADE_EXACT);

	for (uint32_t i = 0; i < s->span_count; i++)
		wrong += outcome.spans[i].is_there &&
			 judge_errors(s, i, &outcome.spans[i], SLACK_NS);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

void spans_of_one_thread_with_waits_are_exact(void **state)
{
	(void)state;
	claims_for_seeds(100, check_simple);
}

static unsigned check_back_to_back(uint64_t seed)
{
	const struct schedule_knobs knobs = { .cpus = 2 };
	struct schedule *s = schedule_new(seed, &knobs);
	uint32_t thread = cast_one_thread(s);
	uint32_t sleeper = schedule_thread(s, s->threads[thread].process);
	struct outcome outcome;
	unsigned wrong;

	schedule_op(s, sleeper, (struct op){ .kind = OP_RUN, .ns = 20 * US });
	for (unsigned i = 0; i < 10; i++)
		scenario_back_to_back(s, thread, 10);
	schedule_run(s);
	outcome = play(s, &play_in_time);
	wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome) +
		judge_below(s, &outcome, GRADE_BOUNDED);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

void spans_within_one_slice_are_vouched_for_while_others_sleep(void **state)
{
	(void)state;
	claims_for_seeds(30, check_back_to_back);
}

static unsigned check_folded(uint64_t seed)
{
	const struct play short_reach = { .order = PLAY_IN_TIME, .reach_ns = 300 * MS };
	const struct schedule_knobs knobs = { .cpus = 1 + seed % 2, .has_delay = seed & 4 };
	struct schedule *s = schedule_new(seed, &knobs);
	uint32_t thread = cast_one_thread(s);
	int32_t span = scenario_many_waits(s, thread, 1500);
	struct outcome outcome;
	unsigned wrong;

	schedule_run(s);
	outcome = play(s, &short_reach);
	wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome) +
		judge_below(s, &outcome, GRADE_BOUNDED);
	if (!outcome.stats.slices_folded) {
		print_message("  nothing was folded: span %d is too short\n", span);
		wrong++;
	}
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

void a_span_beyond_the_reach_keeps_its_grade(void **state)
{
	(void)state;
	claims_for_seeds(6, check_folded);
}

static unsigned check_no_tags(uint64_t seed)
{
	const struct schedule_knobs knobs = { .cpus = 2 };
	struct schedule *s = schedule_new(seed, &knobs);
	uint32_t thread = schedule_thread(s, schedule_process(s, false));
	struct outcome outcome;
	unsigned wrong;

	scenario_background(s, 500 * MS);
	for (unsigned i = 0; i < 5; i++)
		scenario_nested(s, thread, 3);
	schedule_run(s);
	outcome = play(s, &play_in_time);
	wrong = judge_flaws(s, &outcome);
	for (uint32_t i = 0; i < s->span_count; i++)
		wrong += outcome.spans[i].ledger.grade != GRADE_NONE ||
			 outcome.spans[i].ledger.none_cause != NONE_NO_TAGS;
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

void a_process_without_tags_has_no_figures(void **state)
{
	(void)state;
	claims_for_seeds(5, check_no_tags);
}
