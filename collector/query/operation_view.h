/* SPDX-License-Identifier: Apache-2.0 */
/* Rollups as the API shows them. A figure that nobody measured is null, never 0. */
#pragma once

#include "collector/base/json.h"
#include "correlate/rollup.h"
#include "storage/store.h"

/* One object of "operations". */
void operation_view_render(struct json *json, const struct store_rollup *rollup);

/* The members count ... top_waits of an object that is open. */
void operation_view_figures(struct json *json, const struct rollup_cell *cell);

/* The member "shares": of the wall of the spans with figures; null without any. */
void operation_view_shares(struct json *json, const struct rollup_cell *cell);

/* reason, target and stack_id of an object that is open. */
void operation_view_wait(struct json *json, const struct rollup_wait *wait);

/* The candidate whose wall is nearest to `wall_ns`; NULL: there is none. */
const struct rollup_example *operation_view_nearest(const struct store_rollup *rollup,
						    uint64_t wall_ns);
