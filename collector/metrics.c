/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

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

void metrics_write(const struct metrics *metrics, struct buf *out)
{
	const char *last = "";

	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const struct row *row = &rows[i];

		if (strcmp(row->name, last) != 0)
			buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n", row->name, row->help,
				   row->name);
		last = row->name;
		buf_append_text(out, row->name);
		if (*row->labels)
			buf_printf(out, "{%s}", row->labels);
		buf_printf(out, " %" PRIu64 "\n", metrics_get(metrics, (enum metric)i));
	}
}
