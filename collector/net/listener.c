/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/log.h"
#include "collector/net/admission.h"
#include "collector/net/endpoint.h"
#include "collector/receive/otlp_conn.h"

#define BACKLOG          511
#define TICK_MS          1000
#define EARLY_TICK_MS    10   /* for a client's deadline; not more often, whatever clients say */
#define STRANGER_MS      2000 /* how long a connection may be open without being answered anything */
#define SILENCE_MS       10000 /* how long another may be silent: only when all places are taken */
#define UNIX_SOCKET_MODE 0660

/* Who is asked to leave takes a second or two, and others wait behind the one that waits. */
#define LEAVING_AT_A_TIME 32
#define ABOUT_AS_LONG_MS  1000

static const char *const methods[] = { GRPC_TRACE_EXPORT, NULL };

struct listener {
	struct listener_options options;
	struct otlp_conn_options conn_options;
	struct grpc_counters counters;
	struct grpc_counters reported; /* what /metrics has of them */
	struct endpoint endpoint;
	uv_timer_t tick;
	struct otlp_conn *first; /* owned, each until on_gone */
	size_t connections;
	unsigned leaving; /* of these, to make room */
	unsigned open_handles;
	bool has_waiting; /* libuv holds an accepted socket and polls no further until we take it */
	bool is_holding;
	bool is_draining;
	bool is_stopping;
	void (*on_drained)(void *arg);
	void *drained_arg;
};

static void link_conn(struct listener *listener, struct otlp_conn *conn)
{
	struct otlp_conn_link *link = otlp_conn_link(conn);

	link->previous = NULL;
	link->next = listener->first;
	if (listener->first)
		otlp_conn_link(listener->first)->previous = conn;
	listener->first = conn;
	listener->connections++;
}

static void unlink_conn(struct listener *listener, struct otlp_conn *conn)
{
	struct otlp_conn_link *link = otlp_conn_link(conn);

	if (link->previous)
		otlp_conn_link(link->previous)->next = link->next;
	else
		listener->first = link->next;
	if (link->next)
		otlp_conn_link(link->next)->previous = link->previous;
	listener->connections--;
}

static void free_if_over(struct listener *listener)
{
	if (!listener->is_stopping || listener->open_handles || listener->connections)
		return;
	free(listener->conn_options.transport.read_buffer.base);
	free(listener);
}

static void release(struct listener *listener)
{
	listener->open_handles--;
	free_if_over(listener);
}

static void on_endpoint_closed(void *arg)
{
	release(arg);
}

static void on_tick_closed(uv_handle_t *handle)
{
	release(handle->data);
}

static void tell_drained(struct listener *listener)
{
	void (*on_drained)(void *arg) = listener->on_drained;

	if (!on_drained || listener->connections)
		return;
	listener->on_drained = NULL;
	on_drained(listener->drained_arg);
}

static void count(struct listener *listener, enum metric metric)
{
	metrics_add(listener->options.service.metrics, metric, 1);
}

/* Whoever has too many open is closed at once; the others must not wait for him. */
static void check_peer(struct listener *listener, struct otlp_conn *conn)
{
	struct sockaddr_storage peer;

	if (!otlp_conn_peer(conn, &peer))
		return;
	if (admission_enter_peer(listener->options.admission, &peer)) {
		otlp_conn_link(conn)->peer = peer;
		return;
	}
	count(listener, METRIC_CONNECTIONS_CROWDED);
	LOG_LIMITED(LOG_WARNING,
		    "%s: a connection was closed: its peer has max_connections_per_peer",
		    listener->options.name);
	otlp_conn_stop(conn);
}

/* A place has been taken for it. */
static void take_connection(struct listener *listener)
{
	struct otlp_conn *conn = NULL;
	int rc = otlp_conn_start(&listener->conn_options, &listener->endpoint.uv.stream, &conn);

	if (conn)
		link_conn(listener, conn);
	else
		admission_leave(listener->options.admission);
	if (rc < 0) {
		count(listener, METRIC_ACCEPT_FAILED);
		LOG_LIMITED(LOG_WARNING, "%s: a connection was not accepted: %s",
			    listener->options.name, strerror(-rc));
		return;
	}
	count(listener, METRIC_CONNECTIONS);
	check_peer(listener, conn);
	if (listener->is_holding)
		otlp_conn_hold(conn, true);
}

/* Those who have been silent for about as long as the one that was so for the longest. */
static void ask_to_leave(struct listener *listener, uint64_t until_ms)
{
	uint64_t now_ms = uv_now(listener->options.loop);

	for (struct otlp_conn *conn = listener->first, *next; conn; conn = next) {
		bool is_stranger;

		next = otlp_conn_link(conn)->next;
		if (listener->leaving >= LEAVING_AT_A_TIME ||
		    otlp_conn_useless_since_ms(conn, now_ms, &is_stranger) > until_ms ||
		    is_stranger)
			continue;
		count(listener, METRIC_CONNECTIONS_EVICTED);
		otlp_conn_link(conn)->is_evicted = true;
		listener->leaving++;
		otlp_conn_drain(conn);
	}
}

/* When all places are taken, one that is of no use is given to somebody new: a stranger's, who has
 * not said anything sensible in a while, else those of clients who have been silent for long.
 * false: there is none here. */
static bool evict(struct listener *listener)
{
	struct otlp_conn *stranger = NULL;
	uint64_t now_ms = uv_now(listener->options.loop);
	uint64_t stranger_ms = now_ms - STRANGER_MS, silent_ms = now_ms - SILENCE_MS;
	uint64_t idle_ms = silent_ms;

	for (struct otlp_conn *conn = listener->first; conn; conn = otlp_conn_link(conn)->next) {
		bool is_stranger;
		uint64_t since_ms = otlp_conn_useless_since_ms(conn, now_ms, &is_stranger);

		if (is_stranger && since_ms < stranger_ms) {
			stranger_ms = since_ms;
			stranger = conn;
		} else if (!is_stranger) {
			idle_ms = MIN(idle_ms, since_ms);
		}
	}
	if (stranger) {
		count(listener, METRIC_CONNECTIONS_EVICTED);
		otlp_conn_stop(stranger);
	} else if (idle_ms < silent_ms) {
		ask_to_leave(listener, MIN(idle_ms + ABOUT_AS_LONG_MS, silent_ms));
	}
	return stranger || idle_ms < silent_ms;
}

/* The other ports' clients may have all the places. */
static void make_room(struct listener *listener)
{
	bool is_made = evict(listener);

	for (size_t i = 0; i < listener->options.sibling_count && !is_made; i++) {
		struct listener *sibling = listener->options.siblings[i];

		is_made = sibling && sibling != listener && evict(sibling);
	}
}

static void take_waiting(struct listener *listener)
{
	if (!listener->has_waiting || listener->is_draining || listener->is_stopping)
		return;
	if (!admission_enter(listener->options.admission)) {
		make_room(listener);
		return;
	}
	listener->has_waiting = false;
	take_connection(listener);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct listener *listener = server->data;

	if (status < 0) {
		count(listener, METRIC_ACCEPT_FAILED);
		LOG_LIMITED(LOG_WARNING,
			    "%s: connections are not accepted: %s; raise the limit of open files",
			    listener->options.name, strerror(-status));
		return;
	}
	listener->has_waiting = true;
	take_waiting(listener);
	if (listener->has_waiting && !listener->is_draining)
		LOG_LIMITED(LOG_WARNING, "%s: max_connections reached; further clients wait",
			    listener->options.name);
}

/* A place is free: for those who wait at another port first, or this one's would always be faster.
 */
static void let_in(struct listener *listener)
{
	for (size_t i = 0; i < listener->options.sibling_count && !listener->is_stopping; i++) {
		struct listener *sibling = listener->options.siblings[i];

		if (sibling && sibling != listener)
			take_waiting(sibling);
	}
	take_waiting(listener);
}

static void on_gone(struct otlp_conn *conn, void *arg)
{
	struct listener *listener = arg;
	const struct sockaddr_storage *peer = &otlp_conn_link(conn)->peer;

	unlink_conn(listener, conn);
	if (otlp_conn_link(conn)->is_evicted)
		listener->leaving--;
	if (peer->ss_family)
		admission_leave_peer(listener->options.admission, peer);
	admission_leave(listener->options.admission);
	let_in(listener);
	tell_drained(listener);
	free_if_over(listener);
}

/* The session's counters are the loop's own; /metrics reads atomics. */
static void report(struct listener *listener)
{
	struct metrics *metrics = listener->options.service.metrics;
	struct grpc_counters *now = &listener->counters, *old = &listener->reported;

	for (unsigned i = 0; i < GRPC_STATUS_COUNT; i++)
		metrics_add(metrics, (enum metric)(METRIC_GRPC_OK + i),
			    now->replies[i] - old->replies[i]);
	metrics_add(metrics, METRIC_GRPC_RESET, now->cancelled - old->cancelled);
	metrics_add(metrics, METRIC_STREAMS_REFUSED, now->refused_streams - old->refused_streams);
	*old = *now;
}

_Static_assert(METRIC_GRPC_UNAUTHENTICATED - METRIC_GRPC_OK + 1 == GRPC_STATUS_COUNT,
	       "a row for each status");

static void for_each(struct listener *listener,
		     void (*visit)(struct listener *listener, struct otlp_conn *conn))
{
	for (struct otlp_conn *conn = listener->first, *next; conn; conn = next) {
		next = otlp_conn_link(conn)->next;
		visit(listener, conn);
	}
}

static void tick_conn(struct listener *listener, struct otlp_conn *conn)
{
	otlp_conn_tick(conn, uv_now(listener->options.loop));
}

static void on_tick(uv_timer_t *timer)
{
	struct listener *listener = timer->data;

	for_each(listener, tick_conn);
	take_waiting(listener);
	report(listener);
}

/* Clients say in ms how long they wait. */
static void on_deadline(uint64_t ms, void *arg)
{
	struct listener *listener = arg;
	uint64_t now_ms = uv_now(listener->options.loop);
	uint64_t wait_ms = MAX(ms - MIN(ms, now_ms), EARLY_TICK_MS);

	if (!listener->is_stopping && wait_ms < uv_timer_get_due_in(&listener->tick))
		uv_timer_start(&listener->tick, on_tick, wait_ms, TICK_MS);
}

static void init_conn_options(struct listener *listener)
{
	struct listener_options *options = &listener->options;

	options->service.http2.methods = methods;
	options->service.http2.counters = &listener->counters;
	options->service.http_limits.batch = &options->service.limits;
	listener->conn_options = (struct otlp_conn_options){
		.transport = {
			.loop = options->loop,
			.tls = options->tls,
			.read_buffer = uv_buf_init(malloc(TRANSPORT_READ_BYTES),
						   TRANSPORT_READ_BYTES),
			.handshake_ms = options->service.timeouts.first_byte_ms,
		},
		.service = &options->service,
		.speaks_http1 = options->speaks_http1,
		.name = options->name,
		.on_deadline = on_deadline,
		.on_gone = on_gone,
		.arg = listener,
	};
	otlp_conn_prepare(&listener->conn_options);
}

int listener_bind(const struct listener_options *options, struct listener **out_listener,
		  char *out_address, size_t size)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	struct endpoint_options endpoint = {
		.loop = options->loop,
		.address = options->address,
		.is_shared = options->is_shared,
		.unix_mode = UNIX_SOCKET_MODE,
	};
	int rc;

	if (!listener)
		return -ENOMEM;
	listener->options = *options;
	init_conn_options(listener);
	listener->tick.data = listener;
	uv_timer_init(options->loop, &listener->tick);
	listener->open_handles = 2;
	rc = endpoint_bind(&listener->endpoint, &endpoint, on_endpoint_closed, listener,
			   out_address, size);
	listener->endpoint.uv.handle.data = listener;
	if (rc == 0 && !listener->conn_options.transport.read_buffer.base)
		rc = -ENOMEM;
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

	return rc < 0 ? rc : endpoint_listen(&listener->endpoint, BACKLOG, on_connection);
}

static void drain_conn(struct listener *listener, struct otlp_conn *conn)
{
	(void)listener;
	otlp_conn_drain(conn);
}

void listener_drain(struct listener *listener, void (*on_drained)(void *arg), void *arg)
{
	listener->is_draining = true;
	listener->on_drained = on_drained;
	listener->drained_arg = arg;
	endpoint_close(&listener->endpoint);
	for_each(listener, drain_conn);
	tell_drained(listener);
}

static void stop_conn(struct listener *listener, struct otlp_conn *conn)
{
	(void)listener;
	otlp_conn_stop(conn);
}

void listener_stop(struct listener *listener)
{
	if (!listener || listener->is_stopping)
		return;
	listener->is_stopping = true;
	listener->on_drained = NULL;
	endpoint_close(&listener->endpoint);
	uv_close((uv_handle_t *)&listener->tick, on_tick_closed);
	for_each(listener, stop_conn);
}

static void hold_conn(struct listener *listener, struct otlp_conn *conn)
{
	otlp_conn_hold(conn, listener->is_holding);
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
