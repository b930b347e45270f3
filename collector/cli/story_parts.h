/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a span's story that say where its time went. Internal to the stories. */
#pragma once

#include "collector/cli/story.h"

struct telling {
	const struct term *term;
	struct span_names *names;
	bool with_stacks;
	const struct span_tree *tree;
};

/* "blocked   net  10.0.0.5:5432  540 ms  88 %  woken by postgres/1234": those that a reader would
 * call the same wait are one line, unless whole stacks are asked for. */
void story_put_waits(const struct telling *telling, const struct span_row *row, struct buf *out);

/* "elsewhere  400 ms  40 %  in 12 calls SELECT orders to orders.db": calls of one name are one
 * line.
 */
void story_put_items(const struct term *term, const struct span_row *row, struct buf *out);

/* What a line is about, dimmed; empty where it is what the line above says. */
void story_put_label(const struct term *term, const char *label, struct buf *out);
/* All of a stack, innermost first, for who asked. */
void story_put_stack(const struct term *term, const struct json_value *of, struct buf *out);
