/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/alert_condition.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

static const struct {
	const char *name;
	double ns;
} units[] = {
	{ "ns", 1 },   { "us", 1e3 },   { "ms", 1e6 },    { "s", 1e9 },
	{ "m", 60e9 }, { "h", 3600e9 }, { "d", 86400e9 },
};

static const struct {
	const char *name;
	enum alert_figure figure;
	unsigned which;
} figures[] = {
	{ "ratio", FIGURE_RATIO, 0 },
	{ "runnable", FIGURE_RUNNABLE, 0 },
	{ "blocked", FIGURE_BLOCKED, 0 },
	{ "elsewhere", FIGURE_ELSEWHERE, 0 },
	{ "errors", FIGURE_ERRORS, 0 },
	{ "wall_p50", FIGURE_WALL, QUANTILE_P50 },
	{ "wall_p90", FIGURE_WALL, QUANTILE_P90 },
	{ "wall_p95", FIGURE_WALL, QUANTILE_P95 },
	{ "wall_p99", FIGURE_WALL, QUANTILE_P99 },
};

static const char *const againsts[] = {
	[AGAINST_VALUE] = "",
	[AGAINST_HOUR] = "hour",
	[AGAINST_YESTERDAY] = "yesterday",
	[AGAINST_BEFORE] = "before",
};

static const char *skip_spaces(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* Not strtod alone: it takes "inf", "nan", hexadecimals and signs. */
static bool take_number(const char **text, double *out_number)
{
	const char *at = *text;
	char *end;

	if (!isdigit((unsigned char)*at) || strspn(at, "0123456789.") > 20)
		return false;
	*out_number = strtod(at, &end);
	if ((size_t)(end - at) > strspn(at, "0123456789.") || !isfinite(*out_number))
		return false;
	*text = skip_spaces(end);
	return true;
}

/* A word of letters, digits, underscores and dots. */
static struct str take_word(const char **text)
{
	const char *at = *text, *end = at;

	while (isalnum((unsigned char)*end) || *end == '_' || *end == '.')
		end++;
	*text = skip_spaces(end);
	return (struct str){ at, (size_t)(end - at) };
}

static bool is_word(struct str word, const char *text)
{
	return word.len == strlen(text) && memcmp(word.data, text, word.len) == 0;
}

static bool take_unit(const char **text, double *out_ns)
{
	const char *at = *text;
	struct str word = take_word(&at);

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (is_word(word, units[i].name)) {
			*out_ns = units[i].ns;
			*text = at;
			return true;
		}
	}
	return false;
}

int alert_duration_parse(const char *text, double *out_ns)
{
	double number, unit = 0;

	text = skip_spaces(text);
	if (!take_number(&text, &number))
		return -EINVAL;
	if (!take_unit(&text, &unit) && number != 0)
		return -EINVAL;
	if (*text)
		return -EINVAL;
	*out_ns = number * unit;
	return 0;
}

static bool take_percent(const char **text, double *number)
{
	if (**text != '%')
		return false;
	*number /= 100;
	*text = skip_spaces(*text + 1);
	return true;
}

int alert_share_parse(const char *text, double *out_share)
{
	double number;

	text = skip_spaces(text);
	if (!take_number(&text, &number))
		return -EINVAL;
	take_percent(&text, &number);
	if (*text || number > 1)
		return -EINVAL;
	*out_share = number;
	return 0;
}

static bool find_reason(struct str word, unsigned *out_reason)
{
	static const char prefix[] = "blocked.";
	size_t len = sizeof(prefix) - 1;

	if (word.len <= len || memcmp(word.data, prefix, len) != 0)
		return false;
	word.data += len;
	word.len -= len;
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		if (is_word(word, ledger_reason_name(i))) {
			*out_reason = i;
			return true;
		}
	}
	return false;
}

static int refuse(struct buf *message, const char *what, const char *at)
{
	buf_printf(message, "%s, at \"%.40s\"", what, at);
	return -EINVAL;
}

static int parse_figure(const char **text, struct alert_term *term, struct buf *message)
{
	const char *at = *text;
	struct str word = take_word(text);

	if (find_reason(word, &term->which)) {
		term->figure = FIGURE_BLOCKED_REASON;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
		if (is_word(word, figures[i].name)) {
			term->figure = figures[i].figure;
			term->which = figures[i].which;
			return 0;
		}
	}
	return refuse(message,
		      "must be ratio, runnable, blocked, blocked.REASON, elsewhere, errors, "
		      "wall_p50, wall_p90, wall_p95 or wall_p99",
		      at);
}

static int parse_against(const char **text, struct alert_term *term, struct buf *message)
{
	const char *at = *text = skip_spaces(*text + 1);
	struct str word = take_word(text);

	for (unsigned i = AGAINST_HOUR; i < ARRAY_LEN(againsts); i++) {
		if (is_word(word, againsts[i])) {
			term->against = i;
			return 0;
		}
	}
	return refuse(message, "must be hour, yesterday or before", at);
}

/* What the figure is compared with: its own unit, or a multiple of what it was. */
static int parse_value(const char **text, struct alert_term *term, struct buf *message)
{
	const char *at = *text;
	double unit = 1;

	if (!take_number(text, &term->value))
		return refuse(message, "must be a number", at);
	if (**text == '*')
		return parse_against(text, term, message);
	if (term->figure == FIGURE_WALL) {
		if (!take_unit(text, &unit))
			return refuse(message,
				      "must be a duration such as 250ms, or FACTOR * hour, "
				      "yesterday or before",
				      at);
		term->value *= unit;
	} else {
		take_percent(text, &term->value);
	}
	return 0;
}

static int parse_term(const char **text, struct alert_term *term, struct buf *message)
{
	int rc = parse_figure(text, term, message);

	if (rc < 0)
		return rc;
	if (**text != '<' && **text != '>')
		return refuse(message, "must be < or >", *text);
	term->is_above = **text == '>';
	*text = skip_spaces(*text + 1);
	return parse_value(text, term, message);
}

int alert_condition_parse(struct alert_rule *rule, const char *text, struct buf *message)
{
	rule->term_count = 0;
	text = skip_spaces(text);
	for (;;) {
		struct alert_term term = { 0 };
		const char *at;
		int rc;

		if (rule->term_count == ALERT_MAX_TERMS) {
			buf_printf(message, "must be at most %d terms", ALERT_MAX_TERMS);
			return -EINVAL;
		}
		rc = parse_term(&text, &term, message);
		if (rc < 0)
			return rc;
		rule->terms[rule->term_count++] = term;
		if (!*text)
			return 0;
		at = text;
		if (!is_word(take_word(&text), "and"))
			return refuse(message, "must go on with `and`", at);
	}
}

void alert_term_name(const struct alert_term *term, struct buf *out)
{
	if (term->figure == FIGURE_BLOCKED_REASON)
		return buf_printf(out, "blocked.%s", ledger_reason_name(term->which));
	for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
		if (figures[i].figure == term->figure && figures[i].which == term->which)
			return buf_append_text(out, figures[i].name);
	}
}
