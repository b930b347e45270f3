/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the indexes that can be looked at alone: runs, the filter, the youngest run. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/map.h"
#include "storage/filter.h"
#include "storage/part.h"
#include "storage/trace_index.h"
#include "tests/lib/storage_fixture.h"

#define KEYS 20000

struct context {
	char *path;
	MDB_env *env;
	MDB_dbi dbi;
	struct txn txn;
};

static int setup(void **state)
{
	struct context *context = calloc(1, sizeof(*context));

	context->path = fixture_folder();
	assert_int_equal(mdb_env_create(&context->env), 0);
	mdb_env_set_mapsize(context->env, 64 << 20);
	assert_int_equal(mdb_env_open(context->env, context->path, MDB_NOSYNC, 0600), 0);
	assert_int_equal(txn_begin_write(context->env, &context->txn), 0);
	assert_int_equal(mdb_dbi_open(context->txn.mdb, NULL, 0, &context->dbi), 0);
	*state = context;
	return 0;
}

static int teardown(void **state)
{
	struct context *context = *state;

	txn_abort(&context->txn);
	mdb_env_close(context->env);
	fixture_remove(context->path);
	free(context->path);
	free(context);
	return 0;
}

static void write_run(struct context *context, uint32_t number, uint64_t step, uint32_t count)
{
	struct run_writer writer;

	run_writer_init(&writer, &trace_index_runs, context->dbi, number);
	for (uint32_t i = 0; i < count; i++) {
		struct trace_ref ref = { .hash = i / 3 * step, .seq = i, .row = number };

		run_writer_add(&writer, &context->txn, &ref);
	}
	run_writer_flush(&writer, &context->txn);
	run_writer_fini(&writer);
	assert_int_equal(context->txn.error, 0);
}

static int seek(struct context *context, uint32_t run, uint64_t hash, struct trace_ref *out_ref)
{
	uint8_t key[KEY_ENTRY_BYTES] = { 0 };
	struct run_reader reader;
	int rc;

	key_put64(key, hash);
	assert_int_equal(
		run_reader_open(&reader, &trace_index_runs, &context->txn, context->dbi, run), 0);
	rc = run_reader_seek(&reader, key);
	if (rc == 0)
		rc = run_reader_next(&reader, out_ref);
	run_reader_close(&reader);
	return rc;
}

static void each_entry_of_a_run_is_found_from_its_first(void **state)
{
	struct context *context = *state;
	struct trace_ref ref;
	uint32_t runs;

	write_run(context, 0, 10, KEYS);
	write_run(context, 1, 20, 1);
	write_run(context, 2, 10, KEYS);
	assert_int_equal(run_count(&context->txn, context->dbi, &runs), 0);
	assert_int_equal(runs, 3);
	for (uint32_t run = 0; run < 3; run += 2) {
		for (uint32_t i = 0; i < KEYS; i += 3) {
			/* The first of its three, also when it ends a chunk; and what lies between
			 * leads to the next. */
			assert_int_equal(seek(context, run, i / 3 * 10ull, &ref), 0);
			assert_int_equal(ref.seq, i);
			assert_int_equal(ref.row, run);
			if (i + 3 < KEYS) {
				assert_int_equal(seek(context, run, i / 3 * 10ull + 1, &ref), 0);
				assert_int_equal(ref.seq, i + 3);
			}
		}
		assert_int_equal(seek(context, run, UINT64_MAX, &ref), -ENOENT);
	}
	assert_int_equal(seek(context, 1, 0, &ref), 0);
	assert_int_equal(ref.row, 1);
	assert_int_equal(seek(context, 1, 1, &ref), -ENOENT);
	assert_int_equal(seek(context, 3, 0, &ref), -ENOENT);
}

static void a_run_is_read_to_its_end_and_no_further(void **state)
{
	struct context *context = *state;
	uint8_t key[KEY_ENTRY_BYTES] = { 0 };
	struct run_reader reader;
	struct trace_ref ref;
	uint32_t count = 0;

	write_run(context, 0, 10, KEYS);
	write_run(context, 1, 10, KEYS);
	assert_int_equal(
		run_reader_open(&reader, &trace_index_runs, &context->txn, context->dbi, 0), 0);
	assert_int_equal(run_reader_seek(&reader, key), 0);
	while (run_reader_next(&reader, &ref) == 0)
		assert_int_equal(ref.seq, count++);
	assert_int_equal(count, KEYS);
	run_reader_close(&reader);
}

static void the_filter_forgets_nobody_and_invents_few(void **state)
{
	struct buf filter = { 0 };
	uint64_t random = 5;
	int invented = 0;

	(void)state;
	filter_init(&filter, KEYS);
	for (uint64_t i = 0; i < KEYS; i++)
		filter_add(&filter, map_hash(&i, sizeof(i), 1));
	filter_seal(&filter);
	for (uint64_t i = 0; i < KEYS; i++)
		assert_int_equal(filter_probe(buf_str(&filter), map_hash(&i, sizeof(i), 1)), 1);
	for (uint64_t i = KEYS; i < 2 * KEYS; i++)
		invented += filter_probe(buf_str(&filter), map_hash(&i, sizeof(i), 1));
	assert_true(invented < KEYS / 50);
	filter.data[fixture_random(&random) % filter.len] ^= 4;
	invented = 0;
	for (uint64_t i = 0; i < KEYS; i++)
		invented += filter_probe(buf_str(&filter), map_hash(&i, sizeof(i), 1)) == -EBADMSG;
	assert_true(invented > 0); /* in one line, and only there */
	assert_true(invented < KEYS / 10);
	buf_fini(&filter);
}

static void what_is_taken_back_is_not_found(void **state)
{
	struct young_run run;
	struct buf refs = { 0 };

	(void)state;
	assert_int_equal(young_run_init(&run), 0);
	for (uint32_t i = 1; i <= KEYS; i++)
		assert_int_equal(young_run_add(&run, &(struct trace_ref){ i % 1000, i, 0 }, 1), 0);
	young_run_truncate(&run, KEYS / 2);
	assert_int_equal(young_run_find(&run, 7, &refs), 0);
	assert_int_equal(refs.len, KEYS / 2 / 1000 * sizeof(struct trace_ref));
	buf_clear(&refs);
	young_run_sorted(&run, &refs);
	for (size_t i = 1; i < refs.len / sizeof(struct trace_ref); i++)
		assert_true(((struct trace_ref *)(void *)refs.data)[i - 1].hash <=
			    ((struct trace_ref *)(void *)refs.data)[i].hash);
	buf_clear(&refs);
	young_run_restart(&run, 3);
	assert_int_equal(young_run_find(&run, 7, &refs), 3);
	assert_int_equal(refs.len, 0);
	young_run_shrink(&run);
	assert_int_equal(young_run_find(&run, 7, &refs), 3);
	assert_int_equal(young_run_add(&run, (struct trace_ref[]){ { 7, 1, 0 }, { 8, 1, 0 } }, 2),
			 0);
	young_run_shrink(&run); /* it is not empty */
	assert_int_equal(young_run_find(&run, 7, &refs), 3);
	assert_int_equal(refs.len, sizeof(struct trace_ref));
	young_run_fini(&run);
	buf_fini(&refs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_entry_of_a_run_is_found_from_its_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_run_is_read_to_its_end_and_no_further, setup,
						teardown),
		cmocka_unit_test(the_filter_forgets_nobody_and_invents_few),
		cmocka_unit_test(what_is_taken_back_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
