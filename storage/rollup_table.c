/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollup_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/compress.h"
#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "storage/checksum.h"
#include "storage/key.h"

#define PACKED_CELLS     128u
#define MAX_PACKED_BYTES ((size_t)64 << 20)
#define ZSTD_LEVEL       9

static void forget_recent(struct rollup_table *table)
{
	memset(table->recent, 0, sizeof(table->recent));
	table->recent_slots = table->cells.slots;
}

void rollup_table_init(struct rollup_table *table, uint64_t seed)
{
	map_init(&table->cells, sizeof(struct rollup_key), sizeof(struct rollup_cell), seed);
	forget_recent(table);
	table->bytes = 0;
}

static void free_cells(struct rollup_table *table)
{
	struct rollup_cell *cell;
	size_t cursor = 0;

	while ((cell = map_next(&table->cells, &cursor, NULL)))
		rollup_cell_fini(cell);
	forget_recent(table);
	table->bytes = 0;
}

void rollup_table_fini(struct rollup_table *table)
{
	free_cells(table);
	map_fini(&table->cells);
}

void rollup_table_clear(struct rollup_table *table)
{
	free_cells(table);
	map_clear(&table->cells);
}

static struct rollup_cell *find(struct rollup_table *table, struct rollup_key key)
{
	struct rollup_recent *recent = &table->recent[key.operation % ROLLUP_RECENT];

	if (recent->cell && recent->key.operation == key.operation &&
	    recent->key.minute == key.minute)
		return recent->cell;
	recent->key = key;
	recent->cell = map_put(&table->cells, &key);
	if (table->recent_slots != table->cells.slots) { /* it has grown: all have moved */
		struct rollup_recent fresh = *recent;

		forget_recent(table);
		*recent = fresh;
	}
	return recent->cell;
}

/* The cell's heap memory is taken out of the sum; `count_in` puts it back. */
static struct rollup_cell *take_out(struct rollup_table *table, struct rollup_key key)
{
	size_t count = table->cells.count;
	struct rollup_cell *cell = find(table, key);

	if (cell && table->cells.count > count)
		table->bytes += sizeof(*cell);
	else if (cell)
		table->bytes -= rollup_cell_bytes(cell);
	return cell;
}

static void count_in(struct rollup_table *table, const struct rollup_cell *cell)
{
	table->bytes += rollup_cell_bytes(cell);
}

int rollup_table_add(struct rollup_table *table, struct rollup_key key, const struct ledger *ledger,
		     bool is_error, int sign)
{
	struct rollup_cell *cell = take_out(table, key);
	int rc = cell ? rollup_cell_add(cell, ledger, is_error, sign) : -ENOMEM;

	if (cell)
		count_in(table, cell);
	return rc;
}

int rollup_table_add_plain(struct rollup_table *table, struct rollup_key key,
			   const struct rollup_span *span)
{
	struct rollup_cell *cell = take_out(table, key);
	int rc = cell ? rollup_cell_add_plain(cell, span) : -ENOMEM;

	if (cell)
		count_in(table, cell);
	return rc;
}

int rollup_table_merge(struct rollup_table *table, struct rollup_key key,
		       const struct rollup_cell *other)
{
	struct rollup_cell *cell = take_out(table, key);
	int rc = cell ? rollup_cell_merge(cell, other) : -ENOMEM;

	if (cell)
		count_in(table, cell);
	return rc;
}

int rollup_table_decode(struct rollup_table *table, struct rollup_key key, struct str bytes)
{
	struct rollup_cell *cell = take_out(table, key);
	int rc = cell ? rollup_cell_decode(cell, bytes, NULL) : -ENOMEM;

	if (cell)
		count_in(table, cell);
	return rc;
}

int rollup_table_merge_all(struct rollup_table *table, const struct rollup_table *other)
{
	const struct rollup_cell *cell;
	const void *key;
	size_t cursor = 0;
	int rc = 0;

	while (rc == 0 && (cell = map_next(&other->cells, &cursor, &key))) {
		struct rollup_key copy;

		memcpy(&copy, key, sizeof(copy));
		rc = rollup_table_merge(table, copy, cell);
	}
	return rc;
}

struct place {
	struct rollup_key key;
	const struct rollup_cell *cell;
};

static int compare_numbers(uint32_t left, uint32_t right)
{
	return (left > right) - (left < right);
}

static int by_minute(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	int order = compare_numbers(left->key.minute, right->key.minute);

	return order ? order : compare_numbers(left->key.operation, right->key.operation);
}

/* Minutes of one operation are alike. */
static int by_operation(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	int order = compare_numbers(left->key.operation, right->key.operation);

	return order ? order : compare_numbers(left->key.minute, right->key.minute);
}

/* For free(); NULL: no memory. */
static struct place *sorted(const struct rollup_table *table,
			    int (*compare)(const void *a, const void *b))
{
	struct place *places = malloc((table->cells.count + 1) * sizeof(*places));
	size_t cursor = 0, count = 0;
	const void *key;

	while (places && (places[count].cell = map_next(&table->cells, &cursor, &key)))
		memcpy(&places[count++].key, key, sizeof(struct rollup_key));
	if (places)
		qsort(places, count, sizeof(*places), compare);
	return places;
}

void rollup_entry_key(const struct rollup_entry *entry, uint8_t out_key[ROLLUP_KEY_BYTES])
{
	key_put32(out_key, entry->level);
	key_put32(out_key + 4, entry->run);
	key_put32(out_key + 8, entry->key.minute);
	key_put32(out_key + 12, entry->key.operation);
}

int rollup_entry_parse(struct str key, struct str value, struct rollup_entry *out_entry)
{
	if (key.len != ROLLUP_KEY_BYTES || value.len < sizeof(uint64_t))
		return -EBADMSG;
	*out_entry = (struct rollup_entry){
		.level = key_get32(key.data),
		.run = key_get32(key.data + 4),
		.key = { key_get32(key.data + 8), key_get32(key.data + 12) },
		.bytes = { value.data, value.len - sizeof(uint64_t) },
	};
	return 0;
}

static uint64_t checksum(const struct rollup_entry *entry)
{
	uint8_t key[ROLLUP_KEY_BYTES];

	rollup_entry_key(entry, key);
	return checksum_of(entry->bytes.data, entry->bytes.len, checksum_of(key, sizeof(key), 0));
}

int rollup_entry_check(struct rollup_entry *entry)
{
	uint64_t stored;

	memcpy(&stored, entry->bytes.data + entry->bytes.len, sizeof(stored));
	return stored == checksum(entry) ? 0 : -EBADMSG;
}

/* `value` holds the bytes; it gets the checksum. */
static void append(struct txn *txn, MDB_dbi dbi, struct rollup_entry *entry, struct buf *value)
{
	uint8_t key[ROLLUP_KEY_BYTES];
	uint64_t sum;

	entry->bytes = buf_str(value);
	sum = buf_error(value) ? 0 : checksum(entry);
	buf_append(value, &sum, sizeof(sum));
	if (!txn->error)
		txn->error = buf_error(value);
	rollup_entry_key(entry, key);
	txn_append(txn, dbi, key_str(key, sizeof(key)), buf_str(value));
}

void rollup_table_write(const struct rollup_table *table, struct txn *txn, MDB_dbi dbi,
			enum rollup_level level, uint32_t run)
{
	struct place *places = sorted(table, by_minute);
	struct buf value;

	if (!places && !txn->error)
		txn->error = -ENOMEM;
	buf_init(&value, 0);
	for (size_t i = 0; i < table->cells.count && !txn->error; i++) {
		struct rollup_entry entry = { level, run, places[i].key, { NULL, 0 } };

		buf_clear(&value);
		rollup_cell_encode(places[i].cell, &value);
		append(txn, dbi, &entry, &value);
	}
	buf_fini(&value);
	free(places);
}

static void put_young_cell(struct buf *value, struct buf *cell, const struct place *place)
{
	buf_clear(cell);
	rollup_cell_encode(place->cell, cell);
	wire_put_varint(value, place->key.minute);
	wire_put_varint(value, place->key.operation);
	wire_put_varint(value, cell->len);
	buf_append_str(value, buf_str(cell));
	if (buf_error(cell))
		value->error = buf_error(cell);
}

void rollup_table_put_young(const struct rollup_table *table, struct buf *out_value)
{
	struct place *places = sorted(table, by_minute);
	struct buf cell;

	if (!places && !out_value->error)
		out_value->error = -ENOMEM;
	buf_init(&cell, 0);
	for (size_t i = 0; places && i < table->cells.count; i++)
		put_young_cell(out_value, &cell, &places[i]);
	buf_fini(&cell);
	free(places);
}

static int next_packed(struct wire_reader *reader, struct rollup_entry *entry)
{
	uint64_t minute, operation, len;

	if (!wire_get_varint(reader, &minute) || !wire_get_varint(reader, &operation) ||
	    !wire_get_varint(reader, &len) || minute > UINT32_MAX || operation > UINT32_MAX ||
	    len > (size_t)(reader->end - reader->at))
		return -EBADMSG;
	entry->key = (struct rollup_key){ (uint32_t)minute, (uint32_t)operation };
	entry->bytes = (struct str){ reader->at, (size_t)len };
	reader->at += len;
	return 0;
}

int rollup_table_read_young(struct rollup_table *table, struct str value)
{
	struct wire_reader reader = wire_read(value);
	struct rollup_entry entry = { 0 };
	int rc = 0;

	while (rc == 0 && reader.at < reader.end) {
		rc = next_packed(&reader, &entry);
		if (rc == 0)
			rc = rollup_table_decode(table, entry.key, entry.bytes);
	}
	return rc;
}

/* At most PACKED_CELLS from `first` on. */
static void append_packed(struct txn *txn, MDB_dbi dbi, struct rollup_entry entry,
			  const struct place *first, size_t count)
{
	struct buf plain, cell, value;

	buf_init(&plain, 0);
	buf_init(&cell, 0);
	buf_init(&value, 0);
	for (size_t i = 0; i < count; i++)
		put_young_cell(&plain, &cell, &first[i]);
	if (!txn->error)
		txn->error = buf_error(&plain);
	if (!txn->error)
		txn->error = compress_zstd(buf_str(&plain), ZSTD_LEVEL, &value);
	if (!txn->error)
		append(txn, dbi, &entry, &value);
	buf_fini(&plain);
	buf_fini(&cell);
	buf_fini(&value);
}

void rollup_table_write_packed(const struct rollup_table *table, struct txn *txn, MDB_dbi dbi,
			       enum rollup_level level)
{
	struct place *places = sorted(table, by_operation);
	struct rollup_entry entry = { .level = level, .key.minute = UINT32_MAX };
	size_t count = table->cells.count;

	if (!places && !txn->error)
		txn->error = -ENOMEM;
	for (size_t i = 0; places && i < count; i++)
		entry.key.minute = MIN(entry.key.minute, places[i].key.minute);
	for (size_t i = 0; places && i < count; i += PACKED_CELLS, entry.key.operation++)
		append_packed(txn, dbi, entry, &places[i], MIN(count - i, PACKED_CELLS));
	free(places);
}

int rollup_table_each_packed(const struct rollup_entry *entry,
			     int (*visit)(const struct rollup_entry *entry, void *arg), void *arg)
{
	struct rollup_entry cell = *entry;
	struct wire_reader reader;
	struct buf plain;
	int rc;

	rc = rollup_entry_check(&cell);
	if (rc < 0)
		return rc;
	buf_init(&plain, MAX_PACKED_BYTES);
	rc = compress_unzstd(entry->bytes, &plain);
	reader = wire_read(buf_str(&plain));
	while (rc == 0 && reader.at < reader.end) {
		rc = next_packed(&reader, &cell);
		if (rc == 0)
			rc = visit(&cell, arg);
	}
	buf_fini(&plain);
	return rc == -EMSGSIZE ? -EBADMSG : rc;
}
