/* SPDX-License-Identifier: Apache-2.0 */
/* A week of parts, backdated: what a span takes on disk, what closing a part costs, and how long
 * queries over it take.
 *
 *   bench_week [SPANS]           two million, as of a service with 40 operations; TMPDIR: which
 * disk */
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
#include "otlp/otlp_decode.h"
#include "storage/block.h"
#include "storage/view.h"
#include "tests/lib/storage_fixture.h"

#define BATCH      512
#define OPERATIONS 40
#define TRACE      8 /* spans of one */
#define PARTS      (7 * 24)
#define HOUR_NS    (3600 * NS_PER_SEC)
#define LOOKUPS    2000
#define QUERIES    100
#define WAITS      2
#define SLICES     6

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static uint64_t random_state = 1;

static uint32_t draw(uint32_t below)
{
	return fixture_random(&random_state) % below;
}

static struct ledger_wait all_waits[BATCH][WAITS];
static struct ledger_slice all_slices[BATCH][SLICES];

/* A request handler: some work, two waits, six slices. */
static struct ledger invent_ledger(const struct fixture_span *span, size_t at)
{
	struct ledger ledger = fixture_ledger(span, 1, draw(1u << 30));
	struct ledger_wait *waits = all_waits[at];
	struct ledger_slice *slices = all_slices[at];
	uint64_t each_ns = span->wall_ns / SLICES, net_ns = span->wall_ns / 2 + draw(100000);

	ledger.grade = GRADE_BOUNDED;
	memset(&ledger.all, 0, sizeof(ledger.all));
	ledger.all.blocked_ns[REASON_NET] = net_ns;
	ledger.all.blocked_ns[REASON_LOCK] = span->wall_ns / 16;
	ledger.all.runnable_ns = draw(50000);
	ledger.all.running_ns =
		span->wall_ns - net_ns - span->wall_ns / 16 - ledger.all.runnable_ns;
	ledger.self = ledger.all;
	ledger.cpu_ns = ledger.cpu_self_ns = ledger.all.running_ns - draw(2000);
	ledger.uncertain_ns = 2001 + draw(5000);
	for (unsigned i = 0; i < WAITS; i++)
		waits[i] = (struct ledger_wait){
			.reason = i ? REASON_LOCK : REASON_NET,
			.count = 1 + draw(3),
			.ns = i ? span->wall_ns / 16 : net_ns,
			.longest_ns = i ? span->wall_ns / 16 : net_ns / 2,
			.syscall = i ? 202 : 45,
			.stack = STACK_FIRST_ID + draw(30),
			.target = { .kind = i ? TARGET_FUTEX : TARGET_INET4,
				    .port = i ? 0 : 5432,
				    .address = { 10, 0, 0, 5 } },
		};
	for (unsigned i = 0; i < SLICES; i++)
		slices[i] = (struct ledger_slice){
			.start_unix_ns = span->start_ns + i * each_ns,
			.ns = each_ns - draw(1000),
			.tid = 1000 + draw(16),
			.state = i % 2 ? STATE_BLOCKED : STATE_RUNNING,
		};
	ledger.waits = waits;
	ledger.wait_count = WAITS;
	ledger.slices = slices;
	ledger.slice_count = SLICES;
	return ledger;
}

static void invent(uint64_t first, uint64_t now_ns, struct fixture_span *spans,
		   struct ledger *ledgers)
{
	static char names[OPERATIONS][64];

	for (size_t i = 0; i < BATCH; i++) {
		uint32_t operation = draw(OPERATIONS);

		snprintf(names[operation], sizeof(names[0]), "GET /api/v1/resource/%u", operation);
		spans[i] = (struct fixture_span){
			.trace = (first + i) / TRACE + 1,
			.span = first + i + 1,
			.parent = (first + i) % TRACE ? first + i : 0,
			.service = "shop",
			.name = names[operation],
			.start_ns = now_ns + draw(1000000000),
			.wall_ns = 1000000 + draw(100000000),
			.kind = SPAN_KIND_SERVER,
			.status = draw(50) ? SPAN_STATUS_OK : SPAN_STATUS_ERROR,
		};
		ledgers[i] = invent_ledger(&spans[i], i);
	}
}

struct packing {
	uint64_t cpu_ns, longest_ns, steps;
};

static void pack(struct store *store, uint64_t now_ns, struct packing *packing)
{
	uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int rc = 1;

	while (rc > 0) {
		uint64_t before_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		rc = store_maintain(store, now_ns);
		packing->longest_ns =
			MAX(packing->longest_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID) - before_ns);
		packing->steps++;
	}
	assert_int_equal(rc, 0);
	packing->cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
}

/* Returns the bytes of the requests. */
static uint64_t commit_batch(struct store *store, uint64_t first, uint64_t now_ns)
{
	static struct fixture_span spans[BATCH];
	static struct ledger ledgers[BATCH];
	struct store_ledger_rows rows[BATCH / TRACE];
	struct store_group group = { .batch_count = 1 };
	struct span_batch *batch;
	uint64_t bytes;

	invent(first, now_ns, spans, ledgers);
	batch = fixture_batch(spans, BATCH);
	bytes = batch->body.len;
	group.batches = (const struct span_batch *const *)&batch;
	assert_int_equal(store_commit(store, &group, now_ns), 0);
	otlp_batch_free(batch);
	for (size_t i = 0; i < BATCH / TRACE; i++)
		rows[i] = (struct store_ledger_rows){ &ledgers[i * TRACE], TRACE };
	group = (struct store_group){ .rows = rows, .row_count = BATCH / TRACE };
	assert_int_equal(store_commit(store, &group, now_ns), 0);
	return bytes;
}

static uint64_t fill(struct store *store, uint64_t total, struct packing *packing)
{
	uint64_t each = total / PARTS / BATCH * BATCH, first = 0, bytes = 0;

	for (uint64_t part = 0; part < PARTS; part++) {
		for (uint64_t at = 0; at < each; at += BATCH, first += BATCH)
			bytes += commit_batch(store, first,
					      FIXTURE_T0 + part * HOUR_NS + at * HOUR_NS / each);
		pack(store, FIXTURE_T0 + (part + 1) * HOUR_NS, packing);
	}
	return bytes;
}

static uint64_t tree_bytes(const struct txn *txn, MDB_dbi dbi)
{
	MDB_stat stat;

	if (mdb_stat(txn->mdb, dbi, &stat) != 0)
		return 0;
	return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
}

struct sizes {
	uint64_t span_rows, span_heap, ledger_rows, ledger_heap, by_trace, by_operation, rollup;
	uint64_t total;
};

static void add_block(struct sizes *sizes, struct str value)
{
	struct block_header header;

	memcpy(&header, value.data, sizeof(header));
	if (header.kind == BLOCK_SPANS) {
		sizes->span_heap += header.heap_bytes;
		sizes->span_rows += value.len - header.heap_bytes;
	} else {
		sizes->ledger_heap += header.heap_bytes;
		sizes->ledger_rows += value.len - header.heap_bytes;
	}
}

static void measure(struct store *store, uint64_t spans, uint64_t sent)
{
	struct sizes sizes = { 0 };
	struct view view;
	double n = (double)spans;

	assert_int_equal(view_open(store, &view), 0);
	for (size_t i = 0; i < view.count; i++) {
		const struct part *part = view.parts[i].part;
		struct str key, value;
		struct cursor cursor;
		const struct txn *txn;
		int rc;

		assert_int_equal(view_txn(&view, i, &txn), 0);
		sizes.by_trace += tree_bytes(txn, part->by_trace) + part->filter.len;
		sizes.by_operation += tree_bytes(txn, part->by_operation);
		sizes.rollup += tree_bytes(txn, part->rollup);
		sizes.total += part_bytes(part);
		assert_int_equal(cursor_open(txn, part->blocks, &cursor), 0);
		for (rc = cursor_first(&cursor, &key, &value); rc == 0;
		     rc = cursor_next(&cursor, &key, &value))
			add_block(&sizes, value);
		cursor_close(&cursor);
	}
	view_close(&view);
	printf("bytes a span, packed: %.1f in all; of it\n", (double)sizes.total / n);
	printf("  ledgers %.1f (rows %.1f, details with %d slices and %d waits %.1f)\n",
	       (double)(sizes.ledger_rows + sizes.ledger_heap) / n, (double)sizes.ledger_rows / n,
	       SLICES, WAITS, (double)sizes.ledger_heap / n);
	printf("  spans %.1f (rows %.1f, originals %.1f of %.1f sent: %.0f %%)\n",
	       (double)(sizes.span_rows + sizes.span_heap) / n, (double)sizes.span_rows / n,
	       (double)sizes.span_heap / n, (double)sent / n,
	       100.0 * (double)sizes.span_heap / (double)sent);
	printf("  indexes %.1f (by trace %.1f, by operation %.1f), rollups %.1f\n",
	       (double)(sizes.by_trace + sizes.by_operation) / n, (double)sizes.by_trace / n,
	       (double)sizes.by_operation / n, (double)sizes.rollup / n);
}

static int count(const struct store_span *span, void *arg)
{
	(void)span;
	++*(uint64_t *)arg;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void time_each(const char *what, unsigned times, uint64_t limit_us,
		      void (*call)(struct store *store, uint64_t spans), struct store *store,
		      uint64_t spans)
{
	uint64_t took[LOOKUPS], cpu[LOOKUPS];

	for (unsigned i = 0; i < times; i++) {
		took[i] = clock_ns(CLOCK_MONOTONIC);
		cpu[i] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		call(store, spans);
		cpu[i] = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu[i];
		took[i] = clock_ns(CLOCK_MONOTONIC) - took[i];
	}
	qsort(took, times, sizeof(*took), compare);
	qsort(cpu, times, sizeof(*cpu), compare);
	printf("  %-36s p50 %7.3f, p99 %7.3f ms; CPU p99 %7.3f ms (wanted: p99 <= %.0f ms)\n", what,
	       (double)took[times / 2] / 1e6, (double)took[times * 99 / 100] / 1e6,
	       (double)cpu[times * 99 / 100] / 1e6, (double)limit_us / 1e3);
}

static void find_trace(struct store *store, uint64_t spans)
{
	uint8_t id[TRACE_ID_BYTES];
	uint64_t found = 0;

	fixture_trace_id(1 + draw((uint32_t)(spans / TRACE)), id);
	assert_int_equal(store_each_of_trace(store, id, count, &found), 0);
	assert_int_equal(found, TRACE);
}

static void find_nothing(struct store *store, uint64_t spans)
{
	uint8_t id[TRACE_ID_BYTES];
	uint64_t found = 0;

	fixture_trace_id(spans + draw(1u << 30), id);
	store_each_of_trace(store, id, count, &found);
	assert_int_equal(found, 0);
}

static struct store_query hour(struct store *store)
{
	uint64_t from_ns = FIXTURE_T0 + draw(PARTS - 1) * HOUR_NS;

	(void)store;
	return (struct store_query){
		.service = str_of("shop"),
		.operation = str_of("GET /api/v1/resource/7"),
		.from_unix_ns = from_ns,
		.to_unix_ns = from_ns + HOUR_NS,
		.max_ratio = -1,
		.reason = -1,
		.grade = -1,
		.status = -1,
		.kind = -1,
		.limit = 20,
	};
}

static void search_hour(struct store *store, uint64_t spans)
{
	struct store_query query = hour(store);
	uint64_t found = 0;

	(void)spans;
	query.operation = (struct str){ 0 };
	query.min_wall_ns = 90 * NS_PER_MS;
	query.max_ratio = 0.4355;
	assert_int_equal(store_search(store, &query, count, &found, NULL), 0);
}

static int count_rollup(const struct store_rollup *rollup, void *arg)
{
	(void)rollup;
	++*(uint64_t *)arg;
	return 0;
}

static void operations_of_a_day(struct store *store, uint64_t spans)
{
	uint64_t from_ns = FIXTURE_T0 + draw(6 * 24 * 60) * 60 * NS_PER_SEC, found = 0;
	struct store_rollup_query query = { .from_unix_ns = from_ns,
					    .to_unix_ns = from_ns + 24 * HOUR_NS };

	(void)spans;
	assert_int_equal(store_each_rollup(store, &query, count_rollup, &found), 0);
	assert_int_equal(found, OPERATIONS);
}

static int threshold(const struct store_rollup *rollup, void *arg)
{
	struct store_query *query = arg;
	uint64_t wall_ns = rollup_cell_quantile(rollup->cell, ROLLUP_WALL, 0.99);

	query->min_wall_ns = sketch_low(sketch_bucket(wall_ns));
	query->limit = 1 + rollup_cell_sum(rollup->cell, ROLLUP_COUNT) / 100;
	return 0;
}

static void waits_of_an_hour(struct store *store, uint64_t spans)
{
	struct store_query query = hour(store);
	struct store_rollup_query asked = { .service = query.service,
					    .operation = query.operation,
					    .from_unix_ns = query.from_unix_ns,
					    .to_unix_ns = query.to_unix_ns };
	uint64_t found = 0;

	(void)spans;
	assert_int_equal(store_each_rollup(store, &asked, threshold, &query), 0);
	query.sort = STORE_SORT_WALL;
	query.any_order = true;
	assert_int_equal(store_search(store, &query, count, &found, NULL), 0);
	assert_true(found);
}

int main(int argc, char **argv)
{
	uint64_t total = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000, sent, spans;
	char *path = fixture_folder();
	struct store_options options = fixture_options(path);
	struct packing packing = { 0 };
	struct store_stats stats;
	struct store *store;

	options.max_bytes = 64ull << 30;
	store = fixture_open(&options);
	sent = fill(store, total, &packing);
	store_stats(store, &stats);
	spans = stats.spans;
	printf("%llu spans in %llu parts\n", (unsigned long long)spans,
	       (unsigned long long)stats.parts);
	measure(store, spans, sent);
	printf("packing: %.2f us CPU a span, %llu steps of at most %.1f ms CPU\n",
	       (double)packing.cpu_ns / 1e3 / (double)spans, (unsigned long long)packing.steps,
	       (double)packing.longest_ns / 1e6);
	time_each("a trace by its id", LOOKUPS, 2000, find_trace, store, spans);
	time_each("a trace that is not there", LOOKUPS, 2000, find_nothing, store, spans);
	time_each("an hour by two conditions", QUERIES, 50000, search_hour, store, spans);
	time_each("operations of 24 hours", QUERIES, 50000, operations_of_a_day, store, spans);
	time_each("p99 waits of an operation, an hour", QUERIES, 200000, waits_of_an_hour, store,
		  spans);
	store_close(store);
	fixture_remove(path);
	free(path);
	return 0;
}
