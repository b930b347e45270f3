/* SPDX-License-Identifier: Apache-2.0 */
/* Trace id -> the rows of that trace, in one part.
 *
 *   commits -> young run (memory) -> sorted runs (disk) -> one run behind a filter (closed part)
 *
 * Nothing is ever inserted in random order. An index entry is (hash of the trace id, block, first
 * row); hashes may collide, so whoever follows an entry compares the row's trace id. */
#pragma once

#include "storage/part.h"

/* Of struct trace_ref. Those of a packed part hold the leading TRACE_INDEX_BITS of a hash and no
 * row: packed_first_of_trace finds it. */
#define TRACE_INDEX_BITS 40
extern const struct run_kind trace_index_runs, trace_index_packed_runs;

uint64_t trace_index_hash(uint64_t seed, const uint8_t *trace_id);
/* What packed runs keep of it, and what of that goes into their filter: bits all over. */
uint64_t trace_index_packed_hash(uint64_t hash);
uint64_t trace_index_filter_hash(uint64_t packed_hash);

/* Before many parts are asked by the next. */
void trace_index_prefetch(const struct part *part, uint64_t hash);
/* 0: the filter of a closed part says that it has no such trace; needs no transaction. 1: look. */
int trace_index_may_have(const struct part *part, uint64_t hash);

/* Appends the struct trace_refs of a trace to `out_refs`, in no order. -ESTALE: the young run was
 * spilled after `txn` began, so that neither holds all: begin again. */
int trace_index_find(struct part *part, const struct txn *txn, uint64_t hash, struct buf *out_refs);

/* Adds the traces of a block to the young run. */
int trace_index_add(struct part *part, uint32_t seq, const struct block *block);

/* Writes the young run within `txn`, which holds all blocks before part->next_seq; when that has
 * been committed, trace_index_spilled empties the run. */
void trace_index_spill(struct part *part, struct txn *txn);
void trace_index_spilled(struct part *part);
/* Through which block the runs on disk go. */
int trace_index_load(struct part *part, const struct txn *txn);
