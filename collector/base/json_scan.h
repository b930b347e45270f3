/* SPDX-License-Identifier: Apache-2.0 */
/* Reads JSON from front to back, value by value, without building a tree: for requests.
 *
 *   json_scan_init(&scan, text);
 *   if (json_scan_open(&scan, JSON_OBJECT))
 *           while (json_scan_key(&scan, &key))
 *                   json_scan_skip(&scan);
 *   json_scan_finish(&scan);
 *   rc = json_scan_fini(&scan);
 *
 * Strict (RFC 8259): no comments, no trailing commas, nothing behind the value. The first problem
 * sticks: every later call returns false, and `problem` and `at` say what and where. Bytes of
 * strings are passed on as they stand, valid UTF-8 or not. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define JSON_SCAN_MAX_DEPTH 192

enum json_type {
	JSON_NOTHING, /* the end, or no value */
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json_scan {
	const char *start; /* borrowed */
	const char *at;    /* where the problem is, when there is one */
	const char *end;
	const char *problem; /* static; NULL: none */
	int error;           /* -EBADMSG or -ENOMEM */
	unsigned depth;
	bool is_first;   /* nothing has been read in the innermost array or object */
	bool is_mended;  /* the last string had half of a surrogate pair: U+FFFD stands there */
	struct buf text; /* owned: the last string that had escapes */
};

void json_scan_init(struct json_scan *scan, struct str text);

/* 0, -EBADMSG or -ENOMEM. `problem` and `at` stay readable. */
int json_scan_fini(struct json_scan *scan);

/* Notes a problem of the caller's, here. Always false. */
bool json_scan_fail(struct json_scan *scan, const char *problem);

/* What comes next, judged by its first byte. */
enum json_type json_scan_peek(struct json_scan *scan);

/* Enters an array or object; then item or key until they say false, which leaves it. `out_key`
 * lives until the next string is read. */
bool json_scan_open(struct json_scan *scan, enum json_type type);
bool json_scan_item(struct json_scan *scan);
bool json_scan_key(struct json_scan *scan, struct str *out_key);

/* The next value. A string lives until the next one is read; a number is its text. */
bool json_scan_string(struct json_scan *scan, struct str *out_text);
bool json_scan_number(struct json_scan *scan, struct str *out_text);
bool json_scan_bool(struct json_scan *scan, bool *out_value);
bool json_scan_null(struct json_scan *scan);
bool json_scan_skip(struct json_scan *scan);

/* Nothing but white space may be left. */
bool json_scan_finish(struct json_scan *scan);

/* Is all of `text` one JSON number? */
bool json_scan_is_number(struct str text);
