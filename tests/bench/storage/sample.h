/* SPDX-License-Identifier: Apache-2.0 */
/* What a real service sent and what spanwise made of it, again and again under new ids.
 *
 * A recording (`spanwise record`) holds spans of a real SDK and their ledgers. Each copy of one of
 * its traces gets ids and a time of its own; durations stay as they were, so that all that adds up
 * still does. Copies of one trace are as far apart as the recording has traces: further than what
 * is compressed together, which so finds nothing twice. Failures end the program. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "correlate/ledger.h"
#include "otlp/span.h"
#include "storage/store.h"

#define SAMPLE_SINGLE_EVERY 8 /* copies: so often only the root is exported */

struct sample;

struct sample *sample_open(const char *path);
void sample_close(struct sample *sample);
/* Spans of a trace on average. */
double sample_spans_of_a_trace(const struct sample *sample);

/* Copy `number`: from it alone follow its ids, and which trace it is a copy of;
 * one in SAMPLE_SINGLE_EVERY is a single span. */
void sample_trace_id(uint64_t number, uint8_t out_id[TRACE_ID_BYTES]);
uint32_t sample_trace_spans(const struct sample *sample, uint64_t number);

/* For store_group: recordings do not hold the names of stacks, so they are invented, 12 to 43
 * frames of some thousand functions. */
bool sample_find_stack(uint64_t id, struct buf *out_frames, void *arg);

/* Copies `first` to `first + count - 1` as one export request and their ledgers. */
struct sample_group {
	struct span_batch *batch;       /* owned */
	size_t bytes;                   /* of the request */
	struct store_ledger_rows *rows; /* in the arena; one for each trace */
	size_t row_count;
	struct arena arena;
};

/* The traces begin one after the other in the time from `start_ns` on, `every_ns` apart. */
void sample_make(struct sample *sample, uint64_t first, size_t count, uint64_t start_ns,
		 uint64_t every_ns, struct sample_group *out_group);
void sample_group_fini(struct sample_group *group);
