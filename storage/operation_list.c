/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of all live parts as one sorted list. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "storage/operations.h"
#include "storage/view.h"

#define MAX_LISTED 262144u /* distinct ones; the rest is left out */

struct list {
	struct operations hashes; /* only to hash names alike */
	struct map places;        /* hash -> index + 1 */
	struct buf records;       /* struct operations_record; strings in the arena */
	struct arena arena;
};

static struct str keep(struct arena *arena, struct str text)
{
	char *copy = arena_alloc(arena, text.len + 1);

	if (copy && text.len)
		memcpy(copy, text.data, text.len);
	return (struct str){ copy, text.len };
}

static int add(struct list *list, const struct operations_record *record)
{
	struct operations_hash hash = operations_hash(&list->hashes, record);
	struct operations_record copy = *record;
	uint32_t *place = map_put(&list->places, &hash);
	struct operations_record *known;

	if (!place)
		return list->places.count >= MAX_LISTED ? 0 : -ENOMEM;
	known = (void *)list->records.data;
	if (*place) {
		known[*place - 1].spans += record->spans;
		return 0;
	}
	copy.service = keep(&list->arena, record->service);
	copy.operation = keep(&list->arena, record->operation);
	buf_append(&list->records, &copy, sizeof(copy));
	*place = (uint32_t)(list->records.len / sizeof(copy));
	return copy.service.data && copy.operation.data ? buf_error(&list->records) : -ENOMEM;
}

static int add_part(struct list *list, struct part *part, const struct txn *txn)
{
	struct str key, value;
	struct cursor cursor;
	int rc = cursor_open(txn, part->operations, &cursor);

	if (rc < 0)
		return rc;
	for (rc = cursor_first(&cursor, &key, &value); rc == 0;) {
		struct operations_record record;

		rc = key.len == 4 ? operations_parse(value, &record) : -EBADMSG;
		if (rc == 0 && !part->is_closed)
			record.spans = operations_spans(&part->names, key_get32(key.data));
		if (rc == 0)
			rc = add(list, &record);
		if (rc == 0)
			rc = cursor_next(&cursor, &key, &value);
	}
	cursor_close(&cursor);
	return rc == -ENOENT ? 0 : rc;
}

static int compare_text(struct str a, struct str b)
{
	size_t common = MIN(a.len, b.len);
	int order = common ? memcmp(a.data, b.data, common) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *a, const void *b)
{
	const struct operations_record *left = a, *right = b;
	int order = compare_text(left->service, right->service);

	if (!order)
		order = compare_text(left->operation, right->operation);
	return order ? order : left->kind - right->kind;
}

static int gather(struct store *store, struct list *list)
{
	struct view view;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < view.count && rc == 0; i++) {
		const struct txn *txn;

		rc = view_txn(&view, i, &txn);
		if (rc == 0)
			rc = add_part(list, view.parts[i].part, txn);
	}
	view_close(&view);
	return rc;
}

static int list_init(struct list *list, uint64_t seed)
{
	map_init(&list->places, sizeof(struct operations_hash), sizeof(uint32_t), seed);
	list->places.max_count = MAX_LISTED;
	buf_init(&list->records, 0);
	arena_init(&list->arena, 0);
	return operations_init(&list->hashes, seed);
}

static void list_fini(struct list *list)
{
	operations_fini(&list->hashes);
	map_fini(&list->places);
	buf_fini(&list->records);
	arena_fini(&list->arena);
}

int store_each_operation(struct store *store,
			 int (*visit)(struct str service, struct str operation, uint8_t kind,
				      uint64_t spans, void *arg),
			 void *arg)
{
	struct operations_record *records;
	struct list list;
	int rc = list_init(&list, store->folder.seed);

	if (rc == 0)
		rc = gather(store, &list);
	if (rc == 0 && list.records.len)
		qsort(list.records.data, list.records.len / sizeof(*records), sizeof(*records),
		      compare);
	records = (void *)list.records.data;
	for (size_t i = 0; i < list.records.len / sizeof(*records) && rc == 0; i++) {
		if (records[i].spans)
			rc = visit(records[i].service, records[i].operation, records[i].kind,
				   records[i].spans, arg);
	}
	list_fini(&list);
	return rc;
}
