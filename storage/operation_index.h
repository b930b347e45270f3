/* SPDX-License-Identifier: Apache-2.0 */
/* Operation -> the packed blocks that hold such rows, with what a search can rule out by.
 *
 * While a part is open its blocks carry their summaries themselves. When it is packed, these are
 * sorted into runs by (operation, block), so that a rare operation is found without looking at the
 * others. Their bounds are rounded, outwards, to some bits: a search may open a block in vain. */
#pragma once

#include "storage/part.h"
#include "storage/summary.h"

extern const struct run_kind operation_index_runs; /* of struct summary */

/* Writes the summaries as the next run; they are sorted in place. */
void operation_index_write(struct txn *txn, MDB_dbi dbi, uint32_t run, struct summary *summaries,
			   size_t count);

/* Visits the summaries of an operation (or SUMMARY_ALL) in a packed part, run by run. */
int operation_index_each(const struct part *part, const struct txn *txn, uint32_t operation,
			 int (*visit)(const struct summary *summary, void *arg), void *arg);
