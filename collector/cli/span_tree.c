/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/span_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

/* The spans as they came, each with its parent's place; children hang on lists sorted by start,
 * because the input is. */
struct node {
	const struct json_value *span;
	const char *id;
	int parent, first_child, last_child, next_sibling;
	bool is_placed;
};

struct builder {
	struct node *nodes;
	const struct node **by_id; /* sorted */
	size_t count;
	struct span_tree *tree;
};

static int by_start(const void *a, const void *b)
{
	const struct node *x = a, *y = b;
	uint64_t s = json_read_uint(x->span, "start_unix_ns");
	uint64_t t = json_read_uint(y->span, "start_unix_ns");

	return s != t ? (s < t ? -1 : 1) : strcmp(x->id, y->id);
}

static int by_id(const void *a, const void *b)
{
	return strcmp((*(const struct node *const *)a)->id, (*(const struct node *const *)b)->id);
}

static int find(const struct builder *builder, const char *id)
{
	struct node key = { .id = id };
	const struct node *wanted = &key, *const * found;

	if (!*id)
		return -1;
	found = bsearch(&wanted, builder->by_id, builder->count, sizeof(wanted), by_id);
	return found ? (int)(*found - builder->nodes) : -1;
}

static void link_children(struct builder *builder)
{
	for (size_t i = 0; i < builder->count; i++)
		builder->by_id[i] = &builder->nodes[i];
	qsort(builder->by_id, builder->count, sizeof(*builder->by_id), by_id);
	for (size_t i = 0; i < builder->count; i++) {
		struct node *node = &builder->nodes[i], *parent;

		node->parent = find(builder, json_read_text(node->span, "parent_span_id"));
		if (node->parent == (int)i)
			node->parent = -1;
		if (node->parent < 0)
			continue;
		parent = &builder->nodes[node->parent];
		if (parent->first_child < 0)
			parent->first_child = (int)i;
		else
			builder->nodes[parent->last_child].next_sibling = (int)i;
		parent->last_child = (int)i;
	}
}

static void place(struct builder *builder, struct node *node, const struct span_row *parent)
{
	struct span_tree *tree = builder->tree;
	struct span_row *row = &tree->rows[tree->count++];

	*row = (struct span_row){
		.span = node->span,
		.start_ns = json_read_uint(node->span, "start_unix_ns"),
		.wall_ns = json_read_uint(node->span, "wall_ns"),
		.parent = parent ? (int)(parent - tree->rows) : -1,
		.depth = parent ? MIN(parent->depth + 1, SPAN_TREE_MAX_DEPTH - 1) : 0,
		.is_last = node->next_sibling < 0,
		.continues = parent ? parent->continues : 0,
	};
	if (!row->is_last && row->depth)
		row->continues |= 1u << row->depth;
	else
		row->continues &= ~(1u << row->depth);
	node->is_placed = true;
}

/* Depth first without recursion: down to the first child, else on to the next sibling of the
 * nearest ancestor that has one. */
static void place_subtree(struct builder *builder, int root)
{
	int at = root;
	struct span_row *rows = builder->tree->rows;
	int row_parent = -1;

	while (at >= 0) {
		struct node *node = &builder->nodes[at];

		if (!node->is_placed)
			place(builder, node, row_parent >= 0 ? &rows[row_parent] : NULL);
		if (node->first_child >= 0 && !builder->nodes[node->first_child].is_placed) {
			row_parent = (int)builder->tree->count - 1;
			at = node->first_child;
			continue;
		}
		while (at != root && builder->nodes[at].next_sibling < 0) {
			at = builder->nodes[at].parent;
			row_parent = row_parent >= 0 ? rows[row_parent].parent : -1;
		}
		at = at == root ? -1 : builder->nodes[at].next_sibling;
	}
}

static void measure(struct span_tree *tree)
{
	tree->start_ns = UINT64_MAX;
	for (size_t i = 0; i < tree->count; i++) {
		const struct span_row *row = &tree->rows[i];

		tree->start_ns = MIN(tree->start_ns, row->start_ns);
		tree->end_ns = MAX(tree->end_ns, row->start_ns + row->wall_ns);
	}
}

static void build(struct builder *builder, const struct json_value *spans)
{
	for (size_t i = 0; i < builder->count; i++) {
		const struct json_value *span = json_read_at(spans, i);

		builder->nodes[i] = (struct node){
			.span = span,
			.id = json_read_text(span, "span_id"),
			.parent = -1,
			.first_child = -1,
			.last_child = -1,
			.next_sibling = -1,
		};
	}
	qsort(builder->nodes, builder->count, sizeof(*builder->nodes), by_start);
	link_children(builder);
	for (size_t i = 0; i < builder->count; i++) {
		if (builder->nodes[i].parent < 0)
			place_subtree(builder, (int)i);
	}
	/* What is left hangs on itself in a circle. */
	for (size_t i = 0; i < builder->count; i++) {
		struct node *node = &builder->nodes[i];

		if (node->is_placed)
			continue;
		node->next_sibling = -1;
		place(builder, node, NULL);
	}
	measure(builder->tree);
}

int span_tree_init(struct span_tree *tree, const struct json_value *trace)
{
	const struct json_value *spans = json_read_get(trace, "spans");
	struct builder builder = { .count = json_read_count(spans), .tree = tree };

	*tree = (struct span_tree){ .count = 0 };
	if (builder.count == 0)
		return 0;
	builder.nodes = calloc(builder.count, sizeof(*builder.nodes));
	builder.by_id = calloc(builder.count, sizeof(*builder.by_id));
	tree->rows = calloc(builder.count, sizeof(*tree->rows));
	if (builder.nodes && builder.by_id && tree->rows)
		build(&builder, spans);
	free(builder.nodes);
	free(builder.by_id);
	return tree->count == builder.count ? 0 : -ENOMEM;
}

void span_tree_fini(struct span_tree *tree)
{
	free(tree->rows);
	tree->rows = NULL;
}
