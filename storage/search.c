/* SPDX-License-Identifier: Apache-2.0 */
/* Searches: the best rows by a scan, then each checked against its whole trace.
 *
 * A row may be an old revision of a ledger, or a resent copy of a span: that is rare and dear to
 * find out, so it is asked only of the few that won. When too many of those fall, the search is
 * made again with room for more. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "storage/search_scan.h"

#define ATTEMPTS 64 /* spills are rare; tests make them frequent */

struct result {
	struct trace_place span, ledger;
	struct store_position position;
};

struct results {
	struct result *list; /* owned */
	size_t count, max;
};

static bool needs_ledger(const struct store_query *query)
{
	return query->max_ratio >= 0 || query->reason >= 0 || query->grade >= 0;
}

static bool sorts_by_ledger(const struct store_query *query)
{
	return query->sort == STORE_SORT_RATIO || query->sort == STORE_SORT_BLOCKED;
}

static struct store_position position_of(const struct search_scan *scan, const struct hit *hit)
{
	struct store_position position = {
		.pass = scan->without_ledger,
		.rank = hit->rank,
		.start_unix_ns = hit->start_unix_ns,
	};

	memcpy(position.trace_id, hit->trace_id, TRACE_ID_BYTES);
	memcpy(position.span_id, hit->span_id, SPAN_ID_BYTES);
	return position;
}

/* Hits come in order, the spans of one trace mostly one after the other. */
static int keep_true_ones(struct search_scan *scan, struct results *results)
{
	const struct hits *hits = scan->hits;

	for (size_t i = 0; i < hits->count && results->count < results->max; i++) {
		const struct hit *hit = &hits->hits[i];
		const struct trace_span *found;
		int rc = 0;

		if (i == 0 || memcmp(hit->trace_id, hit[-1].trace_id, TRACE_ID_BYTES) != 0)
			rc = trace_view_gather(&scan->trace, hit->trace_id);
		if (rc < 0)
			return rc;
		found = trace_view_find(&scan->trace, hit->span_id);
		if (found && found->span.seq &&
		    trace_place_is(scan->kind == BLOCK_SPANS ? found->span : found->ledger,
				   hit->place))
			results->list[results->count++] =
				(struct result){ found->span, found->ledger,
						 position_of(scan, hit) };
	}
	return 0;
}

static int compare_hits(const void *a, const void *b)
{
	const struct hit *left = a, *right = b;

	if (left->place.part != right->place.part)
		return left->place.part < right->place.part ? -1 : 1;
	return (left->place.seq > right->place.seq) - (left->place.seq < right->place.seq);
}

/* Only the best as many as are missing are wanted; the others are a reserve for those that fall. */
static void sort_by_place(struct hits *hits, size_t wanted)
{
	if (hits->count)
		qsort(hits->hits, MIN(hits->count, wanted), sizeof(*hits->hits), compare_hits);
}

static int find_best(struct search_scan *scan, struct results *results)
{
	size_t before = results->count, missing = results->max - before;
	size_t max = missing + missing / 4 + 16;
	bool again;
	int rc;

	do {
		struct hits hits;

		results->count = before;
		hits_init(&hits, max);
		scan->hits = &hits;
		rc = search_scan_run(scan);
		hits_sort(&hits);
		if (scan->query->any_order)
			sort_by_place(&hits, missing);
		if (rc == 0)
			rc = keep_true_ones(scan, results);
		again = results->count < results->max && hits.has_dropped && !scan->is_out_of_time;
		hits_fini(&hits);
		max *= 4;
	} while (rc == 0 && again);
	return rc;
}

static int find_all(struct search_scan *scan, struct results *results)
{
	const struct store_query *query = scan->query;
	int rc;

	scan->kind = needs_ledger(query) || sorts_by_ledger(query) ? BLOCK_LEDGERS : BLOCK_SPANS;
	rc = find_best(scan, results);
	if (rc < 0 || scan->kind == BLOCK_SPANS || needs_ledger(query) ||
	    results->count == results->max || scan->is_out_of_time)
		return rc;
	/* Sorted by what a ledger says: those that have none yet come last. */
	scan->kind = BLOCK_SPANS;
	scan->without_ledger = true;
	return find_best(scan, results);
}

static int compare_places(const void *a, const void *b)
{
	const struct result *left = a, *right = b;

	if (left->span.part != right->span.part)
		return left->span.part < right->span.part ? -1 : 1;
	return (left->span.seq > right->span.seq) - (left->span.seq < right->span.seq);
}

static int visit_all(struct view *view, const struct results *results,
		     int (*visit)(const struct store_span *span, void *arg), void *arg)
{
	struct trace_reader reader;
	int rc = 0;

	trace_reader_init(&reader, view);
	for (size_t i = 0; i < results->count && rc == 0; i++) {
		struct store_span span;

		rc = trace_reader_read(&reader, results->list[i].span, results->list[i].ledger,
				       &span);
		span.position = results->list[i].position;
		if (rc == 0)
			rc = visit(&span, arg);
	}
	trace_reader_fini(&reader);
	return rc;
}

static int search(struct store *store, const struct store_query *query, struct results *results,
		  int (*visit)(const struct store_span *span, void *arg), void *arg,
		  bool *out_truncated)
{
	struct search_scan scan;
	struct view view;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	results->count = 0;
	view.omit = query->omit;
	search_scan_init(&scan, &view, query, store->folder.seed);
	rc = find_all(&scan, results);
	if (rc == 0 && out_truncated)
		*out_truncated = scan.is_out_of_time;
	search_scan_fini(&scan);
	if (query->any_order && results->count)
		qsort(results->list, results->count, sizeof(*results->list), compare_places);
	if (rc == 0)
		rc = visit_all(&view, results, visit, arg);
	view_close(&view);
	return rc;
}

int store_search(struct store *store, const struct store_query *query,
		 int (*visit)(const struct store_span *span, void *arg), void *arg,
		 bool *out_truncated)
{
	struct results results = { .max = query->limit };
	int rc = -ESTALE;

	if (query->limit == 0 || query->limit > TRACE_VIEW_MAX_SPANS || query->reason >= 16 ||
	    query->grade >= 8)
		return -EINVAL;
	results.list = malloc(results.max * sizeof(*results.list));
	if (!results.list)
		return -ENOMEM;
	/* -ESTALE comes before anything is visited. */
	for (int i = 0; i < ATTEMPTS && rc == -ESTALE; i++)
		rc = search(store, query, &results, visit, arg, out_truncated);
	free(results.list);
	return rc;
}
