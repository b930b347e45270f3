/* SPDX-License-Identifier: Apache-2.0 */
/* Brings messages to Alertmanagers and the webhook: at least once for each change of an alert.
 *
 *   alert thread --batch--> <data>/state/kv.mdb --courier thread--> targets
 *
 * Each target has a queue of its own on disk, worked off in order. A message goes out of it when
 * the target has taken it (2xx) or will never do (4xx, but not 408 and 429); else it is tried again
 * after 1 s, 2 s, 4 s ... 5 minutes. Alertmanagers moreover get all that fires again each
 * `resend_s`, with the same labels and a new end, so that one that lost its memory learns anew.
 *
 * The webhook gets the event as JSON with the headers Idempotency-Key (the event's id),
 * X-Spanwise-Timestamp (Unix seconds) and, when there is a secret, X-Spanwise-Signature:
 * sha256=HEX, the HMAC-SHA256 of "TIMESTAMP.BODY". */
#pragma once

#include "collector/alert/alert_book.h"

#define ALERT_COURIER_MAX_TARGETS 9
#define ALERT_COURIER_MAX_QUEUE                                                                    \
	10000 /* messages for a target; beyond it the oldest are dropped                           \
	       */

struct alert_courier;

struct alert_courier_options {
	const char *alertmanagers; /* URLs, separated by commas */
	const char *webhook;       /* a URL, or empty */
	const char *secret_file;   /* or empty */
	const char *url;           /* what links begin with */
	uint64_t resend_s;
	struct alert_book *book; /* borrowed, as is the next */
	struct state_kv *kv;
};

/* Starts the thread. -EINVAL: a URL that is none; -errno: the secret cannot be read; both are
 * logged. Messages for targets that are no longer configured are dropped, and logged. */
int alert_courier_start(const struct alert_courier_options *options,
			struct alert_courier **out_courier);
/* Ends a request under way. What is queued stays on disk. Accepts NULL. */
void alert_courier_stop(struct alert_courier *courier);

/* Alert thread: adds a message for every target. */
void alert_courier_add(struct alert_courier *courier, const struct alert *alert,
		       struct alert_batch *batch);
/* The batch is on disk. */
void alert_courier_wake(struct alert_courier *courier);

struct alert_courier_stats {
	uint64_t queued;    /* messages that wait now */
	uint64_t delivered; /* since the start, as the next ones */
	uint64_t failed;    /* attempts */
	uint64_t dropped;   /* refused for good, or too many */
	bool is_failing;    /* the last attempt at some target failed */
};

void alert_courier_stats(struct alert_courier *courier, struct alert_courier_stats *out_stats);
