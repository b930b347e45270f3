/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/packer.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/breath.h"
#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/pack_figures.h"
#include "storage/pack_message.h"

#define ROW_ARRAYS 5 /* of pack_rows */

int packer_init(struct packer *packer, uint64_t seed)
{
	*packer = (struct packer){ .seed = seed };
	pack_rows_index_init(&packer->index, seed);
	pack_words_init(&packer->words, seed);
	pack_lists_init(&packer->lists, seed);
	stack_numbers_init(&packer->stacks, seed);
	packer->lists.stack_numbers = &packer->stacks;
	summary_set_init(&packer->summaries, seed);
	arena_init(&packer->arena, 0);
	return coder_packers_init(&packer->compressors);
}

void packer_fini(struct packer *packer)
{
	struct buf *const bufs[] = { &packer->rows,    &packer->handles, &packer->messages,
				     &packer->numbers, &packer->heads,   &packer->members,
				     &packer->block };

	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		buf_fini(bufs[i]);
	coder_packers_fini(&packer->compressors);
	coder_fini(&packer->coder);
	pack_rows_index_fini(&packer->index);
	pack_words_fini(&packer->words);
	pack_lists_fini(&packer->lists);
	stack_numbers_fini(&packer->stacks);
	summary_set_fini(&packer->summaries);
	arena_fini(&packer->arena);
	*packer = (struct packer){ .seed = 0 };
}

void packer_begin(struct packer *packer, enum block_kind kind)
{
	packer->header = (struct block_header){
		.magic = BLOCK_MAGIC,
		.version = BLOCK_VERSION,
		.kind = (uint8_t)kind,
		.encoding = BLOCK_PACKED,
		.min_start_unix_ns = UINT64_MAX,
		.min_end_unix_ns = UINT64_MAX,
	};
	coder_clear(&packer->coder);
	pack_words_clear(&packer->words);
	pack_lists_clear(&packer->lists);
	buf_clear(&packer->rows);
	buf_clear(&packer->handles);
	buf_clear(&packer->messages);
	summary_set_clear(&packer->summaries, kind);
}

static int add_row(struct packer *packer, const struct block_span *row, uint64_t handle)
{
	struct block_header *header = &packer->header;

	header->row_count++;
	header->min_start_unix_ns = MIN(header->min_start_unix_ns, row->start_unix_ns);
	header->max_start_unix_ns = MAX(header->max_start_unix_ns, row->start_unix_ns);
	header->min_end_unix_ns = MIN(header->min_end_unix_ns, row->end_unix_ns);
	header->max_end_unix_ns = MAX(header->max_end_unix_ns, row->end_unix_ns);
	buf_append(&packer->rows, row, sizeof(*row));
	buf_append(&packer->handles, &handle, sizeof(handle));
	if (packer->coder.error)
		return packer->coder.error;
	return buf_error(&packer->rows) ? buf_error(&packer->rows) : buf_error(&packer->handles);
}

int packer_span(struct packer *packer, const struct block_span *row, const struct span *span,
		const struct span_resource *resource, const struct span_scope *scope,
		uint64_t handle)
{
	struct coder *coder = &packer->coder;
	struct block_span copy = *row;
	struct pack_message message = pack_message_keep(coder, row, span->bytes, span->name);

	if (!(message.form & PACK_MESSAGE_HAS_NAME))
		message.name = pack_words_add(&packer->words, coder, span->name);
	message.peer = pack_words_add(&packer->words, coder, span->peer);
	copy.resource = pack_words_resource(&packer->words, coder, resource);
	copy.scope = pack_words_scope(&packer->words, coder, scope);
	packer->header.plain_bytes += span->bytes.len;
	buf_append(&packer->messages, &message, sizeof(message));
	return buf_error(&packer->messages) ? buf_error(&packer->messages)
					    : add_row(packer, &copy, handle);
}

int packer_ledger(struct packer *packer, const struct block_ledger *row, uint64_t handle)
{
	struct block_span span = {
		.start_unix_ns = row->start_unix_ns,
		.end_unix_ns = row->start_unix_ns + row->wall_ns,
		.operation = row->operation,
		.kind = row->kind,
		.status = row->status,
	};

	memcpy(span.trace_id, row->trace_id, TRACE_ID_BYTES);
	memcpy(span.span_id, row->span_id, SPAN_ID_BYTES);
	return add_row(packer, &span, handle);
}

uint32_t packer_rows(const struct packer *packer)
{
	return packer->header.row_count;
}

/* Arrays for `count` rows; NULL: out of memory. */
static uint32_t *row_numbers(struct packer *packer, uint32_t count)
{
	buf_clear(&packer->numbers);
	return (void *)buf_reserve(&packer->numbers,
				   ROW_ARRAYS * ((size_t)count + 1) * sizeof(uint32_t));
}

static int code_rows(struct packer *packer, struct pack_rows *out_rows)
{
	uint32_t count = packer->header.row_count, *numbers = row_numbers(packer, count);
	int rc;

	if (!numbers)
		return -ENOMEM;
	*out_rows = (struct pack_rows){
		.spans = (void *)packer->rows.data,
		.count = count,
		.traces = numbers,
		.parents = numbers + count,
		.before = numbers + 2 * (size_t)count,
		.firsts = numbers + 3 * (size_t)count,
		.places = numbers + 4 * (size_t)count,
	};
	rc = pack_rows_code(&packer->coder, out_rows, &packer->index);
	if (rc == 0)
		pack_rows_rest_code(&packer->coder, out_rows, &packer->index);
	return rc < 0 ? rc : packer->coder.error;
}

static void code_messages(struct packer *packer)
{
	struct pack_message *messages = (void *)packer->messages.data;

	for (size_t i = 0; i < packer->messages.len / sizeof(*messages); i++)
		pack_message_code(&messages[i], &packer->coder);
	pack_words_code(&packer->words, &packer->coder);
	packer->header.plain_bytes += packer->words.bytes;
	packer->header.resource_count = packer->words.resource_count;
	packer->header.scope_count = packer->words.scope_count;
}

struct fetch {
	packer_fetch *get;
	void *arg;
};

static bool is_of(const struct ledger *ledger, const struct block_span *span)
{
	return memcmp(ledger->span_id, span->span_id, SPAN_ID_BYTES) == 0 &&
	       memcmp(ledger->trace_id, span->trace_id, TRACE_ID_BYTES) == 0;
}

/* The members of a trace with their ledgers, whose figures stay in `heads`. */
static int fetch_trace(struct packer *packer, const struct pack_rows *rows, uint32_t trace,
		       const struct fetch *fetch, struct pack_trace *out_trace)
{
	const uint64_t *handles = (const void *)packer->handles.data;
	struct ledger *heads = (void *)packer->heads.data;
	int rc = 0;

	breath_take();
	arena_clear(&packer->arena);
	buf_clear(&packer->members);
	for (uint32_t row = rows->firsts[trace]; row != BLOCK_NO_ROW && rc == 0;
	     row = rows->spans[row].next_of_trace) {
		struct pack_member member = { .span = &rows->spans[row], .row = row };

		member.has_ledger = handles[row] != 0;
		if (member.has_ledger)
			rc = fetch->get(handles[row], &packer->arena, &member.ledger, fetch->arg);
		if (rc == 0 && member.has_ledger && !is_of(&member.ledger, member.span))
			rc = -EBADMSG;
		heads[row] = member.ledger;
		buf_append(&packer->members, &member, sizeof(member));
	}
	*out_trace = (struct pack_trace){
		.members = (void *)packer->members.data,
		.count = (uint32_t)(packer->members.len / sizeof(struct pack_member)),
		.lists = &packer->lists,
		.rows = rows,
		.index = &packer->index,
		.arena = &packer->arena,
	};
	return rc < 0 ? rc : buf_error(&packer->members);
}

static void note_place(struct packer *packer, uint32_t before[PACK_DETAIL_COLUMNS])
{
	uint32_t places[PACK_DETAIL_COLUMNS];

	coder_tell(&packer->coder, PACK_DETAIL_FIRST, PACK_DETAIL_COLUMNS, places);
	for (size_t i = 0; i < PACK_DETAIL_COLUMNS; i++) {
		uint32_t step = places[i] - before[i];

		coder_number32(&packer->coder, COLUMN_DETAIL_AT, &step);
		before[i] = places[i];
	}
}

static int code_traces(struct packer *packer, struct pack_rows *rows, const struct fetch *fetch)
{
	uint32_t before[PACK_DETAIL_COLUMNS] = { 0 };
	int rc = 0;

	for (uint32_t i = 0; i < rows->trace_count && rc == 0; i++) {
		struct pack_trace trace;

		if (i % PACK_DETAIL_EVERY == 0)
			note_place(packer, before);
		rc = fetch_trace(packer, rows, i, fetch, &trace);
		if (rc < 0)
			break;
		pack_trace_order(&trace, rows);
		pack_trace_code(&trace, &packer->coder);
		rc = packer->coder.error;
	}
	pack_lists_code(&packer->lists, &packer->coder);
	return rc < 0 ? rc : packer->coder.error;
}

static int code_figures(struct packer *packer, const struct pack_rows *rows)
{
	const uint64_t *handles = (const void *)packer->handles.data;
	struct ledger *heads = (void *)packer->heads.data;
	struct pack_figures figures = { 0 };
	int rc = 0;

	for (uint32_t row = 0; row < rows->count && rc == 0; row++) {
		bool has_ledger = handles[row] != 0;

		pack_figures_code(&figures, &packer->coder, &rows->spans[row], &heads[row],
				  &has_ledger);
		rc = packer->coder.error;
	}
	return rc;
}

static bool has_ledgers(const struct packer *packer)
{
	const uint64_t *handles = (const void *)packer->handles.data;

	for (uint32_t row = 0; row < packer->header.row_count; row++) {
		if (handles[row])
			return true;
	}
	return false;
}

static int code_ledgers(struct packer *packer, struct pack_rows *rows, const struct fetch *fetch)
{
	int rc;

	buf_clear(&packer->heads);
	if (!has_ledgers(packer))
		return 0;
	if (!buf_reserve(&packer->heads, rows->count * sizeof(struct ledger)))
		return -ENOMEM;
	rc = code_traces(packer, rows, fetch);
	return rc < 0 ? rc : code_figures(packer, rows);
}

static int summarize(struct packer *packer, const struct pack_rows *rows)
{
	const uint64_t *handles = (const void *)packer->handles.data;
	const struct ledger *heads = (const void *)packer->heads.data;
	int rc = 0;

	for (uint32_t row = 0; row < rows->count && rc == 0; row++) {
		struct block_ledger ledger;

		if (handles[row])
			ledger = ledger_block_row(&heads[row]);
		rc = summary_set_packed(&packer->summaries, &rows->spans[row],
					handles[row] ? &ledger : NULL);
	}
	return rc;
}

int packer_end(struct packer *packer, uint64_t commit_unix_ns, packer_fetch *get, void *arg)
{
	struct fetch fetch = { get, arg };
	struct pack_rows rows;
	int rc;

	packer->header.commit_unix_ns = commit_unix_ns;
	if (packer->header.kind == BLOCK_SPANS)
		code_messages(packer);
	rc = code_rows(packer, &rows);
	if (rc == 0)
		rc = code_ledgers(packer, &rows, &fetch);
	if (rc == 0)
		rc = summarize(packer, &rows);
	if (rc < 0)
		return rc;
	buf_clear(&packer->block);
	buf_append(&packer->block, &packer->header, sizeof(packer->header));
	rc = coder_seal(&packer->coder, &packer->compressors, &packer->block);
	if (rc == 0)
		block_seal_packed(&packer->block);
	return rc;
}
