/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf wire format, one field at a time, without allocation.
 *
 * Everything read is hostile: a reader never leaves its slice, and a field that does not fit ends
 * the walk with an error. https://protobuf.dev/programming-guides/encoding/ */
#pragma once

#include <stdbool.h>
#include <stdint.h>

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

/* 1: a field; 0: the end; -EBADMSG: not protobuf. Groups are skipped whole. Of `value` and
 * `bytes`, the one that is not of this type is zero. After an error nothing in it means anything.
 */
int wire_next(struct wire_reader *reader, struct wire_field *out_field);

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
