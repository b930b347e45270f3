/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/metrics.h"

#include <stdatomic.h>

#include "collector/base/macros.h"

static const struct row {
	const char *name, *labels, *help;
} rows[] = {
#define COUNTER(symbol, name, labels, help) { name, labels, help },
#include "collector/metrics.def"
#undef COUNTER
};

_Static_assert(ARRAY_LEN(rows) == METRIC_COUNT, "one row each");

void metrics_add(struct metrics *metrics, enum metric metric, uint64_t amount)
{
	atomic_fetch_add_explicit(&metrics->values[metric], amount, memory_order_relaxed);
}

uint64_t metrics_get(const struct metrics *metrics, enum metric metric)
{
	return atomic_load_explicit(&metrics->values[metric], memory_order_relaxed);
}

void metrics_write(const struct metrics *metrics, struct metrics_text *text)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		metrics_text_family(text, "counter", rows[i].name, rows[i].help);
		metrics_text_count(text, rows[i].labels, metrics_get(metrics, (enum metric)i));
	}
}
