/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's side of the engine: rings of successive probe workers, their counters, the gaps
 * between them.
 *
 *   WAITING --hello--> ATTACHED --died--> DETACHED --hello--> ATTACHED ...
 *      \--none--> ABSENT --hello--> ATTACHED
 *
 * Engine thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/probe.h"
#include "bpf/ring.h"
#include "collector/tap.h"

enum kernel_feed_state { FEED_WAITING, FEED_ABSENT, FEED_ATTACHED, FEED_DETACHED };

struct kernel_feed {
	struct tap *tap; /* borrowed */
	enum kernel_feed_state state;
	struct ring *ring; /* owned; with FEED_ATTACHED */
	size_t ring_bytes;
	uint32_t features;
	uint32_t restarts;
	uint64_t gap_from_ns;        /* with FEED_DETACHED: up to here the gap has been told */
	uint64_t drained_ns;         /* all records with out_ns up to here have been handed in */
	uint64_t missed, counted_ns; /* what found the ring full until then */
	size_t visited_bytes;        /* in the drain that runs */
	uint64_t malformed_base;     /* of rings that are closed */
	struct event_counters base;
};

void kernel_feed_init(struct kernel_feed *feed, struct tap *tap, uint64_t now_ns);
void kernel_feed_fini(struct kernel_feed *feed);

/* Takes both descriptors. Returns 0 or why the ring cannot be mapped (the state is then ABSENT or
 * DETACHED). */
int kernel_feed_attach(struct kernel_feed *feed, const struct probe_hello *hello, int ring_fd,
		       int counters_fd);
/* There will be no worker for now. */
void kernel_feed_absent(struct kernel_feed *feed);
/* The worker has died: what it left in the ring is read, then the gap begins. */
void kernel_feed_detach(struct kernel_feed *feed, uint64_t now_ns);

/* Hands in all records that have been committed; afterwards feed->drained_ns tells how far that
 * reaches. */
void kernel_feed_drain(struct kernel_feed *feed, uint64_t now_ns);

/* Sums over all workers so far. */
void kernel_feed_counters(const struct kernel_feed *feed, struct event_counters *out_sum,
			  uint64_t *out_malformed);
