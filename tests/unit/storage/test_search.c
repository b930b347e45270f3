/* SPDX-License-Identifier: Apache-2.0 */
/* Searches against the obvious: all spans in an array, filtered and sorted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "tests/lib/storage_fixture.h"

#define SPANS   3000
#define BATCH   50
#define QUERIES 150
#define HOUR_NS (3600 * NS_PER_SEC)

struct truth {
	struct fixture_span span;
	struct ledger ledger;
	bool has_ledger;
	bool at_once; /* it has the one that came with its span, and no other */
};

struct model {
	struct truth truths[SPANS];
	char *path;
	struct store *store;
	struct store_options options;
	uint64_t random;
};

static const char *const services[] = { "shop", "pay", "mail", "" };
static const char *const names[] = { "GET /", "GET /report", "SELECT", "publish", "rare" };

static uint32_t below(struct model *model, uint32_t limit)
{
	return fixture_random(&model->random) % limit;
}

static void invent(struct model *model)
{
	for (size_t i = 0; i < SPANS; i++) {
		struct truth *truth = &model->truths[i];
		uint32_t name = below(model, 200);

		truth->span = (struct fixture_span){
			.trace = i / 7,
			.span = i + 1,
			.parent = i % 7 ? i : 0,
			.service = services[i / 10 % 4],
			.name = names[name == 0 ? 4 : name % 4],
			.start_ns = FIXTURE_T0 + below(model, 600) * NS_PER_SEC,
			.wall_ns = below(model, 1000) * 1000,
			.kind = (uint8_t)below(model, 6),
			.status = (uint8_t)below(model, 3),
		};
		truth->has_ledger = below(model, 10) != 0;
		truth->ledger = fixture_ledger(&truth->span, 1, fixture_random(&model->random));
	}
}

/* Ledgers follow some batches later; some are revised, some spans sent again. */
static void commit_ledgers(struct model *model, size_t from, uint64_t now_ns)
{
	struct ledger ledgers[BATCH];
	size_t count = 0;

	for (size_t i = from; i < from + BATCH; i++) {
		struct truth *truth = &model->truths[i];

		if (!truth->has_ledger || truth->at_once)
			continue;
		ledgers[count++] = truth->ledger;
		if (below(model, 10) == 0) /* ... before that, it had another */
			ledgers[count - 1] =
				fixture_ledger(&truth->span, 1, fixture_random(&model->random));
	}
	assert_int_equal(fixture_commit_ledgers(model->store, ledgers, count, now_ns), 0);
	for (size_t i = from; i < from + BATCH; i++) {
		struct truth *truth = &model->truths[i];

		if (!truth->has_ledger || truth->at_once)
			continue;
		truth->ledger.revision = 2;
		assert_int_equal(fixture_commit_ledgers(model->store, &truth->ledger, 1, now_ns),
				 0);
	}
}

/* What is settled by its commit needs no ledger, but may get one. */
static void settle_at_once(struct model *model, size_t from)
{
	for (size_t i = from; i < from + BATCH; i++) {
		struct truth *truth = &model->truths[i];

		if (truth->has_ledger)
			continue;
		truth->has_ledger = truth->at_once = true;
		truth->ledger = fixture_ledger(&truth->span, 1, 0);
	}
}

static void fill(struct model *model)
{
	for (size_t i = 0; i < SPANS + 3 * BATCH; i += BATCH) {
		uint64_t now_ns = FIXTURE_T0 + i * HOUR_NS / 1000; /* three parts */
		struct fixture_span spans[BATCH];
		uint8_t none_cause = i < SPANS && i % 200 == 0 ? NONE_NO_TAGS : 0;

		for (size_t j = 0; j < BATCH && i < SPANS; j++)
			spans[j] = model->truths[i + j].span;
		if (none_cause)
			settle_at_once(model, i);
		if (i < SPANS)
			assert_int_equal(fixture_commit_settled(model->store, spans, BATCH,
								none_cause, now_ns),
					 0);
		if (i < SPANS && i % 500 == 0)
			assert_int_equal(fixture_commit_spans(model->store, spans, 10, now_ns), 0);
		if (i >= 3 * BATCH)
			commit_ledgers(model, i - 3 * BATCH, now_ns);
	}
}

static double ratio_of(const struct truth *truth)
{
	return truth->has_ledger ? ledger_ratio(&truth->ledger) : -1;
}

static bool matches(const struct truth *truth, const struct store_query *query)
{
	const struct fixture_span *span = &truth->span;
	const char *service = *span->service ? span->service : "unknown_service";
	bool has_ledger = truth->has_ledger;

	return (!query->service.len || str_eq(query->service, str_of(service))) &&
	       (!query->operation.len || str_eq(query->operation, str_of(span->name))) &&
	       span->start_ns >= query->from_unix_ns &&
	       (!query->to_unix_ns || span->start_ns < query->to_unix_ns) &&
	       span->wall_ns >= query->min_wall_ns &&
	       (query->max_ratio < 0 ||
		(ratio_of(truth) >= 0 && ratio_of(truth) <= query->max_ratio)) &&
	       (query->reason < 0 ||
		(has_ledger && truth->ledger.all.blocked_ns[query->reason] > 0)) &&
	       (query->grade < 0 || (has_ledger && truth->ledger.grade == query->grade)) &&
	       (query->status < 0 || span->status == query->status) &&
	       (query->kind < 0 || span->kind == query->kind) &&
	       (!query->match || span->span % 3 == 0);
}

static enum store_sort model_sort; /* qsort has no argument */

/* Figures, then ledgers without, then nothing; and the value within the first. */
static int class_of(const struct truth *truth)
{
	return !truth->has_ledger                                      ? 2
	       : ratio_of(truth) < 0 && model_sort == STORE_SORT_RATIO ? 1
	       : truth->ledger.grade == GRADE_NONE                     ? 1
								       : 0;
}

static int by_value(const struct truth *a, const struct truth *b)
{
	uint64_t left = a->span.wall_ns, right = b->span.wall_ns;

	if (model_sort == STORE_SORT_START)
		return 0;
	if (model_sort == STORE_SORT_WALL)
		return (left < right) - (left > right);
	if (class_of(a) != class_of(b) || class_of(a) > 0)
		return class_of(a) - class_of(b);
	if (model_sort == STORE_SORT_RATIO)
		return (ratio_of(a) > ratio_of(b)) - (ratio_of(a) < ratio_of(b));
	left = ledger_blocked_ns(&a->ledger.all);
	right = ledger_blocked_ns(&b->ledger.all);
	return (left < right) - (left > right);
}

static int compare(const void *a, const void *b)
{
	const struct truth *left = *(struct truth *const *)a, *right = *(struct truth *const *)b;
	int order = by_value(left, right);

	if (order)
		return order;
	if (left->span.start_ns != right->span.start_ns)
		return left->span.start_ns > right->span.start_ns ? -1 : 1;
	order = memcmp(left->ledger.trace_id, right->ledger.trace_id, TRACE_ID_BYTES);
	return order ? order : memcmp(left->ledger.span_id, right->ledger.span_id, SPAN_ID_BYTES);
}

struct expected {
	struct truth *truths[SPANS];
	size_t count, at;
};

static int check(const struct store_span *span, void *arg)
{
	struct expected *expected = arg;
	const struct truth *truth = expected->truths[expected->at++];
	uint64_t number;

	memcpy(&number, span->span.span_id, sizeof(number));
	assert_int_equal(number, truth->span.span);
	assert_int_equal(span->has_ledger, truth->has_ledger);
	if (span->has_ledger)
		assert_int_equal(span->ledger.revision, truth->at_once ? 1 : 2);
	return 0;
}

static bool is_third(const struct store_span *span, void *arg)
{
	uint64_t number;

	(void)arg;
	memcpy(&number, span->span.span_id, sizeof(number));
	return number % 3 == 0;
}

static struct store_query random_query(struct model *model)
{
	struct store_query query = {
		.max_ratio = below(model, 3) ? -1 : below(model, 100) / 100.0,
		.reason = below(model, 4) ? -1 : (int)below(model, REASON_COUNT),
		.grade = below(model, 5) ? -1 : (int)below(model, 5),
		.status = below(model, 4) ? -1 : (int)below(model, 3),
		.kind = below(model, 4) ? -1 : (int)below(model, 6),
		.sort = (enum store_sort)below(model, 4),
		.limit = 1 + below(model, below(model, 4) ? 50 : 5000),
	};
	const char *service = services[below(model, 4)];

	if (below(model, 2))
		query.service = str_of(*service ? service : "unknown_service");
	if (below(model, 2))
		query.operation = str_of(names[below(model, 5)]);
	if (below(model, 3) == 0)
		query.from_unix_ns = FIXTURE_T0 + below(model, 600) * NS_PER_SEC;
	if (below(model, 3) == 0)
		query.to_unix_ns = FIXTURE_T0 + below(model, 600) * NS_PER_SEC;
	if (below(model, 3) == 0)
		query.min_wall_ns = below(model, 1000) * 1000;
	if (below(model, 4) == 0)
		query.match = is_third;
	return query;
}

static void expect(struct model *model, const struct store_query *query, struct expected *expected)
{
	expected->count = expected->at = 0;
	for (size_t i = 0; i < SPANS; i++) {
		if (matches(&model->truths[i], query))
			expected->truths[expected->count++] = &model->truths[i];
	}
	model_sort = query->sort;
	if (expected->count)
		qsort(expected->truths, expected->count, sizeof(expected->truths[0]), compare);
}

static void try_queries(struct model *model)
{
	static struct expected expected;

	for (int i = 0; i < QUERIES; i++) {
		struct store_query query = random_query(model);
		bool truncated = true;

		expect(model, &query, &expected);
		assert_int_equal(store_search(model->store, &query, check, &expected, &truncated),
				 0);
		assert_int_equal(expected.at, MIN(expected.count, query.limit));
		assert_false(truncated);
	}
}

/* Revisions and resent spans count once, what has not settled does not count. */
static void try_walls(struct model *model)
{
	for (int i = 0; i < QUERIES / 2; i++) {
		struct store_query query = random_query(model);
		uint64_t sums[2] = { 0 }, found[2] = { 0 };
		bool truncated = true;
		struct buf walls;

		query.grade = query.reason = -1;
		query.max_ratio = -1;
		buf_init(&walls, 0);
		assert_int_equal(store_walls(model->store, &query, &walls, &truncated), 0);
		assert_false(truncated);
		for (; found[0] < walls.len / sizeof(uint64_t); found[0]++)
			found[1] += ((uint64_t *)(void *)walls.data)[found[0]];
		for (size_t j = 0; j < SPANS; j++) {
			const struct truth *truth = &model->truths[j];

			if (truth->has_ledger && matches(truth, &query)) {
				sums[0]++;
				sums[1] += truth->span.wall_ns;
			}
		}
		assert_int_equal(found[0], sums[0]);
		assert_int_equal(found[1], sums[1]);
		buf_fini(&walls);
	}
}

struct page {
	struct expected expected;
	struct store_position last;
	size_t count;
};

static int turn(const struct store_span *span, void *arg)
{
	struct page *page = arg;

	page->count++;
	page->last = span->position;
	return check(span, &page->expected);
}

/* Pages show all, each once, in whatever order. */
static void try_pages(struct model *model)
{
	static struct page page;

	for (int i = 0; i < QUERIES / 8; i++) {
		struct store_query query = random_query(model);

		query.limit = 40 + below(model, 300);
		expect(model, &query, &page.expected);
		do {
			page.count = 0;
			assert_int_equal(store_search(model->store, &query, turn, &page, NULL), 0);
			query.after = &page.last;
		} while (page.count == query.limit);
		assert_int_equal(page.expected.at, page.expected.count);
	}
}

static int setup(void **state)
{
	struct model *model = calloc(1, sizeof(*model));

	model->random = 20250101;
	model->path = fixture_folder();
	model->options = fixture_options(model->path);
	model->options.index_bytes = 16384;
	model->store = fixture_open(&model->options);
	invent(model);
	fill(model);
	*state = model;
	return 0;
}

static int teardown(void **state)
{
	struct model *model = *state;

	store_close(model->store);
	fixture_remove(model->path);
	free(model->path);
	free(model);
	return 0;
}

static void searches_find_what_a_simple_model_finds(void **state)
{
	try_queries(*state);
	try_walls(*state);
	try_pages(*state);
}

static void and_after_the_parts_are_packed(void **state)
{
	struct model *model = *state;
	struct store_stats stats;

	fixture_pack(model->store, FIXTURE_T0 + 100 * HOUR_NS);
	store_stats(model->store, &stats);
	assert_true(stats.parts > 1);
	try_queries(model);
	try_walls(model);
	try_pages(model);
}

static void and_after_reopening(void **state)
{
	struct model *model = *state;

	store_close(model->store);
	model->store = NULL;
	model->store = fixture_open(&model->options);
	try_queries(model);
}

static uint64_t late(void)
{
	return 2;
}

static void a_deadline_cuts_a_search_short(void **state)
{
	struct model *model = *state;
	struct store_query query = { .max_ratio = -1,
				     .reason = -1,
				     .grade = -1,
				     .status = -1,
				     .kind = -1,
				     .limit = 1,
				     .deadline_mono_ns = 1,
				     .mono_ns = late };
	struct expected expected = { 0 };
	bool truncated = false;

	assert_int_equal(store_search(model->store, &query, check, &expected, &truncated), 0);
	assert_true(truncated);
	query.limit = 0;
	assert_int_equal(store_search(model->store, &query, check, &expected, &truncated), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(searches_find_what_a_simple_model_finds),
		cmocka_unit_test(and_after_the_parts_are_packed),
		cmocka_unit_test(and_after_reopening),
		cmocka_unit_test(a_deadline_cuts_a_search_short),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
