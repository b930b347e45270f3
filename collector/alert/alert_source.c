/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_source.h"

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "correlate/rollup.h"
#include "storage/store.h"

#define MINUTE_NS   (60 * NS_PER_SEC)
#define DEADLINE_NS (10 * NS_PER_SEC)

struct reading {
	int (*visit)(const struct alert_subject *subject, const struct alert_measure *measure,
		     void *arg);
	void *arg;
};

static void find_quantiles(const struct rollup_cell *cell, struct alert_measure *measure)
{
	static const double quantiles[QUANTILE_COUNT] = {
		[QUANTILE_P50] = 0.50,
		[QUANTILE_P90] = 0.90,
		[QUANTILE_P95] = 0.95,
		[QUANTILE_P99] = 0.99,
	};

	for (unsigned i = 0; i < QUANTILE_COUNT; i++)
		measure->wall_ns[i] = rollup_cell_quantile(cell, ROLLUP_WALL, quantiles[i]);
}

static struct alert_measure measure_of(const struct rollup_cell *cell)
{
	struct alert_measure measure = {
		.spans = rollup_cell_sum(cell, ROLLUP_COUNT),
		.errors = rollup_cell_sum(cell, ROLLUP_ERRORS),
		.covered = rollup_cell_figured(cell),
		.wall_sum_ns = rollup_cell_sum(cell, ROLLUP_FIGURED_WALL_NS),
		.cpu_ns = rollup_cell_sum(cell, ROLLUP_CPU_NS),
		.runnable_ns = rollup_cell_sum(cell, ROLLUP_RUNNABLE_NS),
		.elsewhere_ns = rollup_cell_sum(cell, ROLLUP_ELSEWHERE_NS),
	};

	for (unsigned i = 0; i < REASON_COUNT; i++)
		measure.blocked_ns[i] = rollup_cell_sum(cell, ROLLUP_BLOCKED_NS + i);
	find_quantiles(cell, &measure);
	return measure;
}

static int on_rollup(const struct store_rollup *rollup, void *arg)
{
	struct reading *reading = arg;
	struct alert_subject subject = { rollup->service, rollup->operation, rollup->kind };
	struct alert_measure measure = measure_of(rollup->cell);

	return measure.spans ? reading->visit(&subject, &measure, reading->arg) : 0;
}

int alert_source_each(struct store *store, const struct alert_range *range,
		      int (*visit)(const struct alert_subject *subject,
				   const struct alert_measure *measure, void *arg),
		      void *arg)
{
	struct store_rollup_query query = {
		.service = range->service,
		.operation = range->operation,
		.from_unix_ns = range->from_minute * MINUTE_NS,
		.to_unix_ns = range->to_minute * MINUTE_NS,
		.mono_ns = clock_mono_ns,
		.deadline_mono_ns = clock_mono_ns() + DEADLINE_NS,
	};
	struct reading reading = { visit, arg };

	return store_each_rollup(store, &query, on_rollup, &reading);
}
