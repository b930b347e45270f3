/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of the query API as bytes of HTTP/1.1: ETag and 304, gzip, what browsers must be told.
 * Any thread. */
#pragma once

#include <stdbool.h>

struct answer;
struct buf;
struct http1_request;

/* A browser asks whether a page of `origins` (net/origins.h) may ask. */
bool http_answer_is_preflight(const struct http1_request *request, const char *origins);

/* Appends it to `out`, whose error says when memory was short. All are borrowed. */
void http_answer_put(const struct answer *answer, const struct http1_request *request,
		     const char *origins, bool keep_alive, struct buf *out);
