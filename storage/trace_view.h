/* SPDX-License-Identifier: Apache-2.0 */
/* One trace, gathered from all parts: each span once, with its newest ledger. */
#pragma once

#include "collector/base/arena.h"
#include "storage/view.h"

#define TRACE_VIEW_MAX_SPANS (1u << 20)

/* Where a row is. Ordered by time of commit. */
struct trace_place {
	uint32_t part; /* index in the view */
	uint32_t seq;  /* 0: nowhere */
	uint32_t row;
};

struct trace_span {
	uint8_t span_id[SPAN_ID_BYTES];
	struct trace_place span; /* the first commit of it */
	struct trace_place ledger;
	uint16_t revision;
	uint8_t grade;
};

struct trace_view {
	struct view *view; /* borrowed */
	struct map spans;  /* span id -> struct trace_span */
};

void trace_view_init(struct trace_view *trace, struct view *view, uint64_t seed);
void trace_view_fini(struct trace_view *trace);

/* Forgets what it had and gathers this trace; none is no error. -ESTALE: open a new view and begin
 * again. -E2BIG: more than TRACE_VIEW_MAX_SPANS. */
int trace_view_gather(struct trace_view *trace, const uint8_t *trace_id);
/* NULL: no such span. It may have a ledger only, when its span was in a part that is gone. */
const struct trace_span *trace_view_find(const struct trace_view *trace, const uint8_t *span_id);
/* All that have a span, in order of commit, in an array for free(). */
int trace_view_sorted(const struct trace_view *trace, struct trace_span **out_spans,
		      size_t *out_count);

static inline bool trace_place_is(struct trace_place a, struct trace_place b)
{
	return a.part == b.part && a.seq == b.seq && a.row == b.row;
}

/* Reads spans and ledgers where they stand. */
struct trace_reader {
	struct view *view;  /* borrowed */
	struct arena arena; /* of the ledger read last */
};

void trace_reader_init(struct trace_reader *reader, struct view *view);
void trace_reader_fini(struct trace_reader *reader);
/* Borrowed until the next call. `ledger` with seq 0: without. */
int trace_reader_read(struct trace_reader *reader, struct trace_place span,
		      struct trace_place ledger, struct store_span *out_span);
