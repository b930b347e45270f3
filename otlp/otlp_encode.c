/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_encode.h"

#include <stdbool.h>

#include "collector/base/wire.h"

/* opentelemetry/proto/trace/v1/trace.proto: TracesData, ResourceSpans and ScopeSpans are alike */
enum { TRACES_RESOURCE_SPANS = 1 };
enum { GROUP_HEAD = 1, GROUP_MEMBERS = 2, GROUP_SCHEMA_URL = 3 };

static bool is_same(struct str a, struct str b)
{
	return (a.data == b.data && a.len == b.len) || str_eq(a, b);
}

size_t otlp_encode_same_resource(const struct otlp_part *parts, size_t count)
{
	size_t n = 1;

	while (n < count && is_same(parts[n].resource, parts[0].resource) &&
	       is_same(parts[n].resource_schema_url, parts[0].resource_schema_url))
		n++;
	return n;
}

size_t otlp_encode_same_scope(const struct otlp_part *parts, size_t count)
{
	size_t n = 1;

	while (n < count && is_same(parts[n].scope, parts[0].scope) &&
	       is_same(parts[n].scope_schema_url, parts[0].scope_schema_url))
		n++;
	return n;
}

/* All our field numbers are below 16: their tags are one byte. */
static size_t field_bytes(size_t len)
{
	return 1 + wire_varint_bytes(len) + len;
}

static size_t head_bytes(struct str head, struct str schema_url)
{
	return field_bytes(head.len) + (schema_url.len ? field_bytes(schema_url.len) : 0);
}

static void put_head(struct buf *out, struct str head, struct str schema_url)
{
	wire_put_bytes(out, GROUP_HEAD, head);
	if (schema_url.len)
		wire_put_bytes(out, GROUP_SCHEMA_URL, schema_url);
}

static void put_group_start(struct buf *out, uint32_t number, size_t len)
{
	wire_put_varint(out, number << 3 | WIRE_BYTES);
	wire_put_varint(out, len);
}

static size_t scope_spans_bytes(const struct otlp_part *parts, size_t count)
{
	size_t bytes = head_bytes(parts[0].scope, parts[0].scope_schema_url);

	for (size_t i = 0; i < count; i++)
		bytes += field_bytes(parts[i].span.len);
	return bytes;
}

static size_t resource_spans_bytes(const struct otlp_part *parts, size_t count)
{
	size_t bytes = head_bytes(parts[0].resource, parts[0].resource_schema_url);

	for (size_t i = 0, n; i < count; i += n) {
		n = otlp_encode_same_scope(parts + i, count - i);
		bytes += field_bytes(scope_spans_bytes(parts + i, n));
	}
	return bytes;
}

static void put_scope_spans(struct buf *out, const struct otlp_part *parts, size_t count)
{
	put_group_start(out, GROUP_MEMBERS, scope_spans_bytes(parts, count));
	put_head(out, parts[0].scope, parts[0].scope_schema_url);
	for (size_t i = 0; i < count; i++)
		wire_put_bytes(out, GROUP_MEMBERS, parts[i].span);
}

static void put_resource_spans(struct buf *out, const struct otlp_part *parts, size_t count)
{
	put_group_start(out, TRACES_RESOURCE_SPANS, resource_spans_bytes(parts, count));
	put_head(out, parts[0].resource, parts[0].resource_schema_url);
	for (size_t i = 0, n; i < count; i += n) {
		n = otlp_encode_same_scope(parts + i, count - i);
		put_scope_spans(out, parts + i, n);
	}
}

int otlp_encode_traces(const struct otlp_part *parts, size_t count, struct buf *out)
{
	for (size_t i = 0, n; i < count; i += n) {
		n = otlp_encode_same_resource(parts + i, count - i);
		put_resource_spans(out, parts + i, n);
	}
	return buf_error(out);
}
