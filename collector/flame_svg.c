/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/flame_svg.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/base/xml.h"
#include "collector/flame_svg_script.h"

#define WIDTH      1200
#define ROW_HEIGHT 17
#define TOP        52
#define LEGEND     22 /* more on top, where colours are explained */
#define BOTTOM     24
#define CHAR_WIDTH 7
#define MIN_SHARE  0.0002 /* of the whole width: a fifth of a pixel */

struct layout {
	const struct flame_svg *flame;
	uint32_t *first; /* child lists, largest first */
	uint32_t *next;
	double *offset; /* of the left edge, in the profile's unit */
	uint16_t *depth;
	double total;
	double most_change; /* of a difference: what the fullest colour stands for */
	unsigned deepest;
	unsigned top;
	size_t drawn, left_out;
};

static bool is_root(const struct flame_frame *frame)
{
	return frame->parent == FLAME_NO_PARENT;
}

static int check(const struct flame_svg *flame)
{
	for (size_t i = 0; i < flame->count; i++) {
		if (!is_root(&flame->frames[i]) && flame->frames[i].parent >= i)
			return -EINVAL;
	}
	return 0;
}

/* ---- the layout ---- */

struct ranked {
	double total;
	uint32_t index;
};

static int by_total(const void *a, const void *b)
{
	const struct ranked *left = a, *right = b;

	if (left->total != right->total)
		return left->total < right->total ? -1 : 1;
	return left->index < right->index ? 1 : -1;
}

/* Smallest first, each put at the head of its parent's list: so the lists begin with the largest.
 */
static int link_children(struct layout *layout)
{
	const struct flame_svg *flame = layout->flame;
	struct ranked *ranked = calloc(flame->count + 1, sizeof(*ranked));

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < flame->count; i++)
		ranked[i] = (struct ranked){ flame->frames[i].total, (uint32_t)i };
	qsort(ranked, flame->count, sizeof(*ranked), by_total);
	for (size_t i = 0; i <= flame->count; i++)
		layout->first[i] = FLAME_NO_PARENT;
	for (size_t i = 0; i < flame->count; i++) {
		uint32_t index = ranked[i].index;
		const struct flame_frame *frame = &flame->frames[index];
		uint32_t *head = &layout->first[is_root(frame) ? flame->count : frame->parent];

		layout->next[index] = *head;
		*head = index;
	}
	free(ranked);
	return 0;
}

static void place_list(struct layout *layout, uint32_t head, double offset)
{
	for (uint32_t at = head; at != FLAME_NO_PARENT; at = layout->next[at]) {
		layout->offset[at] = offset;
		offset += layout->flame->frames[at].total;
	}
}

static bool is_drawn(const struct layout *layout, size_t index)
{
	return layout->depth[index] < FLAME_MAX_DEPTH &&
	       layout->flame->frames[index].total >= layout->total * MIN_SHARE &&
	       layout->flame->frames[index].total > 0;
}

static void place(struct layout *layout)
{
	const struct flame_svg *flame = layout->flame;

	place_list(layout, layout->first[flame->count], 0);
	for (size_t i = 0; i < flame->count; i++) {
		const struct flame_frame *frame = &flame->frames[i];
		unsigned above = is_root(frame) ? 0 : layout->depth[frame->parent] + 1u;

		layout->depth[i] = (uint16_t)MIN(above, (unsigned)FLAME_MAX_DEPTH);
		if (is_root(frame))
			layout->total += frame->total;
		place_list(layout, layout->first[i], layout->offset[i]);
	}
	for (size_t i = 0; i < flame->count; i++) {
		layout->most_change = MAX(layout->most_change, fabs(flame->frames[i].change));
		if (is_drawn(layout, i))
			layout->deepest = MAX(layout->deepest, layout->depth[i] + 1u);
	}
}

/* ---- the picture ---- */

/* Red grew, blue shrank; the scale is the same for both. */
static void put_change_colour(const struct layout *layout, const struct flame_frame *frame,
			      struct buf *out)
{
	double part = layout->most_change > 0 ? fabs(frame->change) / layout->most_change : 0;
	int fade = 245 - (int)(170 * sqrt(MIN(part, 1.0)));

	if (frame->change >= 0)
		buf_printf(out, "rgb(245,%d,%d)", fade, fade);
	else
		buf_printf(out, "rgb(%d,%d,245)", fade, fade);
}

/* Warm shades by name, so that a function has one colour everywhere. */
static void put_colour(const struct layout *layout, const struct flame_frame *frame,
		       struct buf *out)
{
	const struct flame_svg *flame = layout->flame;
	uint32_t hash = 2166136261u;

	if (flame->is_diff)
		return put_change_colour(layout, frame, out);
	if (frame->colour && frame->colour <= flame->kind_count)
		return buf_append_text(out, flame->kinds[frame->colour - 1].colour);
	for (size_t i = 0; i < frame->name.len; i++)
		hash = (hash ^ (uint8_t)frame->name.data[i]) * 16777619u;
	buf_printf(out, "rgb(%u,%u,%u)", 205 + hash % 50, 80 + (hash >> 8) % 120,
		   (hash >> 16) % 60);
}

/* "540 ms (88 %)" */
static void put_part(const struct layout *layout, double part, struct buf *out)
{
	profile_put_amount(out, part, layout->flame->unit, layout->flame->noun);
	buf_append_text(out, " (");
	profile_put_share(out, part, layout->total);
	buf_append_byte(out, ')');
}

static void put_tooltip(const struct layout *layout, const struct flame_frame *frame,
			struct buf *out)
{
	const struct flame_svg *flame = layout->flame;
	struct buf text;

	buf_init(&text, 0);
	buf_append_str(&text, frame->name);
	buf_append_text(&text, ": ");
	put_part(layout, frame->total, &text);
	if (flame->unit == PROFILE_NS) {
		buf_append_text(&text, ", ");
		profile_put_count(&text, (uint64_t)(frame->total + 0.5));
		buf_append_text(&text, " ns");
	}
	if (flame->is_diff) {
		buf_append_text(&text, ", ");
		profile_put_change(&text, frame->change, flame->unit, flame->noun);
	}
	xml_put_text(out, buf_str(&text));
	buf_fini(&text);
}

/* As many characters as there is room for; two dots say that there are more. */
static void put_label(struct str name, double width, struct buf *out)
{
	size_t fits = (size_t)MAX((width - 4) / CHAR_WIDTH, 0.0), chars = 0, kept = 0;

	for (size_t i = 0; i < name.len; i++) {
		if (((uint8_t)name.data[i] & 0xc0) == 0x80) /* of the character before */
			continue;
		if (++chars == fits - 1)
			kept = i;
	}
	if (chars > fits && fits < 3)
		return;
	xml_put_text(out, (struct str){ name.data, chars > fits ? kept : name.len });
	if (chars > fits)
		buf_append_text(out, "..");
}

static void put_frame(const struct layout *layout, size_t index, struct buf *out)
{
	const struct flame_frame *frame = &layout->flame->frames[index];
	double x = WIDTH * layout->offset[index] / layout->total;
	double width = WIDTH * frame->total / layout->total;
	int y = (int)(layout->top + layout->depth[index] * ROW_HEIGHT);

	buf_printf(out, "<g class=\"%s%s\" data-x=\"%.4f\" data-w=\"%.4f\"><title>",
		   frame->is_marked ? "f m" : "f",
		   !layout->flame->is_diff && frame->colour ? " k" : "", x, width);
	put_tooltip(layout, frame, out);
	buf_printf(out, "</title><rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"", x,
		   y, MAX(width - 0.3, 0.2), ROW_HEIGHT - 1);
	put_colour(layout, frame, out);
	buf_printf(out, "\"/><text x=\"%.2f\" y=\"%d\">", x + 3, y + ROW_HEIGHT - 5);
	put_label(frame->name, width, out);
	buf_append_text(out, "</text></g>\n");
}

static void put_head(const struct layout *layout, struct buf *out)
{
	const struct flame_svg *flame = layout->flame;
	unsigned height = layout->top + layout->deepest * ROW_HEIGHT + BOTTOM;

	buf_printf(out,
		   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
		   "viewBox=\"0 0 %d %u\">\n<style>" FLAME_SVG_STYLE "</style>\n"
		   "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text class=\"t\" "
		   "x=\"8\" y=\"22\">",
		   WIDTH, height, WIDTH, height);
	xml_put_text(out, str_of(flame->title ? flame->title : ""));
	buf_append_text(out, "</text>\n<text class=\"n\" x=\"8\" y=\"42\">");
	xml_put_text(out, str_of(flame->finding ? flame->finding : ""));
	buf_printf(out,
		   "</text>\n<text id=\"search\" class=\"b\" x=\"%d\" y=\"22\">Search</text>"
		   "<text id=\"reset\" class=\"b\" x=\"%d\" y=\"22\">Reset</text>"
		   "<text id=\"hits\" x=\"%d\" y=\"42\"></text>\n",
		   WIDTH - 120, WIDTH - 56, WIDTH - 220);
}

/* Returns how many characters it is long. */
static size_t put_legend_entry(const struct layout *layout, const struct flame_svg_kind *kind,
			       double x, struct buf *out)
{
	struct buf text;
	size_t len;

	buf_init(&text, 0);
	buf_printf(&text, "%s ", kind->name);
	put_part(layout, kind->total, &text);
	buf_printf(out,
		   "<rect x=\"%.0f\" y=\"%u\" width=\"11\" height=\"11\" "
		   "fill-opacity=\".6\" fill=\"%s\"/><text x=\"%.0f\" y=\"%u\">",
		   x, layout->top - 20, kind->colour, x + 16, layout->top - 10);
	xml_put_text(out, buf_str(&text));
	buf_append_text(out, "</text>\n");
	len = text.len;
	buf_fini(&text);
	return len;
}

/* What the colours stand for, largest first as far as there is room. */
static void put_legend(const struct layout *layout, struct buf *out)
{
	const struct flame_svg *flame = layout->flame;
	double x = 8, before = INFINITY;

	while (x < WIDTH - 200) {
		const struct flame_svg_kind *kind = NULL;

		for (unsigned i = 0; i < flame->kind_count; i++) {
			if (flame->kinds[i].total > 0 && flame->kinds[i].total < before &&
			    (!kind || flame->kinds[i].total > kind->total))
				kind = &flame->kinds[i];
		}
		if (!kind)
			return;
		before = kind->total;
		x += 32 + CHAR_WIDTH * (double)put_legend_entry(layout, kind, x, out);
	}
}

static bool has_legend(const struct flame_svg *flame)
{
	for (unsigned i = 0; i < flame->kind_count; i++) {
		if (flame->kinds[i].total > 0)
			return true;
	}
	return false;
}

static void put_foot(const struct layout *layout, struct buf *out)
{
	buf_printf(out, "<text id=\"say\" x=\"8\" y=\"%u\">",
		   layout->top + layout->deepest * ROW_HEIGHT + BOTTOM - 6);
	profile_put_amount(out, layout->total, layout->flame->unit, layout->flame->noun);
	buf_append_text(out, " in all");
	if (layout->left_out)
		buf_printf(out, "; %zu frames are too narrow to be drawn", layout->left_out);
	buf_append_text(out,
			"</text>\n<script><![CDATA[" FLAME_SVG_SCRIPT "]]></script>\n</svg>\n");
}

static void draw(struct layout *layout, struct buf *out)
{
	put_head(layout, out);
	put_legend(layout, out);
	for (size_t i = 0; i < layout->flame->count; i++) {
		if (is_drawn(layout, i) && layout->drawn < FLAME_MAX_DRAWN) {
			put_frame(layout, i, out);
			layout->drawn++;
		} else {
			layout->left_out++;
		}
	}
	put_foot(layout, out);
}

int flame_svg_write(const struct flame_svg *flame, struct buf *out)
{
	struct layout layout = { .flame = flame, .top = TOP + (has_legend(flame) ? LEGEND : 0) };
	int rc = check(flame);

	if (rc < 0)
		return rc;
	layout.first = calloc(flame->count + 1, sizeof(*layout.first));
	layout.next = calloc(flame->count + 1, sizeof(*layout.next));
	layout.offset = calloc(flame->count + 1, sizeof(*layout.offset));
	layout.depth = calloc(flame->count + 1, sizeof(*layout.depth));
	rc = layout.first && layout.next && layout.offset && layout.depth ? link_children(&layout)
									  : -ENOMEM;
	if (rc == 0) {
		place(&layout);
		draw(&layout, out);
		rc = buf_error(out);
	}
	free(layout.first);
	free(layout.next);
	free(layout.offset);
	free(layout.depth);
	return rc;
}
