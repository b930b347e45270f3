/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/block.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "storage/checksum.h"
#include "storage/packed_figures.h"
#include "storage/summary.h"

#define CHECKSUM_SEED 0x7370616e77697365ull
#define HASHED_BYTES  ((size_t)16 << 10) /* copied, then hashed */

static size_t row_bytes(const struct block_header *header)
{
	return header->kind == BLOCK_SPANS     ? sizeof(struct block_span)
	       : header->kind == BLOCK_LEDGERS ? sizeof(struct block_ledger)
					       : 0;
}

/* All counts are 32 bits wide: the sum cannot overflow. */
static uint64_t index_bytes(const struct block_header *header)
{
	return sizeof(*header) + (uint64_t)header->summary_count * sizeof(struct summary) +
	       (uint64_t)header->row_count * row_bytes(header) +
	       (uint64_t)header->resource_count * sizeof(struct block_resource) +
	       (uint64_t)header->scope_count * sizeof(struct block_scope);
}

/* Of what stands between header and heap. */
static uint64_t index_checksum(const char *bytes, size_t len)
{
	return checksum_of(bytes + sizeof(struct block_header), len - sizeof(struct block_header),
			   CHECKSUM_SEED);
}

static uint64_t header_checksum(const struct block_header *header)
{
	return checksum_of(header, offsetof(struct block_header, header_checksum), CHECKSUM_SEED);
}

void block_header_seal(struct block_header *header)
{
	header->header_checksum = header_checksum(header);
}

/* What stands before the heap. */
static uint64_t head_bytes(const struct block_header *header)
{
	return header->encoding == BLOCK_PACKED ? sizeof(*header) : index_bytes(header);
}

static int check_header(const struct block_header *header)
{
	if (header->magic != BLOCK_MAGIC)
		return -EBADMSG;
	if (header->version > BLOCK_VERSION)
		return -EPROTO;
	if (header->version != BLOCK_VERSION ||
	    header->header_checksum != header_checksum(header) || header->kind < BLOCK_SPANS ||
	    header->kind > BLOCK_ROLLUPS ||
	    (header->encoding != BLOCK_RAW && header->encoding != BLOCK_PACKED) ||
	    (header->row_count == 0) != (header->kind == BLOCK_ROLLUPS) ||
	    (header->kind == BLOCK_ROLLUPS && header->encoding != BLOCK_RAW))
		return -EBADMSG;
	if (header->plain_bytes > BLOCK_MAX_HEAP_BYTES || header->heap_bytes > UINT64_MAX / 2)
		return -EBADMSG;
	if (header->encoding == BLOCK_RAW && header->plain_bytes != header->heap_bytes)
		return -EBADMSG;
	return 0;
}

int block_header_read(struct str value, struct block_header *out_header, uint64_t *out_bytes)
{
	struct block_header header;
	uint64_t bytes;
	int rc;

	if (value.len < sizeof(header))
		return -EBADMSG;
	memcpy(&header, value.data, sizeof(header));
	rc = check_header(&header);
	if (rc < 0)
		return rc;
	bytes = head_bytes(&header) + header.heap_bytes;
	if (bytes > value.len)
		return -EBADMSG;
	*out_header = header;
	*out_bytes = bytes;
	return 0;
}

static void find_sections(const char *at, struct block *block)
{
	const struct block_header *header = (const void *)at;

	block->header = header;
	at += sizeof(*header);
	if (header->kind == BLOCK_SPANS)
		block->spans = (const void *)at;
	else if (header->kind == BLOCK_LEDGERS)
		block->ledgers = (const void *)at;
	at += header->row_count * row_bytes(header);
	block->resources = (const void *)at;
	at += header->resource_count * sizeof(struct block_resource);
	block->scopes = (const void *)at;
	at += header->scope_count * sizeof(struct block_scope);
	block->summaries = (const void *)at;
	at += header->summary_count * sizeof(struct summary);
	block->stored = (struct str){ at, (size_t)header->heap_bytes };
}

/* Small values lie at any even address of a page; large ones are aligned by their page. */
static int align(struct str *value, struct block *block)
{
	if ((uintptr_t)value->data % _Alignof(struct block_header) == 0)
		return 0;
	block->aligned = malloc(value->len);
	if (!block->aligned)
		return -ENOMEM;
	memcpy(block->aligned, value->data, value->len);
	value->data = block->aligned;
	return 0;
}

static int open_packed(struct str value, const struct block_header *header, bool is_checked,
		       struct block *block)
{
	struct str columns = { value.data + sizeof(*header), (size_t)header->heap_bytes };
	struct packed *packed;
	int rc;

	if (!is_checked &&
	    checksum_of(columns.data, columns.len, CHECKSUM_SEED) != header->heap_checksum)
		return -EBADMSG;
	rc = packed_open(value, &packed);
	if (rc < 0)
		return rc;
	*block = (struct block){
		.header = &packed->header,
		.spans = header->kind == BLOCK_SPANS ? packed->rows.spans : NULL,
		.packed = packed,
	};
	return 0;
}

int block_open(struct str value, bool is_checked, struct block *out_block)
{
	struct block block = { 0 };
	struct block_header header;
	uint64_t bytes;
	int rc = block_header_read(value, &header, &bytes);

	if (rc < 0 || bytes != value.len)
		return rc < 0 ? rc : -EBADMSG;
	if (!is_checked && index_checksum(value.data, value.len - (size_t)header.heap_bytes) !=
				   header.index_checksum)
		return -EBADMSG;
	if (header.encoding == BLOCK_PACKED) {
		rc = open_packed(value, &header, is_checked, &block);
		if (rc == 0)
			*out_block = block;
		return rc;
	}
	rc = align(&value, &block);
	if (rc < 0)
		return rc;
	find_sections(value.data, &block);
	*out_block = block;
	return 0;
}

void block_close(struct block *block)
{
	free(block->aligned);
	packed_close(block->packed);
	*block = (struct block){ 0 };
}

static int load_packed(struct block *block)
{
	struct packed *packed = block->packed;
	int rc = packed_load(packed, block->stack_ids, block->omit);

	if (rc < 0)
		return rc;
	block->heap = buf_str(&packed->heap);
	block->resources = (const void *)packed->words.resources.data;
	block->scopes = (const void *)packed->words.scopes.data;
	return 0;
}

int block_figures(struct block *block)
{
	int rc = block->packed ? packed_figures_load(block->packed) : 0;

	if (rc == 0 && block->packed)
		block->ledgers = block->packed->ledgers;
	return rc;
}

int block_load(struct block *block)
{
	if (block->packed)
		return load_packed(block);
	if (block->heap.data || block->header->plain_bytes == 0)
		return 0;
	if (checksum_of(block->stored.data, block->stored.len, CHECKSUM_SEED) !=
	    block->header->heap_checksum)
		return -EBADMSG;
	block->heap = block->stored;
	return 0;
}

bool block_text(const struct block *block, struct block_slice slice, struct str *out_text)
{
	if (slice.offset > block->heap.len || slice.len > block->heap.len - slice.offset)
		return false;
	*out_text = (struct str){ slice.len ? block->heap.data + slice.offset : NULL, slice.len };
	return true;
}

void block_draft_seal(struct block_draft *draft)
{
	struct block_header *header = &draft->header;
	uint64_t bytes = 0;

	for (size_t i = 0; i < draft->heap_count; i++)
		bytes += draft->heap[i].len;
	header->magic = BLOCK_MAGIC;
	header->version = BLOCK_VERSION;
	header->heap_bytes = header->plain_bytes = bytes;
}

size_t block_draft_bytes(const struct block_draft *draft)
{
	return draft->index.len + (size_t)draft->header.heap_bytes;
}

/* Copies the heap, and hashes it piece by piece, while they are in the cache. */
static uint64_t write_heap(const struct block_draft *draft, char *heap)
{
	struct checksum checksum;
	const char *hashed = heap;

	checksum_begin(&checksum, CHECKSUM_SEED);
	for (size_t i = 0; i < draft->heap_count; i++) {
		for (struct str rest = draft->heap[i]; rest.len;) {
			size_t piece = MIN(rest.len, HASHED_BYTES), whole;

			memcpy(heap, rest.data, piece);
			heap += piece;
			rest.data += piece;
			rest.len -= piece;
			whole = (size_t)(heap - hashed) / CHECKSUM_STEP * CHECKSUM_STEP;
			checksum_add(&checksum, hashed, whole);
			hashed += whole;
		}
	}
	return checksum_end(&checksum, hashed, (size_t)(heap - hashed));
}

void block_draft_write(const struct block_draft *draft, char *out_bytes)
{
	struct block_header header = draft->header;

	memcpy(out_bytes, draft->index.data, draft->index.len);
	header.heap_checksum = write_heap(draft, out_bytes + draft->index.len);
	header.index_checksum = index_checksum(out_bytes, draft->index.len);
	block_header_seal(&header);
	memcpy(out_bytes, &header, sizeof(header));
}

void block_seal_packed(struct buf *block)
{
	struct block_header header;
	size_t len = block->len - sizeof(header);

	memcpy(&header, block->data, sizeof(header));
	header.heap_bytes = len;
	header.heap_checksum = checksum_of(block->data + sizeof(header), len, CHECKSUM_SEED);
	header.index_checksum = index_checksum(block->data, sizeof(header));
	block_header_seal(&header);
	memcpy(block->data, &header, sizeof(header));
}
