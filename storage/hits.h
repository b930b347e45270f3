/* SPDX-License-Identifier: Apache-2.0 */
/* The best rows of a search so far: a heap of bounded size, the worst on top. */
#pragma once

#include "storage/trace_view.h"

struct hit {
	uint64_t rank; /* by the query's order; greater is better */
	uint64_t start_unix_ns;
	uint8_t trace_id[TRACE_ID_BYTES];
	uint8_t span_id[SPAN_ID_BYTES];
	struct trace_place place; /* the row that matched */
};

struct hits {
	struct hit *hits; /* owned */
	size_t count, cap, max;
	bool has_dropped; /* something matched but was worse than all of these */
};

void hits_init(struct hits *hits, size_t max);
void hits_fini(struct hits *hits);
/* Whether a row of this rank may still get in. */
bool hits_accept(const struct hits *hits, uint64_t rank, uint64_t start_unix_ns);
/* -ENOMEM. */
int hits_add(struct hits *hits, const struct hit *hit);
/* The best first. No adding after that. */
void hits_sort(struct hits *hits);
/* The total order of results: rank, newest start, ids. */
bool hits_is_better(const struct hit *a, const struct hit *b);
