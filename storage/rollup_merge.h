/* SPDX-License-Identifier: Apache-2.0 */
/* Merges the rollup runs of a part that is over into one run by the minute, and totals of the whole
 * part, a bounded piece at a time. Operations keep their numbers. */
#pragma once

#include "storage/part.h"

struct rollup_merge {
	struct part *from; /* borrowed, as the next */
	const struct txn *reading;
	uint32_t next_minute;
	bool at_end; /* all minutes are written */
	struct rollup_table totals;
	bool has_no_totals; /* they became too large: readers add up the minutes */
};

/* Until rollup_merge_close `from` and the transaction stay. */
void rollup_merge_open(struct rollup_merge *merge, struct part *from, const struct txn *reading);
void rollup_merge_close(struct rollup_merge *merge); /* also of zeros */

/* Writes some; `out_done` says whether that was all. */
int rollup_merge_step(struct rollup_merge *merge, struct txn *txn, MDB_dbi to, bool *out_done);
