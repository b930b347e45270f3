/* SPDX-License-Identifier: Apache-2.0 */
/* A reader's hold on the parts that live at one moment. Transactions begin where a part is looked
 * at, and end with the view: parts may be dropped and replaced meanwhile, the view does not see it.
 * One thread each. */
#pragma once

#include "storage/store_internal.h"

struct view_part {
	struct part *part;    /* a reference */
	struct part_env *env; /* the same: what it had when the view began */
	struct part_totals totals;
	struct txn txn;
};

#define VIEW_BLOCKS 32 /* kept open: what is asked for together stands together */

#define VIEW_PINNED UINT64_MAX

struct view_block {
	uint32_t part, seq; /* seq 0: none */
	uint64_t used;      /* when, as view.clock counts; VIEW_PINNED */
	struct block block;
};

struct view {
	struct view_part *parts; /* owned; oldest first */
	size_t count;
	struct view_block blocks[VIEW_BLOCKS];
	uint64_t clock;
	unsigned omit; /* enum store_omit, of all blocks; 0 until its owner says otherwise */
};

int view_open(struct store *store, struct view *out_view);
void view_close(struct view *view);

/* The part's transaction, begun if need be. */
int view_txn(struct view *view, size_t index, const struct txn **out_txn);
/* A block of the caller's own. */
int view_block(struct view *view, size_t index, uint32_t seq, struct block *out_block);
/* One that the view keeps: borrowed until many others have been asked for; a pinned one until it is
 * let go. One at a time can be pinned. */
int view_keep_block(struct view *view, size_t index, uint32_t seq, struct block **out_block);
int view_pin_block(struct view *view, size_t index, uint32_t seq, struct block **out_block);
void view_unpin(struct view *view);
