/* SPDX-License-Identifier: Apache-2.0 */
/* The header fields of one HTTP/2 request, pseudo-headers included, in the order in which they
 * came.
 *
 * Their size is limited by who adds them. Names arrive in lower case. Zeroed it is empty. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

struct http_field {
	struct str name;
	struct str value;
};

struct http_fields {
	struct buf text; /* owned */
};

void http_fields_fini(struct http_fields *fields);

/* -ENOMEM; -EMSGSIZE: a name or value of 64 KiB or more. */
int http_fields_add(struct http_fields *fields, struct str name, struct str value);

/* The value of the first field of this name; empty when there is none. It borrows from `fields`. */
struct str http_fields_find(const struct http_fields *fields, const char *name);

/* How many fields have this name. */
unsigned http_fields_count(const struct http_fields *fields, const char *name);

/* Visits all fields: `*cursor` starts at 0; false ends it. */
bool http_fields_next(const struct http_fields *fields, size_t *cursor,
		      struct http_field *out_field);
