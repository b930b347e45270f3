/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/compaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/part_list.h"
#include "storage/repack.h"
#include "storage/rollup_merge.h"
#include "storage/stack_pack.h"
#include "storage/store_errno.h"
#include "storage/trace_merge.h"

#define FRESH_FILE      "closed.new"
#define MAP_SLACK_BYTES ((uint64_t)64 << 20)

enum phase { PHASE_BLOCKS, PHASE_TRACES, PHASE_FILTER, PHASE_ROLLUPS, PHASE_FINISH };

struct compaction {
	struct part *from;  /* a reference */
	struct part *to;    /* owned */
	struct txn reading; /* of `from`, all the time */
	struct txn txn;     /* of `to`, within one step */
	enum phase phase;
	bool has_begun;
	struct repack blocks;
	struct trace_merge traces;
	struct rollup_merge rollups;
};

void compaction_abandon(struct store *store)
{
	struct compaction *work = store->compaction;

	store->compaction = NULL;
	if (!work)
		return;
	repack_close(&work->blocks);
	trace_merge_close(&work->traces);
	rollup_merge_close(&work->rollups);
	txn_abort(&work->txn);
	txn_abort(&work->reading);
	part_release(work->to);
	part_release(work->from);
	free(work);
}

void compaction_forget(struct store *store, const struct part *part)
{
	if (store->compaction && store->compaction->from == part)
		compaction_abandon(store);
}

static int step_blocks(struct compaction *work)
{
	bool is_done;
	int rc = repack_step(&work->blocks, &work->txn, &is_done);

	if (rc < 0 || !is_done)
		return rc;
	work->phase = PHASE_TRACES;
	return trace_merge_open(&work->traces, work->blocks.moved, work->blocks.seq_count,
				&work->reading, work->from->by_trace, work->to->by_trace);
}

static int put_operation_counts(struct compaction *work)
{
	struct part *to = work->to;
	int rc = 0;

	operations_commit(&to->names);
	for (uint32_t id = 1; id <= to->names.known && rc == 0; id++) {
		struct operations_record record;
		struct str value;
		struct buf fresh;
		uint8_t key[4];

		key_put32(key, id);
		buf_init(&fresh, 0);
		rc = txn_get(&work->txn, to->operations, key_str(key, sizeof(key)), &value);
		if (rc == 0)
			rc = operations_parse(value, &record);
		if (rc == 0) {
			record.spans = operations_spans(&to->names, id);
			operations_format(&record, &fresh);
			txn_put(&work->txn, to->operations, key_str(key, sizeof(key)),
				buf_str(&fresh));
			rc = buf_error(&fresh) ? buf_error(&fresh) : work->txn.error;
		}
		buf_fini(&fresh);
	}
	return rc;
}

static int finish_file(struct compaction *work)
{
	int rc = put_operation_counts(work);

	if (rc < 0)
		return rc;
	part_put_record(work->to, &work->txn, &work->blocks.totals);
	rc = txn_commit(&work->txn);
	return rc < 0 ? rc : store_errno(mdb_env_sync(work->to->env->mdb, 1));
}

/* From the rename on, closed.mdb is the part. */
static int swap(struct store *store, struct compaction *work)
{
	struct part *from = work->from, *fresh;
	struct part_options options = {
		.path = from->path,
		.file = PART_CLOSED_FILE,
		.start_unix_ns = from->start_unix_ns,
		.seed = from->seed,
		.mode = PART_COMPACTED,
		.is_fresh = true,
	};
	char *fresh_path = part_file_path(from->path, FRESH_FILE);
	char *path = part_file_path(from->path, PART_CLOSED_FILE);
	int rc = fresh_path && path ? 0 : -ENOMEM;

	if (rc == 0 && rename(fresh_path, path) < 0)
		rc = -errno;
	if (rc == 0)
		rc = folder_sync(from->path);
	if (rc == 0)
		rc = part_open(&options, &fresh);
	if (rc < 0)
		part_remove_file(from->path, PART_CLOSED_FILE);
	if (rc == 0) {
		part_remove_open_files(from->path);
		fresh->is_over = true;
		part_list_replace(store, from, fresh);
	}
	free(fresh_path);
	free(path);
	return rc;
}

static int step_finish(struct store *store)
{
	struct compaction *work = store->compaction;
	int rc = finish_file(work);

	if (rc == 0) {
		part_release(work->to);
		work->to = NULL;
		rc = swap(store, work);
	}
	if (rc == 0)
		compaction_abandon(store); /* nothing is left but the memory */
	return rc;
}

/* Borrowed: while it is in the list, nobody but us removes it. NULL: all are packed. */
static struct part *next_part(struct store *store)
{
	struct part *next = NULL;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->part_count && !next; i++) {
		struct part *part = store->parts[i];

		if (part->is_over && !part->is_closed && !part->cannot_be_packed &&
		    part->totals.blocks)
			next = part;
	}
	pthread_mutex_unlock(&store->lock);
	return next;
}

static int open_target(struct compaction *work)
{
	struct part *from = work->from;
	struct part_options options = {
		.path = from->path,
		.file = FRESH_FILE,
		.start_unix_ns = from->start_unix_ns,
		.seed = from->seed,
		.map_bytes = 2 * from->totals.bytes + MAP_SLACK_BYTES,
		.mode = PART_COMPACT,
	};

	part_remove_file(from->path, FRESH_FILE);
	return part_open(&options, &work->to);
}

/* What could not be spilled when the part ended, for want of room. */
static int spill_rest(struct part *part)
{
	int rc;

	if (part->young.count == 0)
		return 0;
	rc = part_list_spill(part, true, false);
	if (rc == 0)
		young_run_shrink(&part->young);
	return rc;
}

static int start(struct store *store, struct part *part)
{
	struct compaction *work = calloc(1, sizeof(*work));
	int rc = work ? spill_rest(part) : -ENOMEM;

	if (rc < 0) {
		free(work);
		return rc;
	}
	store->compaction = work;
	work->from = part_hold(part);
	rollup_merge_open(&work->rollups, part, &work->reading);
	rc = open_target(work);
	if (rc == 0)
		rc = txn_begin_read(part->env->mdb, &work->reading);
	return rc < 0 ? rc : repack_open(&work->blocks, part, work->to);
}

/* First of all, and in their order: so each keeps its number. */
static int copy_operations(struct compaction *work)
{
	struct operations *operations = &work->to->names;
	struct operations_book names = { operations, &work->txn, work->to->operations };
	struct str key, value;
	struct cursor cursor;
	int rc = cursor_open(&work->reading, work->from->operations, &cursor);

	if (rc < 0)
		return rc;
	for (rc = cursor_first(&cursor, &key, &value); rc == 0;
	     rc = cursor_next(&cursor, &key, &value)) {
		struct operations_record record;
		struct operations_hash service;
		uint32_t id = 0;

		rc = operations_parse(value, &record);
		if (rc < 0)
			break;
		service = operations_service(operations, record.service);
		rc = operations_id(&names, &service, &record, &id);
		if (rc == 0 && (key.len != 4 || key_get32(key.data) != id))
			rc = -EBADMSG;
		if (rc < 0)
			break;
	}
	cursor_close(&cursor);
	return rc == -ENOENT ? 0 : rc;
}

static int step(struct store *store)
{
	struct compaction *work = store->compaction;
	int rc = txn_begin_write(work->to->env->mdb, &work->txn);
	bool is_merged = false;

	if (rc == 0 && !work->has_begun)
		rc = copy_operations(work);
	if (rc == 0 && !work->has_begun)
		rc = stack_pack_copy(work->from, &work->reading, work->to, &work->txn);
	if (rc < 0)
		return rc;
	work->has_begun = true;
	if (work->phase == PHASE_FINISH)
		return step_finish(store);
	if (work->phase == PHASE_BLOCKS)
		rc = step_blocks(work);
	else if (work->phase == PHASE_TRACES)
		rc = trace_merge_step(&work->traces, &work->txn, &is_merged);
	else if (work->phase == PHASE_FILTER)
		rc = trace_merge_filter_step(&work->traces, &work->txn, work->to->about,
					     &is_merged);
	else
		rc = rollup_merge_step(&work->rollups, &work->txn, work->to->rollup, &is_merged);
	if (is_merged)
		work->phase++;
	block_log_forget(&work->from->log);
	if (rc == 0)
		rc = txn_commit(&work->txn);
	/* Not for safety: so that the last step does not have to write out everything at once. */
	return rc < 0 ? rc : store_errno(mdb_env_sync(work->to->env->mdb, 1));
}

int compaction_step(struct store *store)
{
	struct part *part = store->compaction ? store->compaction->from : next_part(store);
	int rc = 0;

	if (!part)
		return 0;
	if (!store->compaction)
		rc = start(store, part);
	if (rc == 0)
		rc = step(store);
	if (rc < 0) {
		part->cannot_be_packed = rc == -EBADMSG;
		if (store->compaction)
			part_remove_file(part->path, FRESH_FILE);
		compaction_abandon(store);
		return rc == STORE_MAP_FULL ? -ENOSPC : rc;
	}
	return store->compaction || next_part(store) ? 1 : 0;
}
