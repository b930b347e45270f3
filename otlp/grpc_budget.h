/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of half-received requests: one budget for all connections of all threads, shared so that a
 * few greedy ones leave room for the others.
 *
 * A connection may hold twice what is left: n of them that want everything get 2/(2n+1) each, and
 * 1/(2n+1) stays free. One that is alone may have 4/5: the largest request that is taken must fit
 * in there, so that it passes sooner or later. Threads may share a budget, but not a connection. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Whoever takes over a finished request counts on from there. */
struct grpc_budget {
	atomic_size_t used_bytes;
	atomic_size_t unsent_refusals; /* for want of it; they are not among used_bytes */
	size_t limit_bytes;
};

/* What one connection has of it. */
struct grpc_share {
	struct grpc_budget *budget; /* borrowed; NULL: no limit */
	size_t bytes;
	size_t unsent_refusals;
};

/* So many answers that say that there is no room may wait to be sent: by then few connections can
 * hold many of them. Some are no offence, for a client may ask for much at once; what counts is
 * that all of them together stay few. */
#define GRPC_BUDGET_REFUSALS 1024
#define GRPC_SHARE_REFUSALS  32

static inline void grpc_share_refuse(struct grpc_share *share)
{
	share->unsent_refusals++;
	if (share->budget)
		atomic_fetch_add(&share->budget->unsent_refusals, 1);
}

static inline void grpc_share_refused(struct grpc_share *share)
{
	share->unsent_refusals--;
	if (share->budget)
		atomic_fetch_sub(&share->budget->unsent_refusals, 1);
}

/* Its peer takes no refusals, and there is no room for more of them. */
static inline bool grpc_share_is_deaf(const struct grpc_share *share)
{
	return share->budget && share->unsent_refusals > GRPC_SHARE_REFUSALS &&
	       atomic_load(&share->budget->unsent_refusals) > GRPC_BUDGET_REFUSALS;
}

/* A buffer of this connection was `from` bytes large and is `to` now. */
static inline void grpc_share_move(struct grpc_share *share, size_t from, size_t to)
{
	share->bytes += to - from;
	if (share->budget && to != from)
		atomic_fetch_add_explicit(&share->budget->used_bytes, to - from,
					  memory_order_relaxed);
}

/* More than its share: the request that has grown must be refused, and may come again. */
static inline bool grpc_share_is_over(const struct grpc_share *share)
{
	const struct grpc_budget *budget = share->budget;
	size_t used;

	if (!budget || share->bytes == 0)
		return false;
	used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
	if (used > budget->limit_bytes)
		return true;
	if (share->bytes == used)
		return share->bytes > budget->limit_bytes / 5 * 4;
	return share->bytes / 2 > budget->limit_bytes - used;
}
