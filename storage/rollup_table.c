/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollup_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "storage/checksum.h"
#include "storage/key.h"

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

int rollup_table_decode(struct rollup_table *table, struct rollup_key key,
			const struct rollup_bytes *bytes)
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

static int compare_numbers(uint32_t left, uint32_t right)
{
	return (left > right) - (left < right);
}

static int by_minute(const void *a, const void *b)
{
	const struct rollup_place *left = a, *right = b;
	int order = compare_numbers(left->key.minute, right->key.minute);

	return order ? order : compare_numbers(left->key.operation, right->key.operation);
}

/* Minutes of one operation are alike. */
static int by_operation(const void *a, const void *b)
{
	const struct rollup_place *left = a, *right = b;
	int order = compare_numbers(left->key.operation, right->key.operation);

	return order ? order : compare_numbers(left->key.minute, right->key.minute);
}

struct rollup_place *rollup_table_sorted(const struct rollup_table *table, enum rollup_order order)
{
	struct rollup_place *places = malloc((table->cells.count + 1) * sizeof(*places));
	size_t cursor = 0, count = 0;
	const void *key;

	while (places && (places[count].cell = map_next(&table->cells, &cursor, &key)))
		memcpy(&places[count++].key, key, sizeof(struct rollup_key));
	if (places)
		qsort(places, count, sizeof(*places),
		      order == ROLLUP_BY_MINUTE ? by_minute : by_operation);
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

int rollup_entry_check(const struct rollup_entry *entry)
{
	uint64_t stored;

	memcpy(&stored, entry->bytes.data + entry->bytes.len, sizeof(stored));
	return stored == checksum(entry) ? 0 : -EBADMSG;
}

int rollup_entry_open(struct rollup_entry *entry)
{
	int rc = rollup_entry_check(entry);

	return rc < 0 ? rc : rollup_bytes_get(entry->bytes, &entry->cell);
}

void rollup_entry_append(struct txn *txn, MDB_dbi dbi, struct rollup_entry *entry,
			 struct buf *value)
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
	struct rollup_place *places = rollup_table_sorted(table, ROLLUP_BY_MINUTE);
	struct rollup_code code;
	struct buf value;

	if (!places && !txn->error)
		txn->error = -ENOMEM;
	rollup_code_init(&code);
	buf_init(&value, 0);
	for (size_t i = 0; i < table->cells.count && !txn->error; i++) {
		struct rollup_entry entry = { .level = level, .run = run, .key = places[i].key };

		buf_clear(&value);
		rollup_code_clear(&code);
		rollup_cell_encode(places[i].cell, &code);
		rollup_code_put(&code, &value);
		rollup_entry_append(txn, dbi, &entry, &value);
	}
	buf_fini(&value);
	rollup_code_fini(&code);
	free(places);
}

/* `code`, `cell`: room. */
static void put_young_cell(struct buf *value, struct rollup_code *code, struct buf *cell,
			   const struct rollup_place *place)
{
	buf_clear(cell);
	rollup_code_clear(code);
	rollup_cell_encode(place->cell, code);
	rollup_code_put(code, cell);
	wire_put_varint(value, place->key.minute);
	wire_put_varint(value, place->key.operation);
	wire_put_varint(value, cell->len);
	buf_append_str(value, buf_str(cell));
	if (buf_error(cell))
		value->error = buf_error(cell);
}

void rollup_table_put_young(const struct rollup_table *table, struct buf *out_value)
{
	struct rollup_place *places = rollup_table_sorted(table, ROLLUP_BY_MINUTE);
	struct rollup_code code;
	struct buf cell;

	if (!places && !out_value->error)
		out_value->error = -ENOMEM;
	rollup_code_init(&code);
	buf_init(&cell, 0);
	for (size_t i = 0; places && i < table->cells.count; i++)
		put_young_cell(out_value, &code, &cell, &places[i]);
	buf_fini(&cell);
	rollup_code_fini(&code);
	free(places);
}

static int next_young(struct wire_reader *reader, struct rollup_key *key, struct rollup_bytes *cell)
{
	uint64_t minute, operation, len;
	struct str bytes;

	if (!wire_get_varint(reader, &minute) || !wire_get_varint(reader, &operation) ||
	    !wire_get_varint(reader, &len) || minute > UINT32_MAX || operation > UINT32_MAX ||
	    len > (size_t)(reader->end - reader->at))
		return -EBADMSG;
	*key = (struct rollup_key){ (uint32_t)minute, (uint32_t)operation };
	bytes = (struct str){ reader->at, (size_t)len };
	reader->at += len;
	return rollup_bytes_get(bytes, cell);
}

int rollup_table_read_young(struct rollup_table *table, struct str value)
{
	struct wire_reader reader = wire_read(value);
	struct rollup_bytes cell;
	struct rollup_key key;
	int rc = 0;

	while (rc == 0 && reader.at < reader.end) {
		rc = next_young(&reader, &key, &cell);
		if (rc == 0)
			rc = rollup_table_decode(table, key, &cell);
	}
	return rc;
}
