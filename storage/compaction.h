/* SPDX-License-Identifier: Apache-2.0 */
/* Packs a part that is over, a bounded piece at a time, off the path of the commits.
 *
 *   blocks merged and zstd -> one trace run behind a filter -> operation runs -> sync, rename
 *
 * Until the last step open.mdb is the part; a crash before it costs nothing but the work. */
#pragma once

#include "storage/store_internal.h"

/* 1: a piece was done and there is more; 0: nothing to do. */
int compaction_step(struct store *store);
/* Drops what is half done. */
void compaction_abandon(struct store *store);
/* The part is about to be dropped. */
void compaction_forget(struct store *store, const struct part *part);
