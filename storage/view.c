/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/view.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/breath.h"

#define PARTS_AHEAD 8

/* The parts of a week are hundreds of places in memory, of which most lie in no cache. */
static void ask_ahead(const struct store *store, size_t at)
{
	if (at + PARTS_AHEAD < store->part_count) {
		const struct part *part = store->parts[at + PARTS_AHEAD];

		__builtin_prefetch(&part->env);
		__builtin_prefetch(&part->references, 1);
		__builtin_prefetch(&part->filter);
		__builtin_prefetch(&part->totals);
	}
	if (at + PARTS_AHEAD / 2 < store->part_count)
		__builtin_prefetch(store->parts[at + PARTS_AHEAD / 2]->env, 1);
}

int view_open(struct store *store, struct view *out_view)
{
	struct view view = { 0 };

	pthread_mutex_lock(&store->lock);
	view.parts = calloc(store->part_count + 1, sizeof(*view.parts));
	for (; view.parts && view.count < store->part_count; view.count++) {
		struct view_part *part = &view.parts[view.count];

		ask_ahead(store, view.count);

		part->part = part_hold(store->parts[view.count]);
		part->env = part_env_hold(part->part->env);
		part->totals = part->part->totals;
	}
	pthread_mutex_unlock(&store->lock);
	if (!view.parts)
		return -ENOMEM;
	*out_view = view;
	return 0;
}

void view_close(struct view *view)
{
	for (size_t i = 0; i < VIEW_BLOCKS; i++)
		block_close(&view->blocks[i].block);
	for (size_t i = 0; i < view->count; i++) {
		txn_abort(&view->parts[i].txn);
		part_env_release(view->parts[i].env);
		part_release(view->parts[i].part);
	}
	free(view->parts);
	*view = (struct view){ 0 };
}

int view_txn(struct view *view, size_t index, const struct txn **out_txn)
{
	struct view_part *part = &view->parts[index];
	int rc = part->txn.mdb ? 0 : txn_begin_read(part->env->mdb, &part->txn);

	if (rc == 0)
		*out_txn = &part->txn;
	return rc;
}

int view_block(struct view *view, size_t index, uint32_t seq, struct block *out_block)
{
	const struct txn *txn = NULL;
	int rc = view_txn(view, index, &txn);

	breath_take();
	if (rc == 0)
		rc = part_block(view->parts[index].part, txn, seq, out_block);
	if (rc == 0)
		out_block->omit = view->omit;
	return rc;
}

/* The slot of a block, opened if need be. */
static int keep(struct view *view, size_t index, uint32_t seq, struct view_block **out_kept)
{
	struct view_block *oldest = &view->blocks[0];
	int rc;

	for (size_t i = 0; i < VIEW_BLOCKS; i++) {
		struct view_block *kept = &view->blocks[i];

		if (kept->seq == seq && kept->part == index) {
			*out_kept = kept;
			return 0;
		}
		oldest = kept->used < oldest->used ? kept : oldest;
	}
	block_close(&oldest->block);
	oldest->seq = 0;
	oldest->used = 0;
	rc = view_block(view, index, seq, &oldest->block);
	if (rc < 0)
		return rc;
	oldest->part = (uint32_t)index;
	oldest->seq = seq;
	*out_kept = oldest;
	return 0;
}

int view_keep_block(struct view *view, size_t index, uint32_t seq, struct block **out_block)
{
	struct view_block *kept;
	int rc = keep(view, index, seq, &kept);

	if (rc < 0)
		return rc;
	if (kept->used != VIEW_PINNED)
		kept->used = ++view->clock;
	*out_block = &kept->block;
	return 0;
}

int view_pin_block(struct view *view, size_t index, uint32_t seq, struct block **out_block)
{
	struct view_block *kept;
	int rc = keep(view, index, seq, &kept);

	if (rc < 0)
		return rc;
	kept->used = VIEW_PINNED;
	*out_block = &kept->block;
	return 0;
}

void view_unpin(struct view *view)
{
	for (size_t i = 0; i < VIEW_BLOCKS; i++) {
		if (view->blocks[i].used == VIEW_PINNED)
			view->blocks[i].used = ++view->clock;
	}
}
