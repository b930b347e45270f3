/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in, on its way through writer and engine; bounded by bytes in flight.
 *
 * Bytes count from the end of a request's decoding until the correlator has it. At three quarters
 * of the limit the listeners hold their peers back (flow control); at the limit a request is
 * refused and told when to come again. Loop thread, unless a function says otherwise. Batches that
 * are not answered keep the loop alive. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "otlp/grpc_session.h"
#include "otlp/span.h"

struct engine;
struct intake;
struct metrics;
struct ticket;
struct writer;

struct intake_options {
	uv_loop_t *loop;         /* borrowed */
	struct metrics *metrics; /* borrowed */
	size_t limit_bytes;
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
	uint32_t spans;
	uint32_t rejected;
	const char *rejected_reason; /* static text; NULL: none */
};

struct intake_reply {
	void (*on_result)(const struct intake_result *result, int32_t stream_id, void *arg);
	void *arg;
	int32_t stream_id;
};

/* Takes the batch. on_result is called once, later or before this returns (-EBUSY, -ENOMEM). */
void intake_submit(struct intake *intake, struct span_batch *batch,
		   const struct intake_reply *reply);

/* Half-received requests of all connections count here; see grpc_session.h. */
struct grpc_budget *intake_budget(struct intake *intake);

/* For writer_options and engine_options: any thread; `arg` is the intake. */
void intake_on_written(struct ticket *ticket, void *arg);
void intake_on_group(void *arg);
void intake_on_fed(struct ticket *ticket, void *arg);

/* Any thread. */
size_t intake_in_flight_bytes(const struct intake *intake);
