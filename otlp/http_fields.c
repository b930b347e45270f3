/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/http_fields.h"

#include <errno.h>
#include <stdint.h>

void http_fields_fini(struct http_fields *fields)
{
	buf_fini(&fields->text);
}

/* Each field: two lengths of 16 bits, then name and value. */
int http_fields_add(struct http_fields *fields, struct str name, struct str value)
{
	const uint16_t lens[2] = { (uint16_t)name.len, (uint16_t)value.len };

	if (name.len > UINT16_MAX || value.len > UINT16_MAX)
		return -EMSGSIZE;
	buf_append(&fields->text, lens, sizeof(lens));
	buf_append_str(&fields->text, name);
	buf_append_str(&fields->text, value);
	return buf_error(&fields->text);
}

bool http_fields_next(const struct http_fields *fields, size_t *cursor,
		      struct http_field *out_field)
{
	const char *at = fields->text.data + *cursor;
	uint16_t lens[2];

	if (buf_error(&fields->text) || *cursor >= fields->text.len)
		return false;
	memcpy(lens, at, sizeof(lens));
	at += sizeof(lens);
	out_field->name = (struct str){ at, lens[0] };
	out_field->value = (struct str){ at + lens[0], lens[1] };
	*cursor += sizeof(lens) + lens[0] + lens[1];
	return true;
}

struct str http_fields_find(const struct http_fields *fields, const char *name)
{
	struct str wanted = str_of(name);
	struct http_field field;
	size_t cursor = 0;

	while (http_fields_next(fields, &cursor, &field)) {
		if (str_eq(field.name, wanted))
			return field.value;
	}
	return (struct str){ 0 };
}

unsigned http_fields_count(const struct http_fields *fields, const char *name)
{
	struct str wanted = str_of(name);
	struct http_field field;
	size_t cursor = 0;
	unsigned count = 0;

	while (http_fields_next(fields, &cursor, &field))
		count += str_eq(field.name, wanted);
	return count;
}
