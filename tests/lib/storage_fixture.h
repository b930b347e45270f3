/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the store need: a folder of their own, real OTLP requests, ledgers that add up.
 *
 * Everything about a span follows from its number, so that a test can tell from what it reads
 * whether it is what was written. */
#pragma once

#include "correlate/ledger.h"
#include "otlp/span.h"
#include "storage/store.h"

#define FIXTURE_T0 1763798400000000000ull /* the clock's beginning */

struct fixture_span {
	uint64_t trace;      /* number of the trace */
	uint64_t span;       /* number of the span; not 0 */
	uint64_t parent;     /* 0: a root */
	const char *service; /* "": none is said */
	const char *name;
	uint64_t start_ns;
	uint64_t wall_ns;
	uint8_t kind;
	uint8_t status;
};

/* A new empty folder below TMPDIR; for free(). */
char *fixture_folder(void);
void fixture_remove(const char *path);

void fixture_trace_id(uint64_t number, uint8_t out_id[TRACE_ID_BYTES]);
void fixture_span_id(uint64_t number, uint8_t out_id[SPAN_ID_BYTES]);

/* One ResourceSpans for each change of service; each span has attributes, and a field that nobody
 * knows. Decoded by the real decoder; for otlp_batch_free. */
struct span_batch *fixture_batch(const struct fixture_span *spans, size_t count);

/* All of the wall is split by `seed`: running, runnable, blocked on some reason, elsewhere. */
struct ledger fixture_ledger(const struct fixture_span *span, uint16_t revision, uint32_t seed);

/* Opens with small parts' worth of defaults; prints why it cannot and fails. */
struct store *fixture_open(const struct store_options *options);
struct store_options fixture_options(const char *path);

int fixture_commit_spans(struct store *store, const struct fixture_span *spans, size_t count,
			 uint64_t now_ns);
/* They are settled by it: `none_cause` says why they have no figures; 0: they are not. */
int fixture_commit_settled(struct store *store, const struct fixture_span *spans, size_t count,
			   uint8_t none_cause, uint64_t now_ns);
int fixture_commit_ledgers(struct store *store, const struct ledger *ledgers, size_t count,
			   uint64_t now_ns);
/* Packs all that can be packed. */
void fixture_pack(struct store *store, uint64_t now_ns);

/* Repeatable randomness. */
uint32_t fixture_random(uint64_t *state);
