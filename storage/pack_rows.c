/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pack_rows.h"

#include <errno.h>
#include <string.h>

enum time_form { START_FROM_END = 1, END_FROM_END = 2, TIME_FORMS = 3 };
enum parent_form { PARENT_NONE, PARENT_BY_ID, PARENT_ROW };

void pack_rows_index_init(struct pack_rows_index *index, uint64_t seed)
{
	map_init(&index->last_of_trace, TRACE_ID_BYTES, sizeof(uint32_t), seed);
	map_init(&index->row_of_span, SPAN_ID_BYTES, sizeof(uint32_t), seed);
}

void pack_rows_index_fini(struct pack_rows_index *index)
{
	map_fini(&index->last_of_trace);
	map_fini(&index->row_of_span);
}

/* How many rows back the one before of its trace lies; 0: it is the first. */
static int rows_back(struct pack_rows_index *index, const struct pack_rows *rows, uint32_t row,
		     uint32_t *out_back)
{
	const struct block_span *span = &rows->spans[row];
	size_t known = index->last_of_trace.count;
	uint32_t *last = map_put(&index->last_of_trace, span->trace_id);
	uint32_t *place = map_put(&index->row_of_span, span->span_id);

	if (!last || !place)
		return -ENOMEM;
	*out_back = index->last_of_trace.count > known ? 0 : row - *last;
	*last = *place = row;
	return 0;
}

/* Links only lead forward, each to one row. */
static void link_row(struct coder *coder, struct pack_rows *rows, uint32_t row, uint32_t back)
{
	struct block_span *span = &rows->spans[row], *before;

	span->next_of_trace = BLOCK_NO_ROW;
	span->is_first = back == 0;
	if (back > row || (back && rows->spans[row - back].next_of_trace != BLOCK_NO_ROW)) {
		coder_fail(coder);
		return;
	}
	before = &rows->spans[row - back];
	if (back) {
		before->next_of_trace = row;
		memcpy(span->trace_id, before->trace_id, TRACE_ID_BYTES);
		rows->traces[row] = rows->traces[row - back];
	} else {
		back = row != 0;
		rows->firsts[rows->trace_count] = row;
		rows->traces[row] = rows->trace_count++;
	}
	rows->before[row] = row - back;
}

static int code_ids(struct coder *coder, struct pack_rows *rows, uint32_t row,
		    struct pack_rows_index *index)
{
	struct block_span *span = &rows->spans[row];
	uint32_t back = 0;
	int rc = coder->is_reading ? 0 : rows_back(index, rows, row, &back);

	coder_number32(coder, COLUMN_TRACE, &back);
	if (back == 0)
		coder_raw(coder, COLUMN_TRACE_ID, span->trace_id, TRACE_ID_BYTES);
	coder_raw(coder, COLUMN_SPAN_ID, span->span_id, SPAN_ID_BYTES);
	link_row(coder, rows, row, back);
	return rc;
}

/* Of the same trace, or it is none. */
static uint32_t row_of_parent(const struct pack_rows_index *index, const struct pack_rows *rows,
			      const struct block_span *span)
{
	const uint32_t *row = map_get(&index->row_of_span, span->parent_span_id);

	return row && memcmp(rows->spans[*row].trace_id, span->trace_id, TRACE_ID_BYTES) == 0
		       ? *row
		       : BLOCK_NO_ROW;
}

static void code_parent(struct coder *coder, struct pack_rows *rows, uint32_t row,
			const struct pack_rows_index *index)
{
	struct block_span *span = &rows->spans[row];
	uint64_t form = PARENT_NONE;
	uint32_t parent = BLOCK_NO_ROW;

	if (!coder->is_reading && !hex_is_zero(span->parent_span_id, SPAN_ID_BYTES)) {
		parent = row_of_parent(index, rows, span);
		form = parent == BLOCK_NO_ROW
			       ? PARENT_BY_ID
			       : PARENT_ROW + wire_zigzag((int64_t)parent - (int64_t)row);
	}
	coder_number(coder, COLUMN_PARENT, &form);
	if (form == PARENT_BY_ID)
		coder_raw(coder, COLUMN_PARENT_ID, span->parent_span_id, SPAN_ID_BYTES);
	if (form >= PARENT_ROW) {
		uint64_t at = row + (uint64_t)wire_unzigzag(form - PARENT_ROW);

		if (at >= rows->count) {
			coder_fail(coder);
		} else {
			parent = (uint32_t)at;
			memcpy(span->parent_span_id, rows->spans[at].span_id, SPAN_ID_BYTES);
		}
	}
	rows->parents[row] = parent;
}

/* Whichever of the two is nearer. */
static void code_time(struct coder *coder, enum coder_column column, uint8_t *form, uint8_t bit,
		      uint64_t from, uint64_t other, uint64_t *time)
{
	int64_t delta = (int64_t)(*time - from), others = (int64_t)(*time - other);

	if (!coder->is_reading && wire_zigzag(others) < wire_zigzag(delta))
		*form |= bit;
	if (*form & bit) {
		delta = others;
		from = other;
	}
	coder_wide_signed(coder, column, &delta);
	*time = from + (uint64_t)delta;
}

/* Starts and ends, before the choice is known, need both: so the form comes last when written and
 * first when read. */
static void code_times(struct coder *coder, const struct block_span *before,
		       struct block_span *span)
{
	uint8_t form = 0;

	if (coder->is_reading)
		coder_byte(coder, COLUMN_TIME_FORM, &form, TIME_FORMS);
	code_time(coder, COLUMN_START, &form, START_FROM_END, before->start_unix_ns,
		  before->end_unix_ns, &span->start_unix_ns);
	code_time(coder, COLUMN_END, &form, END_FROM_END, span->start_unix_ns, before->end_unix_ns,
		  &span->end_unix_ns);
	if (!coder->is_reading)
		coder_byte(coder, COLUMN_TIME_FORM, &form, TIME_FORMS);
}

/* A column at a time: so each is at hand while it is read. */
static void code_kinds(struct coder *coder, struct block_span *spans, uint32_t count)
{
	for (uint32_t i = 0; i < count && !coder->error; i++)
		coder_number32(coder, COLUMN_OPERATION, &spans[i].operation);
	for (uint32_t i = 0; i < count && !coder->error; i++) {
		coder_byte(coder, COLUMN_KIND, &spans[i].kind, UINT8_MAX);
		coder_byte(coder, COLUMN_KIND, &spans[i].status, UINT8_MAX);
	}
}

void pack_rows_rest_code(struct coder *coder, struct pack_rows *rows,
			 const struct pack_rows_index *index)
{
	struct block_span *spans = rows->spans;
	uint32_t count = rows->count;

	for (uint32_t i = 0; i < count && !coder->error; i++)
		code_parent(coder, rows, i, index);
	for (uint32_t i = 0; i < count && !coder->error; i++)
		coder_number32(coder, COLUMN_FLAGS, &spans[i].flags);
	for (uint32_t i = 0; i < count && !coder->error; i++) {
		coder_number32(coder, COLUMN_OWNER, &spans[i].resource);
		coder_number32(coder, COLUMN_OWNER, &spans[i].scope);
	}
	for (uint32_t i = 0; i < count && !coder->error; i++) {
		coder_signed(coder, COLUMN_THREAD, &spans[i].thread_id);
		coder_signed(coder, COLUMN_THREAD, &spans[i].process_id);
	}
}

int pack_rows_code(struct coder *coder, struct pack_rows *rows, struct pack_rows_index *index)
{
	static const struct block_span nothing;
	int rc = 0;

	rows->trace_count = 0;
	if (!coder->is_reading) {
		map_clear(&index->last_of_trace);
		map_clear(&index->row_of_span);
	}
	for (uint32_t i = 0; i < rows->count && rc == 0 && !coder->error; i++)
		rc = code_ids(coder, rows, i, index);
	for (uint32_t i = 0; i < rows->count && rc == 0 && !coder->error; i++)
		code_times(coder, i ? &rows->spans[rows->before[i]] : &nothing, &rows->spans[i]);
	if (rc == 0)
		code_kinds(coder, rows->spans, rows->count);
	return rc;
}
