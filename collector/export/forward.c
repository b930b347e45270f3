/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/export/forward.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/config.h"
#include "collector/export/forward_cursor.h"
#include "collector/export/forward_sender.h"
#include "collector/log.h"
#include "collector/metrics.h"
#include "otlp/otlp_encode.h"

#define REQUEST_BYTES    ((size_t)1 << 20) /* of spans; receivers take 4 MiB and more */
#define REQUEST_SPANS    4096
#define IDLE_MS          200  /* between two looks when there was nothing */
#define FIRST_DELAY_MS   1000 /* after a failure; half as much again after each further one */
#define LARGEST_DELAY_MS 30000
#define LARGEST_WISH_MS  600000u    /* of the other side */
#define NOTE_EVERY_NS    NS_PER_SEC /* the cursor */

struct forward {
	struct forward_options options;
	struct forward_sender *sender; /* owned; the thread's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t news;
	atomic_bool is_stopping;
	atomic_uint_least64_t behind;

	struct store_follower follower; /* the thread's, as all below */
	struct store_place noted;       /* what the file has */
	uint64_t noted_ns;
	uint64_t dropped_before; /* what retention had dropped when our part was still there */
	struct otlp_part *parts; /* owned; REQUEST_SPANS */
	struct buf plain;
	unsigned spans; /* in the request at hand */
	unsigned most;  /* fewer than REQUEST_SPANS while the other side finds them too large */
	uint32_t delay_ms;
};

static void count(struct forward *forward, enum metric metric, uint64_t amount)
{
	metrics_add(forward->options.metrics, metric, amount);
}

/* Store's callback: as many spans of the block as make a request of a good size. */
static int take(const struct span_batch *batch, void *arg)
{
	struct forward *forward = arg;
	unsigned taken = 0;
	size_t bytes = 0;
	int rc;

	while (taken < batch->span_count && taken < forward->most) {
		const struct span *span = &batch->spans[taken];
		const struct span_resource *resource = &batch->resources[span->resource];
		const struct span_scope *scope = &batch->scopes[span->scope];

		bytes += span->bytes.len;
		if (taken && bytes > REQUEST_BYTES)
			break;
		forward->parts[taken++] = (struct otlp_part){
			.resource = resource->bytes,
			.resource_schema_url = resource->schema_url,
			.scope = scope->bytes,
			.scope_schema_url = scope->schema_url,
			.span = span->bytes,
		};
	}
	buf_clear(&forward->plain);
	rc = otlp_encode_traces(forward->parts, taken, &forward->plain);
	forward->spans = taken;
	return rc < 0 ? rc : (int)taken;
}

static void wait_for(struct forward *forward, uint64_t ms)
{
	uint64_t until_ns = clock_mono_ns() + ms * NS_PER_MS;
	struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_SEC),
				  .tv_nsec = (long)(until_ns % NS_PER_SEC) };
	int rc = 0;

	pthread_mutex_lock(&forward->lock);
	while (rc == 0 && !atomic_load(&forward->is_stopping))
		rc = pthread_cond_timedwait(&forward->news, &forward->lock, &until);
	pthread_mutex_unlock(&forward->lock);
}

static void note_place(struct forward *forward, bool now)
{
	const struct store_place *place = &forward->follower.place;
	uint64_t now_ns = clock_mono_ns();
	int rc;

	if ((!now && now_ns - forward->noted_ns < NOTE_EVERY_NS) ||
	    memcmp(place, &forward->noted, sizeof(*place)) == 0)
		return;
	forward->noted_ns = now_ns;
	rc = forward_cursor_write(forward->options.config->data, place);
	if (rc == 0)
		forward->noted = *place;
	else
		LOG_LIMITED(LOG_WARNING, "forward: the cursor cannot be written: %s",
			    strerror(-rc));
}

/* Later, with some jitter so that not all nodes come at once; or when the other side says. */
static void retry_later(struct forward *forward, const struct forward_result *result)
{
	uint32_t delay_ms = MAX(forward->delay_ms, FIRST_DELAY_MS);

	count(forward, METRIC_FORWARD_RETRIES, 1);
	LOG_LIMITED(LOG_WARNING, "forward: %s: %s; trying again", forward->options.config->forward,
		    result->text);
	forward->delay_ms = MIN(delay_ms + delay_ms / 2, LARGEST_DELAY_MS);
	delay_ms = delay_ms / 2 + (uint32_t)random() % delay_ms;
	if (result->delay_ms)
		delay_ms = MIN(result->delay_ms, LARGEST_WISH_MS) + delay_ms / 4;
	wait_for(forward, delay_ms);
}

/* 0: these spans are done with, one way or the other; -EAGAIN. */
static int take_result(struct forward *forward, const struct forward_result *result)
{
	uint64_t lost = result->rejected;

	switch (result->verdict) {
	case FORWARD_AGAIN:
		retry_later(forward, result);
		return -EAGAIN;
	case FORWARD_PLAIN:
		return -EAGAIN;
	case FORWARD_SMALLER:
		forward->most = forward->spans / 2;
		return -EAGAIN;
	case FORWARD_REFUSED:
		lost = forward->spans;
		LOG_LIMITED(LOG_WARNING, "forward: %s: %u spans were refused for good: %s",
			    forward->options.config->forward, forward->spans, result->text);
		break;
	case FORWARD_DONE:
		break;
	}
	forward->delay_ms = 0;
	forward->most = REQUEST_SPANS;
	count(forward, METRIC_FORWARD_SENT, forward->spans - lost);
	count(forward, METRIC_FORWARD_REFUSED, lost);
	return 0;
}

/* The spans at hand, until they are through. Returns false when stopped before. */
static bool send_spans(struct forward *forward)
{
	int rc = -EAGAIN;

	while (!atomic_load(&forward->is_stopping)) {
		unsigned most = forward->most;

		struct forward_result result = forward_sender_send(
			forward->sender, buf_str(&forward->plain), forward->spans);

		rc = take_result(forward, &result);
		if (rc == 0 || forward->most != most)
			break;
	}
	return rc == 0;
}

static uint64_t dropped_now(const struct forward *forward)
{
	struct store_stats stats;

	store_stats(forward->options.store, &stats);
	return stats.spans_dropped;
}

/* Oldest parts go first: what went since our part was last seen, and was not sent, was ours.
 * `dropped`: before that look. */
static void count_dropped(struct forward *forward, const struct store_place *before,
			  uint64_t dropped)
{
	uint64_t lost;

	if (forward->follower.place.part_unix_ns == before->part_unix_ns) {
		forward->dropped_before = dropped;
		return;
	}
	dropped = dropped_now(forward);
	lost = dropped - forward->dropped_before;
	forward->dropped_before = dropped;
	if (lost <= before->row)
		return;
	lost -= before->row;
	count(forward, METRIC_FORWARD_DROPPED, lost);
	LOG_LIMITED(LOG_WARNING,
		    "forward: %" PRIu64 " spans were dropped by retention before they could be "
		    "sent to %s",
		    lost, forward->options.config->forward);
}

static void step(struct forward *forward)
{
	struct store_place before = forward->follower.place;
	uint64_t dropped = dropped_now(forward);
	int rc = store_follow(forward->options.store, &forward->follower, take, forward);
	uint64_t behind;

	count_dropped(forward, &before, dropped);
	if (rc > 0) {
		if (!send_spans(forward)) /* stopped, or in smaller pieces */
			forward->follower.place.row -= (unsigned)rc;
	} else {
		if (rc != -ENOENT)
			LOG_LIMITED(LOG_WARNING, "forward: the store cannot be read: %s",
				    strerror(-rc));
		wait_for(forward, rc == -ENOENT ? IDLE_MS : FIRST_DELAY_MS);
	}
	note_place(forward, false);
	if (store_follow_behind(forward->options.store, &forward->follower.place, &behind) == 0)
		atomic_store(&forward->behind, behind);
}

static void *run(void *arg)
{
	struct forward *forward = arg;

	pthread_setname_np(pthread_self(), "forward");
	while (!atomic_load(&forward->is_stopping))
		step(forward);
	note_place(forward, true);
	return NULL;
}

/* The first time, from now on: what was stored before was received by somebody else. */
static int find_place(struct forward *forward)
{
	const char *data = forward->options.config->data;
	int rc = forward_cursor_read(data, &forward->follower.place);

	if (rc == -ENOENT) {
		rc = store_follow_end(forward->options.store, &forward->follower.place);
		if (rc == 0)
			rc = forward_cursor_write(data, &forward->follower.place);
	}
	if (rc < 0)
		log_line(LOG_ERROR, "forward: %s/state/forward.cursor: %s; remove it to begin anew",
			 data, rc == -EBADMSG ? "damaged" : strerror(-rc));
	forward->noted = forward->follower.place;
	return rc;
}

static void free_forward(struct forward *forward)
{
	forward_sender_free(forward->sender);
	buf_fini(&forward->plain);
	free(forward->parts);
	pthread_cond_destroy(&forward->news);
	pthread_mutex_destroy(&forward->lock);
	free(forward);
}

static void init_lock(struct forward *forward)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&forward->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&forward->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int forward_start(const struct forward_options *options, struct forward **out_forward)
{
	struct forward *forward = calloc(1, sizeof(*forward));
	int rc;

	if (!forward)
		return -ENOMEM;
	forward->options = *options;
	forward->most = REQUEST_SPANS;
	init_lock(forward);
	buf_init(&forward->plain, 0);
	forward->parts = calloc(REQUEST_SPANS, sizeof(*forward->parts));
	rc = forward->parts
		     ? forward_sender_new(options->config, &forward->is_stopping, &forward->sender)
		     : -ENOMEM;
	if (rc == 0)
		rc = find_place(forward);
	if (rc == 0)
		rc = -pthread_create(&forward->thread, NULL, run, forward);
	if (rc < 0) {
		free_forward(forward);
		return rc;
	}
	*out_forward = forward;
	return 0;
}

void forward_stop(struct forward *forward)
{
	if (!forward)
		return;
	pthread_mutex_lock(&forward->lock);
	atomic_store(&forward->is_stopping, true);
	pthread_cond_signal(&forward->news);
	pthread_mutex_unlock(&forward->lock);
	pthread_join(forward->thread, NULL);
	free_forward(forward);
}

uint64_t forward_behind(struct forward *forward)
{
	return forward ? atomic_load(&forward->behind) : 0;
}
