/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of half-received requests: one budget for all connections of all threads, shared so that a
 * few greedy ones leave room for the others.
 *
 * Each connection has a part of its own: whoever asks for no more than that is never refused, also
 * where others who came before give nothing back. Of the rest a connection may hold twice what is
 * left: n of them that want everything get 2/(2n+1) each, and 1/(2n+1) stays free. One that is
 * alone may have 4/5: the largest request that is taken must fit in there, so that it passes sooner
 * or later. Where little is left, those who have more than their own must not be silent for long.
 * Threads may share a budget, but not a connection. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whoever takes over a finished request counts on from there. */
struct grpc_budget {
	atomic_size_t used_bytes;      /* beyond each connection's own part */
	atomic_size_t unsent_refusals; /* for want of it; they are not among used_bytes */
	size_t limit_bytes;            /* of used_bytes */
	size_t own_bytes;              /* set aside for each connection that there may be */
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

/* What it has beyond its own part. */
static inline size_t grpc_share_excess(const struct grpc_share *share)
{
	size_t own = share->budget->own_bytes;

	return share->bytes > own ? share->bytes - own : 0;
}

/* A buffer of this connection was `from` bytes large and is `to` now. */
static inline void grpc_share_move(struct grpc_share *share, size_t from, size_t to)
{
	size_t before, after;

	if (!share->budget) {
		share->bytes += to - from;
		return;
	}
	before = grpc_share_excess(share);
	share->bytes += to - from;
	after = grpc_share_excess(share);
	if (after != before)
		atomic_fetch_add_explicit(&share->budget->used_bytes, after - before,
					  memory_order_relaxed);
}

/* More than its share: the request that has grown must be refused, and may come again. */
static inline bool grpc_share_is_over(const struct grpc_share *share)
{
	const struct grpc_budget *budget = share->budget;
	size_t used, excess = budget ? grpc_share_excess(share) : 0;

	if (excess == 0)
		return false;
	used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
	if (used > budget->limit_bytes)
		return true;
	if (excess == used)
		return excess > budget->limit_bytes / 5 * 4;
	return excess / 2 > budget->limit_bytes - used;
}

/* With so much more, half of it is still free: who says how much will come may have room at once.
 */
static inline bool grpc_share_is_ample(const struct grpc_share *share, size_t bytes)
{
	const struct grpc_budget *budget = share->budget;

	return !budget || atomic_load_explicit(&budget->used_bytes, memory_order_relaxed) + bytes <=
				  budget->limit_bytes / 2;
}

#define GRPC_BUDGET_SHORT_MS 2000

/* How long a request may stop coming: less where it keeps others from what they need. */
static inline uint32_t grpc_share_patience_ms(const struct grpc_share *share, uint32_t ms)
{
	const struct grpc_budget *budget = share->budget;

	if (ms <= GRPC_BUDGET_SHORT_MS || !budget || grpc_share_excess(share) == 0 ||
	    atomic_load_explicit(&budget->used_bytes, memory_order_relaxed) <=
		    budget->limit_bytes / 4 * 3)
		return ms;
	return GRPC_BUDGET_SHORT_MS;
}
