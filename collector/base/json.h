/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON into a buf. Commas are put by the writer; nesting is checked by assert.
 *
 *   json_object(&w, NULL); json_uint(&w, "wall_ns", 612000000); json_end(&w);
 *
 * `key` is NULL inside arrays and at the top. Bytes that are not UTF-8 become U+FFFD. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define JSON_MAX_DEPTH 256

struct json {
	struct buf *buf; /* borrowed */
	unsigned depth;
	bool is_array[JSON_MAX_DEPTH];
	bool has_items[JSON_MAX_DEPTH];
};

void json_init(struct json *json, struct buf *buf);

void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_end(struct json *json);

void json_str(struct json *json, const char *key, struct str value);
void json_text(struct json *json, const char *key, const char *value);
void json_uint(struct json *json, const char *key, uint64_t value);
void json_int(struct json *json, const char *key, int64_t value);
/* NaN and infinity become null. `decimals`: digits after the point. */
void json_double(struct json *json, const char *key, double value, int decimals);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* A Unix time in ns: a string, because it exceeds 2^53. */
void json_time(struct json *json, const char *key, uint64_t unix_ns);
void json_hex(struct json *json, const char *key, const uint8_t *bytes, size_t len);
/* Already JSON. */
void json_raw(struct json *json, const char *key, struct str value);
