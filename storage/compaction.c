/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/compaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/operation_index.h"
#include "storage/part_list.h"
#include "storage/rollup_merge.h"
#include "storage/span_block.h"
#include "storage/stack_store.h"
#include "storage/store_errno.h"
#include "storage/trace_merge.h"

#define FRESH_FILE      "closed.new"
#define STEP_BYTES      ((uint64_t)1 << 20) /* of blocks in one step: some ten milliseconds */
#define SUMMARY_BYTES   ((size_t)1 << 20)   /* of one operation run */
#define ZSTD_LEVEL      3
#define MAX_PENDING     256
#define MAP_SLACK_BYTES ((uint64_t)64 << 20)

struct pending {
	uint32_t seq; /* in the old file */
	uint32_t row; /* its first, in the new block */
	struct block block;
	struct span_batch batch; /* of span blocks */
};

enum phase { PHASE_BLOCKS, PHASE_TRACES, PHASE_FILTER, PHASE_ROLLUPS, PHASE_FINISH };

struct compaction {
	struct part *from;  /* a reference */
	struct part *to;    /* owned */
	struct txn reading; /* of `from`, all the time */
	struct txn txn;     /* of `to`, within one step */
	enum phase phase;
	uint64_t next_seq; /* of `from`, to be read */
	uint64_t moved_count;
	struct trace_merge_moved *moved; /* owned: by seq */
	struct block_writer spans, ledgers;
	struct pending span_blocks[MAX_PENDING];
	struct pending ledger_blocks[MAX_PENDING]; /* only seq and row are used */
	size_t span_block_count, ledger_block_count;
	uint64_t span_bytes;
	uint32_t span_rows;
	uint64_t commit_unix_ns; /* of the block read last */
	struct part_totals totals;
	struct buf summaries;
	uint32_t operation_runs;
	struct trace_merge traces;
	struct rollup_merge rollups;
};

static void release_pending(struct pending *pending)
{
	block_close(&pending->block);
	arena_fini(&pending->batch.arena);
}

void compaction_abandon(struct store *store)
{
	struct compaction *work = store->compaction;

	store->compaction = NULL;
	if (!work)
		return;
	for (size_t i = 0; i < work->span_block_count; i++)
		release_pending(&work->span_blocks[i]);
	trace_merge_close(&work->traces);
	rollup_merge_close(&work->rollups);
	txn_abort(&work->txn);
	txn_abort(&work->reading);
	block_writer_fini(&work->spans);
	block_writer_fini(&work->ledgers);
	buf_fini(&work->summaries);
	free(work->moved);
	part_release(work->to);
	part_release(work->from);
	free(work);
}

void compaction_forget(struct store *store, const struct part *part)
{
	if (store->compaction && store->compaction->from == part)
		compaction_abandon(store);
}

static int write_summaries(struct compaction *work)
{
	operation_index_write(&work->txn, work->to->by_operation, work->operation_runs++,
			      (void *)work->summaries.data,
			      work->summaries.len / sizeof(struct summary));
	buf_clear(&work->summaries);
	return work->txn.error;
}

static int put_block(struct compaction *work, struct block_writer *writer)
{
	const struct block_draft *draft = &writer->draft;
	const struct summary *summaries = (const void *)writer->summaries.list.data;
	uint8_t key[KEY_SEQ_BYTES];
	char *room;

	key_put64(key, work->to->next_seq);
	room = txn_append_room(&work->txn, work->to->blocks, key_str(key, sizeof(key)),
			       block_draft_bytes(draft));
	if (!room)
		return work->txn.error;
	block_draft_write(draft, room);
	part_count_block(&work->totals, &(struct block){ .header = &draft->header });
	operations_count(&work->to->names, summaries, draft->header.summary_count);
	for (uint32_t i = 0; i < draft->header.summary_count; i++) {
		struct summary summary = summaries[i];

		summary.seq = (uint32_t)work->to->next_seq;
		buf_append(&work->summaries, &summary, sizeof(summary));
	}
	work->to->next_seq++;
	if (buf_error(&work->summaries))
		return buf_error(&work->summaries);
	return work->summaries.len >= SUMMARY_BYTES ? write_summaries(work) : 0;
}

static void note_moved(struct compaction *work, const struct pending *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		work->moved[blocks[i].seq] =
			(struct trace_merge_moved){ (uint32_t)work->to->next_seq - 1,
						    blocks[i].row };
}

static int flush_spans(struct compaction *work)
{
	const struct span_batch *batches[MAX_PENDING];
	struct operations_book names = { &work->to->names, &work->txn, work->to->operations };
	int rc;

	if (work->span_block_count == 0)
		return 0;
	for (size_t i = 0; i < work->span_block_count; i++)
		batches[i] = &work->span_blocks[i].batch;
	rc = span_block_encode(&work->spans, batches, work->span_block_count, work->commit_unix_ns,
			       &names);
	if (rc == 0)
		rc = put_block(work, &work->spans);
	if (rc < 0)
		return rc;
	note_moved(work, work->span_blocks, work->span_block_count);
	for (size_t i = 0; i < work->span_block_count; i++)
		release_pending(&work->span_blocks[i]);
	work->span_block_count = 0;
	work->span_bytes = work->span_rows = 0;
	return 0;
}

static int flush_ledgers(struct compaction *work)
{
	int rc;

	if (work->ledger_block_count == 0)
		return 0;
	work->ledgers.draft.header.commit_unix_ns = work->commit_unix_ns;
	rc = ledger_block_end(&work->ledgers);
	if (rc == 0)
		rc = put_block(work, &work->ledgers);
	if (rc < 0)
		return rc;
	note_moved(work, work->ledger_blocks, work->ledger_block_count);
	work->ledger_block_count = 0;
	ledger_block_begin(&work->ledgers, work->commit_unix_ns);
	return 0;
}

/* Takes the block. */
static int add_spans(struct compaction *work, uint32_t seq, struct block *block)
{
	const struct block_header *header = block->header;
	struct pending *pending;
	int rc = 0;

	if (work->span_block_count == MAX_PENDING ||
	    work->span_bytes + header->plain_bytes > BLOCK_PACKED_BYTES ||
	    work->span_rows + header->row_count > BLOCK_MAX_ROWS)
		rc = flush_spans(work);
	pending = &work->span_blocks[work->span_block_count];
	if (rc == 0)
		rc = span_block_batch(block, NULL, NULL, &pending->batch);
	if (rc < 0) {
		block_close(block);
		return rc;
	}
	pending->seq = seq;
	pending->row = work->span_rows;
	pending->block = *block;
	work->span_block_count++;
	work->span_bytes += header->plain_bytes;
	work->span_rows += header->row_count;
	return 0;
}

static int add_ledger(struct compaction *work, const struct block *block, uint32_t number)
{
	struct block_ledger row = block->ledgers[number];
	const struct trace_merge_moved *moved;
	struct str detail;
	int rc = 0;

	if (!block_text(block, row.detail, &detail) || row.span_seq >= work->moved_count)
		return -EBADMSG;
	moved = &work->moved[row.span_seq];
	if (row.span_seq && !moved->seq)
		rc = flush_spans(work);
	row.span_row += moved->row;
	row.span_seq = moved->seq;
	return rc < 0 ? rc : ledger_block_add_encoded(&work->ledgers, &row, detail);
}

static int add_ledgers(struct compaction *work, uint32_t seq, const struct block *block)
{
	int rc = 0;

	if (ledger_block_is_full(&work->ledgers) || work->ledger_block_count == MAX_PENDING)
		rc = flush_ledgers(work);
	if (rc < 0)
		return rc;
	work->ledger_blocks[work->ledger_block_count++] =
		(struct pending){ .seq = seq, .row = work->ledgers.draft.header.row_count };
	for (uint32_t i = 0; i < block->header->row_count && rc == 0; i++)
		rc = add_ledger(work, block, i);
	return rc;
}

static int move_block(struct compaction *work, uint32_t seq, uint64_t *bytes)
{
	struct block block;
	int rc = part_block(work->from, &work->reading, seq, &block);

	if (rc == -ENOENT) /* numbers of commits that failed are used again: there are no gaps */
		return -EBADMSG;
	if (rc < 0)
		return rc;
	*bytes += block.header->plain_bytes;
	work->commit_unix_ns = block.header->commit_unix_ns;
	rc = block_load(&block);
	if (rc == 0 && block.spans)
		return add_spans(work, seq, &block);
	if (rc == 0 && block.ledgers)
		rc = add_ledgers(work, seq, &block);
	block_close(&block);
	return rc;
}

static int step_blocks(struct compaction *work)
{
	uint64_t bytes = 0;
	int rc = 0;

	while (rc == 0 && work->next_seq < work->moved_count && bytes < STEP_BYTES)
		rc = move_block(work, (uint32_t)work->next_seq++, &bytes);
	if (rc < 0 || work->next_seq < work->moved_count)
		return rc;
	rc = flush_spans(work);
	if (rc == 0)
		rc = flush_ledgers(work);
	if (rc == 0 && work->summaries.len)
		rc = write_summaries(work);
	if (rc == 0)
		rc = trace_merge_open(&work->traces, work->moved, work->moved_count, &work->reading,
				      work->from->by_trace, work->to->by_trace);
	work->phase = PHASE_TRACES;
	return rc;
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
	part_put_record(work->to, &work->txn, &work->totals);
	rc = txn_commit(&work->txn);
	return rc < 0 ? rc : store_errno(mdb_env_sync(work->to->env, 1));
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

static struct part *next_part(const struct store *store)
{
	for (size_t i = 0; i < store->part_count; i++) {
		struct part *part = store->parts[i];

		if (!part->is_closed && part != store->current && !part->cannot_be_packed &&
		    part->totals.blocks)
			return part;
	}
	return NULL;
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
	struct txn txn;
	int rc;

	if (part->young.count == 0)
		return 0;
	rc = txn_begin_write(part->env, &txn);
	if (rc < 0)
		return rc;
	trace_index_spill(part, &txn);
	rc = txn_commit(&txn);
	if (rc == 0)
		trace_index_spilled(part);
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
	work->next_seq = 1;
	work->moved_count = part->next_seq;
	work->totals.min_start_unix_ns = UINT64_MAX;
	block_writer_init(&work->spans, part->seed, ZSTD_LEVEL);
	block_writer_init(&work->ledgers, part->seed, ZSTD_LEVEL);
	ledger_block_begin(&work->ledgers, 0);
	buf_init(&work->summaries, 0);
	work->moved = calloc((size_t)work->moved_count, sizeof(*work->moved));
	rollup_merge_open(&work->rollups, part, &work->reading);
	rc = work->moved ? open_target(work) : -ENOMEM;
	return rc < 0 ? rc : txn_begin_read(part->env, &work->reading);
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
	int rc = txn_begin_write(work->to->env, &work->txn);
	bool is_merged = false;

	if (rc == 0 && work->next_seq == 1)
		rc = copy_operations(work);
	if (rc == 0 && work->next_seq == 1)
		rc = stack_store_copy(work->from, &work->reading, work->to, &work->txn);
	if (rc < 0)
		return rc;
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
	if (rc == 0)
		rc = txn_commit(&work->txn);
	/* Not for safety: so that the last step does not have to write out everything at once. */
	return rc < 0 ? rc : store_errno(mdb_env_sync(work->to->env, 1));
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
