/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/doctor_report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT_BYTES ((size_t)2 << 20)

static const char *const level_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_BAD] = "bad",
};

int doctor_report_init(struct doctor_report *report)
{
	*report = (struct doctor_report){ .section = "" };
	arena_init(&report->arena, MAX_TEXT_BYTES);
	report->rows = calloc(DOCTOR_MAX_ROWS, sizeof(*report->rows));
	return report->rows ? 0 : -ENOMEM;
}

void doctor_report_fini(struct doctor_report *report)
{
	arena_fini(&report->arena);
	free(report->rows);
	report->rows = NULL;
}

/* NULL: no memory; the row then stands there without it. */
__attribute__((format(printf, 2, 0))) static char *keep(struct doctor_report *report,
							const char *format, va_list args)
{
	struct buf text;
	char *copy;

	buf_init(&text, 0);
	buf_vprintf(&text, format, args);
	copy = arena_alloc(&report->arena, text.len + 1);
	if (copy && text.len)
		memcpy(copy, text.data, text.len);
	buf_fini(&text);
	return copy;
}

void doctor_report_add(struct doctor_report *report, enum doctor_level level, const char *name,
		       const char *format, ...)
{
	struct doctor_row *row = &report->rows[report->count];
	va_list args;

	if (report->count == DOCTOR_MAX_ROWS)
		return;
	report->count++;
	va_start(args, format);
	*row = (struct doctor_row){ level, report->section, name, keep(report, format, args),
				    NULL };
	va_end(args);
}

void doctor_report_remedy(struct doctor_report *report, const char *format, ...)
{
	va_list args;

	if (report->count == 0)
		return;
	va_start(args, format);
	report->rows[report->count - 1].remedy = keep(report, format, args);
	va_end(args);
}

const struct doctor_row *doctor_report_first_bad(const struct doctor_report *report)
{
	for (unsigned i = 0; i < report->count; i++) {
		if (report->rows[i].level == DOCTOR_BAD)
			return &report->rows[i];
	}
	return NULL;
}

bool doctor_report_is_well(const struct doctor_report *report)
{
	return !doctor_report_first_bad(report);
}

static void put_mark(const struct term *term, enum doctor_level level, struct buf *out)
{
	static const enum term_colour colours[] = { TERM_GREEN, TERM_GREY, TERM_RED };
	static const char *const marks[] = { "✓", "·", "✗" };
	static const char *const words[] = { "ok  ", "note", "BAD " };

	buf_append_text(out, "  ");
	term_print(term, colours[level], out, "%s", term->utf8 ? marks[level] : words[level]);
	buf_append_byte(out, ' ');
}

static void put_row(const struct term *term, const struct doctor_row *row, bool is_first_bad,
		    struct buf *out)
{
	put_mark(term, row->level, out);
	term_print(term, row->level == DOCTOR_BAD ? TERM_BOLD : TERM_PLAIN, out, "%-20s ",
		   row->name);
	term_text(term, row->found ? row->found : "", 1000, false, out);
	if (is_first_bad)
		term_print(term, TERM_RED, out, "  <- the first that is broken");
	buf_append_byte(out, '\n');
	if (!row->remedy)
		return;
	term_print(term, TERM_YELLOW, out, "      do: ");
	term_text(term, row->remedy, 2000, false, out);
	buf_append_byte(out, '\n');
}

void doctor_report_text(const struct doctor_report *report, const struct term *term,
			struct buf *out)
{
	const struct doctor_row *first_bad = doctor_report_first_bad(report);
	const char *section = "";

	for (unsigned i = 0; i < report->count; i++) {
		const struct doctor_row *row = &report->rows[i];

		if (strcmp(section, row->section) != 0) {
			section = row->section;
			term_print(term, TERM_BOLD, out, "%s%s\n", i ? "\n" : "", section);
		}
		put_row(term, row, row == first_bad, out);
	}
	buf_append_byte(out, '\n');
	if (first_bad)
		term_print(term, TERM_RED, out, "Not all is well; begin with: %s\n",
			   first_bad->name);
	else
		term_print(term, TERM_GREEN, out, "All is well\n");
}

void doctor_report_json(const struct doctor_report *report, struct buf *out)
{
	const struct doctor_row *first_bad = doctor_report_first_bad(report);
	struct json json;

	json_init(&json, out);
	json_object(&json, NULL);
	json_bool(&json, "well", !first_bad);
	if (first_bad)
		json_text(&json, "first_broken", first_bad->name);
	else
		json_null(&json, "first_broken");
	json_array(&json, "checks");
	for (unsigned i = 0; i < report->count; i++) {
		const struct doctor_row *row = &report->rows[i];

		json_object(&json, NULL);
		json_text(&json, "section", row->section);
		json_text(&json, "name", row->name);
		json_text(&json, "level", level_names[row->level]);
		json_text(&json, "found", row->found ? row->found : "");
		if (row->remedy)
			json_text(&json, "remedy", row->remedy);
		else
			json_null(&json, "remedy");
		json_end(&json);
	}
	json_end(&json);
	json_end(&json);
	buf_append_byte(out, '\n');
}
