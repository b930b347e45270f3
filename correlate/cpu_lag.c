/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/cpu_lag.h"

#include <stdlib.h>

#include "collector/base/macros.h"

#define NEAR_WINDOWS 250  /* 1 s on either side */
#define FAR_WINDOWS  2500 /* ... when the CPU was quiet: the base will have grown meanwhile */
#define ENOUGH       3    /* samples that agree: by chance late ones do not */
#define NOISE_NS     500  /* between the two clock readings of a record */

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

static struct least look(const struct cpu_lag *lag, uint32_t cpu, uint32_t from, int32_t step,
			 uint32_t reach)
{
	struct least least = { INT64_MAX, 0 };

	for (uint32_t i = 0; i < reach && least.agree < ENOUGH; i++) {
		uint32_t index = from + i * (uint32_t)step;
		const struct cpu_lag_window *window = &lag->cpus[cpu][index % CPU_LAG_WINDOWS];

		if (window->agree && window->index == index)
			merge(&least, window);
	}
	return least;
}

/* The base by the windows within `reach` on both sides. Not those of the moments themselves: they
 * hold what came later, or before. */
static struct cpu_lag_base bound(const struct cpu_lag *lag, const struct cpu_lag_slice *slice,
				 uint32_t reach)
{
	struct cpu_lag_base base;
	struct least before = look(lag, slice->cpu,
				   (uint32_t)(slice->from_ns / CPU_LAG_WINDOW_NS) - 1, -1, reach);
	struct least after =
		look(lag, slice->cpu, (uint32_t)(slice->to_ns / CPU_LAG_WINDOW_NS) + 1, 1, reach);
	uint32_t agree = MAX(before.agree, after.agree);

	base.highest = after.agree ? MIN(slice->raw_to, after.value) : slice->raw_to;
	base.lowest = MIN(base.highest, slice->raw_from);
	if (before.agree)
		base.lowest = MIN(base.lowest, before.value);
	if (base.highest - base.lowest <= NOISE_NS)
		base.lowest = base.highest;
	if (slice->from_ns != slice->to_ns && base.lowest == base.highest)
		agree += (slice->raw_from <= base.highest + NOISE_NS) + /* its own say the same */
			 (slice->raw_to <= base.highest + NOISE_NS);
	base.thin_ns = CPU_LAG_MAX_NS / ENOUGH * (ENOUGH - MIN(agree, ENOUGH));
	return base;
}

static uint64_t doubt_of(const struct cpu_lag_base *base)
{
	return (uint64_t)(base->highest - base->lowest) + base->thin_ns;
}

struct cpu_lag_base cpu_lag_base(const struct cpu_lag *lag, const struct cpu_lag_slice *slice)
{
	struct cpu_lag_base near, far;

	if (slice->cpu >= EVENT_MAX_CPUS || !lag->cpus[slice->cpu])
		return (struct cpu_lag_base){ MIN(slice->raw_from, slice->raw_to), slice->raw_to,
					      CPU_LAG_MAX_NS };
	near = bound(lag, slice, NEAR_WINDOWS);
	if (!near.thin_ns)
		return near;
	far = bound(lag, slice, FAR_WINDOWS);
	return doubt_of(&far) < doubt_of(&near) ? far : near;
}
