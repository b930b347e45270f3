/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollup_merge.h"

#include <errno.h>

#include "collector/base/breath.h"
#include "collector/base/macros.h"
#include "storage/rollup_pack.h"

#define STEP_CELLS   2000u              /* in one step: a few milliseconds */
#define GROUP_BYTES  ((size_t)4 << 20)  /* minutes that are written together are no more */
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

	if (!young)
		breath_take();
	return young ? rollup_table_merge(table, entry->key, young)
		     : rollup_table_decode(table, entry->key, &entry->cell);
}

static int add_totals(struct rollup_merge *merge, const struct rollup_table *minutes)
{
	const struct rollup_cell *cell;
	const void *key;
	size_t cursor = 0;
	int rc = 0;

	if (merge->has_no_totals)
		return 0;
	while (rc == 0 && (cell = map_next(&minutes->cells, &cursor, &key))) {
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

/* The next minute that anything is in, into `table`, if it may be in one value with what is there.
 * 0: it may not, or there is none. */
static int take_minute(struct rollup_merge *merge, struct rollup_table *table, uint32_t group)
{
	struct least least = { .minute = UINT32_MAX };
	struct rollups_range range = { .from_minute = merge->next_minute, .to_minute = UINT32_MAX };
	int rc = rollups_each(merge->from, merge->reading, &range, note_least, &least);

	merge->at_end = rc == 0 && !least.has_any;
	if (rc < 0 || merge->at_end || (table->cells.count && rollup_group(least.minute) != group))
		return rc;
	range.from_minute = range.to_minute = least.minute;
	rc = rollups_each(merge->from, merge->reading, &range, gather, table);
	merge->at_end = least.minute == UINT32_MAX;
	merge->next_minute = least.minute + 1;
	return rc < 0 ? rc : 1;
}

/* Some minutes, as one run has them. */
static int put_group(struct rollup_merge *merge, struct txn *txn, MDB_dbi to, size_t *cells)
{
	struct rollup_table table;
	int rc;

	rollup_table_init(&table, merge->from->seed);
	do
		rc = take_minute(merge, &table, rollup_group(merge->next_minute - 1));
	while (rc > 0 && !merge->at_end && table.bytes < GROUP_BYTES);
	if (rc >= 0)
		rc = add_totals(merge, &table);
	if (rc == 0) {
		rollup_pack_write(&table, txn, to, ROLLUP_MINUTES);
		rc = txn->error;
	}
	*cells += table.cells.count;
	rollup_table_fini(&table);
	return rc;
}

int rollup_merge_step(struct rollup_merge *merge, struct txn *txn, MDB_dbi to, bool *out_done)
{
	size_t cells = 0;
	int rc = 0;

	while (rc == 0 && !merge->at_end && cells < STEP_CELLS)
		rc = put_group(merge, txn, to, &cells);
	*out_done = merge->at_end;
	if (rc == 0 && merge->at_end)
		rollup_pack_write(&merge->totals, txn, to, ROLLUP_TOTALS);
	return rc < 0 ? rc : txn->error;
}
