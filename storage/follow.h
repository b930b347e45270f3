/* SPDX-License-Identifier: Apache-2.0 */
/* All spans of the store in the order of their commits, for whoever sends them on.
 *
 * Any thread, one follower each. What retention drops before it was visited is passed over; a place
 * survives restarts and the packing of parts. Failures as in store.h. */
#pragma once

#include <stdbool.h>

#include "storage/store.h"

/* Behind so many spans of a part. Zeroed: before the oldest of all. */
struct store_place {
	uint64_t part_unix_ns;
	uint64_t row;
};

struct store_follower { /* zeroed but for the place */
	struct store_place place;
	uint64_t seen_part, seen_seq, seen_rows; /* private: where the last walk stopped */
	bool seen_closed;
};

/* Visits the spans of one block that are behind the place, as a batch that is borrowed for the
 * call. `visit` returns how many it took, from the front, at least one, or an error; that is then
 * ours, and the place moves by as much. -ENOENT: there is nothing more yet. */
int store_follow(struct store *store, struct store_follower *follower,
		 int (*visit)(const struct span_batch *batch, void *arg), void *arg);

/* Behind the last span. */
int store_follow_end(struct store *store, struct store_place *out_place);

/* How many spans are behind a place. */
int store_follow_behind(struct store *store, const struct store_place *place, uint64_t *out_spans);
