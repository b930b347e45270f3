/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of the collector's own files: a table (metrics.def), atomic, any thread. */
#pragma once

#include <stdint.h>

#include "collector/metrics_text.h"

enum metric {
#define COUNTER(symbol, name, labels, help) METRIC_##symbol,
#include "collector/metrics.def"
#undef COUNTER
	METRIC_COUNT
};

struct metrics {
	_Atomic uint64_t values[METRIC_COUNT];
};

void metrics_add(struct metrics *metrics, enum metric metric, uint64_t amount);
uint64_t metrics_get(const struct metrics *metrics, enum metric metric);

/* This table alone; status.h has the whole. */
void metrics_write(const struct metrics *metrics, struct metrics_text *text);
