/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/bar.h"

#include <string.h>

#include "collector/base/macros.h"

struct kind {
	char cell;
	enum term_colour colour;
	const char *block; /* UTF-8 */
	const char *name;
	const char *web;
};

/* In the order of the legend. Blocked kinds stand in the order of LEDGER_REASONS. */
#define FIRST_REASON 2
static const struct kind kinds[] = {
	{ BAR_RUNNING, TERM_GREEN, "█", "on CPU", "#2da44e" },
	{ BAR_RUNNABLE, TERM_YELLOW, "▓", "runnable, no CPU", "#d4a72c" },
	{ 'L', TERM_MAGENTA, "▒", "lock", "#8250df" },
	{ 'N', TERM_RED, "▒", "net", "#cf222e" },
	{ 'D', TERM_BLUE, "▒", "disk", "#0969da" },
	{ 'P', TERM_RED, "▒", "poll", "#e16f24" },
	{ 'S', TERM_CYAN, "▒", "sleep", "#54aeff" },
	{ 'I', TERM_CYAN, "▒", "pipe", "#1b7c83" },
	{ 'F', TERM_BLUE, "▒", "fault", "#0a3069" },
	{ 'C', TERM_MAGENTA, "▒", "child", "#bf3989" },
	{ 'G', TERM_CYAN, "▒", "signal", "#76b4c4" },
	{ 'U', TERM_BLUE, "▒", "io_uring", "#4078c0" },
	{ 'O', TERM_RED, "▒", "other", "#953800" },
	{ BAR_ELSEWHERE, TERM_GREY, "░", "elsewhere (no thread)", "#d0d7de" },
	{ BAR_UNKNOWN, TERM_GREY, "?", "unknown (records lost)", "#8c959f" },
	{ BAR_UNMEASURED, TERM_GREY, "─", "not measured", "#eaeef2" },
};

_Static_assert(ARRAY_LEN(kinds) == FIRST_REASON + REASON_COUNT + 3, "a cell for each reason");

static const char *const reason_names[] = {
#define X(symbol, name, meaning) name,
	LEDGER_REASONS(X)
#undef X
};

static int find_reason(const char *name)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		if (strcmp(reason_names[i], name) == 0)
			return i;
	}
	return REASON_OTHER;
}

char bar_cell_of(const char *state, const char *reason)
{
	if (strcmp(state, "running") == 0)
		return BAR_RUNNING;
	if (strcmp(state, "runnable") == 0)
		return BAR_RUNNABLE;
	if (strcmp(state, "blocked") == 0)
		return kinds[FIRST_REASON + find_reason(reason)].cell;
	return strcmp(state, "elsewhere") == 0 ? BAR_ELSEWHERE : BAR_UNKNOWN;
}

static void read_blocked(const struct json_value *blocked, struct bar_parts *parts)
{
	const struct json_value *value;
	void *cursor = NULL;
	const char *key;

	while ((value = json_read_next(blocked, &cursor, &key)))
		parts->blocked[find_reason(key)] += json_read_as_double(value);
}

void bar_parts_of_ledger(const struct json_value *ledger, struct bar_parts *out_parts)
{
	*out_parts = (struct bar_parts){
		.running = json_read_double(ledger, "running_ns"),
		.runnable = json_read_double(ledger, "runnable_ns"),
		.elsewhere = json_read_double(ledger, "elsewhere_ns"),
		.unknown = json_read_double(ledger, "unknown_ns"),
	};
	read_blocked(json_read_get(ledger, "blocked_ns"), out_parts);
}

void bar_parts_of_shares(const struct json_value *shares, struct bar_parts *out_parts)
{
	*out_parts = (struct bar_parts){
		.running = json_read_double(shares, "running"),
		.runnable = json_read_double(shares, "runnable"),
		.elsewhere = json_read_double(shares, "elsewhere"),
		.unknown = json_read_double(shares, "unknown"),
	};
	read_blocked(json_read_get(shares, "blocked"), out_parts);
}

double bar_parts_blocked(const struct bar_parts *parts)
{
	double sum = 0;

	for (int i = 0; i < REASON_COUNT; i++)
		sum += parts->blocked[i];
	return sum;
}

double bar_parts_sum(const struct bar_parts *parts)
{
	return parts->running + parts->runnable + bar_parts_blocked(parts) + parts->elsewhere +
	       parts->unknown;
}

int bar_parts_top_reason(const struct bar_parts *parts)
{
	int top = -1;

	for (int i = 0; i < REASON_COUNT; i++) {
		if (parts->blocked[i] > (top < 0 ? 0 : parts->blocked[top]))
			top = i;
	}
	return top;
}

static double part_of(const struct bar_parts *parts, size_t kind)
{
	if (kind >= FIRST_REASON && kind < FIRST_REASON + REASON_COUNT)
		return parts->blocked[kind - FIRST_REASON];
	switch (kinds[kind].cell) {
	case BAR_RUNNING:
		return parts->running;
	case BAR_RUNNABLE:
		return parts->runnable;
	case BAR_ELSEWHERE:
		return parts->elsewhere;
	case BAR_UNKNOWN:
		return parts->unknown;
	default:
		return 0;
	}
}

void bar_compose(const struct bar_parts *parts, char *out_cells, unsigned count)
{
	double sum = bar_parts_sum(parts), rest[ARRAY_LEN(kinds)];
	unsigned cells[ARRAY_LEN(kinds)], given = 0, at = 0;

	memset(out_cells, BAR_UNMEASURED, count);
	if (sum <= 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		double exact = part_of(parts, i) / sum * count;

		cells[i] = MIN((unsigned)exact, count - given);
		rest[i] = exact - cells[i];
		given += cells[i];
	}
	while (given < count) {
		size_t most = 0;

		for (size_t i = 1; i < ARRAY_LEN(kinds); i++)
			most = rest[i] > rest[most] ? i : most;
		cells[most]++;
		rest[most] = -1;
		given++;
	}
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		memset(out_cells + at, kinds[i].cell, cells[i]);
		at += cells[i];
	}
}

static const struct kind *find_kind(char cell)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].cell == cell)
			return &kinds[i];
	}
	return NULL;
}

const char *bar_name(char cell)
{
	const struct kind *kind = find_kind(cell);

	return kind ? kind->name : "";
}

const char *bar_web_colour(char cell)
{
	const struct kind *kind = find_kind(cell);

	return kind ? kind->web : "none";
}

static void put_cell(const struct term *term, const struct kind *kind, struct buf *out)
{
	if (term->colour && term->utf8)
		buf_append_text(out, kind->block);
	else
		buf_append_byte(out, (uint8_t)kind->cell);
}

void bar_put(const struct term *term, const char *cells, unsigned count, struct buf *out)
{
	for (unsigned i = 0; i < count; i++) {
		const struct kind *kind = find_kind(cells[i]);

		if (!kind) {
			buf_append_byte(out, ' ');
			continue;
		}
		if (i == 0 || cells[i] != cells[i - 1])
			term_colour(term, kind->colour, out);
		put_cell(term, kind, out);
		if (i + 1 == count || cells[i] != cells[i + 1])
			term_reset(term, out);
	}
}

static bool is_reason(const struct kind *kind)
{
	return kind >= &kinds[FIRST_REASON] && kind < &kinds[FIRST_REASON + REASON_COUNT];
}

void bar_legend(const struct term *term, const char *cells, size_t count, struct buf *out)
{
	bool has_reason = false;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct kind *kind = &kinds[i];

		if (count == 0 || !memchr(cells, kind->cell, count))
			continue;
		if (is_reason(kind) && !has_reason) {
			buf_append_text(out, "blocked on: ");
			has_reason = true;
		}
		term_colour(term, kind->colour, out);
		put_cell(term, kind, out);
		term_reset(term, out);
		buf_printf(out, " %s   ", kind->name);
	}
	while (out->len && out->data[out->len - 1] == ' ')
		out->len--;
	buf_append_byte(out, '\n');
}
