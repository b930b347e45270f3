/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_courier.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/alert/alert_event.h"
#include "collector/alert/alert_outbox.h"
#include "collector/alert/alert_sign.h"
#include "collector/alert/alert_target.h"
#include "collector/base/json_read.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/http_client.h"
#include "collector/log.h"

#define DISK_RETRY_NS      (60 * NS_PER_SEC)
#define ENDS_AFTER_RESENDS 4 /* an alert that is not sent again so often is over */

struct alert_courier {
	struct alert_courier_options options;
	struct alert_target targets[ALERT_COURIER_MAX_TARGETS];
	unsigned target_count;
	struct http_client *client; /* owned; the thread's */
	pthread_t thread;
	bool has_thread;
	atomic_bool is_stopping;

	pthread_mutex_t lock; /* all from here on */
	pthread_cond_t news;
	bool has_news;
	struct alert_courier_stats stats;
};

static uint64_t end_of_firing(const struct alert_courier *courier)
{
	return clock_unix_ns() + ENDS_AFTER_RESENDS * courier->options.resend_s * NS_PER_SEC;
}

void alert_courier_add(struct alert_courier *courier, const struct alert *alert,
		       struct alert_batch *batch)
{
	struct json json;
	struct buf event;

	buf_init(&event, 0);
	json_init(&json, &event);
	alert_event_write(&json, NULL, alert, courier->options.url);
	if (buf_error(&event))
		batch->error = buf_error(&event);
	for (unsigned i = 0; i < courier->target_count && !batch->error; i++)
		alert_outbox_add(&courier->targets[i].outbox, buf_str(&event), batch);
	buf_fini(&event);
}

void alert_courier_wake(struct alert_courier *courier)
{
	pthread_mutex_lock(&courier->lock);
	courier->has_news = true;
	pthread_cond_signal(&courier->news);
	pthread_mutex_unlock(&courier->lock);
}

/* What Alertmanager is sent of one event. */
static int make_body(struct alert_courier *courier, struct str event, struct buf *out)
{
	struct json_value *root;
	struct json json;
	int rc = json_read(event, &root, NULL);

	if (rc < 0)
		return rc;
	json_init(&json, out);
	json_array(&json, NULL);
	alert_event_to_alertmanager(&json, root, end_of_firing(courier));
	json_end(&json);
	json_read_free(root);
	return buf_error(out);
}

static void count(struct alert_courier *courier, enum alert_target_result result)
{
	pthread_mutex_lock(&courier->lock);
	courier->stats.delivered += result == TARGET_TOOK;
	courier->stats.failed += result != TARGET_TOOK;
	courier->stats.dropped += result == TARGET_REFUSED;
	courier->stats.is_failing = false;
	for (unsigned i = 0; i < courier->target_count; i++)
		courier->stats.is_failing |= courier->targets[i].failures > 0;
	pthread_mutex_unlock(&courier->lock);
}

static enum alert_target_result send_event(struct alert_courier *courier,
					   struct alert_target *target, struct str event)
{
	enum alert_target_result result = TARGET_REFUSED;
	struct buf body;

	if (!target->is_alertmanager)
		return alert_target_send(target, courier->client, event, event);
	buf_init(&body, 0);
	if (make_body(courier, event, &body) == 0)
		result = alert_target_send(target, courier->client, buf_str(&body), event);
	buf_fini(&body);
	return result;
}

/* Too many: the oldest goes, unsent. */
static bool is_over(struct alert_courier *courier, const struct alert_target *target,
		    uint64_t queued)
{
	if (queued <= ALERT_COURIER_MAX_QUEUE)
		return false;
	LOG_LIMITED(LOG_WARNING, "alerts: more than %d messages wait for %s: the oldest is dropped",
		    ALERT_COURIER_MAX_QUEUE, target->url);
	pthread_mutex_lock(&courier->lock);
	courier->stats.dropped++;
	pthread_mutex_unlock(&courier->lock);
	return true;
}

/* Sends the oldest message. Returns how many are left. */
static uint64_t send_first(struct alert_courier *courier, struct alert_target *target)
{
	char key[ALERT_OUTBOX_KEY_BYTES];
	uint64_t queued = 0;
	struct buf event;
	int rc;

	buf_init(&event, 0);
	rc = alert_outbox_first(&target->outbox, courier->options.kv, key, &event, &queued);
	if (rc == 0 && !is_over(courier, target, queued)) {
		enum alert_target_result result = send_event(courier, target, buf_str(&event));

		if (!atomic_load(&courier->is_stopping))
			count(courier, result);
		if (result == TARGET_LATER)
			rc = -EAGAIN;
	}
	if (rc == 0)
		rc = alert_outbox_remove(courier->options.kv, key);
	if (rc == 0)
		queued--;
	else if (rc != -EAGAIN && rc != -ENOENT) /* the disk: it would be sent again and again */
		target->retry_ns = clock_mono_ns() + DISK_RETRY_NS;
	buf_fini(&event);
	return queued;
}

struct resend {
	struct alert_courier *courier;
	struct json *json;
	unsigned count;
};

static int on_alert(const struct alert *alert, void *arg)
{
	struct resend *resend = arg;
	struct json_value *root = NULL;
	struct json json;
	struct buf event;

	if (alert->life.state != ALERT_STATE_FIRING && alert->life.state != ALERT_STATE_RESOLVED)
		return 0;
	buf_init(&event, 0);
	json_init(&json, &event);
	alert_event_write(&json, NULL, alert, resend->courier->options.url);
	if (!buf_error(&event) && json_read(buf_str(&event), &root, NULL) == 0) {
		alert_event_to_alertmanager(resend->json, root, end_of_firing(resend->courier));
		resend->count++;
	}
	json_read_free(root);
	buf_fini(&event);
	return 0;
}

/* All that fires, and what ended a short while ago. */
static void send_all(struct alert_courier *courier, struct alert_target *target)
{
	struct json json;
	struct buf body;
	struct resend resend = { courier, &json, 0 };

	buf_init(&body, 0);
	json_init(&json, &body);
	json_array(&json, NULL);
	alert_book_each(courier->options.book, on_alert, &resend);
	json_end(&json);
	if (resend.count && !buf_error(&body))
		alert_target_send(target, courier->client, buf_str(&body), (struct str){ 0 });
	buf_fini(&body);
}

/* Returns how many messages are left for it. */
static uint64_t serve(struct alert_courier *courier, struct alert_target *target)
{
	uint64_t now_ns = clock_mono_ns(), queued;

	queued = alert_outbox_count(&target->outbox, courier->options.kv);
	while (queued && !atomic_load(&courier->is_stopping) && now_ns >= target->retry_ns) {
		queued = send_first(courier, target);
		now_ns = clock_mono_ns();
	}
	if (target->is_alertmanager && now_ns >= target->resend_ns && now_ns >= target->retry_ns &&
	    !atomic_load(&courier->is_stopping)) {
		send_all(courier, target);
		target->resend_ns = now_ns + courier->options.resend_s * NS_PER_SEC;
	}
	return queued;
}

/* Until there is news, or something is due. */
static void rest(struct alert_courier *courier, uint64_t queued)
{
	uint64_t until_ns = clock_mono_ns() + courier->options.resend_s * NS_PER_SEC;
	struct timespec until;
	int rc = 0;

	for (unsigned i = 0; i < courier->target_count; i++) {
		const struct alert_target *target = &courier->targets[i];

		if (queued && target->retry_ns)
			until_ns = MIN(until_ns, target->retry_ns);
		if (target->is_alertmanager)
			until_ns = MIN(until_ns, MAX(target->resend_ns, target->retry_ns));
	}
	until = (struct timespec){ .tv_sec = (time_t)(until_ns / NS_PER_SEC),
				   .tv_nsec = (long)(until_ns % NS_PER_SEC) };
	pthread_mutex_lock(&courier->lock);
	courier->stats.queued = queued;
	while (rc == 0 && !courier->has_news && !atomic_load(&courier->is_stopping))
		rc = pthread_cond_timedwait(&courier->news, &courier->lock, &until);
	courier->has_news = false;
	pthread_mutex_unlock(&courier->lock);
}

static void *run(void *arg)
{
	struct alert_courier *courier = arg;

	pthread_setname_np(pthread_self(), "alert courier");
	while (!atomic_load(&courier->is_stopping)) {
		uint64_t queued = 0;

		for (unsigned i = 0; i < courier->target_count; i++)
			queued += serve(courier, &courier->targets[i]);
		rest(courier, queued);
	}
	return NULL;
}

static int add_target(struct alert_courier *courier, const char *base, size_t len,
		      bool is_alertmanager, const char *secret_file)
{
	struct alert_target *target = &courier->targets[courier->target_count];
	int rc;

	if (courier->target_count == ALERT_COURIER_MAX_TARGETS) {
		log_line(LOG_ERROR, "alertmanager: more than %d addresses",
			 ALERT_COURIER_MAX_TARGETS);
		return -EINVAL;
	}
	rc = alert_target_init(target, (struct str){ base, len }, is_alertmanager, secret_file);
	if (rc < 0)
		return rc;
	courier->target_count++;
	return alert_outbox_open(&target->outbox, target->url, courier->options.kv,
				 &(uint64_t){ 0 });
}

static int add_targets(struct alert_courier *courier)
{
	const char *at = courier->options.alertmanagers;
	int rc = 0;

	while (*at && rc == 0) {
		size_t len = strcspn(at, ", ");

		if (len)
			rc = add_target(courier, at, len, true, "");
		at += len;
		at += strspn(at, ", ");
	}
	if (rc == 0 && *courier->options.webhook)
		rc = add_target(courier, courier->options.webhook, strlen(courier->options.webhook),
				false, courier->options.secret_file);
	return rc;
}

static int sweep(struct alert_courier *courier)
{
	struct alert_outbox outboxes[ALERT_COURIER_MAX_TARGETS];
	int64_t dropped;

	for (unsigned i = 0; i < courier->target_count; i++)
		outboxes[i] = courier->targets[i].outbox;
	dropped = alert_outbox_sweep(outboxes, courier->target_count, courier->options.kv);
	if (dropped > 0)
		log_line(LOG_WARNING,
			 "alerts: %" PRId64 " messages are dropped: their targets are no longer "
			 "configured",
			 dropped);
	return (int)MIN(dropped, 0);
}

static int start(struct alert_courier *courier)
{
	pthread_condattr_t monotonic;
	int rc;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&courier->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&courier->lock, NULL);
	rc = http_client_new(&courier->is_stopping, &courier->client);
	if (rc == 0)
		rc = add_targets(courier);
	if (rc == 0)
		rc = sweep(courier);
	if (rc == 0 && courier->target_count) {
		rc = -pthread_create(&courier->thread, NULL, run, courier);
		courier->has_thread = rc == 0;
	}
	return rc;
}

int alert_courier_start(const struct alert_courier_options *options,
			struct alert_courier **out_courier)
{
	struct alert_courier *courier = calloc(1, sizeof(*courier));
	int rc;

	if (!courier)
		return -ENOMEM;
	courier->options = *options;
	rc = start(courier);
	if (rc < 0)
		alert_courier_stop(courier);
	else
		*out_courier = courier;
	return rc;
}

void alert_courier_stop(struct alert_courier *courier)
{
	if (!courier)
		return;
	atomic_store(&courier->is_stopping, true);
	alert_courier_wake(courier);
	if (courier->has_thread)
		pthread_join(courier->thread, NULL);
	for (unsigned i = 0; i < courier->target_count; i++)
		alert_target_fini(&courier->targets[i]);
	http_client_free(courier->client);
	pthread_cond_destroy(&courier->news);
	pthread_mutex_destroy(&courier->lock);
	free(courier);
}

void alert_courier_stats(struct alert_courier *courier, struct alert_courier_stats *out_stats)
{
	pthread_mutex_lock(&courier->lock);
	*out_stats = courier->stats;
	pthread_mutex_unlock(&courier->lock);
}
