/* SPDX-License-Identifier: Apache-2.0 */
/* Spans summed up per (service, operation): quantiles of wall and ratio, shares of the states, top
 * waits. Bounded by what is added. Not thread safe. */
#pragma once

#include "collector/base/arena.h"
#include "collector/base/json.h"
#include "storage/store.h"

struct operation;

struct operation_table {
	struct arena arena;            /* the operations and their names */
	struct operation **operations; /* owned array */
	size_t count, cap;
	uint64_t spans;
};

void operation_table_init(struct operation_table *table);
void operation_table_fini(struct operation_table *table);

/* -ENOMEM. Figures come from spans graded exact, bounded or inferred; all are counted. */
int operation_table_add(struct operation_table *table, const struct store_span *span);

/* The member "operations", by wall time summed, most first. */
void operation_table_render(struct operation_table *table, struct json *json);
