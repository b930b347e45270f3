/* SPDX-License-Identifier: Apache-2.0 */
/* The slowest share of a selection: chosen by the rollups' quantiles, then read one by one. */
#pragma once

#include "collector/query/conditions.h"

#define SLOWEST_MAX_SPANS 20000 /* read at most; what is missing is told */

struct slowest {
	uint64_t threshold_ns; /* no slower span is missing, unless `read` < `of` */
	uint64_t read, of;     /* spans visited, of so many that belong to the share */
	bool is_truncated;     /* the deadline came first */
};

/* Of how many spans `read` says that they were read. With a time that cuts minutes, rollups count
 * more than there are; only where reading ended early their count is what is left. */
uint64_t slowest_of(const struct slowest *slowest);

/* Visits the slowest 1 - `quantile` of the spans that `conditions` select, in no order, with their
 * ledgers. What has not settled is not among them. */
int slowest_each(struct store *store, const struct conditions *conditions, double quantile,
		 int (*visit)(const struct store_span *span, void *arg), void *arg,
		 struct slowest *out_slowest);
