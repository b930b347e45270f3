/* SPDX-License-Identifier: Apache-2.0 */
/* Writers of OTEP 4947 as others write them, in the place of ours. TRUTH_WRITER says which:
 *
 *   valid     one record a thread, written in place; where there is no span, `valid` is 0 and the
 *             ids of the last one stay
 *   zeros     the same, but no span is a valid record with zero ids
 *   pointer   one record a thread that is always valid; the variable is null while it is written,
 *             and where there is no span
 *   swap      a record of its own for each change, allocated with attributes of any size, and the
 *             last one freed
 *
 * None publishes a process context. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/accuracy/scenario.h"

#define MOST_ATTRIBUTES 612 /* bytes */

struct record {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	volatile uint8_t valid;
	uint8_t trace_flags;
	uint16_t attrs_bytes;
	uint8_t attrs[];
} __attribute__((aligned(2)));

__thread struct record *volatile otel_thread_ctx_v1 __attribute__((visibility("default")));

static __thread struct record own;
static __thread struct spanwise_token current; /* what is published */

static void barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

static void fill(struct record *record, const struct spanwise_token *span)
{
	memcpy(record->trace_id, span->trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, span->span_id, sizeof(record->span_id));
	record->trace_flags = span->trace_flags;
}

static void write_valid(const struct spanwise_token *span)
{
	otel_thread_ctx_v1 = &own;
	own.valid = 0;
	barrier();
	if (!span->valid)
		return;
	fill(&own, span);
	barrier();
	own.valid = 1;
}

static void write_zeros(const struct spanwise_token *span)
{
	static const struct spanwise_token none;

	otel_thread_ctx_v1 = &own;
	own.valid = 0;
	barrier();
	fill(&own, span->valid ? span : &none);
	barrier();
	own.valid = 1;
}

static void write_pointer(const struct spanwise_token *span)
{
	otel_thread_ctx_v1 = NULL;
	barrier();
	if (!span->valid)
		return;
	fill(&own, span);
	own.valid = 1;
	barrier();
	otel_thread_ctx_v1 = &own;
}

/* {key, length, text} as often as there is room. */
static void add_attributes(struct record *record, size_t bytes)
{
	for (size_t at = 0; at + 2 <= bytes; at += 2 + record->attrs[at + 1]) {
		record->attrs[at] = (uint8_t)at;
		record->attrs[at + 1] = (uint8_t)(bytes - at - 2 < 255 ? bytes - at - 2 : 255);
		memset(&record->attrs[at + 2], 'x', record->attrs[at + 1]);
	}
	record->attrs_bytes = (uint16_t)bytes;
}

static void write_swap(const struct spanwise_token *span)
{
	size_t attrs_bytes = (size_t)(span->span_id[7] % 4) * (MOST_ATTRIBUTES / 4);
	struct record *before = otel_thread_ctx_v1, *record = NULL;

	if (span->valid) {
		record = malloc(offsetof(struct record, attrs) + attrs_bytes);
		scenario_check(record != NULL, "memory");
		fill(record, span);
		add_attributes(record, attrs_bytes);
		record->valid = 1;
	}
	barrier();
	otel_thread_ctx_v1 = record;
	barrier();
	free(before);
}

static const struct {
	const char *name;
	void (*write)(const struct spanwise_token *span);
} writers[] = {
	{ "valid", write_valid },
	{ "zeros", write_zeros },
	{ "pointer", write_pointer },
	{ "swap", write_swap },
};

static void (*write_span)(const struct spanwise_token *span);

static void choose(void)
{
	const char *name = getenv("TRUTH_WRITER");

	for (size_t i = 0; name && i < sizeof(writers) / sizeof(writers[0]); i++)
		if (strcmp(name, writers[i].name) == 0)
			write_span = writers[i].write;
	scenario_check(write_span != NULL, "TRUTH_WRITER");
}

void spanwise_publish(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags)
{
	struct spanwise_token span = { .valid = trace_id != NULL, .trace_flags = trace_flags };

	if (trace_id) {
		memcpy(span.trace_id, trace_id, sizeof(span.trace_id));
		memcpy(span.span_id, span_id, sizeof(span.span_id));
	}
	current = span;
	write_span(&span);
}

void spanwise_attach(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags,
		     struct spanwise_token *out_previous)
{
	*out_previous = current;
	spanwise_publish(trace_id, span_id, trace_flags);
}

void spanwise_detach(const struct spanwise_token *previous)
{
	current = *previous;
	write_span(previous);
}

/* They know of no marks and no logs. */
void spanwise_mark(const uint8_t *trace_id, const uint8_t *span_id)
{
	(void)trace_id;
	(void)span_id;
}

int spanwise_exact_mode(void)
{
	return 0;
}

int spanwise_process_init(const char *service_name, const char *instance_id)
{
	(void)service_name;
	(void)instance_id;
	choose();
	return 0;
}

const char *spanwise_instance_id(void)
{
	return "";
}
