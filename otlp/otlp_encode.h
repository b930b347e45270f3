/* SPDX-License-Identifier: Apache-2.0 */
/* Spans back into OTLP: the bytes that once came in, grouped under their resources and scopes.
 *
 * Every Span, Resource and InstrumentationScope message is passed on as it stood, with the fields
 * that we do not know. Consecutive parts of the same resource, and within it of the same scope,
 * share one group. Thread safe: no state. */
#pragma once

#include <stddef.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

/* One span with what it belongs to; the messages are as in struct span_batch. */
struct otlp_part {
	struct str resource;
	struct str resource_schema_url;
	struct str scope;
	struct str scope_schema_url;
	struct str span;
};

/* Appends a TracesData message (the same bytes as an ExportTraceServiceRequest). Errors stick to
 * `out`, whose error is returned. */
int otlp_encode_traces(const struct otlp_part *parts, size_t count, struct buf *out);

/* How many parts at the front share the first one's resource, or its resource and scope. */
size_t otlp_encode_same_resource(const struct otlp_part *parts, size_t count);
size_t otlp_encode_same_scope(const struct otlp_part *parts, size_t count);
