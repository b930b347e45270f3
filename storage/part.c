/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/part.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "storage/block.h"
#include "storage/checksum.h"
#include "storage/file_check.h"
#include "storage/rollups.h"
#include "storage/stack_numbers.h"
#include "storage/store_errno.h"
#include "storage/summary.h"
#include "storage/trace_index.h"

#define MAX_DATABASES 16
#define RECORD_MAGIC  "spanwise part"
#define LOG_MARK      STR("log")
#define MOST_CHECKED  (1u << 20) /* blocks whose checksum is looked at once: 128 KiB of bits */

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

void part_remove_open_files(const char *folder)
{
	part_remove_file(folder, PART_OPEN_FILE);
	part_remove_file(folder, PART_OPEN_FILE "-lock");
	part_remove_file(folder, PART_LOG_FILE);
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
	struct part_env_options env = {
		.path = path,
		.most_databases = MAX_DATABASES,
		.flags = MDB_NOSUBDIR | MDB_NOTLS,
	};
	char *lock_path;

	if (options->mode == PART_READ || options->mode == PART_COMPACTED)
		env.flags |= MDB_RDONLY | MDB_NOLOCK;
	else
		env.map_bytes = options->map_bytes;
	if (options->mode == PART_COMPACT) /* synced when a step is done */
		env.flags |= MDB_NOLOCK | MDB_NOSYNC;
	if (options->mode == PART_WRITE) {
		if (asprintf(&lock_path, "%s-lock", path) < 0)
			return -ENOMEM;
		unlink(lock_path);
		free(lock_path);
	}
	return part_env_open(&env, &part->env);
}

static int open_database(const struct txn *txn, const char *name, bool create, MDB_dbi *out_dbi)
{
	int rc = mdb_dbi_open(txn->mdb, name, create ? MDB_CREATE : 0, out_dbi);

	return rc == MDB_NOTFOUND ? -EBADMSG : store_errno(rc);
}

static int open_databases(struct part *part, const struct txn *txn, bool create)
{
	const struct {
		const char *name;
		MDB_dbi *dbi;
	} list[] = {
		{ "blocks", &part->blocks },
		{ "by_trace", &part->by_trace },
		{ "by_operation", &part->by_operation },
		{ "operations", &part->operations },
		{ "rollup", &part->rollup },
		{ "stacks", &part->stacks },
		{ "frames", &part->frames },
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(list) && rc == 0; i++)
		rc = open_database(txn, list[i].name, create, list[i].dbi);
	return rc;
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

void part_put_mark(const struct part *part, struct txn *txn)
{
	struct block_log_mark mark = block_log_mark(&part->log);

	txn_put(txn, part->about, LOG_MARK, (struct str){ (void *)&mark, sizeof(mark) });
}

static int load_mark(const struct part *part, const struct txn *txn,
		     struct block_log_mark *out_mark)
{
	struct str value;
	int rc = txn_get(txn, part->about, LOG_MARK, &value);

	if (rc < 0 || value.len != sizeof(*out_mark))
		return rc < 0 && rc != -ENOENT ? rc : -EBADMSG;
	memcpy(out_mark, value.data, sizeof(*out_mark));
	return 0;
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
	if (record.version < PART_VERSION)
		return -EPROTOTYPE;
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
	for (uint32_t i = 0; block->spans && !block->packed && i < header->row_count; i++)
		totals->ledgers += block->spans[i].none_cause != 0;
	totals->last_commit_unix_ns = header->commit_unix_ns;
	totals->min_start_unix_ns = MIN(totals->min_start_unix_ns, header->min_start_unix_ns);
	totals->max_start_unix_ns = MAX(totals->max_start_unix_ns, header->max_start_unix_ns);
}

static int load_block(struct part *part, uint32_t seq, const struct block *block)
{
	part_count_block(&part->totals, block);
	operations_count(&part->names, block->summaries, block->header->summary_count);
	operations_commit(&part->names);
	return seq > part->spilled_seq ? trace_index_add(part, seq, block) : 0;
}

/* What a process that died had in memory is made again from the blocks. */
static int load_blocks(struct part *part)
{
	uint32_t seq;
	int rc = 0;

	for (seq = 1; rc == 0; seq++) {
		struct block block;
		struct str value;

		rc = block_log_get(&part->log, seq, &value);
		if (rc == 0)
			rc = block_open(value, false, &block);
		if (rc < 0)
			break;
		rc = load_block(part, seq, &block);
		if (rc == 0)
			rc = rollups_load_block(part, seq, &block);
		block_close(&block);
	}
	part->next_seq = seq;
	return rc == -ENOENT ? 0 : rc;
}

/* Without them each block is checked each time. */
static void make_checked(struct part *part)
{
	size_t bytes = (size_t)MIN(part->totals.blocks, MOST_CHECKED) / 8 + 1;

	part->checked = calloc(bytes, sizeof(*part->checked));
	part->checked_count = part->checked ? 8 * (uint32_t)bytes : 0;
}

static int load(struct part *part, const struct txn *txn)
{
	int rc;

	if (part->is_closed) {
		rc = txn_get(txn, part->about, STR("filter"), &part->filter);
		if (rc == 0 || rc == -ENOENT)
			rc = stack_numbers_load(txn, part->about, &part->stack_ids);
		make_checked(part);
		return rc;
	}
	part->totals = (struct part_totals){ .min_start_unix_ns = UINT64_MAX };
	rc = trace_index_load(part, txn);
	if (rc == 0)
		rc = rollups_load(part, txn);
	if (rc == 0)
		rc = operations_load(&part->names, txn, part->operations);
	if (rc == 0)
		rc = load_blocks(part);
	return rc;
}

static int open_log(struct part *part, const struct part_options *options,
		    const struct block_log_mark *mark)
{
	static const enum block_log_mode modes[] = {
		[PART_CREATE] = BLOCK_LOG_CREATE,
		[PART_WRITE] = BLOCK_LOG_WRITE,
		[PART_READ] = BLOCK_LOG_READ,
	};
	char *path = part_file_path(options->path, PART_LOG_FILE);
	int rc = path ? block_log_open(&part->log, path, modes[options->mode], options->log_bytes,
				       mark)
		      : -ENOMEM;

	free(path);
	return rc == -ENOENT ? -EBADMSG : rc;
}

static int load_open(struct part *part, const struct part_options *options, const struct txn *txn)
{
	struct block_log_mark mark;
	int rc = load_mark(part, txn, &mark);

	return rc < 0 ? rc : open_log(part, options, &mark);
}

static int begin(struct part *part, const struct part_options *options)
{
	struct txn txn;
	int rc = is_new(options->mode) ? txn_begin_write(part->env->mdb, &txn)
				       : txn_begin_read(part->env->mdb, &txn);

	if (rc < 0)
		return rc;
	/* What the part is comes first: one of another version may have other databases. */
	rc = open_database(&txn, "about", is_new(options->mode), &part->about);
	if (rc == 0 && !is_new(options->mode))
		rc = load_record(part, &txn);
	if (rc == 0)
		rc = open_databases(part, &txn, is_new(options->mode));
	if (rc < 0) {
		txn_abort(&txn);
		return rc;
	}
	if (is_new(options->mode)) {
		part->totals = (struct part_totals){ .min_start_unix_ns = UINT64_MAX };
		part_put_record(part, &txn, &part->totals);
		if (options->mode == PART_CREATE)
			part_put_mark(part, &txn);
		return txn_commit(&txn);
	}
	if (!part->is_closed)
		rc = load_open(part, options, &txn);
	if (rc == 0)
		rc = load(part, &txn);
	if (rc == 0) /* keeps the handles, which an abort would close */
		return txn_commit(&txn);
	txn_abort(&txn);
	return rc;
}

static int open_file(struct part *part, const struct part_options *options)
{
	char *path = part_file_path(options->path, options->file);
	int rc;

	if (!path)
		return -ENOMEM;
	rc = is_new(options->mode) || options->is_fresh ? 0 : file_check(path);
	if (rc == 0)
		rc = open_env(part, options, path);
	if (rc == 0 && options->mode == PART_CREATE)
		rc = open_log(part, options, NULL);
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
	block_log_init(&part->log);
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

/* LMDB numbers databases in the order in which they are opened: that is the same here. */
int part_open_again(const struct part *part, struct part_env **out_env)
{
	const struct part_options options = { .mode = PART_READ };
	char *path = part_file_path(part->path, PART_OPEN_FILE);
	struct part again = { 0 };
	struct txn txn;
	int rc = path ? open_env(&again, &options, path) : -ENOMEM;

	free(path);
	if (rc == 0)
		rc = txn_begin_read(again.env->mdb, &txn);
	if (rc == 0) {
		rc = open_database(&txn, "about", false, &again.about);
		if (rc == 0)
			rc = open_databases(&again, &txn, false);
		rc = rc < 0 ? (txn_abort(&txn), rc) : txn_commit(&txn);
	}
	if (rc < 0) {
		part_env_release(again.env);
		return rc;
	}
	assert(again.about == part->about && again.frames == part->frames);
	*out_env = again.env;
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
	part_env_release(part->env);
	block_log_fini(&part->log);
	young_run_fini(&part->young);
	operations_fini(&part->names);
	rollups_fini(&part->rollups);
	free(part->checked);
	free(part->path);
	free(part);
}

uint64_t part_bytes(const struct part *part)
{
	MDB_envinfo info;
	MDB_stat stat;

	if (mdb_env_info(part->env->mdb, &info) != 0 || mdb_env_stat(part->env->mdb, &stat) != 0)
		return 0;
	return (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize + part->log.end;
}

int part_value(struct part *part, const struct txn *txn, uint32_t seq, struct str *out_value)
{
	uint8_t key[KEY_SEQ_BYTES];

	if (!part->is_closed)
		return block_log_get(&part->log, seq, out_value);
	key_put64(key, seq);
	return txn_get(txn, part->blocks, key_str(key, sizeof(key)), out_value);
}

static bool is_checked(const struct part *part, uint32_t seq)
{
	return seq < part->checked_count &&
	       atomic_load_explicit(&part->checked[seq / 8], memory_order_relaxed) & 1u << seq % 8;
}

static void note_checked(struct part *part, uint32_t seq)
{
	if (seq < part->checked_count)
		atomic_fetch_or_explicit(&part->checked[seq / 8], (unsigned char)(1u << seq % 8),
					 memory_order_relaxed);
}

void part_forget_checked(struct part *part)
{
	for (uint32_t i = 0; i < part->checked_count / 8; i++)
		atomic_store_explicit(&part->checked[i], 0, memory_order_relaxed);
}

int part_block(struct part *part, const struct txn *txn, uint32_t seq, struct block *out_block)
{
	struct str value;
	int rc = part_value(part, txn, seq, &value);

	if (rc == 0)
		rc = block_open(value, !part->is_closed || is_checked(part, seq), out_block);
	if (rc == 0 && part->is_closed)
		note_checked(part, seq);
	if (rc == 0)
		out_block->stack_ids = part->stack_ids;
	return rc;
}

int part_pending_block(const struct part *part, uint32_t seq, struct block *out_block)
{
	struct str value;
	int rc = block_log_get_pending(&part->log, seq, &value);

	return rc < 0 ? rc : block_open(value, true, out_block);
}
