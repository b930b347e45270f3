/* SPDX-License-Identifier: Apache-2.0 */
/* Sends everything that was received on to another OTLP endpoint (gRPC or HTTP), unchanged.
 *
 * A thread of its own reads the store behind a cursor: the disk is the queue, so receiving never
 * waits for it, and what retention drops before it was sent is lost to the other side, and counted.
 * At least once: after a crash up to a second's spans are sent again. */
#pragma once

#include <stdint.h>

struct config;
struct forward;
struct metrics;
struct store;

struct forward_options {             /* all borrowed */
	const struct config *config; /* forward, forward_* and data */
	struct store *store;
	struct metrics *metrics;
};

/* What failed has been logged. */
int forward_start(const struct forward_options *options, struct forward **out_forward);

/* Ends a request that is under way, notes the cursor, frees. Accepts NULL. */
void forward_stop(struct forward *forward);

/* How many spans wait to be sent; any thread. 0 for NULL. */
uint64_t forward_behind(struct forward *forward);
