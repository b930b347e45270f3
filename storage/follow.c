/* SPDX-License-Identifier: Apache-2.0 */
/* All spans in the order of their commits, a block at a time.
 *
 * A place counts the rows of its part, not its blocks: packing a part makes fewer and larger blocks
 * of the same rows in the same order. */
#include "storage/follow.h"

#include <errno.h>
#include <string.h>

#include "storage/span_block.h"
#include "storage/view.h"

/* Where the walk through a part stands: `rows` are in blocks before `seq`. */
struct walk {
	uint64_t seq;
	uint64_t rows;
};

static struct walk begin_walk(const struct store_follower *follower, const struct part *part)
{
	if (follower->seen_part == part->start_unix_ns &&
	    follower->seen_closed == part->is_closed && follower->seen_rows <= follower->place.row)
		return (struct walk){ follower->seen_seq, follower->seen_rows };
	return (struct walk){ 1, 0 };
}

static void end_walk(struct store_follower *follower, const struct part *part, struct walk walk)
{
	follower->seen_part = part->start_unix_ns;
	follower->seen_closed = part->is_closed;
	follower->seen_seq = walk.seq;
	follower->seen_rows = walk.rows;
}

/* The block that holds the place's row. -ENOENT: the part has no more. */
static int find_block(const struct store_follower *follower, struct part *part,
		      const struct txn *txn, struct walk *walk)
{
	int rc;

	for (;; walk->seq++) {
		struct block_header header;
		uint64_t bytes;
		struct str value;

		rc = walk->seq <= UINT32_MAX ? part_value(part, txn, (uint32_t)walk->seq, &value)
					     : -ENOENT;
		if (rc == 0)
			rc = block_header_read(value, &header, &bytes);
		if (rc < 0 || (header.kind == BLOCK_SPANS &&
			       walk->rows + header.row_count > follower->place.row))
			return rc;
		walk->rows += header.kind == BLOCK_SPANS ? header.row_count : 0;
	}
}

struct from_row {
	uint64_t first;
};

static bool is_wanted(uint32_t row, void *arg)
{
	const struct from_row *from = arg;

	return row >= from->first;
}

static int visit_block(struct store_follower *follower, struct view *view, size_t index,
		       const struct walk *walk,
		       int (*visit)(const struct span_batch *batch, void *arg), void *arg)
{
	struct from_row from = { follower->place.row - walk->rows };
	struct span_batch batch;
	struct block block;
	int rc = view_block(view, index, (uint32_t)walk->seq, &block);

	if (rc < 0)
		return rc;
	rc = block_load(&block);
	if (rc == 0)
		rc = span_block_batch(&block, is_wanted, &from, &batch);
	if (rc == 0) {
		rc = visit(&batch, arg);
		arena_fini(&batch.arena);
	}
	block_close(&block);
	return rc;
}

/* The place's part, or the next one when it is gone. */
static size_t find_part(struct store_follower *follower, const struct view *view)
{
	size_t i = 0;

	while (i < view->count && view->parts[i].part->start_unix_ns < follower->place.part_unix_ns)
		i++;
	if (i < view->count && view->parts[i].part->start_unix_ns != follower->place.part_unix_ns)
		follower->place = (struct store_place){ view->parts[i].part->start_unix_ns, 0 };
	return i;
}

static int follow(struct store_follower *follower, struct view *view,
		  int (*visit)(const struct span_batch *batch, void *arg), void *arg)
{
	size_t i = find_part(follower, view);
	int rc = -ENOENT;

	for (; i < view->count; i++) {
		struct part *part = view->parts[i].part;
		struct walk walk = begin_walk(follower, part);
		const struct txn *txn;

		rc = view_txn(view, i, &txn);
		if (rc == 0)
			rc = find_block(follower, part, txn, &walk);
		if (rc == 0 || rc == -ENOENT)
			end_walk(follower, part, walk);
		if (rc == 0)
			rc = visit_block(follower, view, i, &walk, visit, arg);
		if (rc != -ENOENT || i + 1 == view->count)
			break;
		follower->place = (struct store_place){ view->parts[i + 1].part->start_unix_ns, 0 };
	}
	return rc;
}

int store_follow(struct store *store, struct store_follower *follower,
		 int (*visit)(const struct span_batch *batch, void *arg), void *arg)
{
	struct view view;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	rc = follow(follower, &view, visit, arg);
	view_close(&view);
	if (rc > 0)
		follower->place.row += (uint64_t)rc;
	return rc;
}

int store_follow_end(struct store *store, struct store_place *out_place)
{
	struct view view;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	*out_place = (struct store_place){ 0 };
	if (view.count) {
		const struct view_part *last = &view.parts[view.count - 1];

		*out_place = (struct store_place){ last->part->start_unix_ns, last->totals.spans };
	}
	view_close(&view);
	return 0;
}

int store_follow_behind(struct store *store, const struct store_place *place, uint64_t *out_spans)
{
	struct view view;
	uint64_t spans = 0;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < view.count; i++) {
		uint64_t start = view.parts[i].part->start_unix_ns,
			 here = view.parts[i].totals.spans;

		if (start > place->part_unix_ns)
			spans += here;
		else if (start == place->part_unix_ns && here > place->row)
			spans += here - place->row;
	}
	view_close(&view);
	*out_spans = spans;
	return 0;
}
