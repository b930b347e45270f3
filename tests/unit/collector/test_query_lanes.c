/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/query_lanes.h"

#define LONG_ONES  6u
#define QUICK_ONES 200u

struct state {
	uv_loop_t loop;
	struct query_lanes lanes;
	pthread_t loop_thread;
	atomic_bool may_end; /* long ones wait for it */
	atomic_uint long_running, most_running;
	unsigned done, long_done;
	bool is_closed;
};

struct job {
	struct query_job job;
	struct state *state;
	bool has_run;
};

static void run(struct query_job *query)
{
	struct job *job = CONTAINER_OF(query, struct job, job);
	struct state *state = job->state;

	assert_false(pthread_equal(pthread_self(), state->loop_thread));
	if (query->is_long) {
		unsigned running = atomic_fetch_add(&state->long_running, 1) + 1;

		if (running > atomic_load(&state->most_running))
			atomic_store(&state->most_running, running);
		while (!atomic_load(&state->may_end))
			usleep(100);
		atomic_fetch_sub(&state->long_running, 1);
	}
	job->has_run = true;
}

static void on_closed(struct query_lanes *lanes)
{
	CONTAINER_OF(lanes, struct state, lanes)->is_closed = true;
}

static void done(struct query_job *query)
{
	struct job *job = CONTAINER_OF(query, struct job, job);
	struct state *state = job->state;

	assert_true(pthread_equal(pthread_self(), state->loop_thread));
	assert_true(job->has_run);
	state->done++;
	if (query->is_long)
		state->long_done++;
	else
		assert_int_equal(state->long_done, 0);
	if (state->done == QUICK_ONES)
		atomic_store(&state->may_end, true);
	if (state->done == QUICK_ONES + LONG_ONES)
		query_lanes_close(&state->lanes, on_closed);
}

static struct state *start(void)
{
	static struct state state;

	state = (struct state){ .loop_thread = pthread_self() };
	assert_int_equal(uv_loop_init(&state.loop), 0);
	assert_int_equal(query_lanes_open(&state.lanes, &state.loop), 0);
	return &state;
}

static void ask_all(struct state *state, struct job jobs[LONG_ONES + QUICK_ONES])
{
	for (size_t i = 0; i < LONG_ONES + QUICK_ONES; i++) {
		jobs[i] = (struct job){
			.job = { .is_long = i < LONG_ONES, .run = run, .done = done },
			.state = state,
		};
		assert_int_equal(query_lanes_start(&state->lanes, &jobs[i].job), 0);
	}
}

/* All the long ones are asked first, and end only when every quick one has been answered. */
static void quick_ones_never_wait_for_long_ones(void **cmocka)
{
	static struct job jobs[LONG_ONES + QUICK_ONES];
	struct state *state = start();

	(void)cmocka;
	ask_all(state, jobs);
	assert_int_equal(uv_run(&state->loop, UV_RUN_DEFAULT), 0);
	assert_true(state->is_closed);
	assert_int_equal(state->long_done, LONG_ONES);
	assert_true(atomic_load(&state->most_running) < QUERY_THREADS);
	assert_int_equal(uv_loop_close(&state->loop), 0);
}

/* As before, with one at a time. */
static void where_little_is_left_long_ones_run_one_by_one(void **cmocka)
{
	static struct job jobs[LONG_ONES + QUICK_ONES];
	struct state *state = start();

	(void)cmocka;
	query_lanes_limit(&state->lanes, 0);
	ask_all(state, jobs);
	assert_int_equal(uv_run(&state->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(state->long_done, LONG_ONES);
	assert_int_equal(atomic_load(&state->most_running), 1);
	assert_int_equal(uv_loop_close(&state->loop), 0);
}

static void lanes_without_a_query_close_and_had_no_thread(void **cmocka)
{
	struct state *state = start();

	(void)cmocka;
	assert_int_equal(state->lanes.thread_count, 0);
	assert_int_equal(uv_run(&state->loop, UV_RUN_DEFAULT), 0); /* idle lanes hold no loop */
	query_lanes_close(&state->lanes, on_closed);
	assert_int_equal(uv_run(&state->loop, UV_RUN_DEFAULT), 0);
	assert_true(state->is_closed);
	assert_int_equal(uv_loop_close(&state->loop), 0);
}

#define SENDERS 4u
#define SENT    20000u

struct woken {
	uv_loop_t loop;
	struct wake wake;
	atomic_uint written;
	unsigned seen;
};

static void *send_often(void *arg)
{
	struct woken *woken = arg;

	for (unsigned i = 0; i < SENT; i++) {
		atomic_fetch_add(&woken->written, 1);
		wake_send(&woken->wake);
	}
	return NULL;
}

static void on_wake_closed(struct wake *wake)
{
	(void)wake;
}

static void on_wake(struct wake *wake)
{
	struct woken *woken = CONTAINER_OF(wake, struct woken, wake);

	woken->seen = atomic_load(&woken->written);
	if (woken->seen == SENDERS * SENT)
		wake_hold_loop(wake, false);
}

/* The last one that was written is seen, however they meet. */
static void nothing_that_was_sent_is_missed(void **cmocka)
{
	static struct woken woken;
	pthread_t senders[SENDERS];

	(void)cmocka;
	assert_int_equal(uv_loop_init(&woken.loop), 0);
	assert_int_equal(wake_init(&woken.wake, &woken.loop, on_wake), 0);
	for (size_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&senders[i], NULL, send_often, &woken), 0);
	uv_run(&woken.loop, UV_RUN_DEFAULT);
	for (size_t i = 0; i < SENDERS; i++)
		pthread_join(senders[i], NULL);
	assert_int_equal(woken.seen, SENDERS * SENT);
	wake_close(&woken.wake, on_wake_closed);
	assert_int_equal(uv_run(&woken.loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&woken.loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quick_ones_never_wait_for_long_ones),
		cmocka_unit_test(where_little_is_left_long_ones_run_one_by_one),
		cmocka_unit_test(lanes_without_a_query_close_and_had_no_thread),
		cmocka_unit_test(nothing_that_was_sent_is_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
