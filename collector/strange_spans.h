/* SPDX-License-Identifier: Apache-2.0 */
/* Batches with spans that were settled by being stored, while some process publishes: is it true
 * that nobody who publishes made them?
 *
 * A thread that carried a span has shown so, at a switch or a tick, soon after the span's end. So a
 * batch is kept until the kernel has told of that time; then spans whose trace was seen on a
 * thread, or whose resource turns out to be of a process that publishes, are correlated after all:
 * their ledgers replace what was stored. The others are only counted. What is watched is correlated
 * at once, and looked at as late. Engine thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/queue.h"
#include "collector/strangers.h"
#include "collector/ticket.h"
#include "correlate/correlator.h"

struct strange_spans {
	struct strangers *strangers;   /* borrowed */
	struct correlator *correlator; /* borrowed */
	struct queue held;             /* of tickets */
	/* Correlates; only counts; is done with the batch. */
	void (*on_spans)(const struct span_batch *batch, void *arg);
	void (*on_settled)(const struct span_batch *batch, const uint8_t *none_causes, void *arg);
	void (*on_done)(struct ticket *ticket, void *arg);
	void *arg;
};

/* Takes a ticket with causes. What needs no waiting is correlated at once. `mono_ns`, `real_ns`:
 * the clocks now. */
void strange_spans_take(struct strange_spans *spans, struct ticket *ticket, uint64_t mono_ns,
			uint64_t real_ns);
/* The kernel has told all up to `drained_ns`; UINT64_MAX: there will be no more. */
void strange_spans_release(struct strange_spans *spans, uint64_t drained_ns);
