/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/span_block.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "storage/packed.h"

/* Where the batch being encoded lies in the heap and in the tables. */
struct place {
	struct str body;
	uint64_t body_offset;
	uint64_t extra_offset; /* of writer->details, behind all bodies */
	uint32_t resource, scope;
};

/* Strings are slices of the body as a rule; the others are copied behind the bodies. */
static struct block_slice slice_of(struct block_writer *writer, const struct place *place,
				   struct str text)
{
	uintptr_t at = (uintptr_t)text.data, body = (uintptr_t)place->body.data;
	uint64_t offset;

	if (text.len == 0)
		return (struct block_slice){ 0 };
	if (at >= body && at - body < place->body.len &&
	    text.len <= place->body.len - (at - body)) {
		offset = place->body_offset + (at - body);
	} else {
		offset = place->extra_offset + writer->details.len;
		buf_append_str(&writer->details, text);
	}
	return (struct block_slice){ (uint32_t)offset, (uint32_t)text.len };
}

static struct str service_of(const struct span_resource *resource)
{
	return resource->service_name.len ? resource->service_name : SPAN_BLOCK_NO_SERVICE;
}

static void fill_row(struct block_writer *writer, const struct place *place,
		     const struct span *span, struct block_span *row)
{
	*row = (struct block_span){
		.start_unix_ns = span->start_unix_ns,
		.end_unix_ns = span->end_unix_ns,
		.thread_id = span->thread_id,
		.process_id = span->process_id,
		.name = slice_of(writer, place, span->name),
		.bytes = slice_of(writer, place, span->bytes),
		.peer = slice_of(writer, place, span->peer),
		.resource = place->resource + span->resource,
		.scope = place->scope + span->scope,
		.flags = span->flags,
		.next_of_trace = BLOCK_NO_ROW,
		.kind = span->kind,
		.status = span->status,
	};
	memcpy(row->trace_id, span->trace_id, TRACE_ID_BYTES);
	memcpy(row->span_id, span->span_id, SPAN_ID_BYTES);
	memcpy(row->parent_span_id, span->parent_span_id, SPAN_ID_BYTES);
}

static int put_row(struct block_writer *writer, struct block_span *row)
{
	uint32_t number = writer->draft.header.row_count, before;
	int rc = block_writer_link(writer, row->trace_id, number, &before);

	if (rc == 0)
		rc = summary_set_span(&writer->summaries, row);
	if (rc < 0)
		return rc;
	row->is_first = before == BLOCK_NO_ROW;
	block_writer_widen(writer, row->start_unix_ns, row->end_unix_ns);
	return block_writer_put(writer, row, sizeof(*row),
				offsetof(struct block_span, next_of_trace), before);
}

/* The numbers of the names that came last: a few names make most of the spans of a batch. */
struct memo {
	struct str name;
	uint32_t id;
	uint8_t kind;
};

#define MEMO_BITS 5

struct names {
	const struct operations_book *book;
	struct operations_hash service;
	struct memo memos[1 << MEMO_BITS];
};

static struct memo *memo_of(struct names *names, struct str name, uint8_t kind)
{
	return &names->memos[(str_glance(name) >> (64 - MEMO_BITS)) ^ (kind & 7)];
}

static void turn_to(struct names *names, struct str service)
{
	names->service = operations_service(names->book->operations, service);
	memset(names->memos, 0, sizeof(names->memos));
}

static int find_operation(struct names *names, struct str service, const struct span *span,
			  uint32_t *out_id)
{
	struct memo *memo = memo_of(names, span->name, span->kind);
	struct operations_record record = { service, span->name, span->kind, 0 };
	int rc;

	if (memo->name.data && memo->kind == span->kind && str_eq(memo->name, span->name)) {
		*out_id = memo->id;
		return 0;
	}
	rc = operations_id(names->book, &names->service, &record, out_id);
	if (rc == 0)
		*memo = (struct memo){ span->name, *out_id, span->kind };
	return rc;
}

static int put_rows(struct block_writer *writer, const struct place *place,
		    const struct span_block_part *part, const struct operations_book *book)
{
	const struct span_batch *batch = part->batch;
	struct names names = { .book = book };
	uint32_t resource = UINT32_MAX;
	struct str service = { 0 };
	int rc = 0;

	for (uint32_t i = 0; i < batch->span_count && rc == 0; i++) {
		const struct span *span = &batch->spans[i];
		struct block_span row;

		if (span->resource != resource) { /* spans of one resource stand together */
			resource = span->resource;
			service = service_of(&batch->resources[resource]);
			turn_to(&names, service);
		}
		fill_row(writer, place, span, &row);
		row.none_cause = part->none_causes ? part->none_causes[span->resource] : 0;
		rc = find_operation(&names, service, span, &row.operation);
		if (rc == 0)
			rc = put_row(writer, &row);
	}
	return rc;
}

static void put_resources(struct block_writer *writer, const struct place *place,
			  const struct span_batch *batch)
{
	for (uint32_t i = 0; i < batch->resource_count; i++) {
		const struct span_resource *from = &batch->resources[i];
		struct block_resource row = {
			.bytes = slice_of(writer, place, from->bytes),
			.schema_url = slice_of(writer, place, from->schema_url),
			.service_name = slice_of(writer, place, from->service_name),
			.service_instance_id = slice_of(writer, place, from->service_instance_id),
			.runtime_id = slice_of(writer, place, from->runtime_id),
			.container_id = slice_of(writer, place, from->container_id),
			.host_name = slice_of(writer, place, from->host_name),
			.process_pid = from->process_pid,
		};

		buf_append(&writer->draft.index, &row, sizeof(row));
	}
	writer->draft.header.resource_count += batch->resource_count;
}

static void put_scopes(struct block_writer *writer, const struct place *place,
		       const struct span_batch *batch)
{
	for (uint32_t i = 0; i < batch->scope_count; i++) {
		struct block_scope row = {
			.bytes = slice_of(writer, place, batch->scopes[i].bytes),
			.schema_url = slice_of(writer, place, batch->scopes[i].schema_url),
		};

		buf_append(&writer->draft.index, &row, sizeof(row));
	}
	writer->draft.header.scope_count += batch->scope_count;
}

static void next_place(struct place *place, const struct span_batch *batch)
{
	place->body_offset += batch->body.len;
	place->resource += batch->resource_count;
	place->scope += batch->scope_count;
}

enum section { SECTION_ROWS, SECTION_RESOURCES, SECTION_SCOPES, SECTIONS };

static int put_section(struct block_writer *writer, const struct span_block_part *parts,
		       size_t count, uint64_t extra_offset, enum section section,
		       const struct operations_book *names)
{
	struct place place = { .extra_offset = extra_offset };
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; next_place(&place, parts[i++].batch)) {
		place.body = parts[i].batch->body;
		if (section == SECTION_ROWS)
			rc = put_rows(writer, &place, &parts[i], names);
		else if (section == SECTION_RESOURCES)
			put_resources(writer, &place, parts[i].batch);
		else
			put_scopes(writer, &place, parts[i].batch);
	}
	return rc;
}

int span_block_encode(struct block_writer *writer, const struct span_block_part *parts,
		      size_t count, uint64_t commit_unix_ns, const struct operations_book *names)
{
	uint64_t body_bytes = 0;
	int rc = 0;

	block_writer_begin(writer, BLOCK_SPANS, commit_unix_ns);
	for (size_t i = 0; i < count; i++) {
		body_bytes += parts[i].batch->body.len;
		block_writer_piece(writer, parts[i].batch->body);
	}
	if (body_bytes > BLOCK_MAX_HEAP_BYTES)
		return -EMSGSIZE;
	for (int section = 0; section < SECTIONS && rc == 0; section++)
		rc = put_section(writer, parts, count, body_bytes, (enum section)section, names);
	if (rc < 0)
		return rc;
	block_writer_piece(writer, buf_str(&writer->details));
	return block_writer_end(writer);
}

static bool get_resource(const struct block *block, uint32_t index, struct span_resource *resource)
{
	const struct block_resource *row;

	if (index >= block->header->resource_count)
		return false;
	row = &block->resources[index];
	resource->process_pid = row->process_pid;
	return block_text(block, row->bytes, &resource->bytes) &&
	       block_text(block, row->schema_url, &resource->schema_url) &&
	       block_text(block, row->service_name, &resource->service_name) &&
	       block_text(block, row->service_instance_id, &resource->service_instance_id) &&
	       block_text(block, row->runtime_id, &resource->runtime_id) &&
	       block_text(block, row->container_id, &resource->container_id) &&
	       block_text(block, row->host_name, &resource->host_name);
}

static bool get_scope(const struct block *block, uint32_t index, struct span_scope *scope)
{
	return index < block->header->scope_count &&
	       block_text(block, block->scopes[index].bytes, &scope->bytes) &&
	       block_text(block, block->scopes[index].schema_url, &scope->schema_url);
}

static bool get_span(const struct block *block, uint32_t row_number, struct span *span)
{
	const struct block_span *row;

	if (row_number >= block->header->row_count ||
	    (block->packed && packed_span(block->packed, row_number) < 0))
		return false;
	row = &block->spans[row_number];
	*span = (struct span){
		.start_unix_ns = row->start_unix_ns,
		.end_unix_ns = row->end_unix_ns,
		.resource = row->resource,
		.scope = row->scope,
		.flags = row->flags,
		.kind = row->kind,
		.status = row->status,
		.thread_id = row->thread_id,
		.process_id = row->process_id,
	};
	memcpy(span->trace_id, row->trace_id, TRACE_ID_BYTES);
	memcpy(span->span_id, row->span_id, SPAN_ID_BYTES);
	memcpy(span->parent_span_id, row->parent_span_id, SPAN_ID_BYTES);
	return row->end_unix_ns >= row->start_unix_ns &&
	       row->resource < block->header->resource_count &&
	       row->scope < block->header->scope_count &&
	       block_text(block, row->name, &span->name) &&
	       block_text(block, row->bytes, &span->bytes) &&
	       block_text(block, row->peer, &span->peer);
}

int span_block_span(const struct block *block, uint32_t row, struct span *out_span,
		    struct span_resource *out_resource, struct span_scope *out_scope)
{
	return get_span(block, row, out_span) &&
			       get_resource(block, out_span->resource, out_resource) &&
			       get_scope(block, out_span->scope, out_scope)
		       ? 0
		       : -EBADMSG;
}

static int alloc_tables(const struct block_header *header, struct span_batch *batch)
{
	batch->spans = arena_alloc(&batch->arena, header->row_count * sizeof(*batch->spans));
	batch->resources =
		arena_alloc(&batch->arena, header->resource_count * sizeof(*batch->resources));
	batch->scopes = arena_alloc(&batch->arena, header->scope_count * sizeof(*batch->scopes));
	return batch->spans && batch->resources && batch->scopes ? 0 : -ENOMEM;
}

static bool fill_tables(const struct block *block, bool (*wanted)(uint32_t row, void *arg),
			void *arg, struct span_batch *batch)
{
	for (uint32_t i = 0; i < block->header->resource_count; i++) {
		if (!get_resource(block, i, &batch->resources[i]))
			return false;
	}
	for (uint32_t i = 0; i < block->header->scope_count; i++) {
		if (!get_scope(block, i, &batch->scopes[i]))
			return false;
	}
	for (uint32_t i = 0; i < block->header->row_count; i++) {
		if (wanted && !wanted(i, arg))
			continue;
		if (!get_span(block, i, &batch->spans[batch->span_count++]))
			return false;
	}
	batch->resource_count = block->header->resource_count;
	batch->scope_count = block->header->scope_count;
	return true;
}

int span_block_batch(const struct block *block, bool (*wanted)(uint32_t row, void *arg), void *arg,
		     struct span_batch *out_batch)
{
	struct span_batch batch = { .span_count = 0 };
	int rc;

	arena_init(&batch.arena, 0);
	rc = alloc_tables(block->header, &batch);
	if (rc == 0 && !fill_tables(block, wanted, arg, &batch))
		rc = -EBADMSG;
	if (rc < 0) {
		arena_fini(&batch.arena);
		return rc;
	}
	*out_batch = batch;
	return 0;
}
