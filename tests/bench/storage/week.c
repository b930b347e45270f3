/* SPDX-License-Identifier: Apache-2.0 */
/* A week of parts, backdated: what a span takes on disk, what closing a part costs, and how long
 * queries over it take. Run it by `tests/bench/storage/run`.
 *
 *   bench_week RECORDING SPANS [HOURS [FOLDER]]
 *   bench_week RECORDING 0 HOURS FOLDER TRACES   asks a week again that stayed
 *
 * HOURS: 168; fewer for a quick look. FOLDER: where the week is made, and stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "tests/bench/storage/week.h"
#include "tests/lib/storage_fixture.h"

#define TRACES 100 /* of one batch */
#define HOURS  (7 * 24)

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void pack(struct week *week, uint64_t now_ns)
{
	int rc = 1;

	while (rc > 0) {
		uint64_t took_ns = cpu_ns();

		rc = store_maintain(week->store, now_ns);
		took_ns = cpu_ns() - took_ns;
		week->packing_cpu_ns += took_ns;
		week->packing_longest_ns = MAX(week->packing_longest_ns, took_ns);
		week->packing_steps++;
	}
	assert_int_equal(rc, 0);
}

static void count_ledgers(struct week *week, const struct sample_group *made)
{
	for (size_t i = 0; i < made->row_count; i++) {
		for (size_t k = 0; k < made->rows[i].count; k++) {
			week->slices += made->rows[i].ledgers[k].slice_count;
			week->waits += made->rows[i].ledgers[k].wait_count;
		}
	}
}

static void commit_batch(struct week *week, uint64_t now_ns, uint64_t every_ns)
{
	struct store_group group = { .batch_count = 1 };
	struct sample_group made;

	sample_make(week->sample, week->traces, TRACES, now_ns, every_ns, &made);
	group.batches = (const struct span_batch *const *)&made.batch;
	assert_int_equal(store_commit(week->store, &group, now_ns), 0);
	group = (struct store_group){ .rows = made.rows,
				      .row_count = made.row_count,
				      .find_stack = sample_find_stack };
	assert_int_equal(store_commit(week->store, &group, now_ns), 0);
	count_ledgers(week, &made);
	week->traces += TRACES;
	week->spans += made.batch->span_count;
	week->request_bytes += made.bytes;
	sample_group_fini(&made);
}

static void fill(struct week *week, uint64_t total)
{
	uint64_t each_ns, groups = (uint64_t)((double)total / (double)week->hours / TRACES /
					      sample_spans_of_a_trace(week->sample));

	groups = MAX(groups, 1);
	each_ns = WEEK_HOUR_NS / groups;
	for (uint64_t part = 0; part < week->hours; part++) {
		uint64_t start_ns = week->start_ns + part * WEEK_HOUR_NS;

		for (uint64_t i = 0; i < groups; i++)
			commit_batch(week, start_ns + i * each_ns, each_ns / TRACES);
		pack(week, start_ns + WEEK_HOUR_NS);
		if (isatty(2) || part % 24 == 23)
			fprintf(stderr, "\r  %3llu of %llu parts, %9llu spans",
				(unsigned long long)part + 1, (unsigned long long)week->hours,
				(unsigned long long)week->spans);
	}
	fprintf(stderr, "\n");
}

static void make(struct week *week, uint64_t total)
{
	fill(week, total);
	printf("%llu spans in %llu traces and %llu parts\n", (unsigned long long)week->spans,
	       (unsigned long long)week->traces, (unsigned long long)week->hours);
	week_disk(week);
	printf("packing: %.2f us CPU a span, %llu steps of at most %.1f ms CPU\n",
	       (double)week->packing_cpu_ns / 1e3 / (double)week->spans,
	       (unsigned long long)week->packing_steps, (double)week->packing_longest_ns / 1e6);
}

int main(int argc, char **argv)
{
	char *path = argc > 4 ? argv[4] : fixture_folder();
	struct store_options options = fixture_options(path);
	struct week week = { .start_ns = FIXTURE_T0,
			     .hours = argc > 3 ? strtoull(argv[3], NULL, 10) : HOURS,
			     .traces = argc > 5 ? strtoull(argv[5], NULL, 10) : 0 };

	if (argc < 3) {
		fprintf(stderr, "usage: bench_week RECORDING SPANS [HOURS [FOLDER]]\n");
		return 2;
	}
	options.max_bytes = 64ull << 30;
	week.sample = sample_open(argv[1]);
	week.store = fixture_open(&options);
	if (week.traces == 0)
		make(&week, strtoull(argv[2], NULL, 10));
	week_ask(&week);
	store_close(week.store);
	sample_close(week.sample);
	if (argc <= 4) {
		fixture_remove(path);
		free(path);
	}
	return 0;
}
