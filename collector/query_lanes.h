/* SPDX-License-Identifier: Apache-2.0 */
/* Queries at work in libuv's pool, in two lanes: what is answered in a moment does not wait behind
 * what reads for long, for that gets all threads of the pool but one.
 *
 * Loop thread only, but for `run`. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "collector/queue.h"

struct query_lanes {
	uv_loop_t *loop;      /* borrowed */
	struct queue waiting; /* long ones */
	unsigned long_running;
	unsigned count; /* all that were started and are not done */
};

/* Part of whoever asks. */
struct query_job {
	struct queue_link link;
	uv_work_t work;
	struct query_lanes *lanes;
	bool is_long;
	void (*run)(struct query_job *job);  /* a thread of the pool */
	void (*done)(struct query_job *job); /* the loop again; the job is free by then */
};

/* `lanes` and `job` stay where they are until `done`. */
void query_lanes_start(struct query_lanes *lanes, struct query_job *job);
