/* SPDX-License-Identifier: Apache-2.0 */
/* Why a span took so long, in a few lines: verdict, waits, who ended them, what went elsewhere. */
#pragma once

#include "collector/cli/span_names.h"
#include "collector/cli/span_tree.h"
#include "collector/cli/term.h"

#define STORY_WAITS 4
#define STORY_ITEMS 3

/* The longest span, then those that spent most time themselves; and what to do about spans without
 * figures. `names`: of who ended waits; NULL: by their ids alone. `with_stacks`: whole stacks
 * instead of their interesting frames. */
void story_put_all(const struct term *term, const struct span_tree *tree, struct span_names *names,
		   bool with_stacks, struct buf *out);
