/* SPDX-License-Identifier: Apache-2.0 */
/* A part: the commits of one hour, in a folder of its own.
 *
 *   <folder>/open.log     what was committed, block by block; kept until the part is compacted
 *   <folder>/open.mdb     an LMDB environment: names, stacks, and indexes of most of open.log
 *   <folder>/closed.mdb   compacted: packed blocks, one trace run with a filter, operation runs
 *
 * What open.mdb does not have yet is in memory, and is made again from open.log after a crash.
 * A part is shared: whoever uses it holds a reference, and its maps go with the last one, also when
 * its files are long gone. One writer; readers use their own transactions. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "storage/block_log.h"
#include "storage/operations.h"
#include "storage/part_env.h"
#include "storage/rollups.h"
#include "storage/run.h"
#include "storage/txn.h"
#include "storage/young_run.h"

#define PART_VERSION     9 /* and no other is read */
#define PART_OPEN_FILE   "open.mdb"
#define PART_LOG_FILE    "open.log"
#define PART_CLOSED_FILE "closed.mdb"

struct part_totals {
	uint64_t blocks, spans, ledgers;
	uint64_t last_commit_unix_ns; /* 0: none */
	uint64_t min_start_unix_ns, max_start_unix_ns;
	uint64_t bytes; /* on disk */
};

struct part {
	char *path; /* owned: the folder */
	uint64_t start_unix_ns;
	uint64_t seed;        /* of the hashes of trace ids; the data folder's */
	struct part_env *env; /* a reference; replaced under the store's lock, by the writer */
	MDB_dbi blocks, by_trace, by_operation, operations, rollup, about;
	MDB_dbi stacks, frames; /* stack_store.h */
	atomic_uint references;
	bool is_closed;         /* compacted: blocks are in the database; else in the log */
	struct block_log log;   /* of one that is not closed */
	struct str filter;      /* of a closed part; lies in the map, as the next */
	struct str stack_ids;   /* stack_numbers.h */
	atomic_uchar *checked;  /* owned: a bit for each of its first blocks, see part_block ... */
	uint32_t checked_count; /* ... of so many */
	uint64_t next_seq;      /* writer only, as the next two */
	uint64_t spilled_seq;   /* blocks up to here are in the runs on disk */
	uint32_t run_count;     /* ... and these are the runs */
	bool cannot_be_packed;  /* damaged, or its disk failed: stays as it is */
	struct part_totals totals; /* guarded by the store's lock, as the next */
	bool is_over;              /* takes no more commits; the writer is done with it */
	struct young_run young;
	struct operations names;
	struct rollups rollups;
};

enum part_mode {
	PART_CREATE,    /* makes the open files, durably; nothing may stand there */
	PART_WRITE,     /* the open files, to go on */
	PART_READ,      /* the open files, which nobody writes any more */
	PART_COMPACTED, /* closed.mdb */
	PART_COMPACT,   /* makes closed.mdb under `file`, not yet durable */
};

struct part_options {
	const char *path; /* of the folder */
	const char *file; /* its name in the folder */
	uint64_t start_unix_ns;
	uint64_t seed;
	uint64_t map_bytes; /* of the database, when it is written to */
	uint64_t log_bytes; /* the most that the log may hold */
	enum part_mode mode;
	bool is_fresh; /* just written by us: its pages need no check */
};

/* -EBADMSG: damaged; -EPROTO: of a newer version; -EPROTOTYPE: of an older one. The caller gets the
 * first reference. */
int part_open(const struct part_options *options, struct part **out_part);
/* The database of an open part once more, for reading alone: that takes 3 MiB less. */
int part_open_again(const struct part *part, struct part_env **out_env);
struct part *part_hold(struct part *part);
void part_release(struct part *part); /* NULL: nothing */

/* "<folder>/<name>", for free(). NULL: out of memory. */
char *part_file_path(const char *folder, const char *name);
/* Removes a file of a part, if it is there. */
void part_remove_file(const char *folder, const char *name);
/* When the compacted one has taken their place. */
void part_remove_open_files(const char *folder);
uint64_t part_bytes(const struct part *part);

struct block;
/* The block `seq`. Numbers have no gaps: whoever wants all begins with 1, and ends at -ENOENT,
 * which also says that a block is not committed, or of a closed part not visible to `txn`. */
int part_block(struct part *part, const struct txn *txn, uint32_t seq, struct block *out_block);
/* A packed block's checksum is looked at when it is first opened, and again after its pages were
 * given back: it is a tenth of a search. */
void part_forget_checked(struct part *part);
/* The same, unopened: its header can be read. */
int part_value(struct part *part, const struct txn *txn, uint32_t seq, struct str *out_value);
/* For the writer, who sees the commit under way too; borrowed until the next block. */
int part_pending_block(const struct part *part, uint32_t seq, struct block *out_block);
void part_count_block(struct part_totals *totals, const struct block *block);

/* Notes what the part is, in `txn`; the totals are believed of a closed part only. */
void part_put_record(struct part *part, struct txn *txn, const struct part_totals *totals);
/* Notes how far the log goes: from then on, less is damage. */
void part_put_mark(const struct part *part, struct txn *txn);
