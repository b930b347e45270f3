/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/trace_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/ledger_block.h"
#include "storage/packed.h"
#include "storage/span_block.h"
#include "storage/trace_index.h"

#define SMALL_MAP 1024 /* a larger one is given back before the next trace */

void trace_view_init(struct trace_view *trace, struct view *view, uint64_t seed)
{
	*trace = (struct trace_view){ .view = view };
	map_init(&trace->spans, SPAN_ID_BYTES, sizeof(struct trace_span), seed);
	trace->spans.max_count = TRACE_VIEW_MAX_SPANS;
}

void trace_view_fini(struct trace_view *trace)
{
	map_fini(&trace->spans);
}

static struct trace_span *put(struct trace_view *trace, const uint8_t *span_id)
{
	struct trace_span *span = map_put(&trace->spans, span_id);

	if (span)
		memcpy(span->span_id, span_id, SPAN_ID_BYTES);
	return span;
}

static int no_room(const struct trace_view *trace)
{
	return trace->spans.count >= TRACE_VIEW_MAX_SPANS ? -E2BIG : -ENOMEM;
}

static bool is_before(struct trace_place a, struct trace_place b)
{
	if (a.part != b.part)
		return a.part < b.part;
	return a.seq != b.seq ? a.seq < b.seq : a.row < b.row;
}

/* Keeps it if it is the newest so far. */
static void note_ledger(struct trace_span *span, uint16_t revision, uint8_t grade,
			struct trace_place at)
{
	int order = span->ledger.seq
			    ? ledger_block_compare(revision, grade, span->revision, span->grade)
			    : 1;

	if (order < 0 || (order == 0 && !is_before(span->ledger, at)))
		return;
	span->ledger = at;
	span->revision = revision;
	span->grade = grade;
}

/* Follows the chain of a trace's rows in a block. Links only lead forward, so it ends. */
static int add_spans(struct trace_view *trace, const struct block *block, const uint8_t *trace_id,
		     struct trace_place at)
{
	while (at.row < block->header->row_count) {
		const struct block_span *row = &block->spans[at.row];
		struct trace_span *span;

		if (memcmp(row->trace_id, trace_id, TRACE_ID_BYTES) != 0)
			return 0;
		span = put(trace, row->span_id);
		if (!span)
			return no_room(trace);
		if (span->span.seq == 0 || is_before(at, span->span))
			span->span = at;
		if (row->none_cause)
			note_ledger(span, LEDGER_BLOCK_FIRST_REVISION, GRADE_NONE, at);
		if (row->next_of_trace <= at.row)
			return -EBADMSG;
		at.row = row->next_of_trace;
	}
	return 0;
}

static int add_ledgers(struct trace_view *trace, const struct block *block, const uint8_t *trace_id,
		       struct trace_place at)
{
	while (at.row < block->header->row_count) {
		const struct block_ledger *row = &block->ledgers[at.row];
		struct trace_span *span;

		if (memcmp(row->trace_id, trace_id, TRACE_ID_BYTES) != 0)
			return 0;
		span = put(trace, row->span_id);
		if (!span)
			return no_room(trace);
		note_ledger(span, row->revision, row->grade, at);
		if (row->next_of_trace <= at.row)
			return -EBADMSG;
		at.row = row->next_of_trace;
	}
	return 0;
}

/* Spans, with those ledgers that they have, or ledgers alone. */
static int add_packed(struct trace_view *trace, const struct block *block, const uint8_t *trace_id,
		      struct trace_place at)
{
	const struct packed *packed = block->packed;

	for (at.row = packed_first_of_trace(packed, trace_id); at.row != BLOCK_NO_ROW;
	     at.row = packed->rows.spans[at.row].next_of_trace) {
		struct trace_span *span = put(trace, packed->rows.spans[at.row].span_id);
		uint16_t revision;
		uint8_t grade;

		if (!span)
			return no_room(trace);
		if (block->spans && (span->span.seq == 0 || is_before(at, span->span)))
			span->span = at;
		if (packed_ledger_of(packed, at.row, &revision, &grade))
			note_ledger(span, revision, grade, at);
	}
	return 0;
}

static int gather_ref(struct trace_view *trace, uint32_t part, const struct trace_ref *ref,
		      const uint8_t *trace_id)
{
	struct trace_place at = { part, ref->seq, ref->row };
	struct block *block;
	int rc = view_keep_block(trace->view, part, ref->seq, &block);

	if (rc == -ENOENT) /* committed after the view's transaction began */
		return 0;
	if (rc < 0)
		return rc;
	if (block->packed)
		return add_packed(trace, block, trace_id, at);
	return block->spans ? add_spans(trace, block, trace_id, at)
			    : add_ledgers(trace, block, trace_id, at);
}

static int gather_part(struct trace_view *trace, uint32_t index, const uint8_t *trace_id,
		       struct buf *refs)
{
	struct part *part = trace->view->parts[index].part;
	uint64_t hash = trace_index_hash(part->seed, trace_id);
	const struct trace_ref *found;
	const struct txn *txn;
	int rc = trace_index_may_have(part, hash);

	if (rc <= 0)
		return rc;
	buf_clear(refs);
	rc = view_txn(trace->view, index, &txn);
	if (rc == 0)
		rc = trace_index_find(part, txn, hash, refs);
	found = (const void *)refs->data;
	for (size_t i = 0; i < refs->len / sizeof(*found) && rc == 0; i++)
		rc = gather_ref(trace, index, &found[i], trace_id);
	return rc;
}

static void ask_ahead(const struct view *view, const uint8_t *trace_id)
{
	for (size_t i = 0; i < view->count; i++) {
		const struct part *part = view->parts[i].part;

		trace_index_prefetch(part, trace_index_hash(part->seed, trace_id));
	}
}

int trace_view_gather(struct trace_view *trace, const uint8_t *trace_id)
{
	struct buf refs;
	int rc = 0;

	if (trace->spans.cap > SMALL_MAP)
		map_fini(&trace->spans);
	map_clear(&trace->spans);
	buf_init(&refs, 0);
	ask_ahead(trace->view, trace_id);
	for (size_t i = 0; i < trace->view->count && rc == 0; i++)
		rc = gather_part(trace, (uint32_t)i, trace_id, &refs);
	buf_fini(&refs);
	return rc;
}

const struct trace_span *trace_view_find(const struct trace_view *trace, const uint8_t *span_id)
{
	return map_get(&trace->spans, span_id);
}

static int compare(const void *a, const void *b)
{
	const struct trace_span *left = a, *right = b;

	return is_before(left->span, right->span) ? -1 : is_before(right->span, left->span);
}

int trace_view_sorted(const struct trace_view *trace, struct trace_span **out_spans,
		      size_t *out_count)
{
	struct trace_span *spans = malloc((trace->spans.count + 1) * sizeof(*spans));
	const struct trace_span *span;
	size_t cursor = 0, count = 0;

	if (!spans)
		return -ENOMEM;
	while ((span = map_next(&trace->spans, &cursor, NULL))) {
		if (span->span.seq)
			spans[count++] = *span;
	}
	qsort(spans, count, sizeof(*spans), compare);
	*out_spans = spans;
	*out_count = count;
	return 0;
}

void trace_reader_init(struct trace_reader *reader, struct view *view)
{
	*reader = (struct trace_reader){ .view = view };
	arena_init(&reader->arena, 0);
}

void trace_reader_fini(struct trace_reader *reader)
{
	arena_fini(&reader->arena);
}

static int turn_to(struct view *view, struct trace_place place, const struct block **out_block)
{
	struct block *block;
	int rc = view_keep_block(view, place.part, place.seq, &block);

	*out_block = NULL;
	if (rc == 0)
		rc = block_load(block);
	if (rc == 0)
		*out_block = block;
	return rc == -ENOENT ? -EBADMSG : rc;
}

static int read_ledger(struct trace_reader *reader, struct trace_place place,
		       struct ledger *out_ledger)
{
	const struct block *block;
	int rc = turn_to(reader->view, place, &block);

	arena_fini(&reader->arena);
	return rc < 0 ? rc : ledger_block_ledger(block, place.row, &reader->arena, out_ledger);
}

int trace_reader_read(struct trace_reader *reader, struct trace_place span,
		      struct trace_place ledger, struct store_span *out_span)
{
	const struct block *block;
	int rc = turn_to(reader->view, span, &block);

	if (rc == 0 && !block->spans)
		rc = -EBADMSG;
	if (rc < 0)
		return rc;
	memset(out_span, 0, sizeof(*out_span));
	rc = span_block_span(block, span.row, &out_span->span, &out_span->resource,
			     &out_span->scope);
	if (rc < 0)
		return rc;
	out_span->service = out_span->resource.service_name.len ? out_span->resource.service_name
								: SPAN_BLOCK_NO_SERVICE;
	out_span->has_ledger = ledger.seq != 0;
	return ledger.seq ? read_ledger(reader, ledger, &out_span->ledger) : 0;
}
