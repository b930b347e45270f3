/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query_lanes.h"

#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/thread_rank.h"

#define POOL_DEFAULT 4 /* threads; libuv's own figure */

/* How many may be taken by what lasts long. */
static unsigned long_lanes(void)
{
	const char *said = getenv("UV_THREADPOOL_SIZE");
	int threads = said ? atoi(said) : POOL_DEFAULT;

	return (unsigned)MAX(threads - 1, 1);
}

static void on_work(uv_work_t *work)
{
	struct query_job *job = work->data;

	thread_rank_set(job->is_long ? THREAD_RANK_SCAN : THREAD_RANK_ANSWER);
	job->run(job);
}

static void on_done(uv_work_t *work, int status);

static void queue_work(struct query_job *job)
{
	job->lanes->long_running += job->is_long;
	job->work.data = job;
	/* It refuses nothing but a missing callback. */
	uv_queue_work(job->lanes->loop, &job->work, on_work, on_done);
}

static void start_waiting(struct query_lanes *lanes)
{
	while (lanes->waiting.first && lanes->long_running < long_lanes())
		queue_work(CONTAINER_OF(queue_pop(&lanes->waiting), struct query_job, link));
}

static void on_done(uv_work_t *work, int status)
{
	struct query_job *job = work->data;
	struct query_lanes *lanes = job->lanes;

	(void)status; /* nobody cancels */
	lanes->count--;
	lanes->long_running -= job->is_long;
	start_waiting(lanes);
	job->done(job);
}

void query_lanes_start(struct query_lanes *lanes, struct query_job *job)
{
	job->lanes = lanes;
	lanes->count++;
	if (job->is_long) {
		queue_push(&lanes->waiting, &job->link);
		start_waiting(lanes);
	} else {
		queue_work(job);
	}
}
