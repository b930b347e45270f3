/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a batch that is decoded: its array of spans grows as they are found, for to count
 * them beforehand would be to go through a large message, out of the cache, once more. Groups are
 * few, and are counted. -ENOMEM where it says nothing else. */
#pragma once

#include "otlp/span.h"

/* For a request `body`, which is in the batch. */
int otlp_batch_allocate(struct span_batch *batch, uint32_t resources, uint32_t scopes,
			uint32_t max_spans);

/* For one span more; moves `spans`. -EMSGSIZE: that is one too many. */
int otlp_batch_make_room(struct span_batch *batch, uint32_t max_spans);

/* Gives back what was not needed. */
void otlp_batch_trim(struct span_batch *batch);

/* All that it holds but itself. */
static inline size_t otlp_batch_bytes(const struct span_batch *batch)
{
	return batch->body.len + batch->arena.used_bytes +
	       batch->spans_room * sizeof(*batch->spans);
}

/* NULL is none. */
void otlp_batch_free(struct span_batch *batch);
