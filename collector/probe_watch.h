/* SPDX-License-Identifier: Apache-2.0 */
/* The probe's messages, from its socket to the engine, the log and the status.
 *
 *   STARTING --hello--> UP --died--> RESTARTING --hello--> UP ...
 *      \--failed, silent, switched off--> ABSENT --hello--> UP
 *
 * Loop thread, but for the two functions at the end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bpf/probe.h"

struct engine;
struct stack_book;
struct strangers;
struct probe_watch;

enum probe_watch_state { PROBE_STARTING, PROBE_UP, PROBE_RESTARTING, PROBE_ABSENT };

struct probe_watch_options {
	uv_loop_t *loop;     /* borrowed, as all pointers */
	struct probe *probe; /* NULL: there is none, `start_error` says why */
	struct engine *engine;
	struct stack_book *stacks;
	struct strangers *strangers; /* NULL: there are none */
	int start_error;             /* of probe_start; 0 with probe NULL: switched off */
};

/* Also on failure there is a watch to be stopped, unless memory was out (-ENOMEM, NULL). */
int probe_watch_start(const struct probe_watch_options *options, struct probe_watch **out_watch);

/* Closes the handles; the probe itself is not touched. When the loop has run dry and nobody asks
 * any more, the memory may go. Both accept NULL. */
void probe_watch_stop(struct probe_watch *watch);
void probe_watch_free(struct probe_watch *watch);

/* Any thread. */
struct probe_watch_snapshot {
	enum probe_watch_state state;
	uint32_t features;
	uint64_t map_bytes;
	int error;
	char text[512]; /* why it is absent, and what to do */
	struct probe_stats stats;
};

void probe_watch_snapshot(struct probe_watch *watch, struct probe_watch_snapshot *out_snapshot);

/* Processes that publish or cannot be read, by pid, until `visit` returns non-zero; that is then
 * returned. `visit` must not block. Any thread. */
int probe_watch_each_process(struct probe_watch *watch,
			     int (*visit)(const struct event_process *process, void *arg),
			     void *arg);
const char *probe_watch_state_name(enum probe_watch_state state);
