/* SPDX-License-Identifier: Apache-2.0 */
/* What the pieces of bench_week share: the week that was filled. */
#pragma once

#include "tests/bench/storage/sample.h"

#define WEEK_HOUR_NS (3600 * NS_PER_SEC)

struct week {
	struct store *store;
	struct sample *sample;
	uint64_t start_ns; /* of the first part, and of the first span */
	uint64_t hours;    /* so many parts */
	uint64_t traces, spans, request_bytes, slices, waits;
	uint64_t packing_cpu_ns, packing_longest_ns, packing_steps;
};

/* Bytes a span on disk, by what they are for. */
void week_disk(const struct week *week);
/* How long the questions of a user take. */
void week_ask(struct week *week);
