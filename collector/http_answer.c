/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http_answer.h"

#include <inttypes.h>
#include <stdio.h>

#include "collector/base/buf.h"
#include "collector/base/compress.h"
#include "collector/base/map.h"
#include "collector/http1.h"
#include "collector/http_conn.h"
#include "collector/net/origins.h"
#include "collector/query.h"

#define ETAG_CHARS 48

/* Weak: packed or not, it is the same answer. */
static void make_etag(struct str body, char out_etag[ETAG_CHARS])
{
	snprintf(out_etag, ETAG_CHARS, "W/\"%016" PRIx64 "%zx\"", map_hash(body.data, body.len, 0),
		 body.len);
}

bool http_answer_is_preflight(const struct http1_request *request, const char *origins)
{
	return origins_is_preflight(origins, request->method, http1_header(request, "origin"),
				    http1_header(request, "access-control-request-method"));
}

/* The answer's own lines, and what a browser must see before it shows the answer to a page. */
static void put_headers(const struct answer *answer, const struct http1_request *request,
			const char *origins, struct buf *out)
{
	struct str origin = http1_header(request, "origin");

	if (answer->headers)
		buf_append_text(out, answer->headers);
	origins_put(origins, origin, out);
	if (http_answer_is_preflight(request, origins))
		origins_put_preflight("GET, HEAD", "authorization, if-none-match", out);
	else if (origins_allow(origins, origin))
		buf_append_text(out, "Access-Control-Expose-Headers: etag, retry-after\r\n");
	buf_append(out, "", 1);
}

void http_answer_put(const struct answer *answer, const struct http1_request *request,
		     const char *origins, bool keep_alive, struct buf *out)
{
	struct http1_response response = {
		.status = answer->status,
		.content_type = answer->content_type,
		.body = buf_str(&answer->body),
	};
	char etag[ETAG_CHARS];
	struct buf packed, headers;

	buf_init(&packed, 0);
	buf_init(&headers, 0);
	put_headers(answer, request, origins, &headers);
	if (buf_error(&headers) == 0)
		response.headers = headers.data;
	if (answer->has_etag && answer->status == 200) {
		make_etag(response.body, etag);
		response.etag = etag;
		if (http1_has_etag(http1_header(request, "if-none-match"), etag)) {
			response.status = 304;
			response.body.len = 0;
		}
	}
	if (response.body.len >= HTTP_GZIP_BYTES &&
	    http1_accepts(http1_header(request, "accept-encoding"), "gzip") &&
	    compress_gzip(response.body, &packed) == 0) {
		response.encoding = "gzip";
		response.body = buf_str(&packed);
	}
	http1_respond(&response, keep_alive, request->is_head, out);
	buf_fini(&packed);
	buf_fini(&headers);
}
