/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of bytes: a slice of a request, of a file, of the database. Not NUL terminated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *data; /* borrowed; may be NULL when len is 0 */
	size_t len;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })

static inline struct str str_of(const char *text)
{
	return (struct str){ text, strlen(text) };
}

/* A quick hash, for small tables of what came last. */
static inline uint64_t str_glance(struct str text)
{
	uint64_t first = 0, last = 0;

	if (text.len >= sizeof(first)) {
		memcpy(&first, text.data, sizeof(first));
		memcpy(&last, text.data + text.len - sizeof(last), sizeof(last));
	} else if (text.len) {
		memcpy(&first, text.data, text.len);
	}
	return (first ^ last << 1 ^ text.len << 56) * 0x9e3779b97f4a7c15ull;
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
