/* SPDX-License-Identifier: Apache-2.0 */
/* What the store costs: CPU per committed span, and searches over a million of them.
 *
 *   bench_storage [SPANS]        TMPDIR says on which disk */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "otlp/otlp_decode.h"
#include "tests/lib/storage_fixture.h"

#define BATCH      512
#define OPERATIONS 40
#define TRACE      8 /* spans of one */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

struct cost {
	uint64_t cpu_ns, wall_ns, commits, spans;
};

static uint64_t cpu_mark, wall_mark;

static void begin(void)
{
	wall_mark = clock_ns(CLOCK_MONOTONIC);
	cpu_mark = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void end(struct cost *cost, uint64_t spans)
{
	cost->cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_mark;
	cost->wall_ns += clock_ns(CLOCK_MONOTONIC) - wall_mark;
	cost->commits++;
	cost->spans += spans;
}

static void print_cost(const char *what, const struct cost *cost)
{
	printf("%-28s %8.3f us CPU a span, %8.1f us CPU and %8.1f us wall a commit\n", what,
	       (double)cost->cpu_ns / 1e3 / (double)cost->spans,
	       (double)cost->cpu_ns / 1e3 / (double)cost->commits,
	       (double)cost->wall_ns / 1e3 / (double)cost->commits);
}

static void invent(uint64_t first, struct fixture_span *spans, struct ledger *ledgers)
{
	static char names[OPERATIONS][64];
	uint64_t random = first;

	for (size_t i = 0; i < BATCH; i++) {
		uint32_t operation = fixture_random(&random) % OPERATIONS;

		snprintf(names[operation], sizeof(names[0]), "GET /api/v1/resource/%u", operation);
		spans[i] = (struct fixture_span){
			.trace = (first + i) / TRACE,
			.span = first + i + 1,
			.parent = (first + i) % TRACE ? first + i : 0,
			.service = "shop",
			.name = names[operation],
			.start_ns = FIXTURE_T0 + (first + i) * 200000,
			.wall_ns = fixture_random(&random) % 100000000,
			.kind = SPAN_KIND_SERVER,
		};
		ledgers[i] = fixture_ledger(&spans[i], 1, fixture_random(&random));
	}
}

static void fill(struct store *store, uint64_t total)
{
	struct cost span_cost = { 0 }, ledger_cost = { 0 };

	for (uint64_t first = 0; first < total; first += BATCH) {
		struct fixture_span spans[BATCH];
		static struct ledger ledgers[BATCH];
		struct store_ledger_rows rows[BATCH / TRACE];
		struct store_group group = { .batch_count = 1 };
		uint64_t now_ns = FIXTURE_T0 + first * 200000;
		struct span_batch *batch;

		invent(first, spans, ledgers);
		batch = fixture_batch(spans, BATCH);
		group.batches = (const struct span_batch *const *)&batch;
		begin();
		assert_int_equal(store_commit(store, &group, now_ns), 0);
		end(&span_cost, BATCH);
		otlp_batch_free(batch);
		for (size_t i = 0; i < BATCH / TRACE; i++)
			rows[i] = (struct store_ledger_rows){ &ledgers[i * TRACE], TRACE };
		group = (struct store_group){ .rows = rows, .row_count = BATCH / TRACE };
		begin();
		assert_int_equal(store_commit(store, &group, now_ns), 0);
		end(&ledger_cost, BATCH);
	}
	print_cost("commit of 512 spans", &span_cost);
	print_cost("commit of their ledgers", &ledger_cost);
}

static int count(const struct store_span *span, void *arg)
{
	(void)span;
	++*(uint64_t *)arg;
	return 0;
}

static void search(struct store *store, const char *what, const struct store_query *query)
{
	uint64_t best_ns = UINT64_MAX, found = 0;

	for (int i = 0; i < 5; i++) {
		uint64_t before_ns = clock_ns(CLOCK_MONOTONIC);

		found = 0;
		assert_int_equal(store_search(store, query, count, &found, NULL), 0);
		best_ns = MIN(best_ns, clock_ns(CLOCK_MONOTONIC) - before_ns);
	}
	printf("  %-44s %8.2f ms, %llu found\n", what, (double)best_ns / 1e6,
	       (unsigned long long)found);
}

static void search_all(struct store *store, uint64_t total)
{
	const struct store_query any = {
		.max_ratio = -1, .reason = -1, .grade = -1, .status = -1, .kind = -1, .limit = 20
	};
	struct store_query query = any;
	uint64_t before_ns, found = 0;

	search(store, "newest 20", &query);
	query.sort = STORE_SORT_WALL;
	search(store, "longest 20", &query);
	query.sort = STORE_SORT_RATIO;
	search(store, "lowest ratio 20", &query);
	query.service = str_of("shop");
	query.operation = str_of("GET /api/v1/resource/7");
	search(store, "lowest ratio 20 of an operation", &query);
	query.sort = STORE_SORT_BLOCKED;
	query.reason = REASON_NET;
	query.min_wall_ns = 50 * NS_PER_MS;
	search(store, "most blocked 20 of it, on the net, over 50 ms", &query);
	query = any;
	query.service = str_of("nobody");
	search(store, "none of a service that is not there", &query);
	query = any;
	query.max_ratio = 0.7;
	query.min_wall_ns = 99999 * NS_PER_US;
	query.limit = 1000;
	search(store, "a thousand by two conditions", &query);
	before_ns = clock_ns(CLOCK_MONOTONIC);
	for (uint64_t i = 0; i < 1000; i++) {
		uint8_t id[TRACE_ID_BYTES];

		fixture_trace_id(i * (total / TRACE / 1000), id);
		store_each_of_trace(store, id, count, &found);
	}
	printf("  %-44s %8.2f us, %llu spans\n", "a trace by its id",
	       (double)(clock_ns(CLOCK_MONOTONIC) - before_ns) / 1e6, (unsigned long long)found);
}

static void pack(struct store *store, uint64_t now_ns)
{
	uint64_t longest_ns = 0, steps = 0, cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct store_stats before, after;
	int rc = 1;

	store_stats(store, &before);
	while (rc > 0) {
		uint64_t before_ns = clock_ns(CLOCK_MONOTONIC);

		rc = store_maintain(store, now_ns);
		longest_ns = MAX(longest_ns, clock_ns(CLOCK_MONOTONIC) - before_ns);
		steps++;
	}
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	store_stats(store, &after);
	printf("packed: %llu MiB to %llu MiB, %.3f us CPU a span, %llu steps of at most %.1f ms\n",
	       (unsigned long long)before.bytes >> 20, (unsigned long long)after.bytes >> 20,
	       (double)cpu_ns / 1e3 / (double)after.spans, (unsigned long long)steps,
	       (double)longest_ns / 1e6);
}

int main(int argc, char **argv)
{
	uint64_t total = argc > 1 ? strtoull(argv[1], NULL, 10) : 1u << 20, before_ns;
	char *path = fixture_folder();
	struct store_options options = fixture_options(path);
	struct store *store;

	options.max_bytes = 64ull << 30;
	store = fixture_open(&options);
	fill(store, total);
	printf("searches over %llu spans, open part:\n", (unsigned long long)total);
	search_all(store, total);
	store_close(store);
	before_ns = clock_ns(CLOCK_MONOTONIC);
	store = fixture_open(&options);
	printf("opened again in %.1f ms\n", (double)(clock_ns(CLOCK_MONOTONIC) - before_ns) / 1e6);
	pack(store, FIXTURE_T0 + 24 * 3600 * NS_PER_SEC);
	printf("searches over %llu spans, packed part:\n", (unsigned long long)total);
	search_all(store, total);
	store_close(store);
	fixture_remove(path);
	free(path);
	return 0;
}
