/* SPDX-License-Identifier: Apache-2.0 */
/* How late the scheduler's own clock runs at a switch.
 *
 * The kernel books a slice from its run-queue clock, which it may have read some time before: a
 * slice is booked `lag` early at its ends (DESIGN 4, rule 3). Each switch gives raw = ktime -
 * exec_start = base + lag. The base is the distance of the two clocks on that CPU: it grows by the
 * time that the hypervisor and, where they are booked apart, interrupts take, and never shrinks.
 * So each switch bounds the base of all earlier moments from above. From below, for all later ones,
 * it is bound by a thread that was woken: waking it read the clock, so that its lag is at most what
 * has passed since; and by several switches that say the same, for by chance late ones do not.
 *
 * Where ticks read both clocks at once (EVENT_CLOCK), all of that is not needed: the base at a
 * moment lies between what the readings before and after it say. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/event.h"

#define CPU_LAG_WINDOW_NS 4000000ull
#define CPU_LAG_WINDOWS   16384                   /* of a CPU: 65 s */
#define CPU_LAG_AHEAD_NS  (5 * CPU_LAG_WINDOW_NS) /* no later moment is asked */
#define CPU_LAG_UNBOUND   UINT64_MAX
#define CPU_LAG_SECONDS   64
#define CPU_LAG_READINGS  8192 /* of a CPU: 80 s of ticks */
#define CPU_LAG_NOISE_NS  500  /* from one switch to the other, of those that were not late */

struct cpu_lag_window {
	int64_t least;      /* of raw */
	int64_t floor;      /* of the base, by who was woken in this window and all before */
	uint32_t index_one; /* time / CPU_LAG_WINDOW_NS + 1; 0: not in use */
	uint32_t agree;     /* switches that say about the least */
};

struct cpu_lag_second {
	int64_t least;      /* of raw */
	uint32_t index_one; /* second + 1; 0: not in use */
	uint32_t count;
};

/* What is known at a moment of the window `index_one` - 1, by all that came before that window:
 * asked for each slice, and the same for many. 0: not in use. */
struct cpu_lag_memo {
	int64_t floor, lowest, highest;
	uint32_t index_one;
	bool is_known; /* lowest and highest */
};

/* Both clocks at one moment. */
struct cpu_lag_reading {
	uint64_t time_ns;  /* 0: not in use */
	int64_t lowest;    /* the base is at least this ... */
	uint64_t width_ns; /* ... and at most so much more */
};

struct cpu_lag_range {
	int64_t lowest, highest;
};

/* A reading narrowed down by others, while none is added; for each slice that is cut the same two
 * are asked. index_one 0: not in use. */
struct cpu_lag_narrowed {
	uint64_t index_one;
	uint64_t readings; /* of all CPUs, by then */
	struct cpu_lag_range range;
};

/* What two readings that are close tell of all moments between them, asked for last. to 0: not in
 * use. */
struct cpu_lag_between {
	uint64_t from_ns, to_ns;
	struct cpu_lag_range base;
};

struct cpu_lag_cpu {
	struct cpu_lag_between between;
	uint32_t newest;    /* the window that was added to last */
	uint64_t last_ns;   /* a switch is told twice, by who leaves and by who comes */
	uint64_t stolen_ns; /* ... in all, as the last record of the CPU told */
	uint64_t window_from_ns, window_to_ns; /* of `newest`; to 0: look again */
	struct cpu_lag_window *window;         /* that one, of windows */
	struct cpu_lag_second *second;         /* ... and of seconds */
	struct cpu_lag_memo memo;
	struct cpu_lag_window windows[CPU_LAG_WINDOWS];
	struct cpu_lag_second seconds[CPU_LAG_SECONDS];
	struct cpu_lag_reading *readings;    /* owned: a ring; NULL: none was told */
	uint64_t reading_count;              /* of all that were */
	uint64_t reading_asked;              /* the number that was found last */
	struct cpu_lag_narrowed narrowed[2]; /* by number */
};

struct cpu_lag {
	struct cpu_lag_cpu *cpus[EVENT_MAX_CPUS]; /* owned; made when needed */
	uint64_t readings;
};

void cpu_lag_fini(struct cpu_lag *lag);

static inline void cpu_lag_count(struct cpu_lag_cpu *cpu, uint64_t time_ns, int64_t raw,
				 uint64_t most_ns)
{
	struct cpu_lag_window *window = cpu->window;

	if (raw < cpu->second->least)
		cpu->second->least = raw;
	cpu->second->count++;
	if (raw < window->least - CPU_LAG_NOISE_NS)
		window->agree = 0;
	if (raw < window->least)
		window->least = raw;
	if (time_ns != cpu->last_ns || !window->agree)
		window->agree += raw <= window->least + CPU_LAG_NOISE_NS;
	cpu->last_ns = time_ns;
	if (most_ns < INT64_MAX && raw - (int64_t)most_ns > window->floor)
		window->floor = raw - (int64_t)most_ns;
}

/* In a window that nothing was added to since something was asked. */
void cpu_lag_add_anew(struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw,
		      uint64_t most_ns);

/* `most_ns`: what the lag is at most; CPU_LAG_UNBOUND: nobody knows. */
static inline void cpu_lag_add(struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw,
			       uint64_t most_ns)
{
	struct cpu_lag_cpu *of = cpu < EVENT_MAX_CPUS ? lag->cpus[cpu] : NULL;

	if (!of || time_ns < of->window_from_ns || time_ns >= of->window_to_ns)
		cpu_lag_add_anew(lag, cpu, time_ns, raw, most_ns);
	else
		cpu_lag_count(of, time_ns, raw, most_ns);
}

/* Both ends of a slice, of which the first one's lag is at most `most_ns`. */
static inline void cpu_lag_add_both(struct cpu_lag *lag, uint32_t cpu, uint64_t in_ns,
				    int64_t raw_in, uint64_t most_ns, uint64_t out_ns,
				    int64_t raw_out)
{
	struct cpu_lag_cpu *of = cpu < EVENT_MAX_CPUS ? lag->cpus[cpu] : NULL;
	int64_t bound;
	uint32_t agree;

	if (!of || in_ns < of->window_from_ns || out_ns >= of->window_to_ns ||
	    raw_in < of->window->least || raw_out < of->window->least) {
		cpu_lag_add(lag, cpu, in_ns, raw_in, most_ns);
		cpu_lag_add(lag, cpu, out_ns, raw_out, CPU_LAG_UNBOUND);
		return;
	}
	/* neither is the least, and a window lies within one second */
	bound = of->window->least + CPU_LAG_NOISE_NS;
	agree = of->window->agree;
	if (in_ns != of->last_ns || !agree)
		agree += raw_in <= bound;
	if (out_ns != in_ns || !agree)
		agree += raw_out <= bound;
	of->window->agree = agree;
	of->second->count += 2;
	of->last_ns = out_ns;
	if (most_ns < INT64_MAX && raw_in - (int64_t)most_ns > of->window->floor)
		of->window->floor = raw_in - (int64_t)most_ns;
}

/* A tick read the scheduler's clock between these readings of the monotonic one. */
void cpu_lag_read(struct cpu_lag *lag, uint32_t cpu, uint64_t before_ns, uint64_t sched_ns,
		  uint64_t after_ns);

bool cpu_lag_ask_told(const struct cpu_lag *lag, struct cpu_lag_cpu *cpu, uint64_t time_ns,
		      uint64_t until_ns, struct cpu_lag_range *out_base);

/* The base at `time_ns`, by readings up to `until_ns`. false: there are none near it. */
static inline bool cpu_lag_told(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns,
				uint64_t until_ns, struct cpu_lag_range *out_base)
{
	struct cpu_lag_cpu *of = cpu < EVENT_MAX_CPUS ? lag->cpus[cpu] : NULL;

	if (!of || time_ns < of->between.from_ns || time_ns >= of->between.to_ns ||
	    until_ns < of->between.to_ns)
		return of && cpu_lag_ask_told(lag, of, time_ns, until_ns, out_base);
	*out_base = of->between.base;
	return true;
}

/* The base at all moments before `time_ns` is at least this; INT64_MIN: nothing is known. */
int64_t cpu_lag_floor(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns);
/* Where what is stolen is told, and so not in raw, the base hardly moves: it is about what switches
 * before `time_ns` agreed on. false: there were too few. */
bool cpu_lag_around(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t *out_lowest,
		    int64_t *out_highest);
/* The base at all moments up to `time_ns` is at most this, by what came within CPU_LAG_AHEAD_NS,
 * but not after `until_ns`; INT64_MAX: nothing is known. */
int64_t cpu_lag_ceiling(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns,
			uint64_t until_ns);
