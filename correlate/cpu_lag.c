/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/cpu_lag.h"

#include <stdlib.h>

#include "collector/base/macros.h"

#define NEAR_WINDOWS   2  /* 200 ms on either side */
#define FAR_WINDOWS    20 /* when the CPU was quiet */
#define ENOUGH_SAMPLES 8
#define DRIFT_PPM      20    /* of one clock against the other, beyond the near windows */
#define LAG_MAX_NS     60000 /* booked so early at most: what was seen, and a margin */

void cpu_lag_fini(struct cpu_lag *lag)
{
	for (unsigned cpu = 0; cpu < EVENT_MAX_CPUS; cpu++) {
		free(lag->cpus[cpu]);
		lag->cpus[cpu] = NULL;
	}
}

static struct cpu_lag_window *window_at(const struct cpu_lag *lag, uint32_t cpu, uint64_t index)
{
	return &lag->cpus[cpu][index % CPU_LAG_WINDOWS];
}

void cpu_lag_add(struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw)
{
	uint64_t index = time_ns / CPU_LAG_WINDOW_NS;
	struct cpu_lag_window *window;

	if (cpu >= EVENT_MAX_CPUS)
		return;
	if (!lag->cpus[cpu])
		lag->cpus[cpu] = calloc(CPU_LAG_WINDOWS, sizeof(*window));
	if (!lag->cpus[cpu])
		return;
	window = window_at(lag, cpu, index);
	if (window->index != index || !window->samples)
		*window = (struct cpu_lag_window){ index, raw, 0 };
	window->least = MIN(window->least, raw);
	window->samples++;
}

static void widen(const struct cpu_lag *lag, uint32_t cpu, uint64_t index, int64_t *least,
		  uint32_t *samples)
{
	const struct cpu_lag_window *window = window_at(lag, cpu, index);

	if (!window->samples || window->index != index)
		return;
	*least = MIN(*least, window->least);
	*samples += window->samples;
}

uint64_t cpu_lag_of(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw,
		    uint64_t *out_uncertain_ns)
{
	uint64_t center = time_ns / CPU_LAG_WINDOW_NS, distance = 0;
	uint32_t samples = 0;
	int64_t least = raw;

	if (cpu >= EVENT_MAX_CPUS || !lag->cpus[cpu]) {
		*out_uncertain_ns += LAG_MAX_NS;
		return 0;
	}
	for (; distance <= FAR_WINDOWS; distance++) {
		if (distance > NEAR_WINDOWS && samples >= ENOUGH_SAMPLES)
			break;
		widen(lag, cpu, center + distance, &least, &samples);
		if (distance && center >= distance)
			widen(lag, cpu, center - distance, &least, &samples);
	}
	if (samples < ENOUGH_SAMPLES)
		*out_uncertain_ns += LAG_MAX_NS / ENOUGH_SAMPLES * (ENOUGH_SAMPLES - samples);
	else if (distance > NEAR_WINDOWS + 1)
		*out_uncertain_ns +=
			(distance - NEAR_WINDOWS) * CPU_LAG_WINDOW_NS / 1000000 * DRIFT_PPM;
	return (uint64_t)(raw - least);
}
