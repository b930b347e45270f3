/* SPDX-License-Identifier: Apache-2.0 */
/* Two flame graphs, stack by stack: ns for each span of either side. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/flame_sum.h"
#include "collector/flame_tree.h"
#include "collector/render.h"

struct pair {
	struct flame_key key;
	double sides[2];
};

struct pairs {
	struct map index; /* flame_key -> u32 */
	struct pair *items;
	size_t count;
};

static double mean(const struct flame *flame, uint64_t ns)
{
	return flame->units ? (double)ns / (double)flame->units : 0;
}

static int add(struct pairs *pairs, const struct flame *flame, unsigned side)
{
	size_t cursor = 0;
	const void *key;
	const struct flame_sum *sum;

	while ((sum = map_next(&flame->sums, &cursor, &key))) {
		size_t before = pairs->index.count;
		uint32_t *place = map_put(&pairs->index, key);

		if (!place)
			return -ENOMEM;
		if (pairs->index.count != before) {
			*place = (uint32_t)pairs->count++;
			memcpy(&pairs->items[*place].key, key, sizeof(struct flame_key));
		}
		pairs->items[*place].sides[side] += mean(flame, sum->ns);
	}
	return 0;
}

static int by_change(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	double left = fabs(x->sides[1] - x->sides[0]), right = fabs(y->sides[1] - y->sides[0]);

	if (left != right)
		return left > right ? -1 : 1;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

static int join(const struct flame *a, const struct flame *b, struct pairs *pairs)
{
	int rc;

	*pairs = (struct pairs){ .items = calloc(a->sums.count + b->sums.count + 1,
						 sizeof(*pairs->items)) };
	map_init(&pairs->index, sizeof(struct flame_key), sizeof(uint32_t), clock_mono_ns());
	rc = pairs->items ? add(pairs, a, FLAME_TREE_A) : -ENOMEM;
	if (rc == 0)
		rc = add(pairs, b, FLAME_TREE_B);
	if (rc == 0)
		qsort(pairs->items, pairs->count, sizeof(*pairs->items), by_change);
	return rc;
}

/* ---- "root;...;leaf A B", as difffolded.pl writes it */

static void put_collapsed(const struct pairs *pairs, struct stacks *stacks, struct buf *out)
{
	for (size_t i = 0; i < pairs->count; i++) {
		const struct pair *pair = &pairs->items[i];

		flame_put_collapsed(&pair->key, stacks, out);
		buf_printf(out, " %.0f %.0f\n", pair->sides[0], pair->sides[1]);
	}
}

/* ---- JSON */

static void put_side(struct json *json, const char *key, const struct flame *flame)
{
	json_object(json, key);
	flame_put_spans(json, flame);
	json_uint(json, "total_ns", flame->total_ns);
	json_double(json, "mean_ns", mean(flame, flame->total_ns), 0);
	json_end(json);
}

static void put_pair(struct json *json, const struct pair *pair, struct stacks *stacks)
{
	json_object(json, NULL);
	json_text(json, "state", render_state_name(pair->key.state));
	if (pair->key.state == STATE_BLOCKED)
		json_text(json, "reason", ledger_reason_name(pair->key.detail));
	json_double(json, "a_ns", pair->sides[0], 0);
	json_double(json, "b_ns", pair->sides[1], 0);
	json_double(json, "change_ns", pair->sides[1] - pair->sides[0], 0);
	stacks_put_json(json, "stack", pair->key.stack, stacks);
	json_end(json);
}

static void put_json(const struct flame *a, const struct flame *b, const char *title,
		     const struct pairs *pairs, struct stacks *stacks, struct buf *out)
{
	struct json json;

	json_init(&json, out);
	json_object(&json, NULL);
	json_text(&json, "title", title);
	put_side(&json, "a", a);
	put_side(&json, "b", b);
	json_array(&json, "stacks");
	for (size_t i = 0; i < pairs->count; i++)
		put_pair(&json, &pairs->items[i], stacks);
	json_end(&json);
	json_end(&json);
}

/* ---- all of them */

static int draw(const struct flame *a, const struct flame *b, const char *title,
		struct stacks *stacks, struct buf *out)
{
	struct flame_tree tree;
	int rc = flame_tree_init(&tree, true);

	if (rc == 0)
		rc = flame_tree_add(&tree, a, FLAME_TREE_A, stacks);
	if (rc == 0)
		rc = flame_tree_add(&tree, b, FLAME_TREE_B, stacks);
	if (rc == 0)
		rc = flame_tree_draw(&tree, title, out);
	flame_tree_fini(&tree);
	return rc;
}

int flame_diff_write(const struct flame *a, const struct flame *b, enum flame_format format,
		     const char *title, struct stacks *stacks, struct buf *out)
{
	struct pairs pairs;
	int rc;

	if (format == FLAME_SVG)
		return draw(a, b, title, stacks, out);
	if (format != FLAME_JSON && format != FLAME_COLLAPSED)
		return -EINVAL;
	rc = join(a, b, &pairs);
	if (rc == 0 && format == FLAME_JSON)
		put_json(a, b, title, &pairs, stacks, out);
	else if (rc == 0)
		put_collapsed(&pairs, stacks, out);
	map_fini(&pairs.index);
	free(pairs.items);
	return rc < 0 ? rc : buf_error(out);
}
