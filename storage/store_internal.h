/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share.
 *
 *   store.c       opening, closing, numbers            commit.c      batches and ledgers in
 *   part_list.c   which parts live                     retention.c   parts out
 *   view.c        a reader's hold on them              compaction.c  parts packed
 *   forget.c      mapped pages given back
 *   trace_view.c  by trace    search.c  by condition   unsettled.c   what a crash left open
 */
#pragma once

#include <pthread.h>

#include "storage/block_writer.h"
#include "storage/folder.h"
#include "storage/part.h"
#include "storage/store.h"

struct compaction;

#define STORE_KNOWN_STACKS 4096 /* a power of two; so many are not asked for each time */

#define STORE_ABSENT_STACKS 1024 /* a power of two */

struct store {
	struct store_options options;
	struct folder folder;
	uint64_t part_limit_bytes; /* a part that has grown to this is over */
	uint64_t map_bytes; /* blocks fill no more of a part's map; indexes have room beyond */

	pthread_mutex_t lock; /* the list, the parts' totals, the numbers */
	struct part **parts;  /* owned, a reference each; oldest first */
	size_t part_count, part_cap;
	struct store_stats stats;
	uint64_t name_commits; /* those that brought stacks, among others */
	struct store_absent {
		uint64_t id, name_commits;
	} absent_stacks[STORE_ABSENT_STACKS]; /* no part had them after so many */

	struct compaction *compaction; /* under way; NULL: none. Whoever keeps order, only */

	/* Writer only. */
	struct part *current; /* takes the commits; the last of the list. NULL: none yet */
	struct block_writer span_writer, ledger_writer;
	uint64_t known_stacks[STORE_KNOWN_STACKS]; /* in the current part, or wanted in vain */
};
