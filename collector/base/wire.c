/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/wire.h"

#include <errno.h>
#include <string.h>

#define GROUP_MAX_DEPTH 32

bool wire_get_varint(struct wire_reader *reader, uint64_t *out_value)
{
	uint64_t value = 0;

	for (int i = 0; i < WIRE_VARINT_BYTES && reader->at < reader->end; i++) {
		uint8_t byte = (uint8_t)*reader->at++;

		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*out_value = value;
			return i < WIRE_VARINT_BYTES - 1 || byte <= 1;
		}
	}
	return false;
}

/* Nearly every tag and length is one byte. */
static inline bool get_varint(struct wire_reader *reader, uint64_t *out_value)
{
	if (reader->at < reader->end && !(*reader->at & 0x80)) {
		*out_value = (uint8_t)*reader->at++;
		return true;
	}
	return wire_get_varint(reader, out_value);
}

static inline bool get_fixed(struct wire_reader *reader, size_t bytes, uint64_t *out_value)
{
	uint64_t value = 0;

	if ((size_t)(reader->end - reader->at) < bytes)
		return false;
	memcpy(&value, reader->at, bytes); /* little-endian hosts only, as the rest of spanwise */
	reader->at += bytes;
	*out_value = value;
	return true;
}

static inline bool get_bytes(struct wire_reader *reader, struct str *out_bytes)
{
	uint64_t len;

	if (!get_varint(reader, &len) || len > (uint64_t)(reader->end - reader->at))
		return false;
	*out_bytes = (struct str){ reader->at, (size_t)len };
	reader->at += len;
	return true;
}

static inline bool get_value(struct wire_reader *reader, struct wire_field *field)
{
	switch (field->type) {
	case WIRE_VARINT:
		return get_varint(reader, &field->value);
	case WIRE_FIXED64:
		return get_fixed(reader, 8, &field->value);
	case WIRE_FIXED32:
		return get_fixed(reader, 4, &field->value);
	case WIRE_BYTES:
		return get_bytes(reader, &field->bytes);
	default:
		return false;
	}
}

static inline bool get_tag(struct wire_reader *reader, struct wire_field *field)
{
	uint64_t tag;

	if (!get_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
		return false;
	field->number = (uint32_t)(tag >> 3);
	field->type = (enum wire_type)(tag & 7);
	return true;
}

/* Deprecated, but legal as an unknown field: skipped up to its matching end. */
__attribute__((noinline)) static bool skip_group(struct wire_reader *reader, uint32_t number)
{
	uint32_t open[GROUP_MAX_DEPTH] = { number };
	int depth = 1;

	while (depth > 0) {
		struct wire_field field = { 0 };

		if (!get_tag(reader, &field))
			return false;
		if (field.type == WIRE_GROUP_START) {
			if (depth == GROUP_MAX_DEPTH)
				return false;
			open[depth++] = field.number;
		} else if (field.type == WIRE_GROUP_END) {
			if (open[--depth] != field.number)
				return false;
		} else if (!get_value(reader, &field)) {
			return false;
		}
	}
	return true;
}

int wire_next_any(struct wire_reader *reader, struct wire_field *out_field)
{
	const char *start = reader->at;
	bool ok;

	if (start >= reader->end)
		return 0;
	out_field->value = 0;
	out_field->bytes = (struct str){ 0 };
	ok = get_tag(reader, out_field);
	if (ok && out_field->type == WIRE_GROUP_START)
		ok = skip_group(reader, out_field->number);
	else if (ok)
		ok = get_value(reader, out_field);
	if (!ok)
		return -EBADMSG;
	out_field->raw = (struct str){ start, (size_t)(reader->at - start) };
	return 1;
}

size_t wire_varint_bytes(uint64_t value)
{
	size_t bytes = 1;

	while (value >>= 7)
		bytes++;
	return bytes;
}

void wire_put_varint(struct buf *buf, uint64_t value)
{
	uint8_t bytes[WIRE_VARINT_BYTES];

	if (value < 0x80)
		buf_append_byte(buf, (uint8_t)value);
	else
		buf_append(buf, bytes, (size_t)(wire_varint_at(bytes, value) - bytes));
}

void wire_put_uint(struct buf *buf, uint32_t number, uint64_t value)
{
	wire_put_varint(buf, (uint64_t)number << 3 | WIRE_VARINT);
	wire_put_varint(buf, value);
}

void wire_put_fixed64(struct buf *buf, uint32_t number, uint64_t value)
{
	wire_put_varint(buf, (uint64_t)number << 3 | WIRE_FIXED64);
	buf_append(buf, &value, sizeof(value));
}

void wire_put_bytes(struct buf *buf, uint32_t number, struct str bytes)
{
	wire_put_varint(buf, (uint64_t)number << 3 | WIRE_BYTES);
	wire_put_varint(buf, bytes.len);
	buf_append_str(buf, bytes);
}
