/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/waterfall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/cli/story.h"

#define MIN_NAME_COLUMNS 12
#define MIN_BAR_COLUMNS  16
#define MAX_BAR_COLUMNS  100
#define NUMBER_COLUMNS   33 /* wall, CPU, runq, blocked, away: see put_head */
#define LESSER_COLUMNS   12 /* runq and away, which go first: their cells stay in the bar */
#define LESSER_WIDTH     74
#define TITLE_WIDTH      90
#define WHY_COLUMNS      22 /* what it was blocked on most */
#define GRADE_COLUMNS    19
#define GRADE_SHORT      10

/* Which columns fit. */
struct layout {
	unsigned name, bar, why, grade;
	bool lesser;
};

static void put_tree_lines(const struct term *term, const struct span_row *row, struct buf *out)
{
	for (unsigned d = 1; d < row->depth; d++) {
		bool goes_on = row->continues & 1u << d;

		buf_append_text(out, !goes_on ? "  " : term->utf8 ? "│ " : "| ");
	}
	if (row->depth == 0)
		return;
	if (term->utf8)
		buf_append_text(out, row->is_last ? "└ " : "├ ");
	else
		buf_append_text(out, row->is_last ? "` " : "|-");
}

/* The service where it changes: below a span of the same service it goes without saying. */
static const char *service_of(const struct span_tree *tree, const struct span_row *row)
{
	const char *service = json_read_text(row->span, "service");

	if (row->parent >= 0 &&
	    strcmp(json_read_text(tree->rows[row->parent].span, "service"), service) == 0)
		return "";
	return service;
}

static unsigned name_columns(const struct term *term, const struct span_tree *tree)
{
	unsigned most = MIN_NAME_COLUMNS;

	for (size_t i = 0; i < tree->count; i++) {
		const struct span_row *row = &tree->rows[i];
		unsigned columns = 2 * row->depth +
				   term_columns(term, json_read_text(row->span, "name")) + 2 +
				   term_columns(term, service_of(tree, row));

		most = MAX(most, columns);
	}
	return most;
}

/* The picture first: what the numbers say in words goes before the bar gets too short. */
static struct layout choose_layout(const struct term *term, const struct span_tree *tree)
{
	struct layout layout = { .why = WHY_COLUMNS, .grade = GRADE_COLUMNS };
	unsigned wanted = name_columns(term, tree), numbers = NUMBER_COLUMNS, rest;

	if (term->width < 110) {
		layout.why = 0;
		layout.grade = GRADE_SHORT;
	}
	layout.lesser = term->width >= LESSER_WIDTH;
	if (!layout.lesser)
		numbers -= LESSER_COLUMNS;
	rest = term->width - MIN(term->width, numbers + layout.why + layout.grade + 1);
	rest = MAX(rest, MIN_NAME_COLUMNS + MIN_BAR_COLUMNS + 0u);
	layout.name = MIN(wanted, MAX(rest * 2 / 5, (unsigned)MIN_NAME_COLUMNS));
	layout.bar = MIN(rest - layout.name, (unsigned)MAX_BAR_COLUMNS);
	return layout;
}

static void put_title(const struct term *term, const struct json_value *trace,
		      const struct span_tree *tree, struct buf *out)
{
	char time[32], wall[16];

	term_time(tree->start_ns, time);
	term_duration(tree->end_ns - tree->start_ns, wall);
	term_print(term, TERM_BOLD, out, "trace %s", json_read_text(trace, "trace_id"));
	buf_printf(out, "%s   %s   %zu span%s   %s\n", term->width < TITLE_WIDTH ? "\n" : "", wall,
		   tree->count, tree->count == 1 ? "" : "s", time);
	if (!json_read_bool(trace, "settled"))
		term_print(term, TERM_YELLOW, out,
			   "not settled yet: spans may still come, and figures change\n");
	buf_append_byte(out, '\n');
}

static void put_head(const struct term *term, const struct layout *layout,
		     const struct span_tree *tree, struct buf *out)
{
	char end[16];
	unsigned len;

	term_duration(tree->end_ns - tree->start_ns, end);
	len = (unsigned)strlen(end);
	term_colour(term, TERM_DIM, out);
	term_text(term, "span", layout->name, true, out);
	buf_append_text(out, " 0");
	term_spaces(layout->bar - 1 - len, out);
	buf_printf(out, "%s %8s %5s ", end, "wall", "CPU");
	if (layout->lesser)
		buf_printf(out, "%5s ", "runq");
	term_text(term, layout->why ? " blocked on" : "block", 5 + layout->why, true, out);
	if (layout->lesser)
		buf_printf(out, " %5s", "away");
	buf_append_text(out, "  grade");
	term_reset(term, out);
	buf_append_byte(out, '\n');
}

static void put_name(const struct term *term, const struct layout *layout,
		     const struct span_tree *tree, const struct span_row *row, struct buf *out)
{
	const char *name = json_read_text(row->span, "name");
	unsigned indent = MIN(2 * row->depth, layout->name / 2), room = layout->name - indent;
	unsigned len = MIN(term_columns(term, name), room);
	bool is_error = strcmp(json_read_text(row->span, "status"), "error") == 0;

	if (2 * row->depth == indent)
		put_tree_lines(term, row, out);
	else
		term_spaces(indent, out);
	term_colour(term, is_error ? TERM_RED : TERM_BOLD, out);
	term_text(term, name, len, true, out);
	term_reset(term, out);
	if (room - len <= 2)
		return term_spaces(room - len, out);
	buf_append_text(out, "  ");
	term_colour(term, TERM_GREY, out);
	term_text(term, service_of(tree, row), room - len - 2, true, out);
	term_reset(term, out);
}

/* "net 10.0.0.5:5432": the wait that counts most. */
static void put_why(const struct term *term, const struct layout *layout,
		    const struct span_row *row, struct buf *out)
{
	const struct json_value *wait = json_read_at(json_read_get(row->span, "waits"), 0);
	struct buf text;

	buf_init(&text, 0);
	if (wait)
		buf_printf(&text, " %s %s", json_read_text(wait, "reason"),
			   json_read_text(wait, "target"));
	buf_append_byte(&text, '\0');
	term_text(term, text.data ? text.data : "", layout->why, true, out);
	buf_fini(&text);
}

static void put_grade(const struct term *term, const struct layout *layout,
		      const struct json_value *ledger, struct buf *out)
{
	const char *grade = json_read_is_null(ledger) ? "open" : json_read_text(ledger, "grade");
	bool is_sure = strcmp(grade, "exact") == 0 || strcmp(grade, "bounded") == 0;
	char uncertain[16];

	buf_append_text(out, "  ");
	term_print(term, is_sure ? TERM_GREEN : TERM_YELLOW, out, "%s", grade);
	if (layout->grade == GRADE_SHORT || json_read_is_null(json_read_get(ledger, "cpu_ns")))
		return;
	term_duration(json_read_uint(ledger, "uncertain_ns"), uncertain);
	buf_printf(out, " %s%s", term->utf8 ? "±" : "+-", uncertain);
}

static void put_numbers(const struct term *term, const struct layout *layout,
			const struct span_row *row, struct buf *out)
{
	const struct json_value *ledger = json_read_get(row->span, "ledger");
	bool is_null = json_read_is_null(json_read_get(ledger, "cpu_ns"));
	uint64_t wall = is_null ? 0 : row->wall_ns; /* percent of nothing: "-" */
	char text[5][16];
	struct bar_parts parts;

	bar_parts_of_ledger(ledger, &parts);
	term_duration(row->wall_ns, text[0]);
	term_percent(json_read_uint(ledger, "cpu_ns"), wall, text[1]);
	term_percent((uint64_t)parts.runnable, wall, text[2]);
	term_percent((uint64_t)bar_parts_blocked(&parts), wall, text[3]);
	term_percent((uint64_t)parts.elsewhere, wall, text[4]);
	buf_printf(out, " %8s %5s", text[0], text[1]);
	if (layout->lesser)
		buf_printf(out, " %5s", text[2]);
	buf_printf(out, " %5s", text[3]);
	if (layout->why)
		put_why(term, layout, row, out);
	if (layout->lesser)
		buf_printf(out, " %5s", text[4]);
	put_grade(term, layout, ledger, out);
}

static void put_rows(const struct term *term, const struct span_tree *tree,
		     const struct layout *layout, const char *cells, struct buf *out)
{
	put_head(term, layout, tree, out);
	for (size_t i = 0; i < tree->count; i++) {
		put_name(term, layout, tree, &tree->rows[i], out);
		buf_append_byte(out, ' ');
		bar_put(term, cells + i * layout->bar, layout->bar, out);
		put_numbers(term, layout, &tree->rows[i], out);
		buf_append_byte(out, '\n');
	}
	buf_append_byte(out, '\n');
	bar_legend(term, cells, tree->count * layout->bar, out);
}

int waterfall_draw(const struct term *term, const struct json_value *trace,
		   struct span_names *names, bool with_stacks, struct buf *out)
{
	struct span_tree tree;
	struct layout layout;
	char *cells;
	int rc = span_tree_init(&tree, trace);

	if (rc < 0)
		return rc;
	if (tree.count == 0) {
		span_tree_fini(&tree);
		buf_append_text(out, "the trace has no spans\n");
		return buf_error(out);
	}
	layout = choose_layout(term, &tree);
	cells = malloc(tree.count * layout.bar);
	if (cells) {
		waterfall_cells(&tree, layout.bar, cells);
		put_title(term, trace, &tree, out);
		put_rows(term, &tree, &layout, cells, out);
		story_put_all(term, &tree, names, with_stacks, out);
	}
	free(cells);
	span_tree_fini(&tree);
	return cells ? buf_error(out) : -ENOMEM;
}
