/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/params.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/http1.h"
#include "collector/query/when.h"

#define NUMBER_MAX_CHARS 40

void params_complain(struct params *params, const char *format, ...)
{
	va_list args;

	if (params->complaint.len)
		return;
	va_start(args, format);
	buf_vprintf(&params->complaint, format, args);
	va_end(args);
}

/* The piece before the first `separator`; `rest` goes behind it. */
static struct str cut(struct str *rest, char separator)
{
	const char *at = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
	struct str piece = { rest->data, at ? (size_t)(at - rest->data) : rest->len };

	*rest = at ? (struct str){ at + 1, rest->len - piece.len - 1 } : (struct str){ NULL, 0 };
	return piece;
}

/* Room for all of it was reserved: the slices stay where they are. */
static struct str decode(struct params *params, struct str encoded)
{
	size_t start = params->text.len;

	if (http1_decode(encoded, true, &params->text) < 0)
		params_complain(params, "'%.*s' is not percent-encoded text", (int)encoded.len,
				encoded.data);
	return (struct str){ params->text.data + start, params->text.len - start };
}

static void add(struct params *params, struct str pair)
{
	struct str key = cut(&pair, '=');
	struct param *item = &params->items[params->count];

	if (params->count == PARAMS_MAX) {
		params_complain(params, "more than %d parameters", PARAMS_MAX);
		return;
	}
	*item = (struct param){ .key = decode(params, key), .value = decode(params, pair) };
	for (unsigned i = 0; i < params->count; i++) {
		if (str_eq(params->items[i].key, item->key))
			params_complain(params, "'%.*s' stands there twice", (int)item->key.len,
					item->key.data);
	}
	params->count++;
}

void params_parse(struct params *params, struct str query, uint64_t now_unix_ns)
{
	*params = (struct params){ .now_unix_ns = now_unix_ns };
	buf_init(&params->text, 0);
	buf_init(&params->known, 0);
	buf_init(&params->complaint, 0);
	if (!buf_reserve(&params->text, query.len + 1))
		return params_complain(params, "out of memory");
	while (query.len) {
		struct str pair = cut(&query, '&');

		if (pair.len)
			add(params, pair);
	}
}

static bool has(const struct params *params, struct str key)
{
	for (unsigned i = 0; i < params->count; i++) {
		if (str_eq(params->items[i].key, key))
			return true;
	}
	return false;
}

void params_inherit(struct params *params, struct params *from)
{
	for (unsigned i = 0; i < from->count; i++) {
		struct param *item = &from->items[i];

		/* Whoever asked for it already did not mean us. */
		if (item->is_used && !item->is_shared)
			continue;
		item->is_used = item->is_shared = true;
		if (has(params, item->key))
			continue;
		if (params->count == PARAMS_MAX)
			return params_complain(params, "more than %d parameters", PARAMS_MAX);
		params->items[params->count++] =
			(struct param){ item->key, item->value, false, false };
	}
}

void params_fini(struct params *params)
{
	buf_fini(&params->text);
	buf_fini(&params->known);
	buf_fini(&params->complaint);
}

int params_check(struct params *params)
{
	for (unsigned i = 0; i < params->count && !params->complaint.len; i++) {
		const struct param *item = &params->items[i];

		if (!item->is_used)
			params_complain(params, "unknown parameter '%.*s'; known here:%.*s",
					(int)item->key.len, item->key.data,
					params->known.len ? (int)params->known.len : 5,
					params->known.len ? params->known.data : " none");
	}
	return params->complaint.len ? -EINVAL : 0;
}

static struct param *find(struct params *params, const char *key)
{
	buf_printf(&params->known, " %s", key);
	for (unsigned i = 0; i < params->count; i++) {
		struct param *item = &params->items[i];

		if (!str_eq(item->key, str_of(key)))
			continue;
		item->is_used = true;
		if (item->value.len == 0)
			params_complain(params, "'%s' has no value", key);
		return item;
	}
	return NULL;
}

struct str params_text(struct params *params, const char *key)
{
	const struct param *item = find(params, key);

	return item ? item->value : (struct str){ NULL, 0 };
}

/* As a C string for strtoull and strtod; empty when it is too long to be a number. */
static void copy_number(struct str value, char out[static NUMBER_MAX_CHARS])
{
	if (value.len >= NUMBER_MAX_CHARS)
		value.len = 0;
	if (value.len)
		memcpy(out, value.data, value.len);
	out[value.len] = '\0';
}

uint64_t params_uint(struct params *params, const char *key, uint64_t least, uint64_t most,
		     uint64_t otherwise)
{
	const struct param *item = find(params, key);
	char text[NUMBER_MAX_CHARS], *end;
	uint64_t number;

	if (!item)
		return otherwise;
	copy_number(item->value, text);
	errno = 0;
	number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || number < least || number > most)
		params_complain(params, "'%s' must be a whole number from %" PRIu64 " to %" PRIu64,
				key, least, most);
	return number;
}

double params_double(struct params *params, const char *key, double least, double most,
		     double otherwise)
{
	const struct param *item = find(params, key);
	char text[NUMBER_MAX_CHARS], *end;
	double number;

	if (!item)
		return otherwise;
	copy_number(item->value, text);
	number = strtod(text, &end);
	if (!text[0] || strspn(text, "0123456789.eE+-") != strlen(text) || *end ||
	    !isfinite(number) || number < least || number > most)
		params_complain(params, "'%s' must be a number from %g to %g", key, least, most);
	return number;
}

bool params_flag(struct params *params, const char *key)
{
	const struct param *item = find(params, key);

	if (!item || str_eq(item->value, STR("0")) || str_eq(item->value, STR("false")))
		return false;
	if (!str_eq(item->value, STR("1")) && !str_eq(item->value, STR("true")))
		params_complain(params, "'%s' must be 0 or 1", key);
	return true;
}

uint64_t params_time(struct params *params, const char *key, uint64_t otherwise)
{
	const struct param *item = find(params, key);
	uint64_t time = 0;

	if (!item)
		return otherwise;
	if (!when_parse(item->value, params->now_unix_ns, &time))
		params_complain(params,
				"'%s' must be Unix time in ns, RFC 3339 (2026-01-31T08:00:00Z), "
				"now, or how long ago (-15m; s, m, h, d)",
				key);
	return time;
}

int params_choice(struct params *params, const char *key, const char *(*name_of)(unsigned),
		  unsigned count, int otherwise)
{
	const struct param *item = find(params, key);
	struct buf names;

	if (!item)
		return otherwise;
	buf_init(&names, 0);
	for (unsigned i = 0; i < count; i++) {
		const char *name = name_of(i);

		if (name && str_eq(item->value, str_of(name))) {
			buf_fini(&names);
			return (int)i;
		}
		if (name)
			buf_printf(&names, " %s", name);
	}
	params_complain(params, "'%s' must be one of:%.*s", key, (int)names.len, names.data);
	buf_fini(&names);
	return otherwise;
}

bool params_next_prefixed(struct params *params, const char *prefix, unsigned *cursor,
			  struct str *out_rest, struct str *out_value)
{
	size_t len = strlen(prefix);

	if (*cursor == 0)
		buf_printf(&params->known, " %sKEY", prefix);
	while (*cursor < params->count) {
		struct param *item = &params->items[(*cursor)++];

		if (item->key.len <= len || memcmp(item->key.data, prefix, len) != 0)
			continue;
		item->is_used = true;
		*out_rest = (struct str){ item->key.data + len, item->key.len - len };
		*out_value = item->value;
		return true;
	}
	return false;
}
