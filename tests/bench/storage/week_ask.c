/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/rollup.h"
#include "correlate/sketch.h"
#include "tests/bench/storage/week.h"
#include "tests/lib/storage_fixture.h"

#define LOOKUPS 2000
#define QUERIES 200
#define SERVICE "report-demo"

static uint64_t random_state = 1;

static uint64_t draw(uint64_t below)
{
	return ((uint64_t)fixture_random(&random_state) << 31 | fixture_random(&random_state)) %
	       below;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void time_each(const char *what, unsigned times, double limit_ms,
		      void (*call)(struct week *week), struct week *week)
{
	uint64_t took[LOOKUPS], cpu[LOOKUPS];

	for (unsigned i = 0; i < times; i++) {
		took[i] = clock_ns(CLOCK_MONOTONIC);
		cpu[i] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		call(week);
		cpu[i] = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu[i];
		took[i] = clock_ns(CLOCK_MONOTONIC) - took[i];
	}
	qsort(took, times, sizeof(*took), compare);
	qsort(cpu, times, sizeof(*cpu), compare);
	printf("  %-36s p50 %7.3f, p99 %7.3f ms; CPU p99 %7.3f ms (wanted: p99 <= %.0f ms)\n", what,
	       (double)took[times / 2] / 1e6, (double)took[times * 99 / 100] / 1e6,
	       (double)cpu[times * 99 / 100] / 1e6, limit_ms);
}

static int count(const struct store_span *span, void *arg)
{
	(void)span;
	++*(uint64_t *)arg;
	return 0;
}

static void find(struct week *week, uint64_t number)
{
	uint8_t id[TRACE_ID_BYTES];
	uint64_t found = 0;

	sample_trace_id(number, id);
	assert_int_equal(store_each_of_trace(week->store, id, count, &found), 0);
	assert_int_equal(found, sample_trace_spans(week->sample, number));
}

static void find_trace(struct week *week)
{
	find(week, draw(week->traces));
}

static void find_single(struct week *week)
{
	find(week, draw(week->traces) / SAMPLE_SINGLE_EVERY * SAMPLE_SINGLE_EVERY);
}

static void find_nothing(struct week *week)
{
	uint8_t id[TRACE_ID_BYTES];
	uint64_t found = 0;

	sample_trace_id(week->traces + draw(1u << 30), id);
	store_each_of_trace(week->store, id, count, &found);
	assert_int_equal(found, 0);
}

static struct store_query hour(const struct week *week, const char *operation)
{
	uint64_t from_ns = week->start_ns + draw(week->hours - 1) * WEEK_HOUR_NS;

	return (struct store_query){
		.service = str_of(SERVICE),
		.operation = str_of(operation),
		.from_unix_ns = from_ns,
		.to_unix_ns = from_ns + WEEK_HOUR_NS,
		.max_ratio = -1,
		.reason = -1,
		.grade = -1,
		.status = -1,
		.kind = -1,
		.limit = 20,
	};
}

/* Nearly all rows are looked at: few of an operation are so short and so idle. */
static void search_hour(struct week *week)
{
	struct store_query query = hour(week, "");
	uint64_t found = 0;

	query.min_wall_ns = 100 * NS_PER_MS;
	query.max_ratio = 0.02;
	assert_int_equal(store_search(week->store, &query, count, &found, NULL), 0);
}

static void search_worst(struct week *week)
{
	struct store_query query = hour(week, "POST /order");
	uint64_t found = 0;

	query.sort = STORE_SORT_BLOCKED;
	query.reason = REASON_NET;
	assert_int_equal(store_search(week->store, &query, count, &found, NULL), 0);
	assert_int_equal(found, query.limit);
}

static int count_rollup(const struct store_rollup *rollup, void *arg)
{
	(void)rollup;
	++*(uint64_t *)arg;
	return 0;
}

static void operations_of_a_day(struct week *week)
{
	uint64_t from_ns = week->start_ns +
			   draw(MAX(week->hours, 25) * 60 - 24 * 60) * 60 * NS_PER_SEC,
		 found = 0;
	struct store_rollup_query query = { .from_unix_ns = from_ns,
					    .to_unix_ns = from_ns + 24 * WEEK_HOUR_NS };

	assert_int_equal(store_each_rollup(week->store, &query, count_rollup, &found), 0);
	assert_true(found);
}

static int threshold(const struct store_rollup *rollup, void *arg)
{
	struct store_query *query = arg;
	uint64_t wall_ns = rollup_cell_quantile(rollup->cell, ROLLUP_WALL, 0.99);

	query->min_wall_ns = sketch_low(sketch_bucket(wall_ns));
	query->limit = 1 + rollup_cell_sum(rollup->cell, ROLLUP_COUNT) / 100;
	return 0;
}

static void waits_of_an_hour(struct week *week)
{
	struct store_query query = hour(week, "GET /report");
	struct store_rollup_query asked = { .service = query.service,
					    .operation = query.operation,
					    .from_unix_ns = query.from_unix_ns,
					    .to_unix_ns = query.to_unix_ns };
	uint64_t found = 0;

	assert_int_equal(store_each_rollup(week->store, &asked, threshold, &query), 0);
	query.sort = STORE_SORT_WALL;
	query.omit = STORE_OMIT_STACKS;
	query.any_order = true;
	assert_int_equal(store_search(week->store, &query, count, &found, NULL), 0);
	assert_true(found);
}

void week_ask(struct week *week)
{
	time_each("a trace by its id", LOOKUPS, 2, find_trace, week);
	time_each("a trace of one span", LOOKUPS, 2, find_single, week);
	time_each("a trace that is not there", LOOKUPS, 2, find_nothing, week);
	time_each("an hour by two conditions", QUERIES, 50, search_hour, week);
	time_each("the most blocked on the net, an hour", QUERIES, 50, search_worst, week);
	time_each("operations of 24 hours", QUERIES, 50, operations_of_a_day, week);
	time_each("p99 waits of an operation, an hour", QUERIES, 200, waits_of_an_hour, week);
}
