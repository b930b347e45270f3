/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/daemon.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/probe.h"
#include "collector/alert/alerter.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/daemon_parts.h"
#include "collector/engine.h"
#include "collector/export/forward.h"
#include "collector/http_conn.h"
#include "collector/keeper.h"
#include "collector/log.h"
#include "collector/memory_guard.h"
#include "collector/net/network.h"
#include "collector/probe_watch.h"
#include "collector/query/name_cache.h"
#include "collector/self_watch.h"
#include "collector/stack_book.h"
#include "collector/strangers.h"
#include "collector/thread_rank.h"
#include "collector/writer.h"
#include "storage/store.h"

#define LOOK_MS           2000 /* between two looks at the files of certificates and tokens */
#define DRAIN_PATIENCE_MS 5000 /* for clients to end after GOAWAY */

static const bool moves[][4] = {
	[DAEMON_STARTING] = { [DAEMON_READY] = true, [DAEMON_STOPPING] = true },
	[DAEMON_READY] = { [DAEMON_DRAINING] = true, [DAEMON_STOPPING] = true },
	[DAEMON_DRAINING] = { [DAEMON_STOPPING] = true },
	[DAEMON_STOPPING] = { false },
};

static void move(struct daemon *daemon, enum daemon_state to)
{
	assert(moves[daemon->state][to]);
	daemon->state = to;
	atomic_store(&daemon->is_ready, to == DAEMON_READY);
}

static void stop(struct daemon *daemon)
{
	if (daemon->state == DAEMON_STOPPING)
		return;
	move(daemon, DAEMON_STOPPING);
	uv_stop(&daemon->loop);
}

static void on_drained(void *arg)
{
	stop(arg);
}

static void on_patience(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	log_line(LOG_WARNING, "stopping: %zu clients did not end in time",
		 network_connections(daemon->network));
	stop(daemon);
}

/* From here on the next signal has its default effect: it ends the process at once. */
static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;

	uv_signal_stop(&daemon->signals[0]);
	uv_signal_stop(&daemon->signals[1]);
	log_line(LOG_INFO, "stopping: %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
	if (daemon->state != DAEMON_READY) {
		stop(daemon);
		return;
	}
	move(daemon, DAEMON_DRAINING);
	uv_timer_start(&daemon->patience, on_patience, DRAIN_PATIENCE_MS, 0);
	network_drain(daemon->network, on_drained, daemon);
}

static void on_ready(uv_async_t *handle)
{
	struct daemon *daemon = handle->data;
	int rc;

	if (daemon->state != DAEMON_STARTING)
		return;
	rc = network_accept(daemon->network);
	if (rc < 0) {
		daemon->result = rc;
		stop(daemon);
		return;
	}
	move(daemon, DAEMON_READY);
	log_ready(network_grpc_address(daemon->network), network_http_address(daemon->network),
		  daemon->api_address, daemon->config->data);
}

static void on_hangup(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;

	(void)number;
	guards_reload(&daemon->guards, true);
}

static void on_look(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	guards_reload(&daemon->guards, false);
}

static int init_loop(struct daemon *daemon)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	int rc = uv_loop_init(&daemon->loop);

	if (rc < 0)
		return rc;
	uv_timer_init(&daemon->loop, &daemon->patience);
	daemon->patience.data = daemon;
	uv_timer_init(&daemon->loop, &daemon->look);
	daemon->look.data = daemon;
	uv_timer_start(&daemon->look, on_look, LOOK_MS, LOOK_MS);
	uv_signal_init(&daemon->loop, &daemon->hangup);
	daemon->hangup.data = daemon;
	uv_signal_start(&daemon->hangup, on_hangup, SIGHUP);
	rc = uv_async_init(&daemon->loop, &daemon->loaded, on_ready);
	assert(rc == 0);
	daemon->loaded.data = daemon;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uv_signal_init(&daemon->loop, &daemon->signals[i]);
		daemon->signals[i].data = daemon;
		uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
	}
	daemon->has_handles = true;
	return 0;
}

/* Accepts parts that were never made. First the loop runs dry: answers go out, queries end. Then
 * nobody uses the threads any more. */
static void tear_down(struct daemon *daemon)
{
	int rc;

	memory_guard_stop(daemon->memory_guard); /* it speaks to all of them */
	if (daemon->has_handles) {
		network_stop(daemon->network);
		http_server_stop(daemon->http);
		probe_watch_stop(daemon->watch);
		self_watch_stop(daemon->self_watch);
		uv_close((uv_handle_t *)&daemon->signals[0], NULL);
		uv_close((uv_handle_t *)&daemon->signals[1], NULL);
		uv_close((uv_handle_t *)&daemon->patience, NULL);
		uv_close((uv_handle_t *)&daemon->hangup, NULL);
		uv_close((uv_handle_t *)&daemon->look, NULL);
		uv_unref((uv_handle_t *)&daemon->loaded);
		uv_run(&daemon->loop, UV_RUN_DEFAULT);
		network_join(daemon->network);
	}
	self_watch_free(daemon->self_watch);
	alerter_stop(daemon->alerter);
	probe_watch_free(daemon->watch);
	engine_stop(daemon->engine);
	keeper_stop(daemon->keeper);
	writer_stop(daemon->writer);
	forward_stop(daemon->forward);
	network_free(daemon->network);
	strangers_free(daemon->strangers);
	store_close(daemon->store);
	name_cache_free(daemon->names);
	stack_book_free(daemon->stacks);
	probe_stop(daemon->probe);
	if (daemon->has_handles) {
		uv_close((uv_handle_t *)&daemon->loaded, NULL);
		uv_run(&daemon->loop, UV_RUN_DEFAULT);
		rc = uv_loop_close(&daemon->loop);
		assert(rc == 0);
		(void)rc;
	}
	guards_close(&daemon->guards);
}

int daemon_run(const struct config *config)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int rc;

	if (!daemon)
		return -ENOMEM;
	daemon->config = config;
	daemon->plan = memory_plan(config);
	daemon->started_ns = clock_mono_ns();
	log_set_level((enum log_level)config->log_level);
	signal(SIGPIPE, SIG_IGN);
	memory_plan_tell_heap();
	daemon_start_probe(daemon);
	rc = init_loop(daemon);
	if (rc == 0)
		rc = daemon_start_parts(daemon);
	thread_rank_set(THREAD_RANK_INGEST);
	if (rc == 0) {
		uv_run(&daemon->loop, UV_RUN_DEFAULT);
		rc = daemon->result;
	}
	tear_down(daemon);
	if (rc == 0)
		log_line(LOG_INFO, "stopped: everything that was acknowledged is on disk");
	free(daemon);
	return rc;
}

const struct config *daemon_config(const struct daemon *daemon)
{
	return daemon->config;
}

struct stack_book *daemon_stacks(const struct daemon *daemon)
{
	return daemon->stacks;
}

struct name_cache *daemon_names(const struct daemon *daemon)
{
	return daemon->names;
}

struct store *daemon_store(const struct daemon *daemon)
{
	return daemon->store;
}

struct engine *daemon_engine(const struct daemon *daemon)
{
	return daemon->engine;
}

struct writer *daemon_writer(const struct daemon *daemon)
{
	return daemon->writer;
}

struct network *daemon_network(const struct daemon *daemon)
{
	return daemon->network;
}

struct probe_watch *daemon_probe(const struct daemon *daemon)
{
	return daemon->watch;
}

struct self_watch *daemon_self_watch(const struct daemon *daemon)
{
	return daemon->self_watch;
}

struct memory_guard *daemon_memory_guard(const struct daemon *daemon)
{
	return daemon->memory_guard;
}

struct alerter *daemon_alerter(const struct daemon *daemon)
{
	return daemon->alerter;
}

struct metrics *daemon_metrics(struct daemon *daemon)
{
	return &daemon->metrics;
}

bool daemon_is_ready(const struct daemon *daemon)
{
	return atomic_load(&daemon->is_ready);
}

const char *daemon_grpc_address(const struct daemon *daemon)
{
	return network_grpc_address(daemon->network);
}

const char *daemon_http_address(const struct daemon *daemon)
{
	return network_http_address(daemon->network);
}

const char *daemon_api_address(const struct daemon *daemon)
{
	return daemon->api_address;
}

double daemon_uptime_s(const struct daemon *daemon)
{
	return (double)(clock_mono_ns() - daemon->started_ns) / (double)NS_PER_SEC;
}
