/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf wire format, one field at a time, without allocation.
 *
 * Everything read is hostile: a reader never leaves its slice, and a field that does not fit ends
 * the walk with an error. https://protobuf.dev/programming-guides/encoding/ */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_GROUP_START = 3,
	WIRE_GROUP_END = 4,
	WIRE_FIXED32 = 5,
};

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;   /* of VARINT, FIXED64, FIXED32 */
	struct str bytes; /* of BYTES */
	struct str raw;   /* tag and value as they stood */
};

struct wire_reader {
	const char *at;
	const char *end;
};

static inline struct wire_reader wire_read(struct str message)
{
	const char *end = message.len ? message.data + message.len : message.data;

	return (struct wire_reader){ message.data, end }; /* NULL + 0 is undefined */
}

/* A field of any size; see wire_next. */
int wire_next_any(struct wire_reader *reader, struct wire_field *out_field);

/* Up to 16 KiB: the length is one byte, or two. */
static inline bool wire_next_short_bytes(const char *at, size_t left, struct str *out_bytes)
{
	if (left && (uint8_t)at[0] < 0x80) {
		*out_bytes = (struct str){ at + 1, (uint8_t)at[0] };
		return out_bytes->len <= left - 1;
	}
	if (left < 2 || (uint8_t)at[1] >= 0x80)
		return false;
	*out_bytes = (struct str){ at + 2, (at[0] & 0x7f) | (size_t)(uint8_t)at[1] << 7 };
	return out_bytes->len <= left - 2;
}

/* The value of a field whose tag is one byte, and whose value is a short one. false: it is another.
 */
static inline bool wire_next_short(const char *at, const char *end, struct wire_field *field)
{
	const size_t left = (size_t)(end - at);

	switch (field->type) {
	case WIRE_BYTES:
		return wire_next_short_bytes(at, left, &field->bytes);
	case WIRE_VARINT:
		field->value = left ? (uint8_t)*at : 0x80;
		return field->value < 0x80;
	case WIRE_FIXED64:
		if (left < sizeof(uint64_t))
			return false;
		memcpy(&field->value, at, sizeof(uint64_t)); /* little-endian hosts only */
		return true;
	default:
		return false;
	}
}

/* 1: a field; 0: the end; -EBADMSG: not protobuf. Groups are skipped whole. Of `value` and
 * `bytes`, the one that is not of this type is zero. After an error nothing in it means anything.
 * Nearly every field is a short one: they are read in place, without a call. */
static inline int wire_next(struct wire_reader *reader, struct wire_field *out_field)
{
	const char *start = reader->at;
	uint8_t tag;

	if (start >= reader->end)
		return 0;
	tag = (uint8_t)*start;
	*out_field = (struct wire_field){ .number = tag >> 3, .type = (enum wire_type)(tag & 7) };
	if (tag < 1 << 3 || tag >= 0x80 || !wire_next_short(start + 1, reader->end, out_field))
		return wire_next_any(reader, out_field);
	if (out_field->type == WIRE_BYTES)
		reader->at = out_field->bytes.data + out_field->bytes.len;
	else
		reader->at = start + 1 + (out_field->type == WIRE_FIXED64 ? 8 : 1);
	out_field->raw = (struct str){ start, (size_t)(reader->at - start) };
	return 1;
}

#define WIRE_VARINT_BYTES 10 /* at most */

/* To `at`, which has room for WIRE_VARINT_BYTES. Returns what stands after it. */
static inline uint8_t *wire_varint_at(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

void wire_put_varint(struct buf *buf, uint64_t value);
void wire_put_uint(struct buf *buf, uint32_t number, uint64_t value);
void wire_put_fixed64(struct buf *buf, uint32_t number, uint64_t value);
void wire_put_bytes(struct buf *buf, uint32_t number, struct str bytes);
size_t wire_varint_bytes(uint64_t value);

/* zigzag: small negative numbers stay small */
static inline uint64_t wire_zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline int64_t wire_unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* false: the slice ended inside the number, or it is longer than 64 bits. */
bool wire_get_varint(struct wire_reader *reader, uint64_t *out_value);

/* The same, faster where it is mostly one byte or two. */
static inline bool wire_get_short_varint(struct wire_reader *reader, uint64_t *out_value)
{
	const uint8_t *at = (const uint8_t *)reader->at;

	unsigned more; /* no branch: which of the two it is cannot be foretold */

	if (reader->end - reader->at < 2 || (at[0] & at[1] & 0x80))
		return wire_get_varint(reader, out_value);
	more = at[0] >> 7;
	*out_value = (at[0] & 0x7fu) | (at[1] & (0u - more)) << 7;
	reader->at += 1 + more;
	return true;
}
