/* SPDX-License-Identifier: Apache-2.0 */
/* Which process is due next: a binary heap whose items know their place, so that they can be moved
 * and taken out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct discovery_item {
	uint64_t due_ns;
	size_t place; /* in the heap, from 1; 0: not queued */
};

struct discovery_queue {
	struct discovery_item **items; /* owned; what they point to is borrowed */
	size_t count, cap;
};

void discovery_queue_fini(struct discovery_queue *queue);

/* Queues the item, or moves it. -ENOMEM: it is not queued. */
int discovery_queue_put(struct discovery_queue *queue, struct discovery_item *item,
			uint64_t due_ns);
void discovery_queue_remove(struct discovery_queue *queue, struct discovery_item *item);

/* NULL: empty. */
struct discovery_item *discovery_queue_first(const struct discovery_queue *queue);
