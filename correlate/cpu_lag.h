/* SPDX-License-Identifier: Apache-2.0 */
/* How late the scheduler's own clock runs at a switch.
 *
 * The kernel books a slice from its run-queue clock, which it may reuse from a moment before: a
 * slice is booked `lag` early at its ends (DESIGN 4, rule 3). lag = (ktime - exec_start) less the
 * least such difference on that CPU around that time; the least is the constant distance of the two
 * clocks. */
#pragma once

#include <stdint.h>

#include "bpf/event.h"

#define CPU_LAG_WINDOW_NS 100000000ull
#define CPU_LAG_WINDOWS   1024 /* of a CPU: 102 s */

struct cpu_lag_window {
	uint64_t index; /* time / CPU_LAG_WINDOW_NS */
	int64_t least;
	uint32_t samples;
};

struct cpu_lag {
	struct cpu_lag_window
		*cpus[EVENT_MAX_CPUS]; /* owned; CPU_LAG_WINDOWS each, made when needed */
};

void cpu_lag_fini(struct cpu_lag *lag);
void cpu_lag_add(struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw);

/* The lag at `time_ns`, never negative; `*out_uncertain_ns` grows by what it may be off. */
uint64_t cpu_lag_of(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw,
		    uint64_t *out_uncertain_ns);
