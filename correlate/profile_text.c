/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_text.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "collector/base/macros.h"

static const struct unit_name {
	const char *name;
	enum profile_unit unit;
	double factor;
} unit_names[] = {
	{ "count", PROFILE_COUNT, 1 },       { "samples", PROFILE_COUNT, 1 },
	{ "none", PROFILE_COUNT, 1 },        { "objects", PROFILE_COUNT, 1 },
	{ "nanoseconds", PROFILE_NS, 1 },    { "ns", PROFILE_NS, 1 },
	{ "microseconds", PROFILE_NS, 1e3 }, { "us", PROFILE_NS, 1e3 },
	{ "milliseconds", PROFILE_NS, 1e6 }, { "ms", PROFILE_NS, 1e6 },
	{ "seconds", PROFILE_NS, 1e9 },      { "s", PROFILE_NS, 1e9 },
	{ "bytes", PROFILE_BYTES, 1 },       { "byte", PROFILE_BYTES, 1 },
	{ "B", PROFILE_BYTES, 1 },           { "kB", PROFILE_BYTES, 1e3 },
	{ "MB", PROFILE_BYTES, 1e6 },        { "GB", PROFILE_BYTES, 1e9 },
	{ "kilobytes", PROFILE_BYTES, 1e3 }, { "megabytes", PROFILE_BYTES, 1e6 },
};

static const struct unit_name *find_unit(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(unit_names); i++) {
		if (str_eq(name, str_of(unit_names[i].name)))
			return &unit_names[i];
	}
	return NULL;
}

enum profile_unit profile_unit_of(struct str name, double *out_factor)
{
	const struct unit_name *found = find_unit(name);

	*out_factor = found ? found->factor : 1;
	return found ? found->unit : PROFILE_COUNT;
}

int profile_unit_is_known(struct str name)
{
	return find_unit(name) != NULL;
}

void profile_put_count(struct buf *out, uint64_t count)
{
	char digits[24], text[32];
	int len = 0, written = 0;

	do {
		digits[len++] = (char)('0' + count % 10);
		count /= 10;
	} while (count);
	while (len > 0) {
		text[written++] = digits[--len];
		if (len && len % 3 == 0)
			text[written++] = ',';
	}
	buf_append(out, text, (size_t)written);
}

/* Three digits that matter and the first step whose figure stays below the next one. */
static void put_scaled(struct buf *out, double amount, const char *const names[], double step)
{
	int scale = 0;

	while (amount >= step * 0.9995 && names[scale + 1]) {
		amount /= step;
		scale++;
	}
	buf_printf(out, amount < 9.995 ? "%.2f" : amount < 99.95 ? "%.1f" : "%.0f", amount);
	for (char *end = out->data + out->len - 1; out->len && (*end == '0' || *end == '.');
	     end--) {
		bool is_point = *end == '.';

		if (amount >= 99.95)
			break;
		out->len--;
		if (is_point)
			break;
	}
	buf_printf(out, " %s", names[scale]);
}

void profile_put_amount(struct buf *out, double amount, enum profile_unit unit, const char *noun)
{
	static const char *const times[] = { "ns", "us", "ms", "s", NULL };
	static const char *const sizes[] = { "B", "kB", "MB", "GB", "TB", NULL };

	if (!(amount > 0))
		amount = 0;
	if (unit == PROFILE_NS) {
		put_scaled(out, amount, times, 1000);
	} else if (unit == PROFILE_BYTES) {
		put_scaled(out, amount, sizes, 1000);
	} else {
		profile_put_count(out, (uint64_t)MIN(amount + 0.5, 1.8e19));
		if (noun) /* 1 sample, 2 samples */
			buf_printf(out, " %.*s",
				   (int)strlen(noun) - (amount + 0.5 < 2 && amount >= 0.5), noun);
	}
}

void profile_put_change(struct buf *out, double amount, enum profile_unit unit, const char *noun)
{
	buf_append_byte(out, amount < 0 ? '-' : '+');
	profile_put_amount(out, fabs(amount), unit, noun);
}

void profile_put_share(struct buf *out, double part, double whole)
{
	double percent = whole > 0 ? 100 * part / whole : 0;

	if (!(whole > 0))
		buf_append_byte(out, '-');
	else if (percent > 0 && percent < 0.1)
		buf_append_text(out, "<0.1 %");
	else if (percent < 9.95 && percent > -9.95 && percent != 0)
		buf_printf(out, "%.1f %%", percent);
	else
		buf_printf(out, "%.0f %%", percent);
}

/* "Index<std::string>::add(int)" -> "Index<>::add()". "operator<" and "(*T)" are no brackets. */
static struct str without_arguments(struct str name, char *room, size_t room_bytes)
{
	size_t len = 0, depth = 0;

	for (size_t i = 0; i < name.len && len < room_bytes; i++) {
		char c = name.data[i];
		bool is_name = i && (strchr(".:", name.data[i - 1]) ||
				     (i >= 8 && memcmp(name.data + i - 8, "operator", 8) == 0));
		bool opens = (c == '<' || c == '(') && !is_name && i;
		bool closes = (c == '>' || c == ')') && depth && name.data[i - 1] != '-';

		depth -= closes;
		if (depth == 0)
			room[len++] = c;
		depth += opens;
	}
	return depth ? name : (struct str){ room, len };
}

void profile_put_name(struct buf *out, struct str name, size_t max)
{
	char room[512];
	size_t len;

	if (max && name.len > max)
		name = without_arguments(name, room, sizeof(room));
	len = max ? MIN(name.len, max) : name.len;

	while (len < name.len && len > 0 && ((uint8_t)name.data[len] & 0xc0) == 0x80)
		len--; /* no half character */
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)name.data[i];

		buf_append_byte(out, byte < 0x20 || byte == 0x7f ? '?' : byte);
	}
	if (len < name.len)
		buf_append_text(out, "...");
}
