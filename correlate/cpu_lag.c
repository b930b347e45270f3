/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/cpu_lag.h"

#include <stdlib.h>

#include "collector/base/macros.h"

#define FAR_WINDOWS 250 /* 1 s on either side, when the CPU was quiet */
#define ENOUGH      3   /* samples that agree: by chance late ones do not */
#define NOISE_NS    500 /* between the two clock readings of a record */

/* The least raw value of the nearest windows on one side, and how many samples say the same. */
struct least {
	int64_t value;
	uint32_t agree;
};

void cpu_lag_fini(struct cpu_lag *lag)
{
	for (unsigned cpu = 0; cpu < EVENT_MAX_CPUS; cpu++) {
		free(lag->cpus[cpu]);
		lag->cpus[cpu] = NULL;
	}
}

void cpu_lag_add(struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw)
{
	uint32_t index = (uint32_t)(time_ns / CPU_LAG_WINDOW_NS);
	struct cpu_lag_window *window;

	if (cpu >= EVENT_MAX_CPUS)
		return;
	if (!lag->cpus[cpu])
		lag->cpus[cpu] = calloc(CPU_LAG_WINDOWS, sizeof(*window));
	if (!lag->cpus[cpu])
		return;
	window = &lag->cpus[cpu][index % CPU_LAG_WINDOWS];
	if (window->index != index || !window->agree)
		*window = (struct cpu_lag_window){ raw, index, 0 };
	if (raw < window->least - NOISE_NS)
		window->agree = 0;
	window->least = MIN(window->least, raw);
	if (time_ns != lag->last_ns[cpu] || !window->agree)
		window->agree += raw <= window->least + NOISE_NS;
	lag->last_ns[cpu] = time_ns;
}

static void merge(struct least *least, const struct cpu_lag_window *window)
{
	if (!least->agree || window->least < least->value - NOISE_NS)
		*least = (struct least){ window->least, window->agree };
	else if (window->least <= least->value + NOISE_NS)
		*least = (struct least){ MIN(least->value, window->least),
					 least->agree + window->agree };
}

static struct least look(const struct cpu_lag *lag, uint32_t cpu, uint32_t from, int32_t step)
{
	struct least least = { INT64_MAX, 0 };

	for (uint32_t i = 0; i < FAR_WINDOWS && least.agree < ENOUGH; i++) {
		uint32_t index = from + i * (uint32_t)step;
		const struct cpu_lag_window *window = &lag->cpus[cpu][index % CPU_LAG_WINDOWS];

		if (window->agree && window->index == index)
			merge(&least, window);
	}
	return least;
}

struct cpu_lag_base cpu_lag_base(const struct cpu_lag *lag, uint32_t cpu, uint64_t from_ns,
				 int64_t raw_from, uint64_t to_ns, int64_t raw_to)
{
	struct cpu_lag_base base = { MIN(raw_from, raw_to), raw_to, CPU_LAG_MAX_NS };
	struct least before, after;
	uint32_t agree;

	if (cpu >= EVENT_MAX_CPUS || !lag->cpus[cpu])
		return base;
	/* not the windows of the moments themselves: those hold what came later, or before */
	before = look(lag, cpu, (uint32_t)(from_ns / CPU_LAG_WINDOW_NS) - 1, -1);
	after = look(lag, cpu, (uint32_t)(to_ns / CPU_LAG_WINDOW_NS) + 1, 1);
	base.highest = after.agree ? MIN(raw_to, after.value) : raw_to;
	base.lowest = MIN(base.highest, raw_from);
	if (before.agree)
		base.lowest = MIN(base.lowest, before.value);
	if (base.highest - base.lowest <= NOISE_NS)
		base.lowest = base.highest;
	agree = MAX(before.agree, after.agree);
	if (from_ns != to_ns && base.lowest == base.highest) /* its own readings say the same */
		agree +=
			(raw_from <= base.highest + NOISE_NS) + (raw_to <= base.highest + NOISE_NS);
	base.thin_ns = CPU_LAG_MAX_NS / ENOUGH * (ENOUGH - MIN(agree, ENOUGH));
	return base;
}
