/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/hex.h"
#include "collector/base/wire.h"
#include "otlp/base64.h"
#include "otlp/otlp_attribute.h"
#include "otlp/otlp_schema.h"

static void put_members(struct json *json, struct str message, const struct otlp_member *members,
			unsigned nesting);
static void put_any_value(struct json *json, const char *key, struct str any_value,
			  unsigned nesting);

static enum wire_type wire_type_of(enum otlp_shape shape)
{
	switch (shape) {
	case OTLP_TIME:
		return WIRE_FIXED64;
	case OTLP_UINT:
	case OTLP_KIND:
	case OTLP_CODE:
		return WIRE_VARINT;
	case OTLP_FLAGS:
		return WIRE_FIXED32;
	default:
		return WIRE_BYTES;
	}
}

/* The next field of `reader` that is this member. */
static bool next_of(struct wire_reader *reader, const struct otlp_member *member,
		    struct wire_field *out_field)
{
	while (wire_next(reader, out_field) > 0) {
		if (out_field->number == member->number &&
		    out_field->type == wire_type_of(member->shape))
			return true;
	}
	return false;
}

static void put_int64(struct json *json, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	json_text(json, key, text);
}

/* The fewest digits that read back as the same number. */
static void put_double(struct json *json, const char *key, double number)
{
	char text[32];

	if (!isfinite(number)) {
		json_text(json, key, isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
		return;
	}
	if (number == 0) { /* "-0" would be an integer to many readers, and lose its sign */
		json_raw(json, key, signbit(number) ? STR("-0.0") : STR("0"));
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	json_raw(json, key, str_of(text));
}

static void put_base64(struct json *json, const char *key, struct str bytes)
{
	json_raw(json, key, STR("\""));
	base64_encode(bytes, true, json->buf);
	buf_append_byte(json->buf, '"');
}

static void put_hex(struct json *json, const char *key, struct str bytes)
{
	json_hex(json, key, (const uint8_t *)bytes.data, bytes.len);
}

/* ArrayValue and KeyValueList are alike: values at 1. */
static void put_values(struct json *json, struct str list, enum otlp_value_type type,
		       unsigned nesting)
{
	struct wire_reader reader = wire_read(list);
	const struct otlp_member values = { 1, OTLP_LIST, "values", NULL };
	struct wire_field field;

	while (nesting < OTLP_JSON_MAX_NESTING && next_of(&reader, &values, &field)) {
		if (type == OTLP_VALUE_ARRAY) {
			put_any_value(json, NULL, field.bytes, nesting + 1);
			continue;
		}
		json_object(json, NULL);
		put_members(json, field.bytes, otlp_key_value_members, nesting + 1);
		json_end(json);
	}
}

/* The pieces of an array or map, merged; what stood before another member is gone. */
static void put_pieces_of(struct json *json, const char *key, struct str any_value,
			  enum otlp_value_type type, unsigned nesting)
{
	struct wire_reader reader = wire_read(any_value), pieces = reader;
	struct wire_field field;

	while (wire_next(&reader, &field) > 0) {
		if (otlp_attribute_is_member(&field) && field.number != (uint32_t)type)
			pieces = reader;
	}
	json_object(json, key);
	json_array(json, "values");
	while (wire_next(&pieces, &field) > 0) {
		if (otlp_attribute_is_member(&field))
			put_values(json, field.bytes, type, nesting);
	}
	json_end(json);
	json_end(json);
}

static void put_any_value(struct json *json, const char *key, struct str any_value,
			  unsigned nesting)
{
	struct otlp_value value = { 0 };

	json_object(json, key);
	otlp_attribute_value(any_value, &value); /* damaged: stays empty */
	switch (value.type) {
	case OTLP_VALUE_EMPTY:
		break;
	case OTLP_VALUE_STRING:
		json_str(json, "stringValue", value.bytes);
		break;
	case OTLP_VALUE_BOOL:
		json_bool(json, "boolValue", value.integer != 0);
		break;
	case OTLP_VALUE_INT:
		put_int64(json, "intValue", value.integer);
		break;
	case OTLP_VALUE_DOUBLE:
		put_double(json, "doubleValue", value.number);
		break;
	case OTLP_VALUE_ARRAY:
		put_pieces_of(json, "arrayValue", any_value, value.type, nesting);
		break;
	case OTLP_VALUE_KVLIST:
		put_pieces_of(json, "kvlistValue", any_value, value.type, nesting);
		break;
	case OTLP_VALUE_BYTES:
		put_base64(json, "bytesValue", value.bytes);
		break;
	}
	json_end(json);
}

static void put_list(struct json *json, struct str message, const struct otlp_member *member,
		     unsigned nesting)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	bool is_open = false;

	while (next_of(&reader, member, &field)) {
		if (!is_open)
			json_array(json, member->name);
		is_open = true;
		if (member->shape == OTLP_TEXTS) {
			json_str(json, NULL, field.bytes);
			continue;
		}
		json_object(json, NULL);
		put_members(json, field.bytes, member->members, nesting);
		json_end(json);
	}
	if (is_open)
		json_end(json);
}

static void put_message(struct json *json, struct str message, const struct otlp_member *member,
			unsigned nesting)
{
	if (member->members == otlp_any_value_members) {
		put_any_value(json, member->name, message, nesting);
		return;
	}
	json_object(json, member->name);
	put_members(json, message, member->members, nesting);
	json_end(json);
}

/* A sub-message that came in several pieces is their concatenation. */
static void put_pieces(struct json *json, struct str message, const struct otlp_member *member,
		       unsigned nesting)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	struct buf merged;

	buf_init(&merged, 0);
	while (next_of(&reader, member, &field))
		buf_append_str(&merged, field.bytes);
	if (buf_error(&merged))
		json->buf->error = buf_error(&merged);
	put_message(json, buf_str(&merged), member, nesting);
	buf_fini(&merged);
}

static void put_last(struct json *json, const struct wire_field *field,
		     const struct otlp_member *member)
{
	switch (member->shape) {
	case OTLP_TEXT:
		json_str(json, member->name, field->bytes);
		break;
	case OTLP_HEX:
		put_hex(json, member->name, field->bytes);
		break;
	case OTLP_TIME:
		json_time(json, member->name, field->value);
		break;
	case OTLP_KIND:
	case OTLP_CODE: /* int32, whatever the sender means by it */
		json_int(json, member->name, (int32_t)field->value);
		break;
	default: /* uint32, fixed32 */
		json_uint(json, member->name, (uint32_t)field->value);
		break;
	}
}

static void put_single(struct json *json, struct str message, const struct otlp_member *member,
		       unsigned nesting)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field, last = { 0 };
	size_t pieces = 0;

	for (; next_of(&reader, member, &field); pieces++)
		last = field;
	if (pieces == 0)
		return;
	if (member->shape != OTLP_MESSAGE)
		put_last(json, &last, member);
	else if (pieces == 1)
		put_message(json, last.bytes, member, nesting);
	else
		put_pieces(json, message, member, nesting);
}

static void put_members(struct json *json, struct str message, const struct otlp_member *members,
			unsigned nesting)
{
	for (const struct otlp_member *member = members; member->name; member++) {
		if (member->shape == OTLP_LIST || member->shape == OTLP_TEXTS)
			put_list(json, message, member, nesting);
		else
			put_single(json, message, member, nesting);
	}
}

static void put_head(struct json *json, const char *key, struct str message,
		     const struct otlp_member *members)
{
	json_object(json, key);
	put_members(json, message, members, 0);
	json_end(json);
}

static void put_schema_url(struct json *json, struct str schema_url)
{
	if (schema_url.len)
		json_str(json, "schemaUrl", schema_url);
}

static void put_scope_spans(struct json *json, const struct otlp_part *parts, size_t count)
{
	json_object(json, NULL);
	put_head(json, "scope", parts[0].scope, otlp_scope_members);
	json_array(json, "spans");
	for (size_t i = 0; i < count; i++)
		put_head(json, NULL, parts[i].span, otlp_span_members);
	json_end(json);
	put_schema_url(json, parts[0].scope_schema_url);
	json_end(json);
}

static void put_resource_spans(struct json *json, const struct otlp_part *parts, size_t count)
{
	json_object(json, NULL);
	put_head(json, "resource", parts[0].resource, otlp_resource_members);
	json_array(json, "scopeSpans");
	for (size_t i = 0, n; i < count; i += n) {
		n = otlp_encode_same_scope(parts + i, count - i);
		put_scope_spans(json, parts + i, n);
	}
	json_end(json);
	put_schema_url(json, parts[0].resource_schema_url);
	json_end(json);
}

void otlp_json_traces(struct json *json, const char *key, const struct otlp_part *parts,
		      size_t count)
{
	json_object(json, key);
	json_array(json, "resourceSpans");
	for (size_t i = 0, n; i < count; i += n) {
		n = otlp_encode_same_resource(parts + i, count - i);
		put_resource_spans(json, parts + i, n);
	}
	json_end(json);
	json_end(json);
}
