/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are not careful: with contexts, with numbers, with what they say of themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/correlate/claims.h"
#include "tests/unit/correlate/losses.h"

static struct schedule_knobs some_knobs(uint64_t seed)
{
	struct schedule_knobs knobs = cast_knobs(seed);

	knobs.is_exact = seed & 16;
	knobs.has_marks = knobs.is_exact && seed & 32;
	knobs.has_no_turns = seed % 3;
	return knobs;
}

unsigned check_slips(uint64_t seed)
{
	struct schedule_knobs knobs = some_knobs(seed);

	knobs.has_slips = true;
	return claims_check_play(cast_random(seed, knobs), &play_in_time);
}

void slips_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(40, check_slips);
}

unsigned check_libraries(uint64_t seed)
{
	struct schedule_knobs knobs = some_knobs(seed);

	knobs.has_libraries = true;
	knobs.has_styles = seed & 64;
	knobs.has_forks = seed & 128;
	return claims_check_play(cast_random(seed, knobs), &play_in_time);
}

void libraries_with_resources_of_their_own_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(40, check_libraries);
}

unsigned check_tids(uint64_t seed)
{
	struct schedule_knobs knobs = some_knobs(seed);

	knobs.reuses_tids = knobs.has_styles = true;
	return claims_check_play(cast_random(seed, knobs), &play_in_time);
}

void numbers_of_threads_that_have_ended_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(40, check_tids);
}

/* Each second, say, a process sends what it has. */
unsigned check_batches(uint64_t seed)
{
	const struct play how = { .order = PLAY_BATCHED };
	struct schedule_knobs knobs = some_knobs(seed);

	knobs.has_styles = seed & 64;
	knobs.has_libraries = seed & 128;
	knobs.has_slips = seed & 256;
	return claims_check_play(cast_random(seed, knobs), &how);
}

void batches_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(40, check_batches);
}

/* All of these at once, of which records are lost, or arrive in any order, or leave the timelines.
 * 2 of 2,000 lie: the only record is lost that shows what nobody exports on another thread. */
unsigned check_all_at_once(uint64_t seed)
{
	const struct play how = { .order = seed % 5 == 0 ? PLAY_SHUFFLED : PLAY_BATCHED,
				  .reach_ns = seed % 7 == 0 ? 100 * MS : 0 };
	struct schedule_knobs knobs = some_knobs(seed);
	struct schedule *s;

	knobs.has_slips = knobs.has_styles = knobs.has_libraries = knobs.reuses_tids = true;
	s = cast_random(seed, knobs);
	if (seed & 64)
		losses_of_records(s, &s->rng, 3);
	else if (seed & 128)
		losses_of_switch_ins(s, &s->rng, 5);
	else if (seed & 256)
		losses_of_burst(s, SCHEDULE_START_NS + 350 * MS, SCHEDULE_START_NS + 380 * MS);
	return claims_check_play(s, &how);
}

void all_of_that_with_losses_hardly_lies(void **state)
{
	(void)state;
	claims_for_seeds(40, check_all_at_once);
}
