/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in, on its way through writer and engine; bounded by bytes in flight.
 *
 * One for each network loop; they share a pool. Bytes count from the end of a request's decoding
 * until the correlator has it. At three quarters of the limit the listeners hold their peers back
 * (flow control); at the limit a request is refused and told when to come again. Loop thread,
 * unless a function says otherwise. Batches that are not answered keep the loop alive. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "otlp/span.h"

struct engine;
struct intake;
struct metrics;
struct strangers;
struct ticket;
struct writer;

/* What is in flight, of all intakes together. */
struct intake_pool {
	atomic_size_t limit_bytes;
	atomic_size_t in_flight_bytes;
};

struct intake_options {
	uv_loop_t *loop; /* borrowed, as all pointers */
	struct metrics *metrics;
	struct intake_pool *pool;
	struct strangers *strangers; /* NULL: everything is correlated */
	/* Whether peers are to be held back has changed. */
	void (*on_pressure)(bool hold, void *arg);
	void *arg;
};

int intake_new(const struct intake_options *options, struct intake **out_intake);

/* Where batches go; before the first submit. */
void intake_connect(struct intake *intake, struct writer *writer, struct engine *engine);

/* Closes its handle; memory goes when the loop has run. Nothing may be in flight. Accepts NULL. */
void intake_free(struct intake *intake);

/* What a batch is answered with. */
struct intake_result {
	int error; /* 0: stored; -EBUSY: too much in flight; else why it was not stored */
	const struct span_batch *batch; /* borrowed for the call */
};

struct intake_reply {
	void (*on_result)(const struct intake_result *result, int32_t stream_id, void *arg);
	void *arg;
	int32_t stream_id;
};

/* Takes the batch. on_result is called once, later or before this returns (-EBUSY, -ENOMEM). */
void intake_submit(struct intake *intake, struct span_batch *batch,
		   const struct intake_reply *reply);

/* For the writer and the engine; any thread. The ticket goes back to the intake it came from. */
void intake_on_written(struct ticket *ticket);
void intake_on_fed(struct ticket *ticket);

/* Any thread: written tickets may be collected; bytes came free. */
void intake_on_group(struct intake *intake);
void intake_on_room(struct intake *intake);
