/* SPDX-License-Identifier: Apache-2.0 */
/* The counts of a cell's buckets while many cells are added to it: in pages of one doubling of one
 * measure, where each is found at once. Sorted, as the cell has them otherwise, each must be looked
 * for, and what is new makes room among the others.
 *
 * The cells of one sum share a pool, which is bounded: a cell that gets no page more has its
 * buckets sorted again. Not thread safe. */
#pragma once

#include "correlate/rollup.h"
#include "correlate/sketch.h"

#define ROLLUP_POOL_PAGES 16384u /* of all cells: 8 MiB */
#define ROLLUP_POOL_CELLS 1024u  /* ... and 2 MiB to find them by */
#define ROLLUP_CELL_PAGES (ROLLUP_MEASURES * (SKETCH_BUCKETS / SKETCH_STEPS))

struct rollup_page {
	int64_t counts[SKETCH_STEPS];
};

/* Begin with zeros. It outlives the pages of its cells. */
struct rollup_pool {
	struct rollup_page *pages; /* owned */
	uint32_t count, cap, cells;
};

struct rollup_pages {
	struct rollup_pool *pool;       /* borrowed */
	uint16_t at[ROLLUP_CELL_PAGES]; /* in the pool, + 1; 0: none yet */
};

void rollup_pool_fini(struct rollup_pool *pool);

/* From now on the cell counts in pages, if there is room, until rollup_cell_sort: that must come
 * before it is used for anything but merging. Both -ENOMEM. */
int rollup_cell_spread(struct rollup_cell *cell, struct rollup_pool *pool);
int rollup_cell_sort(struct rollup_cell *cell);

/* Returns how many of the buckets were added: the first ones, all unless there was no room. */
uint32_t rollup_pages_add(struct rollup_pages *pages, const struct rollup_bucket *buckets,
			  uint32_t count);
