/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/log.h"
#include "otlp/otlp_encode.h"

static void put(struct tap *tap, enum record_kind kind, const void *data, size_t bytes)
{
	int rc;

	if (!tap->writer)
		return;
	record_put(tap->writer, kind, data, bytes);
	rc = record_error(tap->writer);
	if (rc == 0)
		return;
	log_line(LOG_ERROR, "recording: ends here: %s; what has been written can be replayed",
		 strerror(-rc));
	record_writer_close(tap->writer);
	tap->writer = NULL;
}

static void on_ledgers(const struct ledger *ledgers, size_t count, void *arg)
{
	struct tap *tap = arg;

	for (size_t i = 0; tap->writer && i < count; i++) {
		buf_clear(&tap->scratch);
		ledger_encode(&ledgers[i], &tap->scratch);
		put(tap, RECORD_LEDGER, tap->scratch.data, tap->scratch.len);
	}
	tap->on_ledgers(ledgers, count, tap->arg);
}

int tap_init(struct tap *tap, const struct correlator_options *options, const char *path)
{
	struct correlator_options ours = *options;
	struct record_options recorded = {
		.limit_bytes = options->limit_bytes,
		.settle_ns = options->settle_ns,
		.reach_ns = options->reach_ns,
		.max_trace_spans = options->max_trace_spans,
	};
	int rc = 0;

	*tap = (struct tap){ .on_ledgers = options->on_ledgers, .arg = options->arg };
	buf_init(&tap->scratch, 0);
	ours.on_ledgers = on_ledgers;
	ours.arg = tap;
	if (*path)
		rc = record_writer_open(path, &tap->writer);
	if (rc == 0)
		rc = correlator_new(&ours, &tap->correlator);
	if (rc == 0)
		put(tap, RECORD_OPTIONS, &recorded, sizeof(recorded));
	else
		tap_fini(tap);
	return rc;
}

void tap_fini(struct tap *tap)
{
	int rc = record_writer_close(tap->writer);

	if (rc < 0)
		log_line(LOG_ERROR, "recording: its end is missing: %s", strerror(-rc));
	correlator_free(tap->correlator);
	buf_fini(&tap->scratch);
	*tap = (struct tap){ 0 };
}

void tap_event(struct tap *tap, const struct event_header *record)
{
	put(tap, RECORD_EVENT, record, record->bytes);
	correlator_record(tap->correlator, record);
}

void tap_process(struct tap *tap, const struct event_process *process)
{
	put(tap, RECORD_PROCESS, process, sizeof(*process));
	correlator_process(tap->correlator, process);
}

/* Spans that come from the store have no request around them any more: it is made again. */
static void put_rebuilt(struct tap *tap, const struct span_batch *batch)
{
	struct otlp_part *parts = calloc(batch->span_count, sizeof(*parts));

	if (!parts) {
		tap->scratch.error = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct span *span = &batch->spans[i];
		const struct span_resource *resource = &batch->resources[span->resource];
		const struct span_scope *scope = &batch->scopes[span->scope];

		parts[i] = (struct otlp_part){ resource->bytes, resource->schema_url, scope->bytes,
					       scope->schema_url, span->bytes };
	}
	otlp_encode_traces(parts, batch->span_count, &tap->scratch);
	free(parts);
}

static void put_spans(struct tap *tap, const struct span_batch *batch)
{
	if (batch->body.len) {
		put(tap, RECORD_SPANS, batch->body.data, batch->body.len);
		return;
	}
	buf_clear(&tap->scratch);
	put_rebuilt(tap, batch);
	if (buf_error(&tap->scratch) == 0)
		put(tap, RECORD_SPANS, tap->scratch.data, tap->scratch.len);
	else
		log_line(LOG_ERROR, "recording: a batch is missing in it: out of memory");
}

void tap_spans(struct tap *tap, const struct span_batch *batch)
{
	if (batch->span_count == 0)
		return;
	if (tap->writer)
		put_spans(tap, batch);
	correlator_spans(tap->correlator, batch);
}

void tap_clock(struct tap *tap, uint64_t mono_before_ns, uint64_t real_ns, uint64_t mono_after_ns)
{
	uint64_t data[] = { mono_before_ns, real_ns, mono_after_ns };

	put(tap, RECORD_CLOCK, data, sizeof(data));
	correlator_clock(tap->correlator, mono_before_ns, real_ns, mono_after_ns);
}

void tap_coarse_clock(struct tap *tap, uint64_t real_ns, uint64_t tick_ns)
{
	uint64_t data[] = { real_ns, tick_ns };

	put(tap, RECORD_COARSE_CLOCK, data, sizeof(data));
	correlator_coarse_clock(tap->correlator, real_ns, tick_ns);
}

void tap_gap(struct tap *tap, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t data[] = { from_ns, to_ns };

	put(tap, RECORD_GAP, data, sizeof(data));
	correlator_gap(tap->correlator, from_ns, to_ns);
}

void tap_loss(struct tap *tap, uint64_t from_ns, uint64_t to_ns, uint64_t count)
{
	uint64_t data[] = { from_ns, to_ns, count };

	put(tap, RECORD_LOSS, data, sizeof(data));
	correlator_loss(tap->correlator, from_ns, to_ns, count);
}

void tap_kernel(struct tap *tap, bool available)
{
	uint64_t data = available;

	put(tap, RECORD_KERNEL, &data, sizeof(data));
	correlator_kernel(tap->correlator, available);
}

void tap_limit(struct tap *tap, size_t limit_bytes)
{
	uint64_t data = limit_bytes;

	put(tap, RECORD_LIMIT, &data, sizeof(data));
	correlator_limit(tap->correlator, limit_bytes);
}

void tap_advance(struct tap *tap, uint64_t now_ns)
{
	put(tap, RECORD_ADVANCE, &now_ns, sizeof(now_ns));
	correlator_advance(tap->correlator, now_ns);
}

void tap_settle_all(struct tap *tap)
{
	put(tap, RECORD_SETTLE_ALL, NULL, 0);
	correlator_settle_all(tap->correlator);
}

void tap_flush(struct tap *tap)
{
	if (tap->writer)
		record_flush(tap->writer);
}
