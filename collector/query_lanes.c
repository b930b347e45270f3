/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query_lanes.h"

#include <assert.h>
#include <errno.h>

#include "collector/base/macros.h"
#include "collector/thread_rank.h"

static struct query_job *job_of(struct queue_link *link)
{
	return link ? CONTAINER_OF(link, struct query_job, link) : NULL;
}

/* NULL: nothing that may run now. */
static struct query_job *take(struct query_lanes *lanes)
{
	if (lanes->quick.first)
		return job_of(queue_pop(&lanes->quick));
	if (lanes->lengthy_running >= MIN(MAX(lanes->thread_count, 2) - 1, lanes->most_lengthy))
		return NULL;
	return job_of(queue_pop(&lanes->lengthy));
}

static void run(struct query_lanes *lanes, struct query_job *job)
{
	bool is_long = job->is_long;

	lanes->lengthy_running += is_long;
	pthread_mutex_unlock(&lanes->lock);
	thread_rank_set(is_long ? THREAD_RANK_SCAN : THREAD_RANK_ANSWER);
	job->run(job);
	pthread_mutex_lock(&lanes->lock);
	lanes->lengthy_running -= is_long;
	queue_push(&lanes->done, &job->link);
	pthread_mutex_unlock(&lanes->lock);
	wake_send(&lanes->wake);
	pthread_mutex_lock(&lanes->lock);
}

static void *work(void *arg)
{
	struct query_lanes *lanes = arg;

	pthread_setname_np(pthread_self(), "query");
	pthread_mutex_lock(&lanes->lock);
	while (!lanes->is_closing) {
		struct query_job *job = take(lanes);

		if (job)
			run(lanes, job);
		else
			pthread_cond_wait(&lanes->has_work, &lanes->lock);
	}
	pthread_mutex_unlock(&lanes->lock);
	return NULL;
}

static void on_wake(struct wake *wake)
{
	struct query_lanes *lanes = CONTAINER_OF(wake, struct query_lanes, wake);
	struct query_job *job;
	struct queue done;

	pthread_mutex_lock(&lanes->lock);
	done = queue_take(&lanes->done);
	pthread_mutex_unlock(&lanes->lock);
	while ((job = job_of(queue_pop(&done)))) {
		if (--lanes->count == 0)
			wake_hold_loop(&lanes->wake, false);
		job->done(job); /* and be it that it closes us */
	}
}

int query_lanes_open(struct query_lanes *lanes, uv_loop_t *loop)
{
	int rc;

	*lanes = (struct query_lanes){ .most_lengthy = QUERY_THREADS };
	rc = wake_init(&lanes->wake, loop, on_wake);
	if (rc < 0)
		return rc;
	wake_hold_loop(&lanes->wake, false);
	pthread_mutex_init(&lanes->lock, NULL);
	pthread_cond_init(&lanes->has_work, NULL);
	return 0;
}

static void on_closed(struct wake *wake)
{
	struct query_lanes *lanes = CONTAINER_OF(wake, struct query_lanes, wake);

	pthread_cond_destroy(&lanes->has_work);
	pthread_mutex_destroy(&lanes->lock);
	lanes->on_closed(lanes);
}

void query_lanes_close(struct query_lanes *lanes, void (*closed)(struct query_lanes *lanes))
{
	assert(lanes->count == 0);
	lanes->on_closed = closed;
	pthread_mutex_lock(&lanes->lock);
	lanes->is_closing = true;
	pthread_cond_broadcast(&lanes->has_work);
	pthread_mutex_unlock(&lanes->lock);
	for (unsigned i = 0; i < lanes->thread_count; i++)
		pthread_join(lanes->threads[i], NULL);
	wake_close(&lanes->wake, on_closed);
}

/* As many as there can be; one is enough. */
static int begin(struct query_lanes *lanes)
{
	pthread_mutex_lock(&lanes->lock);
	while (lanes->thread_count < QUERY_THREADS &&
	       pthread_create(&lanes->threads[lanes->thread_count], NULL, work, lanes) == 0)
		lanes->thread_count++;
	pthread_mutex_unlock(&lanes->lock);
	return lanes->thread_count ? 0 : -EAGAIN;
}

void query_lanes_limit(struct query_lanes *lanes, unsigned most_lengthy)
{
	pthread_mutex_lock(&lanes->lock);
	if (most_lengthy > lanes->most_lengthy)
		pthread_cond_broadcast(&lanes->has_work);
	lanes->most_lengthy = MAX(most_lengthy, 1);
	pthread_mutex_unlock(&lanes->lock);
}

int query_lanes_start(struct query_lanes *lanes, struct query_job *job)
{
	int rc = lanes->thread_count < QUERY_THREADS ? begin(lanes) : 0;

	if (rc < 0)
		return rc;
	if (lanes->count++ == 0)
		wake_hold_loop(&lanes->wake, true);
	pthread_mutex_lock(&lanes->lock);
	queue_push(job->is_long ? &lanes->lengthy : &lanes->quick, &job->link);
	pthread_mutex_unlock(&lanes->lock);
	pthread_cond_signal(&lanes->has_work);
	return 0;
}
