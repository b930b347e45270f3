/* SPDX-License-Identifier: Apache-2.0 */
/* Which span below another had most of its time on a CPU: for the verdict, which names it.
 *
 * The spans of a trace are read twice where somebody asks: all are added, sealed, and then asked
 * for. One thread. */
#pragma once

#include "collector/base/arena.h"
#include "collector/base/map.h"
#include "correlate/ledger.h"
#include "otlp/span.h"

struct subtree_row;

struct subtrees {
	struct arena arena;       /* the names */
	struct map by_id;         /* span id -> index of its row, once sealed */
	struct subtree_row *rows; /* owned */
	size_t count, cap;
	bool is_wanted; /* somebody asked before they were sealed */
	bool is_sealed;
};

void subtrees_init(struct subtrees *subtrees);
void subtrees_fini(struct subtrees *subtrees);

/* A span with figures; copied. For what there is no memory for, no name is told. */
void subtrees_add(struct subtrees *subtrees, const struct span *span, const struct ledger *ledger);

/* All are there. */
void subtrees_seal(struct subtrees *subtrees);

/* For ledger.h: the deepest span below it, in the same process, that has more than half of its
 * running time, or the name of several side by side that have it together. Empty: there is none, or
 * they are not sealed, whereupon they are wanted. */
struct str subtrees_main(const struct ledger *ledger, void *subtrees);
