/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/probe_watch.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "collector/clock.h"
#include "collector/engine.h"
#include "collector/log.h"
#include "collector/stack_book.h"
#include "collector/strangers.h"

#define VERDICT_PATIENCE_MS 20000 /* loading takes a second on a slow machine */
#define MAX_PROCESSES       4096  /* shown in the status; about 600 bytes each */
#define MESSAGES_A_TURN     256

struct probe_watch {
	struct probe_watch_options options;
	uv_poll_t poll;
	uv_timer_t patience;
	bool has_poll;
	bool is_told; /* the engine knows whether there is a kernel side */

	pthread_mutex_t lock; /* all below */
	struct probe_watch_snapshot now;
	struct map processes; /* pid -> struct event_process */
};

static const bool moves[][4] = {
	[PROBE_STARTING] = { [PROBE_UP] = true, [PROBE_ABSENT] = true },
	[PROBE_UP] = { [PROBE_RESTARTING] = true, [PROBE_UP] = true, [PROBE_ABSENT] = true },
	[PROBE_RESTARTING] = { [PROBE_UP] = true,
			       [PROBE_RESTARTING] = true,
			       [PROBE_ABSENT] = true },
	[PROBE_ABSENT] = { [PROBE_UP] = true, [PROBE_ABSENT] = true, [PROBE_RESTARTING] = true },
};

const char *probe_watch_state_name(enum probe_watch_state state)
{
	static const char *const names[] = { "starting", "up", "restarting", "absent" };

	return names[state];
}

static void move(struct probe_watch *watch, enum probe_watch_state to, int error, const char *text)
{
	pthread_mutex_lock(&watch->lock);
	assert(moves[watch->now.state][to]);
	watch->now.state = to;
	watch->now.error = error;
	snprintf(watch->now.text, sizeof(watch->now.text), "%s", text);
	pthread_mutex_unlock(&watch->lock);
}

/* Spans are taken all the same; they are graded none. */
/* Nobody follows them any more; another worker tells anew of those that it finds. */
static void forget_processes(struct probe_watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	map_clear(&watch->processes);
	pthread_mutex_unlock(&watch->lock);
}

static void go_without(struct probe_watch *watch, int error, const char *text)
{
	forget_processes(watch);
	move(watch, PROBE_ABSENT, error, text);
	log_line(LOG_WARNING, "probe: absent: %s; spans are stored, but without figures", text);
	watch->is_told = true;
	if (watch->options.strangers)
		strangers_without_kernel(watch->options.strangers);
	engine_hello(watch->options.engine, NULL, -1, -1);
}

static void on_hello(struct probe_watch *watch, const struct probe_hello *hello, int ring_fd,
		     int counters_fd)
{
	if (hello->version != EVENT_VERSION) {
		close(ring_fd);
		close(counters_fd);
		go_without(watch, -EPROTO, "the worker is of another version");
		return;
	}
	move(watch, PROBE_UP, 0, "");
	pthread_mutex_lock(&watch->lock);
	watch->now.features = hello->features;
	watch->now.map_bytes = hello->map_bytes;
	pthread_mutex_unlock(&watch->lock);
	watch->is_told = true;
	log_line(LOG_INFO, "probe: up: features=0x%x ring_bytes=%u cpus=%u map_bytes=%llu",
		 hello->features, hello->ring_bytes, hello->cpus,
		 (unsigned long long)hello->map_bytes);
	if (watch->options.strangers)
		strangers_on_hello(watch->options.strangers);
	engine_hello(watch->options.engine, hello, ring_fd, counters_fd);
}

static void on_process(struct probe_watch *watch, const struct event_process *process)
{
	struct event_process *entry = NULL;

	pthread_mutex_lock(&watch->lock);
	if (process->gone || process->publish == PUBLISH_NOTHING)
		map_delete(&watch->processes, &process->pid);
	else
		entry = map_put(&watch->processes, &process->pid);
	if (entry)
		*entry = *process;
	pthread_mutex_unlock(&watch->lock);
	if (watch->options.strangers)
		strangers_on_process(watch->options.strangers, process, clock_mono_ns());
	engine_process(watch->options.engine, process);
}

static void on_died(struct probe_watch *watch, int error)
{
	char text[64];

	snprintf(text, sizeof(text), "the worker ended (%s %d)", error < 0 ? "error" : "signal",
		 error);
	forget_processes(watch);
	move(watch, PROBE_RESTARTING, error, text);
	log_line(LOG_WARNING, "probe: %s and is started again; the gap is graded", text);
	if (watch->options.strangers)
		strangers_on_death(watch->options.strangers);
	engine_probe_died(watch->options.engine);
}

static void on_stats(struct probe_watch *watch, const struct probe_stats *stats)
{
	pthread_mutex_lock(&watch->lock);
	watch->now.stats = *stats;
	watch->now.map_bytes = stats->map_bytes;
	pthread_mutex_unlock(&watch->lock);
	if (watch->options.strangers)
		strangers_on_look(watch->options.strangers, stats->processes_publishing);
}

static void take(struct probe_watch *watch, const struct probe_message *message, int ring_fd,
		 int counters_fd)
{
	switch ((enum probe_message_kind)message->kind) {
	case PROBE_HELLO:
		on_hello(watch, &message->hello, ring_fd, counters_fd);
		return;
	case PROBE_PROCESS:
		on_process(watch, &message->process);
		return;
	case PROBE_FAILED:
		go_without(watch, message->error, message->text);
		return;
	case PROBE_DIED:
		on_died(watch, message->error);
		return;
	case PROBE_STATS:
		on_stats(watch, &message->stats);
		return;
	case PROBE_STACK:
		stack_book_piece(watch->options.stacks, &message->stack);
		return;
	case PROBE_NOTE:
		log_line(LOG_INFO, "probe: %s", message->text);
		return;
	}
	log_line(LOG_WARNING, "probe: a message of unknown kind %u was ignored", message->kind);
}

static void on_keeper_gone(struct probe_watch *watch)
{
	uv_poll_stop(&watch->poll);
	engine_probe_died(watch->options.engine);
	go_without(watch, -EPIPE, "the probe has ended; restart spanwise");
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct probe_watch *watch = poll->data;
	struct probe_message message;
	int ring_fd, counters_fd, rc = status < 0 ? status : 1;

	(void)events;
	for (int i = 0; i < MESSAGES_A_TURN && rc == 1; i++) {
		rc = probe_receive(watch->options.probe, &message, &ring_fd, &counters_fd);
		if (rc == 1)
			take(watch, &message, ring_fd, counters_fd);
	}
	if (rc < 0)
		on_keeper_gone(watch);
}

static void on_patience(uv_timer_t *timer)
{
	struct probe_watch *watch = timer->data;

	if (!watch->is_told)
		go_without(watch, -ETIMEDOUT,
			   "the probe has not said within 20 s whether it works");
}

static void describe_absence(struct probe_watch *watch)
{
	char text[256];

	if (watch->options.start_error == 0) {
		go_without(watch, 0, "switched off (probe = off)");
		return;
	}
	snprintf(text, sizeof(text), "it could not be started: %s",
		 strerror(-watch->options.start_error));
	go_without(watch, watch->options.start_error, text);
}

int probe_watch_start(const struct probe_watch_options *options, struct probe_watch **out_watch)
{
	struct probe_watch *watch = calloc(1, sizeof(*watch));
	int rc;

	if (!watch)
		return -ENOMEM;
	watch->options = *options;
	watch->poll.data = watch;
	watch->patience.data = watch;
	pthread_mutex_init(&watch->lock, NULL);
	map_init(&watch->processes, sizeof(uint32_t), sizeof(struct event_process), 1);
	watch->processes.max_count = MAX_PROCESSES;
	uv_timer_init(options->loop, &watch->patience);
	if (!options->probe) {
		describe_absence(watch);
		*out_watch = watch;
		return 0;
	}
	rc = uv_poll_init(options->loop, &watch->poll, probe_fd(options->probe));
	watch->has_poll = rc == 0;
	if (rc == 0)
		rc = uv_poll_start(&watch->poll, UV_READABLE, on_readable);
	uv_timer_start(&watch->patience, on_patience, VERDICT_PATIENCE_MS, 0);
	*out_watch = watch;
	return rc;
}

void probe_watch_stop(struct probe_watch *watch)
{
	if (!watch)
		return;
	uv_close((uv_handle_t *)&watch->patience, NULL);
	if (watch->has_poll)
		uv_close((uv_handle_t *)&watch->poll, NULL);
}

void probe_watch_free(struct probe_watch *watch)
{
	if (!watch)
		return;
	map_fini(&watch->processes);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

void probe_watch_snapshot(struct probe_watch *watch, struct probe_watch_snapshot *out_snapshot)
{
	pthread_mutex_lock(&watch->lock);
	*out_snapshot = watch->now;
	pthread_mutex_unlock(&watch->lock);
}

static int by_pid(const void *a, const void *b)
{
	const struct event_process *const *left = a, *const *right = b;

	return ((*left)->pid > (*right)->pid) - ((*left)->pid < (*right)->pid);
}

int probe_watch_each_process(struct probe_watch *watch,
			     int (*visit)(const struct event_process *process, void *arg),
			     void *arg)
{
	const struct event_process **sorted;
	size_t cursor = 0, count = 0;
	const void *pid;
	int rc = -ENOMEM;

	pthread_mutex_lock(&watch->lock);
	sorted = calloc(watch->processes.count + 1, sizeof(struct event_process *));
	if (sorted) {
		const struct event_process *process;

		while ((process = map_next(&watch->processes, &cursor, &pid)))
			sorted[count++] = process;
		qsort(sorted, count, sizeof(struct event_process *), by_pid);
		rc = 0;
		for (size_t i = 0; i < count && rc == 0; i++)
			rc = visit(sorted[i], arg);
	}
	pthread_mutex_unlock(&watch->lock);
	free(sorted);
	return rc;
}
