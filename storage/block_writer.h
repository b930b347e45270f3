/* SPDX-License-Identifier: Apache-2.0 */
/* What writing blocks needs again and again: scratch memory, kept from one block to the next. */
#pragma once

#include "collector/base/map.h"
#include "storage/block.h"
#include "storage/operations.h"
#include "storage/summary.h"

struct block_writer {
	struct block_draft draft;
	struct summary_set summaries;
	struct map traces;  /* trace id -> its last row in this block */
	uint32_t *last_row; /* ... of the trace asked for last, in the map; NULL: none */
	uint8_t last_trace[TRACE_ID_BYTES];
	struct buf pieces;  /* struct str: the heap */
	struct buf details; /* heap bytes made here: encoded ledgers, strings of no body */
};

void block_writer_init(struct block_writer *writer, uint64_t seed);
void block_writer_fini(struct block_writer *writer);

/* For span_block.c and ledger_block.c: begin, add rows to draft.index, link each, end. */
void block_writer_begin(struct block_writer *writer, enum block_kind kind, uint64_t commit_unix_ns);
/* Chains the row into its trace: `out_before` is the row before (BLOCK_NO_ROW: this is the first).
 * -ENOMEM. */
int block_writer_link(struct block_writer *writer, const uint8_t *trace_id, uint32_t row,
		      uint32_t *out_before);
/* Appends the row, which block_writer_link was told about. `next_at`: where in it stands the number
 * of the next row of its trace, set in the row before. */
int block_writer_put(struct block_writer *writer, const void *row, size_t row_bytes, size_t next_at,
		     uint32_t before);
void block_writer_widen(struct block_writer *writer, uint64_t start_unix_ns, uint64_t end_unix_ns);
void block_writer_piece(struct block_writer *writer, struct str piece);
/* Seals; the draft may then be written. -ENOMEM, -EMSGSIZE. */
int block_writer_end(struct block_writer *writer);
