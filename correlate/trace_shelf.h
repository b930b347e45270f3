/* SPDX-License-Identifier: Apache-2.0 */
/* Room for what rests: many small blocks that go in about the order in which they came, put side by
 * side, so that nothing of the heap's own stands between them, nor holes that others left.
 *
 * A shelf goes when all that lay on it has gone. Internal to correlate/. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct trace_shelf; /* the one that is being filled; NULL: none yet */

/* A copy of those bytes. NULL: out of memory. */
uint8_t *trace_shelf_put(struct trace_shelf **shelf, const uint8_t *from, size_t bytes);
/* From any that may be that one. */
void trace_shelf_take(const struct trace_shelf *filling, uint8_t *block);
/* Nothing lies on it any more. */
void trace_shelf_free(struct trace_shelf *shelf);
