/* SPDX-License-Identifier: Apache-2.0 */
/* Queries at work on threads of their own, in two lanes: what is answered in a moment goes first,
 * and does not wait behind what reads for long, for that gets all threads but one.
 *
 * Not in libuv's pool: what comes back from there has the loop wait for its sender (wake.h).
 *
 * Loop thread only, but for `run`. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "collector/queue.h"
#include "collector/wake.h"

#define QUERY_THREADS 4u

struct query_lanes {
	unsigned count; /* all that were started and are not done */
	struct wake wake;
	pthread_t threads[QUERY_THREADS];
	unsigned thread_count; /* they begin with the first query: what the process gave up
				* meanwhile, they never have */
	void (*on_closed)(struct query_lanes *lanes);

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t has_work;
	struct queue quick, lengthy; /* that wait */
	struct queue done;           /* that wait for the loop */
	unsigned lengthy_running, most_lengthy;
	bool is_closing;
};

/* Part of whoever asks. */
struct query_job {
	struct queue_link link;
	bool is_long;
	void (*run)(struct query_job *job);  /* a thread of the lanes */
	void (*done)(struct query_job *job); /* the loop again; the job is free by then */
};

/* Negative errno. */
int query_lanes_open(struct query_lanes *lanes, uv_loop_t *loop);
/* Nothing is at work. `lanes` stay where they are until `on_closed`. */
void query_lanes_close(struct query_lanes *lanes, void (*on_closed)(struct query_lanes *lanes));

/* So many of the lengthy lane may run at once from now on, one at least: any thread. What runs
 * already goes on. */
void query_lanes_limit(struct query_lanes *lanes, unsigned most_lengthy);

/* `job` stays where it is until `done`. -EAGAIN: the system has no thread to give. */
int query_lanes_start(struct query_lanes *lanes, struct query_job *job);
