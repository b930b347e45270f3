/* SPDX-License-Identifier: Apache-2.0 */
/* Holds what is resident below memory_limit_mib: all pages of all our processes, those of mapped
 * files among them, and BPF maps.
 *
 * The plan (memory_plan.h) bounds what the parts hold; heaps have holes, and pages of files that
 * were looked at stay. So a thread looks at the sum: beyond MEMORY_GUARD_TARGET of the limit pages
 * and holes are given back, then the correlator's share gives way (its oldest timelines are folded,
 * its oldest traces settled), and beyond MEMORY_GUARD_HIGH what may be in flight (peers are held
 * back, then refused). Queries that read for long run one by one where little is left. What gave
 * way grows again when there is room. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "collector/memory_plan.h"

struct engine;
struct http_server;
struct network;
struct probe_watch;
struct store;

#define MEMORY_GUARD_TARGET(limit) ((limit) / 16 * 13)
#define MEMORY_GUARD_HIGH(limit)   ((limit) / 16 * 14)
#define MEMORY_GUARD_LEAST         4 /* a share does not shrink below this part of it */
/* What one query that reads for long may take at once, of the limit. */
#define MEMORY_GUARD_QUERY(limit) ((limit) / 4)
#define MEMORY_GUARD_STEPS        16 /* in so many it grows back */

/* What may be taken now, of the plan's shares. */
struct memory_shares {
	size_t correlator_bytes, in_flight_bytes;
};

/* One look; `correlator` and `in_flight`: what they hold. */
struct memory_look {
	size_t resident_bytes, correlator_bytes, in_flight_bytes;
};

/* Pure: what each may take after it. */
void memory_shares_weigh(const struct memory_plan *plan, const struct memory_look *look,
			 struct memory_shares *shares);

/* Pure: how many queries that read for long may run at once. */
unsigned memory_guard_queries(const struct memory_plan *plan, size_t resident_bytes);

struct memory_guard_options {
	const struct memory_plan *plan; /* borrowed, as all pointers; they outlive the guard */
	struct store *store;
	struct engine *engine;
	struct network *network;
	struct http_server *http;
	struct probe_watch *watch;
};

struct memory_guard;

/* Negative errno. */
int memory_guard_start(const struct memory_guard_options *options, struct memory_guard **out_guard);
void memory_guard_stop(struct memory_guard *guard); /* NULL: nothing */

struct memory_guard_snapshot {
	uint64_t resident_bytes;
	uint64_t tidied; /* how often pages and holes were given back */
	struct memory_shares shares;
};

/* Any thread; NULL: zeros. */
void memory_guard_snapshot(struct memory_guard *guard, struct memory_guard_snapshot *out_snapshot);
