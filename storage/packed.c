/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/packed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/breath.h"
#include "collector/base/macros.h"
#include "storage/pack_figures.h"
#include "storage/pack_message.h"
#include "storage/packed_figures.h"
#include "storage/summary.h"

/* Where a span's message is. */
struct packed_text {
	struct pack_message message;
	uint32_t kept_at; /* in the column TEXT */
	uint32_t at;      /* in the heap */
	bool is_there;
};

static uint32_t *numbers(struct packed *packed, size_t count)
{
	return arena_alloc(&packed->arena, (count + 1) * sizeof(uint32_t));
}

static int alloc_rows(struct packed *packed, uint32_t count)
{
	struct pack_rows *rows = &packed->rows;

	/* Each row takes some bytes: so a count cannot ask for more memory than there may be. */
	if (coder_bytes_of(&packed->coder, COLUMN_SPAN_ID) != (uint64_t)count * SPAN_ID_BYTES)
		return -EBADMSG;
	*rows = (struct pack_rows){
		.spans = arena_alloc(&packed->arena, count * sizeof(*rows->spans)),
		.count = count,
		.traces = numbers(packed, count),
		.parents = numbers(packed, count),
		.before = numbers(packed, count),
		.firsts = numbers(packed, count),
		.places = numbers(packed, count),
	};
	return rows->spans && rows->traces && rows->parents && rows->before && rows->firsts &&
			       rows->places
		       ? 0
		       : -ENOMEM;
}

static int read_rows(struct packed *packed, uint32_t count)
{
	struct pack_rows_index none = { 0 };
	int rc = coder_unpack(&packed->coder, COLUMN_TRACE, COLUMN_SPAN_ID);

	if (rc == 0)
		rc = coder_unpack(&packed->coder, COLUMN_TIME_FORM, COLUMN_KIND);
	if (rc == 0)
		rc = alloc_rows(packed, count);
	if (rc == 0)
		rc = pack_rows_code(&packed->coder, &packed->rows, &none);
	coder_forget(&packed->coder, COLUMN_TRACE, COLUMN_KIND);
	return rc < 0 ? rc : packed->coder.error;
}

static int read_rest_of_rows(struct packed *packed)
{
	struct pack_rows_index none = { 0 };
	int rc = coder_unpack(&packed->coder, COLUMN_PARENT, COLUMN_PARENT_ID);

	if (rc == 0)
		rc = coder_unpack(&packed->coder, COLUMN_FLAGS, COLUMN_THREAD);
	if (rc == 0)
		pack_rows_rest_code(&packed->coder, &packed->rows, &none);
	coder_forget(&packed->coder, COLUMN_PARENT, COLUMN_PARENT_ID);
	coder_forget(&packed->coder, COLUMN_FLAGS, COLUMN_THREAD);
	return rc < 0 ? rc : packed->coder.error;
}

uint32_t packed_first_of_trace(const struct packed *packed, const uint8_t *trace_id)
{
	const struct pack_rows *rows = &packed->rows;

	for (uint32_t i = 0; i < rows->trace_count; i++) {
		if (memcmp(rows->spans[rows->firsts[i]].trace_id, trace_id, TRACE_ID_BYTES) == 0)
			return rows->firsts[i];
	}
	return BLOCK_NO_ROW;
}

bool packed_ledger_of(const struct packed *packed, uint32_t row, uint16_t *out_revision,
		      uint8_t *out_grade)
{
	bool is_revised;

	if (!packed->has_ledgers ||
	    !pack_figures_grade((uint8_t)packed->coder.columns[COLUMN_GRADE].start[row], out_grade,
				&is_revised))
		return false;
	*out_revision = is_revised && packed->revisions ? packed->revisions[row] : 1;
	return *out_revision != 0;
}

static bool all_have_ledgers(const struct packed *packed)
{
	uint16_t revision;
	uint8_t grade;

	for (uint32_t row = 0; row < packed->rows.count; row++) {
		if (!packed_ledger_of(packed, row, &revision, &grade))
			return false;
	}
	return true;
}

bool packed_has_all_ledgers(struct str columns, uint32_t row_count)
{
	struct coder coder;
	bool has_all = coder_open(&coder, columns) == 0 &&
		       coder_bytes_of(&coder, COLUMN_GRADE) == row_count &&
		       coder_unpack(&coder, COLUMN_GRADE, COLUMN_GRADE) == 0;

	has_all = has_all && !memchr(coder.columns[COLUMN_GRADE].start, 0, row_count);
	coder_fini(&coder);
	return has_all;
}

int packed_open(struct str value, struct packed **out_packed)
{
	struct packed *packed = calloc(1, sizeof(*packed));
	int rc;

	if (!packed)
		return -ENOMEM;
	arena_init(&packed->arena, 0);
	arena_init(&packed->trace_arena, 0);
	pack_words_init(&packed->words, 0);
	pack_lists_init(&packed->lists, 0);
	memcpy(&packed->header, value.data, sizeof(packed->header));
	rc = coder_open(&packed->coder, (struct str){ value.data + sizeof(packed->header),
						      value.len - sizeof(packed->header) });
	if (rc == 0)
		rc = read_rows(packed, packed->header.row_count);
	if (rc == 0)
		rc = packed_figures_open(packed);
	if (rc == 0 && packed->header.kind == BLOCK_LEDGERS && !all_have_ledgers(packed))
		rc = -EBADMSG;
	if (rc < 0) {
		packed_close(packed);
		return rc;
	}
	*out_packed = packed;
	return 0;
}

void packed_close(struct packed *packed)
{
	if (!packed)
		return;
	coder_fini(&packed->coder);
	pack_words_fini(&packed->words);
	pack_lists_fini(&packed->lists);
	buf_fini(&packed->heap);
	free(packed->texts);
	free(packed->members);
	arena_fini(&packed->trace_arena);
	arena_fini(&packed->arena);
	free(packed);
}

/* Lays the messages out behind the strings. */
static int read_texts(struct packed *packed)
{
	struct coder *coder = &packed->coder;
	uint64_t kept_at = 0, at = packed->words.bytes;

	packed->texts = calloc(packed->rows.count, sizeof(*packed->texts));
	if (!packed->texts)
		return -ENOMEM;
	for (uint32_t row = 0; row < packed->rows.count && !coder->error; row++) {
		struct packed_text *text = &packed->texts[row];

		pack_message_code(&text->message, coder);
		text->kept_at = (uint32_t)kept_at;
		text->at = (uint32_t)at;
		kept_at += text->message.kept_len;
		at += text->message.len;
		if (kept_at > coder_bytes_of(coder, COLUMN_TEXT) || at > packed->header.plain_bytes)
			coder_fail(coder);
	}
	if (coder->error || at != packed->header.plain_bytes)
		return coder->error ? coder->error : -EBADMSG;
	if (!buf_reserve(&packed->heap, (size_t)at + 1))
		return -ENOMEM;
	if (packed->words.bytes)
		memcpy(packed->heap.data, coder->columns[COLUMN_STRING].start,
		       (size_t)packed->words.bytes);
	packed->heap.len = (size_t)at;
	return 0;
}

static int read_spans(struct packed *packed)
{
	struct coder *coder = &packed->coder;

	pack_words_code(&packed->words, coder);
	if (packed->words.resource_count != packed->header.resource_count ||
	    packed->words.scope_count != packed->header.scope_count)
		coder_fail(coder);
	return coder->error ? coder->error : read_texts(packed);
}

/* Where every so many traces begin in the columns of details, counted from the place before. */
static int read_places(struct packed *packed)
{
	struct coder *coder = &packed->coder;
	size_t count = (packed->rows.trace_count + PACK_DETAIL_EVERY - 1) / PACK_DETAIL_EVERY;
	uint32_t *places = numbers(packed, count * PACK_DETAIL_COLUMNS);

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < count * PACK_DETAIL_COLUMNS; i++) {
		uint32_t step = 0;

		coder_number32(coder, COLUMN_DETAIL_AT, &step);
		places[i] = step + (i < PACK_DETAIL_COLUMNS ? 0 : places[i - PACK_DETAIL_COLUMNS]);
	}
	packed->detail_places = places;
	return coder->error;
}

/* Messages come when one is wanted. */
static int unpack_for_load(struct packed *packed)
{
	struct coder *coder = &packed->coder;
	int rc = coder_unpack(coder, COLUMN_TEXT_FORM, COLUMN_TABLE);

	if (rc == 0)
		rc = coder_unpack(coder, COLUMN_DETAIL_AT, COLUMN_DETAIL_NS_BITS);
	if (rc == 0 && !(packed->omit & STORE_OMIT_STACKS))
		rc = coder_unpack(coder, PACK_STACKS_FIRST, PACK_STACKS_LAST);
	return rc < 0 ? rc : coder_unpack(coder, COLUMN_SLICE, COLUMN_LIST_ID);
}

int packed_load(struct packed *packed, struct str stack_ids, unsigned omit)
{
	int rc;

	if (packed->is_loaded)
		return 0;
	packed->omit = omit;
	rc = read_rest_of_rows(packed);
	if (rc == 0)
		rc = packed_figures_unpack(packed);
	if (rc == 0)
		rc = unpack_for_load(packed);
	if (rc == 0 && packed->header.kind == BLOCK_SPANS)
		rc = read_spans(packed);
	packed->lists.stack_ids = stack_ids;
	if (rc == 0 && packed->has_ledgers) {
		pack_lists_code(&packed->lists, &packed->coder);
		rc = read_places(packed);
	}
	packed->is_loaded = rc == 0;
	return rc;
}

static int restore_message(struct packed *packed, const struct packed_text *text,
			   struct block_span *span)
{
	struct coder *coder = &packed->coder;
	int rc = packed->has_messages ? 0 : coder_unpack(coder, COLUMN_TEXT, COLUMN_TEXT);

	packed->has_messages = rc == 0;
	if (rc < 0)
		return rc;
	if (!pack_message_restore(&text->message, span,
				  coder->columns[COLUMN_TEXT].start + text->kept_at,
				  packed->heap.data + text->at, &span->name))
		return -EBADMSG;
	span->name.offset += text->at;
	span->bytes = (struct block_slice){ text->at, text->message.len };
	return 0;
}

int packed_span(struct packed *packed, uint32_t row)
{
	struct block_span *span = &packed->rows.spans[row];
	struct packed_text *text = &packed->texts[row];
	struct coder *coder = &packed->coder;
	int rc = text->is_there ? 0 : restore_message(packed, text, span);

	if (rc < 0 || text->is_there)
		return rc;
	if (!(text->message.form & PACK_MESSAGE_HAS_NAME))
		span->name = pack_words_slice(&packed->words, coder, text->message.name);
	span->peer = pack_words_slice(&packed->words, coder, text->message.peer);
	text->is_there = coder->error == 0;
	return coder->error;
}

/* The rows of a trace, with their figures. */
static int gather(struct packed *packed, uint32_t trace)
{
	struct pack_member *members;
	uint32_t count = 0;

	for (uint32_t row = packed->rows.firsts[trace]; row != BLOCK_NO_ROW;
	     row = packed->rows.spans[row].next_of_trace)
		count++;
	members = realloc(packed->members, count * sizeof(*members));
	if (!members)
		return -ENOMEM;
	packed->members = members;
	packed->member_count = count;
	for (uint32_t row = packed->rows.firsts[trace], i = 0; i < count; i++) {
		members[i] = (struct pack_member){ .span = &packed->rows.spans[row], .row = row };
		packed_figures_read(packed, &members[i]);
		row = packed->rows.spans[row].next_of_trace;
	}
	return packed->coder.error;
}

static int read_trace(struct packed *packed, uint32_t trace)
{
	struct pack_trace members = { .lists = &packed->lists,
				      .rows = &packed->rows,
				      .omit = packed->omit,
				      .arena = &packed->trace_arena };
	int rc = gather(packed, trace);

	breath_take();
	if (rc < 0)
		return rc;
	arena_clear(&packed->trace_arena);
	members.members = packed->members;
	members.count = packed->member_count;
	pack_trace_order(&members, &packed->rows);
	pack_trace_code(&members, &packed->coder);
	return packed->coder.error;
}

/* But what is left out: that was not unpacked. */
static void seek_details(struct packed *packed, uint32_t place)
{
	const uint32_t *places = packed->detail_places + (size_t)place * PACK_DETAIL_COLUMNS;

	for (unsigned i = 0; i < PACK_DETAIL_COLUMNS; i++) {
		enum coder_column column = PACK_DETAIL_FIRST + i;

		if (!(packed->omit & STORE_OMIT_STACKS) || column < PACK_STACKS_FIRST ||
		    column > PACK_STACKS_LAST)
			coder_seek(&packed->coder, column, 1, &places[i]);
	}
}

/* The traces between the last place and this one are read, too, but not kept. */
static int turn_to_trace(struct packed *packed, uint32_t trace)
{
	uint32_t place = trace / PACK_DETAIL_EVERY, at = place * PACK_DETAIL_EVERY;
	int rc = 0;

	if (packed->trace == trace + 1)
		return 0;
	packed->trace = 0;
	seek_details(packed, place);
	for (; at <= trace && rc == 0; at++)
		rc = read_trace(packed, at);
	packed->trace = rc == 0 ? trace + 1 : 0;
	return rc;
}

int packed_ledger(struct packed *packed, uint32_t row, struct ledger *out_ledger)
{
	const struct pack_member *member;
	int rc;

	if (!packed->has_ledgers)
		return -EBADMSG;
	rc = turn_to_trace(packed, packed->rows.traces[row]);
	if (rc < 0)
		return rc;
	member = &packed->members[packed->rows.places[row]];
	*out_ledger = member->ledger;
	return member->has_ledger ? 0 : -EBADMSG;
}
