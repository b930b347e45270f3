/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/rollup_pages.h"

#define LEDGERS 200

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* Its waits are borrowed from `waits`. */
static struct ledger random_ledger(uint64_t *state, struct ledger_wait waits[3])
{
	struct ledger ledger = {
		.grade = (uint8_t)(next_random(state) % 5),
		.wall_ns = 1 + next_random(state) % 1000000,
		.cpu_ns = next_random(state) % 100000,
		.wait_count = 3,
		.waits = waits,
	};

	memset(waits, 0, 3 * sizeof(*waits));
	for (unsigned i = 0; i < TRACE_ID_BYTES; i++)
		ledger.trace_id[i] = (uint8_t)(1 + next_random(state) % 255);
	memcpy(ledger.span_id, ledger.trace_id, SPAN_ID_BYTES);
	ledger.all.runnable_ns = next_random(state) % 2 * next_random(state) % 1000;
	ledger.all.running_ns = ledger.cpu_ns;
	for (unsigned i = 0; i < 3; i++) {
		waits[i].reason = (uint8_t)(next_random(state) % REASON_COUNT);
		waits[i].ns = next_random(state) % 100000;
		waits[i].count = 1;
		waits[i].stack = next_random(state) % 3;
		waits[i].target.kind = TARGET_INET4;
		waits[i].target.aux = (uint32_t)next_random(state);
		waits[i].target.port = (uint16_t)(next_random(state) % 40);
		ledger.all.blocked_ns[waits[i].reason] += waits[i].ns;
	}
	return ledger;
}

static void every_value_lies_in_its_bucket(void **state)
{
	unsigned before = 0;

	(void)state;
	for (uint64_t value = 0; value < UINT64_MAX / 2; value += 1 + value / 500) {
		unsigned bucket = sketch_bucket(value);
		uint64_t stands_for = sketch_value(bucket), error;

		assert_true(bucket < SKETCH_BUCKETS && bucket >= before);
		assert_true(value >= sketch_low(bucket));
		assert_true(value - sketch_low(bucket) < sketch_width(bucket));
		error = value > stands_for ? value - stands_for : stands_for - value;
		assert_true((double)error <= (double)value * SKETCH_ERROR);
		before = bucket;
	}
	assert_true(sketch_bucket(UINT64_MAX) == SKETCH_BUCKETS - 1);
}

/* As bytes in one piece. */
static void encode(const struct rollup_cell *cell, struct buf *out)
{
	struct rollup_code code;

	rollup_code_init(&code);
	rollup_cell_encode(cell, &code);
	rollup_code_put(&code, out);
	rollup_code_fini(&code);
}

static int decode(struct rollup_cell *cell, struct str bytes)
{
	struct rollup_bytes streams;
	int rc = rollup_bytes_get(bytes, &streams);

	return rc < 0 ? rc : rollup_cell_decode(cell, &streams, NULL);
}

static void expect_same(const struct rollup_cell *a, const struct rollup_cell *b)
{
	struct buf left = { 0 }, right = { 0 };

	encode(a, &left);
	encode(b, &right);
	assert_int_equal(left.len, right.len);
	assert_memory_equal(left.data, right.data, left.len);
	buf_fini(&left);
	buf_fini(&right);
}

static void encoded_halves_merge_to_the_whole(void **state)
{
	struct rollup_cell whole = { 0 }, merged = { 0 }, halves[2];
	struct ledger_wait waits[3];
	uint64_t random = 1;

	(void)state;
	memset(halves, 0, sizeof(halves));
	for (unsigned i = 0; i < LEDGERS; i++) {
		struct ledger ledger = random_ledger(&random, waits);

		assert_int_equal(rollup_cell_add(&whole, &ledger, i % 3 == 0, 1), 0);
		assert_int_equal(rollup_cell_add(&halves[i % 2], &ledger, i % 3 == 0, 1), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct buf bytes = { 0 };

		encode(&halves[i], &bytes);
		assert_int_equal(decode(&merged, buf_str(&bytes)), 0);
		buf_fini(&bytes);
	}
	assert_memory_equal(whole.sums, merged.sums, sizeof(whole.sums));
	assert_memory_equal(whole.examples, merged.examples, sizeof(whole.examples));
	assert_int_equal(whole.bucket_count, merged.bucket_count);
	for (uint32_t i = 0; i < whole.bucket_count; i++) {
		assert_int_equal(whole.buckets[i].key, merged.buckets[i].key);
		assert_int_equal(whole.buckets[i].count, merged.buckets[i].count);
	}
	rollup_cell_fini(&whole);
	rollup_cell_fini(&merged);
	rollup_cell_fini(&halves[0]);
	rollup_cell_fini(&halves[1]);
}

/* Pieces, of which the last takes out what the first added, are summed up one way and the other. */
static void sum_up(const struct rollup_cell *pieces, unsigned count, struct rollup_cell *plain,
		   struct rollup_cell *spread, struct rollup_pool *pool)
{
	for (unsigned i = 0; i < count; i++) {
		struct buf bytes = { 0 };

		encode(&pieces[i], &bytes);
		if (i == 1)
			assert_int_equal(rollup_cell_spread(spread, pool), 0);
		assert_int_equal(decode(plain, buf_str(&bytes)), 0);
		assert_int_equal(decode(spread, buf_str(&bytes)), 0);
		buf_fini(&bytes);
	}
	assert_int_equal(rollup_cell_sort(spread), 0);
	assert_null(spread->pages);
}

static void make_pieces(struct rollup_cell pieces[3], uint64_t *random)
{
	struct ledger_wait waits[3];

	for (unsigned i = 0; i < LEDGERS; i++) {
		struct ledger ledger = random_ledger(random, waits);

		assert_int_equal(rollup_cell_add(&pieces[i % 2], &ledger, false, 1), 0);
		if (i % 2 == 0)
			assert_int_equal(rollup_cell_add(&pieces[2], &ledger, false, -1), 0);
	}
}

static void sums_in_pages_are_those_of_sorted_buckets(void **state)
{
	struct rollup_pool pool = { 0 };
	uint64_t random = 7;
	unsigned full = 0;

	(void)state;
	while (full < 3) { /* also without room, from the first piece on or in the midst of one */
		struct rollup_cell pieces[3] = { 0 }, plain = { 0 }, spread = { 0 };

		make_pieces(pieces, &random);
		full += pool.count == ROLLUP_POOL_PAGES || pool.cells == ROLLUP_POOL_CELLS;
		sum_up(pieces, 3, &plain, &spread, &pool);
		expect_same(&plain, &spread);
		assert_true(pool.count <= ROLLUP_POOL_PAGES && pool.cells <= ROLLUP_POOL_CELLS);
		rollup_cell_fini(&plain);
		rollup_cell_fini(&spread);
		for (unsigned i = 0; i < 3; i++)
			rollup_cell_fini(&pieces[i]);
	}
	assert_int_equal(pool.count, ROLLUP_POOL_PAGES);
	rollup_pool_fini(&pool);
}

static void what_is_taken_out_was_never_there(void **state)
{
	struct rollup_cell kept = { 0 }, changed = { 0 };
	struct ledger_wait waits[3];
	uint64_t random = 9;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct ledger ledger = random_ledger(&random, waits);
		struct ledger other = ledger;

		other.cpu_ns *= 3;
		other.all.running_ns *= 2;
		assert_int_equal(rollup_cell_add(&kept, &ledger, false, 1), 0);
		assert_int_equal(rollup_cell_add(&changed, &other, false, 1), 0);
		assert_int_equal(rollup_cell_add(&changed, &other, false, -1), 0);
		assert_int_equal(rollup_cell_add(&changed, &ledger, false, 1), 0);
	}
	memset(changed.examples, 0, sizeof(changed.examples));
	memset(kept.examples, 0, sizeof(kept.examples));
	expect_same(&kept, &changed);
	rollup_cell_fini(&kept);
	rollup_cell_fini(&changed);
}

static void waits_beyond_the_limit_are_summed_by_reason(void **state)
{
	struct rollup_cell cell = { 0 };
	struct ledger_wait waits[3];
	int64_t by_reason[REASON_COUNT] = { 0 };
	uint64_t random = 4;

	(void)state;
	for (unsigned i = 0; i < LEDGERS; i++) {
		struct ledger ledger = random_ledger(&random, waits);

		assert_int_equal(rollup_cell_add(&cell, &ledger, false, 1), 0);
	}
	assert_true(cell.wait_count <= ROLLUP_MAX_WAITS + REASON_COUNT);
	for (uint32_t i = 0; i < cell.wait_count; i++)
		by_reason[cell.waits[i].reason] += cell.waits[i].ns;
	for (unsigned i = 0; i < REASON_COUNT; i++)
		assert_int_equal(by_reason[i], cell.sums[ROLLUP_BLOCKED_NS + i]);
	rollup_cell_fini(&cell);
}

static void damaged_bytes_are_refused(void **state)
{
	struct rollup_cell cell = { 0 };
	struct ledger_wait waits[3];
	struct rollup_bytes streams;
	struct buf bytes = { 0 };
	uint64_t random = 2;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct ledger ledger = random_ledger(&random, waits);

		assert_int_equal(rollup_cell_add(&cell, &ledger, false, 1), 0);
	}
	encode(&cell, &bytes);
	for (size_t len = 0; len < bytes.len; len++) {
		struct rollup_cell into = { 0 };

		assert_true(decode(&into, (struct str){ bytes.data, len }) < 0);
		rollup_cell_fini(&into);
	}
	for (unsigned i = 0; i < 20000; i++) {
		struct rollup_cell into = { 0 };
		size_t at = next_random(&random) % bytes.len;
		char before = bytes.data[at];

		bytes.data[at] = (char)next_random(&random);
		decode(&into, buf_str(&bytes)); /* the sanitizers look on */
		bytes.data[at] = before;
		rollup_cell_fini(&into);
	}
	assert_int_equal(rollup_bytes_get(buf_str(&bytes), &streams), 0);
	bytes.data[streams.streams[ROLLUP_NUMBERS].data - bytes.data]++;
	assert_int_equal(decode(&(struct rollup_cell){ 0 }, buf_str(&bytes)), -EPROTO);
	buf_fini(&bytes);
	rollup_cell_fini(&cell);
}

static void spans_without_figures_never_look_like_waiting(void **state)
{
	struct ledger none = { .grade = GRADE_NONE, .wall_ns = 1000, .trace_id = { 1 } };
	struct ledger busy = {
		.grade = GRADE_EXACT, .wall_ns = 1000, .cpu_ns = 900, .trace_id = { 2 }
	};
	struct rollup_cell cell = { 0 };

	(void)state;
	assert_int_equal(rollup_cell_add(&cell, &none, false, 1), 0);
	assert_true(rollup_cell_ratio(&cell) < 0);
	assert_int_equal(rollup_cell_add(&cell, &busy, false, 1), 0);
	assert_true(rollup_cell_ratio(&cell) > 0.899);
	assert_int_equal(rollup_cell_figured(&cell), 1);
	assert_int_equal(rollup_cell_quantile(&cell, ROLLUP_RUNNABLE, 0.99), 0);
	rollup_cell_fini(&cell);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_lies_in_its_bucket),
		cmocka_unit_test(encoded_halves_merge_to_the_whole),
		cmocka_unit_test(sums_in_pages_are_those_of_sorted_buckets),
		cmocka_unit_test(what_is_taken_out_was_never_there),
		cmocka_unit_test(waits_beyond_the_limit_are_summed_by_reason),
		cmocka_unit_test(damaged_bytes_are_refused),
		cmocka_unit_test(spans_without_figures_never_look_like_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
