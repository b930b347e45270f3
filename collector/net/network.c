/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/network.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/config.h"
#include "collector/intake.h"
#include "collector/log.h"
#include "collector/memory_plan.h"
#include "collector/net/admission.h"
#include "collector/net/credentials.h"
#include "collector/net/listener.h"
#include "collector/receive/otlp_service.h"
#include "collector/thread_rank.h"
#include "collector/ticket.h"

enum { GRPC, HTTP, PORTS };

static const char *const port_names[PORTS] = { "grpc", "http" };

/* What another thread may ask a loop for; each includes those before it. */
enum wish { WISH_NOTHING, WISH_DRAIN, WISH_STOP };

struct lane {
	struct network *network; /* borrowed */
	uv_loop_t own;           /* of lanes with a thread */
	uv_loop_t *loop;
	pthread_t thread;
	bool has_loop, has_thread, has_wake;
	uv_async_t wake;
	atomic_int wish;
	struct intake *intake;
	struct listener *ports[PORTS];
	bool is_serving; /* answers health checks */
	unsigned undrained;
};

struct network {
	struct network_options options;
	struct intake_pool pool;
	struct grpc_budget budget; /* of requests that are not whole */
	struct admission *admission;
	char addresses[PORTS][CONFIG_ADDRESS_BYTES];
	uv_async_t drained; /* a lane has drained; on the caller's loop */
	bool has_drained, is_stopping;
	atomic_uint undrained; /* lanes */
	void (*on_drained)(void *arg);
	void *drained_arg;
	unsigned lane_count;
	struct lane lanes[];
};

static void on_pressure(bool hold, void *arg)
{
	struct lane *lane = arg;

	for (int i = 0; i < PORTS; i++) {
		if (lane->ports[i])
			listener_hold(lane->ports[i], hold);
	}
}

static struct otlp_service service_of(struct lane *lane, int port)
{
	const struct network_options *options = &lane->network->options;
	const struct config *config = options->config;
	struct credentials *credentials = port == GRPC ? options->grpc : options->http;
	size_t request_bytes = (size_t)config->max_request_mib << 20;
	struct otlp_service service = {
		.intake = lane->intake,
		.metrics = options->metrics,
		.tokens = credentials->tokens,
		.http2 = {
			.takes_http = port == HTTP,
			.reflects = config->grpc_reflection,
			.serving = &lane->is_serving,
			.budget = &lane->network->budget,
			.max_message_bytes = request_bytes,
			.max_ratio = config->max_inflate_ratio,
			.head = { (uint32_t)config->max_header_bytes,
				  (uint32_t)config->max_headers },
			.max_streams = (uint32_t)config->max_streams,
			.idle_ms = (uint32_t)config->body_timeout_s * 1000,
			.greeting_ms = (uint32_t)config->first_byte_timeout_s * 1000,
			.head_ms = (uint32_t)config->header_timeout_s * 1000,
			.grace_ms = (uint32_t)config->max_connection_age_grace_s * 1000,
			.keepalive_ms = (uint32_t)config->keepalive_s * 1000,
			.keepalive_timeout_ms = (uint32_t)config->keepalive_timeout_s * 1000,
			.min_ping_ms = (uint32_t)config->min_ping_s * 1000,
		},
		.limits = otlp_limits_default,
		.http_limits = { .max_body_bytes = request_bytes,
				 .max_ratio = config->max_inflate_ratio },
		.timeouts = {
			.first_byte_ms = config->first_byte_timeout_s * 1000,
			.head_ms = config->header_timeout_s * 1000,
			.between_ms = config->body_timeout_s * 1000,
			.request_ms = config->request_timeout_s * 1000,
			.idle_ms = config->idle_timeout_s * 1000,
			.age_ms = config->max_connection_age_s * 1000,
		},
		.max_head_bytes = config->max_header_bytes,
		.max_head_fields = (unsigned)config->max_headers,
		.cors_origins = config->cors_origins,
		.cors_headers = config->cors_headers,
	};

	service.limits.max_spans = (uint32_t)config->max_spans;
	service.limits.max_attributes = (uint32_t)config->max_attributes;
	service.limits.max_nesting = (uint32_t)config->max_nesting;
	return service; /* whoever keeps it points http_limits.batch to its limits */
}

static int complain(const char *key, const char *address, int rc)
{
	log_line(LOG_ERROR, "%s: cannot listen on %s: %s%s", key, address, strerror(-rc),
		 rc == -EADDRINUSE ? "; another program has it: stop it, or choose another "
				     "address (port 0 picks a free one)"
				   : "");
	return rc;
}

/* Later lanes listen where the first one does. */
static int bind_port(struct lane *lane, int port)
{
	struct network *network = lane->network;
	const struct config *config = network->options.config;
	const char *wanted = port == GRPC ? config->grpc : config->http;
	bool is_first = lane == network->lanes;
	struct listener_options options = {
		.loop = lane->loop,
		.name = port_names[port],
		.address = is_first ? wanted : network->addresses[port],
		.speaks_http1 = port == HTTP,
		.is_shared = network->lane_count > 1,
		.tls = (port == GRPC ? network->options.grpc : network->options.http)->tls,
		.admission = network->admission,
		.siblings = lane->ports,
		.sibling_count = PORTS,
		.service = service_of(lane, port),
	};
	char address[CONFIG_ADDRESS_BYTES] = "";
	int rc;

	if (!is_first && strncmp(wanted, "unix:", 5) == 0)
		return 0;
	rc = listener_bind(&options, &lane->ports[port], address, sizeof(address));
	if (rc < 0)
		return complain(port_names[port], wanted, rc);
	if (is_first)
		memcpy(network->addresses[port], address, sizeof(address));
	return 0;
}

static void on_lane_drained(void *arg)
{
	struct lane *lane = arg;

	if (--lane->undrained == 0 && atomic_fetch_sub(&lane->network->undrained, 1) == 1)
		uv_async_send(&lane->network->drained);
}

static void drain(struct lane *lane)
{
	lane->is_serving = false;
	lane->undrained = 1;
	for (int i = 0; i < PORTS; i++) {
		if (!lane->ports[i])
			continue;
		lane->undrained++;
		listener_drain(lane->ports[i], on_lane_drained, lane);
	}
	on_lane_drained(lane);
}

static void stop(struct lane *lane)
{
	lane->is_serving = false;
	for (int i = 0; i < PORTS; i++) {
		listener_stop(lane->ports[i]);
		lane->ports[i] = NULL;
	}
	uv_unref((uv_handle_t *)&lane->wake);
}

static void on_wake(uv_async_t *wake)
{
	struct lane *lane = wake->data;
	int wish = atomic_load(&lane->wish);

	if (wish == WISH_STOP)
		stop(lane);
	else if (wish == WISH_DRAIN && lane->is_serving)
		drain(lane);
}

static void ask(struct lane *lane, enum wish wish)
{
	atomic_store(&lane->wish, wish);
	uv_async_send(&lane->wake);
}

static void *run(void *arg)
{
	struct lane *lane = arg;

	pthread_setname_np(pthread_self(), "network");
	thread_rank_set(THREAD_RANK_INGEST);
	uv_run(lane->loop, UV_RUN_DEFAULT);
	return NULL;
}

#define STREAMS_BYTES ((size_t)1 << 20) /* what a connection's other streams cost, and more */

/* A quarter of what may be in flight is set aside, in equal parts for all connections. Of the rest
 * the largest request must fit into four fifths. */
static void fill_budget(struct network *network)
{
	size_t largest = (size_t)network->options.config->max_request_mib << 20;
	size_t bytes = network->options.plan->in_flight_bytes;

	network->budget.own_bytes = bytes / 4 / network->options.max_connections;
	network->budget.limit_bytes = MAX(bytes - bytes / 4, largest + largest / 4 + STREAMS_BYTES);
}

static int open_lane(struct network *network, struct lane *lane)
{
	struct intake_options intake = {
		.metrics = network->options.metrics,
		.pool = &network->pool,
		.strangers = network->options.strangers,
		.on_pressure = on_pressure,
		.arg = lane,
	};
	bool is_first = lane == network->lanes;
	int rc = 0;

	lane->network = network;
	lane->loop = is_first ? network->options.loop : &lane->own;
	if (!is_first)
		rc = uv_loop_init(lane->loop);
	if (rc < 0)
		return rc;
	lane->has_loop = true;
	rc = uv_async_init(lane->loop, &lane->wake, on_wake);
	if (rc < 0)
		return rc;
	lane->has_wake = true;
	lane->wake.data = lane;
	intake.loop = lane->loop;
	rc = intake_new(&intake, &lane->intake);
	for (int i = 0; rc == 0 && i < PORTS; i++)
		rc = bind_port(lane, i);
	return rc;
}

static void on_drained(uv_async_t *drained)
{
	struct network *network = drained->data;
	void (*tell)(void *arg) = network->on_drained;

	network->on_drained = NULL;
	if (tell)
		tell(network->drained_arg);
}

int network_new(const struct network_options *options, struct network **out_network)
{
	unsigned count = (unsigned)options->config->network_threads;
	struct network *network = calloc(1, sizeof(*network) + count * sizeof(network->lanes[0]));
	int rc;

	if (!network)
		return -ENOMEM;
	*out_network = network;
	network->options = *options;
	atomic_init(&network->pool.limit_bytes, options->plan->in_flight_bytes);
	fill_budget(network);
	network->lane_count = count;
	network->drained.data = network;
	rc = admission_new(options->max_connections,
			   (uint32_t)options->config->max_connections_per_peer,
			   &network->admission);
	if (rc == 0)
		rc = uv_async_init(options->loop, &network->drained, on_drained);
	if (rc == 0)
		network->has_drained = true;
	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = open_lane(network, &network->lanes[i]);
	return rc;
}

void network_connect(struct network *network, struct writer *writer, struct engine *engine)
{
	for (unsigned i = 0; i < network->lane_count; i++)
		intake_connect(network->lanes[i].intake, writer, engine);
}

static int start_lane(struct network *network, struct lane *lane)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < PORTS; i++) {
		if (lane->ports[i])
			rc = listener_accept(lane->ports[i]);
		if (rc < 0)
			return complain(port_names[i], network->addresses[i], rc);
	}
	lane->is_serving = true;
	if (lane == network->lanes)
		return 0;
	rc = -pthread_create(&lane->thread, NULL, run, lane);
	lane->has_thread = rc == 0;
	return rc;
}

int network_accept(struct network *network)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < network->lane_count; i++)
		rc = start_lane(network, &network->lanes[i]);
	return rc;
}

void network_drain(struct network *network, void (*tell)(void *arg), void *arg)
{
	network->on_drained = tell;
	network->drained_arg = arg;
	atomic_store(&network->undrained, network->lane_count);
	for (unsigned i = 0; i < network->lane_count; i++)
		ask(&network->lanes[i], WISH_DRAIN);
}

static void on_closed(uv_handle_t *handle)
{
	(void)handle;
}

/* A lane whose thread never began is stopped from here: nobody else touches it. */
void network_stop(struct network *network)
{
	if (!network || network->is_stopping)
		return;
	network->is_stopping = true;
	network->on_drained = NULL;
	for (unsigned i = 0; i < network->lane_count; i++) {
		struct lane *lane = &network->lanes[i];

		if (lane->has_thread)
			ask(lane, WISH_STOP);
		else if (lane->has_wake)
			stop(lane);
	}
	if (network->has_drained)
		uv_close((uv_handle_t *)&network->drained, on_closed);
}

void network_join(struct network *network)
{
	for (unsigned i = 1; network && i < network->lane_count; i++) {
		struct lane *lane = &network->lanes[i];

		if (lane->has_thread)
			pthread_join(lane->thread, NULL);
		else if (lane->has_loop)
			uv_run(lane->loop, UV_RUN_DEFAULT);
	}
}

static void close_lane(struct lane *lane)
{
	intake_free(lane->intake);
	if (lane->has_wake)
		uv_close((uv_handle_t *)&lane->wake, on_closed);
	if (!lane->has_loop)
		return;
	uv_run(lane->loop, UV_RUN_NOWAIT);
	if (lane != lane->network->lanes) {
		int rc = uv_loop_close(lane->loop);

		assert(rc == 0);
		(void)rc;
	}
}

void network_free(struct network *network)
{
	if (!network)
		return;
	for (unsigned i = 0; i < network->lane_count; i++)
		close_lane(&network->lanes[i]);
	admission_free(network->admission);
	free(network);
}

const char *network_grpc_address(const struct network *network)
{
	return network->addresses[GRPC];
}

const char *network_http_address(const struct network *network)
{
	return network->addresses[HTTP];
}

size_t network_connections(const struct network *network)
{
	return admission_count(network->admission);
}

size_t network_in_flight_bytes(const struct network *network)
{
	return atomic_load(&network->pool.in_flight_bytes);
}

void network_limit_in_flight(struct network *network, size_t bytes)
{
	atomic_store_explicit(&network->pool.limit_bytes, bytes, memory_order_relaxed);
}

void network_on_written(struct ticket *ticket, void *arg)
{
	(void)arg;
	intake_on_written(ticket);
}

void network_on_group(void *arg)
{
	struct network *network = arg;

	for (unsigned i = 0; i < network->lane_count; i++)
		intake_on_group(network->lanes[i].intake);
}

/* Room has come free for all of them. */
void network_on_fed(struct ticket *ticket, void *arg)
{
	struct network *network = arg;

	intake_on_fed(ticket);
	for (unsigned i = 0; i < network->lane_count; i++)
		intake_on_room(network->lanes[i].intake);
}
