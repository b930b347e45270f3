/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/grpc_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/intake.h"
#include "collector/log.h"
#include "collector/metrics.h"
#include "otlp/otlp_decode.h"
#include "otlp/otlp_response.h"

#define WRITE_PATIENCE_MS 30000 /* for a peer that does not read */
#define RETRY_BUSY_MS     1000
#define RETRY_DISK_MS     5000

struct grpc_conn {
	const struct grpc_conn_options *options; /* borrowed; outlives us */
	struct grpc_conn_link link;
	struct grpc_session *session; /* owned */
	uv_tcp_t tcp;
	uv_write_t write;
	struct buf out; /* owned; what `write` writes */
	uint64_t active_ms;
	unsigned unanswered; /* requests that intake has */
	bool is_writing;
	bool is_pumping;
	bool is_stopping;
	bool is_closed;
};

static void pump(struct grpc_conn *conn);

static uint64_t now_ms(const struct grpc_conn *conn)
{
	return uv_now(conn->options->loop);
}

static void count(struct grpc_conn *conn, enum metric metric, uint64_t amount)
{
	metrics_add(conn->options->metrics, metric, amount);
}

/* Memory goes when the handle has closed and the last answer has come back. */
static void free_if_over(struct grpc_conn *conn)
{
	if (!conn->is_closed || conn->unanswered)
		return;
	conn->options->on_gone(conn, conn->options->arg);
	grpc_session_free(conn->session);
	buf_fini(&conn->out);
	free(conn);
}

static void on_closed(uv_handle_t *handle)
{
	struct grpc_conn *conn = handle->data;

	conn->is_closed = true;
	free_if_over(conn);
}

void grpc_conn_stop(struct grpc_conn *conn)
{
	const char *complaint = grpc_session_complaint(conn->session);

	if (conn->is_stopping)
		return;
	conn->is_stopping = true;
	if (complaint) {
		count(conn, METRIC_CONNECTIONS_BROKEN, 1);
		LOG_LIMITED(LOG_WARNING, "grpc: a connection was closed: %s", complaint);
	}
	uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void reply(struct grpc_conn *conn, int32_t stream_id, const struct grpc_reply *what)
{
	grpc_session_reply(conn->session, stream_id, what);
}

static void reply_stored(struct grpc_conn *conn, int32_t stream_id,
			 const struct intake_result *result)
{
	struct grpc_reply ok = { .status = GRPC_OK };
	struct buf message;

	count(conn, METRIC_ACCEPTED_SPANS, result->spans);
	count(conn, METRIC_FAILED_SPANS, result->rejected);
	buf_init(&message, 0);
	if (otlp_response_export(result->rejected, result->rejected_reason, &message) == 0) {
		ok.response = buf_str(&message);
		reply(conn, stream_id, &ok);
	} else {
		/* Stored, and it cannot be said: the sender tries again, duplicates are dropped. */
		reply(conn, stream_id,
		      &(struct grpc_reply){ .status = GRPC_UNAVAILABLE,
					    .retry_delay_ms = RETRY_BUSY_MS });
	}
	buf_fini(&message);
}

static void reply_refused(struct grpc_conn *conn, int32_t stream_id,
			  const struct intake_result *result)
{
	struct grpc_reply refusal = { .status = GRPC_UNAVAILABLE, .retry_delay_ms = RETRY_BUSY_MS };

	count(conn, METRIC_REFUSED_SPANS, result->spans);
	switch (result->error) {
	case -EBUSY:
		refusal.text = "too much is in flight; try again";
		break;
	case -ENOMEM:
		refusal.text = "out of memory; try again";
		break;
	case -ENOSPC:
	case -EDQUOT:
		refusal.text = "the disk of the collector is full; try again";
		refusal.retry_delay_ms = RETRY_DISK_MS;
		break;
	case -EMSGSIZE:
		refusal = (struct grpc_reply){ .status = GRPC_RESOURCE_EXHAUSTED,
					       .text = "the batch is too large to be stored" };
		break;
	default:
		refusal.text = "the collector could not store the batch; try again";
		refusal.retry_delay_ms = RETRY_DISK_MS;
	}
	reply(conn, stream_id, &refusal);
}

static void on_result(const struct intake_result *result, int32_t stream_id, void *arg)
{
	struct grpc_conn *conn = arg;

	conn->unanswered--;
	if (result->error == 0)
		reply_stored(conn, stream_id, result);
	else
		reply_refused(conn, stream_id, result);
	if (conn->is_stopping)
		free_if_over(conn);
	else
		pump(conn);
}

static void reply_undecodable(struct grpc_conn *conn, int32_t stream_id, int error)
{
	struct grpc_reply refusal = { .status = GRPC_INVALID_ARGUMENT,
				      .text = "not an ExportTraceServiceRequest: the protobuf does "
					      "not parse" };

	if (error == -EMSGSIZE)
		refusal = (struct grpc_reply){ .status = GRPC_RESOURCE_EXHAUSTED,
					       .text = "too many spans, resources or scopes in one "
						       "request" };
	else if (error == -ENOMEM)
		refusal = (struct grpc_reply){ .status = GRPC_UNAVAILABLE,
					       .text = "out of memory; try again",
					       .retry_delay_ms = RETRY_BUSY_MS };
	count(conn, METRIC_INVALID_REQUESTS, 1);
	LOG_LIMITED(LOG_WARNING, "grpc: refused export: %s", refusal.text);
	reply(conn, stream_id, &refusal);
}

static void take_request(struct grpc_conn *conn, struct grpc_request *request)
{
	struct intake_reply answer = { on_result, conn, request->stream_id };
	struct span_batch *batch;
	char *message = request->message;
	int rc;

	request->message = NULL;
	rc = otlp_decode(message, request->message_len, NULL, &batch);
	if (rc < 0) {
		reply_undecodable(conn, request->stream_id, rc);
		return;
	}
	count(conn, METRIC_CLAMPED_SPANS, batch->clamped_count);
	conn->unanswered++;
	intake_submit(conn->options->intake, batch, &answer);
}

static void on_written(uv_write_t *write, int status)
{
	struct grpc_conn *conn = write->data;

	conn->is_writing = false;
	if (status < 0) {
		grpc_conn_stop(conn);
		return;
	}
	conn->active_ms = now_ms(conn);
	pump(conn);
}

/* Returns false when the connection cannot go on. */
static bool start_write(struct grpc_conn *conn)
{
	uv_buf_t buffer;

	buf_clear(&conn->out);
	if (grpc_session_pull(conn->session, &conn->out) < 0)
		return false;
	if (conn->out.len == 0)
		return true;
	buffer = uv_buf_init(conn->out.data, (unsigned)conn->out.len);
	if (uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &buffer, 1, on_written) < 0)
		return false;
	conn->is_writing = true;
	return true;
}

/* All that can be done now: requests out of the session, answers into the socket. Replies that come
 * at once find is_pumping set and leave the writing to the pump that runs. */
static void pump(struct grpc_conn *conn)
{
	struct grpc_request request;
	bool is_fine = true;

	if (conn->is_pumping || conn->is_stopping)
		return;
	conn->is_pumping = true;
	while (grpc_session_next(conn->session, &request))
		take_request(conn, &request);
	if (!conn->is_writing)
		is_fine = start_write(conn);
	conn->is_pumping = false;
	if (!is_fine || (!conn->is_writing && grpc_session_is_done(conn->session)))
		grpc_conn_stop(conn);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct grpc_conn *conn = handle->data;

	(void)suggested;
	*buf = conn->options->read_buffer;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct grpc_conn *conn = stream->data;

	if (nread == 0) /* libuv's EAGAIN */
		return;
	if (nread < 0) {
		grpc_conn_stop(conn);
		return;
	}
	conn->active_ms = now_ms(conn);
	count(conn, METRIC_RECEIVED_BYTES, (uint64_t)nread);
	grpc_session_feed(conn->session, buf->base, (size_t)nread, now_ms(conn));
	pump(conn);
}

static int start(struct grpc_conn *conn, uv_stream_t *server)
{
	int rc = uv_accept(server, (uv_stream_t *)&conn->tcp);

	if (rc < 0)
		return rc;
	rc = grpc_session_new(&conn->options->session, now_ms(conn), &conn->session);
	if (rc < 0)
		return rc;
	uv_tcp_nodelay(&conn->tcp, 1);
	return uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
}

static void on_stillborn_closed(uv_handle_t *handle)
{
	struct grpc_conn *conn = handle->data;

	grpc_session_free(conn->session);
	free(conn);
}

int grpc_conn_start(const struct grpc_conn_options *options, uv_stream_t *server,
		    struct grpc_conn **out_conn)
{
	struct grpc_conn *conn = calloc(1, sizeof(*conn));
	int rc;

	if (!conn)
		return -ENOMEM;
	conn->options = options;
	conn->active_ms = now_ms(conn);
	buf_init(&conn->out, 0);
	conn->tcp.data = conn;
	conn->write.data = conn;
	rc = uv_tcp_init(options->loop, &conn->tcp);
	if (rc < 0) {
		free(conn);
		return rc;
	}
	rc = start(conn, server);
	if (rc < 0) {
		uv_close((uv_handle_t *)&conn->tcp, on_stillborn_closed);
		return rc;
	}
	*out_conn = conn;
	pump(conn); /* our SETTINGS */
	return 0;
}

void grpc_conn_drain(struct grpc_conn *conn)
{
	grpc_session_shutdown(conn->session, now_ms(conn));
	pump(conn);
}

void grpc_conn_hold(struct grpc_conn *conn, bool hold)
{
	grpc_session_hold(conn->session, hold);
	pump(conn);
}

void grpc_conn_tick(struct grpc_conn *conn, uint64_t now)
{
	uint64_t quiet_ms = now - conn->active_ms;

	if (conn->is_stopping)
		return;
	grpc_session_tick(conn->session, now);
	if (conn->is_writing && quiet_ms > WRITE_PATIENCE_MS) {
		grpc_conn_stop(conn);
		return;
	}
	if (quiet_ms > conn->options->idle_ms && !grpc_session_open_streams(conn->session)) {
		count(conn, METRIC_CONNECTIONS_IDLE, 1);
		conn->active_ms = now;
		grpc_session_shutdown(conn->session, now);
	}
	pump(conn);
}

struct grpc_conn_link *grpc_conn_link(struct grpc_conn *conn)
{
	return &conn->link;
}
