/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/cli/waterfall.h"

#define BAR_OPEN '\0' /* inside the span, not yet decided */

/* One row at work: what each cell shows is what most of its time was. */
struct canvas {
	const struct span_tree *tree;
	unsigned width;
	char *cells; /* of this row */
};

static double cell_ns(const struct canvas *canvas)
{
	uint64_t ns = canvas->tree->end_ns - canvas->tree->start_ns;

	return ns ? (double)ns / canvas->width : 1;
}

/* The first cell of a span and the one behind its last: at least one wide. */
static void find_extent(const struct canvas *canvas, const struct span_row *row,
			unsigned *out_first, unsigned *out_end)
{
	double from = (double)(row->start_ns - canvas->tree->start_ns) / cell_ns(canvas);
	double to = from + (double)row->wall_ns / cell_ns(canvas);
	unsigned first = MIN((unsigned)(from + 0.5), canvas->width - 1);

	*out_first = first;
	*out_end = MIN(MAX((unsigned)(to + 0.5), first + 1), canvas->width);
}

static double overlap(double a, double b, double c, double d)
{
	double from = MAX(a, c), to = MIN(b, d);

	return to > from ? to - from : 0;
}

static char slice_cell(const struct json_value *slice)
{
	return bar_cell_of(json_read_text(slice, "state"), json_read_text(slice, "reason"));
}

/* The slices are in time order: `*next` moves along with the cells. */
static char decide(const struct json_value *timeline, size_t *next, double from, double to)
{
	size_t count = json_read_count(timeline);
	double best = 0;
	char cell = BAR_OPEN;

	for (size_t i = *next; i < count; i++) {
		const struct json_value *slice = json_read_at(timeline, i);
		double start = (double)json_read_uint(slice, "start_unix_ns");
		double end = start + json_read_double(slice, "ns");
		double shared = overlap(from, to, start, end);

		if (end <= from && i == *next)
			(*next)++;
		if (start >= to)
			break;
		if (shared > best) {
			best = shared;
			cell = slice_cell(slice);
		}
	}
	return cell;
}

static bool has_figures(const struct span_row *row)
{
	const struct json_value *ledger = json_read_get(row->span, "ledger");

	return !json_read_is_null(ledger) && !json_read_is_null(json_read_get(ledger, "cpu_ns"));
}

/* Without slices a bar in proportion is still the truth about how much, if not about when. */
static void compose(const struct span_row *row, char *cells, unsigned count)
{
	struct bar_parts parts;

	bar_parts_of_ledger(json_read_get(row->span, "ledger"), &parts);
	bar_compose(&parts, cells, count);
}

static void draw_row(const struct canvas *canvas, const struct span_row *row)
{
	const struct json_value *timeline = json_read_get(row->span, "timeline");
	unsigned first, end;
	size_t next = 0;

	memset(canvas->cells, BAR_OUTSIDE, canvas->width);
	find_extent(canvas, row, &first, &end);
	if (!has_figures(row)) {
		memset(canvas->cells + first, BAR_UNMEASURED, end - first);
		return;
	}
	if (json_read_count(timeline) == 0) {
		compose(row, canvas->cells + first, end - first);
		return;
	}
	for (unsigned i = first; i < end; i++) {
		double ns = (double)row->wall_ns / (end - first);
		double from = (double)row->start_ns + (i - first) * ns;

		canvas->cells[i] = decide(timeline, &next, from, from + ns);
	}
}

/* What a row left open is known from a child that has it; what nobody has is not measured. */
static void fill_from_child(char *parent, const char *child, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		if (parent[i] == BAR_OPEN && child[i] != BAR_OUTSIDE && child[i] != BAR_OPEN &&
		    child[i] != BAR_UNMEASURED)
			parent[i] = child[i];
	}
}

void waterfall_cells(const struct span_tree *tree, unsigned width, char *out_cells)
{
	for (size_t i = tree->count; i-- > 0;) {
		const struct span_row *row = &tree->rows[i];
		struct canvas canvas = { tree, width, out_cells + i * width };

		draw_row(&canvas, row);
		/* Its descendants stand below it and are done. */
		for (size_t c = i + 1; c < tree->count && tree->rows[c].depth > row->depth; c++) {
			if (tree->rows[c].parent == (int)i)
				fill_from_child(canvas.cells, out_cells + c * width, width);
		}
		for (unsigned x = 0; x < width; x++) {
			if (canvas.cells[x] == BAR_OPEN)
				canvas.cells[x] = BAR_UNMEASURED;
		}
	}
}
