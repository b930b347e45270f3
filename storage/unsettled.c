/* SPDX-License-Identifier: Apache-2.0 */
/* Spans without a ledger: what the daemon had not yet settled when it died.
 *
 * Each ledger's row names its span's row, so one pass over the ledgers leaves a bitmap of the spans
 * that have one; only those that it does not name are looked up. */
#include <errno.h>
#include <stdlib.h>

#include "storage/packed.h"
#include "storage/span_block.h"
#include "storage/trace_view.h"

struct unsettled {
	struct view *view;
	uint32_t part;
	struct trace_view trace;
	struct buf firsts; /* uint64_t by seq: the bit of the block's first row, plus 1 */
	uint64_t bits;
	uint8_t *settled; /* owned */
	int (*visit)(const struct span_batch *batch, void *arg);
	void *arg;
	/* The block at hand. */
	const struct block *block;
	uint64_t first;
	int error;
};

static int each_block(struct unsettled *unsettled,
		      int (*step)(struct unsettled *, uint32_t seq, struct block *block))
{
	struct part *part = unsettled->view->parts[unsettled->part].part;
	const struct txn *txn;
	int rc = view_txn(unsettled->view, unsettled->part, &txn);

	for (uint32_t seq = 1; rc == 0; seq++) {
		struct block block;

		rc = part_block(part, txn, seq, &block);
		if (rc < 0)
			break;
		rc = step(unsettled, seq, &block);
		block_close(&block);
	}
	return rc == -ENOENT ? 0 : rc;
}

static uint64_t first_of(const struct unsettled *unsettled, uint32_t seq)
{
	const uint64_t *firsts = (const void *)unsettled->firsts.data;

	return seq < unsettled->firsts.len / sizeof(*firsts) ? firsts[seq] : 0;
}

static int number_rows(struct unsettled *unsettled, uint32_t seq, struct block *block)
{
	uint64_t none = 0, first = unsettled->bits + 1;

	while (unsettled->firsts.len / sizeof(first) < seq && !buf_error(&unsettled->firsts))
		buf_append(&unsettled->firsts, &none, sizeof(none));
	buf_append(&unsettled->firsts, block->spans ? &first : &none, sizeof(first));
	if (block->spans)
		unsettled->bits += block->header->row_count;
	return buf_error(&unsettled->firsts);
}

static void mark(struct unsettled *unsettled, uint64_t bit)
{
	if (bit < unsettled->bits)
		unsettled->settled[bit / 8] |= (uint8_t)(1u << bit % 8);
}

/* Those that were settled when they were committed. */
static void mark_at_once(struct unsettled *unsettled, uint32_t seq, const struct block *block)
{
	for (uint32_t i = 0; i < block->header->row_count; i++) {
		if (block->spans[i].none_cause)
			mark(unsettled, first_of(unsettled, seq) - 1 + i);
	}
}

static int mark_settled(struct unsettled *unsettled, uint32_t seq, struct block *block)
{
	int rc = block_figures(block);

	if (rc == 0 && block->spans && !block->packed)
		mark_at_once(unsettled, seq, block);
	for (uint32_t i = 0; rc == 0 && block->ledgers && i < block->header->row_count; i++) {
		const struct block_ledger *row = &block->ledgers[i];
		uint64_t first = first_of(unsettled, block->spans ? seq : row->span_seq);

		if (first && row->revision)
			mark(unsettled, first - 1 + (block->spans ? i : row->span_row));
	}
	return rc;
}

/* Its ledger may be in another part, and it may be the resent copy of another row. */
static bool is_wanted(uint32_t row, void *arg)
{
	struct unsettled *unsettled = arg;
	const struct block_span *span = &unsettled->block->spans[row];
	uint64_t bit = unsettled->first - 1 + row;
	const struct trace_span *found;

	if (unsettled->settled[bit / 8] & 1u << bit % 8 || unsettled->error)
		return false;
	unsettled->error = trace_view_gather(&unsettled->trace, span->trace_id);
	if (unsettled->error)
		return false;
	found = trace_view_find(&unsettled->trace, span->span_id);
	return found && found->ledger.seq == 0;
}

static bool has_open_rows(const struct unsettled *unsettled, const struct block *block)
{
	for (uint32_t i = 0; i < block->header->row_count; i++) {
		uint64_t bit = unsettled->first - 1 + i;

		if (!(unsettled->settled[bit / 8] & 1u << bit % 8))
			return true;
	}
	return false;
}

static int visit_block(struct unsettled *unsettled, uint32_t seq, struct block *block)
{
	struct span_batch batch;
	int rc;

	unsettled->first = first_of(unsettled, seq);
	if (!block->spans || !unsettled->first || !has_open_rows(unsettled, block))
		return 0;
	rc = block_load(block);
	if (rc < 0)
		return rc;
	unsettled->block = block;
	rc = span_block_batch(block, is_wanted, unsettled, &batch);
	unsettled->block = NULL;
	if (rc < 0)
		return rc;
	rc = unsettled->error;
	if (rc == 0 && batch.span_count)
		rc = unsettled->visit(&batch, unsettled->arg);
	arena_fini(&batch.arena);
	return rc;
}

/* 1: of a packed part, every span has its ledger beside it: nearly all parts are so, and this looks
 * at little of them. */
static int is_settled(struct unsettled *unsettled)
{
	struct part *part = unsettled->view->parts[unsettled->part].part;
	const struct txn *txn;
	int rc = view_txn(unsettled->view, unsettled->part, &txn);

	for (uint32_t seq = 1; rc == 0; seq++) {
		struct block_header header;
		struct str value, columns;
		uint64_t bytes;

		rc = part_value(part, txn, seq, &value);
		if (rc == 0)
			rc = block_header_read(value, &header, &bytes);
		if (rc < 0 || header.encoding != BLOCK_PACKED)
			break;
		columns = (struct str){ value.data + sizeof(header), value.len - sizeof(header) };
		if (header.kind == BLOCK_SPANS &&
		    !packed_has_all_ledgers(columns, header.row_count))
			return 0;
	}
	return rc == -ENOENT ? 1 : rc;
}

static int visit_part(struct unsettled *unsettled)
{
	int rc =
		unsettled->view->parts[unsettled->part].part->is_closed ? is_settled(unsettled) : 0;

	if (rc)
		return rc < 0 ? rc : 0;
	unsettled->bits = 0;
	buf_clear(&unsettled->firsts);
	rc = each_block(unsettled, number_rows);
	if (rc < 0)
		return rc;
	free(unsettled->settled);
	unsettled->settled = calloc(1, (size_t)(unsettled->bits / 8 + 1));
	if (!unsettled->settled)
		return -ENOMEM;
	rc = each_block(unsettled, mark_settled);
	return rc < 0 ? rc : each_block(unsettled, visit_block);
}

int store_each_unsettled(struct store *store, uint64_t from_unix_ns,
			 int (*visit)(const struct span_batch *batch, void *arg), void *arg)
{
	struct view view;
	struct unsettled unsettled = { .view = &view, .visit = visit, .arg = arg };
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	buf_init(&unsettled.firsts, 0);
	trace_view_init(&unsettled.trace, &view, store->folder.seed);
	for (size_t i = view.count; i > 0 && rc == 0; i--) {
		unsettled.part = (uint32_t)(i - 1);
		if (view.parts[i - 1].totals.last_commit_unix_ns >= from_unix_ns)
			rc = visit_part(&unsettled);
	}
	free(unsettled.settled);
	buf_fini(&unsettled.firsts);
	trace_view_fini(&unsettled.trace);
	view_close(&view);
	return rc;
}
