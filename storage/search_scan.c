/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/search_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/ledger.h"
#include "storage/ledger_block.h"
#include "storage/operation_index.h"
#include "storage/packed_figures.h"
#include "storage/search_candidates.h"
#include "storage/span_block.h"

#define OPERATION_BITS_BYTES ((OPERATIONS_MAX + 8) / 8)

void search_scan_init(struct search_scan *scan, struct view *view, const struct store_query *query,
		      uint64_t seed)
{
	*scan = (struct search_scan){ .view = view, .query = query };
	trace_view_init(&scan->trace, view, seed);
	trace_reader_init(&scan->reader, view);
	buf_init(&scan->candidates, 0);
}

void search_scan_fini(struct search_scan *scan)
{
	trace_view_fini(&scan->trace);
	trace_reader_fini(&scan->reader);
	buf_fini(&scan->candidates);
	free(scan->operations);
}

static bool names_match(const struct store_query *query, struct str service, struct str operation)
{
	return (!query->service.len || str_eq(query->service, service)) &&
	       (!query->operation.len || str_eq(query->operation, operation));
}

static bool has_names(const struct store_query *query)
{
	return query->service.len || query->operation.len;
}

/* Number 0 stands for names that are not numbered: it may always match. */
static int match_operations(struct search_scan *scan, const struct part *part,
			    const struct txn *txn)
{
	struct str key, value;
	struct cursor cursor;
	int rc = cursor_open(txn, part->operations, &cursor);

	if (rc < 0)
		return rc;
	if (!scan->operations)
		scan->operations = malloc(OPERATION_BITS_BYTES);
	if (scan->operations) {
		memset(scan->operations, 0, OPERATION_BITS_BYTES);
		scan->operations[0] = 1;
	}
	rc = scan->operations ? cursor_first(&cursor, &key, &value) : -ENOMEM;
	while (rc == 0) {
		struct operations_record record;
		uint32_t id = key.len == 4 ? key_get32(key.data) : UINT32_MAX;

		rc = id <= OPERATIONS_MAX ? operations_parse(value, &record) : -EBADMSG;
		if (rc == 0 && names_match(scan->query, record.service, record.operation))
			scan->operations[id / 8] |= (uint8_t)(1u << id % 8);
		if (rc == 0)
			rc = cursor_next(&cursor, &key, &value);
	}
	cursor_close(&cursor);
	return rc == -ENOENT ? 0 : rc;
}

static bool is_operation(const struct search_scan *scan, uint32_t id)
{
	return !has_names(scan->query) ||
	       (id <= OPERATIONS_MAX && scan->operations[id / 8] & 1u << id % 8);
}

static bool has_bit(unsigned bits, int value)
{
	return value < 0 || bits == SUMMARY_ANY_BITS || (value < 16 && bits & 1u << value);
}

static bool may_match(const struct search_scan *scan, const struct summary *summary)
{
	const struct store_query *query = scan->query;

	if (summary->max_start_unix_ns < query->from_unix_ns ||
	    (query->to_unix_ns && summary->min_start_unix_ns >= query->to_unix_ns) ||
	    summary->max_wall_ns < query->min_wall_ns ||
	    !has_bit(summary->statuses, query->status) || !has_bit(summary->kinds, query->kind))
		return false;
	if (scan->kind == BLOCK_SPANS)
		return summary->block_kind == BLOCK_SPANS;
	return summary->grades != 0 &&
	       (query->max_ratio < 0 ||
		summary->max_ratio_rank >= summary_ratio_rank(query->max_ratio)) &&
	       (query->reason < 0 || summary->reasons & 1u << query->reason) &&
	       (query->grade < 0 || summary->grades & 1u << query->grade);
}

static uint64_t bound_of(const struct search_scan *scan, const struct summary *summary)
{
	if (scan->without_ledger)
		return 0;
	switch (scan->query->sort) {
	case STORE_SORT_WALL:
		return summary->max_wall_ns;
	case STORE_SORT_RATIO:
		return summary->max_ratio_rank;
	case STORE_SORT_BLOCKED:
		return summary->max_blocked_rank;
	default:
		return summary->max_start_unix_ns;
	}
}

static int note_candidate(const struct summary *summary, void *arg)
{
	struct search_scan *scan = arg;
	struct search_candidate candidate = { bound_of(scan, summary), summary->seq };

	if (may_match(scan, summary))
		buf_append(&scan->candidates, &candidate, sizeof(candidate));
	return buf_error(&scan->candidates);
}

/* Blocks of spans have ledgers, too: of those that were settled when they were committed. */
static bool is_of_interest(const struct search_scan *scan, const struct block *block)
{
	return block->header->kind == scan->kind ||
	       (scan->kind == BLOCK_LEDGERS && block->header->kind == BLOCK_SPANS);
}

/* An open part: the summaries stand in its blocks, which were checked when it was opened. */
static int find_in_blocks(struct search_scan *scan, struct part *part)
{
	bool by_name = has_names(scan->query);
	int rc = 0;

	for (uint32_t seq = 1; rc == 0; seq++) {
		struct block block;

		rc = part_block(part, NULL, seq, &block);
		if (rc < 0)
			break;
		for (uint32_t i = 0;
		     is_of_interest(scan, &block) && rc == 0 && i < block.header->summary_count;
		     i++) {
			struct summary summary = block.summaries[i];

			summary.seq = seq;
			if (by_name ? summary.operation != SUMMARY_ALL &&
					      is_operation(scan, summary.operation)
				    : summary.operation == SUMMARY_ALL)
				rc = note_candidate(&summary, scan);
		}
		block_close(&block);
	}
	return rc == -ENOENT ? 0 : rc;
}

/* A closed part: the summaries are sorted by operation. */
static int find_in_index(struct search_scan *scan, const struct part *part, const struct txn *txn)
{
	int rc = 0;

	if (!has_names(scan->query))
		return operation_index_each(part, txn, SUMMARY_ALL, note_candidate, scan);
	for (uint32_t operation = 0; operation <= OPERATIONS_MAX && rc == 0; operation++) {
		if (is_operation(scan, operation))
			rc = operation_index_each(part, txn, operation, note_candidate, scan);
	}
	return rc;
}

/* What the rows of both kinds say alike. */
struct row {
	uint64_t rank;
	uint64_t start_unix_ns;
	uint64_t wall_ns;
	const uint8_t *trace_id, *span_id;
	uint32_t operation;
	uint8_t kind, status;
	bool is_known;            /* kind and status are the span's */
	struct trace_place place; /* of this row */
	struct trace_place span;  /* seq 0: to be looked up */
};

static bool times_match(const struct store_query *query, const struct row *row)
{
	return row->start_unix_ns >= query->from_unix_ns &&
	       (!query->to_unix_ns || row->start_unix_ns < query->to_unix_ns) &&
	       row->wall_ns >= query->min_wall_ns &&
	       (!query->first_trace ||
		(memcmp(row->trace_id, query->first_trace, TRACE_ID_BYTES) >= 0 &&
		 memcmp(row->trace_id, query->last_trace, TRACE_ID_BYTES) <= 0));
}

static bool span_matches(const struct store_query *query, const struct row *row)
{
	return (query->status < 0 || row->status == query->status) &&
	       (query->kind < 0 || row->kind == query->kind);
}

/* 1: it matches by the span's own bytes; 0: it does not. */
static int look_closely(struct search_scan *scan, struct row *row)
{
	const struct store_query *query = scan->query;
	struct store_span span;
	int rc = 0;

	if (!row->span.seq) {
		const struct trace_span *found;

		rc = trace_view_gather(&scan->trace, row->trace_id);
		if (rc < 0)
			return rc;
		found = trace_view_find(&scan->trace, row->span_id);
		if (!found || !found->span.seq)
			return 0; /* its span went with an older part */
		row->span = found->span;
	}
	rc = trace_reader_read(&scan->reader, row->span, (struct trace_place){ 0 }, &span);
	if (rc < 0)
		return rc;
	row->kind = span.span.kind;
	row->status = span.span.status;
	return names_match(query, span.service, span.span.name) && span_matches(query, row) &&
	       (!query->match || query->match(&span, query->match_arg));
}

static int has_no_ledger(struct search_scan *scan, const struct row *row)
{
	const struct trace_span *found;
	int rc = trace_view_gather(&scan->trace, row->trace_id);

	if (rc < 0)
		return rc;
	found = trace_view_find(&scan->trace, row->span_id);
	return found && !found->ledger.seq && trace_place_is(found->span, row->place);
}

/* Whether such a row would get among the best. */
static bool is_good_enough(struct search_scan *scan, uint64_t rank, uint64_t start_unix_ns)
{
	if (scan->visit || hits_accept(scan->hits, rank, start_unix_ns))
		return true;
	scan->hits->has_dropped = true;
	return false;
}

/* Whether a page before has shown it. */
static bool is_shown(const struct search_scan *scan, const struct hit *hit)
{
	const struct store_position *after = scan->query->after;
	struct hit last;

	if (!after || after->pass != scan->without_ledger)
		return after && after->pass > scan->without_ledger;
	last.rank = after->rank;
	last.start_unix_ns = after->start_unix_ns;
	memcpy(last.trace_id, after->trace_id, TRACE_ID_BYTES);
	memcpy(last.span_id, after->span_id, SPAN_ID_BYTES);
	return !hits_is_better(&last, hit);
}

/* From cheap to dear; only what would get among the best is looked at closely. */
static int offer(struct search_scan *scan, struct row *row)
{
	const struct store_query *query = scan->query;
	bool is_vague = (row->operation == 0 && has_names(query)) ||
			(!row->is_known && (query->status >= 0 || query->kind >= 0));
	struct hit hit = { .rank = row->rank, .start_unix_ns = row->start_unix_ns };
	int rc = 1;

	if (!times_match(query, row) || !is_operation(scan, row->operation) ||
	    (row->is_known && !span_matches(query, row)))
		return 0;
	memcpy(hit.trace_id, row->trace_id, TRACE_ID_BYTES);
	memcpy(hit.span_id, row->span_id, SPAN_ID_BYTES);
	if (is_shown(scan, &hit) || !is_good_enough(scan, row->rank, row->start_unix_ns))
		return 0;
	if (scan->without_ledger)
		rc = has_no_ledger(scan, row);
	if (rc > 0 && (is_vague || query->match))
		rc = look_closely(scan, row);
	if (rc <= 0)
		return rc;
	hit.place = row->place;
	return scan->visit ? scan->visit(&hit, row->wall_ns, scan->arg)
			   : hits_add(scan->hits, &hit);
}

static bool has_settled(const struct block *block, uint32_t row)
{
	uint16_t revision;
	uint8_t grade;

	return packed_ledger_of(block->packed, row, &revision, &grade);
}

static int scan_spans(struct search_scan *scan, const struct block *block, uint32_t seq)
{
	enum store_sort sort = scan->query->sort;
	int rc = 0;

	for (uint32_t i = 0; i < block->header->row_count && rc == 0; i++) {
		const struct block_span *from = &block->spans[i];
		struct row row;

		if (!is_operation(scan, from->operation))
			continue;
		row = (struct row){
			.start_unix_ns = from->start_unix_ns,
			.wall_ns = from->end_unix_ns - from->start_unix_ns,
			.trace_id = from->trace_id,
			.span_id = from->span_id,
			.operation = from->operation,
			.kind = from->kind,
			.status = from->status,
			.is_known = true,
			.place = { scan->part, seq, i },
			.span = { scan->part, seq, i },
		};
		if (scan->kind == BLOCK_LEDGERS && !has_settled(block, i))
			continue;
		if (!scan->without_ledger)
			row.rank = sort == STORE_SORT_WALL ? row.wall_ns : row.start_unix_ns;
		rc = offer(scan, &row);
	}
	return rc;
}

static uint64_t ledger_rank(enum store_sort sort, const struct block_ledger *row)
{
	switch (sort) {
	case STORE_SORT_WALL:
		return row->wall_ns;
	case STORE_SORT_RATIO:
		return row->ratio_rank;
	case STORE_SORT_BLOCKED:
		return row->grade == GRADE_NONE ? 0 : row->blocked_ns + 1;
	default:
		return row->start_unix_ns;
	}
}

static bool figures_match(const struct store_query *query, const struct block_ledger *row)
{
	return (query->max_ratio < 0 ||
		(row->ratio_rank && row->ratio_rank >= summary_ratio_rank(query->max_ratio))) &&
	       (query->reason < 0 || row->reasons & 1u << query->reason) &&
	       (query->grade < 0 || row->grade == query->grade);
}

static int scan_ledger(struct search_scan *scan, const struct block *block,
		       const struct block_ledger *from, struct trace_place place)
{
	struct row row = {
		.rank = ledger_rank(scan->query->sort, from),
		.start_unix_ns = from->start_unix_ns,
		.wall_ns = from->wall_ns,
		.trace_id = from->trace_id,
		.span_id = from->span_id,
		.operation = from->operation,
		.kind = from->kind,
		.status = from->status,
		.is_known = from->span_seq != 0 || block->spans,
		.place = place,
		.span = { place.part, from->span_seq, from->span_row },
	};

	if (block->spans)
		row.span = row.place;
	return from->revision && figures_match(scan->query, from) ? offer(scan, &row) : 0;
}

struct packed_scan {
	struct search_scan *scan;
	const struct block *block;
	uint32_t seq;
};

/* By what its row says: most rows of most blocks are of other operations. */
static bool may_be_wanted(const struct block_span *span, void *arg)
{
	const struct packed_scan *at = arg;
	const struct store_query *query = at->scan->query;

	return is_operation(at->scan, span->operation) &&
	       (!at->block->spans || ((query->status < 0 || span->status == query->status) &&
				      (query->kind < 0 || span->kind == query->kind)));
}

static int on_packed_ledger(uint32_t row, const struct block_ledger *ledger, void *arg)
{
	const struct packed_scan *at = arg;

	return scan_ledger(at->scan, at->block, ledger,
			   (struct trace_place){ at->scan->part, at->seq, row });
}

static int scan_ledgers(struct search_scan *scan, const struct block *block, uint32_t seq)
{
	struct packed_scan packed = { scan, block, seq };
	struct trace_place place = { scan->part, seq, 0 };
	int rc = 0;

	if (block->packed)
		return packed_figures_each(block->packed, may_be_wanted, on_packed_ledger, &packed);

	for (; place.row < block->header->row_count && rc == 0; place.row++) {
		struct block_ledger settled;

		if (block->ledgers) {
			rc = scan_ledger(scan, block, &block->ledgers[place.row], place);
		} else if (block->spans[place.row].none_cause) {
			settled = ledger_block_settled(&block->spans[place.row], seq, place.row);
			rc = scan_ledger(scan, block, &settled, place);
		}
	}
	return rc;
}

static int scan_block(struct search_scan *scan, uint32_t seq)
{
	struct block *block;
	bool has_rows;
	int rc = view_pin_block(scan->view, scan->part, seq, &block);

	if (rc < 0)
		return rc == -ENOENT ? -EBADMSG : rc;
	/* Walls are the spans' own: then figures need not be unpacked. */
	has_rows = scan->kind == BLOCK_SPANS || (scan->visit && block->packed && block->spans);
	if (!block->spans && (has_rows || (!block->packed && !block->ledgers)))
		rc = -EBADMSG;
	if (rc == 0)
		rc = (has_rows ? scan_spans : scan_ledgers)(scan, block, seq);
	view_unpin(scan->view);
	return rc;
}

static bool is_late(struct search_scan *scan)
{
	const struct store_query *query = scan->query;

	if (query->deadline_mono_ns && query->mono_ns &&
	    query->mono_ns() >= query->deadline_mono_ns)
		scan->is_out_of_time = true;
	return scan->is_out_of_time;
}

static int scan_part(struct search_scan *scan)
{
	struct part *part = scan->view->parts[scan->part].part;
	const struct search_candidate *candidates;
	const struct txn *txn;
	int rc = view_txn(scan->view, scan->part, &txn);

	buf_clear(&scan->candidates);
	if (rc == 0 && has_names(scan->query))
		rc = match_operations(scan, part, txn);
	if (rc == 0)
		rc = part->is_closed ? find_in_index(scan, part, txn) : find_in_blocks(scan, part);
	search_candidates_sort(&scan->candidates);
	candidates = (const void *)scan->candidates.data;
	for (size_t i = 0; i < scan->candidates.len / sizeof(*candidates) && rc == 0; i++) {
		if (is_late(scan))
			break;
		if (!is_good_enough(scan, candidates[i].bound, UINT64_MAX))
			break;
		rc = scan_block(scan, candidates[i].seq);
	}
	return rc;
}

int search_scan_run(struct search_scan *scan)
{
	const struct store_query *query = scan->query;
	int rc = 0;

	for (size_t i = scan->view->count; i > 0 && rc == 0; i--) {
		const struct part_totals *totals = &scan->view->parts[i - 1].totals;

		if (totals->blocks == 0 || totals->max_start_unix_ns < query->from_unix_ns ||
		    (query->to_unix_ns && totals->min_start_unix_ns >= query->to_unix_ns))
			continue;
		if (is_late(scan))
			break;
		scan->part = (uint32_t)(i - 1);
		rc = scan_part(scan);
	}
	return rc;
}
