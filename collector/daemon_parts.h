/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon from inside: its parts, made in their order. For daemon.c and daemon_parts.c alone. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "collector/config.h"
#include "collector/memory_plan.h"
#include "collector/metrics.h"
#include "collector/net/guards.h"

/*   STARTING --engine has loaded--> READY --signal--> DRAINING --clients gone--> STOPPING
 *       \------------- signal ------------------------------------------------------^
 */
enum daemon_state { DAEMON_STARTING, DAEMON_READY, DAEMON_DRAINING, DAEMON_STOPPING };

struct daemon {
	const struct config *config; /* borrowed */
	struct memory_plan plan;
	enum daemon_state state;
	atomic_bool is_ready; /* for other threads */
	int result;
	uint64_t started_ns;

	uv_loop_t loop;
	uv_signal_t signals[2]; /* that end us */
	uv_signal_t hangup;     /* reads certificates and tokens again */
	uv_timer_t look;        /* ... as does a change of their files */
	uv_timer_t patience;
	uv_async_t loaded; /* the engine knows the kernel's side and has loaded what was open */
	bool has_handles;

	struct probe *probe; /* all owned, in the order of their making */
	int probe_error;
	struct metrics metrics;
	struct guards guards;
	struct strangers *strangers; /* NULL while all is recorded */
	struct network *network;
	struct http_server *http;
	struct stack_book *stacks;
	struct name_cache *names;
	struct store *store;
	struct writer *writer;
	struct keeper *keeper;
	struct engine *engine;
	struct probe_watch *watch;
	struct alerter *alerter;
	struct self_watch *self_watch;
	struct memory_guard *memory_guard;
	struct forward *forward;

	char api_address[CONFIG_ADDRESS_BYTES];
};

/* First of all: it forks. */
void daemon_start_probe(struct daemon *daemon);
/* All others, on a loop that is initialised. Negative errno, and a line of the log; those that were
 * made stay for the daemon's end. */
int daemon_start_parts(struct daemon *daemon);
