/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the operations: what their spans waited and worked, since the start.
 *
 * The first `max` operations have counters of their own until the daemon ends, all others share
 * those of (other): the number of series is bounded, and a counter never goes back. A span counts
 * when it settles first; what is computed again later does not change it. One thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"
#include "correlate/ledger.h"

struct metrics_text;
struct metrics_operations;

int metrics_operations_new(size_t max, struct metrics_operations **out_operations);
void metrics_operations_free(struct metrics_operations *operations);

/* The number of an operation, made if need be; 0: (other). */
uint32_t metrics_operations_find(struct metrics_operations *operations, struct str service,
				 struct str name, uint8_t kind);
void metrics_operations_uncovered(struct metrics_operations *operations, uint32_t number);
void metrics_operations_add(struct metrics_operations *operations, uint32_t number,
			    const struct ledger *ledger);

/* What metrics_operations_write needs, at one moment, so that writing does not hold up counting;
 * its names are borrowed from the original. NULL: out of memory. */
struct metrics_operations *metrics_operations_copy(const struct metrics_operations *operations);
void metrics_operations_write(const struct metrics_operations *operations,
			      struct metrics_text *text);
size_t metrics_operations_bytes(const struct metrics_operations *operations);
