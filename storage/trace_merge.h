/* SPDX-License-Identifier: Apache-2.0 */
/* Merges the trace runs of a part that is over into the one run of its packed form, with a filter,
 * a bounded piece at a time. */
#pragma once

#include "storage/trace_index.h"

struct trace_merge {
	const uint32_t *moved; /* borrowed: by old seq, the new one; 0: nothing of it is found so */
	uint64_t moved_count;
	struct trace_merge_run *runs; /* owned */
	uint32_t run_count;
	struct run_writer writer;
	struct buf group; /* struct trace_ref, of one packed hash, in new numbers */
	uint64_t hash_count;
	struct buf filter;                   /* owned */
	uint8_t filter_key[KEY_ENTRY_BYTES]; /* in it so far: all before */
};

/* `reading` and the database behind it stay until trace_merge_close. */
int trace_merge_open(struct trace_merge *merge, const uint32_t *moved, uint64_t moved_count,
		     const struct txn *reading, MDB_dbi from, MDB_dbi to);
void trace_merge_close(struct trace_merge *merge); /* also of zeros */

/* Writes some; `out_done` says whether that was all. */
int trace_merge_step(struct trace_merge *merge, struct txn *txn, bool *out_done);
/* After the last of these, the same for the filter. */
int trace_merge_filter_step(struct trace_merge *merge, struct txn *txn, MDB_dbi about,
			    bool *out_done);
