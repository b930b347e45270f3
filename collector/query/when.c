/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/when.h"

#include <time.h>

#include "collector/base/macros.h"

#define LEAST_NS_DIGITS 17 /* of the year 1973; whatever is shorter was meant in another unit */
#define MAX_NS_DIGITS   19

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Takes exactly `digits` digits off the front. */
static bool take_number(struct str *text, unsigned digits, int *out_number)
{
	int number = 0;

	if (text->len < digits)
		return false;
	for (unsigned i = 0; i < digits; i++) {
		if (!is_digit(text->data[i]))
			return false;
		number = number * 10 + (text->data[i] - '0');
	}
	text->data += digits;
	text->len -= digits;
	*out_number = number;
	return true;
}

static bool take_char(struct str *text, const char *either)
{
	if (text->len == 0 || !memchr(either, text->data[0], strlen(either)))
		return false;
	text->data++;
	text->len--;
	return true;
}

static bool parse_ns(struct str text, uint64_t *out_unix_ns)
{
	uint64_t number = 0;

	if (str_eq(text, STR("0"))) {
		*out_unix_ns = 0;
		return true;
	}
	if (text.len < LEAST_NS_DIGITS || text.len > MAX_NS_DIGITS)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (!is_digit(text.data[i]))
			return false;
		number = number * 10 + (uint64_t)(text.data[i] - '0');
	}
	*out_unix_ns = number;
	return true;
}

static bool parse_ago(struct str text, uint64_t now_unix_ns, uint64_t *out_unix_ns)
{
	uint64_t number = 0, unit_s;

	text.data++;
	text.len--;
	if (text.len < 2 || text.len > 9)
		return false;
	for (size_t i = 0; i + 1 < text.len; i++) {
		if (!is_digit(text.data[i]))
			return false;
		number = number * 10 + (uint64_t)(text.data[i] - '0');
	}
	switch (text.data[text.len - 1]) {
	case 's':
		unit_s = 1;
		break;
	case 'm':
		unit_s = 60;
		break;
	case 'h':
		unit_s = 3600;
		break;
	case 'd':
		unit_s = 86400;
		break;
	default:
		return false;
	}
	number *= unit_s; /* at most 8 digits of days: fits */
	*out_unix_ns = number < now_unix_ns / NS_PER_SEC ? now_unix_ns - number * NS_PER_SEC : 0;
	return true;
}

static bool take_fraction(struct str *text, uint64_t *out_ns)
{
	uint64_t unit = NS_PER_SEC / 10;

	*out_ns = 0;
	if (!take_char(text, "."))
		return true;
	if (text->len == 0 || !is_digit(text->data[0]))
		return false;
	while (text->len && is_digit(text->data[0])) {
		*out_ns += (uint64_t)(text->data[0] - '0') * unit;
		unit /= 10;
		text->data++;
		text->len--;
	}
	return true;
}

/* "Z" or "+01:00", to the end of the text. A '+' that was not percent-encoded came as a space. */
static bool take_offset(struct str *text, int *out_seconds)
{
	bool is_west = text->len && text->data[0] == '-';
	int hours, minutes;

	*out_seconds = 0;
	if (take_char(text, "Zz"))
		return text->len == 0;
	if (!take_char(text, "+- ") || !take_number(text, 2, &hours) || !take_char(text, ":") ||
	    !take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*out_seconds = (hours * 60 + minutes) * (is_west ? -60 : 60);
	return text->len == 0;
}

static bool parse_rfc3339(struct str text, uint64_t *out_unix_ns)
{
	struct tm tm = { 0 }, again;
	uint64_t fraction_ns;
	int offset_s;
	time_t seconds;

	if (!take_number(&text, 4, &tm.tm_year) || !take_char(&text, "-") ||
	    !take_number(&text, 2, &tm.tm_mon) || !take_char(&text, "-") ||
	    !take_number(&text, 2, &tm.tm_mday) || !take_char(&text, "Tt ") ||
	    !take_number(&text, 2, &tm.tm_hour) || !take_char(&text, ":") ||
	    !take_number(&text, 2, &tm.tm_min) || !take_char(&text, ":") ||
	    !take_number(&text, 2, &tm.tm_sec) || !take_fraction(&text, &fraction_ns) ||
	    !take_offset(&text, &offset_s))
		return false;
	if (tm.tm_year < 1970 || tm.tm_year > 2200)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	again = tm;
	seconds = timegm(&again);
	/* timegm carries 31 February over into March: that is a mistake, not a date. */
	if (again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday ||
	    again.tm_hour != tm.tm_hour || again.tm_min != tm.tm_min || seconds < offset_s)
		return false;
	*out_unix_ns = (uint64_t)(seconds - offset_s) * NS_PER_SEC + fraction_ns;
	return true;
}

bool when_parse(struct str text, uint64_t now_unix_ns, uint64_t *out_unix_ns)
{
	if (text.len == 0)
		return false;
	if (str_eq(text, STR("now"))) {
		*out_unix_ns = now_unix_ns;
		return true;
	}
	if (text.data[0] == '-')
		return parse_ago(text, now_unix_ns, out_unix_ns);
	return parse_ns(text, out_unix_ns) || parse_rfc3339(text, out_unix_ns);
}
