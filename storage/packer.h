/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the old blocks of a part -> packed blocks (packed.h), one after the other.
 *
 *   packer_begin, any number of packer_span or packer_ledger, packer_end */
#pragma once

#include "correlate/ledger.h"
#include "otlp/span.h"
#include "storage/block.h"
#include "storage/pack_ledgers.h"
#include "storage/pack_words.h"
#include "storage/summary.h"

/* Where the packer gets a row's ledger when it comes to its trace; `handle` is what it was told.
 * The arrays are allocated in `arena`. */
typedef int packer_fetch(uint64_t handle, struct arena *arena, struct ledger *out_ledger,
			 void *arg);

struct packer {
	uint64_t seed;
	struct coder_packers compressors;
	struct coder coder;
	struct pack_rows_index index;
	struct pack_words words;
	struct pack_lists lists;
	struct stack_numbers stacks; /* of all blocks so far */
	struct buf rows;             /* struct block_span */
	struct buf handles;          /* uint64_t: of the row's ledger; 0: none */
	struct buf messages;         /* struct pack_message */
	struct buf numbers;          /* uint32_t: the arrays of pack_rows */
	struct buf heads;            /* struct ledger, by row; their arrays are gone */
	struct buf members;
	struct arena arena; /* of the trace at hand */
	struct summary_set summaries;
	struct block_header header;
	struct buf block; /* the result */
};

int packer_init(struct packer *packer, uint64_t seed);
void packer_fini(struct packer *packer); /* zeros too */

void packer_begin(struct packer *packer, enum block_kind kind);
/* `span` is what the row says, by the block's own tables; its strings are borrowed until this
 * returns. `handle` 0: it has no ledger. -ENOMEM. */
int packer_span(struct packer *packer, const struct block_span *row, const struct span *span,
		const struct span_resource *resource, const struct span_scope *scope,
		uint64_t handle);
/* A ledger whose span is not here. */
int packer_ledger(struct packer *packer, const struct block_ledger *row, uint64_t handle);
uint32_t packer_rows(const struct packer *packer);
/* The block is in packer->block, what searches need of it in packer->summaries. */
int packer_end(struct packer *packer, uint64_t commit_unix_ns, packer_fetch *fetch, void *arg);
