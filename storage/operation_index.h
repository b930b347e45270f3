/* SPDX-License-Identifier: Apache-2.0 */
/* (operation, minute) -> the blocks that hold such rows, with what a search can rule out by.
 *
 * While a part is open its blocks carry their summaries themselves. When it is compacted, these are
 * sorted into runs by (kind of block, operation, minute, block), so that a rare operation is found
 * without looking at the others. */
#pragma once

#include "storage/part.h"
#include "storage/summary.h"

extern const struct run_kind operation_index_runs; /* of struct summary */

/* Writes the summaries as the next run; they are sorted in place. */
void operation_index_write(struct txn *txn, MDB_dbi dbi, uint32_t run, struct summary *summaries,
			   size_t count);

struct operation_index_range {
	enum block_kind kind;
	uint32_t operation;              /* or SUMMARY_ALL */
	uint32_t from_minute, to_minute; /* both included */
};

/* Visits the summaries of a packed part that lie in the range, run by run. */
int operation_index_each(const struct part *part, const struct txn *txn,
			 const struct operation_index_range *range,
			 int (*visit)(const struct summary *summary, void *arg), void *arg);
