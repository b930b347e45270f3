/* SPDX-License-Identifier: Apache-2.0 */
/* A stack by its id, from whichever part has it. That is mostly the one of the ledger, or the one
 * that had the stack before; then the youngest first. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "storage/stack_store.h"
#include "storage/store.h"
#include "storage/view.h"

static int look_in(struct view *view, size_t index, uint64_t id, struct buf *out_frames)
{
	const struct txn *txn = NULL;
	int rc = view_txn(view, index, &txn);

	return rc < 0 ? rc : stack_store_get(view->parts[index].part, txn, id, out_frames);
}

static int open_view(struct store_stacks *stacks)
{
	int rc;

	if (stacks->view)
		return 0;
	stacks->view = calloc(1, sizeof(*stacks->view));
	rc = stacks->view ? view_open(stacks->store, stacks->view) : -ENOMEM;
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

int store_stack(struct store_stacks *stacks, uint64_t id, struct buf *out_frames)
{
	int rc = open_view(stacks);
	size_t count, first[3];

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
		rc = look_in(stacks->view, at, id, out_frames);
		if (rc == 0)
			stacks->last = at;
	}
	return rc;
}

void store_stacks_fini(struct store_stacks *stacks)
{
	if (stacks->view)
		view_close(stacks->view);
	free(stacks->view);
	stacks->view = NULL;
}
