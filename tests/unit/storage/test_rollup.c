/* SPDX-License-Identifier: Apache-2.0 */
/* Rollups equal what a scan of the spans gives, within the sketch's bound: whatever was resent,
 * computed again, spilled, packed, or lost with the process in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/rollup.h"
#include "correlate/sketch.h"
#include "tests/lib/storage_fixture.h"

#define MINUTE_NS (60 * NS_PER_SEC)
#define SPANS     600
#define NAMES     5

static const char *const names[NAMES] = { "GET /a", "GET /b", "SELECT", "work", "publish" };

/* What is expected of one operation: its spans' values as they are. */
struct truth {
	const char *name;
	uint64_t count, errors, figured, cpu_ns, figured_wall_ns, wall_ns, blocked_ns;
	uint64_t walls[SPANS], cpus[SPANS], runnables[SPANS];
};

struct scan {
	struct truth truths[NAMES];
	uint64_t from_ns, to_ns; /* of the end */
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static struct truth *truth_of(struct scan *scan, struct str name)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (str_eq(name, str_of(names[i])))
			return &scan->truths[i];
	}
	fail_msg("an operation that was never sent");
	return NULL;
}

static int scan_span(const struct store_span *span, void *arg)
{
	struct scan *scan = arg;
	struct truth *truth = truth_of(scan, span->span.name);
	const struct ledger *ledger = &span->ledger;
	uint64_t end_ns = span->span.end_unix_ns;

	if (!span->has_ledger || end_ns < scan->from_ns || end_ns >= scan->to_ns)
		return 0;
	truth->walls[truth->count++] = ledger->wall_ns;
	truth->wall_ns += ledger->wall_ns;
	truth->errors += span->span.status == SPAN_STATUS_ERROR;
	if (ledger->grade < GRADE_INFERRED)
		return 0;
	truth->cpus[truth->figured] = ledger->cpu_ns;
	truth->runnables[truth->figured++] = ledger->all.runnable_ns;
	truth->cpu_ns += ledger->cpu_ns;
	truth->figured_wall_ns += ledger->wall_ns;
	truth->blocked_ns += ledger_blocked_ns(&ledger->all);
	return 0;
}

static void expect_quantiles(const struct rollup_cell *cell, unsigned measure, uint64_t *values,
			     uint64_t count)
{
	static const double quantiles[] = { 0, 0.1, 0.5, 0.9, 0.99, 1 };

	if (count == 0)
		return;
	qsort(values, count, sizeof(*values), by_value);
	for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
		uint64_t rank = (uint64_t)(quantiles[i] * (double)count);
		uint64_t got = rollup_cell_quantile(cell, measure, quantiles[i]), want;

		rank += (double)rank < quantiles[i] * (double)count;
		want = values[rank ? rank - 1 : 0];
		assert_true((double)(got > want ? got - want : want - got) <=
			    (double)want * SKETCH_ERROR);
	}
}

static int compare_one(const struct store_rollup *rollup, void *arg)
{
	struct truth *truth = truth_of(arg, rollup->operation);
	const struct rollup_cell *cell = rollup->cell;
	uint64_t blocked_ns = 0;

	assert_true(str_eq(rollup->service, STR("shop")));
	assert_int_equal(rollup_cell_sum(cell, ROLLUP_COUNT), truth->count);
	assert_int_equal(rollup_cell_sum(cell, ROLLUP_ERRORS), truth->errors);
	assert_int_equal(rollup_cell_sum(cell, ROLLUP_WALL_NS), truth->wall_ns);
	assert_int_equal(rollup_cell_figured(cell), truth->figured);
	assert_int_equal(rollup_cell_sum(cell, ROLLUP_FIGURED_WALL_NS), truth->figured_wall_ns);
	assert_int_equal(rollup_cell_sum(cell, ROLLUP_CPU_NS), truth->cpu_ns);
	for (unsigned i = 0; i < REASON_COUNT; i++)
		blocked_ns += rollup_cell_sum(cell, ROLLUP_BLOCKED_NS + i);
	assert_int_equal(blocked_ns, truth->blocked_ns);
	expect_quantiles(cell, ROLLUP_WALL, truth->walls, truth->count);
	expect_quantiles(cell, ROLLUP_CPU, truth->cpus, truth->figured);
	expect_quantiles(cell, ROLLUP_RUNNABLE, truth->runnables, truth->figured);
	assert_int_equal(cell->examples[ROLLUP_SLOW].wall_ns, truth->walls[truth->count - 1]);
	truth->count = 0; /* seen */
	return 0;
}

static void expect_equal(struct store *store, uint64_t from_ns, uint64_t to_ns)
{
	struct store_rollup_query query = { .from_unix_ns = from_ns, .to_unix_ns = to_ns };
	struct scan *scan = calloc(1, sizeof(*scan));

	scan->from_ns = from_ns;
	scan->to_ns = to_ns ? to_ns : UINT64_MAX;
	for (uint64_t trace = 1; trace <= SPANS / 3; trace++) {
		uint8_t trace_id[TRACE_ID_BYTES];
		int rc;

		fixture_trace_id(trace, trace_id);
		rc = store_each_of_trace(store, trace_id, scan_span, scan);
		assert_true(rc == 0 || rc == -2);
	}
	assert_int_equal(store_each_rollup(store, &query, compare_one, scan), 0);
	for (size_t i = 0; i < NAMES; i++)
		assert_int_equal(scan->truths[i].count, 0);
	free(scan);
}

static struct fixture_span span_of(uint64_t number, uint64_t *random)
{
	return (struct fixture_span){
		.trace = (number + 2) / 3,
		.span = number,
		.parent = number % 3 == 1 ? 0 : number - 1,
		.service = "shop",
		.name = names[number % NAMES],
		.start_ns = FIXTURE_T0 + fixture_random(random) % 600 * NS_PER_SEC,
		.wall_ns = 1000 + fixture_random(random) % 200 * NS_PER_MS +
			   fixture_random(random) % 1000,
		.kind = SPAN_KIND_SERVER,
		.status = number % 7 ? SPAN_STATUS_OK : SPAN_STATUS_ERROR,
	};
}

static void commit_one(struct store *store, uint64_t number, uint64_t now_ns, uint64_t *random)
{
	uint64_t seed = number;
	struct fixture_span span = span_of(number, &seed);
	unsigned times = 1 + (fixture_random(random) % 4 == 0);

	/* Some settle by their commit. Sent twice now and then; computed again now and then, even
	 * within a commit. */
	for (unsigned i = 0; i < times; i++)
		assert_int_equal(fixture_commit_settled(store, &span, 1,
							number % 5 || i ? 0 : NONE_NO_PROCESS,
							now_ns),
				 0);
	if (fixture_random(random) % 10 == 0)
		return; /* does not settle */
	for (uint16_t revision = 1; revision == 1 || fixture_random(random) % 4 == 0; revision++) {
		struct ledger ledger = fixture_ledger(&span, revision, fixture_random(random));
		struct ledger again = fixture_ledger(&span, revision + 1, fixture_random(random));
		struct store_ledger_rows rows[] = { { &ledger, 1 }, { &again, 1 } };
		struct store_group group = { .rows = rows,
					     .row_count = 1 + fixture_random(random) % 2 };

		assert_int_equal(store_commit(store, &group, now_ns), 0);
	}
}

static void rollups_equal_a_scan(void **state)
{
	char *folder = fixture_folder();
	struct store_options options = fixture_options(folder);
	struct store *store;
	uint64_t random = 7, now_ns = FIXTURE_T0;

	(void)state;
	options.part_ns = 200 * NS_PER_SEC;
	store = fixture_open(&options);
	for (uint64_t number = 1; number <= SPANS; number++, now_ns += NS_PER_SEC) {
		commit_one(store, number, now_ns, &random);
		if (number % 100 == 50) { /* as kill -9 leaves it */
			store_close(store);
			store = fixture_open(&options);
		}
		if (number == SPANS / 2)
			fixture_pack(store, now_ns);
		if (number % 300 == 0)
			expect_equal(store, 0, 0);
	}
	expect_equal(store, FIXTURE_T0 + 2 * MINUTE_NS, FIXTURE_T0 + 5 * MINUTE_NS);
	fixture_pack(store, now_ns + options.part_ns);
	expect_equal(store, 0, 0);
	expect_equal(store, FIXTURE_T0 + 2 * MINUTE_NS, FIXTURE_T0 + 5 * MINUTE_NS);
	store_close(store);
	fixture_remove(folder);
	free(folder);
}

/* A ledger computed again when its part had ended takes the first one out there. */
static void a_revision_in_the_next_part_replaces_the_old_one(void **state)
{
	char *folder = fixture_folder();
	struct store_options options = fixture_options(folder);
	struct store *store;
	uint64_t random = 1;

	(void)state;
	options.part_ns = 10 * NS_PER_SEC;
	store = fixture_open(&options);
	for (uint64_t number = 1; number <= 60; number++) {
		struct fixture_span span = span_of(number, &random);
		uint64_t now_ns = FIXTURE_T0 + number * NS_PER_SEC;

		assert_int_equal(fixture_commit_spans(store, &span, 1, now_ns), 0);
		for (uint16_t revision = 1; revision <= number % 4; revision++) {
			struct ledger ledger =
				fixture_ledger(&span, revision, (uint32_t)number + revision);

			assert_int_equal(fixture_commit_ledgers(store, &ledger, 1,
								now_ns + revision * 9 * NS_PER_SEC),
					 0);
		}
	}
	expect_equal(store, 0, 0);
	fixture_pack(store, FIXTURE_T0 + 1000 * NS_PER_SEC);
	expect_equal(store, 0, 0);
	store_close(store);
	fixture_remove(folder);
	free(folder);
}

struct listed {
	uint64_t operations, others, spans;
};

static int count_operation(const struct store_rollup *rollup, void *arg)
{
	struct listed *listed = arg;

	listed->operations++;
	listed->spans += rollup_cell_sum(rollup->cell, ROLLUP_COUNT);
	if (str_eq(rollup->operation, STR("(other)")))
		listed->others += rollup_cell_sum(rollup->cell, ROLLUP_COUNT);
	return 0;
}

static void operations_beyond_the_limit_are_summed(void **state)
{
	char *folder = fixture_folder();
	struct store_options options = fixture_options(folder);
	struct store *store = fixture_open(&options);
	struct store_rollup_query query = { .service = STR("shop") };
	struct listed listed = { 0 };
	struct fixture_span *spans = calloc(2100, sizeof(*spans));
	struct ledger *ledgers = calloc(2100, sizeof(*ledgers));
	char(*text)[16] = calloc(2100, sizeof(*text));
	uint64_t random = 3;

	(void)state;
	for (uint64_t i = 0; i < 2100; i++) {
		spans[i] = span_of(i + 1, &random);
		snprintf(text[i], sizeof(text[i]), "GET /%u", (unsigned)i);
		spans[i].name = text[i];
		ledgers[i] = fixture_ledger(&spans[i], 1, (uint32_t)i);
	}
	assert_int_equal(fixture_commit_spans(store, spans, 2100, FIXTURE_T0), 0);
	assert_int_equal(fixture_commit_ledgers(store, ledgers, 2100, FIXTURE_T0), 0);
	assert_int_equal(store_each_rollup(store, &query, count_operation, &listed), 0);
	assert_int_equal(listed.operations, 2001);
	assert_int_equal(listed.others, 100);
	assert_int_equal(listed.spans, 2100);
	store_close(store);
	fixture_remove(folder);
	free(folder);
	free(spans);
	free(ledgers);
	free(text);
}

static void slots_of_time_add_up(void **state)
{
	char *folder = fixture_folder();
	struct store_options options = fixture_options(folder);
	struct store *store = fixture_open(&options);
	struct store_rollup_query query = { .by_ns = 2 * MINUTE_NS };
	struct listed listed = { 0 };
	uint64_t random = 5;

	(void)state;
	for (uint64_t number = 1; number <= 50; number++) {
		struct fixture_span span = span_of(number, &random);
		struct ledger ledger = fixture_ledger(&span, 1, (uint32_t)number);

		assert_int_equal(fixture_commit_spans(store, &span, 1, FIXTURE_T0), 0);
		assert_int_equal(fixture_commit_ledgers(store, &ledger, 1, FIXTURE_T0), 0);
	}
	assert_int_equal(store_each_rollup(store, &query, count_operation, &listed), 0);
	assert_int_equal(listed.spans, 50);
	assert_true(listed.operations > NAMES);
	query.by_ns = 1;
	assert_true(store_each_rollup(store, &query, count_operation, &listed) < 0);
	store_close(store);
	fixture_remove(folder);
	free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rollups_equal_a_scan),
		cmocka_unit_test(a_revision_in_the_next_part_replaces_the_old_one),
		cmocka_unit_test(operations_beyond_the_limit_are_summed),
		cmocka_unit_test(slots_of_time_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
