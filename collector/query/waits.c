/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/waits: on what the slowest spans of an operation waited. */
#include <errno.h>

#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/query.h"
#include "collector/query/operation_view.h"
#include "collector/query/slowest.h"
#include "collector/query/stacks.h"
#include "collector/query/wait_table.h"

#define MAX_WAITS     1000
#define DEFAULT_WAITS 50

struct gather {
	struct wait_table waits;
	struct rollup_cell cell; /* for the shares */
	uint64_t last_unix_ns;
};

static int on_span(const struct store_span *span, void *arg)
{
	struct gather *gather = arg;
	bool is_error = span->span.status == SPAN_STATUS_ERROR;
	int rc = wait_table_add(&gather->waits, &span->ledger);

	gather->last_unix_ns = MAX(gather->last_unix_ns, span->span.end_unix_ns);
	return rc < 0 ? rc : rollup_cell_add(&gather->cell, &span->ledger, is_error, 1);
}

static void put_ratio(struct json *json, const struct rollup_cell *cell)
{
	if (rollup_cell_ratio(cell) < 0)
		json_null(json, "ratio");
	else
		json_double(json, "ratio", rollup_cell_ratio(cell), 4);
}

static int put(struct query *query, const struct gather *gather, const struct slowest *slowest,
	       size_t limit)
{
	struct stacks stacks;
	struct json json;
	int rc;

	json_init(&json, &query->answer->body);
	json_object(&json, NULL);
	json_uint(&json, "threshold_ns", slowest->threshold_ns);
	json_object(&json, "covered");
	slowest_put(&json, slowest);
	json_uint(&json, "with_figures", rollup_cell_figured(&gather->cell));
	json_end(&json);
	json_uint(&json, "wall_sum_ns", rollup_cell_sum(&gather->cell, ROLLUP_WALL_NS));
	put_ratio(&json, &gather->cell);
	operation_view_shares(&json, &gather->cell);
	stacks_init(&stacks, query->daemon);
	stacks.stored.near_unix_ns = gather->last_unix_ns;
	rc = wait_table_render(&gather->waits, &json, limit, &stacks);
	stacks_fini(&stacks);
	json_end(&json);
	return rc;
}

void waits_query(struct query *query)
{
	struct gather gather = { .cell = { .bucket_count = 0 } };
	struct params *params = query->params;
	struct conditions conditions;
	struct slowest slowest;
	double quantile;
	size_t limit;
	int rc;

	conditions_read_scope(&conditions, params);
	quantile = params_double(params, "quantile", 0, 0.999999, 0.99);
	limit = params_uint(params, "limit", 1, MAX_WAITS, DEFAULT_WAITS);
	if (query_check(query) < 0)
		return;
	query->answer->has_etag = true;
	conditions.query.omit = STORE_OMIT_STACKS;
	wait_table_init(&gather.waits);
	rc = slowest_each(daemon_store(query->daemon), &conditions, quantile, on_span, &gather,
			  &slowest);
	if (rc == 0)
		rc = put(query, &gather, &slowest, limit);
	if (rc < 0)
		answer_storage(query->answer, "the waits", rc);
	wait_table_fini(&gather.waits);
	rollup_cell_fini(&gather.cell);
}
