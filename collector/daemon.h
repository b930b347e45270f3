/* SPDX-License-Identifier: Apache-2.0 */
/* The running daemon: builds its parts in order, tears them down in reverse.
 *
 * One per process, on the loop thread. The accessors may be called from any thread while the
 * daemon serves; what they return outlives every query. ARCHITECTURE.md draws the whole. */
#pragma once

#include <stdbool.h>

struct alerter;
struct config;
struct daemon;
struct engine;
struct metrics;
struct name_cache;
struct network;
struct probe_watch;
struct memory_guard;
struct self_watch;
struct stack_book;
struct store;
struct writer;

/* Serves until SIGTERM or SIGINT. Returns 0 after a clean end, else a negative errno; what went
 * wrong has been logged. Forks the probe: no thread may exist before. */
int daemon_run(const struct config *config);

const struct config *daemon_config(const struct daemon *daemon);
struct store *daemon_store(const struct daemon *daemon);
struct stack_book *daemon_stacks(const struct daemon *daemon);
struct name_cache *daemon_names(const struct daemon *daemon);
struct engine *daemon_engine(const struct daemon *daemon);
struct writer *daemon_writer(const struct daemon *daemon);
struct network *daemon_network(const struct daemon *daemon);
struct probe_watch *daemon_probe(const struct daemon *daemon);
struct alerter *daemon_alerter(const struct daemon *daemon);
struct self_watch *daemon_self_watch(const struct daemon *daemon);
struct memory_guard *daemon_memory_guard(const struct daemon *daemon);
struct metrics *daemon_metrics(struct daemon *daemon);

/* Accepting spans and queries: true from the line "ready" until a signal. */
bool daemon_is_ready(const struct daemon *daemon);
const char *daemon_grpc_address(const struct daemon *daemon);
const char *daemon_http_address(const struct daemon *daemon);
const char *daemon_api_address(const struct daemon *daemon);
double daemon_uptime_s(const struct daemon *daemon);
