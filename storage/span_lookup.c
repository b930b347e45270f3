/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/span_lookup.h"

#include <errno.h>
#include <string.h>

#include "storage/trace_index.h"

#define SMALL_MAP 1024

struct note {
	struct block_ledger row; /* the span's part of it */
	struct ledger_place ledger;
};

void span_lookup_init(struct span_lookup *lookup, struct store *store, struct txn *txn)
{
	*lookup = (struct span_lookup){ .store = store, .txn = txn };
	map_init(&lookup->found, SPAN_ID_BYTES, sizeof(struct note), store->folder.seed);
	buf_init(&lookup->refs, 0);
}

void span_lookup_fini(struct span_lookup *lookup)
{
	span_lookup_forget(lookup);
	map_fini(&lookup->found);
	buf_fini(&lookup->refs);
}

void span_lookup_forget(struct span_lookup *lookup)
{
	for (size_t i = 0; i < SPAN_LOOKUP_BLOCKS; i++) {
		block_close(&lookup->blocks[i]);
		lookup->seqs[i] = 0;
	}
}

static int block_at(struct span_lookup *lookup, uint32_t seq, const struct block **out_block)
{
	uint32_t slot = seq % SPAN_LOOKUP_BLOCKS;
	int rc = 0;

	if (lookup->seqs[slot] != seq) {
		block_close(&lookup->blocks[slot]);
		lookup->seqs[slot] = 0;
		rc = part_pending_block(lookup->store->current, seq, &lookup->blocks[slot]);
	}
	if (rc < 0)
		return rc;
	lookup->seqs[slot] = seq;
	*out_block = &lookup->blocks[slot];
	return 0;
}

static bool is_newest(const struct ledger_place *known, const struct ledger_place *place)
{
	int order = known->seq ? ledger_block_compare(place->revision, place->grade,
						      known->revision, known->grade)
			       : 1;

	return order > 0 || (order == 0 && place->seq > known->seq);
}

static void note_ledger(struct note *note, const struct ledger_place *place)
{
	if (is_newest(&note->ledger, place))
		note->ledger = *place;
}

static int note_spans(struct span_lookup *lookup, const struct block *block, uint32_t seq,
		      uint32_t row, const uint8_t *trace_id)
{
	while (row < block->header->row_count) {
		const struct block_span *span = &block->spans[row];
		struct note *note;

		if (memcmp(span->trace_id, trace_id, TRACE_ID_BYTES) != 0)
			return 0;
		note = map_put(&lookup->found, span->span_id);
		if (!note)
			return -ENOMEM;
		/* The first commit of a span is the one that counts; refs come in any order. */
		if (note->row.span_seq == 0 || seq < note->row.span_seq) {
			note->row.start_unix_ns = span->start_unix_ns;
			note->row.wall_ns = span->end_unix_ns - span->start_unix_ns;
			note->row.operation = span->operation;
			note->row.span_seq = seq;
			note->row.span_row = row;
			note->row.kind = span->kind;
			note->row.status = span->status;
		}
		if (span->none_cause)
			note_ledger(note,
				    &(struct ledger_place){ seq, row, LEDGER_BLOCK_FIRST_REVISION,
							    GRADE_NONE });
		if (span->next_of_trace <= row)
			return -EBADMSG;
		row = span->next_of_trace;
	}
	return 0;
}

static int note_ledgers(struct span_lookup *lookup, const struct block *block, uint32_t seq,
			uint32_t row, const uint8_t *trace_id)
{
	while (row < block->header->row_count) {
		const struct block_ledger *ledger = &block->ledgers[row];
		struct ledger_place place = { seq, row, ledger->revision, ledger->grade };
		struct note *note;

		if (memcmp(ledger->trace_id, trace_id, TRACE_ID_BYTES) != 0)
			return 0;
		note = map_put(&lookup->found, ledger->span_id);
		if (!note)
			return -ENOMEM;
		note_ledger(note, &place);
		if (note->row.span_seq == 0) { /* the span may be in another part */
			uint32_t operation = ledger->operation;

			note->row = *ledger;
			note->row.operation = ledger->span_seq ? 0 : operation;
			note->row.span_seq = note->row.span_row = 0;
		}
		if (ledger->next_of_trace <= row)
			return -EBADMSG;
		row = ledger->next_of_trace;
	}
	return 0;
}

int span_lookup_trace(struct span_lookup *lookup, const uint8_t *trace_id)
{
	struct part *part = lookup->store->current;
	const struct trace_ref *refs;
	int rc;

	if (lookup->found.cap > SMALL_MAP)
		map_fini(&lookup->found);
	map_clear(&lookup->found);
	buf_clear(&lookup->refs);
	rc = trace_index_find(part, lookup->txn, trace_index_hash(part->seed, trace_id),
			      &lookup->refs);
	refs = (const void *)lookup->refs.data;
	for (size_t i = 0; i < lookup->refs.len / sizeof(*refs) && rc == 0; i++) {
		const struct block *block;

		rc = block_at(lookup, refs[i].seq, &block);
		if (rc == 0)
			rc = (block->spans ? note_spans : note_ledgers)(lookup, block, refs[i].seq,
									refs[i].row, trace_id);
	}
	return rc;
}

void span_lookup_complete(const struct span_lookup *lookup, struct block_ledger *row)
{
	const struct note *note = map_get(&lookup->found, row->span_id);

	if (!note)
		return;
	row->start_unix_ns = note->row.start_unix_ns;
	row->wall_ns = note->row.wall_ns;
	row->operation = note->row.operation;
	row->span_seq = note->row.span_seq;
	row->span_row = note->row.span_row;
	row->kind = note->row.kind;
	row->status = note->row.status;
}

const struct ledger_place *span_lookup_before(const struct span_lookup *lookup,
					      const uint8_t *span_id)
{
	const struct note *note = map_get(&lookup->found, span_id);

	return note ? &note->ledger : NULL;
}

int span_lookup_ledger(struct span_lookup *lookup, const struct ledger_place *place,
		       struct arena *arena, struct ledger *out_ledger)
{
	struct block block;
	int rc = part_pending_block(lookup->store->current, place->seq, &block);

	if (rc < 0)
		return rc;
	rc = block.ledgers ? block_load(&block) : 0;
	if (rc == 0)
		rc = ledger_block_ledger(&block, place->row, arena, out_ledger);
	block_close(&block);
	return rc;
}
