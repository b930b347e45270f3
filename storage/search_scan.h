/* SPDX-License-Identifier: Apache-2.0 */
/* One pass of a search: rows of one kind of block -> the best hits.
 *
 * Part by part, youngest first; in a part, the blocks in the order of what they can hold at best,
 * until none can be better than what is there. */
#pragma once

#include "storage/hits.h"
#include "storage/trace_view.h"

struct search_scan {
	struct view *view; /* borrowed, as the next two */
	const struct store_query *query;
	struct hits *hits;
	/* Instead of hits: gets each row that matches, old ones of a span as well. */
	int (*visit)(const struct hit *hit, uint64_t wall_ns, void *arg);
	void *arg;
	enum block_kind kind;
	bool without_ledger; /* of the spans, only those that have none; their rank is 0 */
	bool is_out_of_time;
	struct trace_view trace;    /* scratch: of the row at hand */
	struct trace_reader reader; /* scratch */
	/* The part at hand. */
	uint32_t part;
	uint8_t *operations; /* owned: a bit for each number that matches; NULL: all do */
	struct buf candidates;
};

void search_scan_init(struct search_scan *scan, struct view *view, const struct store_query *query,
		      uint64_t seed);
void search_scan_fini(struct search_scan *scan);
/* -ESTALE: open a new view and begin again. */
int search_scan_run(struct search_scan *scan);
