/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_json_decode.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "collector/base/hex.h"
#include "collector/base/json_scan.h"
#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "otlp/base64.h"
#include "otlp/json_number.h"
#include "otlp/otlp_attribute.h"
#include "otlp/otlp_schema.h"

#define INT64_BEYOND 0x1p63

struct decoder {
	struct json_scan scan;
	struct buf *out; /* borrowed */
	uint32_t mended; /* strings with half of a surrogate pair */
};

/* Where a member's bytes stand in the output; start == end: it has not come. */
struct place {
	size_t start;
	size_t end;
};

static bool read_members(struct decoder *decoder, const struct otlp_member *members);

static bool fail(struct decoder *decoder, const char *problem)
{
	return json_scan_fail(&decoder->scan, problem);
}

static void put_tag(struct decoder *decoder, const struct otlp_member *member, enum wire_type type)
{
	wire_put_varint(decoder->out, (uint64_t)member->number << 3 | type);
}

/* The length goes in front of what has been written since `start`. */
static void put_length_at(struct buf *out, size_t start)
{
	size_t len = out->len - start, rest = len, bytes = wire_varint_bytes(len);
	char *at;

	if (!buf_reserve(out, bytes))
		return;
	at = out->data + start;
	memmove(at + bytes, at, len);
	for (size_t i = 0; i < bytes; i++, rest >>= 7)
		at[i] = (char)((rest & 0x7f) | (i + 1 < bytes ? 0x80 : 0));
	out->len += bytes;
}

static bool read_message(struct decoder *decoder, const struct otlp_member *member)
{
	size_t start;

	put_tag(decoder, member, WIRE_BYTES);
	start = decoder->out->len;
	if (!read_members(decoder, member->members))
		return false;
	put_length_at(decoder->out, start);
	return true;
}

static bool read_text(struct decoder *decoder, const struct otlp_member *member)
{
	struct str text;

	if (!json_scan_string(&decoder->scan, &text))
		return false;
	decoder->mended += decoder->scan.is_mended;
	wire_put_bytes(decoder->out, member->number, text);
	return true;
}

/* Not hex: one zero byte, which is an id of no valid length. */
static bool read_hex(struct decoder *decoder, const struct otlp_member *member)
{
	uint8_t bytes[TRACE_ID_BYTES + 1] = { 0 };
	struct str text;
	size_t len;

	if (!json_scan_string(&decoder->scan, &text))
		return false;
	len = MIN(text.len / 2, sizeof(bytes));
	if (!hex_decode((struct str){ text.data, MIN(text.len, 2 * sizeof(bytes)) }, bytes, len)) {
		bytes[0] = 0;
		len = 1;
	}
	wire_put_bytes(decoder->out, member->number, (struct str){ (char *)bytes, len });
	return true;
}

static bool read_base64(struct decoder *decoder, const struct otlp_member *member)
{
	struct str text;
	size_t start;

	if (!json_scan_string(&decoder->scan, &text))
		return false;
	put_tag(decoder, member, WIRE_BYTES);
	start = decoder->out->len;
	if (!base64_decode(text, decoder->out))
		return fail(decoder, "expected base64");
	put_length_at(decoder->out, start);
	return true;
}

/* A number, or a string that holds one. */
static bool read_number_text(struct decoder *decoder, struct str *out_text)
{
	if (json_scan_peek(&decoder->scan) == JSON_STRING)
		return json_scan_string(&decoder->scan, out_text);
	return json_scan_number(&decoder->scan, out_text);
}

static bool read_uint(struct decoder *decoder, uint64_t max, uint64_t *out_value)
{
	struct str text;

	if (!read_number_text(decoder, &text))
		return false;
	return json_number_uint(text, max, out_value) ||
	       fail(decoder, "expected a whole number in range, not negative");
}

static bool read_varint(struct decoder *decoder, const struct otlp_member *member)
{
	uint64_t value;

	if (!read_uint(decoder, UINT32_MAX, &value))
		return false;
	wire_put_uint(decoder->out, member->number, value);
	return true;
}

static bool read_time(struct decoder *decoder, const struct otlp_member *member)
{
	uint64_t value;

	if (!read_uint(decoder, UINT64_MAX, &value))
		return false;
	wire_put_fixed64(decoder->out, member->number, value);
	return true;
}

static bool read_flags(struct decoder *decoder, const struct otlp_member *member)
{
	uint64_t value;

	if (!read_uint(decoder, UINT32_MAX, &value))
		return false;
	put_tag(decoder, member, WIRE_FIXED32);
	buf_append(decoder->out, &value, sizeof(uint32_t)); /* little-endian, as wire.c */
	return true;
}

static bool read_enum(struct decoder *decoder, const struct otlp_member *member)
{
	static const char *const kinds[] = { "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL",
					     "SPAN_KIND_SERVER",      "SPAN_KIND_CLIENT",
					     "SPAN_KIND_PRODUCER",    "SPAN_KIND_CONSUMER" };
	static const char *const codes[] = { "STATUS_CODE_UNSET", "STATUS_CODE_OK",
					     "STATUS_CODE_ERROR" };
	const char *const *names = member->shape == OTLP_KIND ? kinds : codes;
	size_t count = member->shape == OTLP_KIND ? ARRAY_LEN(kinds) : ARRAY_LEN(codes);
	int64_t value = 0;
	struct str text;

	if (!read_number_text(decoder, &text))
		return false;
	while ((size_t)value < count && !str_eq(text, str_of(names[value])))
		value++;
	if ((size_t)value == count &&
	    (!json_number_int(text, &value) || value < INT32_MIN || value > INT32_MAX))
		return fail(decoder, "expected the number of an enum");
	wire_put_uint(decoder->out, member->number, (uint64_t)value);
	return true;
}

static bool read_bool(struct decoder *decoder, const struct otlp_member *member)
{
	bool value;

	if (!json_scan_bool(&decoder->scan, &value))
		return false;
	wire_put_uint(decoder->out, member->number, value);
	return true;
}

static void put_double(struct decoder *decoder, uint32_t number, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	wire_put_fixed64(decoder->out, number, bits);
}

/* JavaScript's SDK sends every double without a fraction as an int, 1e21 too: that one stays a
 * double. */
static bool read_int(struct decoder *decoder, const struct otlp_member *member)
{
	struct str text;
	int64_t value;
	double large;

	if (!read_number_text(decoder, &text))
		return false;
	if (json_number_int(text, &value))
		wire_put_uint(decoder->out, member->number, (uint64_t)value);
	else if (json_number_double(text, &large) && fabs(large) >= INT64_BEYOND && isfinite(large))
		put_double(decoder, OTLP_VALUE_DOUBLE, large);
	else
		return fail(decoder, "expected a whole number");
	return true;
}

static bool read_double(struct decoder *decoder, const struct otlp_member *member)
{
	struct str text;
	double value;

	if (!read_number_text(decoder, &text))
		return false;
	if (!json_number_double(text, &value))
		return fail(decoder, "expected a number, NaN, Infinity or -Infinity");
	put_double(decoder, member->number, value);
	return true;
}

/* A null in an array keeps its place in an ArrayValue, where an empty value is one; in other lists
 * it is nothing. */
static bool read_null_item(struct decoder *decoder, const struct otlp_member *member)
{
	if (member->members == otlp_any_value_members)
		wire_put_bytes(decoder->out, member->number, STR(""));
	return json_scan_null(&decoder->scan);
}

static bool read_list(struct decoder *decoder, const struct otlp_member *member)
{
	if (!json_scan_open(&decoder->scan, JSON_ARRAY))
		return false;
	while (json_scan_item(&decoder->scan)) {
		if (json_scan_peek(&decoder->scan) == JSON_NULL)
			read_null_item(decoder, member);
		else if (member->shape == OTLP_TEXTS)
			read_text(decoder, member);
		else
			read_message(decoder, member);
	}
	return !decoder->scan.error;
}

static bool read_value(struct decoder *decoder, const struct otlp_member *member)
{
	static bool (*const readers[])(struct decoder *, const struct otlp_member *) = {
		[OTLP_TEXT] = read_text, [OTLP_HEX] = read_hex,       [OTLP_BASE64] = read_base64,
		[OTLP_TIME] = read_time, [OTLP_UINT] = read_varint,   [OTLP_KIND] = read_enum,
		[OTLP_CODE] = read_enum, [OTLP_FLAGS] = read_flags,   [OTLP_BOOL] = read_bool,
		[OTLP_INT] = read_int,   [OTLP_DOUBLE] = read_double, [OTLP_MESSAGE] = read_message,
		[OTLP_LIST] = read_list, [OTLP_TEXTS] = read_list,
	};

	return readers[member->shape](decoder, member);
}

static const struct otlp_member *find_member(const struct otlp_member *members, struct str key,
					     size_t *out_index)
{
	for (size_t i = 0; members[i].name; i++) {
		if (members[i].name[0] == key.data[0] && str_eq(str_of(members[i].name), key)) {
			*out_index = i;
			return &members[i];
		}
	}
	return NULL;
}

/* Takes out what the same member brought before: the last one counts. What is moved for that came
 * since, and lies before this member from then on: it is not moved for it again. So repetitions
 * cost no more than their text, however many there are. */
static void forget(struct decoder *decoder, struct place *places, size_t index)
{
	struct place gone = places[index];
	size_t len = gone.end - gone.start;

	if (len == 0 || decoder->out->error)
		return;
	memmove(decoder->out->data + gone.start, decoder->out->data + gone.end,
		decoder->out->len - gone.end);
	decoder->out->len -= len;
	for (size_t i = 0; i < OTLP_MAX_MEMBERS; i++) {
		if (places[i].start >= gone.end) {
			places[i].start -= len;
			places[i].end -= len;
		}
	}
	places[index] = (struct place){ 0 };
}

static bool read_member(struct decoder *decoder, const struct otlp_member *members, struct str key,
			struct place places[static OTLP_MAX_MEMBERS])
{
	const struct otlp_member *member;
	size_t index;

	member = key.len ? find_member(members, key, &index) : NULL;
	if (!member)
		return json_scan_skip(&decoder->scan);
	if (json_scan_peek(&decoder->scan) == JSON_NULL)
		return json_scan_null(&decoder->scan);
	if (member->shape >= OTLP_MESSAGE)
		forget(decoder, places, index);
	places[index].start = decoder->out->len;
	if (!read_value(decoder, member))
		return false;
	places[index].end = decoder->out->len;
	return true;
}

static bool read_members(struct decoder *decoder, const struct otlp_member *members)
{
	struct place places[OTLP_MAX_MEMBERS] = { 0 };
	struct str key;

	if (!json_scan_open(&decoder->scan, JSON_OBJECT))
		return false;
	while (!decoder->out->error && json_scan_key(&decoder->scan, &key))
		read_member(decoder, members, key, places);
	return !decoder->out->error && !decoder->scan.error;
}

static int convert(struct str json, struct buf *out, struct buf *out_problem, uint32_t *out_mended)
{
	struct decoder decoder = { .out = out };
	int rc;

	json_scan_init(&decoder.scan, json);
	if (read_members(&decoder, otlp_traces_members))
		json_scan_finish(&decoder.scan);
	rc = json_scan_fini(&decoder.scan);
	*out_mended = decoder.mended;
	if (buf_error(out)) /* reading stopped there, in the middle of things */
		return buf_error(out);
	if (rc < 0 && out_problem)
		buf_printf(out_problem, "%s at byte %zu", decoder.scan.problem,
			   (size_t)(decoder.scan.at - decoder.scan.start));
	return rc;
}

int otlp_json_to_protobuf(struct str json, struct buf *out, struct buf *out_problem)
{
	uint32_t mended;

	return convert(json, out, out_problem, &mended);
}

int otlp_json_decode(struct str json, size_t max_bytes, const struct otlp_limits *limits,
		     struct span_batch **out_batch, struct buf *out_problem)
{
	struct buf request;
	uint32_t mended;
	int rc;

	buf_init(&request, max_bytes);
	rc = convert(json, &request, out_problem, &mended);
	if (rc < 0) {
		buf_fini(&request);
		return rc;
	}
	rc = otlp_decode(request.data, request.len, limits, out_batch);
	if (rc == 0)
		(*out_batch)->mended_count += mended;
	return rc;
}
