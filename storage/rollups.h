/* SPDX-License-Identifier: Apache-2.0 */
/* The rollups of one part: what was added last in memory, the rest in runs on disk.
 *
 *   commits -> young (memory, and a block each in the log) -> runs -> one run and totals (packed)
 *
 * The writer adds and spills; any thread reads. What a commit adds is durable with it. */
#pragma once

#include <pthread.h>

#include "storage/rollup_table.h"

#define ROLLUPS_YOUNG_BYTES ((size_t)4 << 20)
#define ROLLUPS_YOUNG_NS    60000000000ull /* by commit time: beyond either, they become a run */
#define ROLLUPS_PATIENCE    2 /* ... and after so many times this, readers are waited for */

struct part;

struct rollups {
	/* Readers hold it as long as they read, so the writer never waits for it: what it finds
	 * locked takes its new cells in when it lets go. */
	pthread_mutex_t lock;
	struct rollup_table young;
	uint32_t runs_before; /* runs on disk that hold what was here earlier */
	bool is_broken;       /* no memory to hold what is on disk: readers are told */

	pthread_mutex_t fresh_lock; /* the next two; held as long as one commit's cells take */
	struct rollup_table fresh;  /* committed, and not yet among the young */
	bool is_fresh_broken;

	uint32_t young_blocks; /* writer only, as the rest: blocks of the log not yet in a run */
	uint64_t rolled_seq;   /* blocks up to here are in the runs on disk */
	uint64_t first_unix_ns;
};

int rollups_init(struct rollups *rollups, uint64_t seed);
void rollups_fini(struct rollups *rollups);
/* When an open part is opened again; then each block of its log is shown to the second. */
struct block;
int rollups_load(struct part *part, const struct txn *txn);
int rollups_load_block(struct part *part, uint32_t seq, struct block *block);

/* What the blocks of a commit add (rollup_table_put_young) has become durable: makes it visible. */
void rollups_committed(struct part *part, const struct rollup_table *added, uint64_t now_unix_ns);

/* Whether it is time for a run; then readers are locked out until rollups_end_spill. Where one
 * reads now, it is time a little later. */
bool rollups_begin_spill(struct part *part, uint64_t now_unix_ns);
/* Writes the young cells, of all blocks before part->next_seq, as a run. */
void rollups_spill(struct part *part, struct txn *txn);
/* `is_done`: that has been committed, and the young cells go. */
void rollups_end_spill(struct part *part, bool is_done);

struct rollups_range {
	uint32_t from_minute, to_minute; /* both included */
	bool is_exact;                   /* no totals instead of minutes */
};

/* What `visit` returns to have no more of this run, which is in order. */
#define ROLLUPS_NEXT_RUN 1

/* Visits all cells of a part in the range, those of the young ones first: their sums are the
 * result. A packed part that lies in the range wholly gives its totals. `young`: the cell; it has
 * no bytes. What has bytes was checked. -ESTALE: spilled meanwhile, begin again
 * with another transaction; it comes before any visit. The young ones are visited under a lock. */
int rollups_each(struct part *part, const struct txn *txn, const struct rollups_range *range,
		 int (*visit)(const struct rollup_entry *entry, const struct rollup_cell *young,
			      void *arg),
		 void *arg);
/* The number of runs of ROLLUP_MINUTES. */
int rollups_run_count(const struct part *part, const struct txn *txn, uint32_t *out_count);
