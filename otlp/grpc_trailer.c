/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_trailer.h"

#include <string.h>

#include "collector/base/macros.h"
#include "otlp/base64.h"
#include "otlp/otlp_response.h"

#define MESSAGE_MAX_BYTES 1024 /* clients take 8 KiB of trailers in all */

static size_t begin(struct grpc_trailer *trailer, const char *name)
{
	trailer->fields[trailer->count].name = name;
	trailer->fields[trailer->count].offset = trailer->text.len;
	return trailer->count++;
}

static void end(struct grpc_trailer *trailer, size_t field)
{
	trailer->fields[field].len = trailer->text.len - trailer->fields[field].offset;
}

static void put_number(struct grpc_trailer *trailer, const char *name, uint32_t number)
{
	size_t field = begin(trailer, name);

	buf_printf(&trailer->text, "%u", number);
	end(trailer, field);
}

void grpc_trailer_encode_message(const char *text, struct buf *out)
{
	size_t len = strnlen(text, MESSAGE_MAX_BYTES);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c <= 0x7e && c != '%')
			buf_append_byte(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static void put_message(struct grpc_trailer *trailer, const char *text)
{
	size_t field = begin(trailer, "grpc-message");

	grpc_trailer_encode_message(text, &trailer->text);
	end(trailer, field);
}

/* Unpadded: what gRPC prefers. */
static void put_details(struct grpc_trailer *trailer, enum grpc_status status, const char *text,
			uint32_t retry_delay_ms)
{
	size_t field = begin(trailer, "grpc-status-details-bin");
	struct buf message;
	int rc;

	buf_init(&message, 0);
	rc = otlp_response_status(status, text, retry_delay_ms, &message);
	if (rc < 0)
		trailer->text.error = rc;
	base64_encode(buf_str(&message), false, &trailer->text);
	buf_fini(&message);
	end(trailer, field);
}

int grpc_trailer_init(struct grpc_trailer *trailer, enum grpc_status status, const char *text,
		      uint32_t retry_delay_ms)
{
	*trailer = (struct grpc_trailer){ 0 };
	put_number(trailer, "grpc-status", status);
	if (status != GRPC_OK && text && *text)
		put_message(trailer, text);
	if (status != GRPC_OK && retry_delay_ms) {
		put_details(trailer, status, text, retry_delay_ms);
		put_number(trailer, "grpc-retry-pushback-ms", retry_delay_ms);
	}
	return buf_error(&trailer->text);
}

void grpc_trailer_fini(struct grpc_trailer *trailer)
{
	buf_fini(&trailer->text);
}
