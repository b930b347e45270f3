/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_attribute.h"

#include <errno.h>
#include <stdlib.h>

/* Of messages below a KeyValue. */
#define DEPTH_OF(nesting) (2 * (int)(nesting) + 1)

#define NUMBER_TEXT_MAX 40

enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2 };
enum { LIST_VALUES = 1 }; /* of ArrayValue and KeyValueList alike */

/* `room`: how many messages deeper it may still go. */
static int read_value(struct str any_value, int room, struct otlp_value *out_value);
static int read_attribute(struct str key_value, int room, struct otlp_attribute *out);

static int check_list(struct str list, enum otlp_value_type type, int room)
{
	struct wire_reader reader = wire_read(list);
	struct wire_field field;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		struct otlp_attribute ignored;

		if (field.number != LIST_VALUES || field.type != WIRE_BYTES)
			continue;
		rc = type == OTLP_VALUE_ARRAY ? read_value(field.bytes, room, &ignored.value)
					      : read_attribute(field.bytes, room, &ignored);
		if (rc < 0)
			return rc;
	}
	return rc;
}

bool otlp_attribute_is_member(const struct wire_field *field)
{
	switch (field->number) {
	case OTLP_VALUE_STRING:
	case OTLP_VALUE_ARRAY:
	case OTLP_VALUE_KVLIST:
	case OTLP_VALUE_BYTES:
		return field->type == WIRE_BYTES;
	case OTLP_VALUE_BOOL:
	case OTLP_VALUE_INT:
		return field->type == WIRE_VARINT;
	case OTLP_VALUE_DOUBLE:
		return field->type == WIRE_FIXED64;
	default:
		return false;
	}
}

static int take_member(const struct wire_field *field, int room, struct otlp_value *value)
{
	*value = (struct otlp_value){ .type = (enum otlp_value_type)field->number };
	switch (value->type) {
	case OTLP_VALUE_BOOL:
		value->integer = field->value != 0;
		return 0;
	case OTLP_VALUE_INT:
		value->integer = (int64_t)field->value;
		return 0;
	case OTLP_VALUE_DOUBLE:
		memcpy(&value->number, &field->value, sizeof(value->number));
		return 0;
	case OTLP_VALUE_ARRAY:
	case OTLP_VALUE_KVLIST:
		value->bytes = field->bytes;
		return check_list(field->bytes, value->type, room - 2);
	default:
		value->bytes = field->bytes;
		return 0;
	}
}

static int read_value(struct str any_value, int room, struct otlp_value *out_value)
{
	struct wire_reader reader = wire_read(any_value);
	struct otlp_value value = { 0 };
	struct wire_field field;
	int rc;

	if (room < 0)
		return -ELOOP;
	while ((rc = wire_next(&reader, &field)) > 0) {
		if (otlp_attribute_is_member(&field))
			rc = take_member(&field, room, &value);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		*out_value = value;
	return rc;
}

static int read_attribute(struct str key_value, int room, struct otlp_attribute *out)
{
	struct wire_reader reader = wire_read(key_value);
	struct otlp_attribute attribute = { 0 };
	struct wire_field field;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (field.type != WIRE_BYTES)
			continue;
		if (field.number == KEY_VALUE_KEY)
			attribute.key = field.bytes;
		else if (field.number == KEY_VALUE_VALUE)
			rc = read_value(field.bytes, room - 1, &attribute.value);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		*out = attribute;
	return rc;
}

int otlp_attribute_value(struct str any_value, struct otlp_value *out_value)
{
	return read_value(any_value, DEPTH_OF(OTLP_MAX_NESTING) - 1, out_value);
}

#define TAG(number, wire_type) ((number) << 3 | (wire_type))

/* A value of one member: a short string that fills it to the end, or a number. false: it is of
 * another kind, or damaged. */
static bool read_plain_value(struct str any_value, struct otlp_value *out_value)
{
	const uint8_t *at = (const uint8_t *)any_value.data;
	struct wire_reader rest;
	uint64_t value;

	if (any_value.len < 2)
		return false;
	rest = (struct wire_reader){ any_value.data + 1, any_value.data + any_value.len };
	*out_value = (struct otlp_value){ .type = (enum otlp_value_type)(at[0] >> 3) };
	switch (at[0]) {
	case TAG(OTLP_VALUE_STRING, WIRE_BYTES):
	case TAG(OTLP_VALUE_BYTES, WIRE_BYTES):
		out_value->bytes = (struct str){ any_value.data + 2, any_value.len - 2 };
		return at[1] < 0x80 && at[1] == any_value.len - 2;
	case TAG(OTLP_VALUE_BOOL, WIRE_VARINT):
	case TAG(OTLP_VALUE_INT, WIRE_VARINT):
		if (!wire_get_varint(&rest, &value) || rest.at != rest.end)
			return false;
		out_value->integer =
			at[0] == TAG(OTLP_VALUE_INT, WIRE_VARINT) ? (int64_t)value : value != 0;
		return true;
	case TAG(OTLP_VALUE_DOUBLE, WIRE_FIXED64):
		if (any_value.len != 1 + sizeof(out_value->number))
			return false;
		memcpy(&out_value->number, at + 1, sizeof(out_value->number));
		return true;
	default:
		return false;
	}
}

/* What all SDKs write: one key, then one plain value, and nothing else. */
static bool read_plain(struct str key_value, struct otlp_attribute *out)
{
	const uint8_t *at = (const uint8_t *)key_value.data;
	size_t key_len, value_len;

	if (key_value.len < 4 || at[0] != (KEY_VALUE_KEY << 3 | WIRE_BYTES) || at[1] >= 0x80)
		return false;
	key_len = at[1];
	if (key_value.len < key_len + 4 || at[key_len + 2] != (KEY_VALUE_VALUE << 3 | WIRE_BYTES) ||
	    at[key_len + 3] >= 0x80)
		return false;
	value_len = at[key_len + 3];
	if (key_value.len != key_len + 4 + value_len)
		return false;
	out->key = (struct str){ key_value.data + 2, key_len };
	return read_plain_value((struct str){ key_value.data + key_len + 4, value_len },
				&out->value);
}

int otlp_attribute_read(struct str key_value, unsigned max_nesting,
			struct otlp_attribute *out_attribute)
{
	if (read_plain(key_value, out_attribute))
		return 0;
	return read_attribute(key_value, DEPTH_OF(max_nesting), out_attribute);
}

int otlp_attribute_next(struct wire_reader *reader, enum otlp_owner owner, unsigned max_nesting,
			struct otlp_attribute *out_attribute)
{
	struct wire_field field;
	int rc;

	while ((rc = wire_next(reader, &field)) > 0) {
		if (field.number != owner || field.type != WIRE_BYTES)
			continue;
		rc = otlp_attribute_read(field.bytes, max_nesting, out_attribute);
		return rc < 0 ? rc : 1;
	}
	return rc;
}

int otlp_attribute_find(struct str message, enum otlp_owner owner, struct str key,
			struct otlp_value *out_value)
{
	struct wire_reader reader = wire_read(message);
	struct otlp_attribute attribute;
	int rc, found = -ENOENT;

	while ((rc = otlp_attribute_next(&reader, owner, OTLP_MAX_NESTING, &attribute)) > 0) {
		if (!str_eq(attribute.key, key))
			continue;
		*out_value = attribute.value;
		found = 0;
	}
	return rc < 0 ? rc : found;
}

/* A NUL terminated copy, for strtod and strtoll. */
static bool copy_number(struct str text, char out_text[static NUMBER_TEXT_MAX])
{
	if (text.len == 0 || text.len >= NUMBER_TEXT_MAX || text.data[0] <= ' ')
		return false;
	memcpy(out_text, text.data, text.len);
	out_text[text.len] = '\0';
	return true;
}

static bool parse_int(struct str text, int64_t *out_integer)
{
	char digits[NUMBER_TEXT_MAX], *end;
	long long integer;

	if (!copy_number(text, digits))
		return false;
	errno = 0;
	integer = strtoll(digits, &end, 10);
	if (errno || end != digits + text.len)
		return false;
	*out_integer = integer;
	return true;
}

static bool parse_double(struct str text, double *out_number)
{
	char digits[NUMBER_TEXT_MAX], *end;
	double number;

	if (!copy_number(text, digits))
		return false;
	number = strtod(digits, &end);
	if (end != digits + text.len)
		return false;
	*out_number = number;
	return true;
}

bool otlp_attribute_as_int(const struct otlp_value *value, int64_t *out_integer)
{
	const double limit = 9007199254740992.0; /* 2^53: beyond it a double skips integers */

	switch (value->type) {
	case OTLP_VALUE_INT:
		*out_integer = value->integer;
		return true;
	case OTLP_VALUE_DOUBLE:
		if (!(value->number >= -limit && value->number <= limit) ||
		    value->number != (double)(int64_t)value->number)
			return false;
		*out_integer = (int64_t)value->number;
		return true;
	case OTLP_VALUE_STRING:
		return parse_int(value->bytes, out_integer);
	default:
		return false;
	}
}

bool otlp_attribute_matches(const struct otlp_value *value, struct str text)
{
	int64_t integer;
	double number;

	switch (value->type) {
	case OTLP_VALUE_STRING:
	case OTLP_VALUE_BYTES:
		return str_eq(value->bytes, text);
	case OTLP_VALUE_BOOL:
		return str_eq(text, value->integer ? STR("true") : STR("false"));
	case OTLP_VALUE_INT:
		return parse_int(text, &integer) && integer == value->integer;
	case OTLP_VALUE_DOUBLE:
		return parse_double(text, &number) && number == value->number;
	default:
		return false;
	}
}
