/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/profile_picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/flame_svg.h"

#define TEXT_ROWS   9
#define MIN_COLUMNS 3
#define SAME_SHARE  0.98 /* a chain of frames that hold the same is one row */

static bool is_marked(const struct diagnosis *diagnosis, uint32_t node)
{
	const struct profile_tally *tree = &diagnosis->tree;
	const struct finding *verdict = diagnosis_verdict(diagnosis);
	uint32_t frame = tree->profile->nodes[node].frame;

	if (verdict && verdict->frame != PROFILE_NONE && verdict->frame == frame)
		return true;
	return diagnosis->callee != PROFILE_NONE && diagnosis->callee == frame && verdict &&
	       verdict->rule == RULE_DOMINANT_CALLEE;
}

/* Node i of the profile is frame i of the picture: parents come first in both. */
static struct flame_frame *make_frames(const struct diagnosis *diagnosis)
{
	const struct profile_tally *tree = &diagnosis->tree;
	const struct profile *profile = tree->profile;
	struct flame_frame *frames = calloc(profile->node_count, sizeof(*frames));

	for (uint32_t i = 0; frames && i < profile->node_count; i++) {
		frames[i].name = profile_frame_name(profile, profile->nodes[i].frame);
		frames[i].parent = i == PROFILE_ROOT ? FLAME_NO_PARENT : profile->nodes[i].parent;
		frames[i].total = tree->cum[i];
		frames[i].is_marked = i != PROFILE_ROOT && is_marked(diagnosis, i);
	}
	return frames;
}

int profile_picture_svg(const struct diagnosis *diagnosis, const char *title, const char *finding,
			struct buf *out)
{
	const struct profile_type *type = &diagnosis->profile->types[diagnosis->type];
	struct flame_frame *frames = make_frames(diagnosis);
	struct flame_svg flame = {
		.title = title,
		.finding = finding,
		.unit = type->unit,
		.noun = profile_noun(type),
		.frames = frames,
		.count = diagnosis->tree.profile->node_count,
	};
	int rc = frames ? flame_svg_write(&flame, out) : -ENOMEM;

	free(frames);
	return rc;
}

int profile_picture_save(const struct diagnosis *diagnosis, const char *title, const char *finding,
			 const char *path)
{
	FILE *file = NULL;
	struct buf out;
	int rc;

	buf_init(&out, 0);
	rc = profile_picture_svg(diagnosis, title, finding, &out);
	if (rc == 0) {
		file = fopen(path, "we");
		rc = file && fwrite(out.data, 1, out.len, file) == out.len ? 0 : -errno;
	}
	if (file && fclose(file) != 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		fprintf(stderr, "spanwise: %s: %s\n", path, strerror(-rc));
	buf_fini(&out);
	return rc;
}

/* ---- in a terminal ---- */

struct canvas {
	const struct diagnosis *diagnosis;
	unsigned width;
	char cells[TEXT_ROWS][TERM_MAX_WIDTH + 1];
	bool marks[TEXT_ROWS][TERM_MAX_WIDTH + 1];
	double scale; /* columns for each unit */
};

/* Goes down while one child holds nearly everything: those rows would all look the same. */
static uint32_t first_fork(const struct profile_tally *tree)
{
	uint32_t at = PROFILE_ROOT, child;

	while ((child = profile_tally_heaviest(tree, at)) != PROFILE_NONE &&
	       tree->cum[child] >= tree->total * SAME_SHARE &&
	       profile_tally_heaviest(tree, child) != PROFILE_NONE)
		at = child;
	return at;
}

static void put_cell(struct canvas *canvas, uint32_t node, unsigned row, unsigned x, unsigned width)
{
	const struct profile *profile = canvas->diagnosis->tree.profile;
	bool marked = node != PROFILE_ROOT && is_marked(canvas->diagnosis, node);
	char share[16], *cells = canvas->cells[row] + x;
	struct buf text;
	int len;

	len = snprintf(share, sizeof(share), " %.0f%%",
		       100 * canvas->diagnosis->tree.cum[node] / canvas->diagnosis->tree.total);
	buf_init(&text, 0);
	if (marked)
		buf_append_byte(&text, '*');
	profile_put_name(&text, profile_frame_name(profile, profile->nodes[node].frame), 0);
	memset(cells, '_', width);
	cells[0] = '|';
	if (text.len)
		memcpy(cells + 1, text.data, MIN(text.len, width - 1));
	if (text.len + (size_t)len + 1 <= width)
		memcpy(cells + 1 + text.len, share, (size_t)len);
	for (unsigned i = 0; i < width; i++) {
		canvas->marks[row][x + i] = marked;
		if ((uint8_t)cells[i] >= 0x80)
			cells[i] = '?'; /* a cell is one column */
	}
	buf_fini(&text);
}

/* Largest children first, each as wide as its share. */
static void draw(struct canvas *canvas, uint32_t node, unsigned row, double left)
{
	const struct profile_tally *tree = &canvas->diagnosis->tree;
	double right = left + tree->cum[node] * canvas->scale;
	unsigned x = (unsigned)left, width = (unsigned)right - x;
	double least = 0;

	if (width < MIN_COLUMNS || row >= TEXT_ROWS || right > canvas->width + 0.5)
		return;
	put_cell(canvas, node, row, x, MIN(width, canvas->width - x));
	for (double before = 1e300;; before = least) {
		uint32_t next = PROFILE_NONE;

		for (uint32_t at = tree->first_child[node]; at != PROFILE_NONE;
		     at = tree->next[at]) {
			if (tree->cum[at] < before &&
			    (next == PROFILE_NONE || tree->cum[at] > tree->cum[next]))
				next = at;
		}
		if (next == PROFILE_NONE || tree->cum[next] * canvas->scale < MIN_COLUMNS)
			return;
		least = tree->cum[next];
		draw(canvas, next, row + 1, left);
		left += least * canvas->scale;
	}
}

static void put_row(const struct canvas *canvas, const struct term *term, unsigned row,
		    struct buf *out)
{
	const char *cells = canvas->cells[row];
	size_t len = canvas->width;
	bool on = false;

	while (len && cells[len - 1] == ' ')
		len--;
	for (size_t i = 0; i < len; i++) {
		if (canvas->marks[row][i] != on) {
			on = !on;
			if (on)
				term_colour(term, TERM_RED, out);
			else
				term_reset(term, out);
		}
		buf_append_byte(out, (uint8_t)cells[i]);
	}
	if (on)
		term_reset(term, out);
	buf_append_byte(out, '\n');
}

void profile_picture_text(const struct diagnosis *diagnosis, const struct term *term,
			  struct buf *out)
{
	const struct profile_tally *tree = &diagnosis->tree;
	struct canvas canvas = { .diagnosis = diagnosis,
				 .width = MIN(term->width, (unsigned)TERM_DEFAULT_WIDTH) - 1 };
	uint32_t root = first_fork(tree);

	if (!(tree->total > 0) || !(tree->cum[root] > 0))
		return;
	memset(canvas.cells, ' ', sizeof(canvas.cells));
	canvas.scale = canvas.width / tree->cum[root];
	draw(&canvas, root, 0, 0);
	for (unsigned row = 0; row < TEXT_ROWS && canvas.cells[row][0] == '|'; row++)
		put_row(&canvas, term, row, out);
}
