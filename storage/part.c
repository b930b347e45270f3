/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "storage/block.h"
#include "storage/checksum.h"
#include "storage/file_check.h"
#include "storage/stack_store.h"
#include "storage/store_errno.h"
#include "storage/summary.h"
#include "storage/trace_index.h"

#define MAX_DATABASES 16
#define MAX_READERS   512 /* a thread of libuv's pool reads a part at most a few times at once */
#define FILE_MODE     0600
#define RECORD_MAGIC  "spanwise part"

struct part_record {
	char magic[16];
	uint32_t version;
	uint32_t zero;
	uint64_t start_unix_ns;
	struct part_totals totals;
	uint64_t checksum; /* of all before */
};

char *part_file_path(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

void part_remove_file(const char *folder, const char *name)
{
	char *path = part_file_path(folder, name);

	if (path)
		unlink(path);
	free(path);
}

static bool is_new(enum part_mode mode)
{
	return mode == PART_CREATE || mode == PART_COMPACT;
}

/* Only open.mdb is read while it is written, and so only its file needs LMDB's lock file. The one
 * left by a process that died knows dead readers; nobody else can be there, for the data folder is
 * locked: it goes. */
static int open_env(struct part *part, const struct part_options *options, const char *path)
{
	unsigned flags = MDB_NOSUBDIR | MDB_NOTLS;
	char *lock_path;
	int rc;

	if (options->mode == PART_READ || options->mode == PART_COMPACTED)
		flags |= MDB_RDONLY | MDB_NOLOCK;
	if (options->mode == PART_COMPACT) /* synced when a step is done */
		flags |= MDB_NOLOCK | MDB_NOSYNC;
	if (options->mode == PART_WRITE) {
		if (asprintf(&lock_path, "%s-lock", path) < 0)
			return -ENOMEM;
		unlink(lock_path);
		free(lock_path);
	}
	rc = mdb_env_create(&part->env);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(part->env, MAX_DATABASES);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(part->env, MAX_READERS);
	if (rc == 0 && !(flags & MDB_RDONLY))
		rc = mdb_env_set_mapsize(part->env, (size_t)options->map_bytes);
	if (rc == 0)
		rc = mdb_env_open(part->env, path, flags, FILE_MODE);
	return store_errno(rc);
}

static int open_databases(struct part *part, struct txn *txn, bool create)
{
	static const char *const names[] = { "blocks", "by_trace",     "by_operation", "operations",
					     "rollup", "rollup_young", "about" };
	MDB_dbi *const dbis[] = { &part->blocks,     &part->by_trace, &part->by_operation,
				  &part->operations, &part->rollup,   &part->rollup_young,
				  &part->about };
	int rc = 0;

	part->has_rollups = true;
	for (size_t i = 0; i < ARRAY_LEN(names) && rc == 0; i++) {
		rc = mdb_dbi_open(txn->mdb, names[i], create ? MDB_CREATE : 0, dbis[i]);
		if (rc == MDB_NOTFOUND &&
		    (dbis[i] == &part->rollup || dbis[i] == &part->rollup_young)) {
			part->has_rollups = false;
			rc = 0;
		}
	}
	return rc == MDB_NOTFOUND ? -EBADMSG : store_errno(rc);
}

void part_put_record(struct part *part, struct txn *txn, const struct part_totals *totals)
{
	struct part_record record = {
		.magic = RECORD_MAGIC,
		.version = PART_VERSION,
		.start_unix_ns = part->start_unix_ns,
		.totals = *totals,
	};

	record.checksum = checksum_of(&record, offsetof(struct part_record, checksum), 0);
	txn_put(txn, part->about, STR("part"), (struct str){ (void *)&record, sizeof(record) });
}

static int load_record(struct part *part, const struct txn *txn)
{
	struct part_record record;
	struct str value;
	int rc = txn_get(txn, part->about, STR("part"), &value);

	if (rc == -ENOENT || (rc == 0 && value.len < offsetof(struct part_record, zero)))
		return -EBADMSG;
	if (rc < 0)
		return rc;
	memset(&record, 0, sizeof(record));
	memcpy(&record, value.data, MIN(value.len, sizeof(record)));
	if (memcmp(record.magic, RECORD_MAGIC, sizeof(RECORD_MAGIC)) != 0)
		return -EBADMSG;
	if (record.version > PART_VERSION)
		return -EPROTO;
	if (value.len != sizeof(record) || record.start_unix_ns != part->start_unix_ns ||
	    record.checksum != checksum_of(&record, offsetof(struct part_record, checksum), 0))
		return -EBADMSG;
	part->totals = record.totals;
	return 0;
}

void part_count_block(struct part_totals *totals, const struct block *block)
{
	const struct block_header *header = block->header;

	totals->blocks++;
	if (header->kind == BLOCK_SPANS)
		totals->spans += header->row_count;
	else
		totals->ledgers += header->row_count;
	totals->last_commit_unix_ns = header->commit_unix_ns;
	totals->min_start_unix_ns = MIN(totals->min_start_unix_ns, header->min_start_unix_ns);
	totals->max_start_unix_ns = MAX(totals->max_start_unix_ns, header->max_start_unix_ns);
}

static int load_block(struct part *part, uint64_t seq, struct str value)
{
	struct block block;
	int rc = block_open(value, false, &block);

	if (rc < 0)
		return rc;
	part_count_block(&part->totals, &block);
	operations_count(&part->names, block.summaries, block.header->summary_count);
	operations_commit(&part->names);
	if (seq > part->spilled_seq)
		rc = trace_index_add(part, (uint32_t)seq, &block);
	block_close(&block);
	return rc;
}

/* What a process that died had in memory is made again from the blocks. */
static int load_blocks(struct part *part, const struct txn *txn)
{
	struct str key, value;
	struct cursor cursor;
	int rc = cursor_open(txn, part->blocks, &cursor);

	if (rc < 0)
		return rc;
	for (rc = cursor_first(&cursor, &key, &value); rc == 0;
	     rc = cursor_next(&cursor, &key, &value)) {
		uint64_t seq = key.len == KEY_SEQ_BYTES ? key_get64(key.data) : 0;

		if (seq < part->next_seq || seq > UINT32_MAX)
			rc = -EBADMSG;
		else
			rc = load_block(part, seq, value);
		if (rc < 0)
			break;
		part->next_seq = seq + 1;
	}
	cursor_close(&cursor);
	return rc == -ENOENT ? 0 : rc;
}

static int load(struct part *part, const struct txn *txn)
{
	int rc = load_record(part, txn);

	if (rc < 0)
		return rc;
	if (part->is_closed) {
		rc = txn_get(txn, part->about, STR("filter"), &part->filter);
		return rc == -ENOENT ? 0 : rc;
	}
	part->totals = (struct part_totals){ .min_start_unix_ns = UINT64_MAX };
	rc = trace_index_load(part, txn);
	if (rc == 0)
		rc = rollups_load(part, txn);
	if (rc == 0)
		rc = operations_load(&part->names, txn, part->operations);
	if (rc == 0)
		rc = load_blocks(part, txn);
	return rc;
}

static int begin(struct part *part, const struct part_options *options)
{
	struct txn txn;
	int rc = is_new(options->mode) ? txn_begin_write(part->env, &txn)
				       : txn_begin_read(part->env, &txn);

	if (rc < 0)
		return rc;
	rc = open_databases(part, &txn, is_new(options->mode));
	if (rc == 0)
		rc = stack_store_open(part, &txn, is_new(options->mode));
	if (rc < 0) {
		txn_abort(&txn);
		return rc;
	}
	if (is_new(options->mode)) {
		part->totals = (struct part_totals){ .min_start_unix_ns = UINT64_MAX };
		part_put_record(part, &txn, &part->totals);
		return txn_commit(&txn);
	}
	rc = load(part, &txn);
	if (rc == 0) /* keeps the handles, which an abort would close */
		return txn_commit(&txn);
	txn_abort(&txn);
	return rc;
}

static int open_file(struct part *part, const struct part_options *options)
{
	char *path = part_file_path(options->path, options->file);
	int rc, fd;

	if (!path)
		return -ENOMEM;
	rc = is_new(options->mode) || options->is_fresh ? 0 : file_check(path);
	if (rc == 0)
		rc = open_env(part, options, path);
	if (rc == 0 && mdb_env_get_fd(part->env, &fd) == 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (rc == 0)
		rc = begin(part, options);
	free(path);
	return rc;
}

int part_open(const struct part_options *options, struct part **out_part)
{
	struct part *part = calloc(1, sizeof(*part));
	int rc;

	if (!part)
		return -ENOMEM;
	atomic_init(&part->references, 1);
	part->start_unix_ns = options->start_unix_ns;
	part->seed = options->seed;
	part->next_seq = 1;
	part->is_closed = options->mode == PART_COMPACTED;
	part->path = strdup(options->path);
	rc = young_run_init(&part->young);
	if (rc == 0)
		rc = operations_init(&part->names, options->seed);
	if (rc == 0)
		rc = rollups_init(&part->rollups, options->seed);
	if (rc == 0)
		rc = part->path ? open_file(part, options) : -ENOMEM;
	if (rc < 0) {
		part_release(part);
		return rc;
	}
	part->totals.bytes = part_bytes(part);
	*out_part = part;
	return 0;
}

struct part *part_hold(struct part *part)
{
	atomic_fetch_add(&part->references, 1);
	return part;
}

void part_release(struct part *part)
{
	if (!part || atomic_fetch_sub(&part->references, 1) != 1)
		return;
	if (part->env)
		mdb_env_close(part->env);
	young_run_fini(&part->young);
	operations_fini(&part->names);
	rollups_fini(&part->rollups);
	free(part->path);
	free(part);
}

uint64_t part_bytes(const struct part *part)
{
	MDB_envinfo info;
	MDB_stat stat;

	if (mdb_env_info(part->env, &info) != 0 || mdb_env_stat(part->env, &stat) != 0)
		return 0;
	return (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

int part_block(const struct part *part, const struct txn *txn, uint32_t seq,
	       struct block *out_block)
{
	uint8_t key[KEY_SEQ_BYTES];
	struct str value;
	int rc;

	key_put64(key, seq);
	rc = txn_get(txn, part->blocks, key_str(key, sizeof(key)), &value);
	return rc < 0 ? rc : block_open(value, !part->is_closed, out_block);
}
