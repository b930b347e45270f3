/* SPDX-License-Identifier: Apache-2.0 */
/* Reads JSON. Made for walking an answer without a check at every step: whatever is missing or of
 * another type reads as NULL, "", 0 or false, and every function accepts NULL.
 *
 * Values are borrowed from the root, which json_read_free gives back. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

struct json_value;

/* -EBADMSG: not JSON, and `out_message` (may be NULL) says where. -ENOMEM. */
int json_read(struct str text, struct json_value **out_root, struct buf *out_message);
void json_read_free(struct json_value *root);

/* A member of an object. */
const struct json_value *json_read_get(const struct json_value *object, const char *key);
bool json_read_is_null(const struct json_value *value); /* also when it is missing */

/* Of arrays and objects. */
size_t json_read_count(const struct json_value *value);
const struct json_value *json_read_at(const struct json_value *array, size_t index);
/* The members of an object in their order: `*cursor` starts as NULL; NULL ends it. */
const struct json_value *json_read_next(const struct json_value *object, void **cursor,
					const char **out_key);

/* Members of an object by type. A number may also be a string of digits, as Unix times are. */
const char *json_read_text(const struct json_value *object, const char *key);
uint64_t json_read_uint(const struct json_value *object, const char *key);
double json_read_double(const struct json_value *object, const char *key);
bool json_read_bool(const struct json_value *object, const char *key);

/* The value itself. */
const char *json_read_as_text(const struct json_value *value);
uint64_t json_read_as_uint(const struct json_value *value);
double json_read_as_double(const struct json_value *value);
