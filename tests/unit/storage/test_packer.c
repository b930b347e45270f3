/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever goes into a packed block comes out of it, byte for byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/packed_figures.h"
#include "storage/packer.h"
#include "storage/span_block.h"
#include "tests/lib/storage_fixture.h"
#include "tests/unit/storage/packer_source.h"

/* ---- there and back ---- */

static int fetch(uint64_t handle, struct arena *into, struct ledger *out_ledger, void *arg)
{
	(void)arg;
	return ledger_decode(buf_str(&sources[handle - 1].ledger), into, out_ledger);
}

static void pack(struct packer *packer, enum block_kind kind, uint32_t count)
{
	packer_begin(packer, kind);
	for (uint32_t i = 0; i < count; i++) {
		const struct source *source = &sources[i];
		uint64_t handle = source->ledger.len ? i + 1 : 0;
		struct block_ledger row = { .start_unix_ns = source->row.start_unix_ns,
					    .wall_ns = source->row.end_unix_ns -
						       source->row.start_unix_ns };

		memcpy(row.trace_id, source->row.trace_id, TRACE_ID_BYTES);
		memcpy(row.span_id, source->row.span_id, SPAN_ID_BYTES);
		if (kind == BLOCK_SPANS)
			assert_int_equal(packer_span(packer, &source->row, &source->span,
						     &resources[source->row.resource],
						     &scopes[source->row.scope], handle),
					 0);
		else
			assert_int_equal(packer_ledger(packer, &row, handle), 0);
	}
	assert_int_equal(packer_end(packer, FIXTURE_T0, fetch, NULL), 0);
}

static void check_span(const struct block *block, uint32_t row)
{
	const struct source *source = &sources[row];
	const struct span_resource *wanted = &resources[source->row.resource];
	struct span_resource resource;
	struct span_scope scope;
	struct span span;

	assert_int_equal(span_block_span(block, row, &span, &resource, &scope), 0);
	assert_true(str_eq(span.bytes, source->span.bytes));
	assert_true(str_eq(span.name, source->span.name));
	assert_true(str_eq(span.peer, source->span.peer));
	assert_true(str_eq(resource.bytes, wanted->bytes));
	assert_true(str_eq(resource.schema_url, wanted->schema_url));
	assert_true(str_eq(resource.service_name, wanted->service_name));
	assert_true(str_eq(resource.host_name, wanted->host_name));
	assert_int_equal(resource.process_pid, wanted->process_pid);
	assert_true(str_eq(scope.bytes, scopes[source->row.scope].bytes));
	assert_memory_equal(span.trace_id, source->row.trace_id, TRACE_ID_BYTES);
	assert_memory_equal(span.span_id, source->row.span_id, SPAN_ID_BYTES);
	assert_memory_equal(span.parent_span_id, source->row.parent_span_id, SPAN_ID_BYTES);
	assert_int_equal(span.start_unix_ns, source->row.start_unix_ns);
	assert_int_equal(span.end_unix_ns, source->row.end_unix_ns);
	assert_int_equal(span.thread_id, source->row.thread_id);
	assert_int_equal(span.process_id, source->row.process_id);
	assert_int_equal(span.flags, source->row.flags);
	assert_int_equal(block->spans[row].operation, source->row.operation);
}

static void check_ledger(const struct block *block, uint32_t row)
{
	const struct source *source = &sources[row];
	struct buf again = { 0 };
	struct ledger ledger;
	uint16_t revision;
	uint8_t grade;

	if (source->ledger.len == 0) {
		assert_false(packed_ledger_of(block->packed, row, &revision, &grade));
		return;
	}
	assert_int_equal(ledger_block_ledger(block, row, &arena, &ledger), 0);
	ledger_encode(&ledger, &again);
	assert_true(str_eq(buf_str(&again), buf_str(&source->ledger)));
	assert_true(packed_ledger_of(block->packed, row, &revision, &grade));
	assert_int_equal(revision, ledger.revision);
	assert_int_equal(grade, ledger.grade);
	buf_fini(&again);
}

static void check(const struct packer *packer, uint32_t count)
{
	struct block block;

	assert_int_equal(block_open(buf_str(&packer->block), false, &block), 0);
	block.stack_ids = buf_str(&packer->stacks.ids);
	assert_int_equal(block.header->row_count, count);
	if (below(2)) /* in either order */
		assert_int_equal(block_figures(&block), 0);
	assert_int_equal(block_load(&block), 0);
	for (uint32_t i = 0; i < 2 * count; i++) {
		uint32_t row = i < count ? i : below(count);

		if (block.spans)
			check_span(&block, row);
		check_ledger(&block, row);
	}
	block_close(&block);
}

static void fini_sources(void)
{
	for (size_t i = 0; i < ROWS; i++) {
		buf_fini(&sources[i].bytes);
		buf_fini(&sources[i].ledger);
	}
	arena_fini(&arena);
}

static void what_is_packed_comes_back(void **state)
{
	struct packer packer;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t count = 1 + below(ROWS);

		invent(round % 3 ? 90 : 0);
		pack(&packer, BLOCK_SPANS, count);
		check(&packer, count);
		invent_ledgers(100);
		pack(&packer, BLOCK_LEDGERS, count);
		check(&packer, count);
		arena_clear(&arena);
	}
	packer_fini(&packer);
	fini_sources();
}

static void check_ledger_but(const struct block *block, uint32_t row)
{
	struct buf wanted = { 0 }, again = { 0 };
	struct ledger ledger, full;

	if (sources[row].ledger.len == 0)
		return;
	assert_int_equal(ledger_block_ledger(block, row, &arena, &ledger), 0);
	assert_int_equal(fetch(row + 1, &arena, &full, NULL), 0);
	full.stack_count = block->omit & STORE_OMIT_STACKS ? 0 : full.stack_count;
	ledger_encode(&ledger, &again);
	ledger_encode(&full, &wanted);
	assert_true(str_eq(buf_str(&again), buf_str(&wanted)));
	buf_fini(&again);
	buf_fini(&wanted);
}

static void what_is_left_out_changes_nothing_else(void **state)
{
	struct packer packer;
	struct block block;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		invent(90);
		pack(&packer, BLOCK_SPANS, ROWS);
		assert_int_equal(block_open(buf_str(&packer.block), false, &block), 0);
		block.stack_ids = buf_str(&packer.stacks.ids);
		block.omit = STORE_OMIT_STACKS;
		assert_int_equal(block_load(&block), 0);
		for (uint32_t i = 0; i < 2 * ROWS; i++) {
			check_span(&block, i < ROWS ? i : below(ROWS));
			check_ledger_but(&block, i < ROWS ? i : below(ROWS));
		}
		block_close(&block);
		arena_clear(&arena);
	}
	packer_fini(&packer);
	fini_sources();
}

struct expected {
	const struct block *block;
	uint32_t next; /* row */
	uint32_t operation;
};

static bool is_of_operation(const struct block_span *span, void *arg)
{
	const struct expected *expected = arg;

	return span->operation == expected->operation;
}

static int expect_row(uint32_t row, const struct block_ledger *ledger, void *arg)
{
	struct expected *expected = arg;
	const struct block_ledger *wanted = &expected->block->ledgers[row];
	struct block_ledger linked = *ledger;

	for (; expected->next < row; expected->next++)
		assert_true(expected->block->spans[expected->next].operation !=
				    expected->operation ||
			    expected->block->ledgers[expected->next].revision == 0);
	expected->next++;
	linked.next_of_trace = wanted->next_of_trace;
	linked.is_first = wanted->is_first;
	assert_memory_equal(&linked, wanted, sizeof(linked));
	return 0;
}

static void figures_of_some_rows_are_those_of_all(void **state)
{
	struct packer packer;
	struct block block;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct expected expected = { .block = &block };

		invent(90);
		pack(&packer, BLOCK_SPANS, ROWS);
		assert_int_equal(block_open(buf_str(&packer.block), false, &block), 0);
		assert_int_equal(block_figures(&block), 0);
		expected.operation = block.spans[below(ROWS)].operation;
		assert_int_equal(
			packed_figures_each(block.packed, is_of_operation, expect_row, &expected),
			0);
		for (; expected.next < ROWS; expected.next++)
			assert_true(block.spans[expected.next].operation != expected.operation ||
				    block.ledgers[expected.next].revision == 0);
		block_close(&block);
		arena_clear(&arena);
	}
	packer_fini(&packer);
	fini_sources();
}

static void stacks_without_a_number_come_back(void **state)
{
	struct packer packer;
	uint32_t number = 1;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED), 0);
	for (uint64_t i = 0; number; i++)
		assert_int_equal(stack_numbers_of(&packer.stacks, i << 32, &number), 0);
	assert_int_equal(packer.stacks.ids.len, STACK_NUMBERS_MAX * sizeof(uint64_t));
	invent(90);
	pack(&packer, BLOCK_SPANS, ROWS);
	check(&packer, ROWS);
	packer_fini(&packer);
	fini_sources();
}

static void a_stack_that_the_part_does_not_know_is_damage(void **state)
{
	struct packer packer;
	struct block block;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED), 0);
	invent(90);
	pack(&packer, BLOCK_SPANS, ROWS);
	assert_true(packer.stacks.ids.len > 0);
	assert_int_equal(block_open(buf_str(&packer.block), false, &block), 0);
	block.stack_ids =
		(struct str){ packer.stacks.ids.data, packer.stacks.ids.len - sizeof(uint64_t) };
	assert_int_equal(block_load(&block), -EBADMSG);
	block_close(&block);
	packer_fini(&packer);
	fini_sources();
}

static int believe(const char *bytes, size_t len)
{
	struct block block;
	int rc = block_open((struct str){ bytes, len }, false, &block);

	if (rc == 0)
		block_close(&block);
	return rc;
}

static void no_flipped_bit_and_no_cut_is_believed(void **state)
{
	struct packer packer;
	char *bytes;
	size_t len;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED), 0);
	invent(50);
	pack(&packer, BLOCK_SPANS, 20);
	bytes = packer.block.data;
	len = packer.block.len;
	for (size_t bit = 0; bit < 8 * len; bit += 1 + bit / 4096) {
		int rc;

		bytes[bit / 8] ^= (char)(1 << bit % 8);
		rc = believe(bytes, len);
		assert_true(rc == -EBADMSG || rc == -EPROTO);
		bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut += 1 + cut / 16)
		assert_int_equal(believe(bytes, cut), -EBADMSG);
	packer_fini(&packer);
	fini_sources();
}

static void numbers_of_all_lengths_come_back(void **state)
{
	struct coder_packers compressors;
	uint64_t values[256], guesses[] = { 7, 0 };
	struct buf bytes = { 0 };
	struct coder coder;

	(void)state;
	assert_int_equal(coder_packers_init(&compressors), 0);
	coder_init(&coder);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		int64_t step;

		values[i] = i < 64 ? 1ull << i : wide();
		step = (int64_t)(0 - values[i]);

		coder_wide(&coder, COLUMN_CPU, &values[i]);
		coder_wide_signed(&coder, COLUMN_BLOCKED, &step);
		coder_number(&coder, COLUMN_FIGURE, &values[i]);
		coder_guess(&coder, COLUMN_DETAIL, COLUMN_DETAIL_NS, guesses, 2, &values[i]);
	}
	assert_int_equal(coder_seal(&coder, &compressors, &bytes), 0);
	coder_fini(&coder);
	assert_int_equal(coder_open(&coder, buf_str(&bytes)), 0);
	assert_int_equal(coder_unpack(&coder, 0, CODER_COLUMN_COUNT - 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		uint64_t number[3] = { 0 };
		int64_t step = 0;

		coder_wide(&coder, COLUMN_CPU, &number[0]);
		coder_wide_signed(&coder, COLUMN_BLOCKED, &step);
		coder_number(&coder, COLUMN_FIGURE, &number[1]);
		coder_guess(&coder, COLUMN_DETAIL, COLUMN_DETAIL_NS, guesses, 2, &number[2]);
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(number[k], values[i]);
		assert_int_equal(step, 0 - values[i]);
	}
	assert_int_equal(coder.error, 0);
	coder_number(&coder, COLUMN_FIGURE, &values[0]); /* one too many */
	assert_int_equal(coder.error, -EBADMSG);
	coder_fini(&coder);
	buf_fini(&bytes);
	coder_packers_fini(&compressors);
}

static void what_is_skipped_is_as_long_as_what_is_read(void **state)
{
	uint64_t values[256], value = 0;
	struct buf bytes = { 0 };
	uint32_t start[2] = { 0 };
	struct coder coder;

	(void)state;
	coder_init(&coder);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		values[i] = i < 64 ? 1ull << i : i % 5 ? wide() : i % 2;
		coder_wide(&coder, COLUMN_CPU, &values[i]);
	}
	assert_int_equal(coder_seal(&coder, NULL, &bytes), 0);
	coder_fini(&coder);
	assert_int_equal(coder_open(&coder, buf_str(&bytes)), 0);
	assert_int_equal(coder_unpack(&coder, COLUMN_CPU, COLUMN_CPU_BITS), 0);
	for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
		coder_seek(&coder, COLUMN_CPU, 2, start);
		coder_skip_wide(&coder, COLUMN_CPU, i);
		coder_wide(&coder, COLUMN_CPU, &value);
		assert_int_equal(value, values[i]);
	}
	assert_int_equal(coder.error, 0);
	coder_skip_wide(&coder, COLUMN_CPU, 1); /* one too many */
	assert_int_equal(coder.error, -EBADMSG);
	coder_fini(&coder);
	buf_fini(&bytes);
}

/* test_storage_packer DIRECTORY: seeds for the fuzzer of blocks, not compressed: so that it can
 * change what stands in them. */
static int write_seeds(const char *directory)
{
	static const enum block_kind kinds[] = { BLOCK_SPANS, BLOCK_LEDGERS };
	struct packer packer;
	int rc = packer_init(&packer, SEED);

	arena_init(&arena, 0);
	coder_packers_fini(&packer.compressors);
	for (size_t i = 0; i < 2 && rc == 0; i++) {
		char path[512];
		FILE *file;

		invent(100);
		pack(&packer, kinds[i], 12);
		snprintf(path, sizeof(path), "%s/packed-%zu", directory, i);
		file = fopen(path, "w");
		rc = !file ||
		     fwrite(packer.block.data, 1, packer.block.len, file) != packer.block.len;
		rc |= !file || fclose(file);
	}
	packer_fini(&packer);
	fini_sources();
	return rc;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_all_lengths_come_back),
		cmocka_unit_test(what_is_skipped_is_as_long_as_what_is_read),
		cmocka_unit_test(what_is_packed_comes_back),
		cmocka_unit_test(what_is_left_out_changes_nothing_else),
		cmocka_unit_test(figures_of_some_rows_are_those_of_all),
		cmocka_unit_test(stacks_without_a_number_come_back),
		cmocka_unit_test(a_stack_that_the_part_does_not_know_is_damage),
		cmocka_unit_test(no_flipped_bit_and_no_cut_is_believed),
	};

	if (argc > 1)
		return write_seeds(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
