/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 requests from bytes, and responses into bytes. No sockets (RFC 9110, RFC 9112).
 *
 *   http1_init -> http1_feed ... until HTTP1_DONE -> answer -> http1_next -> http1_feed ...
 *
 * Strict: what two readers could understand differently is refused, never guessed. One request at a
 * time; bytes after its end are left to the caller, who feeds them after http1_next. Not thread
 * safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define HTTP1_MAX_HEAD_BYTES   ((size_t)16 << 10) /* request line and headers */
#define HTTP1_MAX_TARGET_BYTES ((size_t)8 << 10)
#define HTTP1_MAX_HEADERS      64
#define HTTP1_MAX_CHUNK_LINE   256 /* a chunk's size with its extensions; also each trailer line */
#define HTTP1_MAX_TRAILERS     64

struct http1_header {
	struct str name; /* as sent; compare with http1_header */
	struct str value;
};

/* Everything is a slice of the parser's memory: gone with http1_next and http1_fini. */
struct http1_request {
	struct str method;
	struct str path;      /* still percent-encoded; begins with '/', or is "*" of OPTIONS */
	struct str query;     /* after '?', still encoded; empty: none */
	struct str authority; /* of a target that names its host; the Host header is nothing then */
	struct str body;
	unsigned header_count;
	struct http1_header headers[HTTP1_MAX_HEADERS];
	bool is_head;
	bool keep_alive;
	bool expects_continue; /* wants "100 Continue" before it sends its body */
};

enum http1_state { HTTP1_HEAD, HTTP1_BODY, HTTP1_DONE, HTTP1_BROKEN };

struct http1 {
	enum http1_state state;
	struct http1_request request; /* complete in HTTP1_DONE; without its body in HTTP1_BODY */
	size_t max_body_bytes;
	unsigned max_headers;
	struct buf head;
	struct buf body;
	struct buf line;     /* of a chunk's head or a trailer, while incomplete */
	uint64_t left;       /* of the body or of the chunk */
	unsigned chunk_step; /* enum chunk_step, private */
	unsigned trailers;
	bool stops_at_body;    /* the owner's wish: http1_feed returns once before a body */
	bool is_foreign;       /* the first line names no version of HTTP */
	int status;            /* in HTTP1_BROKEN: what to answer before closing */
	const char *complaint; /* ... and why; static text */
};

void http1_init(struct http1 *http, size_t max_body_bytes);
void http1_fini(struct http1 *http);

/* Other limits than HTTP1_MAX_HEAD_BYTES and _HEADERS (not more of those); before the first byte.
 */
void http1_limit_head(struct http1 *http, size_t max_bytes, unsigned max_headers);

/* Takes bytes up to the end of one request. Returns how many were used; then look at http->state.
 * After HTTP1_BROKEN the connection can only be answered and closed. */
size_t http1_feed(struct http1 *http, struct str bytes);

/* In HTTP1_DONE: gives the body away, heap memory; NULL when it is empty. */
char *http1_take_body(struct http1 *http, size_t *out_len);

/* Forgets the request and awaits another one. */
void http1_next(struct http1 *http);

/* The value of a header by its name in any case; empty when absent. How often it is there. */
struct str http1_header(const struct http1_request *request, const char *name);
unsigned http1_count_header(const struct http1_request *request, const char *name);

/* The weight of `token` in a comma separated list (Accept, Accept-Encoding), in thousandths; 0: it
 * is not there, or not wanted. */
unsigned http1_weight(struct str list, const char *token);

static inline bool http1_accepts(struct str list, const char *token)
{
	return http1_weight(list, token) != 0;
}

/* Whether If-None-Match names this weak ETag, or is a star. */
bool http1_has_etag(struct str list, const char *etag);

/* Replaces %XX; with `plus_is_space`, as in a query, also '+', and controls may be escaped.
 * -EINVAL: a bad escape, a NUL, a control. */
int http1_decode(struct str encoded, bool plus_is_space, struct buf *out);

struct http1_response {
	int status;
	const char *content_type;
	const char *encoding; /* NULL: identity */
	const char *headers;  /* further lines, each ending in \r\n; NULL: none */
	const char *etag;     /* NULL: whoever keeps it cannot ask whether it changed */
	struct str body;
};

/* Appends the response; without its body to a HEAD request. */
void http1_respond(const struct http1_response *response, bool keep_alive, bool is_head,
		   struct buf *out);

const char *http1_status_text(int status);
