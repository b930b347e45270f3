/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pack_ledger.h"

#include <errno.h>
#include <string.h>

enum tag_form { TAG_ZERO, TAG_ROW, TAG_OWN_TRACE, TAG_LISTED, TAG_FORMS = TAG_LISTED };

#define MAX_LIST 64 /* none of the lists is longer */

_Static_assert(LEDGER_MAX_WAITS <= MAX_LIST && LEDGER_MAX_STACKS <= MAX_LIST, "a byte names one");

void pack_ledger_guess(struct pack_ledger *at, const uint64_t *guesses, uint8_t count,
		       uint64_t *value)
{
	coder_guess(at->coder, COLUMN_DETAIL, COLUMN_DETAIL_NS, guesses, count, value);
}

void *pack_ledger_list(struct pack_ledger *at, enum coder_column column, void *list,
		       uint16_t *count, uint8_t max, size_t size)
{
	uint8_t number = (uint8_t)*count;

	coder_byte(at->coder, column, &number, max);
	*count = number;
	if (at->coder->is_reading && number) {
		list = arena_alloc(at->trace->arena, number * size);
		if (!list) {
			at->coder->error = -ENOMEM;
			*count = 0;
		}
	}
	return list;
}

int pack_ledger_match(struct pack_ledger *at, enum coder_column column, int found, int count,
		      int *before)
{
	uint8_t choice = 0;

	if (found > *before)
		choice = (uint8_t)(found - *before);
	else if (found >= 0)
		choice = (uint8_t)(MAX_LIST + 1 + found);
	coder_byte(at->coder, column, &choice, 2 * MAX_LIST);
	if (choice == 0)
		return -1;
	found = choice <= MAX_LIST ? *before + choice : choice - MAX_LIST - 1;
	if (found >= count) {
		coder_fail(at->coder);
		return -1;
	}
	*before = found;
	return found;
}

/* Writing: the row of this span in the block. */
static bool find_row(const struct pack_ledger *at, const struct event_tag *tag, uint32_t *out_row)
{
	const uint32_t *row = map_get(&at->trace->index->row_of_span, tag->span_id);

	if (!row || memcmp(at->trace->rows->spans[*row].trace_id, tag->trace_id, TRACE_ID_BYTES))
		return false;
	*out_row = *row;
	return true;
}

static enum tag_form form_of(const struct pack_ledger *at, const struct event_tag *tag,
			     uint32_t *out_row)
{
	if (hex_is_zero(tag->trace_id, TRACE_ID_BYTES) && hex_is_zero(tag->span_id, SPAN_ID_BYTES))
		return TAG_ZERO;
	if (find_row(at, tag, out_row))
		return TAG_ROW;
	return memcmp(tag->trace_id, at->ledger->trace_id, TRACE_ID_BYTES) == 0 ? TAG_OWN_TRACE
										: TAG_LISTED;
}

/* Whoever ends a wait is mostly a span nearby, in this trace or in another. */
static void code_row_tag(struct pack_ledger *at, uint32_t row, struct event_tag *tag)
{
	const struct pack_rows *rows = at->trace->rows;
	uint64_t step = wire_zigzag((int64_t)row - (int64_t)at->member->row);

	coder_number(at->coder, COLUMN_WAKER_ROW, &step);
	step = at->member->row + (uint64_t)wire_unzigzag(step);
	if (step >= rows->count) {
		coder_fail(at->coder);
		return;
	}
	memcpy(tag->trace_id, rows->spans[step].trace_id, TRACE_ID_BYTES);
	memcpy(tag->span_id, rows->spans[step].span_id, SPAN_ID_BYTES);
}

void pack_ledger_tag(struct pack_ledger *at, struct event_tag *tag)
{
	uint32_t row = 0;
	uint8_t form = at->coder->is_reading ? TAG_ZERO : (uint8_t)form_of(at, tag, &row);

	coder_byte(at->coder, COLUMN_DETAIL, &form, TAG_FORMS);
	if (form == TAG_ROW) {
		code_row_tag(at, row, tag);
	} else if (form == TAG_LISTED) {
		pack_list_code(&at->trace->lists->tags, at->coder, COLUMN_DETAIL_TEXT, tag);
	} else if (form == TAG_OWN_TRACE) {
		memcpy(tag->trace_id, at->ledger->trace_id, TRACE_ID_BYTES);
		coder_raw(at->coder, COLUMN_DETAIL_ID, tag->span_id, SPAN_ID_BYTES);
	}
}
