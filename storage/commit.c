/* SPDX-License-Identifier: Apache-2.0 */
/* One group of batches and ledgers -> one durable transaction. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/part_list.h"
#include "storage/roll.h"
#include "storage/stack_store.h"
#include "storage/store_errno.h"
#include "storage/trace_index.h"

#define MAX_BATCHES_PER_BLOCK 256

struct commit {
	struct store *store; /* borrowed */
	struct part *part;   /* borrowed: the current one */
	const struct store_group *group;
	uint64_t now_unix_ns;
	struct txn txn;
	struct operations_book names;
	struct span_lookup lookup;
	struct roll roll;
	struct part_totals totals; /* as they will be */
	uint64_t first_seq;        /* what to take back to when it fails */
	uint32_t young_count;
};

static uint64_t mono_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* The draft becomes the next block, and is found from now on: by this commit only, until it is
 * durable. */
static int put_block(struct commit *commit, struct block_draft *draft)
{
	struct part *part = commit->part;
	struct block block;
	struct str value;
	int rc;

	if (part->next_seq > UINT32_MAX)
		return STORE_MAP_FULL;
	rc = block_log_put(&part->log, draft, &value);
	if (rc == 0)
		rc = block_open(value, true, &block);
	if (rc < 0)
		return rc;
	rc = trace_index_add(part, (uint32_t)part->next_seq, &block);
	part_count_block(&commit->totals, &block);
	operations_count(&part->names, block.summaries, block.header->summary_count);
	block_close(&block);
	part->next_seq++;
	return rc;
}

/* As many batches as make a block of a good size. */
static size_t take_batches(const struct store_group *group, size_t *at,
			   struct span_block_part *out_parts)
{
	size_t bytes = 0, rows = 0, count = 0;

	while (*at < group->batch_count && count < MAX_BATCHES_PER_BLOCK) {
		const struct span_batch *batch = group->batches[*at];
		const uint8_t *causes = group->none_causes ? group->none_causes[*at] : NULL;

		if (count && (bytes + batch->body.len > BLOCK_HEAP_BYTES ||
			      rows + batch->span_count > BLOCK_MAX_ROWS))
			break;
		++*at;
		if (batch->span_count == 0) /* all its spans were rejected */
			continue;
		bytes += batch->body.len;
		rows += batch->span_count;
		out_parts[count++] = (struct span_block_part){ batch, causes };
	}
	return count;
}

/* The rows of a block that is about to be put. */
static int roll_settled_rows(struct commit *commit, const struct block_draft *draft)
{
	const struct block_span *rows =
		(const void *)(draft->index.data + sizeof(struct block_header));
	int rc = 0;

	for (uint32_t i = 0; i < draft->header.row_count && rc == 0; i++) {
		if (rows[i].none_cause)
			rc = roll_settled(&commit->roll, &rows[i]);
	}
	return rc;
}

static int put_spans(struct commit *commit)
{
	struct span_block_part parts[MAX_BATCHES_PER_BLOCK];
	struct block_writer *writer = &commit->store->span_writer;
	size_t at = 0, count;
	int rc = 0;

	while (rc == 0 && (count = take_batches(commit->group, &at, parts))) {
		rc = span_block_encode(writer, parts, count, commit->now_unix_ns, &commit->names);
		if (rc == 0)
			rc = roll_settled_rows(commit, &writer->draft);
		if (rc == 0)
			rc = put_block(commit, &writer->draft);
	}
	return rc;
}

static int put_ledger_block(struct commit *commit)
{
	struct block_writer *writer = &commit->store->ledger_writer;
	int rc = ledger_block_end(writer);

	span_lookup_forget(&commit->lookup);
	if (rc == 0)
		rc = put_block(commit, &writer->draft);
	if (rc == 0)
		ledger_block_begin(writer, commit->now_unix_ns);
	return rc;
}

/* What the block at hand holds cannot be looked up yet: a trace that is in it ends it. */
static int begin_trace(struct commit *commit, const uint8_t *trace_id)
{
	int rc = 0;

	if (map_get(&commit->store->ledger_writer.traces, trace_id))
		rc = put_ledger_block(commit);
	roll_trace(&commit->roll);
	return rc < 0 ? rc : span_lookup_trace(&commit->lookup, trace_id);
}

static int put_stack(struct commit *commit, uint64_t id)
{
	const struct store_group *group = commit->group;
	uint64_t *known = &commit->store->known_stacks[id % STORE_KNOWN_STACKS];
	struct buf frames;
	int rc = 0;

	if (id < STACK_FIRST_ID || *known == id || !group->find_stack)
		return 0;
	*known = id;
	if (stack_store_has(commit->part, &commit->txn, id))
		return 0;
	buf_init(&frames, 0);
	if (group->find_stack(id, &frames, group->find_arg) && buf_error(&frames) == 0)
		rc = stack_store_put(commit->part, &commit->txn, id, buf_str(&frames));
	buf_fini(&frames);
	return rc == -EBADMSG ? 0 : rc;
}

static int put_stacks(struct commit *commit, const struct ledger *ledger)
{
	int rc = 0;

	for (unsigned i = 0; i < ledger->wait_count && rc == 0; i++)
		rc = put_stack(commit, ledger->waits[i].stack);
	for (unsigned i = 0; i < ledger->stack_count && rc == 0; i++)
		rc = put_stack(commit, ledger->stacks[i].stack);
	return rc;
}

/* Names that came late. */
static int put_late_stacks(struct commit *commit)
{
	const struct store_group *group = commit->group;
	int rc = 0;

	for (size_t i = 0; i < group->stack_count && rc == 0; i++) {
		rc = stack_store_put(commit->part, &commit->txn, group->stacks[i].id,
				     group->stacks[i].frames);
		rc = rc == -EBADMSG ? 0 : rc;
	}
	return rc;
}

static int put_trace(struct commit *commit, const struct store_ledger_rows *rows)
{
	struct block_writer *writer = &commit->store->ledger_writer;
	int rc = 0;

	for (size_t i = 0; i < rows->count && rc == 0; i++) {
		const struct ledger *ledger = &rows->ledgers[i];
		struct block_ledger row = ledger_block_row(ledger);

		if (i == 0 || memcmp(ledger->trace_id, ledger[-1].trace_id, TRACE_ID_BYTES) != 0)
			rc = begin_trace(commit, ledger->trace_id);
		if (rc < 0)
			return rc;
		span_lookup_complete(&commit->lookup, &row);
		rc = roll_ledger(&commit->roll, &row, ledger);
		if (rc == 0)
			rc = ledger_block_add(writer, &row, ledger);
		if (rc == 0)
			rc = put_stacks(commit, ledger);
		if (rc == 0 && ledger_block_is_full(writer))
			rc = put_ledger_block(commit);
	}
	return rc;
}

static int put_ledgers(struct commit *commit)
{
	struct block_writer *writer = &commit->store->ledger_writer;
	int rc = 0;

	ledger_block_begin(writer, commit->now_unix_ns);
	for (size_t i = 0; i < commit->group->row_count && rc == 0; i++)
		rc = put_trace(commit, &commit->group->rows[i]);
	if (rc == 0 && !ledger_block_is_empty(writer))
		rc = put_ledger_block(commit);
	return rc;
}

/* What the ledgers add to the rollups, as a block of its own. */
static int put_rollups(struct commit *commit)
{
	struct block_draft draft = { .header = { .kind = BLOCK_ROLLUPS,
						 .commit_unix_ns = commit->now_unix_ns,
						 .min_start_unix_ns = UINT64_MAX } };
	struct str heap;
	struct buf value;
	int rc;

	if (!commit->roll.added.cells.count)
		return 0;
	buf_init(&value, 0);
	rollup_table_put_young(&commit->roll.added, &value);
	buf_init(&draft.index, 0);
	buf_append(&draft.index, &draft.header, sizeof(draft.header));
	heap = buf_str(&value);
	draft.heap = &heap;
	draft.heap_count = 1;
	rc = buf_error(&value) ? buf_error(&value) : buf_error(&draft.index);
	block_draft_seal(&draft);
	if (rc == 0)
		rc = put_block(commit, &draft);
	buf_fini(&draft.index);
	buf_fini(&value);
	return rc;
}

/* LMDB says EIO where the disk took only a part of a write. */
static int disk_error(const struct store *store, int rc)
{
	struct statvfs disk;

	if (rc == -EIO && fstatvfs(store->folder.fd, &disk) == 0 &&
	    disk.f_bavail * disk.f_frsize < (1u << 20))
		return -ENOSPC;
	return rc;
}

static int take_back(struct commit *commit, int rc)
{
	int log_rc = block_log_abort(&commit->part->log);

	txn_abort(&commit->txn);
	young_run_truncate(&commit->part->young, commit->young_count);
	operations_abort(&commit->part->names);
	commit->part->next_seq = commit->first_seq;
	memset(commit->store->known_stacks, 0, sizeof(commit->store->known_stacks));
	return log_rc < 0 ? log_rc : rc;
}

/* Names first: the blocks refer to them, and nobody is hurt by names that no block has. */
static int make_durable(struct commit *commit)
{
	struct part *part = commit->part;
	int rc = 0;

	if (commit->txn.is_dirty || commit->txn.error) {
		part_put_mark(part, &commit->txn);
		rc = txn_commit(&commit->txn);
		if (rc == 0)
			operations_keep(&part->names);
	} else {
		txn_abort(&commit->txn);
	}
	return rc < 0 ? rc : block_log_commit(&part->log);
}

static int finish(struct commit *commit)
{
	struct store *store = commit->store;
	uint64_t before_ns = mono_ns(), sync_ns;
	bool has_names = commit->txn.is_dirty;
	int rc = make_durable(commit);

	if (rc < 0)
		return rc;
	sync_ns = mono_ns() - before_ns;
	operations_commit(&commit->part->names);
	rollups_committed(commit->part, &commit->roll.added, commit->now_unix_ns);
	pthread_mutex_lock(&store->lock);
	commit->part->totals = commit->totals;
	commit->part->totals.bytes = part_bytes(commit->part);
	store->name_commits += has_names;
	store->stats.commits++;
	store->stats.sync_ns += sync_ns;
	pthread_mutex_unlock(&store->lock);
	return 0;
}

static int commit_to_current(struct store *store, const struct store_group *group,
			     uint64_t now_unix_ns)
{
	struct part *part = store->current;
	struct commit commit = {
		.store = store,
		.part = part,
		.group = group,
		.now_unix_ns = now_unix_ns,
		.totals = part->totals,
		.first_seq = part->next_seq,
		.young_count = part->young.count,
	};
	int rc = txn_begin_write(part->env->mdb, &commit.txn);

	if (rc < 0)
		return rc;
	commit.names = (struct operations_book){ &part->names, &commit.txn, part->operations };
	span_lookup_init(&commit.lookup, store, &commit.txn);
	roll_init(&commit.roll, &commit.lookup, &commit.names, store->folder.seed);
	rc = put_spans(&commit);
	if (rc == 0)
		rc = put_ledgers(&commit);
	if (rc == 0)
		rc = put_late_stacks(&commit);
	span_lookup_fini(&commit.lookup);
	if (rc == 0)
		rc = put_rollups(&commit);
	if (rc == 0)
		rc = finish(&commit);
	roll_fini(&commit.roll);
	return rc < 0 ? take_back(&commit, rc) : 0;
}

/* A transaction of its own: the index once in some hundred thousand traces, rollups each minute. */
static int spill_if_due(struct store *store, uint64_t now_unix_ns)
{
	struct part *part = store->current;
	bool index_is_due = young_run_bytes(&part->young) >= store->options.index_bytes;
	bool rollups_due = rollups_begin_spill(part, now_unix_ns);
	int rc = 0;

	if (index_is_due || rollups_due)
		rc = part_list_spill(part, index_is_due, rollups_due);
	return rc;
}

static int begin_part(struct store *store, uint64_t now_unix_ns)
{
	memset(store->known_stacks, 0, sizeof(store->known_stacks));
	return part_list_begin(store, now_unix_ns);
}

static int attempt(struct store *store, const struct store_group *group, uint64_t now_unix_ns)
{
	int rc = 0;

	if (store->current && part_list_is_over(store, now_unix_ns))
		rc = part_list_end(store, false);
	if (rc == 0 && !store->current)
		rc = begin_part(store, now_unix_ns);
	if (rc == 0)
		rc = spill_if_due(store, now_unix_ns);
	return rc < 0 ? rc : commit_to_current(store, group, now_unix_ns);
}

static bool has_anything(const struct store_group *group)
{
	bool has = false;

	for (size_t i = 0; i < group->batch_count; i++)
		has = has || group->batches[i]->span_count;
	for (size_t i = 0; i < group->row_count; i++)
		has = has || group->rows[i].count;
	return has || group->stack_count;
}

int store_commit(struct store *store, const struct store_group *group, uint64_t now_unix_ns)
{
	int rc;

	if (store->options.read_only)
		return -EROFS;
	if (!has_anything(group))
		return 0;
	rc = attempt(store, group, now_unix_ns);
	if ((rc == STORE_MAP_FULL || rc == STORE_PANIC) && store->current) {
		int end_rc = part_list_end(store, rc == STORE_PANIC);

		if (end_rc == 0 || end_rc == STORE_MAP_FULL)
			rc = attempt(store, group, now_unix_ns);
	}
	if (rc == STORE_MAP_FULL)
		return -ENOSPC;
	return rc == STORE_PANIC ? -EIO : disk_error(store, rc);
}
