/* SPDX-License-Identifier: Apache-2.0 */
/* Readers while the writer commits, spills, packs and drops: what was acknowledged before a reader
 * asked is there when it asks. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/rollup.h"
#include "tests/lib/storage_fixture.h"

#define READERS 3
#define GROUPS  600
#define SPANS   10
#define KEPT    200 /* retention keeps at least so many groups */

struct shared {
	struct store *store;
	atomic_ullong acknowledged;
	atomic_ullong kept;    /* groups before this may be gone */
	atomic_ullong settled; /* spans */
	atomic_ullong now;
	atomic_bool over;
	atomic_ullong looked;
};

static int count(const struct store_span *span, void *arg)
{
	(void)span;
	++*(uint64_t *)arg;
	return 0;
}

static int count_operation(struct str service, struct str operation, uint8_t kind, uint64_t spans,
			   void *arg)
{
	(void)service, (void)operation, (void)kind, (void)spans, (void)arg;
	return 0;
}

/* No asserts in threads: they return what went wrong. */
static long look(struct shared *shared, uint64_t *random)
{
	struct store_query query = { .service = STR("shop"),
				     .max_ratio = -1,
				     .reason = -1,
				     .grade = -1,
				     .status = -1,
				     .kind = -1,
				     .limit = 5,
				     .sort = (enum store_sort)(fixture_random(random) % 4) };
	uint64_t last = atomic_load(&shared->acknowledged), first, group, spans = 0;
	uint8_t id[TRACE_ID_BYTES];
	struct store_stats stats;
	int rc;

	if (last == 0)
		return 0;
	group = last - 1 - fixture_random(random) % MIN(last, (uint64_t)KEPT);
	fixture_trace_id(group, id);
	rc = store_each_of_trace(shared->store, id, count, &spans);
	first = atomic_load(&shared->kept);
	if (rc == -ENOENT && group < first)
		return 0;
	if (rc < 0 || spans != SPANS)
		return rc < 0 ? rc : -EPROTO;
	rc = store_search(shared->store, &query, count, &spans, NULL);
	if (rc == 0)
		rc = store_each_operation(shared->store, count_operation, NULL);
	store_stats(shared->store, &stats);
	atomic_fetch_add(&shared->looked, 1);
	return rc;
}

static void *read_for_ever(void *arg)
{
	struct shared *shared = arg;
	uint64_t random = (uint64_t)(uintptr_t)&random;
	long rc = 0;

	while (!atomic_load(&shared->over) && rc == 0)
		rc = look(shared, &random);
	return (void *)rc;
}

static void write_all(struct shared *shared, uint64_t every_ns)
{
	for (uint64_t group = 0; group < GROUPS; group++) {
		struct fixture_span spans[SPANS];
		struct ledger ledgers[SPANS];
		uint64_t now_ns = FIXTURE_T0 + group * every_ns;

		for (uint64_t i = 0; i < SPANS; i++) {
			spans[i] = (struct fixture_span){ .trace = group,
							  .span = i + 1,
							  .service = "shop",
							  .name = "GET /",
							  .start_ns = FIXTURE_T0 + group,
							  .wall_ns = 1000 };
			ledgers[i] = fixture_ledger(&spans[i], 1, (uint32_t)i);
		}
		assert_int_equal(fixture_commit_spans(shared->store, spans, SPANS, now_ns), 0);
		atomic_store(&shared->acknowledged, group + 1);
		assert_int_equal(fixture_commit_ledgers(shared->store, ledgers, SPANS, now_ns), 0);
		atomic_store(&shared->settled, (group + 1) * SPANS);
		if (group > KEPT)
			atomic_store(&shared->kept, group - KEPT);
		atomic_store(&shared->now, now_ns);
	}
}

/* Packs and drops beside the one who commits. */
static void *keep_for_ever(void *arg)
{
	struct shared *shared = arg;
	long rc = 0;

	while (!atomic_load(&shared->over) && rc >= 0)
		rc = store_keep(shared->store, atomic_load(&shared->now));
	return (void *)MIN(rc, 0);
}

static void readers_see_what_was_acknowledged(void **state)
{
	char *path = fixture_folder();
	struct store_options options = fixture_options(path);
	struct shared shared = { 0 };
	pthread_t threads[READERS + 1];
	struct store_stats stats;

	(void)state;
	options.part_ns = 25;
	options.max_age_ns = KEPT;
	options.index_bytes = 300;
	shared.store = fixture_open(&options);
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_for_ever, &shared), 0);
	assert_int_equal(pthread_create(&threads[READERS], NULL, keep_for_ever, &shared), 0);
	write_all(&shared, 1);
	while (atomic_load(&shared.looked) == 0)
		;
	do
		store_stats(shared.store, &stats);
	while (stats.parts_dropped == 0);
	atomic_store(&shared.over, true);
	for (size_t i = 0; i < READERS + 1; i++) {
		void *result;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_int_equal((long)result, 0);
	}
	store_stats(shared.store, &stats);
	assert_true(stats.parts_dropped > 0);
	store_close(shared.store);
	fixture_remove(path);
	free(path);
}

static int sum_up(const struct store_rollup *rollup, void *arg)
{
	*(uint64_t *)arg += rollup_cell_sum(rollup->cell, ROLLUP_COUNT);
	return 0;
}

/* The writer does not wait for whoever reads rollups, and still all of a commit is there for
 * whoever asks after it. */
static void *sum_for_ever(void *arg)
{
	const struct store_rollup_query query = { .from_unix_ns = 0 };
	struct shared *shared = arg;
	long rc = 0;

	while (!atomic_load(&shared->over) && rc == 0) {
		uint64_t settled = atomic_load(&shared->settled), count = 0;

		rc = store_each_rollup(shared->store, &query, sum_up, &count);
		if (rc == 0 && (count < settled || count > GROUPS * SPANS))
			rc = -EPROTO;
	}
	return (void *)rc;
}

static void rollups_have_what_was_acknowledged(void **state)
{
	const struct store_rollup_query query = { .from_unix_ns = 0 };
	char *path = fixture_folder();
	struct store_options options = fixture_options(path);
	struct shared shared = { 0 };
	pthread_t threads[READERS];
	uint64_t count = 0;

	(void)state;
	shared.store = fixture_open(&options);
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sum_for_ever, &shared), 0);
	write_all(&shared, 61 * NS_PER_SEC / 100); /* a run of rollups each hundred groups */
	atomic_store(&shared.over, true);
	for (size_t i = 0; i < READERS; i++) {
		void *result;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_int_equal((long)result, 0);
	}
	assert_int_equal(store_each_rollup(shared.store, &query, sum_up, &count), 0);
	assert_int_equal(count, GROUPS * SPANS);
	store_close(shared.store);
	fixture_remove(path);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rollups_have_what_was_acknowledged),
		cmocka_unit_test(readers_see_what_was_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
