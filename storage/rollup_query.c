/* SPDX-License-Identifier: Apache-2.0 */
/* The rollups of all parts, summed up by operation. Parts number operations each on its own, so the
 * sums stand under the names' hashes. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/breath.h"
#include "collector/base/macros.h"
#include "correlate/rollup_pages.h"
#include "storage/rollups.h"
#include "storage/summary.h"
#include "storage/view.h"

#define MINUTE_NS (60 * NS_PER_SEC)
#define ATTEMPTS  64 /* spills are rare */
/* In one answer; beyond it operations are summed up as "(other)" of no service, and with slots of
 * time it is -E2BIG: ask for less. */
#define MAX_CELLS   65536u
#define CHECK_EVERY 256u /* cells between two looks at the clock */

/* Cells until a sum counts in pages: then they pay. */
#define SPREAD_AFTER 4

#define MAX_CANDIDATES 32 /* for each operation, besides its cell's own examples */

struct sum_key {
	struct operations_hash names;
	uint64_t slot;
};

/* One operation's sum in one slot of time. */
struct sum {
	struct str service, operation; /* in the arena */
	uint8_t kind;
	uint64_t from_unix_ns;
	struct rollup_cell cell;
	unsigned merged;                   /* cells so far */
	struct rollup_example *candidates; /* in the arena */
	unsigned candidate_count, candidate_room, next_candidate;
};

/* An operation of the part at hand. */
struct part_name {
	bool is_wanted;
	struct operations_record record;
	struct operations_hash hash;
	struct sum *sum; /* found before, when there are no slots */
};

struct gather {
	const struct store_rollup_query *query;
	struct operations hashes; /* only to hash names alike */
	struct map sums;          /* struct sum_key -> struct sum * */
	struct arena arena;
	struct rollup_pool pool;
	unsigned seen;
	struct part_name *names; /* owned: by number */
	uint32_t name_count;
};

static bool is_wanted(const struct store_rollup_query *query,
		      const struct operations_record *record)
{
	return (!query->service.len || str_eq(query->service, record->service)) &&
	       (!query->operation.len || str_eq(query->operation, record->operation));
}

static int grow_names(struct gather *gather, uint32_t count)
{
	struct part_name *names;

	if (count <= gather->name_count)
		return 0;
	count = MAX(count, 2 * gather->name_count);
	names = reallocarray(gather->names, count, sizeof(*names));
	if (!names)
		return -ENOMEM;
	memset(names + gather->name_count, 0, (count - gather->name_count) * sizeof(*names));
	gather->names = names;
	gather->name_count = count;
	return 0;
}

static int learn_name(struct gather *gather, uint32_t id, const struct operations_record *record)
{
	int rc = id <= OPERATIONS_MAX ? grow_names(gather, id + 1) : -EBADMSG;

	if (rc < 0)
		return rc;
	gather->names[id] = (struct part_name){
		.is_wanted = is_wanted(gather->query, record),
		.record = *record,
	};
	if (gather->names[id].is_wanted)
		gather->names[id].hash = operations_hash(&gather->hashes, record);
	return 0;
}

static struct operations_record other_record(void)
{
	return (struct operations_record){ .operation = STR(OPERATIONS_OTHER),
					   .kind = OPERATIONS_OTHER_KIND };
}

/* Those without a number have no names either. */
static int load_names(struct gather *gather, const struct part *part, const struct txn *txn)
{
	struct operations_record record = other_record();
	struct str key, value;
	struct cursor cursor;
	int rc = cursor_open(txn, part->operations, &cursor);

	if (rc < 0)
		return rc;
	if (gather->name_count)
		memset(gather->names, 0, gather->name_count * sizeof(*gather->names));
	rc = learn_name(gather, 0, &record);
	if (rc == 0)
		rc = cursor_first(&cursor, &key, &value);
	while (rc == 0) {
		rc = key.len == 4 ? operations_parse(value, &record) : -EBADMSG;
		if (rc == 0)
			rc = learn_name(gather, key_get32(key.data), &record);
		if (rc == 0)
			rc = cursor_next(&cursor, &key, &value);
	}
	cursor_close(&cursor);
	return rc == -ENOENT ? 0 : rc;
}

static struct str keep(struct arena *arena, struct str text)
{
	char *copy = arena_alloc(arena, text.len + 1);

	if (copy && text.len)
		memcpy(copy, text.data, text.len);
	return (struct str){ copy, text.len };
}

static int make_sum(struct gather *gather, const struct part_name *name, uint64_t slot,
		    struct sum **out_sum)
{
	struct sum_key key = { name->hash, slot };
	struct sum **place = map_put(&gather->sums, &key), *sum;

	if (!place)
		return gather->sums.count >= MAX_CELLS ? -E2BIG : -ENOMEM;
	if (*place) {
		*out_sum = *place;
		return 0;
	}
	sum = arena_alloc(&gather->arena, sizeof(*sum));
	if (!sum) {
		map_delete(&gather->sums, &key);
		return -ENOMEM;
	}
	*place = sum;
	sum->service = keep(&gather->arena, name->record.service);
	sum->operation = keep(&gather->arena, name->record.operation);
	sum->kind = name->record.kind;
	sum->from_unix_ns = slot * gather->query->by_ns;
	*out_sum = sum;
	return sum->service.data && sum->operation.data ? 0 : -ENOMEM;
}

/* For it there is always a place. */
static int find_other(struct gather *gather, struct sum **out_sum)
{
	struct part_name other = { .record = other_record() };

	other.hash = operations_hash(&gather->hashes, &other.record);
	gather->sums.max_count = MAX_CELLS + 1;
	return make_sum(gather, &other, 0, out_sum);
}

static int find_sum(struct gather *gather, const struct rollup_entry *entry, struct sum **out_sum)
{
	struct part_name *name = &gather->names[entry->key.operation];
	uint64_t by_ns = gather->query->by_ns;
	int rc = 0;

	if (by_ns)
		return make_sum(gather, name, entry->key.minute * MINUTE_NS / by_ns, out_sum);
	if (!name->sum)
		rc = make_sum(gather, name, 0, &name->sum);
	if (rc == -E2BIG)
		rc = find_other(gather, &name->sum);
	*out_sum = name->sum;
	return rc;
}

static bool is_late(struct gather *gather)
{
	const struct store_rollup_query *query = gather->query;

	return ++gather->seen % CHECK_EVERY == 0 && query->deadline_mono_ns && query->mono_ns &&
	       query->mono_ns() >= query->deadline_mono_ns;
}

/* Most of many operations have one or two. */
static int make_candidate_room(struct gather *gather, struct sum *sum)
{
	unsigned room = sum->candidate_room ? MIN(4 * sum->candidate_room, MAX_CANDIDATES) : 2;
	struct rollup_example *candidates;

	if (sum->candidate_count < sum->candidate_room || sum->candidate_room == MAX_CANDIDATES)
		return 0;
	candidates = arena_alloc(&gather->arena, room * sizeof(*candidates));
	if (!candidates)
		return -ENOMEM;
	if (sum->candidate_count)
		memcpy(candidates, sum->candidates, sum->candidate_count * sizeof(*candidates));
	sum->candidates = candidates;
	sum->candidate_room = room;
	return 0;
}

/* Typical spans of many minutes, and slow ones: the last so many, which are as good as any. */
static int note_candidates(struct gather *gather, struct sum *sum,
			   const struct rollup_example *examples)
{
	if (gather->query->by_ns)
		return 0;
	for (unsigned kind = 0; kind < ROLLUP_EXAMPLES; kind++) {
		if (kind == ROLLUP_LOW_RATIO ||
		    hex_is_zero(examples[kind].trace_id, TRACE_ID_BYTES))
			continue;
		if (make_candidate_room(gather, sum) < 0)
			return -ENOMEM;
		sum->candidates[sum->next_candidate++ % MAX_CANDIDATES] = examples[kind];
		sum->candidate_count = MIN(sum->next_candidate, MAX_CANDIDATES);
	}
	return 0;
}

/* Sums of slots are many, and of few cells each. */
static int prepare(struct gather *gather, struct sum *sum)
{
	if (gather->query->by_ns || ++sum->merged != SPREAD_AFTER)
		return 0;
	return rollup_cell_spread(&sum->cell, &gather->pool);
}

static int merge_young(struct gather *gather, struct sum *sum, const struct rollup_cell *young)
{
	int rc = rollup_cell_merge(&sum->cell, young);

	return rc < 0 ? rc : note_candidates(gather, sum, young->examples);
}

static int on_cell(const struct rollup_entry *entry, const struct rollup_cell *young, void *arg)
{
	struct gather *gather = arg;
	struct rollup_example examples[ROLLUP_EXAMPLES];
	struct sum *sum;
	int rc;

	if (is_late(gather))
		return -ETIMEDOUT;
	if (entry->key.operation >= gather->name_count)
		return young ? 0 : -EBADMSG; /* committed after the view's transaction began */
	if (!gather->names[entry->key.operation].is_wanted)
		return 0;
	rc = find_sum(gather, entry, &sum);
	if (rc == 0)
		rc = prepare(gather, sum);
	if (rc == 0 && young)
		return merge_young(gather, sum, young);
	breath_take();
	if (rc == 0)
		rc = rollup_cell_decode(&sum->cell, &entry->cell, examples);
	return rc < 0 ? rc : note_candidates(gather, sum, examples);
}

static int gather_all(struct gather *gather, struct view *view)
{
	const struct store_rollup_query *query = gather->query;
	struct rollups_range range = {
		.from_minute = summary_minute(query->from_unix_ns),
		.to_minute = UINT32_MAX,
		.is_exact = query->by_ns != 0,
	};
	int rc = 0;

	if (query->to_unix_ns)
		range.to_minute = summary_minute(query->to_unix_ns - 1);
	for (size_t i = view->count; i > 0 && rc == 0; i--) {
		const struct txn *txn;

		rc = view_txn(view, i - 1, &txn);
		if (rc == 0)
			rc = load_names(gather, view->parts[i - 1].part, txn);
		if (rc == 0)
			rc = rollups_each(view->parts[i - 1].part, txn, &range, on_cell, gather);
	}
	return rc;
}

static int gather_init(struct gather *gather, const struct store_rollup_query *query, uint64_t seed)
{
	*gather = (struct gather){ .query = query };
	map_init(&gather->sums, sizeof(struct sum_key), sizeof(struct sum *), seed);
	gather->sums.max_count = MAX_CELLS;
	arena_init(&gather->arena, 0);
	return operations_init(&gather->hashes, seed);
}

static void gather_fini(struct gather *gather)
{
	struct sum **sum;
	size_t cursor = 0;

	while ((sum = map_next(&gather->sums, &cursor, NULL))) {
		if (*sum)
			rollup_cell_fini(&(*sum)->cell);
	}
	rollup_pool_fini(&gather->pool);
	free(gather->names);
	map_fini(&gather->sums);
	arena_fini(&gather->arena);
	operations_fini(&gather->hashes);
}

static int visit_all(struct gather *gather,
		     int (*visit)(const struct store_rollup *rollup, void *arg), void *arg)
{
	struct sum **sum;
	size_t cursor = 0;
	int rc = 0;

	while (rc == 0 && (sum = map_next(&gather->sums, &cursor, NULL))) {
		struct store_rollup rollup;

		rc = rollup_cell_sort(&(*sum)->cell);
		rollup = (struct store_rollup){
			.service = (*sum)->service,
			.operation = (*sum)->operation,
			.kind = (*sum)->kind,
			.from_unix_ns = (*sum)->from_unix_ns,
			.cell = &(*sum)->cell,
			.candidates = (*sum)->candidates,
			.candidate_count = (*sum)->candidate_count,
		};

		if (rc == 0 && rollup_cell_sum(rollup.cell, ROLLUP_COUNT))
			rc = visit(&rollup, arg);
	}
	return rc;
}

static int each_rollup(struct store *store, const struct store_rollup_query *query,
		       int (*visit)(const struct store_rollup *rollup, void *arg), void *arg)
{
	struct gather gather;
	struct view view;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	rc = gather_init(&gather, query, store->folder.seed);
	if (rc == 0)
		rc = gather_all(&gather, &view);
	view_close(&view);
	if (rc == 0)
		rc = visit_all(&gather, visit, arg);
	gather_fini(&gather);
	return rc;
}

int store_each_rollup(struct store *store, const struct store_rollup_query *query,
		      int (*visit)(const struct store_rollup *rollup, void *arg), void *arg)
{
	int rc = -ESTALE;

	if (query->by_ns % MINUTE_NS)
		return -EINVAL;
	/* -ESTALE comes before anything is visited. */
	for (int i = 0; i < ATTEMPTS && rc == -ESTALE; i++)
		rc = each_rollup(store, query, visit, arg);
	return rc;
}
