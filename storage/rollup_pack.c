/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollup_pack.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/compress.h"
#include "collector/base/macros.h"
#include "collector/base/wire.h"

#define VALUE_CELLS     1024u /* of one value */
#define MAX_PLAIN_BYTES ((uint64_t)64 << 20)
#define ZSTD_LEVEL      9
#define LEAST_BYTES     24 /* what is shorter is not worth a frame */

enum { COLUMN_KEYS, COLUMN_STREAMS, COLUMNS = COLUMN_STREAMS + ROLLUP_STREAMS };

/* ---- writing ---- */

struct writing {
	struct compress_packer *packer; /* owned */
	struct rollup_code code;
	struct buf keys, bodies, value;
};

static void add_cell(struct writing *writing, const struct rollup_place *place)
{
	size_t before[ROLLUP_STREAMS];

	for (unsigned i = 0; i < ROLLUP_STREAMS; i++)
		before[i] = writing->code.streams[i].len;
	rollup_cell_encode(place->cell, &writing->code);
	wire_put_varint(&writing->keys, place->key.minute);
	wire_put_varint(&writing->keys, place->key.operation);
	for (unsigned i = 0; i < ROLLUP_STREAMS; i++)
		wire_put_varint(&writing->keys, writing->code.streams[i].len - before[i]);
}

/* Ids are random. */
static int put_column(struct writing *writing, unsigned column, const struct buf *plain)
{
	size_t before = writing->bodies.len;
	int rc = buf_error(plain);

	if (rc == 0 && column != COLUMN_STREAMS + ROLLUP_IDS && plain->len >= LEAST_BYTES)
		rc = compress_pack(writing->packer, buf_str(plain), &writing->bodies);
	wire_put_varint(&writing->value, plain->len);
	if (writing->bodies.len - before >= plain->len || writing->bodies.len == before) {
		writing->bodies.len = before;
		buf_append_str(&writing->bodies, buf_str(plain));
		wire_put_varint(&writing->value, 0);
	} else {
		wire_put_varint(&writing->value, writing->bodies.len - before);
	}
	return rc;
}

static void clear(struct writing *writing)
{
	rollup_code_clear(&writing->code);
	buf_clear(&writing->keys);
	buf_clear(&writing->bodies);
	buf_clear(&writing->value);
}

static int make_value(struct writing *writing, const struct rollup_place *places, size_t count)
{
	int rc;

	clear(writing);
	for (size_t i = 0; i < count; i++)
		add_cell(writing, &places[i]);
	rc = put_column(writing, COLUMN_KEYS, &writing->keys);
	for (unsigned i = 0; i < ROLLUP_STREAMS && rc == 0; i++)
		rc = put_column(writing, COLUMN_STREAMS + i, &writing->code.streams[i]);
	buf_append_str(&writing->value, buf_str(&writing->bodies));
	return rc ? rc : buf_error(&writing->bodies);
}

static bool init(struct writing *writing)
{
	*writing = (struct writing){ .packer = compress_packer_new(ZSTD_LEVEL, 0) };
	rollup_code_init(&writing->code);
	buf_init(&writing->keys, 0);
	buf_init(&writing->bodies, 0);
	buf_init(&writing->value, 0);
	return writing->packer != NULL;
}

static void fini(struct writing *writing)
{
	compress_packer_free(writing->packer);
	rollup_code_fini(&writing->code);
	buf_fini(&writing->keys);
	buf_fini(&writing->bodies);
	buf_fini(&writing->value);
}

void rollup_pack_write(const struct rollup_table *table, struct txn *txn, MDB_dbi dbi,
		       enum rollup_level level)
{
	struct rollup_place *places = rollup_table_sorted(table, ROLLUP_BY_OPERATION);
	struct rollup_entry entry = { .level = level, .key.minute = UINT32_MAX };
	size_t count = table->cells.count;
	struct writing writing;

	if ((!init(&writing) || !places) && !txn->error)
		txn->error = -ENOMEM;
	for (size_t i = 0; places && i < count; i++)
		entry.key.minute = MIN(entry.key.minute, places[i].key.minute);
	for (size_t i = 0; i < count && !txn->error; i += VALUE_CELLS, entry.key.operation++) {
		txn->error = make_value(&writing, &places[i], MIN(count - i, VALUE_CELLS));
		if (!txn->error)
			rollup_entry_append(txn, dbi, &entry, &writing.value);
	}
	fini(&writing);
	free(places);
}

/* ---- reading ---- */

struct reading {
	struct buf plain; /* of all columns that are packed */
	struct wire_reader columns[COLUMNS];
};

struct column_size {
	uint64_t plain, packed;
};

static int read_sizes(struct wire_reader *reader, struct column_size sizes[COLUMNS],
		      uint64_t *out_plain)
{
	uint64_t plain = 0;

	for (unsigned i = 0; i < COLUMNS; i++) {
		if (!wire_get_varint(reader, &sizes[i].plain) ||
		    !wire_get_varint(reader, &sizes[i].packed) ||
		    sizes[i].plain > MAX_PLAIN_BYTES || sizes[i].packed > sizes[i].plain)
			return -EBADMSG;
		plain += sizes[i].packed ? sizes[i].plain : 0;
	}
	*out_plain = plain;
	return plain > MAX_PLAIN_BYTES ? -EBADMSG : 0;
}

static int open_columns(struct str bytes, struct reading *reading)
{
	struct wire_reader reader = wire_read(bytes);
	struct column_size sizes[COLUMNS];
	uint64_t plain = 0;
	int rc = read_sizes(&reader, sizes, &plain);
	char *room = rc == 0 ? buf_reserve(&reading->plain, (size_t)plain + 1) : NULL;

	if (rc < 0 || !room)
		return rc < 0 ? rc : -ENOMEM;
	for (unsigned i = 0; i < COLUMNS; i++) {
		size_t stored = (size_t)(sizes[i].packed ? sizes[i].packed : sizes[i].plain);
		struct str body = { reader.at, stored };

		if (stored > (size_t)(reader.end - reader.at))
			return -EBADMSG;
		reader.at += stored;
		if (sizes[i].packed) {
			rc = compress_unpack(body, room, (size_t)sizes[i].plain);
			body = (struct str){ room, (size_t)sizes[i].plain };
			room += sizes[i].plain;
		}
		if (rc < 0)
			return rc;
		reading->columns[i] = wire_read(body);
	}
	return reader.at == reader.end ? 0 : -EBADMSG;
}

static int next_cell(struct reading *reading, struct rollup_entry *entry)
{
	struct wire_reader *keys = &reading->columns[COLUMN_KEYS];
	uint64_t minute, operation, len;

	if (!wire_get_short_varint(keys, &minute) || !wire_get_short_varint(keys, &operation) ||
	    minute > UINT32_MAX || operation > UINT32_MAX)
		return -EBADMSG;
	entry->key = (struct rollup_key){ (uint32_t)minute, (uint32_t)operation };
	for (unsigned i = 0; i < ROLLUP_STREAMS; i++) {
		struct wire_reader *stream = &reading->columns[COLUMN_STREAMS + i];

		if (!wire_get_short_varint(keys, &len) || len > (size_t)(stream->end - stream->at))
			return -EBADMSG;
		entry->cell.streams[i] = (struct str){ stream->at, (size_t)len };
		stream->at += len;
	}
	return 0;
}

int rollup_pack_each(const struct rollup_entry *entry,
		     int (*visit)(const struct rollup_entry *entry, void *arg), void *arg)
{
	struct rollup_entry cell = *entry;
	struct reading reading;
	int rc = rollup_entry_check(entry);

	buf_init(&reading.plain, 0);
	if (rc == 0)
		rc = open_columns(entry->bytes, &reading);
	while (rc == 0 && reading.columns[COLUMN_KEYS].at < reading.columns[COLUMN_KEYS].end) {
		rc = next_cell(&reading, &cell);
		if (rc == 0)
			rc = visit(&cell, arg);
	}
	buf_fini(&reading.plain);
	return rc;
}
