/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_batch.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"

#define USUAL_BYTES 256u /* of a span, at least: where they are smaller, the array grows */
#define PEER_BYTES  16u  /* of a span, on average: few have a peer that must be made */
#define SPARE_BYTES 256u

static int resize(struct span_batch *batch, uint32_t room)
{
	struct span *spans = reallocarray(batch->spans, room, sizeof(*spans));

	if (!spans)
		return -ENOMEM;
	batch->spans = batch->spans_owner = spans;
	batch->spans_room = room;
	return 0;
}

int otlp_batch_allocate(struct span_batch *batch, uint32_t resources, uint32_t scopes,
			uint32_t max_spans)
{
	size_t spans = scopes ? MIN(batch->body.len / USUAL_BYTES + 1, max_spans) : 0;

	arena_init(&batch->arena, 0);
	if (!arena_reserve(&batch->arena, spans * PEER_BYTES +
						  resources * sizeof(*batch->resources) +
						  scopes * sizeof(*batch->scopes) + SPARE_BYTES))
		return -ENOMEM;
	batch->resources = arena_alloc(&batch->arena, resources * sizeof(*batch->resources));
	batch->scopes = arena_alloc(&batch->arena, scopes * sizeof(*batch->scopes));
	if (!batch->resources || !batch->scopes)
		return -ENOMEM;
	return spans ? resize(batch, (uint32_t)spans) : 0;
}

int otlp_batch_make_room(struct span_batch *batch, uint32_t max_spans)
{
	if (batch->span_count < batch->spans_room)
		return 0;
	return batch->spans_room < max_spans ? resize(batch, MIN(2 * batch->spans_room, max_spans))
					     : -EMSGSIZE;
}

void otlp_batch_trim(struct span_batch *batch)
{
	const uint32_t count = batch->span_count;

	if (batch->spans_room > 1 && batch->spans_room - count > count / 8)
		resize(batch, MAX(count, 1u)); /* where it cannot, it stays */
}

void otlp_batch_free(struct span_batch *batch)
{
	if (!batch)
		return;
	arena_fini(&batch->arena);
	free(batch->spans_owner);
	free(batch->body_owner);
	free(batch);
}
