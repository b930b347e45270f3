/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_decode.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "otlp/otlp_attribute.h"
#include "otlp/otlp_known.h"
#include "otlp/otlp_schema.h"
#include "otlp/otlp_text.h"

/* opentelemetry/proto/trace/v1/trace.proto */
enum { REQUEST_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS = 2, RESOURCE_SPANS_SCHEMA_URL = 3 };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS = 2, SCOPE_SPANS_SCHEMA_URL = 3 };
enum { STATUS_CODE = 3 };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2 };
enum span_field {
	SPAN_TRACE_ID = 1,
	SPAN_SPAN_ID = 2,
	SPAN_TRACE_STATE = 3,
	SPAN_PARENT_SPAN_ID = 4,
	SPAN_NAME = 5,
	SPAN_KIND = 6,
	SPAN_START_TIME = 7,
	SPAN_END_TIME = 8,
	SPAN_ATTRIBUTES = 9,
	SPAN_EVENTS = 11,
	SPAN_LINKS = 13,
	SPAN_STATUS = 15,
	SPAN_FLAGS = 16,
};

const struct otlp_limits otlp_limits_default = {
	.max_spans = 1u << 17,
	.max_resources = 1u << 16,
	.max_scopes = 1u << 16,
	.max_attributes = 10000,
	.max_nesting = OTLP_MAX_NESTING,
};

static const char *const reasons[SPAN_REJECTION_KINDS] = {
#define X(name, label, text) text,
	SPAN_REJECTIONS(X)
#undef X
};

/* One request while it is read. */
struct decoder {
	struct span_batch *batch;
	const struct otlp_limits *limits;
	uint32_t seen; /* spans, rejected ones too */
};

/* A span while its fields come in, in any order. */
struct draft {
	const struct otlp_limits *limits;
	struct span *span; /* in the batch, where the next one belongs */
	struct str trace_id;
	struct str span_id;
	struct str parent_span_id;
	struct otlp_known known;
	uint32_t members; /* attributes, events and links */
	bool has_bad_link;
	bool is_too_large;
	bool is_too_deep;
	bool is_ascii;
};

static bool is_message(const struct wire_field *field, uint32_t number)
{
	return field->number == number && field->type == WIRE_BYTES;
}

/* Strings together all pieces of a sub-message that should have come once: by the rules of protobuf
 * that is the merged message. */
static int gather(struct span_batch *batch, struct str parent, uint32_t number, struct str *out)
{
	struct wire_reader reader = wire_read(parent);
	char *merged = arena_alloc(&batch->arena, parent.len);
	struct wire_field field;
	size_t len = 0;
	int rc;

	if (!merged)
		return -ENOMEM;
	while ((rc = wire_next(&reader, &field)) > 0) {
		if (!is_message(&field, number))
			continue;
		memcpy(merged + len, field.bytes.data, field.bytes.len);
		len += field.bytes.len;
	}
	*out = (struct str){ merged, len };
	return rc;
}

/* A message of which only the attributes have structure. -ELOOP, -E2BIG: beyond the limits. */
static int check_message(struct str message, enum otlp_owner owner,
			 const struct otlp_limits *limits)
{
	struct wire_reader reader = wire_read(message);
	struct otlp_attribute attribute;
	uint32_t count = 0;
	int rc;

	while ((rc = otlp_attribute_next(&reader, owner, limits->max_nesting, &attribute)) > 0)
		count++;
	return rc == 0 && count > limits->max_attributes ? -E2BIG : rc;
}

/* Empty ids make a link to nowhere, which is harmless; of another length no receiver takes them. */
static int take_link(struct draft *draft, struct str link)
{
	struct wire_reader reader = wire_read(link);
	struct wire_field field;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		size_t len = field.number == LINK_TRACE_ID ? TRACE_ID_BYTES : SPAN_ID_BYTES;

		if (field.type == WIRE_BYTES && field.number <= LINK_SPAN_ID)
			draft->has_bad_link |= field.bytes.len != 0 && field.bytes.len != len;
	}
	return rc < 0 ? rc : check_message(link, OTLP_OWNER_LINK, draft->limits);
}

static int take_attribute(struct draft *draft, struct str key_value)
{
	struct otlp_attribute attribute;
	int rc = otlp_attribute_read(key_value, draft->limits->max_nesting, &attribute);

	if (rc < 0)
		return rc;
	draft->is_ascii &=
		otlp_text_is_ascii(attribute.key) && (attribute.value.type == OTLP_VALUE_BYTES ||
						      otlp_text_is_ascii(attribute.value.bytes));
	otlp_known_take(&draft->known, &attribute);
	return 0;
}

static int take_status(struct span *span, struct str status)
{
	struct wire_reader reader = wire_read(status);
	struct wire_field field;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (field.number == STATUS_CODE && field.type == WIRE_VARINT)
			span->status = field.value <= SPAN_STATUS_ERROR ? (uint8_t)field.value
									: SPAN_STATUS_UNSET;
	}
	return rc;
}

static int take_bytes(struct draft *draft, enum span_field number, struct str bytes)
{
	if (number == SPAN_TRACE_STATE || (number >= SPAN_NAME && number != SPAN_ATTRIBUTES))
		draft->is_ascii &= otlp_text_is_ascii(bytes);
	switch (number) {
	case SPAN_TRACE_ID:
		draft->trace_id = bytes;
		return 0;
	case SPAN_SPAN_ID:
		draft->span_id = bytes;
		return 0;
	case SPAN_PARENT_SPAN_ID:
		draft->parent_span_id = bytes;
		return 0;
	case SPAN_NAME:
		draft->span->name = bytes;
		return 0;
	case SPAN_ATTRIBUTES:
		draft->members++;
		return take_attribute(draft, bytes);
	case SPAN_EVENTS:
		draft->members++;
		return check_message(bytes, OTLP_OWNER_EVENT, draft->limits);
	case SPAN_LINKS:
		draft->members++;
		return take_link(draft, bytes);
	case SPAN_STATUS:
		return take_status(draft->span, bytes);
	default:
		return 0;
	}
}

static int take_field(struct draft *draft, const struct wire_field *field)
{
	if (field->type == WIRE_BYTES)
		return take_bytes(draft, (enum span_field)field->number, field->bytes);
	if (field->number == SPAN_START_TIME && field->type == WIRE_FIXED64)
		draft->span->start_unix_ns = field->value;
	else if (field->number == SPAN_END_TIME && field->type == WIRE_FIXED64)
		draft->span->end_unix_ns = field->value;
	else if (field->number == SPAN_FLAGS && field->type == WIRE_FIXED32)
		draft->span->flags = (uint32_t)field->value;
	else if (field->number == SPAN_KIND && field->type == WIRE_VARINT)
		draft->span->kind = field->value <= SPAN_KIND_CONSUMER ? (uint8_t)field->value
								       : SPAN_KIND_UNSPECIFIED;
	return 0;
}

/* SPAN_REJECTION_KINDS: nothing is wrong. */
static enum span_rejection take_ids(struct draft *draft)
{
	struct span *span = draft->span;

	if (draft->trace_id.len != TRACE_ID_BYTES)
		return SPAN_REJECTED_TRACE_ID_LENGTH;
	if (draft->span_id.len != SPAN_ID_BYTES)
		return SPAN_REJECTED_SPAN_ID_LENGTH;
	if (draft->parent_span_id.len != 0 && draft->parent_span_id.len != SPAN_ID_BYTES)
		return SPAN_REJECTED_PARENT_ID_LENGTH;
	memcpy(span->trace_id, draft->trace_id.data, TRACE_ID_BYTES);
	memcpy(span->span_id, draft->span_id.data, SPAN_ID_BYTES);
	if (draft->parent_span_id.len)
		memcpy(span->parent_span_id, draft->parent_span_id.data, SPAN_ID_BYTES);
	if (hex_is_zero(span->trace_id, TRACE_ID_BYTES))
		return SPAN_REJECTED_TRACE_ID_ZERO;
	if (hex_is_zero(span->span_id, SPAN_ID_BYTES))
		return SPAN_REJECTED_SPAN_ID_ZERO;
	if (draft->has_bad_link)
		return SPAN_REJECTED_LINK_ID_LENGTH;
	if (draft->is_too_large || draft->members > draft->limits->max_attributes)
		return SPAN_REJECTED_TOO_LARGE;
	if (draft->is_too_deep)
		return SPAN_REJECTED_TOO_DEEP;
	return SPAN_REJECTION_KINDS;
}

static void reject(struct span_batch *batch, enum span_rejection reason, uint32_t count)
{
	if (count && batch->rejected_count == 0)
		batch->rejected_reason = reasons[reason];
	batch->rejected_count += count;
	batch->rejected[reason] += count;
}

static int keep_span(struct span_batch *batch, struct draft *draft)
{
	struct span *span = draft->span;
	enum span_rejection reason = take_ids(draft);
	int rc;

	if (reason != SPAN_REJECTION_KINDS) {
		reject(batch, reason, 1);
		return 0;
	}
	if (!draft->is_ascii)
		batch->mended_count += otlp_text_mend_message(span->bytes, otlp_span_members);
	span->thread_id = draft->known.thread_id;
	span->process_id = draft->known.process_id;
	rc = otlp_known_peer(&draft->known, span->kind, &batch->arena, &span->peer);
	if (rc < 0)
		return rc;
	if (span->end_unix_ns < span->start_unix_ns) {
		span->backward_ns = span->start_unix_ns - span->end_unix_ns;
		span->end_unix_ns = span->start_unix_ns;
		batch->clamped_count++;
	}
	batch->span_count++;
	return 0;
}

static int read_span(struct decoder *decoder, struct str message)
{
	struct draft draft = { .limits = decoder->limits, .is_ascii = true };
	struct span_batch *batch = decoder->batch;
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	int rc = decoder->seen++ < decoder->limits->max_spans
			 ? otlp_batch_make_room(batch, decoder->limits->max_spans)
			 : -EMSGSIZE;

	if (rc < 0)
		return rc;
	draft.span = &batch->spans[batch->span_count];
	*draft.span = (struct span){ .bytes = message,
				     .resource = batch->resource_count - 1,
				     .scope = batch->scope_count - 1 };
	while ((rc = wire_next(&reader, &field)) > 0) {
		rc = take_field(&draft, &field);
		if (rc == -ELOOP)
			draft.is_too_deep = true;
		else if (rc == -E2BIG)
			draft.is_too_large = true;
		else if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : keep_span(batch, &draft);
}

/* What stands around spans: a Resource or a scope, and a schema url. */
static void mend_group(struct span_batch *batch, struct str message,
		       const struct otlp_member *members, struct str schema_url)
{
	if (!otlp_text_is_ascii(message))
		batch->mended_count += otlp_text_mend_message(message, members);
	if (!otlp_text_is_ascii(schema_url))
		batch->mended_count += otlp_text_mend(schema_url);
}

/* What stands around spans and is beyond the limits takes them along, all since `first`, and is
 * itself forgotten. `rc`: of reading it. */
static int judge_group(struct span_batch *batch, uint32_t first, struct str *bytes, int rc)
{
	if (rc != -ELOOP && rc != -E2BIG)
		return rc;
	reject(batch, rc == -ELOOP ? SPAN_REJECTED_TOO_DEEP : SPAN_REJECTED_TOO_LARGE,
	       batch->span_count - first);
	batch->span_count = first;
	*bytes = STR("");
	return 0;
}

static int read_scope_spans(struct decoder *decoder, struct str message)
{
	const struct otlp_limits *limits = decoder->limits;
	struct span_batch *batch = decoder->batch;
	struct span_scope *scope = &batch->scopes[batch->scope_count++];
	uint32_t first = batch->span_count;
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	size_t pieces = 0;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (is_message(&field, SCOPE_SPANS_SPANS))
			rc = read_span(decoder, field.bytes);
		else if (is_message(&field, SCOPE_SPANS_SCOPE) && pieces++ == 0)
			scope->bytes = field.bytes;
		else if (is_message(&field, SCOPE_SPANS_SCHEMA_URL))
			scope->schema_url = field.bytes;
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && pieces > 1)
		rc = gather(batch, message, SCOPE_SPANS_SCOPE, &scope->bytes);
	if (rc == 0)
		rc = judge_group(batch, first, &scope->bytes,
				 check_message(scope->bytes, OTLP_OWNER_SCOPE, limits));
	if (rc == 0)
		mend_group(batch, scope->bytes, otlp_scope_members, scope->schema_url);
	return rc;
}

static int read_resource_spans(struct decoder *decoder, struct str message)
{
	const struct otlp_limits *limits = decoder->limits;
	struct span_batch *batch = decoder->batch;
	struct span_resource *resource = &batch->resources[batch->resource_count++];
	uint32_t first = batch->span_count;
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	size_t pieces = 0;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (is_message(&field, RESOURCE_SPANS_SCOPE_SPANS))
			rc = read_scope_spans(decoder, field.bytes);
		else if (is_message(&field, RESOURCE_SPANS_RESOURCE) && pieces++ == 0)
			resource->bytes = field.bytes;
		else if (is_message(&field, RESOURCE_SPANS_SCHEMA_URL))
			resource->schema_url = field.bytes;
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && pieces > 1)
		rc = gather(batch, message, RESOURCE_SPANS_RESOURCE, &resource->bytes);
	if (rc == 0)
		rc = judge_group(
			batch, first, &resource->bytes,
			otlp_known_resource(resource, limits->max_attributes, limits->max_nesting));
	if (rc == 0)
		mend_group(batch, resource->bytes, otlp_resource_members, resource->schema_url);
	return rc;
}

/* How many ResourceSpans there are, and ScopeSpans in all of them: few steps, above the spans. */
static int count_groups(struct str message, uint32_t number, uint64_t *out_resources,
			uint64_t *out_scopes)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (!is_message(&field, number))
			continue;
		if (!out_resources) {
			++*out_scopes;
			continue;
		}
		++*out_resources;
		rc = count_groups(field.bytes, RESOURCE_SPANS_SCOPE_SPANS, NULL, out_scopes);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int allocate(struct decoder *decoder)
{
	const struct otlp_limits *limits = decoder->limits;
	uint64_t resources = 0, scopes = 0;
	int rc = count_groups(decoder->batch->body, REQUEST_RESOURCE_SPANS, &resources, &scopes);

	if (rc < 0)
		return rc;
	if (resources > limits->max_resources || scopes > limits->max_scopes)
		return -EMSGSIZE;
	return otlp_batch_allocate(decoder->batch, (uint32_t)resources, (uint32_t)scopes,
				   limits->max_spans);
}

static int fill(struct decoder *decoder)
{
	struct wire_reader reader = wire_read(decoder->batch->body);
	struct wire_field field;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (is_message(&field, REQUEST_RESOURCE_SPANS))
			rc = read_resource_spans(decoder, field.bytes);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int otlp_decode(char *body, size_t len, const struct otlp_limits *limits,
		struct span_batch **out_batch)
{
	struct span_batch *batch = calloc(1, sizeof(*batch));
	struct decoder decoder = { batch, limits ? limits : &otlp_limits_default, 0 };
	int rc;

	if (!batch) {
		free(body);
		return -ENOMEM;
	}
	batch->body = (struct str){ body, len };
	batch->body_owner = body;
	rc = allocate(&decoder);
	if (rc == 0)
		rc = fill(&decoder);
	if (rc < 0) {
		otlp_batch_free(batch);
		return rc;
	}
	otlp_batch_trim(batch);
	*out_batch = batch;
	return 0;
}
