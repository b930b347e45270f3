/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "storage/compaction.h"
#include "storage/part_list.h"
#include "storage/trace_view.h"

#define DEFAULT_PART_NS     (3600 * NS_PER_SEC)
#define DEFAULT_INDEX_BYTES ((uint64_t)8 << 20)
#define PARTS_OF_THE_LIMIT  16
#define MAP_SLACK_BYTES     ((uint64_t)256 << 20) /* one group, and runs, beyond the limit */
#define UNLIMITED_PART      ((uint64_t)4 << 30)
#define ATTEMPTS            64 /* spills are rare; tests make them frequent */

static void set_options(struct store *store, const struct store_options *options)
{
	uint64_t share = options->max_bytes / PARTS_OF_THE_LIMIT;

	store->options = *options;
	store->options.path = NULL; /* the folder keeps it */
	if (!options->part_ns)
		store->options.part_ns = DEFAULT_PART_NS;
	if (!options->index_bytes)
		store->options.index_bytes = DEFAULT_INDEX_BYTES;
	store->part_limit_bytes = share ? share : UNLIMITED_PART;
	/* Sparse address space, of which only what is written costs anything. */
	store->map_bytes = options->map_bytes ? options->map_bytes
					      : 2 * store->part_limit_bytes + MAP_SLACK_BYTES;
}

static void free_store(struct store *store)
{
	compaction_abandon(store);
	part_list_close(store);
	folder_close(&store->folder);
	block_writer_fini(&store->span_writer);
	block_writer_fini(&store->ledger_writer);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

int store_open(const struct store_options *options, uint64_t now_unix_ns, struct store **out_store,
	       struct buf *out_message)
{
	struct store *store = calloc(1, sizeof(*store));
	int rc;

	(void)now_unix_ns;
	if (!store)
		return -ENOMEM;
	store->folder.fd = -1;
	set_options(store, options);
	rc = -pthread_mutex_init(&store->lock, NULL);
	if (rc < 0) {
		free(store);
		return rc;
	}
	rc = folder_open(options->path, options->read_only, &store->folder, out_message);
	block_writer_init(&store->span_writer, store->folder.seed);
	block_writer_init(&store->ledger_writer, store->folder.seed);
	if (rc == 0)
		rc = part_list_open(store, out_message);
	if (rc < 0) {
		free_store(store);
		return rc;
	}
	*out_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (store)
		free_store(store);
}

static int visit_trace(struct view *view, const struct trace_view *trace,
		       int (*visit)(const struct store_span *span, void *arg), void *arg)
{
	struct trace_reader reader;
	struct trace_span *spans;
	size_t count;
	int rc = trace_view_sorted(trace, &spans, &count);

	if (rc < 0)
		return rc;
	rc = count ? 0 : -ENOENT;
	trace_reader_init(&reader, view);
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct store_span span;

		rc = trace_reader_read(&reader, spans[i].span, spans[i].ledger, &span);
		if (rc == 0)
			rc = visit(&span, arg);
	}
	trace_reader_fini(&reader);
	free(spans);
	return rc;
}

/* -ESTALE comes before anything is visited. */
static int each_of_trace(struct store *store, const uint8_t *trace_id,
			 int (*visit)(const struct store_span *span, void *arg), void *arg)
{
	struct trace_view trace;
	struct view view;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	trace_view_init(&trace, &view, store->folder.seed);
	rc = trace_view_gather(&trace, trace_id);
	if (rc == 0)
		rc = visit_trace(&view, &trace, visit, arg);
	trace_view_fini(&trace);
	view_close(&view);
	return rc;
}

int store_each_of_trace(struct store *store, const uint8_t trace_id[TRACE_ID_BYTES],
			int (*visit)(const struct store_span *span, void *arg), void *arg)
{
	int rc = -ESTALE;

	for (int i = 0; i < ATTEMPTS && rc == -ESTALE; i++)
		rc = each_of_trace(store, trace_id, visit, arg);
	return rc;
}

void store_stats(struct store *store, struct store_stats *out_stats)
{
	pthread_mutex_lock(&store->lock);
	*out_stats = store->stats;
	out_stats->parts = store->part_count;
	for (size_t i = 0; i < store->part_count; i++) {
		const struct part_totals *totals = &store->parts[i]->totals;

		out_stats->bytes += totals->bytes;
		out_stats->blocks += totals->blocks;
		out_stats->spans += totals->spans;
		out_stats->ledgers += totals->ledgers;
		out_stats->index_bytes += young_run_bytes(&store->parts[i]->young);
	}
	if (store->part_count)
		out_stats->oldest_unix_ns = store->parts[0]->start_unix_ns;
	pthread_mutex_unlock(&store->lock);
}
