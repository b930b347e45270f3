/* SPDX-License-Identifier: Apache-2.0 */
/* Which spans are meant: the parameters that every selection shares, as a store_query. */
#pragma once

#include "collector/query/params.h"
#include "storage/store.h"

#define CONDITIONS_MAX_ATTRIBUTES 8

struct conditions {
	struct store_query query; /* match_arg points into this struct: do not copy */
	struct {
		struct str key;
		struct str value;
	} attributes[CONDITIONS_MAX_ATTRIBUTES]; /* slices of the params; all must match */
	unsigned attribute_count;
	uint8_t first_trace[TRACE_ID_BYTES], last_trace[TRACE_ID_BYTES];
};

/* service, operation, from, to, trace, min_wall_ms, max_ratio, reason, grade, status, kind,
 * attr.KEY. An attribute is looked for in the span, then in its resource. */
void conditions_read(struct conditions *conditions, struct params *params);

/* service, operation, from, to only. */
void conditions_read_scope(struct conditions *conditions, struct params *params);
/* The same for rollups. */
struct store_rollup_query conditions_rollups(const struct conditions *conditions);
