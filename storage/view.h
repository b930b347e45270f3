/* SPDX-License-Identifier: Apache-2.0 */
/* A reader's hold on the parts that live at one moment. Transactions begin where a part is looked
 * at, and end with the view: parts may be dropped and replaced meanwhile, the view does not see it.
 * One thread each. */
#pragma once

#include "storage/store_internal.h"

struct view_part {
	struct part *part; /* a reference */
	struct part_totals totals;
	struct txn txn;
};

struct view {
	struct view_part *parts; /* owned; oldest first */
	size_t count;
};

int view_open(struct store *store, struct view *out_view);
void view_close(struct view *view);

/* The part's transaction, begun if need be. */
int view_txn(struct view *view, size_t index, const struct txn **out_txn);
int view_block(struct view *view, size_t index, uint32_t seq, struct block *out_block);
