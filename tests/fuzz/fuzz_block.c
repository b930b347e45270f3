/* SPDX-License-Identifier: Apache-2.0 */
/* A block as it lies on disk. The checksum of the index is not looked at and that of the header
 * made to fit, so that what is behind them is reached; what opens is read to the last row. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "storage/ledger_block.h"
#include "storage/packed_figures.h"
#include "storage/span_block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_spans(const struct block *block)
{
	struct span_resource resource;
	struct span_batch batch;
	struct span_scope scope;
	struct span span;

	for (uint32_t i = 0; i < block->header->row_count; i++)
		span_block_span(block, i, &span, &resource, &scope);
	if (span_block_batch(block, NULL, NULL, &batch) == 0)
		arena_fini(&batch.arena);
}

static void read_ledgers(const struct block *block)
{
	struct ledger ledger;
	struct arena arena;

	arena_init(&arena, 1 << 20);
	for (uint32_t i = 0; i < block->header->row_count; i++)
		ledger_block_ledger(block, i, &arena, &ledger);
	arena_fini(&arena);
}

static bool is_odd(const struct block_span *span, void *arg)
{
	(void)arg;
	return span->operation & 1;
}

static int pass_by(uint32_t row, const struct block_ledger *ledger, void *arg)
{
	(void)row;
	(void)ledger;
	(void)arg;
	return 0;
}

/* `omit`: enum store_omit. */
static void read_block(struct str value, unsigned omit)
{
	static const uint64_t ids[] = { 1ull << 40, 2ull << 40, 3ull << 40, 4ull << 40 };
	struct block block;

	if (block_open(value, true, &block) < 0)
		return;
	block.stack_ids = (struct str){ (const char *)ids, sizeof(ids) };
	block.omit = omit;
	if (block.packed)
		packed_figures_each(block.packed, is_odd, pass_by, NULL);
	if (!omit)
		block_figures(&block);
	if (block_load(&block) == 0 || !block.packed) { /* its own checksum fits or not: slices
							   must hold either way */
		if (block.spans)
			read_spans(&block);
		if (block.ledgers || block.packed)
			read_ledgers(&block);
	}
	block_close(&block);
}

/* With checksums that fit. */
static void seal(struct buf *block)
{
	struct block_header header;

	memcpy(&header, block->data, sizeof(header));
	if (header.encoding == BLOCK_PACKED) {
		block_seal_packed(block);
		return;
	}
	block_header_seal(&header);
	memcpy(block->data, &header, sizeof(header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct buf copy;

	buf_init(&copy, 0);
	buf_append(&copy, data, bytes);
	if (bytes >= sizeof(struct block_header) && buf_error(&copy) == 0) {
		seal(&copy);
		read_block(buf_str(&copy), 0);
		read_block(buf_str(&copy), STORE_OMIT_STACKS);
	}
	buf_fini(&copy);
	return 0;
}
