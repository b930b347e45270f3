/* SPDX-License-Identifier: Apache-2.0 */
/* The waterfall for a browser, a ticket or a README: what waterfall.c draws in characters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/xml.h"
#include "collector/cli/bar.h"
#include "collector/cli/waterfall.h"

#define WIDTH      1200
#define ROW_HEIGHT 24
#define TOP        74
#define NAME_X     16
#define NAME_CHARS 34
#define BAR_X      280
#define BAR_WIDTH  560 /* one cell a pixel */
#define NUMBERS_X  (BAR_X + BAR_WIDTH + 16)
#define INDENT     14

static void put_cut(struct buf *out, const char *text, size_t chars)
{
	size_t len = 0, seen = 0;

	while (text[len] && (seen < chars || ((uint8_t)text[len] & 0xc0) == 0x80))
		seen += ((uint8_t)text[len++] & 0xc0) != 0x80;
	xml_put_text(out, (struct str){ text, len });
	if (text[len])
		buf_append_text(out, "…");
}

static void put_text(struct buf *out, const char *class, int x, int y, const char *text,
		     size_t chars)
{
	buf_printf(out, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, x, y);
	put_cut(out, text, chars);
	buf_append_text(out, "</text>\n");
}

static void put_head(const struct json_value *trace, const struct span_tree *tree, struct buf *out)
{
	unsigned long long height = TOP + tree->count * ROW_HEIGHT + 64;
	const struct json_value *verdict = json_read_get(tree->rows[0].span, "verdict");
	char wall[16];

	term_duration(tree->end_ns - tree->start_ns, wall);
	buf_printf(out,
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%llu\" "
		   "viewBox=\"0 0 %d %llu\">\n<style>text{font:12px ui-monospace,Menlo,monospace;"
		   "fill:#24292f}.t{font-size:15px;font-weight:bold}.d{fill:#6e7781}"
		   ".v{fill:#a40e26}</style>\n"
		   "<rect width=\"100%%\" height=\"100%%\" rx=\"6\" fill=\"#fff\" "
		   "stroke=\"#d0d7de\"/>\n<text class=\"t\" x=\"%d\" y=\"26\">",
		   WIDTH, height, WIDTH, height, NAME_X);
	put_cut(out, json_read_text(tree->rows[0].span, "name"), 80);
	buf_printf(out, "  %s</text>\n<text class=\"d\" x=\"%d\" y=\"26\" text-anchor=\"end\">",
		   wall, WIDTH - 16);
	put_cut(out, json_read_text(trace, "trace_id"), 32);
	buf_append_text(out, "</text>\n");
	put_text(out, "v", NAME_X, 48, json_read_text(verdict, "text"), 160);
}

/* One rectangle for each run of equal cells. */
static void put_bar(const char *cells, int y, struct buf *out)
{
	for (unsigned from = 0, to; from < BAR_WIDTH; from = to) {
		for (to = from + 1; to < BAR_WIDTH && cells[to] == cells[from]; to++)
			;
		if (cells[from] != BAR_OUTSIDE)
			buf_printf(out,
				   "<rect x=\"%u\" y=\"%d\" width=\"%u\" height=\"%d\" "
				   "fill=\"%s\"/>",
				   BAR_X + from, y + 4, to - from, ROW_HEIGHT - 8,
				   bar_web_colour(cells[from]));
	}
	buf_append_byte(out, '\n');
}

static void put_numbers(const struct span_row *row, int y, struct buf *out)
{
	const struct json_value *ledger = json_read_get(row->span, "ledger");
	const struct json_value *wait = json_read_at(json_read_get(row->span, "waits"), 0);
	bool has_figures = !json_read_is_null(json_read_get(ledger, "cpu_ns"));
	char wall[16], cpu[16], off[16];

	term_duration(row->wall_ns, wall);
	term_percent(json_read_uint(ledger, "cpu_ns"), has_figures ? row->wall_ns : 0, cpu);
	term_duration(json_read_uint(ledger, "uncertain_ns"), off);
	buf_printf(out, "<text x=\"%d\" y=\"%d\">%s  CPU ", NUMBERS_X, y, wall);
	put_cut(out, cpu, sizeof(cpu));
	if (wait) {
		buf_append_text(out, "  ");
		put_cut(out, json_read_text(wait, "reason"), 12);
		buf_append_byte(out, ' ');
		put_cut(out, json_read_text(wait, "target"), 20);
	}
	buf_printf(out, "<title>%s, ±%s</title></text>\n",
		   json_read_is_null(ledger) ? "not settled" : json_read_text(ledger, "grade"),
		   off);
}

static void put_row(const struct span_row *row, const char *cells, int y, struct buf *out)
{
	size_t depth = MIN(row->depth, 12u);

	buf_printf(out, "<text x=\"%zu\" y=\"%d\">", NAME_X + INDENT * depth, y + 16);
	put_cut(out, json_read_text(row->span, "name"), NAME_CHARS - 2 * depth);
	buf_append_text(out, "<title>");
	put_cut(out, json_read_text(row->span, "service"), 200);
	buf_append_text(out, "</title></text>\n");
	put_bar(cells, y, out);
	put_numbers(row, y + 16, out);
}

static void put_legend(const char *cells, size_t count, int y, struct buf *out)
{
	int x = NAME_X;

	for (const char *kind = BAR_CELLS; *kind; kind++) {
		const char *name = bar_name(*kind);

		if (!memchr(cells, *kind, count))
			continue;
		buf_printf(out, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>",
			   x, y - 10, bar_web_colour(*kind));
		put_text(out, "d", x + 18, y, name, 40);
		x += 18 + 8 * (int)strlen(name) + 20;
	}
}

int waterfall_svg(const struct json_value *trace, struct buf *out)
{
	struct span_tree tree;
	char *cells = NULL;
	int rc = span_tree_init(&tree, trace);

	if (rc < 0)
		return rc;
	if (tree.count)
		cells = malloc(tree.count * BAR_WIDTH);
	if (cells) {
		waterfall_cells(&tree, BAR_WIDTH, cells);
		put_head(trace, &tree, out);
		for (size_t i = 0; i < tree.count; i++)
			put_row(&tree.rows[i], cells + i * BAR_WIDTH, (int)(TOP + i * ROW_HEIGHT),
				out);
		put_legend(cells, tree.count * BAR_WIDTH, (int)(TOP + tree.count * ROW_HEIGHT + 36),
			   out);
		buf_append_text(out, "</svg>\n");
	}
	rc = cells ? buf_error(out) : tree.count ? -ENOMEM : -ENOENT;
	free(cells);
	span_tree_fini(&tree);
	return rc;
}
