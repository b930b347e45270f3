/* SPDX-License-Identifier: Apache-2.0 */
/* A recording: everything that went into the correlator, in order, and the ledgers that came out.
 *
 * Little-endian. The file is a head and chunks; a chunk is written whole, so that a daemon that was
 * killed leaves a readable front.
 *
 *   head    "SPANWREC", u32 RECORD_VERSION, u32 EVENT_VERSION
 *   chunk   u32 "CHNK", u32 packed bytes, u32 plain bytes, u32 check, u64 checksum of the packed
 *           bytes (map_hash, seed 0), then one zstd frame of entries. The check is the low half
 *           of such a hash of these 24 bytes with zeros in its place; in version 1 it is zero
 *   entry   u32 kind (enum record_kind), u32 bytes, then so many bytes, zeros up to a multiple of 8
 *
 * Not thread safe. Errors are negative errno: -EPROTO a newer version, -EBADMSG damaged. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"

#define RECORD_VERSION         2                   /* version 1 is read, too */
#define RECORD_CHUNK_MAX_BYTES ((size_t)256 << 20) /* plain; a reader refuses more */

enum record_kind {
	RECORD_OPTIONS = 1,       /* struct record_options; the first entry */
	RECORD_EVENT = 2,         /* a kernel record: event_header, body, tails (bpf/event.h) */
	RECORD_PROCESS = 3,       /* struct event_process */
	RECORD_SPANS = 4,         /* an ExportTraceServiceRequest */
	RECORD_CLOCK = 5,         /* u64 mono before, u64 real, u64 mono after */
	RECORD_GAP = 6,           /* u64 from, u64 to */
	RECORD_KERNEL = 7,        /* u64 0 or 1 */
	RECORD_ADVANCE = 8,       /* u64 now */
	RECORD_SETTLE_ALL = 9,    /* nothing */
	RECORD_LEDGER = 10,       /* ledger_encode: came out of what stands before */
	RECORD_LOSS = 11,         /* u64 from, u64 to, u64 count */
	RECORD_LIMIT = 12,        /* u64 limit_bytes, in place of the options' */
	RECORD_COARSE_CLOCK = 13, /* u64 real, u64 tick */
	RECORD_KINDS,
};

struct record_options {
	uint64_t limit_bytes;
	uint64_t settle_ns;
	uint64_t reach_ns;
	uint64_t max_trace_spans;
};

struct record_entry {
	enum record_kind kind;
	struct str data; /* 8-byte aligned; borrowed until the next call */
};

struct record_writer;

/* Creates the file; -EEXIST: it is there already and is not touched. */
int record_writer_open(const char *path, struct record_writer **out_writer);
/* Writes what is left. Accepts NULL. Returns the first error since open. */
int record_writer_close(struct record_writer *writer);

/* Appends; the first error sticks and later entries are dropped. */
void record_put(struct record_writer *writer, enum record_kind kind, const void *data,
		size_t bytes);
/* Ends the chunk and hands it to the kernel. Done by itself when a chunk is full. */
void record_flush(struct record_writer *writer);
int record_error(const struct record_writer *writer);
uint64_t record_bytes(const struct record_writer *writer);

struct record_reader;

int record_reader_open(const char *path, struct record_reader **out_reader);
void record_reader_close(struct record_reader *reader);

/* 1: an entry; 0: the end; -EBADMSG: damaged from here on. A file that ends inside a chunk ends
 * before it, and record_is_truncated says so. */
int record_next(struct record_reader *reader, struct record_entry *out_entry);
bool record_is_truncated(const struct record_reader *reader);
