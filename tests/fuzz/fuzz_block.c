/* SPDX-License-Identifier: Apache-2.0 */
/* A block as it lies on disk. The checksum of the index is not looked at and that of the header
 * made to fit, so that what is behind them is reached; what opens is read to the last row. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "storage/ledger_block.h"
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

static void read_block(struct str value)
{
	struct block block;

	if (block_open(value, true, &block) < 0)
		return;
	block_load(&block); /* its own checksum fits or not: slices must hold either way */
	if (block.spans)
		read_spans(&block);
	else if (block.ledgers)
		read_ledgers(&block);
	block_close(&block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct block_header header;
	char *copy = malloc(bytes + 1);

	if (copy && bytes >= sizeof(header)) {
		memcpy(copy, data, bytes);
		memcpy(&header, copy, sizeof(header));
		block_header_seal(&header);
		memcpy(copy, &header, sizeof(header));
		read_block((struct str){ copy, bytes });
	}
	free(copy);
	return 0;
}
