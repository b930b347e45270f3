/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/address.h"
#include "collector/base/buf.h"
#include "collector/base/compress.h"
#include "collector/daemon.h"
#include "collector/http1.h"
#include "collector/http_host.h"
#include "collector/log.h"
#include "collector/metrics.h"
#include "collector/query.h"

#define READ_BYTES        ((size_t)16 << 10)
#define MAX_BODY_BYTES    ((size_t)64 << 10) /* every route is a GET: bodies are dropped */
#define MAX_PENDING_BYTES ((size_t)64 << 10) /* pipelined ahead of the answer */
#define BACKLOG           128

struct http_server {
	struct daemon *daemon; /* borrowed */
	uv_tcp_t tcp;
	bool is_local; /* listens on loopback: the Host header must say so */
	bool stopping;
	unsigned holders; /* the listening handle and each connection */
	unsigned conn_count;
	struct http_conn *conns;
};

/* One client, from accept to the last byte.
 *
 *   READING --request complete--> WORKING --pool--> WRITING --keep-alive--> READING
 *      |                                               |
 *      +--broken: answer it---------------------------> LINGERING --end of stream--> stop
 *
 * Anything may call conn_stop, any number of times. Memory goes when both handles have closed and
 * the pool has let go. */
enum conn_state { CONN_READING, CONN_WORKING, CONN_WRITING, CONN_LINGERING };

struct http_conn {
	struct http_server *server; /* borrowed; freed after us */
	struct http_conn *next, **back;
	enum conn_state state;
	bool stopping, is_reading, keep_alive;
	unsigned holders; /* two handles, and the request in the pool */
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_work_t work;
	uv_write_t write;
	uv_shutdown_t shutdown;
	struct http1 http;
	struct buf pending; /* bytes after the request at work */
	struct buf out;
	char room[READ_BYTES];
};

static void server_release(struct http_server *server)
{
	if (--server->holders == 0)
		free(server);
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

static void on_closed(uv_handle_t *handle)
{
	conn_release(handle->data);
}

static void conn_stop(struct http_conn *conn)
{
	if (conn->stopping)
		return;
	conn->stopping = true;
	*conn->back = conn->next;
	if (conn->next)
		conn->next->back = conn->back;
	conn->server->conn_count--;
	uv_close((uv_handle_t *)&conn->tcp, on_closed);
	uv_close((uv_handle_t *)&conn->timer, on_closed);
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
static void start_reading(struct http_conn *conn);

static void on_shutdown(uv_shutdown_t *request, int status)
{
	if (status < 0)
		conn_stop(request->data);
}

/* Closing with unread bytes resets the connection, and the client may lose our answer: say that no
 * more comes, then read to its end. */
static void linger(struct http_conn *conn)
{
	conn->state = CONN_LINGERING;
	conn->shutdown.data = conn;
	set_timeout(conn, HTTP_LINGER_MS);
	if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, on_shutdown) < 0)
		return conn_stop(conn);
	start_reading(conn);
}

static void on_written(uv_write_t *write, int status)
{
	struct http_conn *conn = write->data;

	if (conn->stopping)
		return;
	if (status < 0)
		return conn_stop(conn);
	buf_fini(&conn->out);
	if (!conn->keep_alive || conn->server->stopping)
		return linger(conn);
	http1_next(&conn->http);
	conn->state = CONN_READING;
	set_timeout(conn, HTTP_IDLE_MS);
	advance(conn);
}

static void start_writing(struct http_conn *conn)
{
	uv_buf_t piece = uv_buf_init(conn->out.data, (unsigned)conn->out.len);

	if (buf_error(&conn->out))
		return conn_stop(conn);
	conn->state = CONN_WRITING;
	conn->write.data = conn;
	set_timeout(conn, HTTP_WRITE_MS);
	if (uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &piece, 1, on_written) < 0)
		conn_stop(conn);
}

/* Pool thread, or any for `server` NULL: everything of the answer but sending it. */
static void respond(const struct http_conn *conn, const struct answer *answer, struct buf *out)
{
	const struct http1_request *request = &conn->http.request;
	struct http1_response response = {
		.status = answer->status,
		.content_type = answer->content_type,
		.headers = answer->headers,
		.body = buf_str(&answer->body),
	};
	struct buf packed;

	buf_init(&packed, 0);
	if (answer->body.len >= HTTP_GZIP_BYTES &&
	    http1_accepts(http1_header(request, "accept-encoding"), "gzip") &&
	    compress_gzip(response.body, &packed) == 0) {
		response.encoding = "gzip";
		response.body = buf_str(&packed);
	}
	http1_respond(&response, conn->keep_alive, request->is_head, out);
	buf_fini(&packed);
}

static bool is_allowed(const struct http_conn *conn, struct answer *answer)
{
	const struct http1_request *request = &conn->http.request;
	struct str host = http1_header(request, "host");

	if (conn->server->is_local && !http_host_is_local(host)) {
		answer_fail(answer, 421, "wrong_host",
			    "this address answers to localhost, 127.0.0.1 and [::1] only");
		return false;
	}
	if (!request->is_head && !str_eq(request->method, STR("GET"))) {
		answer->headers = "Allow: GET, HEAD\r\n";
		answer_fail(answer, 405, "method", "only GET and HEAD are answered here");
		return false;
	}
	return true;
}

static void on_work(uv_work_t *work)
{
	struct http_conn *conn = work->data;
	const struct http1_request *request = &conn->http.request;
	struct daemon *daemon = conn->server->daemon;
	struct answer answer;

	answer_init(&answer);
	if (is_allowed(conn, &answer))
		query_run(daemon, request->path, request->query, http1_header(request, "accept"),
			  &answer);
	metrics_add(daemon_metrics(daemon), METRIC_API_REQUESTS, 1);
	if (answer.status >= 400)
		metrics_add(daemon_metrics(daemon), METRIC_API_ERRORS, 1);
	respond(conn, &answer, &conn->out);
	answer_fini(&answer);
}

static void on_work_done(uv_work_t *work, int status)
{
	struct http_conn *conn = work->data;

	if (!conn->stopping && status == 0)
		start_writing(conn);
	else
		conn_stop(conn);
	conn_release(conn);
}

static void start_work(struct http_conn *conn)
{
	conn->state = CONN_WORKING;
	conn->keep_alive = conn->http.request.keep_alive;
	conn->work.data = conn;
	uv_timer_stop(&conn->timer);
	conn->holders++;
	if (uv_queue_work(conn->tcp.loop, &conn->work, on_work, on_work_done) < 0) {
		conn->holders--;
		conn_stop(conn);
	}
}

static void answer_broken(struct http_conn *conn)
{
	struct answer answer;

	answer_init(&answer);
	answer_fail(&answer, conn->http.status, "bad_request", "%s", conn->http.complaint);
	conn->keep_alive = false;
	respond(conn, &answer, &conn->out);
	answer_fini(&answer);
	start_writing(conn);
}

static void stop_reading(struct http_conn *conn)
{
	if (conn->is_reading)
		uv_read_stop((uv_stream_t *)&conn->tcp);
	conn->is_reading = false;
}

/* Feeds what has come; then one step: work, refuse, or wait for more. */
static void advance(struct http_conn *conn)
{
	bool was_idle = conn->http.head.len == 0;
	size_t used = http1_feed(&conn->http, buf_str(&conn->pending));

	buf_consume(&conn->pending, used);
	switch (conn->http.state) {
	case HTTP1_DONE:
		stop_reading(conn);
		start_work(conn);
		return;
	case HTTP1_BROKEN:
		stop_reading(conn);
		answer_broken(conn);
		return;
	default:
		if (was_idle && conn->http.head.len)
			set_timeout(conn, HTTP_READ_MS);
		start_reading(conn);
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out_buf)
{
	struct http_conn *conn = handle->data;

	(void)suggested;
	*out_buf = uv_buf_init(conn->room, sizeof(conn->room));
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *piece)
{
	struct http_conn *conn = stream->data;

	if (nread == 0) /* libuv's EAGAIN */
		return;
	if (nread < 0)
		return conn_stop(conn);
	if (conn->state != CONN_READING)
		return; /* lingering: thrown away */
	buf_append(&conn->pending, piece->base, (size_t)nread);
	if (buf_error(&conn->pending))
		return conn_stop(conn);
	advance(conn);
}

static void start_reading(struct http_conn *conn)
{
	if (conn->is_reading)
		return;
	conn->is_reading = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) == 0;
	if (!conn->is_reading)
		conn_stop(conn);
}

static struct http_conn *conn_new(struct http_server *server)
{
	struct http_conn *conn = calloc(1, sizeof(*conn));
	uv_loop_t *loop = server->tcp.loop;

	if (!conn)
		return NULL;
	conn->server = server;
	conn->holders = 2;
	http1_init(&conn->http, MAX_BODY_BYTES);
	buf_init(&conn->pending, MAX_PENDING_BYTES);
	buf_init(&conn->out, 0);
	uv_timer_init(loop, &conn->timer);
	uv_tcp_init(loop, &conn->tcp); /* cannot fail: no socket is made yet */
	conn->timer.data = conn;
	conn->tcp.data = conn;
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
	if (uv_accept(stream, (uv_stream_t *)&conn->tcp) < 0)
		return conn_stop(conn);
	if (server->conn_count > HTTP_MAX_CONNECTIONS) {
		LOG_LIMITED(LOG_WARNING, "api: refused a connection: %d are open",
			    HTTP_MAX_CONNECTIONS);
		return conn_stop(conn);
	}
	uv_tcp_nodelay(&conn->tcp, 1);
	set_timeout(conn, HTTP_IDLE_MS);
	start_reading(conn);
}

static void on_server_closed(uv_handle_t *handle)
{
	server_release(handle->data);
}

static int listen_on(struct http_server *server, const struct sockaddr_storage *address,
		     char *out_bound, size_t bound_size)
{
	struct sockaddr_storage bound;
	int len = sizeof(bound);
	int rc = uv_tcp_bind(&server->tcp, (const struct sockaddr *)address, 0);

	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&server->tcp, BACKLOG, on_connection);
	if (rc == 0)
		rc = uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&bound, &len);
	if (rc == 0)
		address_format(&bound, out_bound, bound_size);
	return rc;
}

int http_server_start(uv_loop_t *loop, const char *address, struct daemon *daemon,
		      struct http_server **out_server, char *out_bound_address, size_t bound_size)
{
	struct sockaddr_storage parsed;
	struct http_server *server;
	int rc = address_parse(address, &parsed);

	if (rc < 0)
		return rc;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->daemon = daemon;
	server->is_local = address_check(address) == ADDRESS_LOOPBACK;
	server->holders = 1;
	uv_tcp_init(loop, &server->tcp);
	server->tcp.data = server;
	rc = listen_on(server, &parsed, out_bound_address, bound_size);
	if (rc < 0) {
		http_server_stop(server);
		return rc;
	}
	*out_server = server;
	return 0;
}

void http_server_stop(struct http_server *server)
{
	if (!server || server->stopping)
		return;
	server->stopping = true;
	while (server->conns)
		conn_stop(server->conns);
	uv_close((uv_handle_t *)&server->tcp, on_server_closed);
}
