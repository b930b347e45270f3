/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/repack.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/breath.h"
#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/operation_index.h"
#include "storage/span_block.h"

#define PACKED_ROWS   768u                  /* a packed block has about so many */
#define PACKED_BYTES  ((uint64_t)512 << 10) /* ... or messages of so many bytes */
#define STEP_HEADERS  4096u                 /* in one step of the first pass */
#define STEP_ROWS     4096u                 /* ... of the second */
#define SUMMARY_BYTES ((size_t)1 << 20)     /* of one operation run */

enum pass { PASS_COUNT, PASS_LEDGERS, PASS_SPANS, PASS_DONE };

int repack_open(struct repack *repack, struct part *from, struct part *to)
{
	*repack = (struct repack){
		.from = from,
		.to = to,
		.seq_count = from->next_seq,
		.next_seq = 1,
		.totals = { .min_start_unix_ns = UINT64_MAX },
	};
	buf_init(&repack->summaries, 0);
	repack->firsts = calloc((size_t)from->next_seq + 1, sizeof(*repack->firsts));
	repack->moved = calloc((size_t)from->next_seq + 1, sizeof(*repack->moved));
	return repack->firsts && repack->moved ? packer_init(&repack->packer, from->seed) : -ENOMEM;
}

static void forget_blocks(struct repack *repack)
{
	for (size_t i = 0; i < REPACK_BLOCKS; i++) {
		block_close(&repack->blocks[i].block);
		repack->blocks[i].seq = 0;
	}
}

void repack_close(struct repack *repack)
{
	forget_blocks(repack);
	packer_fini(&repack->packer);
	ledger_map_close(&repack->ledgers);
	buf_fini(&repack->summaries);
	free(repack->firsts);
	free(repack->moved);
	*repack = (struct repack){ 0 };
}

/* Numbers of commits that failed are used again: there are no gaps. */
static int open_old(struct repack *repack, uint64_t seq, struct block *out_block)
{
	int rc = part_block(repack->from, NULL, (uint32_t)seq, out_block);

	if (rc == 0 && out_block->packed) {
		block_close(out_block);
		rc = -EBADMSG;
	}
	return rc == -ENOENT ? -EBADMSG : rc;
}

static int write_summaries(struct repack *repack)
{
	operation_index_write(repack->txn, repack->to->by_operation, repack->operation_runs++,
			      (void *)repack->summaries.data,
			      repack->summaries.len / sizeof(struct summary));
	buf_clear(&repack->summaries);
	return repack->txn->error;
}

static int note_summaries(struct repack *repack)
{
	const struct summary *summaries = (const void *)repack->packer.summaries.list.data;
	size_t count = repack->packer.summaries.list.len / sizeof(*summaries);

	operations_count(&repack->to->names, summaries, count);
	for (size_t i = 0; i < count; i++) {
		struct summary summary = summaries[i];

		summary.seq = (uint32_t)repack->to->next_seq;
		buf_append(&repack->summaries, &summary, sizeof(summary));
	}
	if (buf_error(&repack->summaries))
		return buf_error(&repack->summaries);
	return repack->summaries.len >= SUMMARY_BYTES ? write_summaries(repack) : 0;
}

static void count_block(struct repack *repack)
{
	const struct block_header *header = &repack->packer.header;
	const uint64_t *handles = (const void *)repack->packer.handles.data;
	struct part_totals *totals = &repack->totals;

	totals->blocks++;
	if (header->kind == BLOCK_SPANS)
		totals->spans += header->row_count;
	for (uint32_t i = 0; i < header->row_count; i++)
		totals->ledgers += handles[i] != 0;
	totals->last_commit_unix_ns = MAX(totals->last_commit_unix_ns, header->commit_unix_ns);
	totals->min_start_unix_ns = MIN(totals->min_start_unix_ns, header->min_start_unix_ns);
	totals->max_start_unix_ns = MAX(totals->max_start_unix_ns, header->max_start_unix_ns);
}

/* Where a row of an old block stands, as one number; never 0, for blocks are numbered from 1. */
static uint64_t place_of(uint64_t seq, uint32_t row)
{
	return seq << 32 | row;
}

static int old_ledgers(struct repack *repack, uint32_t seq, struct block **out_block)
{
	struct repack_block *kept = &repack->blocks[seq % REPACK_BLOCKS];
	int rc = 0;

	*out_block = &kept->block;
	if (kept->seq == seq)
		return 0;
	block_close(&kept->block);
	kept->seq = 0;
	rc = open_old(repack, seq, &kept->block);
	if (rc == 0 && !kept->block.ledgers && !kept->block.spans)
		rc = -EBADMSG;
	if (rc == 0 && kept->block.ledgers)
		rc = block_load(&kept->block);
	if (rc == 0)
		kept->seq = seq;
	return rc;
}

static int fetch(uint64_t place, struct arena *arena, struct ledger *out_ledger, void *arg)
{
	struct block *block;
	int rc = old_ledgers(arg, (uint32_t)(place >> 32), &block);

	return rc < 0 ? rc : ledger_block_ledger(block, (uint32_t)place, arena, out_ledger);
}

/* Writes what is in the packer, if anything is. */
static int flush(struct repack *repack)
{
	uint8_t key[KEY_SEQ_BYTES];
	int rc;

	if (packer_rows(&repack->packer) == 0)
		return 0;
	rc = packer_end(&repack->packer, repack->commit_unix_ns, fetch, repack);
	if (rc < 0)
		return rc;
	key_put64(key, repack->to->next_seq);
	txn_append(repack->txn, repack->to->blocks, key_str(key, sizeof(key)),
		   buf_str(&repack->packer.block));
	rc = repack->txn->error;
	if (rc == 0)
		rc = note_summaries(repack);
	if (rc < 0)
		return rc;
	count_block(repack);
	repack->to->next_seq++;
	return 0;
}

static int begin(struct repack *repack, enum block_kind kind)
{
	int rc = flush(repack);

	packer_begin(&repack->packer, kind);
	repack->source_bytes = 0;
	return rc;
}

/* ---- count ---- */

static int count_spans(struct repack *repack)
{
	uint64_t seq = repack->next_seq++, bytes;
	struct block_header header;
	struct str value;
	int rc = part_value(repack->from, NULL, (uint32_t)seq, &value);

	if (rc == 0)
		rc = block_header_read(value, &header, &bytes);
	if (rc < 0)
		return rc == -ENOENT ? -EBADMSG : rc;
	repack->firsts[seq + 1] =
		repack->firsts[seq] + (header.kind == BLOCK_SPANS ? header.row_count : 0);
	return 0;
}

static int step_count(struct repack *repack)
{
	int rc = 0;

	for (unsigned i = 0; i < STEP_HEADERS && rc == 0 && repack->next_seq < repack->seq_count;
	     i++)
		rc = count_spans(repack);
	if (rc < 0 || repack->next_seq < repack->seq_count)
		return rc;
	repack->pass = PASS_LEDGERS;
	repack->next_seq = 1;
	rc = begin(repack, BLOCK_LEDGERS);
	return rc < 0 ? rc
		      : ledger_map_open(&repack->ledgers, repack->from->path,
					repack->firsts[repack->seq_count]);
}

/* ---- ledgers ---- */

/* Later commits come later; see ledger_block_compare. */
static int is_newer(struct repack *repack, const struct block_ledger *row, uint64_t known)
{
	const struct block_ledger *other;
	struct block *block;
	int rc = old_ledgers(repack, (uint32_t)(known >> 32), &block);

	if (rc < 0)
		return rc;
	other = &block->ledgers[(uint32_t)known];
	return ledger_block_compare(row->revision, row->grade, other->revision, other->grade) >= 0;
}

static int note_ledger(struct repack *repack, const struct block_ledger *row, uint64_t seq,
		       uint32_t number)
{
	uint64_t span, *known;
	int newer = 1;

	if (row->span_seq == 0)
		return packer_ledger(&repack->packer, row, place_of(seq, number));
	if (row->span_seq >= repack->seq_count)
		return -EBADMSG;
	span = repack->firsts[row->span_seq] + row->span_row;
	if (span >= repack->firsts[row->span_seq + 1])
		return -EBADMSG;
	known = &repack->ledgers.places[span];
	if (*known)
		newer = is_newer(repack, row, *known);
	if (newer > 0)
		*known = place_of(seq, number);
	return newer < 0 ? newer : 0;
}

static int note_ledgers(struct repack *repack, uint64_t seq, const struct block *block)
{
	uint32_t before = packer_rows(&repack->packer);
	int rc = 0;

	repack->commit_unix_ns = block->header->commit_unix_ns;
	for (uint32_t i = 0; i < block->header->row_count && rc == 0; i++)
		rc = note_ledger(repack, &block->ledgers[i], seq, i);
	if (rc == 0 && packer_rows(&repack->packer) > before)
		repack->moved[seq] = (uint32_t)repack->to->next_seq;
	return rc;
}

static int step_ledgers(struct repack *repack)
{
	uint64_t rows = 0;
	int rc = 0;

	while (rc == 0 && rows < STEP_ROWS && repack->next_seq < repack->seq_count) {
		uint64_t seq = repack->next_seq++;
		struct block block;

		if (packer_rows(&repack->packer) >= PACKED_ROWS)
			rc = begin(repack, BLOCK_LEDGERS);
		if (rc == 0)
			rc = open_old(repack, seq, &block);
		if (rc < 0)
			return rc;
		rows += block.ledgers ? block.header->row_count : 1;
		rc = block.ledgers ? note_ledgers(repack, seq, &block) : 0;
		block_close(&block);
	}
	if (rc < 0 || repack->next_seq < repack->seq_count)
		return rc;
	repack->pass = PASS_SPANS;
	repack->next_seq = 1;
	return begin(repack, BLOCK_SPANS);
}

/* ---- spans ---- */

/* A span that was settled when it was committed has its ledger in its own row, unless a later one
 * came. */
static uint64_t ledger_of(const struct repack *repack, uint64_t seq, const struct block *block,
			  uint32_t row)
{
	uint64_t later = repack->ledgers.places[repack->firsts[seq] + row];

	return later || !block->spans[row].none_cause ? later : place_of(seq, row);
}

static int add_spans(struct repack *repack, uint64_t seq, const struct block *block)
{
	int rc = 0;

	breath_take();
	repack->commit_unix_ns = block->header->commit_unix_ns;
	repack->source_bytes += block->header->plain_bytes;
	for (uint32_t i = 0; i < block->header->row_count && rc == 0; i++) {
		struct span_resource resource;
		struct span_scope scope;
		struct span span;

		rc = span_block_span(block, i, &span, &resource, &scope);
		if (rc == 0)
			rc = packer_span(&repack->packer, &block->spans[i], &span, &resource,
					 &scope, ledger_of(repack, seq, block, i));
	}
	repack->moved[seq] = (uint32_t)repack->to->next_seq;
	return rc;
}

static bool is_full(const struct repack *repack, const struct block *block)
{
	uint32_t rows = packer_rows(&repack->packer);

	return rows && (rows + block->header->row_count > PACKED_ROWS + PACKED_ROWS / 4 ||
			repack->source_bytes + block->header->plain_bytes > PACKED_BYTES);
}

static int add_block(struct repack *repack, uint64_t seq, bool *out_wrote)
{
	struct block block;
	int rc = open_old(repack, seq, &block);

	if (rc < 0)
		return rc;
	if (block.spans && is_full(repack, &block)) {
		rc = begin(repack, BLOCK_SPANS);
		*out_wrote = true;
	}
	if (rc == 0 && block.spans)
		rc = block_load(&block);
	if (rc == 0 && block.spans)
		rc = add_spans(repack, seq, &block);
	block_close(&block);
	return rc;
}

/* One packed block at most. */
static int step_spans(struct repack *repack)
{
	bool wrote = false;
	int rc = 0;

	while (rc == 0 && !wrote && repack->next_seq < repack->seq_count)
		rc = add_block(repack, repack->next_seq++, &wrote);
	if (rc < 0 || repack->next_seq < repack->seq_count)
		return rc;
	rc = flush(repack);
	if (rc == 0 && repack->summaries.len)
		rc = write_summaries(repack);
	stack_numbers_put(&repack->packer.stacks, repack->txn, repack->to->about);
	forget_blocks(repack);
	ledger_map_close(&repack->ledgers);
	repack->pass = PASS_DONE;
	return rc < 0 ? rc : repack->txn->error;
}

int repack_step(struct repack *repack, struct txn *txn, bool *out_done)
{
	int rc;

	repack->txn = txn;
	if (repack->pass == PASS_COUNT)
		rc = step_count(repack);
	else if (repack->pass == PASS_LEDGERS)
		rc = step_ledgers(repack);
	else
		rc = step_spans(repack);
	*out_done = rc == 0 && repack->pass == PASS_DONE;
	return rc;
}
