/* SPDX-License-Identifier: Apache-2.0 */
/* Ledgers <-> a block: rows that searches read, and the encoded ledgers as its heap. */
#pragma once

#include "collector/base/arena.h"
#include "correlate/ledger.h"
#include "storage/block_writer.h"

/* The row of a ledger, without what its span says; `detail` is set when it is added. */
struct block_ledger ledger_block_row(const struct ledger *ledger);

/* The same of a span that was settled when it was committed, which is row `number` of block `seq`.
 */
struct block_ledger ledger_block_settled(const struct block_span *span, uint32_t seq,
					 uint32_t number);

#define LEDGER_BLOCK_FIRST_REVISION 1

/* Which of two ledgers of a span is the newer one: a higher revision. They begin at 1 again when
 * the daemon does: then the better grade. 0: what was committed later. */
int ledger_block_compare(uint16_t revision, uint8_t grade, uint16_t other_revision,
			 uint8_t other_grade);

/* begin, any number of adds, end: the block is in writer->draft. */
void ledger_block_begin(struct block_writer *writer, uint64_t commit_unix_ns);
/* `row` is a ledger_block_row to which the caller added the span's part. -ENOMEM. */
int ledger_block_add(struct block_writer *writer, const struct block_ledger *row,
		     const struct ledger *ledger);
bool ledger_block_is_full(const struct block_writer *writer);
bool ledger_block_is_empty(const struct block_writer *writer);
int ledger_block_end(struct block_writer *writer);

/* Also of a block of spans, those that were settled when they were committed; that one need not be
 * loaded. Otherwise the block is loaded; arrays are allocated in `arena`, or belong to the block
 * and hold until another trace's ledger is read from it. -EBADMSG, -EPROTO, -ENOMEM. */
int ledger_block_ledger(const struct block *block, uint32_t row, struct arena *arena,
			struct ledger *out_ledger);
