/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/hits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

void hits_init(struct hits *hits, size_t max)
{
	*hits = (struct hits){ .max = max };
}

void hits_fini(struct hits *hits)
{
	free(hits->hits);
	*hits = (struct hits){ 0 };
}

static int compare(const void *a, const void *b)
{
	const struct hit *left = a, *right = b;
	int order;

	if (left->rank != right->rank)
		return left->rank > right->rank ? -1 : 1;
	if (left->start_unix_ns != right->start_unix_ns)
		return left->start_unix_ns > right->start_unix_ns ? -1 : 1;
	order = memcmp(left->trace_id, right->trace_id, TRACE_ID_BYTES);
	return order ? order : memcmp(left->span_id, right->span_id, SPAN_ID_BYTES);
}

bool hits_is_better(const struct hit *a, const struct hit *b)
{
	return compare(a, b) < 0;
}

bool hits_accept(const struct hits *hits, uint64_t rank, uint64_t start_unix_ns)
{
	const struct hit *worst = hits->hits;

	if (hits->count < hits->max)
		return true;
	if (hits->max == 0)
		return false;
	return rank != worst->rank ? rank > worst->rank : start_unix_ns >= worst->start_unix_ns;
}

static void swap(struct hit *a, struct hit *b)
{
	struct hit copy = *a;

	*a = *b;
	*b = copy;
}

static void sift_up(struct hits *hits, size_t at)
{
	while (at && hits_is_better(&hits->hits[(at - 1) / 2], &hits->hits[at])) {
		swap(&hits->hits[(at - 1) / 2], &hits->hits[at]);
		at = (at - 1) / 2;
	}
}

static void sift_down(struct hits *hits)
{
	for (size_t at = 0, child; (child = 2 * at + 1) < hits->count; at = child) {
		if (child + 1 < hits->count &&
		    hits_is_better(&hits->hits[child], &hits->hits[child + 1]))
			child++;
		if (!hits_is_better(&hits->hits[at], &hits->hits[child]))
			return;
		swap(&hits->hits[at], &hits->hits[child]);
	}
}

int hits_add(struct hits *hits, const struct hit *hit)
{
	if (hits->count == hits->max) {
		hits->has_dropped = true;
		if (hits->max && hits_is_better(hit, hits->hits)) {
			hits->hits[0] = *hit;
			sift_down(hits);
		}
		return 0;
	}
	if (hits->count == hits->cap) {
		size_t cap = MIN(hits->max, hits->cap ? 2 * hits->cap : 64);
		struct hit *more = realloc(hits->hits, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		hits->hits = more;
		hits->cap = cap;
	}
	hits->hits[hits->count] = *hit;
	sift_up(hits, hits->count++);
	return 0;
}

void hits_sort(struct hits *hits)
{
	if (hits->count)
		qsort(hits->hits, hits->count, sizeof(*hits->hits), compare);
}
