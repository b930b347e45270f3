/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/discovery_queue.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAP 64

void discovery_queue_fini(struct discovery_queue *queue)
{
	free(queue->items);
	*queue = (struct discovery_queue){ 0 };
}

static struct discovery_item *at(const struct discovery_queue *queue, size_t place)
{
	return queue->items[place - 1];
}

static void set(struct discovery_queue *queue, size_t place, struct discovery_item *item)
{
	queue->items[place - 1] = item;
	item->place = place;
}

/* Moves the item to where its time belongs, starting from a free place. */
static void settle(struct discovery_queue *queue, size_t place, struct discovery_item *item)
{
	while (place > 1 && at(queue, place / 2)->due_ns > item->due_ns) {
		set(queue, place, at(queue, place / 2));
		place /= 2;
	}
	for (;;) {
		size_t child = place * 2;

		if (child < queue->count && at(queue, child + 1)->due_ns < at(queue, child)->due_ns)
			child++;
		if (child > queue->count || at(queue, child)->due_ns >= item->due_ns)
			break;
		set(queue, place, at(queue, child));
		place = child;
	}
	set(queue, place, item);
}

int discovery_queue_put(struct discovery_queue *queue, struct discovery_item *item, uint64_t due_ns)
{
	if (!item->place && queue->count == queue->cap) {
		size_t cap = queue->cap ? queue->cap * 2 : FIRST_CAP;
		struct discovery_item **items = realloc(queue->items, cap * sizeof(*items));

		if (!items)
			return -ENOMEM;
		queue->items = items;
		queue->cap = cap;
	}
	item->due_ns = due_ns;
	if (!item->place)
		set(queue, ++queue->count, item);
	settle(queue, item->place, item);
	return 0;
}

void discovery_queue_remove(struct discovery_queue *queue, struct discovery_item *item)
{
	size_t place = item->place;
	struct discovery_item *last;

	if (!place)
		return;
	item->place = 0;
	last = at(queue, queue->count--);
	if (last != item)
		settle(queue, place, last);
}

struct discovery_item *discovery_queue_first(const struct discovery_queue *queue)
{
	return queue->count ? queue->items[0] : NULL;
}
