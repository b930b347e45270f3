/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/operation_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/render.h"

#define SHOWN_WAITS 5

struct quantile {
	const char *name;
	double share;
};

static const struct quantile high[] = {
	{ "p50", 0.5 },
	{ "p90", 0.9 },
	{ "p99", 0.99 },
};

static const struct quantile low[] = {
	{ "p10", 0.1 },
	{ "p50", 0.5 },
	{ "p90", 0.9 },
};

static void put_share(struct json *json, const char *key, uint64_t part, uint64_t of)
{
	json_double(json, key, of ? (double)part / (double)of : 0, 4);
}

/* What stands for a bucket may exceed the longest span in it. */
static uint64_t quantile(const struct rollup_cell *cell, unsigned measure, double share)
{
	uint64_t value = rollup_cell_quantile(cell, measure, share);
	uint64_t longest = cell->examples[ROLLUP_SLOW].wall_ns;

	return measure == ROLLUP_WALL && longest ? MIN(value, longest) : value;
}

static void put_quantiles(struct json *json, const char *key, const struct rollup_cell *cell,
			  unsigned measure)
{
	json_object(json, key);
	for (size_t i = 0; i < ARRAY_LEN(high); i++)
		json_uint(json, high[i].name, quantile(cell, measure, high[i].share));
	if (measure == ROLLUP_WALL)
		json_uint(json, "max", cell->examples[ROLLUP_SLOW].wall_ns);
	json_end(json);
}

static void put_ratios(struct json *json, const struct rollup_cell *cell)
{
	json_object(json, "cpu_wall_ratio");
	for (size_t i = 0; i < ARRAY_LEN(low); i++)
		json_double(json, low[i].name,
			    (double)rollup_cell_quantile(cell, ROLLUP_RATIO, low[i].share) /
				    ROLLUP_RATIO_ONE,
			    4);
	json_end(json);
}

static void put_blocked(struct json *json, const struct rollup_cell *cell)
{
	json_object(json, "blocked_ns");
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		if (rollup_cell_sum(cell, ROLLUP_BLOCKED_NS + i))
			put_quantiles(json, ledger_reason_name(i), cell, ROLLUP_BLOCKED + i);
	}
	json_end(json);
}

/* What only spans with figures say. */
static void put_figured(struct json *json, const struct rollup_cell *cell)
{
	static const char *const names[] = { "ratio",  "cpu_wall_ratio", "cpu_sum_ns",
					     "cpu_ns", "runnable_ns",    "blocked_ns" };

	if (rollup_cell_ratio(cell) < 0) {
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			json_null(json, names[i]);
		return;
	}
	json_double(json, "ratio", rollup_cell_ratio(cell), 4);
	put_ratios(json, cell);
	json_uint(json, "cpu_sum_ns", rollup_cell_sum(cell, ROLLUP_CPU_NS));
	put_quantiles(json, "cpu_ns", cell, ROLLUP_CPU);
	put_quantiles(json, "runnable_ns", cell, ROLLUP_RUNNABLE);
	put_blocked(json, cell);
}

void operation_view_shares(struct json *json, const struct rollup_cell *cell)
{
	uint64_t wall_ns = rollup_cell_sum(cell, ROLLUP_FIGURED_WALL_NS);

	if (wall_ns == 0)
		return json_null(json, "shares");
	json_object(json, "shares");
	put_share(json, "running", rollup_cell_sum(cell, ROLLUP_RUNNING_NS), wall_ns);
	put_share(json, "runnable", rollup_cell_sum(cell, ROLLUP_RUNNABLE_NS), wall_ns);
	json_object(json, "blocked");
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		uint64_t ns = rollup_cell_sum(cell, ROLLUP_BLOCKED_NS + i);

		if (ns)
			put_share(json, ledger_reason_name(i), ns, wall_ns);
	}
	json_end(json);
	put_share(json, "elsewhere", rollup_cell_sum(cell, ROLLUP_ELSEWHERE_NS), wall_ns);
	put_share(json, "unknown", rollup_cell_sum(cell, ROLLUP_UNKNOWN_NS), wall_ns);
	json_end(json);
}

void operation_view_wait(struct json *json, const struct rollup_wait *wait)
{
	struct buf target;
	char stack[17] = "";

	buf_init(&target, 0);
	if (wait->target.kind == ROLLUP_REST)
		buf_append_text(&target, "(others)");
	else if (wait->target.kind != TARGET_FUTEX)
		ledger_target_text(&wait->target, &target);
	json_text(json, "reason", ledger_reason_name(wait->reason));
	json_str(json, "target", buf_str(&target));
	if (wait->stack >= STACK_FIRST_ID)
		snprintf(stack, sizeof(stack), "%016" PRIx64, wait->stack);
	json_text(json, "stack_id", stack);
	buf_fini(&target);
}

static int by_ns(const void *a, const void *b)
{
	const struct rollup_wait *x = a, *y = b;

	return (x->ns < y->ns) - (x->ns > y->ns);
}

static void put_waits(struct json *json, const struct rollup_cell *cell)
{
	struct rollup_wait *waits = malloc((cell->wait_count + 1) * sizeof(*waits));
	uint64_t wall_ns = rollup_cell_sum(cell, ROLLUP_FIGURED_WALL_NS);

	json_array(json, "top_waits");
	if (waits && cell->wait_count) {
		memcpy(waits, cell->waits, cell->wait_count * sizeof(*waits));
		qsort(waits, cell->wait_count, sizeof(*waits), by_ns);
	}
	for (uint32_t i = 0; waits && i < MIN(cell->wait_count, SHOWN_WAITS); i++) {
		if (waits[i].ns <= 0)
			break;
		json_object(json, NULL);
		operation_view_wait(json, &waits[i]);
		json_uint(json, "ns", (uint64_t)waits[i].ns);
		json_uint(json, "count", (uint64_t)MAX(waits[i].count, 0));
		put_share(json, "share", (uint64_t)waits[i].ns, wall_ns);
		json_end(json);
	}
	json_end(json);
	free(waits);
}

void operation_view_figures(struct json *json, const struct rollup_cell *cell)
{
	uint64_t count = rollup_cell_sum(cell, ROLLUP_COUNT);

	json_uint(json, "count", count);
	json_uint(json, "errors", rollup_cell_sum(cell, ROLLUP_ERRORS));
	json_uint(json, "without_tags", rollup_cell_sum(cell, ROLLUP_GRADES + GRADE_NONE));
	put_share(json, "covered", rollup_cell_figured(cell), count);
	json_uint(json, "wall_sum_ns", rollup_cell_sum(cell, ROLLUP_WALL_NS));
	put_quantiles(json, "wall_ns", cell, ROLLUP_WALL);
	put_figured(json, cell);
	operation_view_shares(json, cell);
	put_waits(json, cell);
}

const struct rollup_example *operation_view_nearest(const struct store_rollup *rollup,
						    uint64_t wall_ns)
{
	const struct rollup_example *best = NULL;

	for (unsigned i = 0; i < rollup->candidate_count; i++) {
		const struct rollup_example *example = &rollup->candidates[i];

		if (!best || distance(example->wall_ns, wall_ns) < distance(best->wall_ns, wall_ns))
			best = example;
	}
	return best;
}

static void put_example(struct json *json, const char *key, const struct rollup_example *example)
{
	if (!example || hex_is_zero(example->trace_id, TRACE_ID_BYTES))
		return json_null(json, key);
	json_object(json, key);
	json_hex(json, "trace_id", example->trace_id, TRACE_ID_BYTES);
	json_hex(json, "span_id", example->span_id, SPAN_ID_BYTES);
	json_uint(json, "wall_ns", example->wall_ns);
	if (example->ratio == UINT64_MAX)
		json_null(json, "cpu_wall_ratio");
	else
		json_double(json, "cpu_wall_ratio", (double)example->ratio / ROLLUP_RATIO_ONE, 4);
	json_end(json);
}

static void put_examples(struct json *json, const struct store_rollup *rollup)
{
	const struct rollup_example *own = rollup->cell->examples;
	uint64_t median_ns = rollup_cell_quantile(rollup->cell, ROLLUP_WALL, 0.5);

	put_example(json, "slowest", &own[ROLLUP_SLOW]);
	json_object(json, "examples");
	put_example(json, "slow", &own[ROLLUP_SLOW]);
	put_example(json, "low_ratio", &own[ROLLUP_LOW_RATIO]);
	put_example(json, "typical", operation_view_nearest(rollup, median_ns));
	json_end(json);
}

void operation_view_render(struct json *json, const struct store_rollup *rollup)
{
	const char *kind = render_kind_name(rollup->kind);

	json_object(json, NULL);
	json_str(json, "service", rollup->service);
	json_str(json, "name", rollup->operation);
	json_text(json, "kind", kind ? kind : "unspecified");
	operation_view_figures(json, rollup->cell);
	put_examples(json, rollup);
	json_end(json);
}
