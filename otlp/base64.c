/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/base64.h"

#include <stdint.h>

#include "collector/base/macros.h"

void base64_encode(struct str bytes, bool pad, struct buf *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *at = (const unsigned char *)bytes.data;

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t len = MIN(bytes.len - i, (size_t)3);
		uint32_t bits = (uint32_t)at[i] << 16 | (len > 1 ? (uint32_t)at[i + 1] << 8 : 0) |
				(len > 2 ? at[i + 2] : 0);
		char text[4] = { digits[bits >> 18], digits[bits >> 12 & 63],
				 len > 1 ? digits[bits >> 6 & 63] : '=',
				 len > 2 ? digits[bits & 63] : '=' };

		buf_append(out, text, pad ? sizeof(text) : len + 1);
	}
}

/* The six bits of a digit; negative: none. */
static int value_of(char digit)
{
	if (digit >= 'A' && digit <= 'Z')
		return digit - 'A';
	if (digit >= 'a' && digit <= 'z')
		return digit - 'a' + 26;
	if (digit >= '0' && digit <= '9')
		return digit - '0' + 52;
	if (digit == '+' || digit == '-')
		return 62;
	return digit == '/' || digit == '_' ? 63 : -1;
}

/* Without the padding; false: more of it than belongs there. */
static bool strip(struct str *text)
{
	size_t len = text->len;

	while (len > 0 && text->data[len - 1] == '=')
		len--;
	if (text->len - len > 2 || (text->len > len && text->len % 4 != 0))
		return false;
	text->len = len;
	return len % 4 != 1;
}

bool base64_decode(struct str text, struct buf *out)
{
	uint32_t bits = 0, count = 0;

	if (!strip(&text))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int value = value_of(text.data[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count < 8)
			continue;
		count -= 8;
		buf_append_byte(out, (uint8_t)(bits >> count));
	}
	return true;
}
