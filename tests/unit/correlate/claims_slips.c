/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are not careful: with contexts, with numbers, with what they say of themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/correlate/claims.h"

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
