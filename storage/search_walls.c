/* SPDX-License-Identifier: Apache-2.0 */
/* The walls of a selection, to know exactly how many spans are its slowest share: rollups know
 * whole minutes only. */
#include <errno.h>

#include "storage/search_scan.h"

#define ATTEMPTS 64 /* spills are rare */

struct walls {
	struct map seen; /* a hash of trace and span: rows of older ledgers, and resent spans */
	struct buf *out; /* borrowed */
	uint64_t seed;
};

static int add(const struct hit *hit, uint64_t wall_ns, void *arg)
{
	struct walls *walls = arg;
	uint64_t hash = map_hash(hit->trace_id, TRACE_ID_BYTES,
				 map_hash(hit->span_id, SPAN_ID_BYTES, walls->seed));
	size_t count = walls->seen.count;

	if (!map_put(&walls->seen, &hash))
		return count == STORE_MAX_WALLS ? -E2BIG : -ENOMEM;
	if (walls->seen.count > count)
		buf_append(walls->out, &wall_ns, sizeof(wall_ns));
	return buf_error(walls->out);
}

static int collect(struct store *store, const struct store_query *query, struct walls *walls,
		   bool *out_truncated)
{
	struct search_scan scan;
	struct view view;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	buf_clear(walls->out);
	map_clear(&walls->seen);
	search_scan_init(&scan, &view, query, walls->seed);
	scan.kind = BLOCK_LEDGERS;
	scan.visit = add;
	scan.arg = walls;
	rc = search_scan_run(&scan);
	*out_truncated = scan.is_out_of_time;
	search_scan_fini(&scan);
	view_close(&view);
	return rc;
}

int store_walls(struct store *store, const struct store_query *query, struct buf *out_walls,
		bool *out_truncated)
{
	struct walls walls = { .out = out_walls, .seed = store->folder.seed };
	int rc = -ESTALE;

	map_init(&walls.seen, sizeof(uint64_t), sizeof(uint8_t), walls.seed);
	walls.seen.max_count = STORE_MAX_WALLS;
	for (int i = 0; i < ATTEMPTS && rc == -ESTALE; i++)
		rc = collect(store, query, &walls, out_truncated);
	map_fini(&walls.seen);
	return rc;
}
