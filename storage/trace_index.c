/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/trace_index.h"

#include <errno.h>
#include <string.h>

#include "collector/base/map.h"
#include "storage/block.h"
#include "storage/filter.h"

#define SPILLED       STR("spilled")
#define ADDED_AT_ONCE 128

static void key_of(const void *entry, uint8_t out_key[KEY_ENTRY_BYTES])
{
	struct trace_ref ref;

	memcpy(&ref, entry, sizeof(ref));
	key_put64(out_key, ref.hash);
	key_put32(out_key + 8, ref.seq);
	key_put32(out_key + 12, ref.row);
}

const struct run_kind trace_index_runs = { sizeof(struct trace_ref), key_of, NULL, NULL };

#define DROPPED_BITS (64 - TRACE_INDEX_BITS)

uint64_t trace_index_packed_hash(uint64_t hash)
{
	return hash >> DROPPED_BITS << DROPPED_BITS;
}

uint64_t trace_index_filter_hash(uint64_t packed_hash)
{
	return (packed_hash ^ packed_hash >> 32) * 0x9e3779b97f4a7c15ull;
}

static void pack(const void *last, const void *entry, struct buf *out)
{
	struct trace_ref before, ref;

	memcpy(&before, last, sizeof(before));
	memcpy(&ref, entry, sizeof(ref));
	wire_put_varint(out, (ref.hash - before.hash) >> DROPPED_BITS);
	wire_put_varint(out, ref.seq);
}

static bool unpack(const void *last, struct wire_reader *reader, void *out_entry)
{
	struct trace_ref before, ref = { 0 };
	uint64_t step, seq;

	memcpy(&before, last, sizeof(before));
	if (!wire_get_varint(reader, &step) || !wire_get_varint(reader, &seq) || seq > UINT32_MAX)
		return false;
	ref.hash = before.hash + (step << DROPPED_BITS);
	ref.seq = (uint32_t)seq;
	memcpy(out_entry, &ref, sizeof(ref));
	return true;
}

const struct run_kind trace_index_packed_runs = { sizeof(struct trace_ref), key_of, pack, unpack };

uint64_t trace_index_hash(uint64_t seed, const uint8_t *trace_id)
{
	return map_hash(trace_id, TRACE_ID_BYTES, seed);
}

static int find_in_run(const struct part *part, const struct txn *txn, const struct run_kind *runs,
		       uint32_t run, uint64_t hash, struct buf *out_refs)
{
	struct trace_ref ref = { .hash = hash };
	uint8_t key[KEY_ENTRY_BYTES];
	struct run_reader reader;
	int rc = run_reader_open(&reader, runs, txn, part->by_trace, run);

	if (rc < 0)
		return rc;
	key_of(&ref, key);
	for (rc = run_reader_seek(&reader, key); rc == 0;) {
		rc = run_reader_next(&reader, &ref);
		if (rc < 0 || ref.hash != hash)
			break;
		buf_append(out_refs, &ref, sizeof(ref));
	}
	run_reader_close(&reader);
	return rc == -ENOENT ? 0 : rc;
}

static int find_packed(const struct part *part, const struct txn *txn, uint64_t packed_hash,
		       struct buf *out_refs)
{
	int rc = find_in_run(part, txn, &trace_index_packed_runs, 0, packed_hash, out_refs);

	return rc < 0 ? rc : buf_error(out_refs);
}

void trace_index_prefetch(const struct part *part, uint64_t hash)
{
	if (part->filter.len)
		filter_prefetch(part->filter,
				trace_index_filter_hash(trace_index_packed_hash(hash)));
}

int trace_index_may_have(const struct part *part, uint64_t hash)
{
	if (!part->is_closed)
		return 1;
	return part->filter.len
		       ? filter_probe(part->filter,
				      trace_index_filter_hash(trace_index_packed_hash(hash)))
		       : 0;
}

int trace_index_find(struct part *part, const struct txn *txn, uint64_t hash, struct buf *out_refs)
{
	uint32_t runs = 0, needed;
	int rc;

	if (part->is_closed)
		return find_packed(part, txn, trace_index_packed_hash(hash), out_refs);
	needed = young_run_find(&part->young, hash, out_refs);
	rc = run_count(txn, part->by_trace, &runs);
	if (rc == 0 && runs < needed) /* spilled after the transaction began */
		return -ESTALE;
	for (uint32_t run = 0; run < runs && rc == 0; run++)
		rc = find_in_run(part, txn, &trace_index_runs, run, hash, out_refs);
	return rc < 0 ? rc : buf_error(out_refs);
}

int trace_index_add(struct part *part, uint32_t seq, const struct block *block)
{
	struct trace_ref refs[ADDED_AT_ONCE];
	size_t count = 0;
	int rc = 0;

	for (uint32_t row = 0; row < block->header->row_count && rc == 0; row++) {
		const uint8_t *id =
			block->spans ? block->spans[row].trace_id : block->ledgers[row].trace_id;
		bool is_first =
			block->spans ? block->spans[row].is_first : block->ledgers[row].is_first;

		if (!is_first)
			continue;
		refs[count++] = (struct trace_ref){ trace_index_hash(part->seed, id), seq, row };
		if (count == ADDED_AT_ONCE) {
			rc = young_run_add(&part->young, refs, count);
			count = 0;
		}
	}
	return rc == 0 && count ? young_run_add(&part->young, refs, count) : rc;
}

void trace_index_spill(struct part *part, struct txn *txn)
{
	uint64_t spilled_seq = part->next_seq - 1;
	struct run_writer writer;
	struct buf sorted;

	buf_init(&sorted, 0);
	young_run_sorted(&part->young, &sorted);
	if (!txn->error)
		txn->error = buf_error(&sorted);
	run_writer_init(&writer, &trace_index_runs, part->by_trace, part->run_count);
	for (size_t at = 0; at < sorted.len && !txn->error; at += sizeof(struct trace_ref))
		run_writer_add(&writer, txn, sorted.data + at);
	run_writer_flush(&writer, txn);
	run_writer_fini(&writer);
	buf_fini(&sorted);
	txn_put(txn, part->about, SPILLED,
		(struct str){ (const char *)&spilled_seq, sizeof(spilled_seq) });
}

void trace_index_spilled(struct part *part)
{
	part->spilled_seq = part->next_seq - 1;
	young_run_restart(&part->young, ++part->run_count);
}

int trace_index_load(struct part *part, const struct txn *txn)
{
	struct str value;
	int rc = run_count(txn, part->by_trace, &part->run_count);

	if (rc < 0)
		return rc;
	young_run_restart(&part->young, part->run_count);
	rc = txn_get(txn, part->about, SPILLED, &value);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0 && value.len != sizeof(part->spilled_seq))
		rc = -EBADMSG;
	if (rc == 0)
		memcpy(&part->spilled_seq, value.data, sizeof(part->spilled_seq));
	return rc;
}
