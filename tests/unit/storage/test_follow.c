/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever sends spans on gets each once, in the order of commits, whatever happens to the parts. */
#include "storage/follow.h"
#include "tests/unit/storage/store_context.h"

#define SPANS  1200
#define BATCH  40
#define TRACES 7
#define HOURS  3

/* One who follows, and what he has got. */
struct pursuit {
	struct store_follower follower;
	unsigned at_a_time; /* spans that he takes of a visit */
	unsigned count;
	uint64_t numbers[SPANS];
	struct buf bytes;
};

static int take(const struct span_batch *batch, void *arg)
{
	struct pursuit *pursuit = arg;
	unsigned taken = MIN(pursuit->at_a_time, batch->span_count);

	for (unsigned i = 0; i < taken; i++) {
		const struct span *span = &batch->spans[i];

		assert_true(pursuit->count < SPANS);
		memcpy(&pursuit->numbers[pursuit->count++], span->span_id, SPAN_ID_BYTES);
		buf_append_str(&pursuit->bytes, span->bytes);
		assert_true(
			str_eq(batch->resources[span->resource].service_name,
			       str_of(pursuit->numbers[pursuit->count - 1] % 3 ? "shop" : "pay")));
	}
	return (int)taken;
}

/* Until there are so many, or no more. */
static void follow(struct context *context, struct pursuit *pursuit, unsigned count)
{
	int rc = 1;

	while (pursuit->count < count && rc > 0)
		rc = store_follow(context->store, &pursuit->follower, take, pursuit);
	assert_true(rc > 0 || rc == -ENOENT);
}

/* Traces that lie across each other, with ledgers between, over some hours. */
static void commit_all(struct context *context)
{
	for (uint64_t i = 0; i < SPANS; i += BATCH) {
		uint64_t now_ns = FIXTURE_T0 + i * HOURS / SPANS * HOUR_NS;
		struct fixture_span spans[BATCH];
		struct ledger ledgers[BATCH];

		for (uint64_t j = 0; j < BATCH; j++) {
			spans[j] = span_of((i + j) * 5 % TRACES, i + j + 1);
			spans[j].start_ns -=
				(i + j) % 11 * 100000; /* not in the order they began */
			ledgers[j] = fixture_ledger(&spans[j], 1, (uint32_t)j);
		}
		assert_int_equal(fixture_commit_spans(context->store, spans, BATCH, now_ns), 0);
		assert_int_equal(fixture_commit_ledgers(context->store, ledgers, BATCH, now_ns), 0);
	}
}

static void expect_all(const struct pursuit *pursuit)
{
	assert_int_equal(pursuit->count, SPANS);
	for (unsigned i = 0; i < SPANS; i++)
		assert_int_equal(pursuit->numbers[i], i + 1);
}

static void expect_behind(struct context *context, const struct pursuit *pursuit, uint64_t count)
{
	uint64_t behind;

	assert_int_equal(store_follow_behind(context->store, &pursuit->follower.place, &behind), 0);
	assert_int_equal(behind, count);
}

static void each_span_comes_once_in_the_order_of_commits(void **state)
{
	static struct pursuit whole = { .at_a_time = SPANS }, one_by_one = { .at_a_time = 1 };

	commit_all(*state);
	follow(*state, &whole, SPANS + 1);
	follow(*state, &one_by_one, SPANS + 1);
	expect_all(&whole);
	expect_all(&one_by_one);
	assert_true(str_eq(buf_str(&whole.bytes), buf_str(&one_by_one.bytes)));
	expect_behind(*state, &whole, 0);
	buf_fini(&whole.bytes);
	buf_fini(&one_by_one.bytes);
}

/* A place is all that a restart leaves; packing puts other blocks in the place of those it counts.
 */
static void a_place_holds_over_packing_and_restarts(void **state)
{
	static struct pursuit before = { .at_a_time = SPANS };
	struct context *context = *state;

	commit_all(context);
	follow(context, &before, SPANS + 1);
	for (unsigned stop = 1; stop < SPANS; stop += 157) {
		struct pursuit *pursuit = calloc(1, sizeof(*pursuit));

		pursuit->at_a_time = 13;
		follow(context, pursuit, stop);
		expect_behind(context, pursuit, SPANS - pursuit->count);
		if (stop > SPANS / 3)
			fixture_pack(context->store, FIXTURE_T0 + HOURS * HOUR_NS);
		if (stop % 2)
			reopen(context);
		pursuit->follower = (struct store_follower){ .place = pursuit->follower.place };
		follow(context, pursuit, SPANS + 1);
		expect_all(pursuit);
		assert_true(str_eq(buf_str(&pursuit->bytes), buf_str(&before.bytes)));
		buf_fini(&pursuit->bytes);
		free(pursuit);
	}
	buf_fini(&before.bytes);
}

static void packing_under_way_is_not_noticed(void **state)
{
	static struct pursuit pursuit = { .at_a_time = 13 };
	struct context *context = *state;

	commit_all(context);
	follow(context, &pursuit, SPANS / 6);
	fixture_pack(context->store, FIXTURE_T0 + HOURS * HOUR_NS);
	follow(context, &pursuit, SPANS + 1);
	expect_all(&pursuit);
	buf_fini(&pursuit.bytes);
}

static void who_begins_at_the_end_gets_what_comes_later(void **state)
{
	static struct pursuit pursuit = { .at_a_time = SPANS };
	struct context *context = *state;
	struct fixture_span late = span_of(1, 999999);

	commit_all(context);
	assert_int_equal(store_follow_end(context->store, &pursuit.follower.place), 0);
	expect_behind(context, &pursuit, 0);
	fixture_commit_spans(context->store, &late, 1, FIXTURE_T0 + HOURS * HOUR_NS);
	follow(context, &pursuit, SPANS);
	assert_int_equal(pursuit.count, 1);
	assert_int_equal(pursuit.numbers[0], 999999);
	buf_fini(&pursuit.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_span_comes_once_in_the_order_of_commits, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_place_holds_over_packing_and_restarts, setup,
						teardown),
		cmocka_unit_test_setup_teardown(packing_under_way_is_not_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(who_begins_at_the_end_gets_what_comes_later, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
