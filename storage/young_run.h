/* SPDX-License-Identifier: Apache-2.0 */
/* The youngest run of a part's trace index, in memory: where each trace stands in the blocks that
 * were written last. One writer adds; any thread looks up. */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"

/* The rows of one trace in one block begin at `row` and are chained from there. */
struct trace_ref {
	uint64_t hash; /* of the trace id */
	uint32_t seq;
	uint32_t row;
};

struct young_run {
	pthread_rwlock_t lock;
	struct young_entry **blocks; /* owned, as what they are; in order of appearance */
	uint32_t *heads;             /* owned: hash -> its newest entry + 1 */
	uint32_t count, block_count;
	uint32_t head_count;  /* power of two */
	uint32_t runs_before; /* sorted runs on disk that hold what was here earlier */
};

int young_run_init(struct young_run *run);
void young_run_fini(struct young_run *run);

/* -ENOMEM. What is added may be taken back: all but the first `count`. */
int young_run_add(struct young_run *run, const struct trace_ref *refs, size_t ref_count);
void young_run_truncate(struct young_run *run, uint32_t count);
/* All is on disk now, which holds `runs` runs: begins anew. */
void young_run_restart(struct young_run *run, uint32_t runs);
/* Gives back the memory of an empty run to which nothing will be added. */
void young_run_shrink(struct young_run *run);
size_t young_run_bytes(struct young_run *run);

/* Appends the struct trace_refs of one hash to `out`, newest first. Returns how many runs on disk
 * the caller's transaction must see to have the rest. */
uint32_t young_run_find(struct young_run *run, uint64_t hash, struct buf *out);
/* Appends all, sorted by hash, seq and row. Writer only. */
void young_run_sorted(const struct young_run *run, struct buf *out);
