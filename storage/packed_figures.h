/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of the ledgers in a packed block: what a search goes by. Their columns are unpacked
 * when the first is asked for. All -EBADMSG, -ENOMEM. */
#pragma once

#include "storage/packed.h"

/* Which rows have a ledger; when the block is opened. */
int packed_figures_open(struct packed *packed);
/* Their columns, if they are not there yet. */
int packed_figures_unpack(struct packed *packed);
/* Sets packed->ledgers. */
int packed_figures_load(struct packed *packed);
/* Visits the ledgers of the rows that are wanted, first to last, until `visit` returns non-zero,
 * which is then returned; the figures of the others are gone past. The ledger's links are not set.
 */
int packed_figures_each(struct packed *packed,
			bool (*is_wanted)(const struct block_span *span, void *arg),
			int (*visit)(uint32_t row, const struct block_ledger *ledger, void *arg),
			void *arg);
/* Those of the member's row; unpacked before. See coder.error. */
void packed_figures_read(struct packed *packed, struct pack_member *member);
