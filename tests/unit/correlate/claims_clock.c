/* SPDX-License-Identifier: Apache-2.0 */
/* The time of day is set, slewed, or goes on while the machine sleeps, and SDKs read it, or measure
 * from when they did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/correlate/claims.h"

#define MOST_CHANGES 4

static unsigned check_wall(uint64_t seed, uint64_t most_ns)
{
	struct schedule *s = seed & 16 ? cast_with(seed, true, seed & 32) : cast_hard(seed);
	struct wall wall = wall_random(&s->rng, (unsigned)rng_between(&s->rng, 1, MOST_CHANGES),
				       most_ns, s->now_ns);
	const struct play how = { .wall = &wall,
				  .sdk = seed % 3 == 0 ? SDK_MEASURES : SDK_READS,
				  .grain_ns = seed % 7 == 0 ? MS : 0 };

	return claims_check_play(s, &how);
}

unsigned check_set(uint64_t seed)
{
	return check_wall(seed, seed % 2 ? 100 * MS : 20000 * MS);
}

unsigned check_slewed(uint64_t seed)
{
	return check_wall(seed, 0);
}

void a_time_of_day_that_is_set_makes_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(40, check_set);
}

void a_time_of_day_that_is_slewed_makes_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(40, check_slewed);
}

/* SDKs that read the time of day once, and it was set since: by a little, or by much. */
unsigned check_anchored(uint64_t seed)
{
	struct schedule *s = seed & 16 ? cast_with(seed, true, seed & 32) : cast_hard(seed);
	struct wall wall =
		wall_random(&s->rng, (unsigned)rng_between(&s->rng, 1, 2),
			    seed & 64 ? 20000 * MS : 5 * MS, SCHEDULE_START_NS + 400 * MS);
	const struct play how = { .wall = &wall, .sdk = SDK_ANCHORED };

	return claims_check_play(s, &how);
}

/* Where event loops show no turn, some do, as they do with any clock: loops_that_show_no_turn. */
void an_sdk_that_measures_from_its_begin_hardly_lies(void **state)
{
	(void)state;
	claims_for_most_seeds(60, 1, check_anchored);
}

/* ... before anybody looked: so only tags can tell. By some us, they do not: of 1,000 spans, 0.2
 * are off by more than they say. */
unsigned check_off(uint64_t seed)
{
	struct schedule *s = seed & 16 ? cast_with(seed, true, seed & 32) : cast_hard(seed);
	struct wall wall = wall_even();
	const struct play how = { .wall = &wall, .sdk = SDK_OFF };

	wall.off_ns = (int64_t)rng_scale(&s->rng, US, seed & 64 ? 20000 * MS : 5 * MS);
	if (seed % 2)
		wall.off_ns = -wall.off_ns;
	return claims_check_play(s, &how);
}

void an_sdk_whose_clock_is_off_hardly_lies(void **state)
{
	(void)state;
	claims_for_most_seeds(60, 2, check_off);
}
