/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/search_candidates.h"

#include <stdlib.h>

/* Best bound first; among equals, the youngest. */
static int compare_candidates(const void *a, const void *b)
{
	const struct search_candidate *left = a, *right = b;

	if (left->bound != right->bound)
		return left->bound > right->bound ? -1 : 1;
	return (left->seq < right->seq) - (left->seq > right->seq);
}

static int compare_seqs(const void *a, const void *b)
{
	const struct search_candidate *left = a, *right = b;

	if (left->seq != right->seq)
		return left->seq < right->seq ? -1 : 1;
	return compare_candidates(a, b);
}

/* A block may be named by several operations and minutes: its best bound stays. */
void search_candidates_sort(struct buf *candidates)
{
	struct search_candidate *all = (void *)candidates->data;
	size_t count = candidates->len / sizeof(*all), kept = 0;

	if (!count)
		return;
	qsort(all, count, sizeof(*all), compare_seqs);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || all[i].seq != all[kept - 1].seq)
			all[kept++] = all[i];
	}
	candidates->len = kept * sizeof(*all);
	qsort(all, kept, sizeof(*all), compare_candidates);
}
