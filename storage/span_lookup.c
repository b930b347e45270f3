/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/span_lookup.h"

#include <errno.h>
#include <string.h>

#include "storage/trace_index.h"

#define SMALL_MAP 1024

void span_lookup_init(struct span_lookup *lookup, struct store *store, struct txn *txn)
{
	*lookup = (struct span_lookup){ .store = store, .txn = txn };
	map_init(&lookup->found, SPAN_ID_BYTES, sizeof(struct block_ledger), store->folder.seed);
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
		rc = part_block(lookup->store->current, lookup->txn, seq, &lookup->blocks[slot]);
	}
	if (rc < 0)
		return rc;
	lookup->seqs[slot] = seq;
	*out_block = &lookup->blocks[slot];
	return 0;
}

static int note_rows(struct span_lookup *lookup, const struct block *block, uint32_t seq,
		     uint32_t row, const uint8_t *trace_id)
{
	while (row < block->header->row_count) {
		const struct block_span *span = &block->spans[row];
		struct block_ledger *note;

		if (memcmp(span->trace_id, trace_id, TRACE_ID_BYTES) != 0)
			return 0;
		note = map_put(&lookup->found, span->span_id);
		if (!note)
			return -ENOMEM;
		/* The first commit of a span is the one that counts; refs come in any order. */
		if (note->span_seq == 0 || seq < note->span_seq) {
			note->start_unix_ns = span->start_unix_ns;
			note->wall_ns = span->end_unix_ns - span->start_unix_ns;
			note->operation = span->operation;
			note->span_seq = seq;
			note->span_row = row;
			note->kind = span->kind;
			note->status = span->status;
		}
		if (span->next_of_trace <= row)
			return -EBADMSG;
		row = span->next_of_trace;
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
		if (rc == 0 && block->spans)
			rc = note_rows(lookup, block, refs[i].seq, refs[i].row, trace_id);
	}
	return rc;
}

void span_lookup_complete(const struct span_lookup *lookup, struct block_ledger *row)
{
	const struct block_ledger *note = map_get(&lookup->found, row->span_id);

	if (!note)
		return;
	row->start_unix_ns = note->start_unix_ns;
	row->wall_ns = note->wall_ns;
	row->operation = note->operation;
	row->span_seq = note->span_seq;
	row->span_row = note->span_row;
	row->kind = note->kind;
	row->status = note->status;
}
