/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/operation_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void put_key(const struct summary *summary, uint8_t out_key[KEY_ENTRY_BYTES])
{
	key_put32(out_key, summary->block_kind);
	key_put32(out_key + 4, summary->operation);
	key_put32(out_key + 8, summary->minute);
	key_put32(out_key + 12, summary->seq);
}

static void key_of(const void *entry, uint8_t out_key[KEY_ENTRY_BYTES])
{
	struct summary summary;

	memcpy(&summary, entry, sizeof(summary));
	put_key(&summary, out_key);
}

const struct run_kind operation_index_runs = { sizeof(struct summary), key_of };

static int compare(const void *a, const void *b)
{
	uint8_t left[KEY_ENTRY_BYTES], right[KEY_ENTRY_BYTES];

	put_key(a, left);
	put_key(b, right);
	return memcmp(left, right, sizeof(left));
}

void operation_index_write(struct txn *txn, MDB_dbi dbi, uint32_t run, struct summary *summaries,
			   size_t count)
{
	struct run_writer writer;

	if (count)
		qsort(summaries, count, sizeof(*summaries), compare);
	run_writer_init(&writer, &operation_index_runs, dbi, run);
	for (size_t i = 0; i < count && !txn->error; i++)
		run_writer_add(&writer, txn, &summaries[i]);
	run_writer_flush(&writer, txn);
	run_writer_fini(&writer);
}

static bool is_in(const struct operation_index_range *range, const struct summary *summary)
{
	return summary->block_kind == range->kind && summary->operation == range->operation &&
	       summary->minute <= range->to_minute;
}

static int each_of_run(struct run_reader *reader, const struct operation_index_range *range,
		       int (*visit)(const struct summary *summary, void *arg), void *arg)
{
	struct summary summary = summary_of(range->operation, range->from_minute, range->kind);
	uint8_t key[KEY_ENTRY_BYTES];
	int rc;

	put_key(&summary, key);
	for (rc = run_reader_seek(reader, key); rc == 0;) {
		rc = run_reader_next(reader, &summary);
		if (rc < 0 || !is_in(range, &summary))
			break;
		rc = visit(&summary, arg);
	}
	return rc == -ENOENT ? 0 : rc;
}

int operation_index_each(const struct part *part, const struct txn *txn,
			 const struct operation_index_range *range,
			 int (*visit)(const struct summary *summary, void *arg), void *arg)
{
	uint32_t runs = 0;
	int rc = run_count(txn, part->by_operation, &runs);

	for (uint32_t run = 0; run < runs && rc == 0; run++) {
		struct run_reader reader;

		rc = run_reader_open(&reader, &operation_index_runs, txn, part->by_operation, run);
		if (rc == 0)
			rc = each_of_run(&reader, range, visit, arg);
		run_reader_close(&reader);
	}
	return rc;
}
