/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/operation_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIME_BITS  20 /* of a start, that are not kept: about a millisecond */
#define RATIO_BITS 48 /* of a ratio's rank */
#define BOUND_BITS 7  /* of another bound, that are */

static void put_key(const struct summary *summary, uint8_t out_key[KEY_ENTRY_BYTES])
{
	memset(out_key, 0, KEY_ENTRY_BYTES);
	key_put32(out_key, summary->operation);
	key_put32(out_key + 4, summary->seq);
}

static void key_of(const void *entry, uint8_t out_key[KEY_ENTRY_BYTES])
{
	struct summary summary;

	memcpy(&summary, entry, sizeof(summary));
	put_key(&summary, out_key);
}

/* Rounded up: the leading bits, and how many follow. */
static uint64_t pack_bound(uint64_t bound)
{
	unsigned bits = bound ? 64 - (unsigned)__builtin_clzll(bound) : 0;
	unsigned shift = bits > BOUND_BITS ? bits - BOUND_BITS : 0;
	uint64_t lead = bound >> shift;

	return (lead + (lead << shift != bound)) | (uint64_t)shift << (BOUND_BITS + 1);
}

static uint64_t unpack_bound(uint64_t packed)
{
	uint64_t lead = packed & ((2u << BOUND_BITS) - 1);
	unsigned shift = (unsigned)(packed >> (BOUND_BITS + 1)) & 63;

	return lead > UINT64_MAX >> shift ? UINT64_MAX : lead << shift;
}

static uint64_t pack_ratio(uint64_t rank)
{
	return rank ? (rank >> RATIO_BITS) + 1 : 0;
}

static uint64_t unpack_ratio(uint64_t packed)
{
	return packed ? (packed - 1) << RATIO_BITS | ((1ull << RATIO_BITS) - 1) : 0;
}

static void pack(const void *last, const void *entry, struct buf *out)
{
	struct summary before, summary;
	uint64_t start, last_start, end;

	memcpy(&before, last, sizeof(before));
	memcpy(&summary, entry, sizeof(summary));
	start = summary.min_start_unix_ns >> TIME_BITS;
	last_start = before.min_start_unix_ns >> TIME_BITS;
	end = summary.max_start_unix_ns >> TIME_BITS;
	wire_put_varint(out, summary.operation - before.operation);
	wire_put_varint(out, wire_zigzag((int64_t)summary.seq - before.seq));
	wire_put_varint(out, wire_zigzag((int64_t)(start - last_start)));
	wire_put_varint(out, end - start);
	wire_put_varint(out, summary.count);
	wire_put_varint(out, pack_bound(summary.max_wall_ns));
	wire_put_varint(out, pack_bound(summary.max_blocked_rank));
	wire_put_varint(out, pack_ratio(summary.max_ratio_rank));
	wire_put_varint(out, summary.reasons);
	buf_append_byte(out, summary.grades);
	buf_append_byte(out, summary.statuses);
	buf_append_byte(out, summary.kinds);
	buf_append_byte(out, summary.block_kind);
}

enum number { OPERATION, SEQ, START, LENGTH, COUNT, WALL, BLOCKED, RATIO, REASONS, NUMBERS };

static bool unpack(const void *last, struct wire_reader *reader, void *out_entry)
{
	uint64_t numbers[NUMBERS], start;
	struct summary before, summary = { 0 };

	memcpy(&before, last, sizeof(before));
	for (unsigned i = 0; i < NUMBERS; i++) {
		if (!wire_get_varint(reader, &numbers[i]))
			return false;
	}
	if (reader->end - reader->at < 4 || numbers[COUNT] > UINT32_MAX ||
	    numbers[REASONS] > UINT16_MAX)
		return false;
	start = (before.min_start_unix_ns >> TIME_BITS) + (uint64_t)wire_unzigzag(numbers[START]);
	summary.operation = before.operation + (uint32_t)numbers[OPERATION];
	summary.seq = before.seq + (uint32_t)wire_unzigzag(numbers[SEQ]);
	summary.count = (uint32_t)numbers[COUNT];
	summary.min_start_unix_ns = start << TIME_BITS;
	summary.max_start_unix_ns =
		(start + numbers[LENGTH]) << TIME_BITS | ((1u << TIME_BITS) - 1);
	summary.max_wall_ns = unpack_bound(numbers[WALL]);
	summary.max_blocked_rank = unpack_bound(numbers[BLOCKED]);
	summary.max_ratio_rank = unpack_ratio(numbers[RATIO]);
	summary.reasons = (uint16_t)numbers[REASONS];
	summary.grades = (uint8_t)*reader->at++;
	summary.statuses = (uint8_t)*reader->at++;
	summary.kinds = (uint8_t)*reader->at++;
	summary.block_kind = (uint8_t)*reader->at++;
	memcpy(out_entry, &summary, sizeof(summary));
	return true;
}

const struct run_kind operation_index_runs = { sizeof(struct summary), key_of, pack, unpack };

_Static_assert(sizeof(struct summary) <= RUN_ENTRY_BYTES, "an entry");

static int compare(const void *a, const void *b)
{
	const struct summary *left = a, *right = b;

	if (left->operation != right->operation)
		return left->operation < right->operation ? -1 : 1;
	return (left->seq > right->seq) - (left->seq < right->seq);
}

void operation_index_write(struct txn *txn, MDB_dbi dbi, uint32_t run, struct summary *summaries,
			   size_t count)
{
	struct run_writer writer;

	if (count)
		qsort(summaries, count, sizeof(*summaries), compare);
	run_writer_init(&writer, &operation_index_runs, dbi, run);
	for (size_t i = 0; i < count && !txn->error; i++)
		run_writer_add(&writer, txn, &summaries[i]);
	run_writer_flush(&writer, txn);
	run_writer_fini(&writer);
}

static int each_of_run(struct run_reader *reader, uint32_t operation,
		       int (*visit)(const struct summary *summary, void *arg), void *arg)
{
	struct summary summary = { .operation = operation };
	uint8_t key[KEY_ENTRY_BYTES];
	int rc;

	put_key(&summary, key);
	for (rc = run_reader_seek(reader, key); rc == 0;) {
		rc = run_reader_next(reader, &summary);
		if (rc < 0 || summary.operation != operation)
			break;
		rc = visit(&summary, arg);
	}
	return rc == -ENOENT ? 0 : rc;
}

int operation_index_each(const struct part *part, const struct txn *txn, uint32_t operation,
			 int (*visit)(const struct summary *summary, void *arg), void *arg)
{
	uint32_t runs = 0;
	int rc = run_count(txn, part->by_operation, &runs);

	for (uint32_t run = 0; run < runs && rc == 0; run++) {
		struct run_reader reader;

		rc = run_reader_open(&reader, &operation_index_runs, txn, part->by_operation, run);
		if (rc == 0)
			rc = each_of_run(&reader, operation, visit, arg);
		run_reader_close(&reader);
	}
	return rc;
}
