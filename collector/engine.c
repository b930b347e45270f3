/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/engine.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/breath.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/config.h"
#include "collector/kernel_feed.h"
#include "collector/log.h"
#include "collector/memory_plan.h"
#include "collector/metrics_operations.h"
#include "collector/notes.h"
#include "collector/peeks.h"
#include "collector/queue.h"
#include "collector/strange_spans.h"
#include "collector/strangers.h"
#include "collector/tap.h"
#include "collector/ticket.h"
#include "storage/store.h"

#define DRAIN_EVERY_NS   (20 * NS_PER_MS)
#define FLUSH_EVERY_NS   NS_PER_SEC
#define PUBLISH_EVERY_NS (250 * NS_PER_MS)
#define MAX_TRACE_SPANS  10000

struct engine {
	struct engine_options options;
	pthread_t thread;

	pthread_mutex_t lock; /* all down to the blank line */
	pthread_cond_t news;
	struct queue tickets;
	struct queue notes;
	struct peeks peeks;
	bool is_stopping;
	struct engine_snapshot published;
	const struct ring *ring; /* the feed's, while it has one: whether the engine lags is for
				  * others to see */

	pthread_mutex_t services_lock;
	struct services *services;

	atomic_size_t limit_bytes; /* what the correlator is to take */

	struct tap tap; /* engine thread only, from here on */
	size_t told_limit_bytes;
	struct kernel_feed feed;
	struct strange_spans strange;
	uint64_t real_offset_ns; /* of the last reading: Unix less CLOCK_MONOTONIC */
	uint64_t next_flush_ns;
	uint64_t next_publish_ns;
	uint64_t clock_pairs;
	uint64_t ledgers_lost;
	uint64_t settled_at_once; /* spans of batches that were settled by being stored */
	bool is_loaded;
};

static void on_ledgers(const struct ledger *ledgers, size_t count, void *arg)
{
	struct engine *engine = arg;

	pthread_mutex_lock(&engine->services_lock);
	for (size_t i = 0; i < count; i++)
		services_on_ledger(engine->services, &ledgers[i]);
	pthread_mutex_unlock(&engine->services_lock);
	if (engine->options.on_ledgers(ledgers, count, engine->options.arg))
		return;
	engine->ledgers_lost += count;
	LOG_LIMITED(LOG_WARNING, "engine: ledgers are lost: the disk does not keep up");
}

static void feed_batch(struct engine *engine, const struct span_batch *batch)
{
	pthread_mutex_lock(&engine->services_lock);
	services_on_batch(engine->services, batch);
	pthread_mutex_unlock(&engine->services_lock);
	tap_spans(&engine->tap, batch);
}

static int on_unsettled(const struct span_batch *batch, void *arg)
{
	feed_batch(arg, batch);
	return 0;
}

static void publish(struct engine *engine, uint64_t now_ns)
{
	struct engine_snapshot now = {
		.kernel = engine->feed.state == FEED_ATTACHED,
		.features = engine->feed.features,
		.restarts = engine->feed.restarts,
		.clock_pairs = engine->clock_pairs,
		.advanced_mono_ns = engine->feed.drained_ns,
		.ledgers_lost = engine->ledgers_lost,
		.services_bytes = services_bytes(engine->services),
	};

	if (now_ns < engine->next_publish_ns)
		return;
	engine->next_publish_ns = now_ns + PUBLISH_EVERY_NS;
	kernel_feed_counters(&engine->feed, &now.kernel_counters, &now.ring_malformed);
	if (engine->feed.ring)
		now.ring_bytes = engine->feed.ring_bytes;
	if (engine->tap.writer)
		now.record_bytes = record_bytes(engine->tap.writer);
	correlator_stats(engine->tap.correlator, &now.correlator);
	now.correlator.spans += engine->settled_at_once;
	now.correlator.ledgers[GRADE_NONE] += engine->settled_at_once;
	pthread_mutex_lock(&engine->lock);
	engine->published = now;
	engine->ring = engine->feed.ring;
	pthread_mutex_unlock(&engine->lock);
}

/* Spans that were acknowledged before the daemon ended and have no ledger yet. */
static void load_unsettled(struct engine *engine)
{
	int rc = store_each_unsettled(engine->options.store, 0, on_unsettled, engine);

	if (rc < 0 && rc != -ENOENT)
		log_line(LOG_WARNING, "store: spans without ledgers could not be read: %s",
			 strerror(-rc));
	engine->is_loaded = true;
	publish(engine, engine->next_publish_ns); /* whoever sees us ready sees this too */
	engine->options.on_loaded(engine->options.arg);
}

static void attach(struct engine *engine, const struct note *note)
{
	int rc = kernel_feed_attach(&engine->feed, &note->hello, note->ring_fd, note->counters_fd);

	if (rc < 0)
		log_line(LOG_ERROR,
			 "probe: its ring cannot be mapped: %s; spans are stored "
			 "without figures",
			 strerror(-rc));
}

/* Until it is published again. */
static void hide_ring(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->ring = NULL;
	pthread_mutex_unlock(&engine->lock);
}

static void take_note(struct engine *engine, const struct note *note)
{
	if (note->kind != NOTE_PROCESS)
		hide_ring(engine);
	switch (note->kind) {
	case NOTE_HELLO:
		attach(engine, note);
		break;
	case NOTE_ABSENT:
		kernel_feed_absent(&engine->feed);
		break;
	case NOTE_DIED:
		kernel_feed_detach(&engine->feed, clock_mono_ns());
		break;
	case NOTE_PROCESS:
		tap_process(&engine->tap, &note->process);
		return;
	}
	engine->next_publish_ns = 0;
	if (!engine->is_loaded && engine->feed.state != FEED_WAITING)
		load_unsettled(engine);
}

static void take_notes(struct engine *engine, struct queue *notes)
{
	struct queue_link *link;

	while ((link = queue_pop(notes))) {
		struct note *note = CONTAINER_OF(link, struct note, link);

		take_note(engine, note);
		free(note);
	}
}

static void on_spans(const struct span_batch *batch, void *arg)
{
	feed_batch(arg, batch);
}

static void on_settled(const struct span_batch *batch, const uint8_t *none_causes, void *arg)
{
	struct engine *engine = arg;

	pthread_mutex_lock(&engine->services_lock);
	services_on_settled(engine->services, batch, none_causes);
	pthread_mutex_unlock(&engine->services_lock);
	engine->settled_at_once += batch->span_count;
}

static void on_done(struct ticket *ticket, void *arg)
{
	const struct engine *engine = arg;

	engine->options.on_fed(ticket, engine->options.arg);
}

static void take_ticket(struct engine *engine, struct ticket *ticket)
{
	uint64_t now_ns = clock_mono_ns();

	if (!ticket->none_causes) {
		feed_batch(engine, ticket->batch);
	} else if (!memchr(ticket->none_causes, 0, ticket->batch->resource_count) &&
		   strangers_remain(engine->options.strangers, now_ns)) {
		on_settled(ticket->batch, ticket->none_causes, engine);
	} else {
		strange_spans_take(&engine->strange, ticket, now_ns,
				   now_ns + engine->real_offset_ns);
		return;
	}
	on_done(ticket, engine);
}

static void take_tickets(struct engine *engine, struct queue *tickets)
{
	struct queue_link *link;

	while ((link = queue_pop(tickets))) {
		struct ticket *ticket = CONTAINER_OF(link, struct ticket, link);

		take_ticket(engine, ticket);
	}
}

/* At each drain, so that what happens to the time of day between two readings, some 20 ms, is all
 * that is uncertain of it. A recording is whole up to the last second, and to the last spans. */
static void read_clock(struct engine *engine, uint64_t now_ns, bool have_spans)
{
	struct clock_pair now = clock_read_pair();

	tap_clock(&engine->tap, now.mono_before_ns, now.real_ns, now.mono_after_ns);
	tap_coarse_clock(&engine->tap, clock_read_ns(CLOCK_REALTIME_COARSE),
			 clock_tick_ns(CLOCK_REALTIME_COARSE));
	engine->clock_pairs++;
	engine->real_offset_ns = now.real_ns - now.mono_after_ns;
	if (now_ns < engine->next_flush_ns && !have_spans)
		return;
	tap_flush(&engine->tap);
	engine->next_flush_ns = now_ns + FLUSH_EVERY_NS;
}

/* Waits for news or the next drain, and takes what has come. Returns false when it is over. */
static bool wait_for_news(struct engine *engine, uint64_t until_ns, struct queue *notes,
			  struct queue *tickets)
{
	struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_SEC),
				  .tv_nsec = (long)(until_ns % NS_PER_SEC) };
	bool goes_on;
	int rc = 0;

	pthread_mutex_lock(&engine->lock);
	while (rc == 0 && !engine->is_stopping && !engine->tickets.first && !engine->notes.first &&
	       !engine->peeks.waiting.first)
		rc = pthread_cond_timedwait(&engine->news, &engine->lock, &until);
	*notes = queue_take(&engine->notes);
	*tickets = queue_take(&engine->tickets);
	goes_on = !engine->is_stopping || notes->first || tickets->first;
	pthread_mutex_unlock(&engine->lock);
	return goes_on;
}

static void advance(struct engine *engine)
{
	if (!engine->is_loaded || !engine->options.has_room(engine->options.arg))
		return;
	engine->options.on_advance(true, engine->options.arg);
	tap_advance(&engine->tap, engine->feed.drained_ns);
	engine->options.on_advance(false, engine->options.arg);
}

static void finish(struct engine *engine)
{
	kernel_feed_drain(&engine->feed, clock_mono_ns());
	strange_spans_release(&engine->strange, UINT64_MAX);
	tap_settle_all(&engine->tap);
	peeks_end(&engine->peeks);
}

static void tell_limit(struct engine *engine)
{
	size_t bytes = atomic_load_explicit(&engine->limit_bytes, memory_order_relaxed);

	if (bytes == engine->told_limit_bytes)
		return;
	engine->told_limit_bytes = bytes;
	tap_limit(&engine->tap, bytes);
}

static void *run(void *arg)
{
	struct engine *engine = arg;
	struct queue notes, tickets;

	pthread_setname_np(pthread_self(), "engine");
	breath_begin();
	while (wait_for_news(engine, clock_mono_ns() + DRAIN_EVERY_NS, &notes, &tickets)) {
		uint64_t now_ns;

		take_notes(engine, &notes);
		tell_limit(engine);
		now_ns = clock_mono_ns();
		read_clock(engine, now_ns, tickets.first != NULL);
		kernel_feed_drain(&engine->feed, now_ns);
		take_tickets(engine, &tickets);
		strange_spans_release(&engine->strange, engine->feed.drained_ns);
		advance(engine);
		peeks_answer(&engine->peeks, engine->tap.correlator);
		publish(engine, now_ns);
	}
	finish(engine);
	return NULL;
}

static void init_locks(struct engine *engine)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&engine->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&engine->lock, NULL);
	peeks_init(&engine->peeks, &engine->lock, &engine->news);
	pthread_mutex_init(&engine->services_lock, NULL);
}

static void free_engine(struct engine *engine)
{
	assert(!engine->tickets.first && !engine->notes.first);
	assert(!engine->strange.held.first);
	hide_ring(engine);
	kernel_feed_fini(&engine->feed);
	tap_fini(&engine->tap);
	services_free(engine->services);
	pthread_cond_destroy(&engine->news);
	peeks_fini(&engine->peeks);
	pthread_mutex_destroy(&engine->lock);
	pthread_mutex_destroy(&engine->services_lock);
	free(engine);
}

int engine_start(const struct engine_options *options, struct engine **out_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct correlator_options correlator = {
		.limit_bytes = memory_plan(options->config).correlator_bytes,
		.settle_ns = options->config->settle_ms * NS_PER_MS,
		.reach_ns = options->config->reach_ms * NS_PER_MS,
		.max_trace_spans = MAX_TRACE_SPANS,
		.on_ledgers = on_ledgers,
		.pause = breath_take,
		.arg = engine,
	};
	int rc;

	if (!engine)
		return -ENOMEM;
	engine->options = *options;
	engine->told_limit_bytes = correlator.limit_bytes;
	atomic_init(&engine->limit_bytes, correlator.limit_bytes);
	init_locks(engine);
	rc = tap_init(&engine->tap, &correlator, options->config->record);
	if (rc < 0)
		goto free_engine;
	kernel_feed_init(&engine->feed, &engine->tap, clock_mono_ns());
	engine->strange = (struct strange_spans){
		.strangers = options->strangers,
		.correlator = engine->tap.correlator,
		.on_spans = on_spans,
		.on_settled = on_settled,
		.on_done = on_done,
		.arg = engine,
	};
	rc = services_new(options->config->metrics_operations, &engine->services);
	if (rc < 0)
		goto free_engine;
	rc = -pthread_create(&engine->thread, NULL, run, engine);
	if (rc < 0)
		goto free_engine;
	*out_engine = engine;
	return 0;
free_engine:
	free_engine(engine);
	return rc;
}

void engine_stop(struct engine *engine)
{
	if (!engine)
		return;
	pthread_mutex_lock(&engine->lock);
	engine->is_stopping = true;
	engine->peeks.is_over = true;
	pthread_cond_signal(&engine->news);
	pthread_mutex_unlock(&engine->lock);
	pthread_join(engine->thread, NULL);
	free_engine(engine);
}

/* NULL: it is lost. */
static void push(struct engine *engine, struct note *note)
{
	if (!note)
		return;
	pthread_mutex_lock(&engine->lock);
	queue_push(&engine->notes, &note->link);
	pthread_cond_signal(&engine->news);
	pthread_mutex_unlock(&engine->lock);
}

void engine_hello(struct engine *engine, const struct probe_hello *hello, int ring_fd,
		  int counters_fd)
{
	push(engine, note_hello(hello, ring_fd, counters_fd));
}

void engine_probe_died(struct engine *engine)
{
	push(engine, note_died());
}

void engine_process(struct engine *engine, const struct event_process *process)
{
	push(engine, note_process(process));
}

void engine_limit(struct engine *engine, size_t limit_bytes)
{
	atomic_store_explicit(&engine->limit_bytes, limit_bytes, memory_order_relaxed);
}

void engine_spans(struct engine *engine, struct queue tickets)
{
	pthread_mutex_lock(&engine->lock);
	queue_append(&engine->tickets, tickets);
	pthread_cond_signal(&engine->news);
	pthread_mutex_unlock(&engine->lock);
}

int engine_peek(struct engine *engine, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *arena,
		struct ledger **out_ledgers, size_t *out_count)
{
	return peeks_ask(&engine->peeks, trace_id, arena, out_ledgers, out_count);
}

void engine_snapshot(struct engine *engine, struct engine_snapshot *out_snapshot)
{
	pthread_mutex_lock(&engine->lock);
	*out_snapshot = engine->published;
	if (engine->ring)
		out_snapshot->ring_backlog_bytes = ring_backlog_bytes(engine->ring);
	pthread_mutex_unlock(&engine->lock);
}

int engine_each_service(struct engine *engine,
			int (*visit)(const struct service_count *service, void *arg), void *arg)
{
	int rc;

	pthread_mutex_lock(&engine->services_lock);
	rc = services_each(engine->services, visit, arg);
	pthread_mutex_unlock(&engine->services_lock);
	return rc;
}

void engine_write_operations(struct engine *engine, struct metrics_text *text)
{
	struct metrics_operations *copy;

	pthread_mutex_lock(&engine->services_lock);
	copy = metrics_operations_copy(services_operations(engine->services));
	pthread_mutex_unlock(&engine->services_lock);
	if (copy)
		metrics_operations_write(copy, text);
	metrics_operations_free(copy);
}
