/* SPDX-License-Identifier: Apache-2.0 */
/* A first-in first-out list of structs that carry their own link. Not thread safe: its owner locks.
 */
#pragma once

#include <stddef.h>

struct queue_link {
	struct queue_link *next;
};

struct queue {
	struct queue_link *first;
	struct queue_link *last; /* meaningless when empty */
	size_t count;
};

static inline void queue_push(struct queue *queue, struct queue_link *link)
{
	link->next = NULL;
	if (queue->first)
		queue->last->next = link;
	else
		queue->first = link;
	queue->last = link;
	queue->count++;
}

/* NULL: empty. */
static inline struct queue_link *queue_pop(struct queue *queue)
{
	struct queue_link *link = queue->first;

	if (link) {
		queue->first = link->next;
		queue->count--;
	}
	return link;
}

/* The whole content; `queue` is empty afterwards. */
static inline struct queue queue_take(struct queue *queue)
{
	struct queue all = *queue;

	*queue = (struct queue){ 0 };
	return all;
}

static inline void queue_append(struct queue *queue, struct queue back)
{
	if (!back.first)
		return;
	if (queue->first)
		queue->last->next = back.first;
	else
		queue->first = back.first;
	queue->last = back.last;
	queue->count += back.count;
}

/* Puts `front` before what is in `queue`. */
static inline void queue_prepend(struct queue *queue, struct queue front)
{
	if (!front.first)
		return;
	front.last->next = queue->first;
	queue->first = front.first;
	if (front.last->next == NULL)
		queue->last = front.last;
	queue->count += front.count;
}
