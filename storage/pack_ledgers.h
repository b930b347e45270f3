/* SPDX-License-Identifier: Apache-2.0 */
/* The ledgers of one trace in a packed block, beyond their figures: both ways.
 *
 * A parent's ledger includes its children's. So parents come first, and what a child says is mostly
 * something that its parent has said: its slices are a stretch of the parent's, its waits are some
 * of the parent's. And what adds up to a figure leaves its last part out. */
#pragma once

#include "collector/base/arena.h"
#include "storage/pack_lists.h"
#include "storage/pack_rows.h"

#define PACK_DETAIL_FIRST   COLUMN_DETAIL
#define PACK_DETAIL_COLUMNS (COLUMN_SLICE_NS_BITS - COLUMN_DETAIL + 1)
#define PACK_STACKS_FIRST   COLUMN_STACK /* of them, those of stacks */
#define PACK_STACKS_LAST    COLUMN_STACK_NS_BITS
#define PACK_DETAIL_EVERY   16 /* traces: there a reader can begin */

struct pack_member {
	const struct block_span *span;
	struct ledger ledger; /* with has_ledger */
	bool has_ledger;
	uint32_t row;
	struct pack_member *parent; /* comes before this one, and has a ledger; NULL: none */
	/* Of those whose parent this is: */
	struct ledger_split children;
	uint64_t children_cpu_ns;
};

struct pack_trace {
	struct pack_member *members; /* parents first */
	uint32_t count;
	struct pack_lists *lists;            /* borrowed, as the next two */
	const struct pack_rows *rows;        /* of the block */
	const struct pack_rows_index *index; /* of it; only for writing */
	struct arena *arena;                 /* borrowed: for what is read */
	unsigned omit;                       /* enum store_omit; only for reading */
};

/* Puts the members in their order and finds their parents; span, row, ledger and has_ledger are
 * set, figures included. */
void pack_trace_order(struct pack_trace *trace, const struct pack_rows *rows);

/* All that pack_figures leaves out. -ENOMEM sticks in the coder, too. */
void pack_trace_code(struct pack_trace *trace, struct coder *coder);

/* The slices of one ledger. */
void pack_slices_code(struct pack_trace *trace, struct coder *coder, struct pack_member *member);
