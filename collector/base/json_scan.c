/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/json_scan.h"

#include <errno.h>
#include <stdint.h>

#define REPLACEMENT 0xfffdu /* for half of a surrogate pair */

void json_scan_init(struct json_scan *scan, struct str text)
{
	const char *end = text.len ? text.data + text.len : text.data;

	*scan = (struct json_scan){ .start = text.data, .at = text.data, .end = end };
}

int json_scan_fini(struct json_scan *scan)
{
	buf_fini(&scan->text);
	return scan->error;
}

bool json_scan_fail(struct json_scan *scan, const char *problem)
{
	if (!scan->error) {
		scan->error = -EBADMSG;
		scan->problem = problem;
		scan->end = scan->at; /* so that nothing is read any more */
	}
	return false;
}

static void skip_space(struct json_scan *scan)
{
	while (scan->at < scan->end &&
	       (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
		scan->at++;
}

/* The next byte that is not white space; 0: the end. */
static char next_byte(struct json_scan *scan)
{
	skip_space(scan);
	return scan->at < scan->end ? *scan->at : '\0';
}

enum json_type json_scan_peek(struct json_scan *scan)
{
	switch (next_byte(scan)) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	case '-':
	case '0' ... '9':
		return JSON_NUMBER;
	default:
		return JSON_NOTHING;
	}
}

bool json_scan_open(struct json_scan *scan, enum json_type type)
{
	if (json_scan_peek(scan) != type)
		return json_scan_fail(scan, type == JSON_OBJECT ? "expected an object"
								: "expected an array");
	if (++scan->depth > JSON_SCAN_MAX_DEPTH)
		return json_scan_fail(scan, "nested too deep");
	scan->at++;
	scan->is_first = true;
	return true;
}

/* Is there another item? The comma before it, or `closing` behind the last, is read. */
static bool go_on(struct json_scan *scan, char closing)
{
	char byte = next_byte(scan);
	bool is_first = scan->is_first;

	if (scan->error)
		return false;
	scan->is_first = false;
	if (byte == closing) {
		scan->at++;
		scan->depth--;
		return false;
	}
	if (is_first)
		return true;
	if (byte != ',')
		return json_scan_fail(scan, closing == '}' ? "expected , or }" : "expected , or ]");
	scan->at++;
	return true;
}

bool json_scan_item(struct json_scan *scan)
{
	if (!go_on(scan, ']'))
		return false;
	return json_scan_peek(scan) != JSON_NOTHING || json_scan_fail(scan, "expected a value");
}

bool json_scan_key(struct json_scan *scan, struct str *out_key)
{
	if (!go_on(scan, '}') || !json_scan_string(scan, out_key))
		return false;
	if (next_byte(scan) != ':')
		return json_scan_fail(scan, "expected :");
	scan->at++;
	return true;
}

/* Four hex digits at `at`; negative: they are not there. */
static int32_t hex4(const char *at, const char *end)
{
	int32_t value = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = at[i], lower = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (lower >= 'a' && lower <= 'f')
			value = value * 16 + (lower - 'a' + 10);
		else
			return -1;
	}
	return value;
}

static void put_utf8(struct buf *out, uint32_t c)
{
	char bytes[4];
	size_t len = 0;

	if (c < 0x80) {
		bytes[len++] = (char)c;
	} else if (c < 0x800) {
		bytes[len++] = (char)(0xc0 | c >> 6);
		bytes[len++] = (char)(0x80 | (c & 0x3f));
	} else {
		if (c < 0x10000) {
			bytes[len++] = (char)(0xe0 | c >> 12);
		} else {
			bytes[len++] = (char)(0xf0 | c >> 18);
			bytes[len++] = (char)(0x80 | (c >> 12 & 0x3f));
		}
		bytes[len++] = (char)(0x80 | (c >> 6 & 0x3f));
		bytes[len++] = (char)(0x80 | (c & 0x3f));
	}
	buf_append(out, bytes, len);
}

/* Behind \u. */
static bool put_code_point(struct json_scan *scan)
{
	int32_t high = hex4(scan->at, scan->end), low;
	bool was_mended = scan->is_mended;
	uint32_t c = (uint32_t)high;

	if (high < 0)
		return json_scan_fail(scan, "expected four hex digits");
	scan->at += 4;
	if (high >= 0xd800 && high <= 0xdfff) {
		c = REPLACEMENT;
		scan->is_mended = true;
		low = scan->end - scan->at >= 6 && scan->at[0] == '\\' && scan->at[1] == 'u'
			      ? hex4(scan->at + 2, scan->end)
			      : -1;
		if (high < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) {
			c = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
			scan->at += 6;
			scan->is_mended = was_mended;
		}
	}
	put_utf8(&scan->text, c);
	return true;
}

/* At a backslash. */
static bool put_escape(struct json_scan *scan)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (++scan->at == scan->end)
		return json_scan_fail(scan, "a string does not end");
	if (*scan->at == 'u') {
		scan->at++;
		return put_code_point(scan);
	}
	found = memchr(from, *scan->at, sizeof(from) - 1);
	if (!found)
		return json_scan_fail(scan, "unknown escape in a string");
	buf_append_byte(&scan->text, (uint8_t)to[found - from]);
	scan->at++;
	return true;
}

/* Up to a quote, a backslash or something that may not stand in a string. */
static const char *plain_end(const char *at, const char *end)
{
	while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
		at++;
	return at;
}

bool json_scan_string(struct json_scan *scan, struct str *out_text)
{
	bool is_copied = false;

	if (next_byte(scan) != '"')
		return json_scan_fail(scan, "expected a string");
	scan->at++;
	scan->is_mended = false;
	buf_clear(&scan->text);
	for (;;) {
		const char *piece = scan->at;
		size_t len;

		scan->at = plain_end(piece, scan->end);
		len = (size_t)(scan->at - piece);
		if (scan->at == scan->end)
			return json_scan_fail(scan, "a string does not end");
		if (*scan->at == '"' && !is_copied) {
			scan->at++;
			*out_text = (struct str){ piece, len };
			return true;
		}
		buf_append(&scan->text, piece, len);
		is_copied = true;
		if (*scan->at == '"')
			break;
		if (*scan->at != '\\')
			return json_scan_fail(scan, "a control character in a string");
		if (!put_escape(scan))
			return false;
	}
	scan->at++;
	if (buf_error(&scan->text)) {
		json_scan_fail(scan, "out of memory");
		scan->error = buf_error(&scan->text);
		return false;
	}
	*out_text = buf_str(&scan->text);
	return true;
}

static const char *skip_digits(const char *at, const char *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

/* Behind the number that starts at `at`; NULL: it is none. */
static const char *number_end(const char *at, const char *end)
{
	const char *digits;

	if (at < end && *at == '-')
		at++;
	digits = at;
	at = skip_digits(at, end);
	if (at == digits || (*digits == '0' && at - digits > 1))
		return NULL;
	if (at < end && *at == '.') {
		digits = ++at;
		at = skip_digits(at, end);
		if (at == digits)
			return NULL;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		digits = at;
		at = skip_digits(at, end);
		if (at == digits)
			return NULL;
	}
	return at;
}

bool json_scan_is_number(struct str text)
{
	return text.len > 0 && number_end(text.data, text.data + text.len) == text.data + text.len;
}

bool json_scan_number(struct json_scan *scan, struct str *out_text)
{
	const char *end;

	skip_space(scan);
	end = number_end(scan->at, scan->end);
	if (!end)
		return json_scan_fail(scan, "expected a number");
	*out_text = (struct str){ scan->at, (size_t)(end - scan->at) };
	scan->at = end;
	return true;
}

static bool take_word(struct json_scan *scan, struct str word)
{
	skip_space(scan);
	if ((size_t)(scan->end - scan->at) < word.len || memcmp(scan->at, word.data, word.len) != 0)
		return false;
	scan->at += word.len;
	return true;
}

bool json_scan_bool(struct json_scan *scan, bool *out_value)
{
	if (take_word(scan, STR("true")))
		*out_value = true;
	else if (take_word(scan, STR("false")))
		*out_value = false;
	else
		return json_scan_fail(scan, "expected true or false");
	return true;
}

bool json_scan_null(struct json_scan *scan)
{
	return take_word(scan, STR("null")) || json_scan_fail(scan, "expected null");
}

static bool skip_members(struct json_scan *scan)
{
	struct str key;

	if (!json_scan_open(scan, JSON_OBJECT))
		return false;
	while (json_scan_key(scan, &key))
		json_scan_skip(scan);
	return !scan->error;
}

static bool skip_items(struct json_scan *scan)
{
	if (!json_scan_open(scan, JSON_ARRAY))
		return false;
	while (json_scan_item(scan))
		json_scan_skip(scan);
	return !scan->error;
}

bool json_scan_skip(struct json_scan *scan)
{
	struct str text;
	bool value;

	switch (json_scan_peek(scan)) {
	case JSON_OBJECT:
		return skip_members(scan);
	case JSON_ARRAY:
		return skip_items(scan);
	case JSON_STRING:
		return json_scan_string(scan, &text);
	case JSON_NUMBER:
		return json_scan_number(scan, &text);
	case JSON_BOOL:
		return json_scan_bool(scan, &value);
	case JSON_NULL:
		return json_scan_null(scan);
	default:
		return json_scan_fail(scan, "expected a value");
	}
}

bool json_scan_finish(struct json_scan *scan)
{
	skip_space(scan);
	if (scan->at < scan->end)
		return json_scan_fail(scan, "something follows behind the value");
	return !scan->error;
}
