/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/run.h"

#include <errno.h>
#include <string.h>

#include "storage/checksum.h"

#define CHUNK_MAGIC   0x52777073u /* "spwR" */
#define CHUNK_VERSION 1

struct chunk_head {
	uint32_t magic;
	uint16_t version;
	uint16_t entry_bytes;
	uint32_t count;
	uint32_t zero;
	uint64_t checksum; /* of the entries */
};

void run_writer_init(struct run_writer *writer, const struct run_kind *kind, MDB_dbi dbi,
		     uint32_t run)
{
	*writer = (struct run_writer){ .kind = kind, .dbi = dbi, .run = run };
	buf_init(&writer->chunk, 0);
}

void run_writer_fini(struct run_writer *writer)
{
	buf_fini(&writer->chunk);
}

void run_writer_flush(struct run_writer *writer, struct txn *txn)
{
	struct chunk_head head = {
		.magic = CHUNK_MAGIC,
		.version = CHUNK_VERSION,
		.entry_bytes = writer->kind->entry_bytes,
		.count = writer->count,
	};
	uint8_t key[KEY_RUN_BYTES];
	size_t bytes;

	if (!txn->error)
		txn->error = buf_error(&writer->chunk);
	if (txn->error || writer->count == 0)
		return;
	bytes = writer->chunk.len - sizeof(head);
	head.checksum = checksum_of(writer->chunk.data + sizeof(head), bytes, writer->run);
	memcpy(writer->chunk.data, &head, sizeof(head));
	key_put32(key, writer->run);
	writer->kind->key_of(writer->first, key + 4);
	txn_append(txn, writer->dbi, key_str(key, sizeof(key)), buf_str(&writer->chunk));
	buf_clear(&writer->chunk);
	writer->count = 0;
}

static void begin_chunk(struct run_writer *writer, const void *entry)
{
	static const struct chunk_head room;

	buf_append(&writer->chunk, &room, sizeof(room));
	memcpy(writer->first, entry, writer->kind->entry_bytes);
	memset(writer->last, 0, sizeof(writer->last));
}

/* One that no longer fits is taken back and begins the next chunk. */
static void add_packed(struct run_writer *writer, struct txn *txn, const void *entry)
{
	size_t before = writer->chunk.len;

	writer->kind->pack(writer->last, entry, &writer->chunk);
	if (writer->chunk.len > RUN_PACKED_BYTES && writer->count) {
		writer->chunk.len = before;
		run_writer_flush(writer, txn);
		begin_chunk(writer, entry);
		writer->kind->pack(writer->last, entry, &writer->chunk);
	}
}

void run_writer_add(struct run_writer *writer, struct txn *txn, const void *entry)
{
	const struct run_kind *kind = writer->kind;

	if (writer->count == 0)
		begin_chunk(writer, entry);
	if (kind->pack)
		add_packed(writer, txn, entry);
	else
		buf_append(&writer->chunk, entry, kind->entry_bytes);
	memcpy(writer->last, entry, kind->entry_bytes);
	writer->count++;
	if (!kind->pack && writer->chunk.len + kind->entry_bytes > RUN_CHUNK_BYTES)
		run_writer_flush(writer, txn);
}

int run_count(const struct txn *txn, MDB_dbi dbi, uint32_t *out_count)
{
	struct str key, value;
	struct cursor cursor;
	int rc = cursor_open(txn, dbi, &cursor);

	if (rc < 0)
		return rc;
	rc = cursor_last(&cursor, &key, &value);
	cursor_close(&cursor);
	if (rc == 0 && key.len != KEY_RUN_BYTES)
		return -EBADMSG;
	if (rc == 0)
		*out_count = key_get32(key.data) + 1;
	else if (rc == -ENOENT)
		*out_count = 0;
	return rc == -ENOENT ? 0 : rc;
}

int run_reader_open(struct run_reader *reader, const struct run_kind *kind, const struct txn *txn,
		    MDB_dbi dbi, uint32_t run)
{
	*reader = (struct run_reader){ .kind = kind, .run = run };
	return cursor_open(txn, dbi, &reader->cursor);
}

void run_reader_close(struct run_reader *reader)
{
	cursor_close(&reader->cursor);
	buf_fini(&reader->unpacked);
}

/* An entry takes a byte or more: so `count` cannot ask for more memory than there may be. */
static int unpack(struct run_reader *reader, struct str packed, uint32_t count)
{
	struct wire_reader bytes = wire_read(packed);
	char nothing[RUN_ENTRY_BYTES] = { 0 };
	size_t size = reader->kind->entry_bytes;
	const char *before = nothing;
	char *entry;

	buf_clear(&reader->unpacked);
	if (count > packed.len || !buf_reserve(&reader->unpacked, count * size))
		return count > packed.len ? -EBADMSG : -ENOMEM;
	entry = reader->unpacked.data;
	for (uint32_t i = 0; i < count; i++, entry += size) {
		if (!reader->kind->unpack(before, &bytes, entry))
			return -EBADMSG;
		before = entry;
	}
	reader->entries = reader->unpacked.data;
	return bytes.at == bytes.end ? 0 : -EBADMSG;
}

/* Takes the chunk on which the cursor stands. -ENOENT: of a later run. */
static int take(struct run_reader *reader, struct str key, struct str value)
{
	struct chunk_head head;
	size_t bytes;

	if (key.len != KEY_RUN_BYTES)
		return -EBADMSG;
	if (key_get32(key.data) != reader->run)
		return -ENOENT;
	if (value.len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, value.data, sizeof(head));
	bytes = value.len - sizeof(head);
	if (head.magic != CHUNK_MAGIC || head.entry_bytes != reader->kind->entry_bytes ||
	    head.count == 0 ||
	    (!reader->kind->pack && bytes != (uint64_t)head.count * head.entry_bytes) ||
	    checksum_of(value.data + sizeof(head), bytes, reader->run) != head.checksum)
		return head.magic == CHUNK_MAGIC && head.version > CHUNK_VERSION ? -EPROTO
										 : -EBADMSG;
	reader->entries = value.data + sizeof(head);
	reader->count = head.count;
	reader->index = 0;
	return reader->kind->pack
		       ? unpack(reader, (struct str){ reader->entries, bytes }, head.count)
		       : 0;
}

static int next_chunk(struct run_reader *reader)
{
	struct str key, value;
	int rc = cursor_next(&reader->cursor, &key, &value);

	return rc < 0 ? rc : take(reader, key, value);
}

static uint32_t lower_bound(const struct run_reader *reader, const uint8_t *wanted)
{
	uint32_t low = 0, high = reader->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint8_t key[KEY_ENTRY_BYTES];

		reader->kind->key_of(reader->entries + (size_t)middle * reader->kind->entry_bytes,
				     key);
		if (memcmp(key, wanted, sizeof(key)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The wanted entry may stand in the chunk before the first whose key is not less. */
static int seek_chunk(struct run_reader *reader, const uint8_t *wanted)
{
	uint8_t run_key[KEY_RUN_BYTES];
	struct str key, value;
	int rc;

	key_put32(run_key, reader->run);
	memcpy(run_key + 4, wanted, KEY_ENTRY_BYTES);
	rc = cursor_seek(&reader->cursor, key_str(run_key, sizeof(run_key)), &key, &value);
	if (rc == 0 && key.len == sizeof(run_key) &&
	    memcmp(key.data, run_key, sizeof(run_key)) == 0)
		return take(reader, key, value);
	rc = rc == -ENOENT ? cursor_last(&reader->cursor, &key, &value)
	     : rc == 0     ? cursor_prev(&reader->cursor, &key, &value)
			   : rc;
	if (rc == -ENOENT) /* nothing before: the first chunk of all */
		rc = cursor_first(&reader->cursor, &key, &value);
	if (rc == 0 && key.len == sizeof(run_key) && key_get32(key.data) < reader->run)
		rc = cursor_next(&reader->cursor, &key, &value);
	return rc < 0 ? rc : take(reader, key, value);
}

int run_reader_seek(struct run_reader *reader, const uint8_t key[KEY_ENTRY_BYTES])
{
	int rc = seek_chunk(reader, key);

	if (rc < 0)
		return rc;
	reader->index = lower_bound(reader, key);
	return reader->index < reader->count ? 0 : next_chunk(reader);
}

int run_reader_next(struct run_reader *reader, void *out_entry)
{
	if (reader->index == reader->count) {
		int rc = next_chunk(reader);

		if (rc < 0)
			return rc;
	}
	memcpy(out_entry, reader->entries + (size_t)reader->index * reader->kind->entry_bytes,
	       reader->kind->entry_bytes);
	reader->index++;
	return 0;
}
