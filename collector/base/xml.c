/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/xml.h"

/* The length of the UTF-8 sequence that `text` begins with; 0: it begins with none. */
static size_t sequence_bytes(struct str text)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t first = (uint8_t)text.data[0];
	size_t bytes = first < 0x80       ? 1
		       : first >> 5 == 6  ? 2
		       : first >> 4 == 14 ? 3
		       : first >> 3 == 30 ? 4
					  : 0;
	uint32_t point = bytes == 1 ? first : first & (0x7fu >> bytes);

	if (bytes == 0 || bytes > text.len)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if (((uint8_t)text.data[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | ((uint8_t)text.data[i] & 0x3f);
	}
	if (point < least[bytes] || point > 0x10ffff || point >> 11 == 0x1b || point < 0x20 ||
	    (point >= 0x7f && point < 0xa0) || (point & 0xfffe) == 0xfffe)
		return 0;
	return bytes;
}

void xml_put_text(struct buf *out, struct str text)
{
	while (text.len) {
		size_t bytes = sequence_bytes(text);

		if (bytes == 0)
			buf_append_byte(out, '?');
		else if (*text.data == '<')
			buf_append_text(out, "&lt;");
		else if (*text.data == '>')
			buf_append_text(out, "&gt;");
		else if (*text.data == '&')
			buf_append_text(out, "&amp;");
		else if (*text.data == '"')
			buf_append_text(out, "&quot;");
		else
			buf_append(out, text.data, bytes);
		bytes = bytes ? bytes : 1;
		text.data += bytes;
		text.len -= bytes;
	}
}
