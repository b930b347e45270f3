/* SPDX-License-Identifier: Apache-2.0 */
/* What a profiling agent costs, from its settings: samples a second, times what a sample costs,
 * which depends above all on where symbols are resolved. Depth and upload matter little. Pure
 * arithmetic.
 *
 *   overhead of a CPU = rate x (interrupt + frames x unwinding + frames x symbolization, if in
 * line)
 *                       + 1 / upload interval x upload
 *
 * The constants below are those of a server CPU; a measured overhead scales all of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "collector/base/buf.h"
#include "correlate/profile_rule.h"

#define AGENT_TYPICAL_FRAMES 40  /* of a server's stacks; the limit only counts below it */
#define AGENT_DEFAULT_BUDGET 5.0 /* percent of a CPU */
#define AGENT_MAX_ADVICE     10

enum agent_symbols {
	AGENT_SYMBOLS_UNKNOWN, /* not said: taken as the agent's default, not in line */
	AGENT_SYMBOLS_INLINE,  /* at each sample, while the program waits */
	AGENT_SYMBOLS_ASYNC,   /* by the agent, later, each address once */
	AGENT_SYMBOLS_SERVER,
};

struct agent_settings {
	const char *agent; /* its name */
	double rate_hz, default_rate_hz;
	bool is_rate_told; /* else it is the default */
	char unknown[512]; /* keys that are not in the model, as a list; empty: none */
	enum agent_symbols symbols;
	double depth;    /* limit of frames; 0: not said */
	double upload_s; /* 0: not said */
	double default_upload_s;
	double off_cpu;     /* share of switches that are recorded, 0 to 1 */
	double probability; /* share of time in which it samples; 0: not said (all) */
	bool uses_dwarf;
	bool samples_all_threads; /* wall clock: also those that wait */
	double measured_percent;  /* 0: not known */
	double budget_percent;    /* 0: AGENT_DEFAULT_BUDGET */
};

enum agent_effect { AGENT_HELPS, AGENT_NO_HELP, AGENT_HARMS, AGENT_NOTE };

struct agent_advice {
	enum profile_rule_id rule;
	enum agent_effect effect;
	double saves_percent; /* of a CPU, taken alone */
	double after_percent; /* what is predicted then, with all before it */
	size_t text;          /* offset of its sentence */
};

struct agent_report {
	double predicted_percent; /* of a CPU, by the constants */
	double scale;             /* measured / predicted; 1: not measured */
	double final_percent;     /* with all that helps done */
	bool is_in_budget;
	struct agent_advice advice[AGENT_MAX_ADVICE]; /* what helps first, by effect */
	unsigned advice_count;
	struct buf text;
};

/* Percent of a CPU. */
double agent_model_cost(const struct agent_settings *settings);
/* -ENOMEM. agent_report_fini in any case. */
int agent_model_judge(const struct agent_settings *settings, struct agent_report *out);
void agent_report_fini(struct agent_report *report);
