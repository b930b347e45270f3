/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/trace_merge.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/filter.h"

#define STEP_REFS 50000u /* in one step: some milliseconds */

/* A run being merged, with its foremost entry. */
struct trace_merge_run {
	struct run_reader reader;
	struct trace_ref ref;
	bool at_end;
};

static const uint8_t smallest[KEY_ENTRY_BYTES];

int trace_merge_open(struct trace_merge *merge, const uint32_t *moved, uint64_t moved_count,
		     const struct txn *reading, MDB_dbi from, MDB_dbi to)
{
	uint32_t count = 0;
	int rc = run_count(reading, from, &count);

	*merge = (struct trace_merge){ .moved = moved, .moved_count = moved_count };
	run_writer_init(&merge->writer, &trace_index_packed_runs, to, 0);
	buf_init(&merge->group, 0);
	buf_init(&merge->filter, 0);
	merge->runs = calloc(count + 1, sizeof(*merge->runs));
	if (!merge->runs)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		struct trace_merge_run *run = &merge->runs[merge->run_count++];

		rc = run_reader_open(&run->reader, &trace_index_runs, reading, from, i);
		if (rc == 0)
			rc = run_reader_seek(&run->reader, smallest);
		if (rc == 0)
			rc = run_reader_next(&run->reader, &run->ref);
	}
	return rc == -ENOENT ? -EBADMSG : rc;
}

void trace_merge_close(struct trace_merge *merge)
{
	for (uint32_t i = 0; i < merge->run_count; i++)
		run_reader_close(&merge->runs[i].reader);
	free(merge->runs);
	run_writer_fini(&merge->writer);
	buf_fini(&merge->group);
	buf_fini(&merge->filter);
	*merge = (struct trace_merge){ 0 };
}

static struct trace_merge_run *least(struct trace_merge *merge)
{
	struct trace_merge_run *best = NULL;

	for (uint32_t i = 0; i < merge->run_count; i++) {
		struct trace_merge_run *run = &merge->runs[i];

		if (!run->at_end && (!best || run->ref.hash < best->ref.hash))
			best = run;
	}
	return best;
}

static int compare(const void *a, const void *b)
{
	const struct trace_ref *left = a, *right = b;

	return (left->seq > right->seq) - (left->seq < right->seq);
}

/* Blocks of spans and of ledgers change places when they are packed, so the entries of a hash are
 * sorted anew. Several may have gone into one block: that is named once. */
static int write_group(struct trace_merge *merge, struct txn *txn)
{
	struct trace_ref *refs = (void *)merge->group.data;
	size_t count = merge->group.len / sizeof(*refs);

	if (buf_error(&merge->group) || count == 0)
		return buf_error(&merge->group);
	qsort(refs, count, sizeof(*refs), compare);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || refs[i].seq != refs[i - 1].seq)
			run_writer_add(&merge->writer, txn, &refs[i]);
	}
	merge->hash_count++;
	buf_clear(&merge->group);
	return txn->error;
}

static int add(struct trace_merge *merge, struct txn *txn, struct trace_ref ref)
{
	const struct trace_ref *group = (const void *)merge->group.data;
	struct trace_ref moved = { .hash = trace_index_packed_hash(ref.hash) };
	int rc = 0;

	if (ref.seq >= merge->moved_count)
		return -EBADMSG;
	moved.seq = merge->moved[ref.seq];
	if (!moved.seq) /* ledgers: they are with their spans */
		return 0;
	if (merge->group.len && group->hash != moved.hash)
		rc = write_group(merge, txn);
	buf_append(&merge->group, &moved, sizeof(moved));
	return rc < 0 ? rc : buf_error(&merge->group);
}

int trace_merge_step(struct trace_merge *merge, struct txn *txn, bool *out_done)
{
	struct trace_merge_run *run = least(merge);
	int rc = 0;

	for (uint32_t i = 0; i < STEP_REFS && rc == 0 && run; i++) {
		rc = add(merge, txn, run->ref);
		if (rc < 0)
			return rc;
		rc = run_reader_next(&run->reader, &run->ref);
		run->at_end = rc == -ENOENT;
		rc = run->at_end ? 0 : rc;
		run = least(merge);
	}
	if (rc == 0 && !run)
		rc = write_group(merge, txn);
	run_writer_flush(&merge->writer, txn);
	*out_done = !run;
	return rc < 0 ? rc : txn->error;
}

static int fill_filter(struct trace_merge *merge, struct run_reader *reader)
{
	struct trace_ref ref;
	int rc = run_reader_seek(reader, merge->filter_key);

	for (uint32_t i = 0; i < STEP_REFS && rc == 0; i++) {
		rc = run_reader_next(reader, &ref);
		if (rc == 0)
			filter_add(&merge->filter, trace_index_filter_hash(ref.hash));
	}
	if (rc == 0) /* adding the last one again changes nothing */
		trace_index_packed_runs.key_of(&ref, merge->filter_key);
	return rc;
}

int trace_merge_filter_step(struct trace_merge *merge, struct txn *txn, MDB_dbi about,
			    bool *out_done)
{
	struct run_reader reader;
	int rc;

	if (merge->filter.len == 0)
		filter_init(&merge->filter, merge->hash_count);
	rc = buf_error(&merge->filter);
	if (rc == 0)
		rc = run_reader_open(&reader, &trace_index_packed_runs, txn, merge->writer.dbi, 0);
	if (rc < 0)
		return rc;
	rc = fill_filter(merge, &reader);
	run_reader_close(&reader);
	*out_done = rc == -ENOENT;
	if (rc != -ENOENT)
		return rc;
	filter_seal(&merge->filter);
	txn_put(txn, about, STR("filter"), buf_str(&merge->filter));
	return txn->error;
}
