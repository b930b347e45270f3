/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/operations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "storage/key.h"
#include "storage/summary.h"

struct record_head {
	uint64_t spans;
	uint32_t service_bytes;
	uint32_t kind;
};

struct known {
	struct operations_hash names;
	struct operations_hash service;
	bool is_over;
};

struct delta {
	uint32_t id;
	uint32_t count;
};

int operations_init(struct operations *operations, uint64_t seed)
{
	*operations = (struct operations){ .seed = seed };
	map_init(&operations->ids, sizeof(struct operations_hash), sizeof(uint32_t), seed);
	map_init(&operations->services, sizeof(struct operations_hash), sizeof(uint32_t), seed);
	buf_init(&operations->known_names, 0);
	buf_init(&operations->deltas, 0);
	return -pthread_mutex_init(&operations->lock, NULL);
}

void operations_fini(struct operations *operations)
{
	map_fini(&operations->ids);
	map_fini(&operations->services);
	buf_fini(&operations->known_names);
	buf_fini(&operations->deltas);
	free(operations->counts);
	pthread_mutex_destroy(&operations->lock);
}

static struct operations_hash hash_names(const struct operations_hash *service, struct str name,
					 uint8_t kind)
{
	struct operations_hash hash;

	for (int i = 0; i < 2; i++)
		hash.half[i] = map_hash(name.data, name.len, service->half[i] + kind);
	return hash;
}

struct operations_hash operations_service(const struct operations *operations, struct str service)
{
	struct operations_hash hash;

	for (uint64_t i = 0; i < 2; i++)
		hash.half[i] = map_hash(service.data, service.len, operations->seed + i);
	return hash;
}

struct operations_hash operations_hash(const struct operations *operations,
				       const struct operations_record *record)
{
	struct operations_hash service = operations_service(operations, record->service);

	return hash_names(&service, record->operation, record->kind);
}

static uint32_t count_of(const struct operations *operations)
{
	return (uint32_t)(operations->known_names.len / sizeof(struct known));
}

static const struct known *known_of(const struct operations *operations)
{
	return (const void *)operations->known_names.data;
}

static int note(struct operations *operations, const struct known *known)
{
	uint32_t *id = map_put(&operations->ids, &known->names);

	if (!id)
		return -ENOMEM;
	buf_append(&operations->known_names, known, sizeof(*known));
	if (buf_error(&operations->known_names)) {
		map_delete(&operations->ids, &known->names);
		operations->known_names.error = 0;
		return -ENOMEM;
	}
	*id = count_of(operations);
	return 0;
}

/* The next free number. */
static int learn(struct operations *operations, const struct operations_hash *service, uint8_t kind,
		 const struct operations_hash *names, uint32_t *out_id)
{
	uint32_t *count = map_put(&operations->services, service);
	struct known known = { .names = *names, .service = *service };
	int rc;

	if (!count)
		return -ENOMEM;
	known.is_over = *count >= OPERATIONS_OF_SERVICE && kind != OPERATIONS_OTHER_KIND;
	rc = note(operations, &known);
	if (rc == 0) {
		++*count;
		*out_id = count_of(operations);
	}
	return rc;
}

static void store(struct txn *txn, MDB_dbi dbi, uint32_t id, const struct operations_record *record)
{
	uint8_t key[4];
	struct buf value;

	key_put32(key, id);
	buf_init(&value, 0);
	operations_format(record, &value);
	if (!txn->error)
		txn->error = buf_error(&value);
	txn_append(txn, dbi, key_str(key, sizeof(key)), buf_str(&value));
	buf_fini(&value);
}

static bool has_no_number(const struct operations *operations,
			  const struct operations_hash *service,
			  const struct operations_record *record)
{
	const uint32_t *count = map_get(&operations->services, service);

	return count_of(operations) >= OPERATIONS_MAX ||
	       record->service.len + record->operation.len > OPERATIONS_NAME_BYTES ||
	       (count && *count >= OPERATIONS_NUMBERED && record->kind != OPERATIONS_OTHER_KIND);
}

int operations_id(const struct operations_book *book, const struct operations_hash *service_hash,
		  const struct operations_record *record, uint32_t *out_id)
{
	struct operations *operations = book->operations;
	struct operations_hash hash = hash_names(service_hash, record->operation, record->kind);
	const uint32_t *known = map_get(&operations->ids, &hash);
	int rc;

	if (known) {
		*out_id = *known;
		return 0;
	}
	if (has_no_number(operations, service_hash, record)) {
		*out_id = 0;
		return 0;
	}
	rc = learn(operations, service_hash, record->kind, &hash, out_id);
	if (rc == 0)
		store(book->txn, book->dbi, *out_id, record);
	return rc;
}

int operations_load(struct operations *operations, const struct txn *txn, MDB_dbi dbi)
{
	struct str key, value;
	struct cursor cursor;
	int rc = cursor_open(txn, dbi, &cursor);

	if (rc < 0)
		return rc;
	for (rc = cursor_first(&cursor, &key, &value); rc == 0;
	     rc = cursor_next(&cursor, &key, &value)) {
		struct operations_record record;
		struct operations_hash hash, service;
		uint32_t id = 0;

		rc = operations_parse(value, &record);
		if (rc < 0)
			break;
		service = operations_service(operations, record.service);
		hash = hash_names(&service, record.operation, record.kind);
		rc = learn(operations, &service, record.kind, &hash, &id);
		if (rc == 0 && (key.len != 4 || key_get32(key.data) != id))
			rc = -EBADMSG;
		if (rc < 0)
			break;
	}
	cursor_close(&cursor);
	operations->known = count_of(operations);
	return rc == -ENOENT ? 0 : rc;
}

void operations_count(struct operations *operations, const struct summary *summaries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct delta delta = { summaries[i].operation, summaries[i].count };

		if (delta.id != SUMMARY_ALL && summaries[i].block_kind == BLOCK_SPANS)
			buf_append(&operations->deltas, &delta, sizeof(delta));
	}
}

static bool grow_counts(struct operations *operations, size_t need)
{
	size_t cap = MAX(need, 2 * operations->count_cap);
	uint64_t *counts = realloc(operations->counts, cap * sizeof(*counts));

	if (!counts)
		return false;
	memset(counts + operations->count_cap, 0, (cap - operations->count_cap) * sizeof(*counts));
	operations->counts = counts;
	operations->count_cap = cap;
	return true;
}

void operations_commit(struct operations *operations)
{
	const struct delta *deltas = (const void *)operations->deltas.data;
	size_t delta_count = operations->deltas.len / sizeof(*deltas);

	operations->known = count_of(operations);
	pthread_mutex_lock(&operations->lock);
	if (operations->known < operations->count_cap ||
	    grow_counts(operations, operations->known + 1u)) {
		for (size_t i = 0; i < delta_count; i++) {
			if (deltas[i].id <= operations->known)
				operations->counts[deltas[i].id] += deltas[i].count;
		}
	}
	pthread_mutex_unlock(&operations->lock);
	buf_clear(&operations->deltas);
}

void operations_keep(struct operations *operations)
{
	operations->known = count_of(operations);
}

void operations_abort(struct operations *operations)
{
	const struct known *known = known_of(operations);

	for (uint32_t id = operations->known; id < count_of(operations); id++) {
		--*(uint32_t *)map_get(&operations->services, &known[id].service);
		map_delete(&operations->ids, &known[id].names);
	}
	operations->known_names.len = operations->known * sizeof(*known);
	buf_clear(&operations->deltas);
}

bool operations_are_over(const struct operations *operations, uint32_t id)
{
	return id && id <= count_of(operations) && known_of(operations)[id - 1].is_over;
}

int operations_rolled(const struct operations_book *book, uint32_t id, uint32_t *out_id)
{
	struct operations *operations = book->operations;
	struct operations_record record = { 0 };
	struct operations_hash service;
	char name[OPERATIONS_NAME_BYTES];
	struct str value;
	uint8_t key[4];
	int rc;

	*out_id = id;
	if (!operations_are_over(operations, id))
		return 0;
	key_put32(key, id);
	rc = txn_get(book->txn, book->dbi, key_str(key, sizeof(key)), &value);
	if (rc == 0)
		rc = operations_parse(value, &record);
	if (rc < 0 || record.service.len > sizeof(name))
		return rc < 0 ? rc : -EBADMSG;
	/* A put may follow, which ends what was read. */
	memcpy(name, record.service.data, record.service.len);
	record = (struct operations_record){
		.service = { name, record.service.len },
		.operation = STR(OPERATIONS_OTHER),
		.kind = OPERATIONS_OTHER_KIND,
	};
	service = known_of(operations)[id - 1].service;
	return operations_id(book, &service, &record, out_id);
}

uint64_t operations_spans(struct operations *operations, uint32_t id)
{
	uint64_t spans;

	pthread_mutex_lock(&operations->lock);
	spans = id < operations->count_cap ? operations->counts[id] : 0;
	pthread_mutex_unlock(&operations->lock);
	return spans;
}

int operations_parse(struct str value, struct operations_record *out_record)
{
	struct record_head head;

	if (value.len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, value.data, sizeof(head));
	value.data += sizeof(head);
	value.len -= sizeof(head);
	if (head.service_bytes > value.len || head.kind > UINT8_MAX)
		return -EBADMSG;
	*out_record = (struct operations_record){
		.service = { value.data, head.service_bytes },
		.operation = { value.data + head.service_bytes, value.len - head.service_bytes },
		.kind = (uint8_t)head.kind,
		.spans = head.spans,
	};
	return 0;
}

void operations_format(const struct operations_record *record, struct buf *out)
{
	struct record_head head = {
		.spans = record->spans,
		.service_bytes = (uint32_t)record->service.len,
		.kind = record->kind,
	};

	buf_append(out, &head, sizeof(head));
	buf_append_str(out, record->service);
	buf_append_str(out, record->operation);
}
