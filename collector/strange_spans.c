/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/strange_spans.h"

#include <string.h>

#include "collector/base/macros.h"

/* After so long each thread that was running then has left its CPU or met a tick. */
#define TOLD_AFTER_NS (25 * NS_PER_MS)

/* Those spans of a batch that are wanted; the rest of it is shared. NULL: out of memory. */
static struct span_batch *part_of(struct span_batch *batch, const bool *wanted, bool is_wanted)
{
	struct span_batch *part = arena_alloc(&batch->arena, sizeof(*part));
	struct span *spans = arena_alloc(&batch->arena, batch->span_count * sizeof(*spans));

	if (!part || !spans)
		return NULL;
	*part = *batch;
	part->spans = spans;
	part->span_count = 0;
	for (uint32_t i = 0; i < batch->span_count; i++) {
		if (wanted[i] == is_wanted)
			spans[part->span_count++] = batch->spans[i];
	}
	return part;
}

/* Hands those that are marked to the correlator, and leaves the others in `*out_rest` (NULL: all
 * were). */
static void feed_marked(struct strange_spans *spans, struct span_batch *batch, const bool *marked,
			struct span_batch **out_rest)
{
	uint32_t count = 0;
	struct span_batch *part = batch, *rest = NULL;

	for (uint32_t i = 0; i < batch->span_count; i++)
		count += marked[i];
	*out_rest = batch;
	if (!count)
		return;
	if (count < batch->span_count) {
		part = part_of(batch, marked, true);
		rest = part_of(batch, marked, false);
	}
	if (!part || (!rest && part != batch)) { /* the long way is right for all */
		part = batch;
		rest = NULL;
	}
	*out_rest = rest;
	spans->on_spans(part, spans->arg);
}

static uint64_t last_end_unix_ns(const struct span_batch *batch)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < batch->span_count; i++)
		last = MAX(last, batch->spans[i].end_unix_ns);
	return last;
}

static struct queue_link *pop(struct strange_spans *spans, uint64_t drained_ns)
{
	struct queue_link *first = spans->held.first;

	if (!first || CONTAINER_OF(first, struct ticket, link)->hold_until_ns > drained_ns)
		return NULL;
	return queue_pop(&spans->held);
}

void strange_spans_take(struct strange_spans *spans, struct ticket *ticket, uint64_t mono_ns,
			uint64_t real_ns)
{
	struct span_batch *batch = ticket->batch;
	uint8_t *causes = ticket->none_causes;
	bool *marked = arena_alloc(&batch->arena, batch->span_count * sizeof(*marked));
	uint64_t age_ns;

	if (!marked) {
		spans->on_spans(batch, spans->arg);
		spans->on_done(ticket, spans->arg);
		return;
	}
	ticket->is_watched = strangers_confirm(spans->strangers, batch, causes, mono_ns);
	for (uint32_t i = 0; i < batch->span_count; i++)
		marked[i] = !causes[batch->spans[i].resource];
	feed_marked(spans, batch, marked, &ticket->strange);
	if (!ticket->strange && !ticket->is_watched) {
		spans->on_done(ticket, spans->arg);
		return;
	}
	age_ns = real_ns - MIN(last_end_unix_ns(batch), real_ns);
	ticket->hold_until_ns = mono_ns + TOLD_AFTER_NS - MIN(age_ns, mono_ns + TOLD_AFTER_NS);
	queue_push(&spans->held, &ticket->link);
}

/* A span was seen on a thread: so all of its resource are of a process that publishes. */
static void own(struct strange_spans *spans, const struct span_batch *batch, uint8_t *causes,
		uint32_t resource)
{
	if (!causes[resource])
		return;
	causes[resource] = 0;
	strangers_own(spans->strangers, &batch->resources[resource]);
}

/* Marks the spans of traces that are known. */
static void mark_traces(struct strange_spans *spans, const struct span_batch *batch,
			uint8_t *causes, bool *marked)
{
	const struct span *asked = NULL;
	bool is_known = false;

	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct span *span = &batch->spans[i];

		if (!asked || memcmp(asked->trace_id, span->trace_id, TRACE_ID_BYTES) != 0)
			is_known = correlator_knows_trace(spans->correlator, span->trace_id);
		if (!asked || asked->resource != span->resource) {
			const struct span_resource *of = &batch->resources[span->resource];

			if (causes[span->resource] &&
			    correlator_knows_owner(spans->correlator, of, span))
				own(spans, batch, causes, span->resource);
		}
		if (is_known && correlator_has_seen(spans->correlator, span))
			own(spans, batch, causes, span->resource);
		asked = span;
		marked[i] = is_known;
	}
}

static void settle(struct strange_spans *spans, struct ticket *ticket)
{
	struct span_batch *batch = ticket->strange;
	bool *marked = arena_alloc(&batch->arena, batch->span_count * sizeof(*marked));

	if (!marked) {
		spans->on_spans(batch, spans->arg);
		return;
	}
	mark_traces(spans, batch, ticket->none_causes, marked);
	for (uint32_t i = 0; i < batch->span_count; i++)
		marked[i] |= !ticket->none_causes[batch->spans[i].resource];
	feed_marked(spans, batch, marked, &batch);
	if (batch)
		spans->on_settled(batch, ticket->none_causes, spans->arg);
}

/* True, or how many there are in `*out_count`. */
static bool has_seen_any(const struct strange_spans *spans, const struct span_batch *batch,
			 uint32_t resource, uint32_t *out_count)
{
	*out_count = 0;
	for (uint32_t i = 0; i < batch->span_count; i++) {
		if (batch->spans[i].resource != resource)
			continue;
		if (correlator_has_seen(spans->correlator, &batch->spans[i]))
			return true;
		(*out_count)++;
	}
	return false;
}

/* Is a thread known that carried a span of those that are watched? */
static void watch(struct strange_spans *spans, const struct span_batch *batch, uint64_t drained_ns)
{
	for (uint32_t i = 0; i < batch->resource_count; i++) {
		const struct span_resource *resource = &batch->resources[i];
		uint32_t count;

		if (!strangers_watch(spans->strangers, resource))
			continue;
		if (has_seen_any(spans, batch, i, &count))
			strangers_own(spans->strangers, resource);
		else
			strangers_miss(spans->strangers, resource, count, drained_ns);
	}
}

void strange_spans_release(struct strange_spans *spans, uint64_t drained_ns)
{
	struct queue_link *link;

	while ((link = pop(spans, drained_ns))) {
		struct ticket *ticket = CONTAINER_OF(link, struct ticket, link);

		if (ticket->is_watched)
			watch(spans, ticket->batch, drained_ns);
		if (ticket->strange)
			settle(spans, ticket);
		spans->on_done(ticket, spans->arg);
	}
}
