/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollup_merge.h"

#include <errno.h>

#include "collector/base/macros.h"

#define STEP_CELLS   2000u              /* in one step: a few milliseconds */
#define TOTALS_BYTES ((size_t)16 << 20) /* beyond it there are none */

void rollup_merge_open(struct rollup_merge *merge, struct part *from, const struct txn *reading)
{
	*merge = (struct rollup_merge){ .from = from, .reading = reading };
	rollup_table_init(&merge->totals, from->seed);
}

void rollup_merge_close(struct rollup_merge *merge)
{
	if (merge->from)
		rollup_table_fini(&merge->totals);
	*merge = (struct rollup_merge){ 0 };
}

struct least {
	uint32_t minute;
	bool has_any;
};

static int note_least(const struct rollup_entry *entry, const struct rollup_cell *young, void *arg)
{
	struct least *least = arg;

	least->minute = MIN(least->minute, entry->key.minute);
	least->has_any = true;
	return young ? 0 : ROLLUPS_NEXT_RUN; /* they come in order */
}

static int gather(const struct rollup_entry *entry, const struct rollup_cell *young, void *arg)
{
	struct rollup_table *table = arg;

	return young ? rollup_table_merge(table, entry->key, young)
		     : rollup_table_decode(table, entry->key, entry->bytes);
}

static int add_totals(struct rollup_merge *merge, const struct rollup_table *minute)
{
	const struct rollup_cell *cell;
	const void *key;
	size_t cursor = 0;
	int rc = 0;

	if (merge->has_no_totals)
		return 0;
	while (rc == 0 && (cell = map_next(&minute->cells, &cursor, &key))) {
		struct rollup_key copy;

		memcpy(&copy, key, sizeof(copy));
		copy.minute = 0;
		rc = rollup_table_merge(&merge->totals, copy, cell);
	}
	if (merge->totals.bytes > TOTALS_BYTES) {
		merge->has_no_totals = true;
		rollup_table_clear(&merge->totals);
	}
	return rc;
}

/* The next minute that anything is in, as one. */
static int put_minute(struct rollup_merge *merge, struct txn *txn, MDB_dbi to, size_t *cells)
{
	struct least least = { .minute = UINT32_MAX };
	struct rollups_range range = { .from_minute = merge->next_minute, .to_minute = UINT32_MAX };
	struct rollup_table minute;
	int rc = rollups_each(merge->from, merge->reading, &range, note_least, &least);

	merge->at_end = rc == 0 && !least.has_any;
	if (rc < 0 || merge->at_end)
		return rc;
	range.from_minute = range.to_minute = least.minute;
	rollup_table_init(&minute, merge->from->seed);
	rc = rollups_each(merge->from, merge->reading, &range, gather, &minute);
	if (rc == 0)
		rc = add_totals(merge, &minute);
	if (rc == 0) {
		rollup_table_write_packed(&minute, txn, to, ROLLUP_MINUTES);
		rc = txn->error;
	}
	*cells += minute.cells.count;
	rollup_table_fini(&minute);
	merge->at_end = least.minute == UINT32_MAX;
	merge->next_minute = least.minute + 1;
	return rc;
}

int rollup_merge_step(struct rollup_merge *merge, struct txn *txn, MDB_dbi to, bool *out_done)
{
	size_t cells = 0;
	int rc = 0;

	while (rc == 0 && !merge->at_end && cells < STEP_CELLS)
		rc = put_minute(merge, txn, to, &cells);
	*out_done = merge->at_end;
	if (rc == 0 && merge->at_end)
		rollup_table_write_packed(&merge->totals, txn, to, ROLLUP_TOTALS);
	return rc < 0 ? rc : txn->error;
}
