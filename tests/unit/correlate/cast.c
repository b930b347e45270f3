/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/cast.h"

#include "tests/unit/correlate/scenario.h"

enum cast_clocks cast_clocks;

struct schedule *cast_random(uint64_t seed, struct schedule_knobs knobs)
{
	struct schedule *s = schedule_new(seed, &knobs);

	s->knobs.cpus = (uint32_t)rng_between(&s->rng, 1, knobs.cpus);
	scenario_random(s, 20);
	schedule_run(s);
	return s;
}

struct schedule *cast_hard(uint64_t seed)
{
	const struct schedule_knobs knobs = {
		.cpus = 3,
		.has_lag = seed & 1,
		.has_steal = seed & 2,
		.has_delay = seed & 4,
		.tells_stolen = seed & 8,
		.tells_clock =
			cast_clocks == CLOCKS_AS_SEED ? seed & 16 : cast_clocks == CLOCKS_TOLD,
	};

	return cast_random(seed, knobs);
}

uint32_t cast_one_thread(struct schedule *s)
{
	uint32_t thread = schedule_thread(s, schedule_process(s, true));

	scenario_background(s, 1500 * MS);
	schedule_op(s, thread, (struct op){ .kind = OP_RUN, .ns = 20 * US });
	schedule_op(s, thread, (struct op){ .kind = OP_BLOCK, .wait = WAIT_FUTEX, .ns = 300 * MS });
	return thread;
}

struct schedule *cast_simple(uint64_t seed)
{
	const struct schedule_knobs knobs = { .cpus = 1 + seed % 2 };
	struct schedule *s = schedule_new(seed, &knobs);
	uint32_t thread = cast_one_thread(s);

	for (unsigned i = 0; i < 4; i++) {
		scenario_nested(s, thread, 1 + (unsigned)rng_below(&s->rng, 4));
		scenario_many_waits(s, thread, 5);
	}
	schedule_run(s);
	return s;
}

void cast_name_processes(struct schedule *s)
{
	for (uint32_t i = 0; i < s->process_count; i++)
		s->processes[i].says_pid = true;
}

struct schedule_knobs cast_knobs(uint64_t seed)
{
	return (struct schedule_knobs){
		.cpus = 3,
		.has_lag = seed & 1,
		.has_steal = seed & 2,
		.has_delay = seed & 4,
		.tells_stolen = true,
		.tells_clock = seed & 8,
	};
}

struct schedule *cast_with(uint64_t seed, bool is_exact, bool has_forks)
{
	struct schedule_knobs knobs = cast_knobs(seed);

	knobs.is_exact = is_exact;
	knobs.has_marks = is_exact && seed % 3;
	knobs.has_forks = has_forks;
	return cast_random(seed, knobs);
}
