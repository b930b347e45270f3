/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that know their own truth.
 *
 * A program of this bench opens and closes spans like any instrumented one. Beside each exported
 * time it reads its thread's CPU clock, and so can say what the span really cost. Nothing is
 * printed before truth_print. One thread. */
#pragma once

#include <stdint.h>

#include "deploy/instrument/c/spanwise_context.h"

#define TRUTH_MAX_SPANS 20000

struct truth_span {
	uint8_t trace_id[16], span_id[8], parent_id[8];
	const char *name;
	uint64_t start_ns, end_ns; /* CLOCK_REALTIME, as exported */
	uint64_t cpu_ns;           /* CLOCK_THREAD_CPUTIME_ID between these two */
	uint64_t cpu_slack_ns; /* how far that may be off: the clocks are not read at one instant */
	uint64_t waited_ns;    /* in blocking calls, less the CPU time they took */
	struct spanwise_token token;
	struct truth_span *parent;
};

/* Opens a span below the innermost open one, or as the root of a new trace; it becomes current. */
struct truth_span *truth_open(const char *name);
void truth_close(struct truth_span *span);

/* Around a blocking call: what it waited belongs to all open spans. */
void truth_wait_begin(void);
void truth_wait_end(void);

/* All spans as JSON, one a line, after a line that tells the process's instance id. */
void truth_print(void);

/* Burns CPU for so long by the thread's CPU clock. */
void truth_spin_ns(uint64_t ns);

/* Numbers from a fixed seed: uniform, and uniform in the logarithm. */
uint64_t truth_between(uint64_t least, uint64_t most);
uint64_t truth_length_ns(uint64_t least, uint64_t most);
