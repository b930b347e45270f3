/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "otlp/otlp_decode.h"
#include "storage/checksum.h"
#include "storage/ledger_block.h"
#include "storage/span_block.h"
#include "tests/lib/storage_fixture.h"

#define SPANS 16

/* Numbers are all known beforehand, so no database is needed to give them. */
static struct operations known_operations(void)
{
	struct operations operations;

	assert_int_equal(operations_init(&operations, 7), 0);
	return operations;
}

static struct span_batch *batch_of(uint64_t first)
{
	struct fixture_span spans[SPANS];

	for (uint64_t i = 0; i < SPANS; i++)
		spans[i] = (struct fixture_span){ .trace = (first + i) % 5,
						  .span = first + i + 1,
						  .service = i < SPANS / 2 ? "shop" : "pay",
						  .name = "GET /",
						  .start_ns = FIXTURE_T0 + i,
						  .wall_ns = i };
	return fixture_batch(spans, SPANS);
}

static char *write_draft(const struct block_writer *writer, size_t *out_bytes)
{
	char *bytes = malloc(block_draft_bytes(&writer->draft));

	assert_non_null(bytes);
	block_draft_write(&writer->draft, bytes);
	*out_bytes = block_draft_bytes(&writer->draft);
	return bytes;
}

/* Two batches in one block, for free(). A name that no operation number can be had for, being too
 * long, needs no database. */
static char *span_bytes(size_t *out_bytes)
{
	static char long_name[OPERATIONS_NAME_BYTES + 1];
	struct span_batch *batches[] = { batch_of(0), batch_of(SPANS) };
	const struct span_block_part parts[] = { { batches[0], NULL }, { batches[1], NULL } };
	struct operations operations = known_operations();
	struct txn txn = { 0 };
	struct operations_book names = { &operations, &txn, 0 };
	struct block_writer writer;
	char *bytes;

	memset(long_name, 'x', sizeof(long_name));
	for (size_t b = 0; b < 2; b++) {
		for (uint32_t i = 0; i < SPANS; i++) /* and these are in no body */
			batches[b]->spans[i].name = (struct str){ long_name, sizeof(long_name) };
	}
	block_writer_init(&writer, 7);
	assert_int_equal(span_block_encode(&writer, parts, 2, FIXTURE_T0, &names), 0);
	bytes = write_draft(&writer, out_bytes);
	block_writer_fini(&writer);
	operations_fini(&operations);
	otlp_batch_free(batches[0]);
	otlp_batch_free(batches[1]);
	return bytes;
}

static char *ledger_bytes(size_t *out_bytes)
{
	struct block_writer writer;
	char *bytes;

	block_writer_init(&writer, 7);
	ledger_block_begin(&writer, FIXTURE_T0);
	for (uint64_t i = 0; i < SPANS; i++) {
		struct fixture_span span = { .trace = i % 5,
					     .span = i + 1,
					     .service = "",
					     .name = "",
					     .start_ns = FIXTURE_T0,
					     .wall_ns = i };
		struct ledger ledger = fixture_ledger(&span, 1, (uint32_t)i);
		struct block_ledger row = ledger_block_row(&ledger);

		assert_int_equal(ledger_block_add(&writer, &row, &ledger), 0);
	}
	assert_int_equal(ledger_block_end(&writer), 0);
	bytes = write_draft(&writer, out_bytes);
	block_writer_fini(&writer);
	return bytes;
}

static void check_batch(const struct block *block)
{
	struct span_batch batch;

	assert_int_equal(span_block_batch(block, NULL, NULL, &batch), 0);
	assert_int_equal(batch.span_count, 2 * SPANS);
	for (uint32_t i = 0; i < batch.span_count; i++) {
		const struct span *span = &batch.spans[i];
		const struct span_resource *resource = &batch.resources[span->resource];
		uint64_t number;

		memcpy(&number, span->span_id, sizeof(number));
		assert_int_equal(number, i + 1);
		assert_int_equal(span->name.len, OPERATIONS_NAME_BYTES + 1);
		assert_true(str_eq(resource->service_name,
				   i % SPANS < SPANS / 2 ? STR("shop") : STR("pay")));
		assert_int_equal(span->end_unix_ns - span->start_unix_ns, i % SPANS);
	}
	arena_fini(&batch.arena);
}

static void batches_come_back(void **state)
{
	size_t bytes_len;
	char *bytes = span_bytes(&bytes_len);
	struct block block;

	(void)state;
	assert_int_equal(block_open((struct str){ bytes, bytes_len }, false, &block), 0);
	assert_int_equal(block.header->min_start_unix_ns, FIXTURE_T0);
	assert_int_equal(block.header->max_end_unix_ns, FIXTURE_T0 + 2 * (SPANS - 1));
	assert_int_equal(block_load(&block), 0);
	check_batch(&block);
	block_close(&block);
	free(bytes);
}

static void rows_of_a_trace_are_chained(void **state)
{
	size_t bytes_len, firsts = 0;
	char *bytes = span_bytes(&bytes_len);
	struct block block;

	(void)state;
	assert_int_equal(block_open((struct str){ bytes, bytes_len }, false, &block), 0);
	for (uint32_t i = 0; i < block.header->row_count; i++) {
		uint32_t next = block.spans[i].next_of_trace;

		firsts += block.spans[i].is_first;
		assert_int_equal(next, i + 5 < 2 * SPANS ? i + 5 : BLOCK_NO_ROW);
	}
	assert_int_equal(firsts, 5);
	block_close(&block);
	free(bytes);
}

static void a_block_at_an_odd_address_opens(void **state)
{
	size_t bytes_len;
	char *bytes = span_bytes(&bytes_len), *odd = malloc(bytes_len + 1);
	struct block block;

	(void)state;
	memcpy(odd + 1, bytes, bytes_len);
	assert_int_equal(block_open((struct str){ odd + 1, bytes_len }, false, &block), 0);
	assert_int_equal(block_load(&block), 0);
	check_batch(&block);
	block_close(&block);
	free(odd);
	free(bytes);
}

/* Opens and loads; -EBADMSG or -EPROTO when it is not believed. */
static int believe(const char *bytes, size_t len)
{
	struct block block;
	int rc = block_open((struct str){ bytes, len }, false, &block);

	if (rc < 0)
		return rc;
	rc = block_load(&block);
	block_close(&block);
	return rc;
}

static void check_damage(char *bytes, size_t len)
{
	assert_int_equal(believe(bytes, len), 0);
	for (size_t bit = 0; bit < 8 * len; bit += 1 + bit / 4096) {
		int rc;

		bytes[bit / 8] ^= (char)(1 << bit % 8);
		rc = believe(bytes, len);
		assert_true(rc == -EBADMSG || rc == -EPROTO);
		bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut += 1 + cut / 16) {
		char *part = malloc(cut + 1); /* so that ASan sees one byte too far */

		memcpy(part, bytes, cut);
		assert_int_equal(believe(part, cut), -EBADMSG);
		free(part);
	}
}

static void no_flipped_bit_and_no_cut_is_believed(void **state)
{
	size_t len;
	char *bytes;

	(void)state;
	bytes = span_bytes(&len);
	check_damage(bytes, len);
	free(bytes);
	bytes = ledger_bytes(&len);
	check_damage(bytes, len);
	free(bytes);
}

static void a_newer_version_is_named_as_such(void **state)
{
	size_t len;
	char *bytes = ledger_bytes(&len);
	uint16_t version = BLOCK_VERSION + 1;

	(void)state;
	memcpy(bytes + offsetof(struct block_header, version), &version, sizeof(version));
	assert_int_equal(believe(bytes, len), -EPROTO);
	free(bytes);
}

static void ledgers_come_back(void **state)
{
	size_t len;
	char *bytes = ledger_bytes(&len);
	struct block block;

	(void)state;
	assert_int_equal(block_open((struct str){ bytes, len }, false, &block), 0);
	assert_int_equal(block_load(&block), 0);
	for (uint32_t i = 0; i < SPANS; i++) {
		struct fixture_span span = { .trace = i % 5,
					     .span = i + 1,
					     .service = "",
					     .name = "",
					     .start_ns = FIXTURE_T0,
					     .wall_ns = i };
		struct ledger wanted = fixture_ledger(&span, 1, i), found;
		struct arena arena;

		arena_init(&arena, 0);
		assert_int_equal(ledger_block_ledger(&block, i, &arena, &found), 0);
		assert_memory_equal(&found.all, &wanted.all, sizeof(found.all));
		assert_int_equal(found.grade, wanted.grade);
		assert_int_equal(block.ledgers[i].ratio_rank,
				 summary_ratio_rank(ledger_ratio(&wanted)));
		arena_fini(&arena);
	}
	block_close(&block);
	free(bytes);
}

static void lower_ratios_rank_higher(void **state)
{
	const double ratios[] = { 0, 1e-300, 0.01, 0.5, 1, 1.5, 64 };

	(void)state;
	for (size_t i = 1; i < ARRAY_LEN(ratios); i++)
		assert_true(summary_ratio_rank(ratios[i - 1]) > summary_ratio_rank(ratios[i]));
	assert_true(summary_ratio_rank(64) > 0);
	assert_int_equal(summary_ratio_rank(-1), 0);
	assert_int_equal(summary_ratio_rank(-0.0), summary_ratio_rank(0));
	assert_int_equal(summary_ratio_rank(0.0 / 0.0 * 1), 0);
}

/* test_storage_block DIRECTORY: seeds for the fuzzer. */
static int write_seeds(const char *directory)
{
	size_t lens[2];
	char *seeds[] = { span_bytes(&lens[0]), ledger_bytes(&lens[1]) };

	for (size_t i = 0; i < 2; i++) {
		char path[512];
		FILE *file;

		snprintf(path, sizeof(path), "%s/seed-%zu", directory, i);
		file = fopen(path, "w");
		if (!file || fwrite(seeds[i], 1, lens[i], file) != lens[i] || fclose(file))
			return 1;
		free(seeds[i]);
	}
	return 0;
}

static void a_checksum_in_steps_is_that_of_the_whole(void **state)
{
	char bytes[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37 + 11);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		for (size_t cut = 0; cut <= len; cut += CHECKSUM_STEP) {
			struct checksum checksum;

			checksum_begin(&checksum, 5);
			checksum_add(&checksum, bytes, cut);
			assert_int_equal(checksum_end(&checksum, bytes + cut, len - cut),
					 checksum_of(bytes, len, 5));
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checksum_in_steps_is_that_of_the_whole),
		cmocka_unit_test(batches_come_back),
		cmocka_unit_test(rows_of_a_trace_are_chained),
		cmocka_unit_test(a_block_at_an_odd_address_opens),
		cmocka_unit_test(no_flipped_bit_and_no_cut_is_believed),
		cmocka_unit_test(a_newer_version_is_named_as_such),
		cmocka_unit_test(ledgers_come_back),
		cmocka_unit_test(lower_ratios_rank_higher),
	};

	if (argc > 1)
		return write_seeds(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
