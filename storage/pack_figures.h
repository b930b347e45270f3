/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a ledger in a packed block, but for its own share and its lists: both ways.
 *
 * Enough for a search, and cheap to read. What the row says (ids, start, wall) is left out, and so
 * is what follows from the identity. */
#pragma once

#include "correlate/ledger.h"
#include "storage/block.h"
#include "storage/coder.h"

#define PACK_FIGURES_FIRST   COLUMN_GRADE
#define PACK_FIGURES_COLUMNS (COLUMN_UNCERTAIN_BITS - COLUMN_GRADE + 1)
#define PACK_FIGURES_EVERY   16 /* rows: there a reader can begin */

struct pack_figures {
	uint32_t row; /* the next one */
	uint32_t pid; /* of the ledger before */
};

/* What a byte of the column GRADE says at once. false: there is no ledger. */
bool pack_figures_grade(uint8_t bits, uint8_t *out_grade, bool *out_is_revised);

/* The next row's; `*has_ledger` false: it has none. Reading leaves self and the lists zero. */
void pack_figures_code(struct pack_figures *figures, struct coder *coder,
		       const struct block_span *span, struct ledger *ledger, bool *has_ledger);
/* Reading: goes past all rows before this one. */
void pack_figures_skip(struct pack_figures *figures, struct coder *coder, uint32_t until_row);
