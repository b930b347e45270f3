/* SPDX-License-Identifier: Apache-2.0 */
/* Rollup cells by minute and operation number, and their form in a part's databases.
 *
 *   rollup  ROLLUP_MINUTES: sorted runs of cells; a reader adds up all runs. In a packed part, one
 *           run of compressed values (rollup_pack.h), of all cells of some minutes
 *           ROLLUP_TOTALS: the same of the whole part, with minute 0; packed parts only
 *
 * What commits have added since the last run stands in blocks of the log, a value each.
 *
 * Every value ends with its checksum. Not thread safe. */
#pragma once

#include "collector/base/map.h"
#include "correlate/rollup.h"
#include "storage/txn.h"

enum rollup_level { ROLLUP_MINUTES = 0, ROLLUP_TOTALS = 1, ROLLUP_YOUNG = 2 };

struct rollup_key {
	uint32_t minute; /* of the end: Unix ns / 60e9 */
	uint32_t operation;
};

#define ROLLUP_RECENT 16u

struct rollup_recent {
	struct rollup_key key;
	struct rollup_cell *cell; /* in the map; NULL: none */
};

struct rollup_table {
	struct map cells;                           /* struct rollup_key -> struct rollup_cell */
	size_t bytes;                               /* of the cells */
	struct rollup_recent recent[ROLLUP_RECENT]; /* by operation: asked for last ... */
	const char *recent_slots;                   /* ... while the map lay here */
};

/* The first of the minutes that a packed value may hold together with this one: so a reader knows
 * where to begin. */
#define ROLLUP_GROUP_MINUTES 10u

static inline uint32_t rollup_group(uint32_t minute)
{
	return minute - minute % ROLLUP_GROUP_MINUTES;
}

void rollup_table_init(struct rollup_table *table, uint64_t seed);
void rollup_table_fini(struct rollup_table *table);
void rollup_table_clear(struct rollup_table *table);

/* All -ENOMEM; the table is then to be thrown away. */
int rollup_table_add(struct rollup_table *table, struct rollup_key key, const struct ledger *ledger,
		     bool is_error, int sign);
int rollup_table_add_plain(struct rollup_table *table, struct rollup_key key,
			   const struct rollup_span *span);
int rollup_table_merge(struct rollup_table *table, struct rollup_key key,
		       const struct rollup_cell *cell);
/* The same of an encoded cell; also -EBADMSG. */
int rollup_table_decode(struct rollup_table *table, struct rollup_key key,
			const struct rollup_bytes *bytes);
int rollup_table_merge_all(struct rollup_table *table, const struct rollup_table *other);

/* A cell as it stands in the database, or some cells that are packed. */
struct rollup_entry {
	uint32_t level, run;
	struct rollup_key key;
	struct str bytes;         /* as they stand there */
	struct rollup_bytes cell; /* of a single one, once it was checked */
};

/* All cells in order, for free(). NULL: no memory. */
struct rollup_place {
	struct rollup_key key;
	const struct rollup_cell *cell;
};

enum rollup_order { ROLLUP_BY_MINUTE, ROLLUP_BY_OPERATION };

struct rollup_place *rollup_table_sorted(const struct rollup_table *table, enum rollup_order order);

/* Writes all cells as one run, or a part of it: in order, so that nothing greater may be there. */
void rollup_table_write(const struct rollup_table *table, struct txn *txn, MDB_dbi dbi,
			enum rollup_level level, uint32_t run);
/* As one value, the heap of a block of the log, and back: what is read is merged. */
void rollup_table_put_young(const struct rollup_table *table, struct buf *out_value);
int rollup_table_read_young(struct rollup_table *table, struct str value);

#define ROLLUP_KEY_BYTES 16

void rollup_entry_key(const struct rollup_entry *entry, uint8_t out_key[ROLLUP_KEY_BYTES]);
/* Without looking at the value; the next two do that: of packed cells, and of a single one. All
 * -EBADMSG. */
int rollup_entry_parse(struct str key, struct str value, struct rollup_entry *out_entry);
int rollup_entry_check(const struct rollup_entry *entry);
int rollup_entry_open(struct rollup_entry *entry);
/* `value` is that of the entry's key, in order; it gets its checksum. */
void rollup_entry_append(struct txn *txn, MDB_dbi dbi, struct rollup_entry *entry,
			 struct buf *value);
