/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/json_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

static json_t *raw(const struct json_value *value)
{
	return (json_t *)(uintptr_t)value;
}

static const struct json_value *wrap(json_t *value)
{
	return (const struct json_value *)value;
}

int json_read(struct str text, struct json_value **out_root, struct buf *out_message)
{
	json_error_t error;
	json_t *root =
		json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &error);

	if (root) {
		*out_root = (struct json_value *)root;
		return 0;
	}
	if (json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	if (out_message)
		buf_printf(out_message, "line %d, column %d: %s", error.line, error.column,
			   error.text);
	return -EBADMSG;
}

void json_read_free(struct json_value *root)
{
	json_decref(raw(root));
}

const struct json_value *json_read_get(const struct json_value *object, const char *key)
{
	return wrap(json_object_get(raw(object), key));
}

bool json_read_is_null(const struct json_value *value)
{
	return !value || json_is_null(raw(value));
}

size_t json_read_count(const struct json_value *value)
{
	return json_is_array(raw(value)) ? json_array_size(raw(value))
					 : json_object_size(raw(value));
}

const struct json_value *json_read_at(const struct json_value *array, size_t index)
{
	return wrap(json_array_get(raw(array), index));
}

const struct json_value *json_read_next(const struct json_value *object, void **cursor,
					const char **out_key)
{
	*cursor = *cursor ? json_object_iter_next(raw(object), *cursor)
			  : json_object_iter(raw(object));
	if (!*cursor)
		return NULL;
	*out_key = json_object_iter_key(*cursor);
	return wrap(json_object_iter_value(*cursor));
}

const char *json_read_as_text(const struct json_value *value)
{
	const char *text = json_string_value(raw(value));

	return text ? text : "";
}

uint64_t json_read_as_uint(const struct json_value *value)
{
	if (json_is_string(raw(value)))
		return strtoull(json_string_value(raw(value)), NULL, 10);
	if (json_is_real(raw(value)))
		return json_real_value(raw(value)) > 0 ? (uint64_t)json_real_value(raw(value)) : 0;
	return json_integer_value(raw(value)) > 0 ? (uint64_t)json_integer_value(raw(value)) : 0;
}

double json_read_as_double(const struct json_value *value)
{
	return json_number_value(raw(value));
}

const char *json_read_text(const struct json_value *object, const char *key)
{
	return json_read_as_text(json_read_get(object, key));
}

uint64_t json_read_uint(const struct json_value *object, const char *key)
{
	return json_read_as_uint(json_read_get(object, key));
}

double json_read_double(const struct json_value *object, const char *key)
{
	return json_read_as_double(json_read_get(object, key));
}

bool json_read_bool(const struct json_value *object, const char *key)
{
	return json_is_true(raw(json_read_get(object, key)));
}
