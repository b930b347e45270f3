/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/daemon_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "bpf/probe.h"
#include "collector/alert/alerter.h"
#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/data_folder.h"
#include "collector/engine.h"
#include "collector/export/forward.h"
#include "collector/http_conn.h"
#include "collector/keeper.h"
#include "collector/log.h"
#include "collector/memory_guard.h"
#include "collector/net/network.h"
#include "collector/privileges.h"
#include "collector/probe_watch.h"
#include "collector/query/name_cache.h"
#include "collector/self_watch.h"
#include "collector/stack_book.h"
#include "collector/strangers.h"
#include "collector/writer.h"
#include "storage/store.h"

#define FILES_KEPT 384ul /* descriptors for queries, the store and ourselves */

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

/* Of the kernel's table of threads. */
static uint32_t thread_bytes(const struct daemon *daemon)
{
	size_t bytes = daemon->plan.thread_bytes;

	if (daemon->config->most_threads)
		bytes = MIN(bytes, (size_t)daemon->config->most_threads * PROBE_THREAD_BYTES);
	return (uint32_t)bytes;
}

void daemon_start_probe(struct daemon *daemon)
{
	struct probe_options options = {
		.ring_bytes = (uint32_t)daemon->plan.ring_bytes,
		.tick_hz = (uint32_t)daemon->config->tick_hz,
		.max_processes = (uint32_t)daemon->config->max_processes,
		.thread_bytes = thread_bytes(daemon),
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
		rc = name_cache_new(daemon->plan.name_bytes, clock_mono_ns(), &daemon->names);
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

static void on_advance(bool begins, void *arg)
{
	struct daemon *daemon = arg;

	writer_hold(daemon->writer, begins);
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
		.on_advance = on_advance,
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

/* Ports before privileges go, the disk after that: what the daemon may not write must show now, not
 * when the next hour begins. */
static int start_guard(struct daemon *daemon)
{
	struct memory_guard_options options = {
		.plan = &daemon->plan,
		.store = daemon->store,
		.engine = daemon->engine,
		.network = daemon->network,
		.http = daemon->http,
		.watch = daemon->watch,
	};

	return memory_guard_start(&options, &daemon->memory_guard);
}

int daemon_start_parts(struct daemon *daemon)
{
	int rc = guards_open(daemon->config, &daemon->guards);

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
		rc = self_watch_start(&daemon->loop, daemon, daemon->config->health_interval_s,
				      &daemon->self_watch);
	if (rc == 0)
		rc = start_guard(daemon);
	return rc;
}
