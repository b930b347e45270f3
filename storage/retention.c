/* SPDX-License-Identifier: Apache-2.0 */
/* Parts go whole, the oldest first, when they are too old or all together too large. */
#include <errno.h>

#include "collector/base/macros.h"
#include "storage/compaction.h"
#include "storage/part_list.h"

/* A part is at least as old as any after it, whatever the clock said while it was written. */
static uint64_t oldest_end(const struct store *store)
{
	uint64_t end = UINT64_MAX;

	for (size_t i = 0; i < store->part_count; i++) {
		const struct part_totals *totals = &store->parts[i]->totals;

		if (totals->last_commit_unix_ns)
			end = MIN(end, totals->last_commit_unix_ns);
	}
	return end;
}

static uint64_t total_bytes(const struct store *store)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < store->part_count; i++)
		bytes += store->parts[i]->totals.bytes;
	return bytes;
}

static bool is_due(const struct store *store, uint64_t now_unix_ns)
{
	uint64_t max_age_ns = store->options.max_age_ns, end = oldest_end(store);

	if (store->part_count == 0 || store->parts[0] == store->current)
		return false;
	if (max_age_ns && end < now_unix_ns && now_unix_ns - end > max_age_ns)
		return true;
	return store->options.max_bytes && total_bytes(store) > store->options.max_bytes;
}

int store_maintain(struct store *store, uint64_t now_unix_ns)
{
	int rc = 0;

	if (store->options.read_only)
		return -EROFS;
	if (part_list_is_over(store, now_unix_ns))
		rc = part_list_end(store, false);
	while (rc == 0 && is_due(store, now_unix_ns)) {
		compaction_forget(store, store->parts[0]);
		rc = part_list_drop_oldest(store);
	}
	return rc < 0 ? rc : compaction_step(store);
}
