/* SPDX-License-Identifier: Apache-2.0 */
/* The rollup cells of a packed part: those of some minutes in one value, each stream of their bytes
 * (correlate/rollup.h) compressed for itself.
 *
 *   for each column: varint plain bytes, varint packed bytes (0: as it is)
 *   then the columns: of each cell its key and how much it has of each stream; the streams */
#pragma once

#include "storage/rollup_table.h"

/* Writes all cells. They are of minutes with the same rollup_group(). A value's key has the table's
 * first minute and, in place of an operation, which one of some values it is. */
void rollup_pack_write(const struct rollup_table *table, struct txn *txn, MDB_dbi dbi,
		       enum rollup_level level);
/* Each cell of such a value; `visit` returns non-zero to end it. -EBADMSG, -ENOMEM. */
int rollup_pack_each(const struct rollup_entry *entry,
		     int (*visit)(const struct rollup_entry *entry, void *arg), void *arg);
