/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP/HTTP without the HTTP: what a request's headers say, how its body becomes a batch, and what
 * the answer's body is. The same for HTTP/1.1 and HTTP/2; no I/O, no state.
 *
 *   otlp_http_begin  when the headers are there, before the body is read
 *   otlp_http_decode with the whole body
 *   otlp_response_stored or otlp_http_refused for the answer, in the encoding of the request
 *
 * A refusal is a struct grpc_error: its http_status is always set here (400, 405, 413, 415, 503);
 * with retry_delay_ms it is worth a Retry-After. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "otlp/grpc_error.h"
#include "otlp/otlp_coding.h"
#include "otlp/otlp_decode.h"
#include "otlp/otlp_response.h"

#define OTLP_HTTP_TRACES "/v1/traces"

struct otlp_http_request {
	enum otlp_form form;
	enum otlp_coding coding; /* Content-Encoding */
};

/* Zeroed: the defaults. */
struct otlp_http_limits {
	size_t max_body_bytes;           /* as sent, and inflated; 0: 16 MiB */
	size_t max_ratio;                /* inflated bytes for one sent, above 1 MiB; 0: 1000 */
	const struct otlp_limits *batch; /* borrowed; NULL: the defaults */
};

/* Is this (without query) where traces go? Also with a trailing slash, and "/" alone, which
 * exporters use whose endpoint was given without a path. */
bool otlp_http_is_traces(struct str path);

/* Judges method and headers. `content_length`: as sent, empty when absent. On success fills
 * `out_request`; its form is filled in on failure too, for the answer. */
struct grpc_error otlp_http_begin(struct str method, struct str content_type,
				  struct str content_encoding, struct str content_length,
				  const struct otlp_http_limits *limits,
				  struct otlp_http_request *out_request);

/* Inflates and decodes. Takes `body`, heap memory (NULL when `len` is 0), also on failure.
 * `out_detail` gets a sentence for people (JSON: what, at which byte); the error's text points into
 * it, so it must outlive the answer. */
struct grpc_error otlp_http_decode(const struct otlp_http_request *request, char *body, size_t len,
				   const struct otlp_http_limits *limits,
				   struct span_batch **out_batch, struct buf *out_detail);

/* What is said when otlp_decode fails, over gRPC too. */
struct grpc_error otlp_http_decode_error(int rc);

/* The body of a refusal. Errors stick to `out`, whose error is returned. */
int otlp_http_refused(enum otlp_form form, struct grpc_error error, struct buf *out);

/* Content-Type of requests and answers. */
const char *otlp_http_content_type(enum otlp_form form);

/* What an answer with this status must say besides: name and value by turns, then NULL. */
const char *const *otlp_http_hints(unsigned status);

/* The HTTP status for a refusal that has none, as the specification maps them. */
unsigned otlp_http_status(struct grpc_error error);
