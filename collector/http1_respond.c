/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http1.h"

#include <stdio.h>

#include "collector/base/macros.h"

static const struct {
	int status;
	const char *text;
} status_texts[] = {
	{ 100, "Continue" },
	{ 200, "OK" },
	{ 204, "No Content" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 410, "Gone" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 421, "Misdirected Request" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

const char *http1_status_text(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(status_texts); i++) {
		if (status_texts[i].status == status)
			return status_texts[i].text;
	}
	return "Unknown";
}

void http1_respond(const struct http1_response *response, bool keep_alive, bool is_head,
		   struct buf *out)
{
	buf_printf(out, "HTTP/1.1 %d %s\r\n", response->status,
		   http1_status_text(response->status));
	if (response->content_type)
		buf_printf(out, "Content-Type: %s\r\n", response->content_type);
	if (response->encoding)
		buf_printf(out, "Content-Encoding: %s\r\n", response->encoding);
	if (response->headers)
		buf_append_text(out, response->headers);
	/* The API answers data that others wrote: no browser may take it for a page. */
	buf_append_text(out, "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
	buf_printf(out, "Content-Length: %zu\r\nConnection: %s\r\n\r\n", response->body.len,
		   keep_alive ? "keep-alive" : "close");
	if (!is_head && response->body.len)
		buf_append_str(out, response->body);
}
