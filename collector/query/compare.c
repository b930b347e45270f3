/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/compare?a=...&b=...: two selections side by side, and what became of one span.
 *
 * Each is a query of its own: a=service%3Dshop%26to%3D-1h. What stands outside of both holds for
 * both. With `quantile` above 0.5 a selection is the slowest share, read span by span; up to 0.5 it
 * is examples whose wall lies nearest to the quantile. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/query.h"
#include "collector/query/operation_view.h"
#include "collector/query/slowest.h"

#define MAX_EXAMPLES 16
#define SHOWN_WAITS  20

struct selection {
	struct conditions conditions;
	double quantile;         /* negative: all */
	struct rollup_cell cell; /* of all, or of what the quantile chose */
	struct rollup_cell all;
	struct rollup_example nearest[MAX_EXAMPLES];
	unsigned nearest_count;
	struct slowest slowest;
};

/* Keeps the nearest ones, the farthest last. */
static void offer(struct selection *selection, const struct rollup_example *example,
		  uint64_t wall_ns)
{
	unsigned at = selection->nearest_count;
	struct rollup_example *nearest = selection->nearest;

	for (unsigned i = 0; i < at; i++) {
		if (memcmp(nearest[i].span_id, example->span_id, SPAN_ID_BYTES) == 0)
			return;
	}
	while (at &&
	       distance(nearest[at - 1].wall_ns, wall_ns) > distance(example->wall_ns, wall_ns)) {
		if (at < MAX_EXAMPLES)
			nearest[at] = nearest[at - 1];
		at--;
	}
	if (at < MAX_EXAMPLES)
		nearest[at] = *example;
	if (at < MAX_EXAMPLES && selection->nearest_count < MAX_EXAMPLES)
		selection->nearest_count++;
}

static int add_all(const struct store_rollup *rollup, void *arg)
{
	struct selection *selection = arg;

	return rollup_cell_merge(&selection->all, rollup->cell);
}

static int offer_all(const struct store_rollup *rollup, void *arg)
{
	struct selection *selection = arg;
	uint64_t wall_ns = rollup_cell_quantile(&selection->all, ROLLUP_WALL, selection->quantile);

	for (unsigned i = 0; i < rollup->candidate_count; i++)
		offer(selection, &rollup->candidates[i], wall_ns);
	return 0;
}

static int add_span(const struct store_span *span, void *arg)
{
	struct selection *selection = arg;

	return rollup_cell_add(&selection->cell, &span->ledger,
			       span->span.status == SPAN_STATUS_ERROR, 1);
}

struct one {
	struct selection *selection;
	const uint8_t *span_id;
};

static int add_if_same(const struct store_span *span, void *arg)
{
	struct one *one = arg;

	if (!span->has_ledger || memcmp(span->span.span_id, one->span_id, SPAN_ID_BYTES) != 0)
		return 0;
	return add_span(span, one->selection);
}

static int read_nearest(struct store *store, struct selection *selection,
			const struct store_rollup_query *asked)
{
	int rc = store_each_rollup(store, asked, offer_all, selection);

	for (unsigned i = 0; i < selection->nearest_count && rc == 0; i++) {
		struct one one = { selection, selection->nearest[i].span_id };

		rc = store_each_of_trace(store, selection->nearest[i].trace_id, add_if_same, &one);
		if (rc == -ENOENT) /* dropped meanwhile */
			rc = 0;
	}
	return rc;
}

static int read_selection(struct store *store, struct selection *selection)
{
	struct store_rollup_query asked = conditions_rollups(&selection->conditions);
	int rc = store_each_rollup(store, &asked, add_all, selection);

	if (rc < 0)
		return rc;
	if (selection->quantile < 0)
		return rollup_cell_merge(&selection->cell, &selection->all);
	if (selection->quantile <= 0.5)
		return read_nearest(store, selection, &asked);
	return slowest_each(store, &selection->conditions, selection->quantile, add_span, selection,
			    &selection->slowest);
}

/* The parameters of one side over those of both. */
static void read_side(struct query *query, const char *name, struct params *side,
		      struct selection *selection)
{
	struct params *params = query->params;

	params_inherit(side, params);
	conditions_read_scope(&selection->conditions, side);
	selection->quantile = params_double(side, "quantile", 0, 0.999999, -1);
	if (params_check(side) < 0)
		params_complain(params, "'%s': %.*s", name, (int)side->complaint.len,
				side->complaint.data);
}

static void put_side(struct json *json, const char *key, const struct selection *selection)
{
	json_object(json, key);
	operation_view_figures(json, &selection->cell);
	json_text(json, "read",
		  selection->quantile < 0      ? "rollups"
		  : selection->quantile <= 0.5 ? "examples"
					       : "spans");
	json_uint(json, "of", rollup_cell_sum(&selection->all, ROLLUP_COUNT));
	if (selection->quantile > 0.5) {
		json_object(json, "slowest"); /* of the share that was asked for */
		slowest_put(json, &selection->slowest);
		json_end(json);
	}
	json_end(json);
}

/* Per span with figures, so that the states' differences add up to that of the wall. */
static double mean(const struct rollup_cell *cell, int64_t ns)
{
	uint64_t count = rollup_cell_figured(cell);

	return count ? (double)ns / (double)count : 0;
}

static double change(const struct selection sides[2], unsigned sum)
{
	return mean(&sides[1].cell, sides[1].cell.sums[sum]) -
	       mean(&sides[0].cell, sides[0].cell.sums[sum]);
}

static void put_change(struct json *json, const char *key, const struct selection sides[2],
		       unsigned sum)
{
	json_int(json, key, (int64_t)change(sides, sum));
}

static void put_means(struct json *json, const struct selection sides[2])
{
	json_object(json, "mean_ns");
	put_change(json, "wall", sides, ROLLUP_FIGURED_WALL_NS);
	put_change(json, "cpu", sides, ROLLUP_CPU_NS);
	put_change(json, "running", sides, ROLLUP_RUNNING_NS);
	put_change(json, "runnable", sides, ROLLUP_RUNNABLE_NS);
	json_object(json, "blocked");
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		if (sides[0].cell.sums[ROLLUP_BLOCKED_NS + i] ||
		    sides[1].cell.sums[ROLLUP_BLOCKED_NS + i])
			put_change(json, ledger_reason_name(i), sides, ROLLUP_BLOCKED_NS + i);
	}
	json_end(json);
	put_change(json, "elsewhere", sides, ROLLUP_ELSEWHERE_NS);
	put_change(json, "unknown", sides, ROLLUP_UNKNOWN_NS);
	json_end(json);
}

/* One wait on both sides, per span. */
struct wait_change {
	const struct rollup_wait *wait;
	double a_ns, b_ns;
};

static const struct rollup_wait *find_wait(const struct rollup_cell *cell,
					   const struct rollup_wait *wait)
{
	for (uint32_t i = 0; i < cell->wait_count; i++) {
		if (rollup_wait_is_same(&cell->waits[i], wait))
			return &cell->waits[i];
	}
	return NULL;
}

static int by_change(const void *a, const void *b)
{
	const struct wait_change *x = a, *y = b;
	double left = x->b_ns - x->a_ns, right = y->b_ns - y->a_ns;

	left = left < 0 ? -left : left;
	right = right < 0 ? -right : right;
	return (left < right) - (left > right);
}

static size_t pair_waits(const struct selection sides[2], struct wait_change *out)
{
	const struct rollup_cell *a = &sides[0].cell, *b = &sides[1].cell;
	size_t count = 0;

	for (uint32_t i = 0; i < b->wait_count; i++) {
		const struct rollup_wait *other = find_wait(a, &b->waits[i]);

		out[count++] = (struct wait_change){ &b->waits[i], other ? mean(a, other->ns) : 0,
						     mean(b, b->waits[i].ns) };
	}
	for (uint32_t i = 0; i < a->wait_count; i++) {
		if (!find_wait(b, &a->waits[i]))
			out[count++] =
				(struct wait_change){ &a->waits[i], mean(a, a->waits[i].ns), 0 };
	}
	qsort(out, count, sizeof(*out), by_change);
	return count;
}

static int put_waits(struct json *json, const struct selection sides[2])
{
	struct wait_change *changes =
		calloc(sides[0].cell.wait_count + sides[1].cell.wait_count + 1, sizeof(*changes));
	size_t count;

	if (!changes)
		return -ENOMEM;
	count = pair_waits(sides, changes);
	json_array(json, "waits");
	for (size_t i = 0; i < MIN(count, SHOWN_WAITS); i++) {
		json_object(json, NULL);
		operation_view_wait(json, changes[i].wait);
		json_int(json, "a_ns", (int64_t)changes[i].a_ns);
		json_int(json, "b_ns", (int64_t)changes[i].b_ns);
		json_int(json, "change_ns", (int64_t)(changes[i].b_ns - changes[i].a_ns));
		json_end(json);
	}
	json_end(json);
	free(changes);
	return 0;
}

static int put(struct query *query, const struct selection sides[2])
{
	double a = rollup_cell_ratio(&sides[0].cell), b = rollup_cell_ratio(&sides[1].cell);
	struct json json;
	int rc;

	json_init(&json, &query->answer->body);
	json_object(&json, NULL);
	put_side(&json, "a", &sides[0]);
	put_side(&json, "b", &sides[1]);
	json_object(&json, "change");
	if (a < 0 || b < 0)
		json_null(&json, "ratio");
	else
		json_double(&json, "ratio", b - a, 4);
	put_means(&json, sides);
	rc = put_waits(&json, sides);
	json_end(&json);
	json_end(&json);
	return rc;
}

void compare_query(struct query *query)
{
	struct selection *sides = calloc(2, sizeof(*sides));
	static const char *const names[] = { "a", "b" };
	struct params texts[2];
	int rc = sides ? 0 : -ENOMEM;

	if (rc < 0)
		return answer_storage(query->answer, "the selections", rc);
	for (unsigned i = 0; i < 2; i++)
		params_parse(&texts[i], params_text(query->params, names[i]),
			     query->params->now_unix_ns);
	for (unsigned i = 0; i < 2; i++)
		read_side(query, names[i], &texts[i], &sides[i]);
	if (query_check(query) == 0) {
		query->answer->has_etag = true;
		for (unsigned i = 0; i < 2 && rc == 0; i++)
			rc = read_selection(daemon_store(query->daemon), &sides[i]);
		if (rc == 0)
			rc = put(query, sides);
		if (rc < 0)
			answer_storage(query->answer, "the selections", rc);
	}
	for (unsigned i = 0; i < 2; i++) {
		params_fini(&texts[i]);
		rollup_cell_fini(&sides[i].cell);
		rollup_cell_fini(&sides[i].all);
	}
	free(sides);
}
