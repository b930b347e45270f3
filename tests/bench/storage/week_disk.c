/* SPDX-License-Identifier: Apache-2.0 */
/* Every page of every file is counted under what it is for. A packed block's own overhead (header,
 * list of columns, the rest of its last page) counts as originals, or as ledgers where they are
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "storage/coder.h"
#include "storage/view.h"
#include "tests/bench/storage/week.h"

static const char *const columns[] = {
#define X(name, form, what) #name,
	CODER_COLUMNS(X)
#undef X
};

enum purpose { ORIGINALS, LEDGERS, SLICES };

static enum purpose purpose_of(enum coder_column column)
{
	if (column >= COLUMN_SLICE && column <= COLUMN_SLICE_NS_BITS)
		return SLICES;
	return column < COLUMN_GRADE ||
			       (column > COLUMN_UNCERTAIN_BITS && column < COLUMN_DETAIL_AT)
		       ? ORIGINALS
		       : LEDGERS;
}

struct sizes {
	uint64_t columns[CODER_COLUMN_COUNT];
	uint64_t values, overhead[2]; /* of blocks of spans, and of ledgers alone */
	uint64_t by_trace, by_operation, filter, rollup, blocks, stacks, total;
};

static uint64_t tree_bytes(const struct txn *txn, MDB_dbi dbi)
{
	MDB_stat stat;

	if (mdb_stat(txn->mdb, dbi, &stat) != 0)
		return 0;
	return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
}

static void add_block(struct sizes *sizes, struct str value)
{
	struct block_header header;
	struct coder coder;
	uint64_t rest = value.len;

	memcpy(&header, value.data, sizeof(header));
	assert_int_equal(header.encoding, BLOCK_PACKED);
	assert_int_equal(coder_open(&coder, (struct str){ value.data + sizeof(header),
							  value.len - sizeof(header) }),
			 0);
	for (unsigned i = 0; i < CODER_COLUMN_COUNT; i++) {
		uint64_t bytes = coder.columns[i].packed.len;
		bool is_span = header.kind == BLOCK_SPANS;

		/* Of ledgers alone, ids and times are the ledgers'. */
		sizes->columns[is_span || i >= COLUMN_GRADE ? i : COLUMN_FIGURE] += bytes;
		rest -= bytes;
	}
	sizes->overhead[header.kind == BLOCK_LEDGERS] += rest;
	sizes->values += value.len;
	coder_fini(&coder);
}

static void add_part(struct sizes *sizes, const struct part *part, const struct txn *txn)
{
	struct str key, value;
	struct cursor cursor;
	int rc;

	sizes->by_trace += tree_bytes(txn, part->by_trace);
	sizes->by_operation += tree_bytes(txn, part->by_operation);
	sizes->filter += part->filter.len;
	sizes->rollup += tree_bytes(txn, part->rollup);
	sizes->blocks += tree_bytes(txn, part->blocks);
	sizes->stacks += tree_bytes(txn, part->stacks) + tree_bytes(txn, part->frames);
	sizes->total += part_bytes(part);
	assert_int_equal(cursor_open(txn, part->blocks, &cursor), 0);
	for (rc = cursor_first(&cursor, &key, &value); rc == 0;
	     rc = cursor_next(&cursor, &key, &value))
		add_block(sizes, value);
	cursor_close(&cursor);
}

static void print_columns(const struct sizes *sizes, double n)
{
	for (unsigned i = 0; i < CODER_COLUMN_COUNT; i++)
		printf("%s%s %.2f",
		       i % 8 ? ", "
		       : i   ? "\n    "
			     : "    ",
		       columns[i], (double)sizes->columns[i] / n);
	printf("\n");
}

static void print(const struct week *week, const struct sizes *sizes)
{
	double n = (double)week->spans, sent = (double)week->request_bytes / n;
	double sums[3] = { 0 }, indexes, rollups = (double)sizes->rollup / n;
	double waste = (double)(sizes->blocks - sizes->values) / n;
	double rest =
		(double)(sizes->total - sizes->blocks - sizes->by_trace - sizes->by_operation -
			 sizes->filter - sizes->rollup - sizes->stacks) /
		n;

	for (unsigned i = 0; i < CODER_COLUMN_COUNT; i++)
		sums[purpose_of((enum coder_column)i)] += (double)sizes->columns[i] / n;
	sums[ORIGINALS] += (double)sizes->overhead[0] / n + waste;
	sums[LEDGERS] += (double)sizes->overhead[1] / n + (double)sizes->stacks / n;
	indexes = (double)(sizes->by_trace + sizes->by_operation + sizes->filter) / n + rest;
	printf("bytes on disk a span, of a closed part: %.1f\n", (double)sizes->total / n);
	printf("  ledger, index and rollups  %5.1f (wanted: <= 60): ledger %.1f, with %.1f waits; "
	       "index %.1f; rollups %.1f\n",
	       sums[LEDGERS] + indexes + rollups, sums[LEDGERS], (double)week->waits / n, indexes,
	       rollups);
	printf("  its slices                 %5.1f (wanted: <= 40): %.1f of them\n", sums[SLICES],
	       (double)week->slices / n);
	printf("  the original span          %5.1f, %.0f %% of %.1f sent (wanted: <= 25 %%)\n",
	       sums[ORIGINALS], 100 * sums[ORIGINALS] / sent, sent);
	printf("  in detail: by trace %.2f, its filter %.2f, by operation %.2f, unfilled pages of "
	       "blocks %.2f, other pages %.2f; columns of blocks:\n",
	       (double)sizes->by_trace / n, (double)sizes->filter / n,
	       (double)sizes->by_operation / n, waste, rest);
	print_columns(sizes, n);
}

void week_disk(const struct week *week)
{
	struct sizes sizes = { 0 };
	struct view view;

	assert_int_equal(view_open(week->store, &view), 0);
	for (size_t i = 0; i < view.count; i++) {
		const struct txn *txn;

		assert_int_equal(view_txn(&view, i, &txn), 0);
		add_part(&sizes, view.parts[i].part, txn);
	}
	view_close(&view);
	print(week, &sizes);
}
