/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/slowest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

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

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left < *right) - (*left > *right);
}

static uint64_t share_of(uint64_t count, double quantile)
{
	return count - (uint64_t)floor(quantile * (double)count);
}

static void choose_counted(const struct buf *found, double quantile, struct slowest *slowest)
{
	uint64_t *walls = (void *)found->data;
	uint64_t count = found->len / sizeof(*walls);

	slowest->is_exact = true;
	slowest->of = share_of(count, quantile);
	if (!slowest->of)
		return;
	qsort(walls, count, sizeof(*walls), compare);
	slowest->threshold_ns = walls[slowest->of - 1];
}

/* The quantile lies somewhere in its bucket, so the bucket's least value is asked for; the number
 * of spans makes it exact again. */
static void choose_by_rollups(const struct rollup_cell *cell, double quantile,
			      struct slowest *slowest)
{
	uint64_t count = rollup_cell_sum(cell, ROLLUP_COUNT);
	uint64_t value = rollup_cell_quantile(cell, ROLLUP_WALL, quantile);

	slowest->of = share_of(count, quantile);
	slowest->threshold_ns = quantile > 0 ? sketch_low(sketch_bucket(value)) : 0;
}

static bool has_times(const struct store_query *query)
{
	return query->from_unix_ns || query->to_unix_ns;
}

/* -E2BIG: not counted, there are too many. */
static int count_walls(struct store *store, const struct store_query *query, double quantile,
		       struct slowest *slowest)
{
	struct buf walls;
	int rc;

	buf_init(&walls, 0);
	rc = store_walls(store, query, &walls, &slowest->is_truncated);
	if (rc == 0 && slowest->is_truncated)
		rc = -ETIMEDOUT;
	if (rc == 0)
		choose_counted(&walls, quantile, slowest);
	buf_fini(&walls);
	return rc;
}

/* Without times rollups know as much as a count. */
static int choose(struct store *store, const struct conditions *conditions, double quantile,
		  struct slowest *slowest)
{
	struct store_rollup_query asked = conditions_rollups(conditions);
	struct rollup_cell cell = { 0 };
	int rc = store_each_rollup(store, &asked, add_rollup, &cell);

	if (rc == 0)
		choose_by_rollups(&cell, quantile, slowest);
	slowest->is_exact = !has_times(&conditions->query);
	if (rc == 0 && !slowest->is_exact &&
	    rollup_cell_sum(&cell, ROLLUP_COUNT) <= STORE_MAX_WALLS) {
		rc = count_walls(store, &conditions->query, quantile, slowest);
		if (rc == -E2BIG) /* they end later than the time that was asked for */
			rc = 0;
	}
	rollup_cell_fini(&cell);
	return rc;
}

uint64_t slowest_of(const struct slowest *slowest)
{
	bool ended_early = slowest->is_truncated || slowest->read == SLOWEST_MAX_SPANS;

	return ended_early ? MAX(slowest->of, slowest->read) : slowest->read;
}

void slowest_put(struct json *json, const struct slowest *slowest)
{
	json_uint(json, "spans", slowest->read);
	json_uint(json, "of", slowest_of(slowest));
	json_bool(json, "exact", slowest->is_exact);
}

int slowest_each(struct store *store, const struct conditions *conditions, double quantile,
		 int (*visit)(const struct store_span *span, void *arg), void *arg,
		 struct slowest *out_slowest)
{
	struct store_query search = conditions->query;
	struct reading reading = { .visit = visit, .arg = arg };
	struct slowest slowest = { 0 };
	int rc = choose(store, conditions, quantile, &slowest);

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
