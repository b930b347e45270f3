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
	{ 304, "Not Modified" },
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
	{ 429, "Too Many Requests" },
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
	buf_append_text(out, "X-Content-Type-Options: nosniff\r\n");
	if (response->etag)
		buf_printf(out,
			   "ETag: %s\r\nCache-Control: private, no-cache\r\n"
			   "Vary: Accept, Accept-Encoding\r\n",
			   response->etag);
	else
		buf_append_text(out, "Cache-Control: no-store\r\n");
	if (response->status != 304 && response->status != 204)
		buf_printf(out, "Content-Length: %zu\r\n", response->body.len);
	buf_printf(out, "Connection: %s\r\n\r\n", keep_alive ? "keep-alive" : "close");
	if (!is_head && response->body.len)
		buf_append_str(out, response->body);
}

bool http1_has_etag(struct str list, const char *etag)
{
	const char *opaque = etag + 2; /* without the W/ that some clients drop */

	if (list.len == 0)
		return false;
	return str_eq(list, STR("*")) ||
	       memmem(list.data, list.len, opaque, strlen(opaque)) != NULL;
}
