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

/* The oldest part, if it has to go; borrowed. */
static struct part *due_part(struct store *store, uint64_t now_unix_ns)
{
	uint64_t max_age_ns = store->options.max_age_ns, max_bytes = store->options.max_bytes, end;
	struct part *due = NULL;

	pthread_mutex_lock(&store->lock);
	if (store->part_count && store->parts[0]->is_over) {
		end = oldest_end(store);
		if ((max_age_ns && end < now_unix_ns && now_unix_ns - end > max_age_ns) ||
		    (max_bytes && total_bytes(store) > max_bytes))
			due = store->parts[0];
	}
	pthread_mutex_unlock(&store->lock);
	return due;
}

int store_end_part(struct store *store, uint64_t now_unix_ns)
{
	if (store->options.read_only)
		return -EROFS;
	return part_list_is_over(store, now_unix_ns) ? part_list_end(store, false) : 0;
}

int store_keep(struct store *store, uint64_t now_unix_ns)
{
	struct part *due;
	int rc = 0;

	if (store->options.read_only)
		return -EROFS;
	while (rc == 0 && (due = due_part(store, now_unix_ns))) {
		compaction_forget(store, due);
		rc = part_list_drop_oldest(store, due);
	}
	return rc < 0 ? rc : compaction_step(store);
}

int store_maintain(struct store *store, uint64_t now_unix_ns)
{
	int rc = store_end_part(store, now_unix_ns);

	return rc < 0 ? rc : store_keep(store, now_unix_ns);
}
