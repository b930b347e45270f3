/* SPDX-License-Identifier: Apache-2.0 */
/* Waits of many spans summed by reason, target, stack and system call. Bounded; not thread safe. */
#pragma once

#include "collector/base/json.h"
#include "collector/base/map.h"
#include "correlate/ledger.h"

struct stacks;

#define WAIT_TABLE_MAX 4096 /* distinct ones; the rest is summed as one */

struct wait_table {
	struct map sums;      /* key -> struct wait_sum */
	uint64_t wall_ns;     /* of the spans with figures */
	uint64_t left_out_ns; /* beyond WAIT_TABLE_MAX */
};

void wait_table_init(struct wait_table *table);
void wait_table_fini(struct wait_table *table);

/* -ENOMEM. A ledger without figures adds nothing. */
int wait_table_add(struct wait_table *table, const struct ledger *ledger);

/* The member "waits", by time, most first, at most `limit`, with their stacks by name; and
 * "left_out_ns". */
int wait_table_render(const struct wait_table *table, struct json *json, size_t limit,
		      struct stacks *stacks);
