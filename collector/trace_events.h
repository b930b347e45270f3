/* SPDX-License-Identifier: Apache-2.0 */
/* Spans over time, for the viewers that draw threads as tracks: Chrome's Trace Event format, which
 * ui.perfetto.dev, chrome://tracing and speedscope open.
 *
 *   each span          an async track of its process, with its verdict and, inside, the time that
 * no thread carried it each thread        slices "on CPU", "runnable", "net" ...: what the spans'
 * ledgers keep of it each known waker   a mark where it woke the thread, and an arrow to what it
 * woke
 *
 * Times are us since the first span, to the ns; otherData says when that was. An arrow is drawn
 * only where the ledger leaves no doubt who ended that wait: it keeps wakers by wait, not by slice.
 *
 *   trace_events_init -> trace_events_add ... -> trace_events_write -> trace_events_fini
 *
 * One thread. */
#pragma once

#include "collector/base/arena.h"
#include "collector/base/map.h"
#include "collector/query/stacks.h"
#include "storage/store.h"

struct traced_slice {
	uint64_t start_ns, end_ns; /* Unix */
	uint64_t ledger_ns;        /* how long it is in the ledger that it is from */
	uint32_t pid, tid;
	uint32_t span;         /* whose ledger it is from */
	uint8_t state, reason; /* enum ledger_state, enum ledger_reason */
};

struct traced_span {
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
	struct str name, service; /* in the arena */
	struct str verdict;
	uint64_t start_ns, end_ns;
	uint32_t pid;
	uint8_t grade;
	bool slices_truncated;
	uint16_t wait_count;
	const struct ledger_wait *waits; /* in the arena */
};

struct trace_events {
	struct stacks *stacks; /* borrowed */
	struct arena arena;
	struct traced_span *spans; /* owned, as slices */
	size_t span_count, span_cap;
	struct traced_slice *slices;
	size_t slice_count, slice_cap;
};

/* `stacks`: whom to ask for names of code; borrowed, NULL: nobody. */
void trace_events_init(struct trace_events *events, struct stacks *stacks);
void trace_events_fini(struct trace_events *events);

/* Copies what it needs of a span and its ledger, if it has one. -ENOMEM; -EMSGSIZE: too many. */
int trace_events_add(struct trace_events *events, const struct store_span *stored);

/* Appends the JSON. -ENOMEM, -EMSGSIZE. */
int trace_events_write(struct trace_events *events, const char *title, struct buf *out);

/* What one thread did, each instant once: where spans overlap, the ledger that says most decides
 * (one that was not shortened, of the shortest span). Sorts the slices; appends at most twice as
 * many. -ENOMEM. */
int trace_events_tracks(struct trace_events *events, struct traced_slice **out_slices,
			size_t *out_count);
/* The wait of the slice's ledger that this blocked slice was, and who ended it; NULL where the
 * ledger leaves a doubt. */
const struct ledger_wait *trace_events_wait(const struct trace_events *events,
					    const struct traced_slice *slice);
const struct ledger_waker *trace_events_waker(const struct trace_events *events,
					      const struct traced_slice *slice);
