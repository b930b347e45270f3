/* SPDX-License-Identifier: Apache-2.0 */
/* Lives of services and of the daemon: crowds, logs that begin late, SDKs of which one is coarse,
 * traces that nobody exports, restarts, long spans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/correlate/claims.h"
#include "tests/unit/correlate/losses.h"
#include "tests/unit/correlate/scenario.h"

#define HIDDEN_REQUESTS 200 /* so that one of a fifth of them shows */

static struct schedule_knobs some_knobs(uint64_t seed)
{
	struct schedule_knobs knobs = cast_knobs(seed);

	knobs.is_exact = seed & 16;
	knobs.has_no_turns = seed & 32;
	knobs.has_styles = seed & 64;
	return knobs;
}

/* Much more of them than CPUs. */
unsigned check_crowd(uint64_t seed)
{
	struct schedule_knobs knobs = some_knobs(seed);

	knobs.cpus = 2;
	knobs.crowd = 64;
	return claims_check_play(cast_random(seed, knobs), &play_in_time);
}

void a_crowd_of_threads_makes_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(10, check_crowd);
}

unsigned check_late_log(uint64_t seed)
{
	struct schedule_knobs knobs = some_knobs(seed);

	knobs.is_exact = knobs.logs_late = true;
	return claims_check_play(cast_random(seed, knobs), &play_in_time);
}

void a_log_that_begins_late_makes_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(40, check_late_log);
}

unsigned check_unshown_turns(uint64_t seed)
{
	struct schedule_knobs knobs = cast_knobs(seed);

	knobs.has_styles = knobs.hides_turns = true;
	return claims_check_play(cast_random(seed, knobs), &play_in_time);
}

/* Of an event loop of which no tag tells that it is one: 2 of 3,000 do. */
void loops_that_show_no_turn_hardly_lie(void **state)
{
	(void)state;
	claims_for_seeds(40, check_unshown_turns);
}

/* The processes are: the service, its server, and others. */
unsigned check_one_coarse(uint64_t seed)
{
	const struct play how = { .grain_ns = seed % 3 ? MS : US, .coarse_process = 1 };

	return claims_check_play(cast_random(seed, some_knobs(seed)), &how);
}

void one_coarse_clock_among_others_makes_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(30, check_one_coarse);
}

unsigned check_hidden(uint64_t seed)
{
	struct schedule_knobs knobs = some_knobs(seed);
	struct schedule *s;

	knobs.has_hidden = true;
	knobs.has_no_turns = true;
	s = schedule_new(seed, &knobs);
	scenario_random(s, HIDDEN_REQUESTS);
	schedule_run(s);
	return claims_check_play(s, &play_in_time);
}

/* Until one shows, within a minute, nothing tells of those between two looks: of 400 such services
 * one has spans that are off by more than they say, 8 of 163,000. */
void traces_that_nobody_exports_within_spans_hardly_lie(void **state)
{
	(void)state;
	claims_for_seeds(20, check_hidden);
}

unsigned check_restart(uint64_t seed)
{
	struct schedule_knobs knobs = some_knobs(seed);
	struct schedule *s;
	struct play how = { .order = seed % 2 ? PLAY_IN_TIME : PLAY_SHUFFLED,
			    .is_restart = true,
			    .is_clean = seed & 128 };

	knobs.has_no_turns = true; /* what has shown before is forgotten */
	s = cast_random(seed, knobs);
	how.gap_from_ns = SCHEDULE_START_NS + rng_between(&s->rng, 300 * MS, 500 * MS);
	how.gap_to_ns = how.gap_from_ns + rng_scale(&s->rng, MS, 200 * MS);
	losses_of_time(s, how.gap_from_ns, how.gap_to_ns);
	return claims_check_play(s, &how);
}

void a_restart_in_the_middle_makes_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(30, check_restart);
}

/* Of ten minutes, far beyond what timelines hold; others come and go within. */
unsigned check_ten_minutes(uint64_t seed)
{
	struct schedule_knobs knobs = cast_knobs(seed);
	struct schedule *s;
	uint32_t thread;

	knobs.is_exact = seed & 16;
	s = schedule_new(seed, &knobs);
	thread = cast_one_thread(s);
	s->processes[s->threads[thread].process].is_exact = knobs.is_exact;
	scenario_long(s, thread, 600000 * MS);
	schedule_run(s);
	return claims_check_play(s, &play_in_time);
}

void a_span_of_ten_minutes_makes_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(2, check_ten_minutes);
}
