/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/cpu_lag.h"

#include <stdlib.h>

#include "collector/base/macros.h"

#define BACK_WINDOWS  2500 /* 10 s without a switch, and nothing is known */
#define AGREE_WINDOWS 250  /* 1 s */
#define ENOUGH        3    /* switches that agree */
#define NOISE_NS      500  /* from one to the other, of those that were not late */

void cpu_lag_fini(struct cpu_lag *lag)
{
	for (unsigned cpu = 0; cpu < EVENT_MAX_CPUS; cpu++) {
		free(lag->cpus[cpu]);
		lag->cpus[cpu] = NULL;
	}
}

static uint32_t index_of(uint64_t time_ns)
{
	return (uint32_t)(time_ns / CPU_LAG_WINDOW_NS);
}

static const struct cpu_lag_cpu *cpu_of(const struct cpu_lag *lag, uint32_t cpu)
{
	return cpu < EVENT_MAX_CPUS ? lag->cpus[cpu] : NULL;
}

static const struct cpu_lag_window *window_at(const struct cpu_lag_cpu *cpu, uint32_t index)
{
	const struct cpu_lag_window *window = &cpu->windows[index % CPU_LAG_WINDOWS];

	return window->index_one == index + 1 ? window : NULL;
}

/* The floor by all that came before that window. */
static int64_t floor_before(const struct cpu_lag_cpu *cpu, uint32_t index)
{
	for (uint32_t i = 1; i <= BACK_WINDOWS && i <= index; i++) {
		const struct cpu_lag_window *window = window_at(cpu, index - i);

		if (window)
			return window->floor;
	}
	return INT64_MIN;
}

void cpu_lag_add(struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw, uint64_t most_ns)
{
	uint32_t index = index_of(time_ns);
	struct cpu_lag_window *window;

	if (cpu >= EVENT_MAX_CPUS)
		return;
	if (!lag->cpus[cpu])
		lag->cpus[cpu] = calloc(1, sizeof(*lag->cpus[cpu]));
	if (!lag->cpus[cpu] || index < lag->cpus[cpu]->newest)
		return; /* records of one CPU come in order */
	lag->cpus[cpu]->newest = index;
	window = &lag->cpus[cpu]->windows[index % CPU_LAG_WINDOWS];
	if (window->index_one != index + 1)
		*window = (struct cpu_lag_window){ raw, floor_before(lag->cpus[cpu], index),
						   index + 1, 0 };
	if (raw < window->least - NOISE_NS)
		window->agree = 0;
	window->least = MIN(window->least, raw);
	if (time_ns != lag->cpus[cpu]->last_ns || !window->agree)
		window->agree += raw <= window->least + NOISE_NS;
	lag->cpus[cpu]->last_ns = time_ns;
	if (most_ns < INT64_MAX)
		window->floor = MAX(window->floor, raw - (int64_t)most_ns);
}

/* The least of the nearest windows in which enough switches agree on it. */
static int64_t agreed_before(const struct cpu_lag_cpu *cpu, uint32_t index)
{
	int64_t least = INT64_MAX;
	uint32_t agree = 0;

	for (uint32_t i = 1; i <= AGREE_WINDOWS && i <= index && agree < ENOUGH; i++) {
		const struct cpu_lag_window *window = window_at(cpu, index - i);

		if (!window || (agree && window->least > least + NOISE_NS))
			continue;
		agree = agree && window->least >= least - NOISE_NS ? agree + window->agree
								   : window->agree;
		least = MIN(least, window->least);
	}
	return agree < ENOUGH ? INT64_MIN : least - NOISE_NS;
}

int64_t cpu_lag_floor(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns)
{
	const struct cpu_lag_cpu *of = cpu_of(lag, cpu);
	uint32_t index = index_of(time_ns);

	return of ? MAX(floor_before(of, index), agreed_before(of, index)) : INT64_MIN;
}

int64_t cpu_lag_ceiling(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns,
			uint64_t until_ns)
{
	const struct cpu_lag_cpu *of = cpu_of(lag, cpu);
	uint32_t last = index_of(MIN(time_ns + CPU_LAG_AHEAD_NS, until_ns));
	int64_t least = INT64_MAX;

	for (uint32_t i = index_of(time_ns) + 1; of && i < last; i++) {
		const struct cpu_lag_window *window = window_at(of, i);

		if (window)
			least = MIN(least, window->least);
	}
	return least;
}
