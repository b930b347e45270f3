/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/address.h"
#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/http1.h"
#include "collector/http_answer.h"
#include "collector/http_host.h"
#include "collector/log.h"
#include "collector/metrics.h"
#include "collector/net/endpoint.h"
#include "collector/net/origins.h"
#include "collector/net/tokens.h"
#include "collector/net/transport.h"
#include "collector/query.h"
#include "collector/query_lanes.h"

#define MAX_BODY_BYTES    ((size_t)64 << 10)  /* every route is a GET: bodies are dropped */
#define MAX_PENDING_BYTES ((size_t)256 << 10) /* pipelined ahead of the answer */
#define BACKLOG           128
#define UNIX_SOCKET_MODE  0660

struct http_server {
	struct daemon *daemon; /* borrowed */
	struct tokens *tokens; /* borrowed; NULL: everybody may ask */
	const char *origins;   /* borrowed */
	struct endpoint endpoint;
	struct transport_options transport;
	bool is_local; /* listens on loopback: the Host header must say so */
	bool stopping;
	unsigned holders; /* the listening handle and each connection */
	unsigned conn_count;
	size_t unsent_bytes; /* of answers */
	struct query_lanes lanes;
	struct http_conn *conns;
};

/* One client, from accept to the last byte.
 *
 *   READING --request complete--> WORKING --done--> WRITING --keep-alive--> READING
 *      |                                               |
 *      +--broken: answer it---------------------------> LINGERING --end of stream--> stop
 *
 * Anything may call conn_stop, any number of times. Memory goes when both handles have closed and
 * no thread is at its request. */
enum conn_state { CONN_READING, CONN_WORKING, CONN_WRITING, CONN_LINGERING };

struct http_conn {
	struct http_server *server; /* borrowed; freed after us */
	struct http_conn *next, **back;
	enum conn_state state;
	bool stopping, keep_alive;
	unsigned holders; /* transport, timer, and the request at work */
	struct transport transport;
	uv_timer_t timer;
	struct query_job job;
	struct http1 http;
	struct buf pending; /* bytes after the request at work */
	struct buf out;
	size_t unsent_bytes;
};

static void server_free(struct http_server *server)
{
	free(server->transport.read_buffer.base);
	free(server);
}

static void on_lanes_closed(struct query_lanes *lanes)
{
	server_free(CONTAINER_OF(lanes, struct http_server, lanes));
}

static void server_release(struct http_server *server)
{
	if (--server->holders == 0)
		query_lanes_close(&server->lanes, on_lanes_closed);
}

static void conn_release(struct http_conn *conn)
{
	if (--conn->holders)
		return;
	http1_fini(&conn->http);
	buf_fini(&conn->pending);
	buf_fini(&conn->out);
	server_release(conn->server);
	free(conn);
}

static void on_timer_closed(uv_handle_t *handle)
{
	conn_release(handle->data);
}

static void on_closed(void *arg)
{
	conn_release(arg);
}

static void set_unsent(struct http_conn *conn, size_t bytes)
{
	conn->server->unsent_bytes += bytes - conn->unsent_bytes;
	conn->unsent_bytes = bytes;
}

static void conn_stop(struct http_conn *conn)
{
	if (conn->stopping)
		return;
	set_unsent(conn, 0);
	conn->stopping = true;
	*conn->back = conn->next;
	if (conn->next)
		conn->next->back = conn->back;
	conn->server->conn_count--;
	transport_stop(&conn->transport);
	uv_close((uv_handle_t *)&conn->timer, on_timer_closed);
}

static void on_timeout(uv_timer_t *timer)
{
	conn_stop(timer->data);
}

static void set_timeout(struct http_conn *conn, uint64_t ms)
{
	uv_timer_start(&conn->timer, on_timeout, ms, 0);
}

static void advance(struct http_conn *conn);

/* Closing with unread bytes resets the connection, and the client may lose our answer: say that no
 * more comes, then read to its end. */
static void linger(struct http_conn *conn)
{
	conn->state = CONN_LINGERING;
	set_timeout(conn, HTTP_LINGER_MS);
	transport_end(&conn->transport);
	transport_read(&conn->transport, true);
}

static void on_drained(void *arg)
{
	struct http_conn *conn = arg;

	if (conn->stopping || conn->state != CONN_WRITING)
		return;
	set_unsent(conn, 0);
	if (!conn->keep_alive || conn->server->stopping)
		return linger(conn);
	http1_next(&conn->http);
	conn->state = CONN_READING;
	set_timeout(conn, HTTP_IDLE_MS);
	advance(conn);
}

static void start_writing(struct http_conn *conn)
{
	if (buf_error(&conn->out))
		return conn_stop(conn);
	conn->state = CONN_WRITING;
	set_unsent(conn, conn->out.len);
	set_timeout(conn, HTTP_WRITE_MS);
	if (transport_write(&conn->transport, &conn->out) < 0)
		conn_stop(conn);
	buf_fini(&conn->out);
}

/* What orchestrators ask, who have no token: nothing is told but that we live. */
static bool is_public(struct str path)
{
	return str_eq(path, STR("/healthz")) || str_eq(path, STR("/readyz"));
}

/* Not a page that made its own name ours. */
static bool is_for_us(const struct http_conn *conn)
{
	const struct http1_request *request = &conn->http.request;

	return !conn->server->is_local ||
	       http_host_is_local(request->authority.len ? request->authority
							 : http1_header(request, "host"));
}

static bool is_allowed(const struct http_conn *conn, struct answer *answer)
{
	const struct http1_request *request = &conn->http.request;

	if (!is_for_us(conn)) {
		answer_fail(answer, 421, "wrong_host",
			    "this address answers to localhost, 127.0.0.1 and [::1] only");
		return false;
	}
	if (conn->server->tokens && !is_public(request->path) &&
	    !tokens_allow(conn->server->tokens, http1_header(request, "authorization"))) {
		answer->headers = "WWW-Authenticate: Bearer\r\n";
		answer_fail(answer, 401, "unauthorized", "a valid bearer token is needed");
		return false;
	}
	if (!request->is_head && !str_eq(request->method, STR("GET"))) {
		answer->headers = "Allow: GET, HEAD\r\n";
		answer_fail(answer, 405, "method", "only GET and HEAD are answered here");
		return false;
	}
	return true;
}

static void on_query(struct query_job *job)
{
	struct http_conn *conn = CONTAINER_OF(job, struct http_conn, job);
	const struct http1_request *request = &conn->http.request;
	struct daemon *daemon = conn->server->daemon;
	struct answer answer;

	answer_init(&answer);
	if (http_answer_is_preflight(request, conn->server->origins) && is_for_us(conn))
		answer = (struct answer){ .status = 204 };
	else if (is_allowed(conn, &answer))
		query_run(daemon, request->path, request->query, http1_header(request, "accept"),
			  &answer);
	metrics_add(daemon_metrics(daemon), METRIC_API_REQUESTS, 1);
	if (answer.status >= 400)
		metrics_add(daemon_metrics(daemon), METRIC_API_ERRORS, 1);
	http_answer_put(&answer, request, conn->server->origins, conn->keep_alive, &conn->out);
	answer_fini(&answer);
}

static void on_query_done(struct query_job *job)
{
	struct http_conn *conn = CONTAINER_OF(job, struct http_conn, job);

	if (!conn->stopping)
		start_writing(conn);
	conn_release(conn);
}

/* Loop thread: what needs no query. */
static void answer_now(struct http_conn *conn, int status, const char *headers, const char *code,
		       const char *message)
{
	struct answer answer;

	answer_init(&answer);
	answer.headers = headers;
	answer_fail(&answer, status, code, "%s", message);
	http_answer_put(&answer, &conn->http.request, conn->server->origins, conn->keep_alive,
			&conn->out);
	answer_fini(&answer);
	start_writing(conn);
}

static void start_work(struct http_conn *conn)
{
	conn->keep_alive = conn->http.request.keep_alive;
	if (conn->server->lanes.count >= HTTP_MAX_WORKING) {
		metrics_add(daemon_metrics(conn->server->daemon), METRIC_API_ERRORS, 1);
		return answer_now(conn, 429, "Retry-After: 1\r\n", "too_many_queries",
				  "too many queries are waiting already: come again in a second");
	}
	if (conn->server->unsent_bytes > HTTP_MAX_UNSENT_BYTES) {
		metrics_add(daemon_metrics(conn->server->daemon), METRIC_API_ERRORS, 1);
		return answer_now(conn, 429, "Retry-After: 1\r\n", "answers_unread",
				  "too much of other answers has not been read yet: come again in a"
				  " second");
	}
	conn->state = CONN_WORKING;
	conn->job.is_long = query_is_long(conn->http.request.path);
	conn->job.run = on_query;
	conn->job.done = on_query_done;
	if (query_lanes_start(&conn->server->lanes, &conn->job) < 0)
		return answer_now(conn, 503, "Retry-After: 1\r\n", "no_threads",
				  "the system gives no threads for queries");
	conn->holders++;
	uv_timer_stop(&conn->timer);
}

static void answer_broken(struct http_conn *conn)
{
	conn->keep_alive = false;
	answer_now(conn, conn->http.status, NULL, "bad_request", conn->http.complaint);
}

/* Feeds what has come; then one step: work, refuse, or wait for more. */
static void advance(struct http_conn *conn)
{
	bool was_idle = conn->http.head.len == 0;
	size_t used = http1_feed(&conn->http, buf_str(&conn->pending));

	buf_consume(&conn->pending, used);
	switch (conn->http.state) {
	case HTTP1_DONE:
		transport_read(&conn->transport, false);
		start_work(conn);
		return;
	case HTTP1_BROKEN:
		transport_read(&conn->transport, false);
		answer_broken(conn);
		return;
	default:
		if (was_idle && conn->http.head.len)
			set_timeout(conn, HTTP_READ_MS);
		transport_read(&conn->transport, true);
	}
}

static void on_bytes(struct str bytes, void *arg)
{
	struct http_conn *conn = arg;

	if (conn->state == CONN_LINGERING)
		return; /* thrown away */
	buf_append_str(&conn->pending, bytes);
	if (buf_error(&conn->pending))
		return conn_stop(conn);
	if (conn->state == CONN_READING)
		advance(conn);
}

static void on_open(void *arg)
{
	struct http_conn *conn = arg;

	set_timeout(conn, HTTP_IDLE_MS);
}

static void on_end(const char *complaint, void *arg)
{
	if (complaint)
		LOG_LIMITED(LOG_WARNING, "api: a connection was closed: %s", complaint);
	conn_stop(arg);
}

static void on_eof(void *arg)
{
	conn_stop(arg); /* while a request is at work nothing is read */
}

static struct http_conn *conn_new(struct http_server *server)
{
	struct http_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->server = server;
	conn->holders = 2;
	http1_init(&conn->http, MAX_BODY_BYTES);
	buf_init(&conn->pending, MAX_PENDING_BYTES);
	buf_init(&conn->out, 0);
	uv_timer_init(server->transport.loop, &conn->timer);
	conn->timer.data = conn;
	conn->next = server->conns;
	conn->back = &server->conns;
	if (conn->next)
		conn->next->back = &conn->next;
	server->conns = conn;
	server->holders++;
	server->conn_count++;
	return conn;
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct http_server *server = stream->data;
	struct http_conn *conn;

	if (status < 0) {
		LOG_LIMITED(LOG_WARNING, "api: cannot accept: %s", uv_strerror(status));
		return;
	}
	conn = conn_new(server);
	if (!conn)
		return;
	set_timeout(conn, HTTP_READ_MS); /* a TLS handshake, too */
	if (transport_accept(&conn->transport, &server->transport, stream, conn) < 0)
		return conn_stop(conn);
	if (server->conn_count > HTTP_MAX_CONNECTIONS) {
		LOG_LIMITED(LOG_WARNING, "api: refused a connection: %d are open",
			    HTTP_MAX_CONNECTIONS);
		return conn_stop(conn);
	}
	transport_read(&conn->transport, true);
}

static void on_endpoint_closed(void *arg)
{
	server_release(arg);
}

static struct http_server *server_new(const struct http_server_options *options)
{
	struct http_server *server = calloc(1, sizeof(*server));
	char *room = malloc(TRANSPORT_READ_BYTES);

	if (!server || !room) {
		free(server);
		free(room);
		return NULL;
	}
	server->daemon = options->daemon;
	server->tokens = options->tokens;
	server->origins = options->origins;
	server->is_local = address_check(options->address) == ADDRESS_LOOPBACK;
	server->holders = 1;
	server->transport = (struct transport_options){
		.loop = options->loop,
		.tls = options->tls,
		.read_buffer = uv_buf_init(room, TRANSPORT_READ_BYTES),
		.on_open = on_open,
		.on_bytes = on_bytes,
		.on_drained = on_drained,
		.on_eof = on_eof,
		.on_end = on_end,
		.on_closed = on_closed,
	};
	return server;
}

int http_server_start(const struct http_server_options *options, struct http_server **out_server,
		      char *out_bound_address, size_t bound_size)
{
	struct endpoint_options endpoint = {
		.loop = options->loop,
		.address = options->address,
		.unix_mode = UNIX_SOCKET_MODE,
	};
	struct http_server *server = server_new(options);
	int rc;

	if (!server)
		return -ENOMEM;
	rc = query_lanes_open(&server->lanes, options->loop);
	if (rc < 0) {
		server_free(server);
		return rc;
	}
	rc = endpoint_bind(&server->endpoint, &endpoint, on_endpoint_closed, server,
			   out_bound_address, bound_size);
	server->endpoint.uv.handle.data = server;
	if (rc == 0)
		rc = endpoint_listen(&server->endpoint, BACKLOG, on_connection);
	if (rc < 0) {
		http_server_stop(server);
		return rc;
	}
	*out_server = server;
	return 0;
}

void http_server_limit_long(struct http_server *server, unsigned most)
{
	query_lanes_limit(&server->lanes, most);
}

void http_server_stop(struct http_server *server)
{
	if (!server || server->stopping)
		return;
	server->stopping = true;
	while (server->conns)
		conn_stop(server->conns);
	endpoint_close(&server->endpoint);
}
