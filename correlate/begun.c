/* SPDX-License-Identifier: Apache-2.0 */
/* Where spans that nobody exported were begun, as their threads have marked it (mark.c): within
 * what the thread showed then, and what they take counts for that, whoever carries them. */
#include <stdlib.h>
#include <string.h>

#include "correlate/overlay.h"

#define MOST_WITHIN 64 /* of them, each within the next */

/* By span, the earliest first. */
static int by_span(const void *a, const void *b)
{
	const struct mark *x = *(const struct mark *const *)a;
	const struct mark *y = *(const struct mark *const *)b;
	int order = memcmp(x->span_id, y->span_id, SPAN_ID_BYTES);

	if (order)
		return order;
	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->thread->tid < y->thread->tid ? -1 : x->thread->tid > y->thread->tid;
}

bool begun_find(struct join *join)
{
	uint32_t count = 0;

	for (const struct mark *mark = join->trace->marks; mark; mark = mark->next)
		count += join_find(join, mark->span_id) < 0;
	if (!count)
		return true;
	join->hidden = arena_alloc(&join->arena, count * sizeof(struct mark *));
	if (!join->hidden)
		return false;
	for (const struct mark *mark = join->trace->marks; mark; mark = mark->next) {
		if (join_find(join, mark->span_id) < 0)
			join->hidden[join->hidden_count++] = mark;
	}
	qsort(join->hidden, join->hidden_count, sizeof(struct mark *), by_span);
	return true;
}

/* The first mark of it by that process; NULL: there is none. */
static const struct mark *first_mark(const struct join *join, const struct process *process,
				     const uint8_t span_id[SPAN_ID_BYTES])
{
	uint32_t low = 0, high = join->hidden_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (memcmp(join->hidden[middle]->span_id, span_id, SPAN_ID_BYTES) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < join->hidden_count; low++) {
		const struct mark *mark = join->hidden[low];

		if (memcmp(mark->span_id, span_id, SPAN_ID_BYTES) != 0)
			break;
		if (mark->thread->process == process)
			return mark;
	}
	return NULL;
}

/* A mark that comes later than `before_ns`, when the span was there already, is that of its end,
 * and that of its begin was lost. */
int32_t begun_within(const struct join *join, const struct process *process,
		     const uint8_t span_id[SPAN_ID_BYTES], uint64_t before_ns)
{
	for (unsigned i = 0; i < MOST_WITHIN; i++) {
		const struct mark *mark = first_mark(join, process, span_id);
		int32_t index;

		if (!mark || mark->time_ns > before_ns || !mark->is_within)
			return -1;
		index = join_find(join, mark->within_id);
		if (index >= 0)
			return join->nodes[index].process == process ? index : -1;
		span_id = mark->within_id;
		before_ns = mark->time_ns;
	}
	return -1;
}
