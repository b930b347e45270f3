/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's time on a CPU from switch to switch, or to a tick that tells how its CPU clock stood;
 * and that clock in between (DESIGN 4, rule 3).
 *
 * The clock is known at both ends. Within, it runs with the monotonic one, but for what was stolen:
 * when, nobody knows. It is taken for stolen all at once in the middle, which is in the longest of
 * the parts, if one is longer than all others together; and those that own only a part are in doubt
 * by all that may have been stolen. Internal to correlate/. */
#pragma once

#include "correlate/cpu_lag.h"
#include "correlate/slice.h"

struct stint {
	uint64_t in_ns, out_ns;
	uint64_t booked_ns;
	uint64_t doubt_ns; /* of the CPU time of any part of it */
	/* a switch-in that was not reported may have been so much before in_ns, or after it */
	uint64_t in_early_ns, in_late_ns;
	uint64_t until_ns; /* what came later is not asked */
	uint64_t read_ns;  /* of booked_ns, what readings of the clock within have booked */
	uint64_t ahead_ns; /* of what they booked, what ran before the tick at in_ns; UINT64_MAX:
			      it is not known */
	int64_t raw_in, base_in, base_out; /* the latter with what was stolen within */
	int64_t ceiling; /* of the base, by what the caller knows; INT64_MAX: nothing */
};

bool stint_goes_on(const struct slice *slice, const struct slice *after);
/* From `head` to `tail`; `booked_ns` is the sum of their slices', and `ceiling` is set. A lost
 * switch-in of `head` is found again. If `tail` ends with a tick, the thread is still running for
 * all that is known. */
void stint_make(const struct cpu_lag *lag, uint64_t until_ns, struct slice *head,
		const struct slice *tail, struct stint *stint);
/* CPU time on the scheduler's clock: from the switch-in up to then, and between two moments. */
uint64_t stint_cpu_until(const struct stint *stint, uint64_t time_ns);
uint64_t stint_cpu_between(const struct stint *stint, uint64_t start_ns, uint64_t end_ns);
/* The lag of a switch-in at most; CPU_LAG_UNBOUND: nobody knows. */
uint64_t stint_most_lag(const struct slice *slice);
