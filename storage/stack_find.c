/* SPDX-License-Identifier: Apache-2.0 */
/* A stack by its id, from whichever part has it. That is mostly the one of the ledger, or the one
 * that had the stack before; then the youngest first. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "storage/stack_pack.h"
#include "storage/stack_store.h"
#include "storage/store.h"
#include "storage/view.h"

static int look_in(struct store_stacks *stacks, size_t index, uint64_t id, struct buf *out_frames)
{
	const struct part *part = stacks->view->parts[index].part;
	const struct txn *txn = NULL;
	int rc = view_txn(stacks->view, index, &txn);

	if (rc < 0)
		return rc;
	return part->is_closed ? stack_pack_get(part, txn, stacks->groups, id, out_frames)
			       : stack_store_get(part, txn, id, out_frames);
}

static int open_view(struct store_stacks *stacks)
{
	int rc;

	if (stacks->view)
		return 0;
	if (!stacks->groups)
		stacks->groups = calloc(1, sizeof(*stacks->groups));
	stacks->view = calloc(1, sizeof(*stacks->view));
	rc = stacks->view && stacks->groups ? view_open(stacks->store, stacks->view) : -ENOMEM;
	if (rc < 0) {
		free(stacks->view);
		stacks->view = NULL;
	}
	return rc;
}

/* The last part that had begun by then; parts begin in order. */
static size_t part_of(const struct view *view, uint64_t unix_ns)
{
	size_t low = 0, high = view->count;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (view->parts[middle].part->start_unix_ns <= unix_ns)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Names that were lost are asked for again and again: not in all parts each time. */
static bool is_known_absent(struct store_stacks *stacks, uint64_t id, uint64_t *out_name_commits)
{
	struct store *store = stacks->store;
	const struct store_absent *absent = &store->absent_stacks[id % STORE_ABSENT_STACKS];
	bool is_absent;

	pthread_mutex_lock(&store->lock);
	is_absent = absent->id == id && absent->name_commits == store->name_commits;
	*out_name_commits = store->name_commits;
	pthread_mutex_unlock(&store->lock);
	return is_absent;
}

static void note_absent(struct store_stacks *stacks, uint64_t id, uint64_t name_commits)
{
	struct store *store = stacks->store;

	pthread_mutex_lock(&store->lock);
	store->absent_stacks[id % STORE_ABSENT_STACKS] = (struct store_absent){ id, name_commits };
	pthread_mutex_unlock(&store->lock);
}

int store_stack(struct store_stacks *stacks, uint64_t id, struct buf *out_frames)
{
	size_t count, first[3];
	uint64_t name_commits;
	int rc;

	if (is_known_absent(stacks, id, &name_commits))
		return -ENOENT;
	rc = open_view(stacks);
	if (rc < 0)
		return rc;
	count = stacks->view->count;
	first[0] = part_of(stacks->view, stacks->near_unix_ns);
	first[1] = first[0] + 1; /* a span may settle when the next part has begun */
	first[2] = stacks->last;
	rc = -ENOENT;
	for (size_t i = 0; i < count + ARRAY_LEN(first) && rc == -ENOENT; i++) {
		size_t at = i < ARRAY_LEN(first) ? first[i] : count + ARRAY_LEN(first) - 1 - i;

		if (at >= count)
			continue;
		rc = look_in(stacks, at, id, out_frames);
		if (rc == 0)
			stacks->last = at;
	}
	if (rc == -ENOENT)
		note_absent(stacks, id, name_commits);
	return rc;
}

void store_stacks_fini(struct store_stacks *stacks)
{
	if (stacks->view)
		view_close(stacks->view);
	if (stacks->groups)
		stack_groups_fini(stacks->groups);
	free(stacks->view);
	free(stacks->groups);
	stacks->view = NULL;
	stacks->groups = NULL;
}
