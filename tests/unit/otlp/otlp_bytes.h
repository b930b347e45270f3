/* SPDX-License-Identifier: Apache-2.0 */
/* Writes OTLP messages field by field, right or wrong, for tests. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "collector/base/buf.h"
#include "collector/base/wire.h"
#include "otlp/otlp_decode.h"

#define TRACE_A STR("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10")
#define SPAN_A  STR("\x11\x12\x13\x14\x15\x16\x17\x18")
#define SPAN_B  STR("\x21\x22\x23\x24\x25\x26\x27\x28")

/* Appends `message`, which is emptied, as field `number` of `out`. */
static inline void bytes_put_message(struct buf *out, uint32_t number, struct buf *message)
{
	wire_put_bytes(out, number, buf_str(message));
	buf_fini(message);
}

static inline void bytes_put_fixed32(struct buf *out, uint32_t number, uint32_t value)
{
	wire_put_varint(out, (uint64_t)number << 3 | WIRE_FIXED32);
	buf_append(out, &value, sizeof(value));
}

/* A KeyValue as field `owner` of `out`; `value` is an AnyValue message. */
static inline void bytes_put_attribute(struct buf *out, uint32_t owner, const char *key,
				       struct buf *value)
{
	struct buf attribute = { 0 };

	wire_put_bytes(&attribute, 1, str_of(key));
	bytes_put_message(&attribute, 2, value);
	bytes_put_message(out, owner, &attribute);
}

static inline void bytes_put_text(struct buf *out, uint32_t owner, const char *key,
				  const char *text)
{
	struct buf value = { 0 };

	wire_put_bytes(&value, 1, str_of(text));
	bytes_put_attribute(out, owner, key, &value);
}

static inline void bytes_put_int(struct buf *out, uint32_t owner, const char *key, int64_t integer)
{
	struct buf value = { 0 };

	wire_put_uint(&value, 3, (uint64_t)integer);
	bytes_put_attribute(out, owner, key, &value);
}

static inline void bytes_put_double(struct buf *out, uint32_t owner, const char *key, double number)
{
	struct buf value = { 0 };
	uint64_t bits;

	memcpy(&bits, &number, sizeof(bits));
	wire_put_fixed64(&value, 4, bits);
	bytes_put_attribute(out, owner, key, &value);
}

static inline void bytes_put_ids(struct buf *span, struct str trace_id, struct str span_id)
{
	wire_put_bytes(span, 1, trace_id);
	wire_put_bytes(span, 2, span_id);
}

/* A span of the shortest kind, for tests that look at something else. */
static inline struct buf bytes_span(struct str span_id, const char *name)
{
	struct buf span = { 0 };

	bytes_put_ids(&span, TRACE_A, span_id);
	wire_put_bytes(&span, 5, str_of(name));
	wire_put_fixed64(&span, 7, 1000);
	wire_put_fixed64(&span, 8, 3000);
	return span;
}

/* The whole request around one Span message, which is emptied. */
static inline struct buf bytes_request(struct buf *span)
{
	struct buf scope_spans = { 0 }, resource_spans = { 0 }, request = { 0 };

	bytes_put_message(&scope_spans, 2, span);
	bytes_put_message(&resource_spans, 2, &scope_spans);
	bytes_put_message(&request, 1, &resource_spans);
	return request;
}

/* Gives the bytes away, in a block of exactly their size so that ASan sees the smallest overrun. */
static inline int bytes_decode(struct buf *request, const struct otlp_limits *limits,
			       struct span_batch **out_batch)
{
	size_t len = request->len;
	char *body = len ? malloc(len) : NULL;

	if (len)
		memcpy(body, request->data, len);
	buf_fini(request);
	return otlp_decode(body, len, limits, out_batch);
}
