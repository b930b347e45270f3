/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/rollup_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define FIRST_PAGES 256u

_Static_assert(ROLLUP_POOL_PAGES < UINT16_MAX, "a cell knows its pages by number");
_Static_assert(SKETCH_BUCKETS % SKETCH_STEPS == 0, "a page has buckets of one measure");

void rollup_pool_fini(struct rollup_pool *pool)
{
	free(pool->pages);
	*pool = (struct rollup_pool){ 0 };
}

/* Its number, + 1. 0: there is no room. */
static uint16_t take_page(struct rollup_pool *pool)
{
	if (pool->count == ROLLUP_POOL_PAGES)
		return 0;
	if (pool->count == pool->cap) {
		uint32_t cap = pool->cap ? MIN(2 * pool->cap, ROLLUP_POOL_PAGES) : FIRST_PAGES;
		void *pages = reallocarray(pool->pages, cap, sizeof(*pool->pages));

		if (!pages)
			return 0;
		pool->pages = pages;
		pool->cap = cap;
	}
	memset(&pool->pages[pool->count], 0, sizeof(*pool->pages));
	return (uint16_t)++pool->count;
}

uint32_t rollup_pages_add(struct rollup_pages *pages, const struct rollup_bucket *buckets,
			  uint32_t count)
{
	struct rollup_pool *pool = pages->pool;

	for (uint32_t i = 0; i < count; i++) {
		uint16_t *at = &pages->at[buckets[i].key / SKETCH_STEPS];
		int64_t *sum;

		if (!*at)
			*at = take_page(pool);
		if (!*at)
			return i;
		sum = &pool->pages[*at - 1].counts[buckets[i].key % SKETCH_STEPS];
		*sum = (int64_t)((uint64_t)*sum + (uint64_t)buckets[i].count);
	}
	return count;
}

int rollup_cell_spread(struct rollup_cell *cell, struct rollup_pool *pool)
{
	if (cell->pages || pool->cells == ROLLUP_POOL_CELLS || pool->count == ROLLUP_POOL_PAGES)
		return 0;
	cell->pages = calloc(1, sizeof(*cell->pages));
	if (!cell->pages)
		return -ENOMEM;
	pool->cells++;
	cell->pages->pool = pool;
	if (rollup_pages_add(cell->pages, cell->buckets, cell->bucket_count) < cell->bucket_count) {
		free(cell->pages);
		cell->pages = NULL;
		return 0;
	}
	cell->bucket_count = 0;
	return 0;
}

/* NULL: it counts nothing. */
static const struct rollup_page *page_of(const struct rollup_pages *pages, uint32_t i)
{
	return pages->at[i] ? &pages->pool->pages[pages->at[i] - 1] : NULL;
}

static uint32_t count_buckets(const struct rollup_pages *pages)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < ROLLUP_CELL_PAGES; i++) {
		const struct rollup_page *page = page_of(pages, i);

		for (uint32_t step = 0; page && step < SKETCH_STEPS; step++)
			count += page->counts[step] != 0;
	}
	return count;
}

static void put_buckets(const struct rollup_pages *pages, struct rollup_bucket *out)
{
	for (uint32_t i = 0; i < ROLLUP_CELL_PAGES; i++) {
		const struct rollup_page *page = page_of(pages, i);

		for (uint32_t step = 0; page && step < SKETCH_STEPS; step++) {
			if (page->counts[step])
				*out++ = (struct rollup_bucket){ page->counts[step],
								 i * SKETCH_STEPS + step };
		}
	}
}

int rollup_cell_sort(struct rollup_cell *cell)
{
	uint32_t count;

	if (!cell->pages)
		return 0;
	count = count_buckets(cell->pages);
	if (count > cell->bucket_cap) {
		void *buckets = reallocarray(cell->buckets, count, sizeof(*cell->buckets));

		if (!buckets)
			return -ENOMEM;
		cell->buckets = buckets;
		cell->bucket_cap = count;
	}
	put_buckets(cell->pages, cell->buckets);
	cell->bucket_count = count;
	free(cell->pages);
	cell->pages = NULL;
	return 0;
}
