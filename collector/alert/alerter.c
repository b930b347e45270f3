/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alerter.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/alert/alert_evidence.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/config.h"
#include "collector/log.h"
#include "collector/query/stacks.h"
#include "collector/render.h"
#include "collector/thread_rank.h"

#define MINUTE_NS (60 * NS_PER_SEC)

struct alerter {
	struct alerter_options options;
	char url[CONFIG_TEXT_BYTES];
	struct state_kv *kv; /* owned, as are the next four */
	struct alert_book *book;
	struct alert_courier *courier;
	struct alert_table table; /* the thread's, as is the next */
	struct alert_batch batch; /* changes that are not on disk yet */
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t lock; /* all from here on */
	pthread_cond_t news;
	bool is_stopping;
	struct alerter_stats stats;
};

/* The spans that the rule looked at when it fired. */
static void on_evidence(const struct alert *alert, uint64_t now_unix_ns, struct buf *out, void *arg)
{
	struct alerter *alerter = arg;
	uint64_t window_ns = alert->rule->window_minutes * MINUTE_NS;
	struct alert_scope scope = {
		.service = str_of(alert->service),
		.operation = str_of(alert->operation),
		.kind = alert->kind <= SPAN_KIND_CONSUMER ? alert->kind : -1,
		.from_unix_ns = now_unix_ns - window_ns - MINUTE_NS,
		.to_unix_ns = now_unix_ns,
		.url = alerter->url,
	};
	struct stacks stacks;
	struct render_names names = { stacks_put_json, stacks_code, &stacks, NULL, NULL };
	int rc;

	stacks_init(&stacks, alerter->options.daemon);
	scope.names = &names;
	rc = alert_evidence_write(alerter->options.store, &scope, out);
	stacks_fini(&stacks);
	if (rc < 0)
		LOG_LIMITED(LOG_WARNING, "alert %s: its spans cannot be read: %s",
			    alert->rule->name, strerror(-rc));
}

static void on_event(const struct alert *alert, struct alert_batch *batch, void *arg)
{
	struct alerter *alerter = arg;

	LOG_LIMITED(LOG_INFO, "alert %s: %s %s: %s", alert->rule->name, alert->service,
		    alert->operation, alert_state_name(alert->life.state));
	alert_courier_add(alerter->courier, alert, batch);
}

static void note_round(struct alerter *alerter, int rc, uint64_t now_unix_ns, uint64_t took_ns)
{
	pthread_mutex_lock(&alerter->lock);
	alerter->stats.evaluations++;
	alerter->stats.evaluations_failed += rc < 0;
	alerter->stats.evaluation_ns += took_ns;
	alerter->stats.operations = alerter->table.count;
	alerter->stats.operations_refused = alerter->table.refused;
	alerter->stats.last_unix_ns = now_unix_ns;
	pthread_mutex_unlock(&alerter->lock);
}

/* Changes that cannot be written are kept and tried again with the next ones. */
static void evaluate(struct alerter *alerter)
{
	uint64_t now_unix_ns = clock_unix_ns(), began_ns = clock_mono_ns();
	int rc = alert_table_read(&alerter->table, alerter->options.store, now_unix_ns);

	if (rc < 0) {
		LOG_LIMITED(LOG_ERROR, "alerts: the store cannot be read: %s; no rule is evaluated",
			    strerror(-rc));
	} else {
		alert_book_evaluate(alerter->book, &alerter->table, now_unix_ns, &alerter->batch);
		rc = alert_batch_apply(&alerter->batch, alerter->kv);
		if (rc < 0)
			LOG_LIMITED(LOG_ERROR,
				    "alerts: their state cannot be written: %s; tried "
				    "again",
				    strerror(-rc));
		else
			alert_courier_wake(alerter->courier);
	}
	note_round(alerter, rc, now_unix_ns, clock_mono_ns() - began_ns);
}

/* False when it is over. */
static bool rest(struct alerter *alerter, uint64_t until_ns)
{
	struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_SEC),
				  .tv_nsec = (long)(until_ns % NS_PER_SEC) };
	bool goes_on;
	int rc = 0;

	pthread_mutex_lock(&alerter->lock);
	while (rc == 0 && !alerter->is_stopping)
		rc = pthread_cond_timedwait(&alerter->news, &alerter->lock, &until);
	goes_on = !alerter->is_stopping;
	pthread_mutex_unlock(&alerter->lock);
	return goes_on;
}

static void *run(void *arg)
{
	struct alerter *alerter = arg;
	uint64_t every_ns = alerter->options.config->alert_interval_s * NS_PER_SEC;
	uint64_t next_ns = clock_mono_ns();

	pthread_setname_np(pthread_self(), "alerts");
	thread_rank_set(THREAD_RANK_SCAN);
	do {
		evaluate(alerter);
		next_ns = MAX(next_ns + every_ns, clock_mono_ns());
	} while (rest(alerter, next_ns));
	return NULL;
}

static int open_state(struct alerter *alerter)
{
	struct buf message;
	int rc;

	buf_init(&message, 0);
	rc = state_kv_open(alerter->options.config->data, &alerter->kv, &message);
	if (rc < 0)
		log_line(LOG_ERROR, "alerts: their state cannot be opened: %.*s",
			 message.len ? (int)message.len : (int)strlen(strerror(-rc)),
			 message.len ? message.data : strerror(-rc));
	buf_fini(&message);
	return rc;
}

static int open_book(struct alerter *alerter)
{
	struct alert_book_options options = {
		.rules = &alerter->options.config->alerts,
		.on_evidence = on_evidence,
		.on_event = on_event,
		.arg = alerter,
	};
	int rc = alert_book_new(&options, &alerter->book);

	if (rc == 0)
		rc = alert_book_load(alerter->book, alerter->kv, &alerter->batch);
	return rc;
}

static int start_courier(struct alerter *alerter)
{
	const struct config *config = alerter->options.config;
	struct alert_courier_options options = {
		.alertmanagers = config->alertmanager,
		.webhook = config->webhook,
		.secret_file = config->webhook_secret_file,
		.url = alerter->url,
		.resend_s = config->alert_resend_s,
		.book = alerter->book,
		.kv = alerter->kv,
	};

	return alert_courier_start(&options, &alerter->courier);
}

static int start(struct alerter *alerter)
{
	const struct config *config = alerter->options.config;
	pthread_condattr_t monotonic;
	int rc;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&alerter->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&alerter->lock, NULL);
	alert_batch_init(&alerter->batch);
	alert_table_init(&alerter->table, &config->alerts);
	alerter->stats.rules = config->alerts.count;
	if (*config->external_url)
		snprintf(alerter->url, sizeof(alerter->url), "%s", config->external_url);
	else
		snprintf(alerter->url, sizeof(alerter->url), "http://%s",
			 alerter->options.api_address);
	rc = open_state(alerter);
	if (rc == 0)
		rc = open_book(alerter);
	if (rc == 0)
		rc = start_courier(alerter);
	if (rc == 0) {
		rc = -pthread_create(&alerter->thread, NULL, run, alerter);
		alerter->has_thread = rc == 0;
	}
	return rc;
}

int alerter_start(const struct alerter_options *options, struct alerter **out_alerter)
{
	struct alerter *alerter = calloc(1, sizeof(*alerter));
	int rc;

	if (!alerter)
		return -ENOMEM;
	alerter->options = *options;
	rc = start(alerter);
	if (rc < 0)
		alerter_stop(alerter);
	else
		*out_alerter = alerter;
	return rc;
}

void alerter_stop(struct alerter *alerter)
{
	if (!alerter)
		return;
	pthread_mutex_lock(&alerter->lock);
	alerter->is_stopping = true;
	pthread_cond_signal(&alerter->news);
	pthread_mutex_unlock(&alerter->lock);
	if (alerter->has_thread)
		pthread_join(alerter->thread, NULL);
	alert_courier_stop(alerter->courier);
	alert_book_free(alerter->book);
	alert_batch_fini(&alerter->batch);
	alert_table_fini(&alerter->table);
	state_kv_close(alerter->kv);
	pthread_cond_destroy(&alerter->news);
	pthread_mutex_destroy(&alerter->lock);
	free(alerter);
}

struct alert_book *alerter_book(struct alerter *alerter)
{
	return alerter->book;
}

const char *alerter_url(const struct alerter *alerter)
{
	return alerter->url;
}

void alerter_stats(struct alerter *alerter, struct alerter_stats *out_stats)
{
	*out_stats = (struct alerter_stats){ 0 };
	if (!alerter)
		return;
	pthread_mutex_lock(&alerter->lock);
	*out_stats = alerter->stats;
	pthread_mutex_unlock(&alerter->lock);
	alert_book_count(alerter->book, &out_stats->alerts);
	alert_courier_stats(alerter->courier, &out_stats->courier);
}
