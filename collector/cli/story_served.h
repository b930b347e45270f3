/* SPDX-License-Identifier: Apache-2.0 */
/* Who answered the calls of a span, or let it go on, and what that one did meanwhile: a step
 * through the trace, and from one trace to the next. */
#pragma once

#include "collector/cli/span_names.h"
#include "collector/cli/span_tree.h"
#include "collector/cli/term.h"

#define STORY_SERVED 3

/* The server spans, in other processes, of the calls that `row` and those below it made: those that
 * took longest, with their verdicts. Then those of other traces that ended its waits. */
void story_put_served(const struct term *term, const struct span_tree *tree,
		      const struct span_row *row, struct span_names *names, struct buf *out);
