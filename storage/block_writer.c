/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/block_writer.h"

#include <errno.h>
#include <string.h>

#include "collector/base/macros.h"

void block_writer_init(struct block_writer *writer, uint64_t seed)
{
	*writer = (struct block_writer){ 0 };
	buf_init(&writer->draft.index, 0);
	summary_set_init(&writer->summaries, seed);
	map_init(&writer->traces, TRACE_ID_BYTES, sizeof(uint32_t), seed);
	buf_init(&writer->pieces, 0);
	buf_init(&writer->details, BLOCK_MAX_HEAP_BYTES);
}

void block_writer_fini(struct block_writer *writer)
{
	buf_fini(&writer->draft.index);
	summary_set_fini(&writer->summaries);
	map_fini(&writer->traces);
	buf_fini(&writer->pieces);
	buf_fini(&writer->details);
}

void block_writer_begin(struct block_writer *writer, enum block_kind kind, uint64_t commit_unix_ns)
{
	struct block_draft *draft = &writer->draft;

	draft->header = (struct block_header){
		.kind = (uint8_t)kind,
		.commit_unix_ns = commit_unix_ns,
		.min_start_unix_ns = UINT64_MAX,
		.min_end_unix_ns = UINT64_MAX,
	};
	buf_clear(&draft->index);
	buf_append(&draft->index, &draft->header, sizeof(draft->header));
	summary_set_clear(&writer->summaries, kind);
	map_clear(&writer->traces);
	writer->last_row = NULL;
	buf_clear(&writer->pieces);
	buf_clear(&writer->details);
}

int block_writer_link(struct block_writer *writer, const uint8_t *trace_id, uint32_t row,
		      uint32_t *out_before)
{
	size_t known = writer->traces.count;

	/* the spans of a trace come one after the other, as a rule */
	if (!writer->last_row || memcmp(writer->last_trace, trace_id, TRACE_ID_BYTES) != 0) {
		writer->last_row = map_put(&writer->traces, trace_id);
		memcpy(writer->last_trace, trace_id, TRACE_ID_BYTES);
	}
	if (!writer->last_row)
		return -ENOMEM;
	*out_before = writer->traces.count > known ? BLOCK_NO_ROW : *writer->last_row;
	*writer->last_row = row;
	return 0;
}

void block_writer_widen(struct block_writer *writer, uint64_t start_unix_ns, uint64_t end_unix_ns)
{
	struct block_header *header = &writer->draft.header;

	header->row_count++;
	header->min_start_unix_ns = MIN(header->min_start_unix_ns, start_unix_ns);
	header->max_start_unix_ns = MAX(header->max_start_unix_ns, start_unix_ns);
	header->min_end_unix_ns = MIN(header->min_end_unix_ns, end_unix_ns);
	header->max_end_unix_ns = MAX(header->max_end_unix_ns, end_unix_ns);
}

int block_writer_put(struct block_writer *writer, const void *row, size_t row_bytes, size_t next_at,
		     uint32_t before)
{
	struct buf *index = &writer->draft.index;
	uint32_t number = (uint32_t)((index->len - sizeof(struct block_header)) / row_bytes);

	buf_append(index, row, row_bytes);
	if (buf_error(index) || before == BLOCK_NO_ROW)
		return buf_error(index);
	memcpy(index->data + sizeof(struct block_header) + before * row_bytes + next_at, &number,
	       sizeof(number));
	return 0;
}

void block_writer_piece(struct block_writer *writer, struct str piece)
{
	buf_append(&writer->pieces, &piece, sizeof(piece));
}

int block_writer_end(struct block_writer *writer)
{
	struct block_draft *draft = &writer->draft;
	const struct buf *bufs[] = { &draft->index, &writer->pieces, &writer->details,
				     &writer->summaries.list };
	int rc = 0;

	draft->header.summary_count =
		(uint32_t)(writer->summaries.list.len / sizeof(struct summary));
	buf_append_str(&draft->index, buf_str(&writer->summaries.list));
	for (size_t i = 0; i < ARRAY_LEN(bufs) && rc == 0; i++)
		rc = buf_error(bufs[i]);
	if (rc == 0)
		rc = buf_error(&writer->pieces);
	if (rc < 0)
		return rc;
	draft->heap = (const void *)writer->pieces.data;
	draft->heap_count = writer->pieces.len / sizeof(*draft->heap);
	block_draft_seal(draft);
	return draft->header.plain_bytes > BLOCK_MAX_HEAP_BYTES ? -EMSGSIZE : 0;
}
