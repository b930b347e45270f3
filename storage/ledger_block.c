/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_block.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "storage/packed.h"

struct block_ledger ledger_block_row(const struct ledger *ledger)
{
	bool has_figures = ledger->grade != GRADE_NONE;
	struct block_ledger row = {
		.start_unix_ns = ledger->start_unix_ns,
		.wall_ns = ledger->wall_ns,
		.next_of_trace = BLOCK_NO_ROW,
		.revision = ledger->revision,
		.grade = ledger->grade,
	};

	memcpy(row.trace_id, ledger->trace_id, TRACE_ID_BYTES);
	memcpy(row.span_id, ledger->span_id, SPAN_ID_BYTES);
	if (!has_figures)
		return row;
	row.cpu_ns = ledger->cpu_ns;
	row.running_ns = ledger->all.running_ns;
	row.runnable_ns = ledger->all.runnable_ns;
	row.blocked_ns = ledger_blocked_ns(&ledger->all);
	row.ratio_rank = summary_ratio_rank(ledger_ratio(ledger));
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		if (ledger->all.blocked_ns[i])
			row.reasons |= (uint16_t)(1u << i);
	}
	return row;
}

struct block_ledger ledger_block_settled(const struct block_span *span, uint32_t seq,
					 uint32_t number)
{
	struct block_ledger row = {
		.start_unix_ns = span->start_unix_ns,
		.wall_ns = span->end_unix_ns - span->start_unix_ns,
		.operation = span->operation,
		.span_seq = seq,
		.span_row = number,
		.next_of_trace = span->next_of_trace,
		.revision = LEDGER_BLOCK_FIRST_REVISION,
		.grade = GRADE_NONE,
		.kind = span->kind,
		.status = span->status,
		.is_first = span->is_first,
	};

	memcpy(row.trace_id, span->trace_id, TRACE_ID_BYTES);
	memcpy(row.span_id, span->span_id, SPAN_ID_BYTES);
	return row;
}

int ledger_block_compare(uint16_t revision, uint8_t grade, uint16_t other_revision,
			 uint8_t other_grade)
{
	if (revision != other_revision)
		return revision > other_revision ? 1 : -1;
	return (grade > other_grade) - (grade < other_grade);
}

void ledger_block_begin(struct block_writer *writer, uint64_t commit_unix_ns)
{
	block_writer_begin(writer, BLOCK_LEDGERS, commit_unix_ns);
}

static int put_row(struct block_writer *writer, struct block_ledger *row)
{
	uint32_t number = writer->draft.header.row_count, before;
	int rc = block_writer_link(writer, row->trace_id, number, &before);

	if (rc == 0)
		rc = summary_set_ledger(&writer->summaries, row);
	if (rc < 0)
		return rc;
	row->is_first = before == BLOCK_NO_ROW;
	row->next_of_trace = BLOCK_NO_ROW;
	block_writer_widen(writer, row->start_unix_ns, row->start_unix_ns + row->wall_ns);
	return block_writer_put(writer, row, sizeof(*row),
				offsetof(struct block_ledger, next_of_trace), before);
}

int ledger_block_add(struct block_writer *writer, const struct block_ledger *row,
		     const struct ledger *ledger)
{
	struct block_ledger copy = *row;
	size_t offset = writer->details.len;

	ledger_encode(ledger, &writer->details);
	if (buf_error(&writer->details))
		return buf_error(&writer->details);
	copy.detail =
		(struct block_slice){ (uint32_t)offset, (uint32_t)(writer->details.len - offset) };
	return put_row(writer, &copy);
}

bool ledger_block_is_full(const struct block_writer *writer)
{
	return writer->details.len >= BLOCK_HEAP_BYTES ||
	       writer->draft.header.row_count >= BLOCK_MAX_ROWS;
}

bool ledger_block_is_empty(const struct block_writer *writer)
{
	return writer->draft.header.row_count == 0;
}

int ledger_block_end(struct block_writer *writer)
{
	block_writer_piece(writer, buf_str(&writer->details));
	return block_writer_end(writer);
}

/* All there is to say is why it has no figures. */
static int settled_ledger(const struct block *block, uint32_t row, struct ledger *out_ledger)
{
	const struct block_span *span = &block->spans[row];
	int64_t pid;

	if (row >= block->header->row_count || !span->none_cause ||
	    span->none_cause > NONE_BEFORE_START ||
	    span->resource >= block->header->resource_count ||
	    span->end_unix_ns < span->start_unix_ns)
		return -EBADMSG;
	pid = span->process_id ? span->process_id : block->resources[span->resource].process_pid;
	*out_ledger = (struct ledger){
		.start_unix_ns = span->start_unix_ns,
		.wall_ns = span->end_unix_ns - span->start_unix_ns,
		.pid = span->none_cause == NONE_NO_TAGS && pid > 0 && pid <= UINT32_MAX
			       ? (uint32_t)pid
			       : 0,
		.revision = LEDGER_BLOCK_FIRST_REVISION,
		.grade = GRADE_NONE,
		.settled = true,
		.is_local_root = hex_is_zero(span->parent_span_id, SPAN_ID_BYTES),
		.none_cause = span->none_cause,
	};
	memcpy(out_ledger->trace_id, span->trace_id, TRACE_ID_BYTES);
	memcpy(out_ledger->span_id, span->span_id, SPAN_ID_BYTES);
	return 0;
}

int ledger_block_ledger(const struct block *block, uint32_t row, struct arena *arena,
			struct ledger *out_ledger)
{
	struct str detail;

	if (block->packed)
		return row < block->header->row_count
			       ? packed_ledger(block->packed, row, out_ledger)
			       : -EBADMSG;
	if (block->spans)
		return settled_ledger(block, row, out_ledger);
	if (row >= block->header->row_count ||
	    !block_text(block, block->ledgers[row].detail, &detail))
		return -EBADMSG;
	return ledger_decode(detail, arena, out_ledger);
}
