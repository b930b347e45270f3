/* SPDX-License-Identifier: Apache-2.0 */
/* Flame graphs as one tree: what a picture is drawn of, and what two of them differ by.
 *
 * Of one, amounts are its ns. Of two they are ns for each span of A and of B, so that unlike
 * numbers of spans compare; a frame is as wide as the mean of both, so that what is gone is seen as
 * well as what is new. Texts are borrowed from the flames' stacks. Not thread safe. */
#pragma once

#include "collector/base/map.h"
#include "collector/flame.h"
#include "collector/flame_svg.h"

enum flame_side { FLAME_TREE_ONLY = 0, FLAME_TREE_A = 0, FLAME_TREE_B = 1 };

struct flame_tree {
	bool is_diff;
	struct flame_frame *frames; /* owned; filled in by flame_tree_draw */
	struct flame_node *nodes;   /* owned, of the same numbers */
	size_t count, cap;
	struct map children;
	const struct flame *flames[2]; /* borrowed */
};

int flame_tree_init(struct flame_tree *tree, bool is_diff);
void flame_tree_fini(struct flame_tree *tree);

/* -ENOMEM. */
int flame_tree_add(struct flame_tree *tree, const struct flame *flame, enum flame_side side,
		   struct stacks *stacks);
/* Frames have the colour of what they mostly did: warm ones of CPU time, one for each reason of
 * waiting. Of a difference: red grew, blue shrank. -ENOMEM. */
int flame_tree_draw(struct flame_tree *tree, const char *title, struct buf *out);

/* The difference by stack, as FLAME_JSON, FLAME_COLLAPSED (two numbers a line: of a, of b; ns a
 * span) or FLAME_SVG. -EINVAL: another format. */
int flame_diff_write(const struct flame *a, const struct flame *b, enum flame_format format,
		     const char *title, struct stacks *stacks, struct buf *out);
