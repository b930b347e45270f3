/* SPDX-License-Identifier: Apache-2.0 */
/* Ledgers being committed -> what they add to the rollups of the current part.
 *
 * A span counts in the minute of its end, under its operation; a newer ledger of it takes the older
 * one out. Writer only, within one transaction. */
#pragma once

#include "collector/base/arena.h"
#include "storage/rollup_table.h"
#include "storage/span_lookup.h"
#include "storage/trace_view.h"

struct roll {
	struct span_lookup *lookup; /* borrowed, as the next */
	const struct operations_book *names;
	struct rollup_table added;
	/* For spans and ledgers that are in another part: rare, so opened when first needed. */
	bool has_view;
	struct view view;
	struct trace_view trace;
	struct trace_reader reader;
	bool is_gathered; /* `trace` is the trace at hand */
	struct arena arena;
};

void roll_init(struct roll *roll, struct span_lookup *lookup, const struct operations_book *names,
	       uint64_t seed);
void roll_fini(struct roll *roll);

/* After span_lookup_trace: another trace. */
void roll_trace(struct roll *roll);
/* After span_lookup_complete. Where the span is in another part, the row learns what it is. A
 * ledger whose span is gone counts nowhere. */
int roll_ledger(struct roll *roll, struct block_ledger *row, const struct ledger *ledger);

/* A span that is settled by being committed. */
int roll_settled(struct roll *roll, const struct block_span *row);
