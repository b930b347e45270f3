/* SPDX-License-Identifier: Apache-2.0 */
/* The spans of a trace's JSON in the order of a tree: parents before children, siblings by start.
 *
 * A span whose parent is not there is a root; whatever the ids claim, each span stands there once
 * and nothing recurses without bound. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/json_read.h"

#define SPAN_TREE_MAX_DEPTH 32 /* deeper ones are drawn at this depth */

struct span_row {
	const struct json_value *span;
	uint64_t start_ns, wall_ns;
	int parent; /* row; -1: a root */
	unsigned depth;
	bool is_last;       /* of its siblings */
	uint32_t continues; /* bit d: the line of the ancestor at depth d goes on below */
};

struct span_tree {
	struct span_row *rows; /* owned */
	size_t count;
	uint64_t start_ns, end_ns; /* of all spans */
};

/* `trace` is borrowed and outlives the tree. -ENOMEM. */
int span_tree_init(struct span_tree *tree, const struct json_value *trace);
void span_tree_fini(struct span_tree *tree);
