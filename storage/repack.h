/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks as they were committed -> packed blocks, a bounded piece at a time.
 *
 *   count      how many spans each old block has: so each has a number
 *   ledgers    which ledger of each span is the newest; those whose span is elsewhere are packed
 *   spans      packed in the order of their commits, each with its newest ledger
 *
 * Old ledgers of a span are not taken along. */
#pragma once

#include "storage/ledger_map.h"
#include "storage/packer.h"
#include "storage/part.h"

#define REPACK_BLOCKS 16 /* old blocks of ledgers, kept open */

struct repack_block {
	uint32_t seq; /* 0: none */
	struct block block;
};

struct repack {
	struct part *from; /* borrowed, as the next two */
	struct part *to;
	struct txn *txn;    /* of `to`, within one step */
	uint64_t seq_count; /* of `from`: beyond the last */
	uint64_t next_seq;  /* in this pass */
	unsigned pass;
	uint64_t *firsts; /* owned: by old seq, the number of its first span */
	uint32_t *moved;  /* owned: by old seq, the packed block; for trace_merge */
	struct ledger_map ledgers;
	struct packer packer;
	uint64_t source_bytes; /* of the rows in the packer */
	uint64_t commit_unix_ns;
	struct repack_block blocks[REPACK_BLOCKS];
	struct part_totals totals; /* of what was packed */
	struct buf summaries;
	uint32_t operation_runs;
};

int repack_open(struct repack *repack, struct part *from, struct part *to);
void repack_close(struct repack *repack); /* also of zeros */

/* Writes some; `out_done` says whether that was all. */
int repack_step(struct repack *repack, struct txn *txn, bool *out_done);
