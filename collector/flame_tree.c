/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/flame_tree.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/clock.h"
#include "collector/flame_sum.h"
#include "collector/render.h"

/* What a thread does: a state, or a reason of waiting. */
enum flame_kind {
	KIND_RUNNING,
	KIND_RUNNABLE,
	KIND_ELSEWHERE,
	KIND_UNKNOWN,
	KIND_BLOCKED, /* and the reason */
	KIND_COUNT = KIND_BLOCKED + REASON_COUNT
};

struct flame_node {
	double sides[2];
	float kinds[KIND_COUNT]; /* on both sides */
};

#define FLAME_ROOT 0

struct tree_key {
	uint64_t parent;
	uint64_t hash;
};

void flame_tree_fini(struct flame_tree *tree)
{
	map_fini(&tree->children);
	free(tree->frames);
	free(tree->nodes);
}

static enum flame_kind kind_of(const struct flame_key *key)
{
	switch ((enum ledger_state)key->state) {
	case STATE_RUNNING:
		return KIND_RUNNING;
	case STATE_RUNNABLE:
		return KIND_RUNNABLE;
	case STATE_BLOCKED:
		return KIND_BLOCKED + MIN(key->detail, (uint32_t)REASON_OTHER);
	case STATE_ELSEWHERE:
		return KIND_ELSEWHERE;
	default:
		return KIND_UNKNOWN;
	}
}

/* ---- growing */

static int make_room(struct flame_tree *tree)
{
	size_t cap = MAX((size_t)256, 2 * tree->cap);
	void *frames, *nodes;

	if (tree->count < tree->cap)
		return 0;
	frames = reallocarray(tree->frames, cap, sizeof(*tree->frames));
	if (!frames)
		return -ENOMEM;
	tree->frames = frames;
	nodes = reallocarray(tree->nodes, cap, sizeof(*tree->nodes));
	if (!nodes)
		return -ENOMEM;
	tree->nodes = nodes;
	tree->cap = cap;
	return 0;
}

static int find_child(struct flame_tree *tree, uint32_t parent, struct str name,
		      uint32_t *out_child)
{
	struct tree_key key = { parent, map_hash(name.data, name.len, 0) };
	size_t before = tree->children.count;
	uint32_t *place = map_put(&tree->children, &key);

	if (!place || make_room(tree) < 0)
		return -ENOMEM;
	if (tree->children.count != before) {
		*place = (uint32_t)tree->count++;
		tree->frames[*place] = (struct flame_frame){ .name = name, .parent = parent };
		tree->nodes[*place] = (struct flame_node){ 0 };
	}
	*out_child = *place;
	return 0;
}

/* What all of it stands on, so that one click shows all again. */
int flame_tree_init(struct flame_tree *tree, bool is_diff)
{
	uint32_t root;

	*tree = (struct flame_tree){ .is_diff = is_diff };
	map_init(&tree->children, sizeof(struct tree_key), sizeof(uint32_t), clock_mono_ns());
	return find_child(tree, FLAME_NO_PARENT, STR("all"), &root);
}

static void add_amount(struct flame_tree *tree, uint32_t at, const struct flame_key *key, double ns,
		       enum flame_side side)
{
	tree->nodes[at].sides[side] += ns;
	tree->nodes[at].kinds[kind_of(key)] += (float)ns;
}

static int add_line(struct flame_tree *tree, const struct flame_line *line, double ns,
		    enum flame_side side, struct stacks *stacks)
{
	struct str texts[FLAME_STACK_MOST];
	uint32_t count = flame_texts(&line->key, stacks, texts), at = FLAME_ROOT;
	int rc = 0;

	add_amount(tree, at, &line->key, ns, side);
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		rc = find_child(tree, at, texts[i], &at);
		if (rc == 0)
			add_amount(tree, at, &line->key, ns, side);
	}
	return rc;
}

static double scale_of(const struct flame_tree *tree, const struct flame *flame)
{
	return tree->is_diff && flame->units ? 1 / (double)flame->units : 1;
}

int flame_tree_add(struct flame_tree *tree, const struct flame *flame, enum flame_side side,
		   struct stacks *stacks)
{
	size_t count;
	struct flame_line *lines = flame_lines(flame, &count);
	double scale = scale_of(tree, flame);
	int rc = lines ? 0 : -ENOMEM;

	tree->flames[side] = flame;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = add_line(tree, &lines[i], (double)lines[i].sum.ns * scale, side, stacks);
	free(lines);
	return rc;
}

/* ---- drawing */

static uint8_t colour_of(const struct flame_node *node)
{
	uint8_t best = 0;

	for (uint8_t i = 1; i < KIND_COUNT; i++) {
		if (node->kinds[i] > node->kinds[best])
			best = i;
	}
	return best;
}

static void finish_frames(struct flame_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		const struct flame_node *node = &tree->nodes[i];
		struct flame_frame *frame = &tree->frames[i];

		frame->total = node->sides[FLAME_TREE_A];
		if (tree->is_diff) {
			frame->change = node->sides[FLAME_TREE_B] - node->sides[FLAME_TREE_A];
			frame->total = (node->sides[0] + node->sides[1]) / 2;
		}
		frame->colour = colour_of(node);
	}
}

static const char *kind_state(unsigned kind)
{
	static const enum ledger_state states[] = {
		[KIND_RUNNING] = STATE_RUNNING,
		[KIND_RUNNABLE] = STATE_RUNNABLE,
		[KIND_ELSEWHERE] = STATE_ELSEWHERE,
		[KIND_UNKNOWN] = STATE_UNKNOWN,
	};

	return render_state_name(kind < KIND_BLOCKED ? states[kind] : STATE_BLOCKED);
}

#define CPU_COLOUR "#e8902a" /* amid the warm ones */

/* The colours of the waterfall; entry i is kind i + 1. CPU time, whose colours go by name, is the
 * last one: no frame has it. */
static void describe_kinds(const struct flame_tree *tree,
			   struct flame_svg_kind kinds[static KIND_COUNT])
{
	for (unsigned kind = 1; kind < KIND_COUNT; kind++) {
		const char *reason =
			kind < KIND_BLOCKED ? "" : ledger_reason_name(kind - KIND_BLOCKED);
		struct flame_svg_kind *out = &kinds[kind - 1];

		out->name = kind < KIND_BLOCKED ? kind_state(kind) : reason;
		out->colour = bar_web_colour(bar_cell_of(kind_state(kind), reason));
		out->total = (double)tree->nodes[FLAME_ROOT].kinds[kind];
	}
	kinds[KIND_COUNT - 1] = (struct flame_svg_kind){
		.name = "on CPU",
		.colour = CPU_COLOUR,
		.total = (double)tree->nodes[FLAME_ROOT].kinds[KIND_RUNNING],
	};
}

int flame_tree_draw(struct flame_tree *tree, const char *title, struct buf *out)
{
	struct flame_svg_kind kinds[KIND_COUNT];
	struct flame_svg picture = {
		.title = title,
		.unit = PROFILE_NS,
		.is_diff = tree->is_diff,
		.kinds = kinds,
		.kind_count = tree->is_diff ? 0 : ARRAY_LEN(kinds),
		.frames = tree->frames,
		.count = tree->count,
	};

	finish_frames(tree);
	describe_kinds(tree, kinds);
	if (tree->is_diff)
		picture.finding = "for each span: width is the mean of both, red is slower in b, "
				  "blue is faster";
	return flame_svg_write(&picture, out);
}
