/* SPDX-License-Identifier: Apache-2.0 */
/* No figure is further off than its ledger admits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/correlate/claims.h"
#include "tests/unit/correlate/scenario.h"

unsigned claims_check_play(struct schedule *s, const struct play *how)
{
	struct outcome outcome = play(s, how);
	unsigned wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome);

	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

unsigned check_no_lie(uint64_t seed)
{
	return claims_check_play(cast_hard(seed), &play_in_time);
}

unsigned check_grain(uint64_t seed)
{
	const struct play coarse = { .grain_ns = seed % 3 ? MS : US };

	return claims_check_play(seed % 2 ? cast_hard(seed) : cast_with(seed, true, true), &coarse);
}

void coarse_clocks_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(100, check_grain);
}

unsigned check_exact_mode(uint64_t seed)
{
	return claims_check_play(cast_with(seed, true, false), &play_in_time);
}

void exact_mode_does_not_lie(void **state)
{
	(void)state;
	claims_for_seeds(80, check_exact_mode);
}

unsigned check_exact_folded(uint64_t seed)
{
	const struct play short_reach = { .order = PLAY_LATE, .reach_ns = 50 * MS };

	return claims_check_play(cast_with(seed, true, seed & 16), &short_reach);
}

void exact_mode_does_not_lie_when_folded(void **state)
{
	(void)state;
	claims_for_seeds(40, check_exact_folded);
}

unsigned check_forks(uint64_t seed)
{
	return claims_check_play(cast_with(seed, seed & 16, true), &play_in_time);
}

void forks_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(80, check_forks);
}

/* Who marks where spans begin and end shows whose those are that no tag tells of. */
unsigned check_marks(uint64_t seed)
{
	struct schedule_knobs knobs = cast_knobs(seed);

	knobs.is_exact = knobs.has_marks = knobs.has_unshown = true;
	knobs.has_no_turns = seed & 16;
	return claims_check_play(cast_random(seed, knobs), &play_in_time);
}

void spans_that_do_not_show_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(100, check_marks);
}

/* Traces of several nodes, event loops with many requests, threads that come and go, crowds. */
unsigned check_styles(uint64_t seed)
{
	struct schedule_knobs knobs = cast_knobs(seed);
	struct schedule *s;
	struct outcome outcome;
	unsigned wrong;

	knobs.is_exact = seed & 16;
	knobs.has_marks = knobs.is_exact && seed & 32;
	knobs.has_forks = seed % 3 == 0;
	knobs.has_no_turns = seed % 2;
	knobs.has_lends = seed % 5 == 0;
	knobs.has_styles = true;
	s = cast_random(seed, knobs);
	outcome = play(s, &play_in_time);
	wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome) + judge_foreign(s, &outcome);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

void no_threading_style_makes_a_lie(void **state)
{
	(void)state;
	claims_for_seeds(100, check_styles);
}

/* Several threads work at a span, one after the other, and their parents are at work meanwhile. */
unsigned check_parts(uint64_t seed)
{
	struct schedule_knobs knobs = cast_knobs(seed);

	knobs.is_exact = seed & 16;
	knobs.has_marks = knobs.is_exact && seed & 32;
	knobs.has_no_turns = true;
	knobs.has_parts = true;
	return claims_check_play(cast_random(seed, knobs), &play_in_time);
}

void spans_worked_at_in_parts_make_no_lie(void **state)
{
	(void)state;
	/* one in a hundred hands a span on to a thread that shows nothing, and nothing says so */
	claims_for_most_seeds(100, 1, check_parts);
}

static unsigned check_long(uint64_t seed, bool has_turns)
{
	struct schedule_knobs knobs = cast_knobs(seed);
	struct schedule *s;

	knobs.has_no_turns = !has_turns;
	s = schedule_new(seed, &knobs);
	scenario_random(s, 200);
	schedule_run(s);
	return claims_check_play(s, &play_in_time);
}

unsigned check_long_pool(uint64_t seed)
{
	return check_long(seed, false);
}

static unsigned check_long_loops(uint64_t seed)
{
	return check_long(seed, true);
}

void who_has_never_taken_turns_is_not_believed_too_much(void **state)
{
	(void)state;
	claims_for_seeds(20, check_long_pool);
	claims_for_seeds(20, check_long_loops);
}

void no_vouched_figure_is_further_off_than_admitted(void **state)
{
	(void)state;
	claims_for_seeds(300, check_no_lie);
}
