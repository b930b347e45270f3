/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/address.h"
#include "collector/grpc_conn.h"
#include "collector/intake.h"
#include "collector/log.h"
#include "collector/metrics.h"

#define BACKLOG           511
#define TICK_MS           1000
#define READ_BUFFER_BYTES ((size_t)64 << 10)

static const char *const methods[] = { GRPC_TRACE_EXPORT, NULL };

struct listener {
	struct listener_options options;
	struct grpc_conn_options conn_options;
	struct grpc_counters counters;
	struct grpc_counters reported; /* what /metrics has of them */
	uv_tcp_t tcp;
	uv_timer_t tick;
	struct grpc_conn *first; /* owned, each until on_gone */
	size_t connections;
	unsigned open_handles;
	bool has_waiting; /* libuv holds an accepted socket and polls no further until we take it */
	bool is_holding;
	bool is_draining;
	bool is_stopping;
	void (*on_drained)(void *arg);
	void *drained_arg;
};

static void link_conn(struct listener *listener, struct grpc_conn *conn)
{
	struct grpc_conn_link *link = grpc_conn_link(conn);

	link->previous = NULL;
	link->next = listener->first;
	if (listener->first)
		grpc_conn_link(listener->first)->previous = conn;
	listener->first = conn;
	listener->connections++;
}

static void unlink_conn(struct listener *listener, struct grpc_conn *conn)
{
	struct grpc_conn_link *link = grpc_conn_link(conn);

	if (link->previous)
		grpc_conn_link(link->previous)->next = link->next;
	else
		listener->first = link->next;
	if (link->next)
		grpc_conn_link(link->next)->previous = link->previous;
	listener->connections--;
}

static void free_if_over(struct listener *listener)
{
	if (!listener->is_stopping || listener->open_handles || listener->connections)
		return;
	free(listener->conn_options.read_buffer.base);
	free(listener);
}

static void on_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;

	listener->open_handles--;
	free_if_over(listener);
}

static void tell_drained(struct listener *listener)
{
	void (*on_drained)(void *arg) = listener->on_drained;

	if (!on_drained || listener->connections)
		return;
	listener->on_drained = NULL;
	on_drained(listener->drained_arg);
}

static void take_connection(struct listener *listener)
{
	struct grpc_conn *conn;
	int rc = grpc_conn_start(&listener->conn_options, (uv_stream_t *)&listener->tcp, &conn);

	if (rc < 0) {
		metrics_add(listener->options.metrics, METRIC_ACCEPT_FAILED, 1);
		LOG_LIMITED(LOG_WARNING, "grpc: a connection was not accepted: %s", strerror(-rc));
		return;
	}
	metrics_add(listener->options.metrics, METRIC_CONNECTIONS, 1);
	link_conn(listener, conn);
	if (listener->is_holding)
		grpc_conn_hold(conn, true);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct listener *listener = server->data;

	if (status < 0) {
		metrics_add(listener->options.metrics, METRIC_ACCEPT_FAILED, 1);
		LOG_LIMITED(LOG_WARNING,
			    "grpc: connections are not accepted: %s; raise the limit of "
			    "open files",
			    strerror(-status));
		return;
	}
	if (listener->is_draining)
		return;
	if (listener->connections >= listener->options.max_connections) {
		listener->has_waiting = true;
		LOG_LIMITED(LOG_WARNING, "grpc: max_connections reached; further clients wait");
		return;
	}
	take_connection(listener);
}

static void on_gone(struct grpc_conn *conn, void *arg)
{
	struct listener *listener = arg;

	unlink_conn(listener, conn);
	if (listener->has_waiting && !listener->is_draining && !listener->is_stopping) {
		listener->has_waiting = false;
		take_connection(listener);
	}
	tell_drained(listener);
	free_if_over(listener);
}

/* The session's counters are the loop's own; /metrics reads atomics. */
static void report(struct listener *listener)
{
	struct metrics *metrics = listener->options.metrics;
	struct grpc_counters *now = &listener->counters, *old = &listener->reported;

	for (unsigned i = 0; i < GRPC_STATUS_COUNT; i++)
		metrics_add(metrics, (enum metric)(METRIC_GRPC_OK + i),
			    now->replies[i] - old->replies[i]);
	metrics_add(metrics, METRIC_GRPC_RESET, now->cancelled - old->cancelled);
	*old = *now;
}

_Static_assert(METRIC_GRPC_UNAUTHENTICATED - METRIC_GRPC_OK + 1 == GRPC_STATUS_COUNT,
	       "a row for each status");

static void for_each(struct listener *listener,
		     void (*visit)(struct listener *listener, struct grpc_conn *conn))
{
	for (struct grpc_conn *conn = listener->first, *next; conn; conn = next) {
		next = grpc_conn_link(conn)->next;
		visit(listener, conn);
	}
}

static void tick_conn(struct listener *listener, struct grpc_conn *conn)
{
	grpc_conn_tick(conn, uv_now(listener->options.loop));
}

static void on_tick(uv_timer_t *timer)
{
	struct listener *listener = timer->data;

	for_each(listener, tick_conn);
	report(listener);
}

static void init_conn_options(struct listener *listener, const struct listener_options *options)
{
	listener->conn_options = (struct grpc_conn_options){
		.loop = options->loop,
		.session = {
			.methods = methods,
			.serving = options->serving,
			.budget = intake_budget(options->intake),
			.counters = &listener->counters,
			.max_message_bytes = options->max_request_bytes,
			.max_streams = options->max_streams,
		},
		.intake = options->intake,
		.metrics = options->metrics,
		.read_buffer = uv_buf_init(malloc(READ_BUFFER_BYTES), READ_BUFFER_BYTES),
		.idle_ms = options->idle_ms,
		.on_gone = on_gone,
		.arg = listener,
	};
}

static int bind_to(struct listener *listener, char *out_address, size_t size)
{
	struct sockaddr_storage address;
	int len = sizeof(address);
	int rc = address_parse(listener->options.address, &address);

	if (rc == 0)
		rc = uv_tcp_bind(&listener->tcp, (struct sockaddr *)&address, 0);
	if (rc == 0)
		/* bind(2) reports a port in use only now: libuv keeps it for listen. */
		rc = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&address, &len);
	if (rc == 0)
		address_format(&address, out_address, size);
	return rc;
}

int listener_bind(const struct listener_options *options, struct listener **out_listener,
		  char *out_address, size_t size)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int rc;

	if (!listener)
		return -ENOMEM;
	listener->options = *options;
	init_conn_options(listener, options);
	listener->tcp.data = listener;
	listener->tick.data = listener;
	uv_tcp_init(options->loop, &listener->tcp);
	uv_timer_init(options->loop, &listener->tick);
	listener->open_handles = 2;
	rc = listener->conn_options.read_buffer.base ? bind_to(listener, out_address, size)
						     : -ENOMEM;
	if (rc < 0) {
		listener_stop(listener);
		return rc;
	}
	*out_listener = listener;
	return 0;
}

int listener_accept(struct listener *listener)
{
	int rc = uv_timer_start(&listener->tick, on_tick, TICK_MS, TICK_MS);

	return rc < 0 ? rc : uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
}

static void drain_conn(struct listener *listener, struct grpc_conn *conn)
{
	(void)listener;
	grpc_conn_drain(conn);
}

static void close_server(struct listener *listener)
{
	if (!uv_is_closing((uv_handle_t *)&listener->tcp))
		uv_close((uv_handle_t *)&listener->tcp, on_closed);
}

void listener_drain(struct listener *listener, void (*on_drained)(void *arg), void *arg)
{
	listener->is_draining = true;
	listener->on_drained = on_drained;
	listener->drained_arg = arg;
	close_server(listener);
	for_each(listener, drain_conn);
	tell_drained(listener);
}

static void stop_conn(struct listener *listener, struct grpc_conn *conn)
{
	(void)listener;
	grpc_conn_stop(conn);
}

void listener_stop(struct listener *listener)
{
	if (!listener || listener->is_stopping)
		return;
	listener->is_stopping = true;
	listener->on_drained = NULL;
	close_server(listener);
	uv_close((uv_handle_t *)&listener->tick, on_closed);
	for_each(listener, stop_conn);
}

static void hold_conn(struct listener *listener, struct grpc_conn *conn)
{
	grpc_conn_hold(conn, listener->is_holding);
}

void listener_hold(struct listener *listener, bool hold)
{
	listener->is_holding = hold;
	for_each(listener, hold_conn);
}

size_t listener_connections(const struct listener *listener)
{
	return listener->connections;
}
