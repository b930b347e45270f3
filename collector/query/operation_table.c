/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/operation_table.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"
#include "collector/render.h"

#define TABLE_MAX_BYTES ((size_t)8 << 20)
#define MAX_WAITS       16 /* distinct (reason, target) kept apart for an operation */
#define SHOWN_WAITS     5

struct wait_sum {
	uint8_t reason;
	struct event_target target;
	uint64_t ns;
};

struct operation {
	struct str service, name;
	uint8_t kind;
	uint64_t count;         /* all spans */
	uint64_t figures;       /* those whose ledger counts */
	uint64_t none;          /* those whose process publishes nothing */
	uint64_t wall_sum_ns;   /* of all */
	uint64_t figure_sum_ns; /* wall of those with figures */
	struct ledger_split sum;
	uint64_t *walls; /* owned: all; sorted when rendered */
	double *ratios;  /* owned: of those with figures */
	size_t wall_cap, ratio_cap, ratio_count;
	struct wait_sum waits[MAX_WAITS];
	unsigned wait_count;
	uint64_t slowest_ns;
	uint8_t slowest_trace[TRACE_ID_BYTES], slowest_span[SPAN_ID_BYTES];
};

void operation_table_init(struct operation_table *table)
{
	*table = (struct operation_table){ .count = 0 };
	arena_init(&table->arena, TABLE_MAX_BYTES);
}

void operation_table_fini(struct operation_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		free(table->operations[i]->walls);
		free(table->operations[i]->ratios);
	}
	free(table->operations);
	arena_fini(&table->arena);
}

/* Doubles an array of `size`d elements when it is full; false: no memory. */
static bool make_room(void *array, size_t count, size_t *cap, size_t size)
{
	size_t wanted = *cap ? 2 * *cap : 16;
	void *grown, *old;

	if (count < *cap)
		return true;
	memcpy(&old, array, sizeof(old));
	grown = reallocarray(old, wanted, size);
	if (!grown)
		return false;
	memcpy(array, &grown, sizeof(grown));
	*cap = wanted;
	return true;
}

static bool keep_text(struct arena *arena, struct str text, struct str *out)
{
	char *copy = arena_alloc(arena, text.len + 1);

	if (!copy)
		return false;
	if (text.len)
		memcpy(copy, text.data, text.len);
	*out = (struct str){ copy, text.len };
	return true;
}

/* Linear: names of operations are few, or tracing is broken elsewhere already. */
static struct operation *find(struct operation_table *table, const struct store_span *span)
{
	struct operation *operation;

	for (size_t i = 0; i < table->count; i++) {
		operation = table->operations[i];
		if (operation->kind == span->span.kind &&
		    str_eq(operation->name, span->span.name) &&
		    str_eq(operation->service, span->service))
			return operation;
	}
	operation = arena_alloc(&table->arena, sizeof(*operation));
	if (!operation || !keep_text(&table->arena, span->service, &operation->service) ||
	    !keep_text(&table->arena, span->span.name, &operation->name) ||
	    !make_room(&table->operations, table->count, &table->cap, sizeof(operation)))
		return NULL;
	operation->kind = span->span.kind;
	table->operations[table->count++] = operation;
	return operation;
}

static void add_wait(struct operation *operation, const struct ledger_wait *wait)
{
	struct event_target target = wait->target;
	struct wait_sum *sum;

	/* A lock's address and a connection's own port differ from span to span. */
	target.aux = 0;
	if (target.kind == TARGET_FUTEX)
		target.id = 0;
	for (unsigned i = 0; i < operation->wait_count; i++) {
		sum = &operation->waits[i];
		if (sum->reason == wait->reason &&
		    memcmp(&sum->target, &target, sizeof(target)) == 0) {
			sum->ns += wait->ns;
			return;
		}
	}
	if (operation->wait_count == MAX_WAITS)
		return; /* the shares of the reasons still hold it */
	sum = &operation->waits[operation->wait_count++];
	*sum = (struct wait_sum){ wait->reason, target, wait->ns };
}

static void add_split(struct ledger_split *sum, const struct ledger_split *split)
{
	sum->running_ns += split->running_ns;
	sum->runnable_ns += split->runnable_ns;
	for (int i = 0; i < REASON_COUNT; i++)
		sum->blocked_ns[i] += split->blocked_ns[i];
	sum->elsewhere_ns += split->elsewhere_ns;
	sum->unknown_ns += split->unknown_ns;
}

static int add_figures(struct operation *operation, const struct ledger *ledger)
{
	double ratio = ledger_ratio(ledger);

	operation->figures++;
	operation->figure_sum_ns += ledger->wall_ns;
	add_split(&operation->sum, &ledger->all);
	for (unsigned i = 0; i < ledger->wait_count; i++)
		add_wait(operation, &ledger->waits[i]);
	if (ratio < 0)
		return 0;
	if (!make_room(&operation->ratios, operation->ratio_count, &operation->ratio_cap,
		       sizeof(ratio)))
		return -ENOMEM;
	operation->ratios[operation->ratio_count++] = ratio;
	return 0;
}

int operation_table_add(struct operation_table *table, const struct store_span *span)
{
	struct operation *operation = find(table, span);
	uint64_t wall_ns = span->span.end_unix_ns - span->span.start_unix_ns;

	if (!operation ||
	    !make_room(&operation->walls, operation->count, &operation->wall_cap, sizeof(wall_ns)))
		return -ENOMEM;
	table->spans++;
	operation->walls[operation->count++] = wall_ns;
	operation->wall_sum_ns += wall_ns;
	if (wall_ns >= operation->slowest_ns) {
		operation->slowest_ns = wall_ns;
		memcpy(operation->slowest_trace, span->span.trace_id, TRACE_ID_BYTES);
		memcpy(operation->slowest_span, span->span.span_id, SPAN_ID_BYTES);
	}
	if (span->has_ledger && span->ledger.grade == GRADE_NONE)
		operation->none++;
	if (span->has_ledger && span->ledger.grade >= GRADE_INFERRED)
		return add_figures(operation, &span->ledger);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int by_wall_sum(const void *a, const void *b)
{
	const struct operation *x = *(struct operation *const *)a,
			       *y = *(struct operation *const *)b;

	return x->wall_sum_ns > y->wall_sum_ns ? -1 : x->wall_sum_ns < y->wall_sum_ns;
}

static int by_ns(const void *a, const void *b)
{
	const struct wait_sum *x = a, *y = b;

	return x->ns > y->ns ? -1 : x->ns < y->ns;
}

/* The least value that `percent` of the values do not exceed. */
static size_t rank(size_t count, unsigned percent)
{
	size_t at = (count * percent + 99) / 100;

	return at ? at - 1 : 0;
}

static void put_quantiles(struct json *json, const struct operation *operation)
{
	static const unsigned percents[] = { 10, 50, 90, 99 };
	static const char *const names[] = { "p10", "p50", "p90", "p99" };

	json_object(json, "wall_ns");
	for (size_t i = 1; i < ARRAY_LEN(percents); i++)
		json_uint(json, names[i], operation->walls[rank(operation->count, percents[i])]);
	json_uint(json, "max", operation->walls[operation->count - 1]);
	json_end(json);
	if (operation->ratio_count == 0)
		return json_null(json, "cpu_wall_ratio");
	json_object(json, "cpu_wall_ratio");
	for (size_t i = 0; i + 1 < ARRAY_LEN(percents); i++)
		json_double(json, names[i],
			    operation->ratios[rank(operation->ratio_count, percents[i])], 4);
	json_end(json);
}

static void put_share(struct json *json, const char *key, uint64_t ns, uint64_t of_ns)
{
	json_double(json, key, of_ns ? (double)ns / (double)of_ns : 0, 4);
}

static void put_shares(struct json *json, const struct operation *operation)
{
	uint64_t wall = operation->figure_sum_ns;
	const struct ledger_split *sum = &operation->sum;

	if (operation->figures == 0)
		return json_null(json, "shares");
	json_object(json, "shares");
	put_share(json, "running", sum->running_ns, wall);
	put_share(json, "runnable", sum->runnable_ns, wall);
	json_object(json, "blocked");
	for (int i = 0; i < REASON_COUNT; i++) {
		if (sum->blocked_ns[i])
			put_share(json, ledger_reason_name(i), sum->blocked_ns[i], wall);
	}
	json_end(json);
	put_share(json, "elsewhere", sum->elsewhere_ns, wall);
	put_share(json, "unknown", sum->unknown_ns, wall);
	json_end(json);
}

static void put_waits(struct json *json, const struct operation *operation)
{
	struct buf text;

	buf_init(&text, 0);
	json_array(json, "top_waits");
	for (unsigned i = 0; i < operation->wait_count && i < SHOWN_WAITS; i++) {
		const struct wait_sum *wait = &operation->waits[i];

		buf_clear(&text);
		if (wait->target.kind != TARGET_FUTEX)
			ledger_target_text(&wait->target, &text);
		json_object(json, NULL);
		json_text(json, "reason", ledger_reason_name(wait->reason));
		json_str(json, "target", buf_str(&text));
		json_uint(json, "ns", wait->ns);
		put_share(json, "share", wait->ns, operation->figure_sum_ns);
		json_end(json);
	}
	json_end(json);
	buf_fini(&text);
}

static void put_operation(struct json *json, struct operation *operation)
{
	const char *kind = render_kind_name(operation->kind);

	qsort(operation->walls, operation->count, sizeof(*operation->walls), by_number);
	if (operation->ratio_count)
		qsort(operation->ratios, operation->ratio_count, sizeof(double), by_double);
	qsort(operation->waits, operation->wait_count, sizeof(*operation->waits), by_ns);
	json_object(json, NULL);
	json_str(json, "service", operation->service);
	json_str(json, "name", operation->name);
	json_text(json, "kind", kind ? kind : "unspecified");
	json_uint(json, "count", operation->count);
	json_uint(json, "without_tags", operation->none);
	put_share(json, "covered", operation->figures, operation->count);
	json_uint(json, "wall_sum_ns", operation->wall_sum_ns);
	put_quantiles(json, operation);
	put_shares(json, operation);
	put_waits(json, operation);
	json_object(json, "slowest");
	json_hex(json, "trace_id", operation->slowest_trace, TRACE_ID_BYTES);
	json_hex(json, "span_id", operation->slowest_span, SPAN_ID_BYTES);
	json_uint(json, "wall_ns", operation->slowest_ns);
	json_end(json);
	json_end(json);
}

void operation_table_render(struct operation_table *table, struct json *json)
{
	if (table->count)
		qsort(table->operations, table->count, sizeof(*table->operations), by_wall_sum);
	json_array(json, "operations");
	for (size_t i = 0; i < table->count; i++)
		put_operation(json, table->operations[i]);
	json_end(json);
}
