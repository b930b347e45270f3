/* SPDX-License-Identifier: Apache-2.0 */
/* All traces: found by their ids, and in the order in which they were made.
 *
 * Of a trace nothing stands here but where it is, and, of one at rest (trace_rest.c), what tells
 * those who go over all whether to look at it. There may be some 100,000, of which most rest.
 *
 * Internal to correlate/. Not the owner of what stands in it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otlp/span.h"

#define TRACE_CONCERNS    13 /* bits */
#define CONCERN_ANY       1u /* of these: a trace that any process may concern */
#define TRACE_PLACE_BYTES 32 /* what a trace takes here, and of the heap's own, about */

struct trace_place {
	uint64_t at : 48; /* user space has no more; 0: it is gone. What begins with its id */
	uint64_t is_resting : 1;
	uint64_t is_settled : 1; /* of one that rests: it has been; it taught something; the */
	uint64_t has_taught : 1; /* processes that it has to do with, by a bit of each, which */
	uint64_t concerns : TRACE_CONCERNS; /* others may have, too */
};

struct trace_key {
	uint32_t hash;
	uint32_t number; /* one more than its place; 0: free */
};

struct trace_set {
	struct trace_place *places; /* owned; the oldest first, between those that are gone */
	uint32_t first, end, cap;   /* the first that is there; one more than the last */
	uint32_t count;
	struct trace_key *keys; /* owned; open addressing */
	uint32_t key_cap;       /* a power of two, or 0 */
	uint64_t seed;
};

void trace_set_init(struct trace_set *set, uint64_t seed);
void trace_set_fini(struct trace_set *set);

/* NULL: there is none. Good until the next one is added. */
struct trace_place *trace_set_find(const struct trace_set *set, const uint8_t id[TRACE_ID_BYTES]);
/* One that is not there, and stays where it is until trace_place_put. NULL: out of memory. */
struct trace_place *trace_set_add(struct trace_set *set, void *trace);
void trace_set_remove(struct trace_set *set, struct trace_place *place);
/* Goes over all: `*at` starts at 0. NULL: that was the last one. None is added meanwhile; any may
 * be removed. */
struct trace_place *trace_set_next(const struct trace_set *set, uint32_t *at);

static inline void *trace_place_at(const struct trace_place *place)
{
	return (void *)(uintptr_t)place->at;
}

/* It is there from now on, with the same id; nothing is told of it. */
static inline void trace_place_put(struct trace_place *place, const void *trace)
{
	*place = (struct trace_place){ .at = (uintptr_t)trace & ((1ull << 48) - 1) };
}
