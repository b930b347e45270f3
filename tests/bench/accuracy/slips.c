/* SPDX-License-Identifier: Apache-2.0 */
/* What slips in programs that are not careful with contexts: a detach that is forgotten, spans that
 * are over and shown again, batches, given times. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "tests/bench/accuracy/scenario.h"
#include "tests/bench/accuracy/shown.h"

#define ITEMS  4
#define ROUNDS 3

static uint64_t real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- a detach that is forgotten: the thread goes on, or idles, and shows the span all the while
 */

static void *forget(void *unused)
{
	for (uint64_t left = truth_between(2, 5); left > 0; left--) {
		struct truth_span *span = shown_enter("forgotten", NULL), *part;

		shown_spin();
		part = shown_enter("part", span);
		shown_spin();
		shown_pause();
		shown_end(part);
		if (truth_one_in(2))
			shown_show(span);
		shown_spin();
		shown_pause();
		shown_end(span);
		if (truth_one_in(2))
			shown_spin();
		if (truth_one_in(4))
			shown_show(NULL);
		shown_pause();
		if (truth_one_in(2))
			shown_spin();
	}
	shown_show(NULL);
	return unused;
}

static void forgotten(void)
{
	shown_at_once(forget);
}

/* ---- callbacks in the context of a span that is over, within its parent or after it */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct truth_span *span;
	bool is_started, is_busy;
} callback = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void call_back(struct truth_span *span)
{
	struct truth_span *before = shown_now();

	shown_show(span);
	shown_spin();
	if (truth_one_in(3)) {
		struct truth_span *late = shown_enter("late", span);

		shown_spin();
		shown_end(late);
		shown_show(span);
	}
	shown_show(before);
}

static void *caller_main(void *unused)
{
	pthread_mutex_lock(&callback.lock);
	for (;;) {
		while (!callback.span)
			pthread_cond_wait(&callback.changed, &callback.lock);
		pthread_mutex_unlock(&callback.lock);
		call_back(callback.span);
		if (truth_one_in(2))
			shown_spin();
		pthread_mutex_lock(&callback.lock);
		callback.span = NULL;
		pthread_cond_broadcast(&callback.changed);
	}
	return unused;
}

static void ask_for_callback(struct truth_span *span)
{
	pthread_t thread;

	if (!callback.is_started)
		scenario_check(pthread_create(&thread, NULL, caller_main, NULL) == 0, "thread");
	callback.is_started = true;
	pthread_mutex_lock(&callback.lock);
	callback.span = span;
	pthread_cond_broadcast(&callback.changed);
	pthread_mutex_unlock(&callback.lock);
}

static void wait_for_callback(void)
{
	pthread_mutex_lock(&callback.lock);
	while (callback.span)
		pthread_cond_wait(&callback.changed, &callback.lock);
	pthread_mutex_unlock(&callback.lock);
}

static void again(void)
{
	struct truth_span *root = shown_enter("request", NULL), *part;

	shown_spin();
	part = shown_enter("part", root);
	shown_spin();
	shown_end(part);
	shown_show(root);
	shown_spin();
	ask_for_callback(part);
	shown_spin();
	if (truth_one_in(2))
		call_back(part);
	shown_spin();
	if (truth_one_in(2))
		wait_for_callback();
	shown_end(root);
	shown_show(NULL);
	if (truth_one_in(2))
		shown_spin();
	wait_for_callback();
	if (truth_one_in(2))
		call_back(root);
	scenario_sleep_ns(truth_length_ns(20 * US, 500 * US));
}

/* ---- a thread that takes several items whose spans began elsewhere, and works at each in turn */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct truth_span *items[ITEMS];
	unsigned count, open_count;
	bool is_started, is_linked;
} batch = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* The batch has a trace of its own, and its items, which are open meanwhile, show nothing. */
static void work_linked(struct truth_span *const *items, unsigned count)
{
	struct truth_span *span = shown_enter("batch", NULL);

	for (unsigned i = 0; i < count; i++) {
		shown_spin();
		shown_end(items[i]);
		shown_pause();
	}
	shown_spin();
	shown_end(span);
	shown_show(NULL);
}

static void work_in_turn(struct truth_span *const *items, unsigned count)
{
	for (int round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < count; i++) {
			shown_show(items[i]);
			shown_spin();
			if (truth_one_in(4))
				scenario_sleep_ns(truth_length_ns(20 * US, 500 * US));
			if (truth_one_in(2)) {
				shown_show(NULL);
				scenario_spin(3 * US, 50 * US);
			}
		}
	}
	shown_show(NULL);
	if (truth_one_in(2))
		shown_spin();
	for (unsigned i = 0; i < count; i++)
		shown_end(items[i]);
}

static void *batcher_main(void *unused)
{
	pthread_mutex_lock(&batch.lock);
	for (;;) {
		struct truth_span *items[ITEMS];
		unsigned count;

		while (!batch.count)
			pthread_cond_wait(&batch.changed, &batch.lock);
		count = batch.count;
		for (unsigned i = 0; i < count; i++)
			items[i] = batch.items[i];
		batch.count = 0;
		pthread_mutex_unlock(&batch.lock);
		if (batch.is_linked)
			work_linked(items, count);
		else
			work_in_turn(items, count);
		pthread_mutex_lock(&batch.lock);
		batch.open_count -= count;
		pthread_cond_broadcast(&batch.changed);
	}
	return unused;
}

static void produce(void)
{
	struct truth_span *root = truth_one_in(2) ? shown_enter("producer", NULL) : NULL;
	struct truth_span *item = shown_begin("item", truth_one_in(2) ? root : NULL);

	if (truth_one_in(2)) {
		shown_show(item);
		shown_spin();
		shown_show(root);
	}
	pthread_mutex_lock(&batch.lock);
	batch.items[batch.count++] = item;
	batch.open_count++;
	if (truth_one_in(2))
		pthread_cond_broadcast(&batch.changed);
	pthread_mutex_unlock(&batch.lock);
	shown_spin();
	if (root)
		shown_end(root);
	shown_show(NULL);
}

static void make_batch(bool is_linked)
{
	pthread_t thread;

	batch.is_linked = is_linked;
	if (!batch.is_started)
		scenario_check(pthread_create(&thread, NULL, batcher_main, NULL) == 0, "thread");
	batch.is_started = true;
	for (int i = 0; i < ITEMS; i++)
		produce();
	pthread_mutex_lock(&batch.lock);
	pthread_cond_broadcast(&batch.changed);
	while (batch.open_count)
		pthread_cond_wait(&batch.changed, &batch.lock);
	pthread_mutex_unlock(&batch.lock);
}

static void batched(void)
{
	make_batch(false);
}

static void linked(void)
{
	make_batch(true);
}

/* ---- spans whose times are given: begun before a thread had them, and over before it is told */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t asked_ns; /* 0: nothing to do */
	bool is_started;
} timed = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void serve_timed(uint64_t asked_ns, uint64_t idle_cpu_ns)
{
	struct truth_span *span = shown_begin_at("timed", NULL, asked_ns, idle_cpu_ns);
	struct truth_edge began;

	shown_show(span);
	shown_spin();
	began = truth_read_edge();
	shown_spin();
	shown_tell("part", &began);
	shown_spin();
	shown_stop(span);
	if (truth_one_in(2))
		shown_spin();
	shown_mark_end(span);
	shown_show(NULL);
}

static void *server_main(void *unused)
{
	pthread_mutex_lock(&timed.lock);
	for (;;) {
		uint64_t asked_ns, idle_cpu_ns = truth_cpu_ns();

		while (!timed.asked_ns)
			pthread_cond_wait(&timed.changed, &timed.lock);
		asked_ns = timed.asked_ns;
		pthread_mutex_unlock(&timed.lock);
		serve_timed(asked_ns, idle_cpu_ns);
		if (truth_one_in(2))
			scenario_spin(3 * US, 300 * US);
		pthread_mutex_lock(&timed.lock);
		timed.asked_ns = 0;
		pthread_cond_broadcast(&timed.changed);
	}
	return unused;
}

static void given_times(void)
{
	struct truth_span *asker = NULL;
	pthread_t thread;

	if (!timed.is_started)
		scenario_check(pthread_create(&thread, NULL, server_main, NULL) == 0, "thread");
	timed.is_started = true;
	if (truth_one_in(2))
		asker = shown_enter("asker", NULL);
	shown_spin();
	pthread_mutex_lock(&timed.lock);
	timed.asked_ns = real_ns();
	pthread_cond_broadcast(&timed.changed);
	pthread_mutex_unlock(&timed.lock);
	shown_spin();
	if (asker)
		shown_end(asker);
	shown_show(NULL);
	pthread_mutex_lock(&timed.lock);
	while (timed.asked_ns)
		pthread_cond_wait(&timed.changed, &timed.lock);
	pthread_mutex_unlock(&timed.lock);
}

const struct scenario scenario_slips[] = {
	{ .name = "forgotten", .turn = forgotten },     { .name = "again", .turn = again },
	{ .name = "batched", .turn = batched },         { .name = "linked", .turn = linked },
	{ .name = "given-times", .turn = given_times }, { .name = NULL },
};
