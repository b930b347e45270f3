/* SPDX-License-Identifier: Apache-2.0 */
/* A packed block that is open: what compaction made of the blocks of a part that is over.
 *
 *   spans with their ledgers     row i of the ledgers belongs to row i of the spans
 *   ledgers alone                whose spans are in another part
 *
 * Opening unpacks of the rows what searches go by; the ledgers' figures come when a search asks for
 * them, the rest of the rows, strings and ledgers when the block is loaded, a span's message when
 * it is wanted, the ledgers of a trace together. Nothing is believed: see coder.h. */
#pragma once

#include "collector/base/arena.h"
#include "storage/pack_ledgers.h"
#include "storage/pack_words.h"

struct packed_text;

struct packed {
	struct block_header header;
	struct coder coder;
	struct pack_rows rows;
	bool has_ledgers, has_figures; /* the figures' columns are unpacked */
	uint16_t *revisions;           /* by row; NULL: all 1 */
	uint32_t *figure_places;       /* of every PACK_FIGURES_EVERY-th row ... */
	uint32_t known_places;         /* ... of which the first so many have been found */
	struct block_ledger *ledgers;  /* by row; revision 0: none. NULL: not asked for */
	struct arena arena;            /* all of these */
	/* Once loaded. */
	bool is_loaded, has_messages;
	unsigned omit;
	struct pack_words words;
	struct packed_text *texts; /* owned: by row */
	struct buf heap;           /* the strings, then room for the messages */
	struct pack_lists lists;
	uint32_t *detail_places; /* of every PACK_DETAIL_EVERY-th trace with a ledger */
	/* The trace whose ledgers were read last. */
	uint32_t trace; /* its number + 1; 0: none */
	struct pack_member *members;
	uint32_t member_count;
	struct arena trace_arena;
};

/* Whether each row of the block has a ledger; only that is unpacked. `columns`: behind the header.
 * false, too: damaged. */
bool packed_has_all_ledgers(struct str columns, uint32_t row_count);

/* `value`: header and columns, borrowed until packed_close. -EBADMSG, -ENOMEM. */
int packed_open(struct str value, struct packed **out_packed);
void packed_close(struct packed *packed); /* NULL: nothing */

/* The first row of a trace; BLOCK_NO_ROW: none. Rows are chained from there. */
uint32_t packed_first_of_trace(const struct packed *packed, const uint8_t *trace_id);
/* The ledger of a row, as far as is needed to tell which of two is newer. false: there is none. */
bool packed_ledger_of(const struct packed *packed, uint32_t row, uint16_t *out_revision,
		      uint8_t *out_grade);

/* From now on words, heap, and the functions below may be used. `stack_ids`: of the part,
 * borrowed. `omit`: enum store_omit. */
int packed_load(struct packed *packed, struct str stack_ids, unsigned omit);
/* Sets the rest of the row's span: its texts are in packed->heap. */
int packed_span(struct packed *packed, uint32_t row);
/* The row has a ledger. Its arrays hold until a ledger of another trace is read. */
int packed_ledger(struct packed *packed, uint32_t row, struct ledger *out_ledger);
