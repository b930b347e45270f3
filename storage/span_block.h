/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of spans <-> a block. The heap is the batches' bodies one after the other, and then the
 * strings that are in no body. */
#pragma once

#include "otlp/span.h"
#include "storage/block_writer.h"

#define SPAN_BLOCK_NO_SERVICE STR("unknown_service")

/* A batch, and by resource why its spans are settled at once (store.h); NULL: none is. */
struct span_block_part {
	const struct span_batch *batch;
	const uint8_t *none_causes;
};

/* Leaves the block in writer->draft; the batches are borrowed until it is written. `parts` hold
 * at least one span. -EMSGSIZE: too large for a block. */
int span_block_encode(struct block_writer *writer, const struct span_block_part *parts,
		      size_t count, uint64_t commit_unix_ns, const struct operations_book *names);

/* A row as the span it was. The block is loaded; slices point into it. -EBADMSG. */
int span_block_span(const struct block *block, uint32_t row, struct span *out_span,
		    struct span_resource *out_resource, struct span_scope *out_scope);

/* The rows for which `wanted` says so (NULL: all) as a batch, which has no body; to be freed with
 * arena_fini of its arena. -EBADMSG, -ENOMEM. */
int span_block_batch(const struct block *block, bool (*wanted)(uint32_t row, void *arg), void *arg,
		     struct span_batch *out_batch);
