/* SPDX-License-Identifier: Apache-2.0 */
/* One receiver of alerts: its address, what is queued for it, and when to try again. The courier
 * thread's. */
#pragma once

#include <stdbool.h>

#include "collector/alert/alert_outbox.h"

#define ALERT_TARGET_URL_BYTES 1100

struct http_client;

struct alert_target {
	char url[ALERT_TARGET_URL_BYTES];
	bool is_alertmanager; /* else the webhook */
	struct buf secret;    /* empty: nothing is signed */
	struct alert_outbox outbox;
	unsigned failures;  /* in a row */
	uint64_t retry_ns;  /* monotonic: not before */
	uint64_t resend_ns; /* monotonic: all that fires is sent again */
};

/* `base`: of an Alertmanager the address, of the webhook all of it. -EINVAL: no URL; or why the
 * secret cannot be read. Both are logged. */
int alert_target_init(struct alert_target *target, struct str base, bool is_alertmanager,
		      const char *secret_file);
void alert_target_fini(struct alert_target *target);

enum alert_target_result {
	TARGET_TOOK,
	TARGET_LATER,   /* failures and retry_ns say when */
	TARGET_REFUSED, /* for good */
};

/* Blocks for at most 10 s. `event`: whose id is named; empty: several. Logs failures. */
enum alert_target_result alert_target_send(struct alert_target *target, struct http_client *client,
					   struct str body, struct str event);
