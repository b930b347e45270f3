/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/daemon.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "bpf/probe.h"
#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/config.h"
#include "collector/data_folder.h"
#include "collector/engine.h"
#include "collector/http_conn.h"
#include "collector/intake.h"
#include "collector/listener.h"
#include "collector/log.h"
#include "collector/memory_plan.h"
#include "collector/metrics.h"
#include "collector/privileges.h"
#include "collector/probe_watch.h"
#include "collector/writer.h"
#include "storage/store.h"

#define FILES_KEPT        384ul /* descriptors for queries, the store and ourselves */
#define DRAIN_PATIENCE_MS 5000  /* for clients to end after GOAWAY */

/*   STARTING --engine has loaded--> READY --signal--> DRAINING --clients gone--> STOPPING
 *       \------------- signal ------------------------------------------------------^
 */
enum daemon_state { DAEMON_STARTING, DAEMON_READY, DAEMON_DRAINING, DAEMON_STOPPING };

static const bool moves[][4] = {
	[DAEMON_STARTING] = { [DAEMON_READY] = true, [DAEMON_STOPPING] = true },
	[DAEMON_READY] = { [DAEMON_DRAINING] = true, [DAEMON_STOPPING] = true },
	[DAEMON_DRAINING] = { [DAEMON_STOPPING] = true },
	[DAEMON_STOPPING] = { false },
};

struct daemon {
	const struct config *config; /* borrowed */
	struct memory_plan plan;
	enum daemon_state state;
	atomic_bool is_ready; /* for other threads */
	bool is_serving;      /* for health checks; the loop's */
	int result;
	uint64_t started_ns;

	uv_loop_t loop;
	uv_signal_t signals[2];
	uv_timer_t patience;
	uv_async_t loaded; /* the engine knows the kernel's side and has loaded what was open */
	bool has_handles;

	struct probe *probe; /* all owned, in the order of their making */
	int probe_error;
	struct metrics metrics;
	struct intake *intake;
	struct listener *listener;
	struct http_server *http;
	struct store *store;
	struct writer *writer;
	struct engine *engine;
	struct probe_watch *watch;

	char grpc_address[CONFIG_ADDRESS_BYTES];
	char api_address[CONFIG_ADDRESS_BYTES];
};

static void move(struct daemon *daemon, enum daemon_state to)
{
	assert(moves[daemon->state][to]);
	daemon->state = to;
	daemon->is_serving = to == DAEMON_READY;
	atomic_store(&daemon->is_ready, to == DAEMON_READY);
}

/* A connection is a descriptor. The soft limit of 1024 is for programs that use select(2); within
 * the hard one, some are kept for queries and the store: libuv closes what it cannot accept without
 * a word, so it must not come to that. */
static uint32_t connections_possible(const struct config *config)
{
	struct rlimit limit;
	uint64_t possible;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return (uint32_t)config->max_connections;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	possible =
		limit.rlim_max > 2 * FILES_KEPT ? limit.rlim_max - FILES_KEPT : limit.rlim_max / 4;
	if (possible < config->max_connections)
		log_line(LOG_WARNING,
			 "max_connections: %" PRIu64 " in place of %" PRIu64
			 ": raise the limit of open files",
			 possible, config->max_connections);
	return (uint32_t)MAX(1, MIN(possible, config->max_connections));
}

/* First of all: it forks. */
static void start_probe(struct daemon *daemon)
{
	struct probe_options options = {
		.ring_bytes = (uint32_t)daemon->plan.ring_bytes,
		.tick_hz = (uint32_t)daemon->config->tick_hz,
		.max_processes = (uint32_t)daemon->config->max_processes,
		.rescan_ms = (uint32_t)daemon->config->rescan_ms,
		.stacks_per_s = (uint32_t)daemon->config->stacks_per_s,
		.stack_wait_us = (uint32_t)daemon->config->stack_wait_us,
	};

	if (daemon->config->probe)
		daemon->probe_error = probe_start(&options, &daemon->probe);
}

static void on_pressure(bool hold, void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->listener)
		listener_hold(daemon->listener, hold);
	log_line(LOG_DEBUG, "intake: %s", hold ? "holds clients back" : "lets clients go on");
}

static int make_intake(struct daemon *daemon)
{
	struct intake_options options = {
		.loop = &daemon->loop,
		.metrics = &daemon->metrics,
		.limit_bytes = daemon->plan.in_flight_bytes,
		.on_pressure = on_pressure,
		.arg = daemon,
	};

	return intake_new(&options, &daemon->intake);
}

static int complain_bind(const char *key, const char *address, int rc)
{
	log_line(LOG_ERROR, "%s: cannot listen on %s: %s%s", key, address, strerror(-rc),
		 rc == -EADDRINUSE ? "; another program has the port: stop it, or choose another "
				     "port (0 picks a free one)"
				   : "");
	return rc;
}

static int bind_ports(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	struct listener_options options = {
		.loop = &daemon->loop,
		.address = config->grpc,
		.intake = daemon->intake,
		.metrics = &daemon->metrics,
		.serving = &daemon->is_serving,
		.max_connections = connections_possible(config),
		.max_streams = (uint32_t)config->max_streams,
		.max_request_bytes = (size_t)config->max_request_mib << 20,
		.idle_ms = config->idle_timeout_s * 1000,
	};
	int rc = listener_bind(&options, &daemon->listener, daemon->grpc_address,
			       sizeof(daemon->grpc_address));

	if (rc < 0)
		return complain_bind("grpc", config->grpc, rc);
	rc = http_server_start(&daemon->loop, config->api, daemon, &daemon->http,
			       daemon->api_address, sizeof(daemon->api_address));
	return rc < 0 ? complain_bind("api", config->api, rc) : 0;
}

static int drop_privileges(void)
{
	struct buf message;
	int rc;

	buf_init(&message, 0);
	rc = privileges_drop(&message);
	if (rc < 0)
		log_line(LOG_ERROR, "privileges: not given up, so nothing is served: %.*s",
			 (int)message.len, message.data);
	buf_fini(&message);
	return rc;
}

static int open_store(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	struct store_options options = {
		.path = config->data,
		.max_bytes = config->max_data_mib << 20,
		.max_age_ns = config->max_age_h * 3600 * NS_PER_SEC,
		.part_ns = config->part_minutes * 60 * NS_PER_SEC,
		.index_bytes = daemon->plan.index_bytes,
	};
	struct buf message;
	int rc = data_folder_make(config->data);

	if (rc < 0) {
		log_line(LOG_ERROR, "data: %s cannot be made: %s; choose another with --data",
			 config->data, strerror(-rc));
		return rc;
	}
	buf_init(&message, 0);
	rc = store_open(&options, clock_unix_ns(), &daemon->store, &message);
	if (rc < 0)
		log_line(LOG_ERROR, "data: %s cannot be opened: %.*s", config->data,
			 message.len ? (int)message.len : (int)strlen(strerror(-rc)),
			 message.len ? message.data : strerror(-rc));
	buf_fini(&message);
	return rc;
}

static int start_writer(struct daemon *daemon)
{
	struct writer_options options = {
		.store = daemon->store,
		.metrics = &daemon->metrics,
		.max_ledger_bytes = daemon->plan.ledger_bytes,
		.on_written = intake_on_written,
		.on_group = intake_on_group,
		.arg = daemon->intake,
	};

	return writer_start(&options, &daemon->writer);
}

static bool on_ledgers(const struct ledger *ledgers, size_t count, void *arg)
{
	struct daemon *daemon = arg;

	return writer_ledgers(daemon->writer, ledgers, count);
}

static bool has_room(void *arg)
{
	struct daemon *daemon = arg;

	return writer_has_room(daemon->writer);
}

static void on_fed(struct ticket *ticket, void *arg)
{
	struct daemon *daemon = arg;

	intake_on_fed(ticket, daemon->intake);
}

static void on_loaded(void *arg)
{
	struct daemon *daemon = arg;

	uv_async_send(&daemon->loaded);
}

static int start_engine(struct daemon *daemon)
{
	struct engine_options options = {
		.config = daemon->config,
		.store = daemon->store,
		.on_ledgers = on_ledgers,
		.has_room = has_room,
		.on_fed = on_fed,
		.on_loaded = on_loaded,
		.arg = daemon,
	};
	int rc = engine_start(&options, &daemon->engine);

	if (rc < 0 && *daemon->config->record)
		log_line(LOG_ERROR, "record: %s cannot be made: %s", daemon->config->record,
			 strerror(-rc));
	else if (rc < 0)
		log_line(LOG_ERROR, "engine: cannot start: %s", strerror(-rc));
	return rc;
}

static int start_watch(struct daemon *daemon)
{
	struct probe_watch_options options = {
		.loop = &daemon->loop,
		.probe = daemon->probe,
		.engine = daemon->engine,
		.start_error = daemon->probe_error,
	};

	return probe_watch_start(&options, &daemon->watch);
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
		 listener_connections(daemon->listener));
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
	listener_drain(daemon->listener, on_drained, daemon);
}

static void on_ready(uv_async_t *handle)
{
	struct daemon *daemon = handle->data;
	int rc;

	if (daemon->state != DAEMON_STARTING)
		return;
	rc = listener_accept(daemon->listener);
	if (rc < 0) {
		daemon->result = complain_bind("grpc", daemon->grpc_address, rc);
		stop(daemon);
		return;
	}
	move(daemon, DAEMON_READY);
	log_ready(daemon->grpc_address, daemon->api_address, daemon->config->data);
}

static int init_loop(struct daemon *daemon)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	int rc = uv_loop_init(&daemon->loop);

	if (rc < 0)
		return rc;
	uv_timer_init(&daemon->loop, &daemon->patience);
	daemon->patience.data = daemon;
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

/* Ports before privileges go, the disk after that: what the daemon may not write must show now, not
 * when the next hour begins. */
static int start(struct daemon *daemon)
{
	int rc = init_loop(daemon);

	if (rc == 0)
		rc = make_intake(daemon);
	if (rc == 0)
		rc = bind_ports(daemon);
	if (rc == 0)
		rc = drop_privileges();
	if (rc == 0)
		rc = open_store(daemon);
	if (rc == 0)
		rc = start_writer(daemon);
	if (rc == 0)
		rc = start_engine(daemon);
	if (rc < 0)
		return rc;
	intake_connect(daemon->intake, daemon->writer, daemon->engine);
	return start_watch(daemon);
}

/* Accepts parts that were never made. First the loop runs dry: answers go out, queries end. Then
 * nobody uses the threads any more. */
static void tear_down(struct daemon *daemon)
{
	int rc;

	if (daemon->has_handles) {
		listener_stop(daemon->listener);
		http_server_stop(daemon->http);
		probe_watch_stop(daemon->watch);
		uv_close((uv_handle_t *)&daemon->signals[0], NULL);
		uv_close((uv_handle_t *)&daemon->signals[1], NULL);
		uv_close((uv_handle_t *)&daemon->patience, NULL);
		uv_unref((uv_handle_t *)&daemon->loaded);
		uv_run(&daemon->loop, UV_RUN_DEFAULT);
	}
	probe_watch_free(daemon->watch);
	engine_stop(daemon->engine);
	writer_stop(daemon->writer);
	intake_free(daemon->intake);
	store_close(daemon->store);
	probe_stop(daemon->probe);
	if (daemon->has_handles) {
		uv_close((uv_handle_t *)&daemon->loaded, NULL);
		uv_run(&daemon->loop, UV_RUN_DEFAULT);
		rc = uv_loop_close(&daemon->loop);
		assert(rc == 0);
		(void)rc;
	}
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
	start_probe(daemon);
	rc = start(daemon);
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

struct intake *daemon_intake(const struct daemon *daemon)
{
	return daemon->intake;
}

struct probe_watch *daemon_probe(const struct daemon *daemon)
{
	return daemon->watch;
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
	return daemon->grpc_address;
}

const char *daemon_api_address(const struct daemon *daemon)
{
	return daemon->api_address;
}

double daemon_uptime_s(const struct daemon *daemon)
{
	return (double)(clock_mono_ns() - daemon->started_ns) / (double)NS_PER_SEC;
}
