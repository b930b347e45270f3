/* SPDX-License-Identifier: Apache-2.0 */
/* The spans of a trace: found by their ids, and put into an order that does not depend on the one
 * in which they came. Most traces have a few, among which a search finds fastest; one with many has
 * a table beside them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"
#include "correlate/model.h"

#define LISTED 16 /* as many are searched through */

/* Where the span is, or would be: open addressing, at most half full. */
static uint32_t *place_of(const struct trace *trace, const uint8_t span_id[SPAN_ID_BYTES],
			  uint64_t seed)
{
	uint32_t mask = trace->table_cap - 1;
	uint32_t at = (uint32_t)map_hash(span_id, SPAN_ID_BYTES, seed) & mask;

	while (trace->table[at] &&
	       memcmp(trace->spans[trace->table[at] - 1].span_id, span_id, SPAN_ID_BYTES) != 0)
		at = (at + 1) & mask;
	return &trace->table[at];
}

int trace_span_index(const struct model *model, const struct trace *trace,
		     const uint8_t span_id[SPAN_ID_BYTES])
{
	if (trace->table)
		return (int)*place_of(trace, span_id, model->options.seed) - 1;
	for (uint32_t i = 0; i < trace->span_count; i++) {
		if (memcmp(trace->spans[i].span_id, span_id, SPAN_ID_BYTES) == 0)
			return (int)i;
	}
	return -1;
}

static void fill_table(const struct model *model, struct trace *trace)
{
	for (uint32_t i = 0; i < trace->span_count; i++)
		*place_of(trace, trace->spans[i].span_id, model->options.seed) = i + 1;
}

static void count_bytes(struct model *model, struct trace *trace, size_t bytes)
{
	model->stats.trace_bytes += bytes;
	trace->bytes += bytes;
}

static bool make_room(struct model *model, struct trace *trace)
{
	uint32_t cap = trace->span_cap ? 2 * trace->span_cap : 1; /* many have one */
	struct trace_span *spans;
	uint32_t *table = NULL;

	if (trace->span_count < trace->span_cap)
		return true;
	if (cap > LISTED && !(table = calloc((size_t)2 * cap, sizeof(*table))))
		return false;
	spans = realloc(trace->spans, cap * sizeof(*spans));
	if (!spans) {
		free(table);
		return false;
	}
	count_bytes(model, trace, (cap - trace->span_cap) * sizeof(*spans));
	trace->spans = spans;
	trace->span_cap = cap;
	if (!table)
		return true;
	count_bytes(model, trace, (2 * cap - trace->table_cap) * sizeof(*table));
	free(trace->table);
	trace->table = table;
	trace->table_cap = 2 * cap;
	fill_table(model, trace);
	return true;
}

/* Parents before children, whatever order they came in: figures must not depend on it. */
static int by_time(const void *x, const void *y)
{
	const struct trace_span *a = x, *b = y;

	if (a->start_unix_ns != b->start_unix_ns)
		return a->start_unix_ns < b->start_unix_ns ? -1 : 1;
	if (a->end_unix_ns != b->end_unix_ns)
		return a->end_unix_ns > b->end_unix_ns ? -1 : 1;
	return memcmp(a->span_id, b->span_id, SPAN_ID_BYTES);
}

int trace_spans_append(struct model *model, struct trace *trace, const struct trace_span *span)
{
	if (!make_room(model, trace))
		return -ENOMEM;
	trace->is_mixed |=
		trace->span_count && by_time(span, &trace->spans[trace->span_count - 1]) < 0;
	trace->spans[trace->span_count++] = *span;
	if (trace->table)
		*place_of(trace, span->span_id, model->options.seed) = trace->span_count;
	return 0;
}

void trace_spans_sort(const struct model *model, struct trace *trace)
{
	if (!trace->is_mixed)
		return;
	qsort(trace->spans, trace->span_count, sizeof(*trace->spans), by_time);
	trace->is_mixed = false;
	if (!trace->table)
		return;
	memset(trace->table, 0, trace->table_cap * sizeof(*trace->table));
	fill_table(model, trace);
}

bool trace_carries(const struct trace *trace, const uint8_t span_id[SPAN_ID_BYTES])
{
	for (const struct observation *o = trace->observations; o; o = o->next) {
		if (memcmp(o->span_id, span_id, SPAN_ID_BYTES) == 0)
			return true;
	}
	return false;
}

bool trace_is_root(const struct trace *trace, const struct trace_span *span)
{
	if (hex_is_zero(span->parent_id, SPAN_ID_BYTES))
		return true;
	if (span->flags & W3C_TOLD)
		return (span->flags & W3C_REMOTE) == W3C_REMOTE;
	return span->kind == SPAN_KIND_SERVER || span->kind == SPAN_KIND_CONSUMER ||
	       !trace_carries(trace, span->parent_id);
}

void trace_spans_free(struct trace *trace)
{
	for (uint32_t i = 0; i < trace->span_count; i++) {
		if (trace->spans[i].process)
			trace->spans[i].process->refs--;
		free(trace->spans[i].label);
	}
	free(trace->spans);
	free(trace->table);
}
