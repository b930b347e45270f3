/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a store: found at opening, added by the writer, which also says when one is over;
 * from then on replaced and removed by whoever keeps order. */
#pragma once

#include "storage/store_internal.h"

int part_list_open(struct store *store, struct buf *out_message);
void part_list_close(struct store *store);

/* Makes a part that starts now, or just after the last one should the clock have gone back, and
 * makes it the current one. */
int part_list_begin(struct store *store, uint64_t now_unix_ns);
/* Whether the current part's hour is over, or its share of the bytes used up. Never without it. */
bool part_list_is_over(const struct store *store, uint64_t now_unix_ns);
/* Writes what is young to the part's database: the index's youngest run, and the rollups after
 * rollups_begin_spill, which this ends. */
int part_list_spill(struct part *part, bool with_index, bool with_rollups);
/* The current part takes no more commits. `is_broken`: LMDB will not touch it any more. */
int part_list_end(struct store *store, bool is_broken);
/* Takes `fresh` in place of `old`, of which a reference goes. */
void part_list_replace(struct store *store, struct part *old, struct part *fresh);
/* Removes the oldest part, which is `part`, its files too. */
int part_list_drop_oldest(struct store *store, struct part *part);
