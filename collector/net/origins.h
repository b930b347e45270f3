/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages may read our answers (CORS, https://fetch.spec.whatwg.org): a list from the config,
 * "https://a.example, https://b.example" or "*"; empty or NULL: none. Any thread. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define ORIGINS_MAX_AGE_S 7200 /* browsers ask no more often */

/* Whether `origin`, as a browser sent it, stands in the list, or everybody does. */
bool origins_allow(const char *list, struct str origin);

/* A browser's question before a request, which may be answered: `wanted` is the header
 * Access-Control-Request-Method. */
bool origins_is_preflight(const char *list, struct str method, struct str origin,
			  struct str wanted);

/* Header lines that let the page of `origin` read an answer; nothing without a list. */
void origins_put(const char *list, struct str origin, struct buf *out);
/* The further lines of an answer to a preflight: what may be sent. */
void origins_put_preflight(const char *methods, const char *headers, struct buf *out);
