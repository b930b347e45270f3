/* SPDX-License-Identifier: Apache-2.0 */
/* How late the scheduler's own clock runs at a switch.
 *
 * The kernel books a slice from its run-queue clock, which it may reuse from a moment before: a
 * slice is booked `lag` early at its ends (DESIGN 4, rule 3). Each switch gives raw = ktime -
 * exec_start = base + lag, lag >= 0. The base is the distance of the two clocks on that CPU; it
 * only grows, by the time that interrupts and the hypervisor take. So what comes later bounds the
 * base from above, and where the least before and the least after differ, the difference is
 * uncertain. */
#pragma once

#include <stdint.h>

#include "bpf/event.h"

#define CPU_LAG_WINDOW_NS 4000000ull
#define CPU_LAG_WINDOWS   16384 /* of a CPU: 65 s */
#define CPU_LAG_MAX_NS    60000 /* booked so early at most: what was seen, and a margin */

struct cpu_lag_window {
	int64_t least;
	uint32_t index; /* time / CPU_LAG_WINDOW_NS */
	uint32_t agree; /* samples that say the same; 0: the window is not in use */
};

struct cpu_lag {
	struct cpu_lag_window
		*cpus[EVENT_MAX_CPUS]; /* owned; CPU_LAG_WINDOWS each, made when needed */
	uint64_t last_ns[EVENT_MAX_CPUS];
};

void cpu_lag_fini(struct cpu_lag *lag);
/* A switch is told twice, by the one who leaves and the one who comes: that is one sample. */
void cpu_lag_add(struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw);

/* Two moments at which the thread's switches gave these raw values. */
struct cpu_lag_slice {
	uint32_t cpu;
	uint64_t from_ns, to_ns;
	int64_t raw_from, raw_to;
};

/* The base between those moments: at most `highest`, at least `lowest`. `thin_ns`: what few samples
 * leave open besides. */
struct cpu_lag_base {
	int64_t lowest, highest;
	uint64_t thin_ns;
};

struct cpu_lag_base cpu_lag_base(const struct cpu_lag *lag, const struct cpu_lag_slice *slice);
