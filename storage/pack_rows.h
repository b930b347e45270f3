/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a packed block, but for their strings: both ways.
 *
 * Ids stand once: a row names the row before of its trace, and the row of its parent. Times are
 * counted from the row before of the trace, from its start or its end, whichever is nearer. */
#pragma once

#include "collector/base/map.h"
#include "storage/block.h"
#include "storage/coder.h"

struct pack_rows {
	struct block_span *spans; /* `count` of them; reading sets them */
	uint32_t count;
	uint32_t *traces;  /* by row: the number of its trace; traces are numbered as they appear */
	uint32_t *parents; /* by row: its parent's row; BLOCK_NO_ROW: none here */
	uint32_t *before;  /* by row: the one before of its trace; of a new trace, the one before */
	uint32_t *firsts;  /* by number of trace: its first row; room for `count` */
	uint32_t *places;  /* by row: scratch */
	uint32_t trace_count;
};

/* What writing looks rows up by; zeros for reading. */
struct pack_rows_index {
	struct map last_of_trace; /* trace id -> row */
	struct map row_of_span;   /* span id -> row */
};

void pack_rows_index_init(struct pack_rows_index *index, uint64_t seed);
void pack_rows_index_fini(struct pack_rows_index *index);

/* What a search and a look-up by trace go by: ids, times, operation, kind and status. All arrays
 * are the caller's. Writing reads spans and count and sets the others, chains included, but
 * `parents`. -ENOMEM; see coder->error for the rest. */
int pack_rows_code(struct coder *coder, struct pack_rows *rows, struct pack_rows_index *index);
/* The rest of the rows, and `parents`. */
void pack_rows_rest_code(struct coder *coder, struct pack_rows *rows,
			 const struct pack_rows_index *index);
