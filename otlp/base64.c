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
