/* SPDX-License-Identifier: Apache-2.0 */
/* Does a rule hold for an operation, and what follows from that.
 *
 * Pure: the same measures, states and times give the same answers. Two steps, so that each can be
 * tested alone: alert_judge looks at the figures, alert_step moves the state.
 *
 *                 holds                 for so long            clear for `keep`
 *    inactive ------------> pending ----------------> firing -----------------> resolved
 *       ^  ^-- clear ---------'                          | no data, or coverage too low,
 *       |                                                v for `keep`
 *       '---- clear ---- no_data, low_coverage <---------'
 *
 * A firing alert is not over because its service fell silent: only after `keep` does it leave that
 * state, and then as what it is, no data. From resolved, no_data and low_coverage an alert may
 * become pending again at any time. */
#pragma once

#include "correlate/alert_rule.h"

#define ALERT_RESOLVED_NS (900 * NS_PER_SEC) /* a resolved one is shown so long */

/* What is known of an operation over a stretch of time. Sums are over the covered spans, quantiles
 * over all. */
struct alert_measure {
	uint64_t spans, errors;
	uint64_t covered; /* graded exact, bounded or inferred */
	uint64_t wall_sum_ns, cpu_ns, runnable_ns, elsewhere_ns;
	uint64_t blocked_ns[REASON_COUNT];
	uint64_t wall_ns[QUANTILE_COUNT];
};

/* The window and what it may be compared with. NULL: not asked for, or unknown. */
struct alert_input {
	const struct alert_measure *window, *hour, *yesterday;
};

enum alert_judgement {
	ALERT_CLEAR,
	ALERT_NEAR, /* does not hold, but by less than the hysteresis */
	ALERT_HOLDS,
	ALERT_NO_DATA,      /* fewer than min_count spans */
	ALERT_LOW_COVERAGE, /* too few of them have figures */
	ALERT_NO_BASELINE,  /* nothing to compare with yet; as no data */
};

struct alert_verdict {
	enum alert_judgement judgement;
	double figures[ALERT_MAX_TERMS]; /* of the window, term by term: shares, or ns */
	double bounds[ALERT_MAX_TERMS];  /* what they were compared with; absolute */
};

void alert_judge(const struct alert_rule *rule, const struct alert_input *input,
		 struct alert_verdict *out_verdict);

#define ALERT_STATES(X)                                                                            \
	X(INACTIVE, "inactive")                                                                    \
	X(PENDING, "pending")                                                                      \
	X(FIRING, "firing")                                                                        \
	X(RESOLVED, "resolved")                                                                    \
	X(NO_DATA, "no_data")                                                                      \
	X(LOW_COVERAGE, "low_coverage")

enum alert_state {
#define X(symbol, name) ALERT_STATE_##symbol,
	ALERT_STATES(X)
#undef X
		ALERT_STATE_COUNT
};

/* One rule at one operation. Zeroed: inactive. */
struct alert_life {
	enum alert_state state;
	uint64_t since_unix_ns;  /* in this state */
	uint64_t fired_unix_ns;  /* of the last firing; 0: never */
	uint64_t ended_unix_ns;  /* when that was over; 0: it is not */
	uint64_t better_unix_ns; /* while firing: no longer so since; 0: it is */
};

enum alert_change { ALERT_SAME, ALERT_MOVED, ALERT_FIRED, ALERT_ENDED };

/* Moves one step; to be called at each evaluation with a time that does not go back. ALERT_FIRED
 * and ALERT_ENDED are what is told to people. */
enum alert_change alert_step(const struct alert_rule *rule, enum alert_judgement judgement,
			     uint64_t now_unix_ns, struct alert_life *life);

const char *alert_state_name(enum alert_state state);
