/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"

#define HEX_MAX_BYTES 64

void json_init(struct json *json, struct buf *buf)
{
	json->buf = buf;
	json->depth = 0; /* what is deeper is set where it begins */
}

/* Length of the UTF-8 sequence at the front of `text`, 0 when it is none (RFC 3629). */
static size_t utf8_len(struct str text)
{
	const unsigned char *b = (const unsigned char *)text.data;
	size_t len = b[0] < 0x80   ? 1
		     : b[0] < 0xc2 ? 0
		     : b[0] < 0xe0 ? 2
		     : b[0] < 0xf0 ? 3
		     : b[0] < 0xf5 ? 4
				   : 0;

	if (len == 0 || len > text.len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
	    (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
		return 0;
	return len;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_escaped(struct buf *buf, unsigned char c)
{
	switch (c) {
	case '"':
		buf_append_text(buf, "\\\"");
		break;
	case '\\':
		buf_append_text(buf, "\\\\");
		break;
	case '\n':
		buf_append_text(buf, "\\n");
		break;
	case '\r':
		buf_append_text(buf, "\\r");
		break;
	case '\t':
		buf_append_text(buf, "\\t");
		break;
	default:
		buf_printf(buf, "\\u%04x", c);
	}
}

static void put_string(struct buf *buf, struct str text)
{
	size_t i = 0;

	buf_append_byte(buf, '"');
	while (i < text.len) {
		size_t run = i, len;

		while (run < text.len && is_plain((unsigned char)text.data[run]))
			run++;
		buf_append(buf, text.data + i, run - i);
		i = run;
		if (i == text.len)
			break;
		len = utf8_len((struct str){ text.data + i, text.len - i });
		if (len > 1)
			buf_append(buf, text.data + i, len);
		else if (len == 1)
			put_escaped(buf, (unsigned char)text.data[i]);
		else
			buf_append_text(buf, "\\ufffd");
		i += len ? len : 1;
	}
	buf_append_byte(buf, '"');
}

static void begin(struct json *json, const char *key)
{
	if (json->depth) {
		assert(json->is_array[json->depth - 1] == !key);
		if (json->has_items[json->depth - 1])
			buf_append_byte(json->buf, ',');
		json->has_items[json->depth - 1] = true;
	}
	if (key) {
		put_string(json->buf, str_of(key));
		buf_append_byte(json->buf, ':');
	}
}

static void open_level(struct json *json, const char *key, bool is_array)
{
	begin(json, key);
	assert(json->depth < JSON_MAX_DEPTH);
	json->is_array[json->depth] = is_array;
	json->has_items[json->depth] = false;
	json->depth++;
	buf_append_byte(json->buf, is_array ? '[' : '{');
}

void json_object(struct json *json, const char *key)
{
	open_level(json, key, false);
}

void json_array(struct json *json, const char *key)
{
	open_level(json, key, true);
}

void json_end(struct json *json)
{
	assert(json->depth > 0);
	json->depth--;
	buf_append_byte(json->buf, json->is_array[json->depth] ? ']' : '}');
}

void json_str(struct json *json, const char *key, struct str value)
{
	begin(json, key);
	put_string(json->buf, value);
}

void json_text(struct json *json, const char *key, const char *value)
{
	json_str(json, key, str_of(value));
}

#define UINT_MAX_DIGITS 20

/* Answers are full of them: printf takes several times as long. */
static void put_digits(struct buf *buf, uint64_t value)
{
	char digits[UINT_MAX_DIGITS], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_append(buf, at, (size_t)(digits + sizeof(digits) - at));
}

void json_uint(struct json *json, const char *key, uint64_t value)
{
	begin(json, key);
	put_digits(json->buf, value);
}

void json_int(struct json *json, const char *key, int64_t value)
{
	begin(json, key);
	buf_printf(json->buf, "%" PRId64, value);
}

void json_double(struct json *json, const char *key, double value, int decimals)
{
	begin(json, key);
	if (isfinite(value))
		buf_printf(json->buf, "%.*f", decimals, value);
	else
		buf_append_text(json->buf, "null");
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	buf_append_text(json->buf, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
	begin(json, key);
	buf_append_text(json->buf, "null");
}

void json_time(struct json *json, const char *key, uint64_t unix_ns)
{
	begin(json, key);
	buf_append_byte(json->buf, '"');
	put_digits(json->buf, unix_ns);
	buf_append_byte(json->buf, '"');
}

void json_hex(struct json *json, const char *key, const uint8_t *bytes, size_t len)
{
	char text[2 * HEX_MAX_BYTES + 1];

	hex_encode(bytes, MIN(len, (size_t)HEX_MAX_BYTES), text);
	json_text(json, key, text);
}

void json_raw(struct json *json, const char *key, struct str value)
{
	begin(json, key);
	buf_append_str(json->buf, value);
}
