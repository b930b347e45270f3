/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the spans of ledgers that are being committed, so that a ledger's row says whose it is and
 * searches need not join. Writer only, within its transaction. */
#pragma once

#include "storage/ledger_block.h"
#include "storage/span_block.h"
#include "storage/store_internal.h"

#define SPAN_LOOKUP_BLOCKS 8

/* The newest ledger that a span already has in the current part. */
struct ledger_place {
	uint32_t seq; /* 0: none */
	uint32_t row;
	uint16_t revision;
	uint8_t grade;
};

struct span_lookup {
	struct store *store; /* borrowed, as the next */
	struct txn *txn;
	struct map found; /* of the trace at hand: span id -> what is known of it */
	struct buf refs;
	struct block blocks[SPAN_LOOKUP_BLOCKS]; /* of the current part, looked at last */
	uint32_t seqs[SPAN_LOOKUP_BLOCKS];
};

void span_lookup_init(struct span_lookup *lookup, struct store *store, struct txn *txn);
void span_lookup_fini(struct span_lookup *lookup);
/* Before each block that is put: pointers into the commit under way end there. */
void span_lookup_forget(struct span_lookup *lookup);

/* Looks up a trace in the current part; then each of its spans can be asked for. */
int span_lookup_trace(struct span_lookup *lookup, const uint8_t *trace_id);
/* Fills in what the span says. A span that is not in the current part leaves the row as it is:
 * operation 0, and whoever searches looks at the span itself. */
void span_lookup_complete(const struct span_lookup *lookup, struct block_ledger *row);
/* NULL: nothing is known of the span in this part. */
const struct ledger_place *span_lookup_before(const struct span_lookup *lookup,
					      const uint8_t *span_id);
/* Reads that ledger; its arrays are allocated in `arena`. */
int span_lookup_ledger(struct span_lookup *lookup, const struct ledger_place *place,
		       struct arena *arena, struct ledger *out_ledger);
