/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/intake.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/engine.h"
#include "collector/metrics.h"
#include "collector/queue.h"
#include "collector/strangers.h"
#include "collector/ticket.h"
#include "collector/wake.h"
#include "collector/writer.h"
#include "otlp/otlp_decode.h"

#define MOST_FED_BYTES ((size_t)1 << 20) /* that wait to be freed */

struct intake {
	struct intake_options options;
	struct writer *writer; /* borrowed */
	struct engine *engine; /* borrowed */
	struct wake wake;      /* tickets were written, or bytes came free */
	size_t unanswered;
	bool holds;
	atomic_bool is_pressed; /* what `holds` is, for the engine thread */

	pthread_mutex_t lock; /* of all below */
	struct queue written;
	struct queue fed; /* to be freed where their memory came from: allocators like that */
	size_t fed_bytes;
};

static size_t limit_bytes(const struct intake *intake)
{
	return atomic_load_explicit(&intake->options.pool->limit_bytes, memory_order_relaxed);
}

/* Holds at three quarters, lets go below half: so that it does not flutter. */
static void weigh(struct intake *intake)
{
	size_t bytes = atomic_load(&intake->options.pool->in_flight_bytes);
	bool hold = bytes > (intake->holds ? limit_bytes(intake) / 2 : limit_bytes(intake) / 4 * 3);

	if (hold == intake->holds)
		return;
	intake->holds = hold;
	atomic_store(&intake->is_pressed, hold);
	if (hold)
		metrics_add(intake->options.metrics, METRIC_READ_PAUSES, 1);
	intake->options.on_pressure(hold, intake->options.arg);
	/* The engine may have freed everything before it could see that we wait for it. */
	if (hold)
		wake_send(&intake->wake);
}

static void free_ticket(struct ticket *ticket)
{
	otlp_batch_free(ticket->batch);
	free(ticket);
}

static void free_all(struct queue *tickets)
{
	struct queue_link *link;

	while ((link = queue_pop(tickets)))
		free_ticket(CONTAINER_OF(link, struct ticket, link));
}

static void leave_flight(struct intake *intake, const struct ticket *ticket)
{
	atomic_fetch_sub(&intake->options.pool->in_flight_bytes, ticket->bytes);
}

static void answer(const struct intake_reply *reply, const struct span_batch *batch, int error)
{
	struct intake_result result = { .error = error, .batch = batch };

	reply->on_result(&result, reply->stream_id, reply->arg);
}

/* What is stored goes to `stored`. */
static void finish(struct intake *intake, struct ticket *ticket, struct queue *stored)
{
	if (--intake->unanswered == 0)
		wake_hold_loop(&intake->wake, false);
	answer(&ticket->reply, ticket->batch, ticket->result);
	if (ticket->result == 0) {
		queue_push(stored, &ticket->link);
		return;
	}
	leave_flight(intake, ticket);
	free_ticket(ticket);
}

static void on_wake(struct wake *wake)
{
	struct intake *intake = CONTAINER_OF(wake, struct intake, wake);
	struct queue written, fed, stored = { 0 };
	struct queue_link *link;

	pthread_mutex_lock(&intake->lock);
	written = queue_take(&intake->written);
	fed = queue_take(&intake->fed);
	intake->fed_bytes = 0;
	pthread_mutex_unlock(&intake->lock);
	free_all(&fed);
	while ((link = queue_pop(&written)))
		finish(intake, CONTAINER_OF(link, struct ticket, link), &stored);
	if (stored.first)
		engine_spans(intake->engine, stored);
	weigh(intake);
}

int intake_new(const struct intake_options *options, struct intake **out_intake)
{
	struct intake *intake = calloc(1, sizeof(*intake));
	int rc;

	if (!intake)
		return -ENOMEM;
	intake->options = *options;
	rc = wake_init(&intake->wake, options->loop, on_wake);
	if (rc < 0) {
		free(intake);
		return rc;
	}
	wake_hold_loop(&intake->wake, false);
	pthread_mutex_init(&intake->lock, NULL);
	*out_intake = intake;
	return 0;
}

void intake_connect(struct intake *intake, struct writer *writer, struct engine *engine)
{
	intake->writer = writer;
	intake->engine = engine;
}

static void on_closed(struct wake *wake)
{
	struct intake *intake = CONTAINER_OF(wake, struct intake, wake);

	assert(!intake->written.first);
	free_all(&intake->fed);
	pthread_mutex_destroy(&intake->lock);
	free(intake);
}

void intake_free(struct intake *intake)
{
	if (intake)
		wake_close(&intake->wake, on_closed);
}

/* One batch alone is always let in: a request within the limits must pass sooner or later. */
static bool fits(const struct intake *intake, size_t bytes)
{
	size_t in_flight = atomic_load(&intake->options.pool->in_flight_bytes);

	return in_flight == 0 || in_flight + bytes <= limit_bytes(intake);
}

void intake_submit(struct intake *intake, struct span_batch *batch,
		   const struct intake_reply *reply)
{
	size_t bytes = sizeof(struct ticket) + otlp_batch_bytes(batch);
	struct ticket *ticket = NULL;
	int error = -EBUSY;

	if (fits(intake, bytes)) {
		ticket = calloc(1, sizeof(*ticket));
		error = -ENOMEM;
	}
	if (!ticket) {
		answer(reply, batch, error);
		otlp_batch_free(batch);
		return;
	}
	*ticket = (struct ticket){
		.intake = intake, .batch = batch, .bytes = bytes, .reply = *reply
	};
	if (intake->options.strangers)
		ticket->none_causes =
			strangers_judge(intake->options.strangers, batch, clock_mono_ns());
	atomic_fetch_add(&intake->options.pool->in_flight_bytes, bytes);
	if (intake->unanswered++ == 0)
		wake_hold_loop(&intake->wake, true);
	weigh(intake);
	writer_batch(intake->writer, ticket);
}

void intake_on_written(struct ticket *ticket)
{
	struct intake *intake = ticket->intake;

	pthread_mutex_lock(&intake->lock);
	queue_push(&intake->written, &ticket->link);
	pthread_mutex_unlock(&intake->lock);
}

void intake_on_group(struct intake *intake)
{
	wake_send(&intake->wake);
}

/* Freed with the next answers, or when there is much. */
void intake_on_fed(struct ticket *ticket)
{
	struct intake *intake = ticket->intake;
	bool is_much;

	leave_flight(intake, ticket);
	pthread_mutex_lock(&intake->lock);
	queue_push(&intake->fed, &ticket->link);
	intake->fed_bytes += ticket->bytes;
	is_much = intake->fed_bytes >= MOST_FED_BYTES &&
		  intake->fed_bytes - ticket->bytes < MOST_FED_BYTES;
	pthread_mutex_unlock(&intake->lock);
	if (is_much)
		wake_send(&intake->wake);
}

void intake_on_room(struct intake *intake)
{
	if (atomic_load(&intake->is_pressed))
		wake_send(&intake->wake);
}
