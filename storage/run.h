/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted runs: entries of a fixed size, in chunks that are only ever appended.
 *
 * A database holds runs 0, 1, 2, ... Each is written once, from its first entry to its last, within
 * one or several transactions. A chunk's key is its run and its first entry's key; it carries a
 * checksum. `key_of` gives the 16 bytes by which memcmp sorts the entries.
 *
 * Entries may be packed: each as bytes that say how it differs from the one before. Such a chunk
 * fills its pages. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/wire.h"
#include "storage/key.h"
#include "storage/txn.h"

#define RUN_CHUNK_BYTES  ((size_t)16 << 10)
#define RUN_PACKED_BYTES ((size_t)4096 - 16) /* a page less its header: all is read for one */
#define RUN_ENTRY_BYTES  64                  /* at most */

typedef void run_key_of(const void *entry, uint8_t out_key[KEY_ENTRY_BYTES]);

struct run_kind {
	uint16_t entry_bytes;
	run_key_of *key_of;
	/* NULL: entries lie as they are. Of the first entry of a chunk, `before` is all zeros. */
	void (*pack)(const void *before, const void *entry, struct buf *out);
	bool (*unpack)(const void *before, struct wire_reader *reader, void *out_entry);
};

struct run_writer {
	const struct run_kind *kind;
	MDB_dbi dbi;
	uint32_t run;
	struct buf chunk; /* owned */
	uint32_t count;   /* in it */
	char first[RUN_ENTRY_BYTES], last[RUN_ENTRY_BYTES];
};

void run_writer_init(struct run_writer *writer, const struct run_kind *kind, MDB_dbi dbi,
		     uint32_t run);
void run_writer_fini(struct run_writer *writer);
/* Entries come in ascending order. Errors stay in the transaction. */
void run_writer_add(struct run_writer *writer, struct txn *txn, const void *entry);
/* Writes what is still held back; to be called before each commit. */
void run_writer_flush(struct run_writer *writer, struct txn *txn);

/* The number of runs that a database holds. */
int run_count(const struct txn *txn, MDB_dbi dbi, uint32_t *out_count);

struct run_reader {
	const struct run_kind *kind;
	struct cursor cursor; /* owned */
	uint32_t run;
	uint32_t index, count; /* in the chunk */
	const char *entries;   /* borrowed: the chunk's, at any alignment */
	struct buf unpacked;   /* owned: of packed ones */
};

int run_reader_open(struct run_reader *reader, const struct run_kind *kind, const struct txn *txn,
		    MDB_dbi dbi, uint32_t run);
void run_reader_close(struct run_reader *reader);
/* To the first entry whose key is not less. -ENOENT: none. -EBADMSG: damaged. */
int run_reader_seek(struct run_reader *reader, const uint8_t key[KEY_ENTRY_BYTES]);
/* Copies the entry and moves on. -ENOENT: the end. */
int run_reader_next(struct run_reader *reader, void *out_entry);
