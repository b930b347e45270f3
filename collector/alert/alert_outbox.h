/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of one target on disk: events in order, each under a number of its own.
 *
 *   outbox/<16 hex: hash of the URL>/<20 digits>  ->  event (alert_event.h)
 *
 * The alert thread adds, the courier reads and removes; the number is the alert thread's. */
#pragma once

#include "collector/alert/alert_batch.h"

#define ALERT_OUTBOX_PREFIX    "outbox/"
#define ALERT_OUTBOX_KEY_BYTES 64

struct alert_outbox {
	char prefix[ALERT_OUTBOX_KEY_BYTES]; /* "outbox/<hash>/" */
	uint64_t next;                       /* number of the next message */
};

/* Finds the place of `url` and what is in it; `out_count` messages. */
int alert_outbox_open(struct alert_outbox *outbox, const char *url, struct state_kv *kv,
		      uint64_t *out_count);
void alert_outbox_add(struct alert_outbox *outbox, struct str event, struct alert_batch *batch);

/* The oldest message and its key; the number of all. -ENOENT: it is empty. */
int alert_outbox_first(const struct alert_outbox *outbox, struct state_kv *kv,
		       char out_key[ALERT_OUTBOX_KEY_BYTES], struct buf *out_event,
		       uint64_t *out_count);
/* As far as it can be read. */
uint64_t alert_outbox_count(const struct alert_outbox *outbox, struct state_kv *kv);
int alert_outbox_remove(struct state_kv *kv, const char *key);

/* Removes the messages of other targets than these. Returns their number, or negative errno. */
int64_t alert_outbox_sweep(const struct alert_outbox *outboxes, unsigned count,
			   struct state_kv *kv);
