/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that must survive a restart: alert states, what waits for delivery, cursors.
 *
 *   <data>/state/kv.mdb     key -> value, in the order of their bytes
 *
 * For a few thousand entries of a few KiB, written now and then. Any thread; calls exclude each
 * other and may block on the disk. The data folder must be open (store_open): its lock is ours.
 * Failures are negative errno as in storage/store.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define STATE_KV_KEY_BYTES 511 /* longest key */

struct state_kv;

/* Makes the file if there is none. `out_message` gets a sentence for the operator on failure. */
int state_kv_open(const char *data_path, struct state_kv **out_kv, struct buf *out_message);
void state_kv_close(struct state_kv *kv);

/* One durable step: all of them or none. -ENOSPC: the disk or the file is full. */
struct state_kv_change {
	struct str key;
	struct str value;
	bool is_removed; /* the key goes, if it is there */
};

int state_kv_apply(struct state_kv *kv, const struct state_kv_change *changes, size_t count);

/* Visits the keys that begin with `prefix`, in order, until `visit` returns non-zero; that value is
 * then ours. Both strings are borrowed, and nothing of this file may be called meanwhile. */
int state_kv_each(struct state_kv *kv, struct str prefix,
		  int (*visit)(struct str key, struct str value, void *arg), void *arg);
