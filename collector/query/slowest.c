/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/slowest.h"

#include <math.h>

#include "collector/base/macros.h"
#include "correlate/rollup.h"
#include "correlate/sketch.h"

struct reading {
	int (*visit)(const struct store_span *span, void *arg);
	void *arg;
	uint64_t read;
};

static int add_rollup(const struct store_rollup *rollup, void *arg)
{
	return rollup_cell_merge(arg, rollup->cell);
}

static int on_span(const struct store_span *span, void *arg)
{
	struct reading *reading = arg;

	if (!span->has_ledger)
		return 0;
	reading->read++;
	return reading->visit(span, reading->arg);
}

/* The quantile lies somewhere in its bucket, so the bucket's least value is asked for; the number
 * of spans makes it exact again. */
static void choose(const struct rollup_cell *cell, double quantile, struct slowest *slowest)
{
	uint64_t count = rollup_cell_sum(cell, ROLLUP_COUNT);
	uint64_t value = rollup_cell_quantile(cell, ROLLUP_WALL, quantile);

	slowest->of = count - (uint64_t)floor(quantile * (double)count);
	slowest->threshold_ns = quantile > 0 ? sketch_low(sketch_bucket(value)) : 0;
}

uint64_t slowest_of(const struct slowest *slowest)
{
	return slowest->is_truncated || slowest->read == SLOWEST_MAX_SPANS ? slowest->of
									   : slowest->read;
}

int slowest_each(struct store *store, const struct conditions *conditions, double quantile,
		 int (*visit)(const struct store_span *span, void *arg), void *arg,
		 struct slowest *out_slowest)
{
	struct store_rollup_query asked = conditions_rollups(conditions);
	struct store_query search = conditions->query;
	struct reading reading = { .visit = visit, .arg = arg };
	struct slowest slowest = { 0 };
	struct rollup_cell cell = { 0 };
	int rc = store_each_rollup(store, &asked, add_rollup, &cell);

	if (rc == 0)
		choose(&cell, quantile, &slowest);
	rollup_cell_fini(&cell);
	search.sort = STORE_SORT_WALL;
	search.any_order = true;
	search.min_wall_ns = slowest.threshold_ns;
	search.limit = MIN(slowest.of, SLOWEST_MAX_SPANS);
	if (rc == 0 && search.limit)
		rc = store_search(store, &search, on_span, &reading, &slowest.is_truncated);
	slowest.read = reading.read;
	if (rc == 0)
		*out_slowest = slowest;
	return rc;
}
