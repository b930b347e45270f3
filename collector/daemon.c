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
#include "collector/alert/alerter.h"
#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/config.h"
#include "collector/data_folder.h"
#include "collector/engine.h"
#include "collector/export/forward.h"
#include "collector/http_conn.h"
#include "collector/keeper.h"
#include "collector/log.h"
#include "collector/memory_plan.h"
#include "collector/metrics.h"
#include "collector/net/guards.h"
#include "collector/net/network.h"
#include "collector/privileges.h"
#include "collector/probe_watch.h"
#include "collector/self_watch.h"
#include "collector/stack_book.h"
#include "collector/strangers.h"
#include "collector/thread_rank.h"
#include "collector/writer.h"
#include "storage/store.h"

#define FILES_KEPT        384ul /* descriptors for queries, the store and ourselves */
#define LOOK_MS           2000  /* between two looks at the files of certificates and tokens */
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
	struct store *store;
	struct writer *writer;
	struct keeper *keeper;
	struct engine *engine;
	struct probe_watch *watch;
	struct alerter *alerter;
	struct self_watch *self_watch;
	struct forward *forward;

	char api_address[CONFIG_ADDRESS_BYTES];
};

static void move(struct daemon *daemon, enum daemon_state to)
{
	assert(moves[daemon->state][to]);
	daemon->state = to;
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
		.thread_bytes = (uint32_t)daemon->plan.thread_bytes,
		.symbol_bytes = (uint32_t)daemon->plan.symbol_bytes,
		.table_bytes = (uint32_t)daemon->plan.table_bytes,
		.rescan_ms = (uint32_t)daemon->config->rescan_ms,
		.stacks_per_s = (uint32_t)daemon->config->stacks_per_s,
		.stack_wait_us = (uint32_t)daemon->config->stack_wait_us,
		.kernel_stacks = (uint32_t)daemon->config->kernel_stacks,
		.lose_switches = (uint32_t)daemon->config->lose_switches,
	};

	if (daemon->config->probe)
		daemon->probe_error = probe_start(&options, &daemon->probe);
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
	struct network_options options = {
		.loop = &daemon->loop,
		.config = config,
		.plan = &daemon->plan,
		.metrics = &daemon->metrics,
		.strangers = daemon->strangers,
		.max_connections = connections_possible(config),
		.grpc = &daemon->guards.of[GUARDED_GRPC],
		.http = &daemon->guards.of[GUARDED_HTTP],
	};
	struct http_server_options api = {
		.loop = &daemon->loop,
		.address = config->api,
		.daemon = daemon,
		.tls = daemon->guards.of[GUARDED_API].tls,
		.tokens = daemon->guards.of[GUARDED_API].tokens,
		.origins = config->api_cors_origins,
	};
	int rc = network_new(&options, &daemon->network);

	if (rc < 0)
		return rc;
	rc = http_server_start(&api, &daemon->http, daemon->api_address,
			       sizeof(daemon->api_address));
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
	rc = stack_book_new(daemon->plan.stack_bytes, &daemon->stacks);
	if (rc == 0)
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
		.stacks = daemon->stacks,
		.max_ledger_bytes = daemon->plan.ledger_bytes,
		.on_written = network_on_written,
		.on_group = network_on_group,
		.arg = daemon->network,
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

	network_on_fed(ticket, daemon->network);
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
		.strangers = daemon->strangers,
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

static int start_alerter(struct daemon *daemon)
{
	struct alerter_options options = {
		.config = daemon->config,
		.store = daemon->store,
		.daemon = daemon,
		.api_address = daemon->api_address,
	};

	return alerter_start(&options, &daemon->alerter);
}

static int start_forward(struct daemon *daemon)
{
	struct forward_options options = {
		.config = daemon->config,
		.store = daemon->store,
		.metrics = &daemon->metrics,
	};

	if (!*daemon->config->forward)
		return 0;
	if (strstr(daemon->config->forward, network_http_address(daemon->network)) ||
	    strstr(daemon->config->forward, network_grpc_address(daemon->network))) {
		log_line(LOG_ERROR, "forward: %s is our own address", daemon->config->forward);
		return -ELOOP;
	}
	return forward_start(&options, &daemon->forward);
}

static int start_watch(struct daemon *daemon)
{
	struct probe_watch_options options = {
		.loop = &daemon->loop,
		.probe = daemon->probe,
		.engine = daemon->engine,
		.stacks = daemon->stacks,
		.strangers = daemon->strangers,
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

/* Ports before privileges go, the disk after that: what the daemon may not write must show now, not
 * when the next hour begins. */
static int start(struct daemon *daemon)
{
	int rc = init_loop(daemon);

	if (rc == 0)
		rc = guards_open(daemon->config, &daemon->guards);
	if (rc == 0 && !*daemon->config->record) /* what is recorded is to be whole */
		rc = strangers_new(&daemon->strangers);
	if (rc == 0)
		rc = bind_ports(daemon);
	if (rc == 0)
		rc = drop_privileges();
	if (rc == 0)
		rc = open_store(daemon);
	if (rc == 0)
		rc = start_writer(daemon);
	if (rc == 0)
		rc = keeper_start(daemon->store, &daemon->keeper);
	if (rc == 0)
		rc = start_engine(daemon);
	if (rc == 0)
		rc = start_alerter(daemon);
	if (rc == 0)
		rc = start_forward(daemon);
	if (rc < 0)
		return rc;
	network_connect(daemon->network, daemon->writer, daemon->engine);
	rc = start_watch(daemon);
	if (rc == 0)
		rc = self_watch_start(&daemon->loop, daemon, &daemon->self_watch);
	return rc;
}

/* Accepts parts that were never made. First the loop runs dry: answers go out, queries end. Then
 * nobody uses the threads any more. */
static void tear_down(struct daemon *daemon)
{
	int rc;

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
	start_probe(daemon);
	rc = start(daemon);
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
