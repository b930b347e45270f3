/* SPDX-License-Identifier: Apache-2.0 */
/* A trace as a picture: one row per span, its bar in the trace's time with a state in every cell,
 * the numbers beside; below, why the slowest spans waited. */
#pragma once

#include "collector/base/json_read.h"
#include "collector/cli/span_names.h"
#include "collector/cli/span_tree.h"
#include "collector/cli/term.h"

#define WATERFALL_STORIES 3 /* spans that are explained below the picture */

/* `trace`: of GET /api/v1/traces/{id}?timeline=1; `names`, `with_stacks`: as for story_put_all.
 * -ENOMEM. */
int waterfall_draw(const struct term *term, const struct json_value *trace,
		   struct span_names *names, bool with_stacks, struct buf *out);

/* The same as an SVG file that needs nothing else. -ENOENT: the trace has no spans. */
int waterfall_svg(const struct json_value *trace, struct buf *out);

/* The cells of each row, `width` a row; what a span's own slices leave open is taken from its
 * children. `out_cells` holds tree->count * width. */
void waterfall_cells(const struct span_tree *tree, unsigned width, char *out_cells);
