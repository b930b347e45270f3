/* SPDX-License-Identifier: Apache-2.0 */
/* A stack by its id, from whichever part has it; the youngest first. */
#include <errno.h>

#include "storage/stack_store.h"
#include "storage/store.h"
#include "storage/view.h"

int store_stack(struct store *store, uint64_t id, struct buf *out_frames)
{
	struct view view;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	rc = -ENOENT;
	for (size_t i = view.count; i > 0 && rc == -ENOENT; i--) {
		const struct txn *txn = NULL;

		rc = view_txn(&view, i - 1, &txn);
		if (rc == 0)
			rc = stack_store_get(view.parts[i - 1].part, txn, id, out_frames);
	}
	view_close(&view);
	return rc;
}
