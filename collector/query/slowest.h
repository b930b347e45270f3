/* SPDX-License-Identifier: Apache-2.0 */
/* The slowest share of a selection, read one by one. How many they are is counted, or is what
 * rollups say where more than STORE_MAX_WALLS would have to be. */
#pragma once

#include "collector/base/json.h"
#include "collector/query/conditions.h"

#define SLOWEST_MAX_SPANS 20000 /* read at most; what is missing is told */

struct slowest {
	uint64_t threshold_ns; /* no slower span is missing, unless `read` < `of` */
	uint64_t read, of;     /* spans visited, of so many that belong to the share */
	bool is_exact;         /* `of` was counted; else it is what rollups say, which know whole
				  minutes: too many, by the spans of a minute that was cut */
	bool is_truncated;     /* the deadline came first */
};

/* Of how many spans `read` says that they were read: where reading ended early, `of`. */
uint64_t slowest_of(const struct slowest *slowest);
/* The members "spans", "of" and "exact" of an object that is open. */
void slowest_put(struct json *json, const struct slowest *slowest);

/* Visits the slowest 1 - `quantile` of the spans that `conditions` select, in no order, with their
 * ledgers. What has not settled is not among them. */
int slowest_each(struct store *store, const struct conditions *conditions, double quantile,
		 int (*visit)(const struct store_span *span, void *arg), void *arg,
		 struct slowest *out_slowest);
