/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "otlp/grpc_dialog.h"
#include "otlp/grpc_events.h"
#include "otlp/grpc_http.h"
#include "otlp/grpc_http2.h"
#include "otlp/grpc_reflection.h"
#include "otlp/grpc_session_state.h"
#include "otlp/grpc_watch.h"
#include "otlp/otlp_http.h"

#define DEFAULT_MESSAGE_BYTES ((size_t)16 << 20)
#define DEFAULT_STREAMS       128
#define DEFAULT_STREAM_WINDOW (1u << 20)
#define DEFAULT_WINDOW        (8u << 20)
#define DEFAULT_IN_PROGRESS   256
#define DEFAULT_GREETING_MS   10000
#define DEFAULT_HEAD_MS       10000
#define DEFAULT_IDLE_MS       30000
#define DEFAULT_PING_MS       10000
#define DEFAULT_KEEPALIVE_MS  20000
#define DEFAULT_HEAD_BYTES    16384
#define DEFAULT_HEAD_FIELDS   64
#define PULL_BYTES            ((size_t)64 << 10)

#define WRONG_PORT_TEXT "This port speaks gRPC over HTTP/2. Use port 4318 for OTLP/HTTP.\n"

void grpc_session_count_reply(struct grpc_session *session, enum grpc_status status)
{
	if (session->options.counters)
		session->options.counters->replies[status]++;
}

void grpc_session_complain(struct grpc_session *session, const char *reason)
{
	if (!session->complaint && session->options.counters)
		session->options.counters->condemned++;
	session->complaint = session->complaint ? session->complaint : reason;
}

/* From here on nghttp2 is not fed or asked any more. Returns what its callbacks must return. */
int grpc_session_condemn(struct grpc_session *session, const char *reason, uint32_t code)
{
	grpc_session_complain(session, reason);
	if (session->phase == GREETING || session->phase == OPEN) {
		session->complaint_code = code;
		session->phase = CONDEMNED;
	}
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* After this the request is gone and the reply under way. */
static void begin_reply(struct grpc_session *session, struct grpc_stream *stream)
{
	if (stream->state == GRPC_STREAM_READY)
		TAILQ_REMOVE(&session->ready, stream, ready);
	stream->state = GRPC_STREAM_REPLIED;
	stream->replied_ms = session->now_ms;
	grpc_stream_drop_request(stream);
}

/* `rc`: of submitting a reply. What cannot be answered is at least ended. */
static void end_reply(struct grpc_session *session, const struct grpc_stream *stream, int rc)
{
	if (rc < 0)
		rc = grpc_http2_errno(nghttp2_submit_rst_stream(
			session->http2, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR));
	if (rc < 0)
		grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
}

void grpc_session_answer(struct grpc_session *session, struct grpc_stream *stream,
			 const struct grpc_reply *reply, unsigned http_status)
{
	begin_reply(session, stream);
	grpc_session_count_reply(session, reply->status);
	end_reply(session, stream, grpc_http2_reply(session->http2, stream, reply, http_status));
}

static void count_http_reply(struct grpc_session *session, unsigned status)
{
	struct grpc_counters *counters = session->options.counters;

	if (counters && status / 100 < ARRAY_LEN(counters->http_replies))
		counters->http_replies[status / 100]++;
}

void grpc_session_refuse(struct grpc_session *session, struct grpc_stream *stream,
			 struct grpc_error error)
{
	const struct grpc_reply reply = { .status = error.status,
					  .text = error.text,
					  .retry_delay_ms = error.retry_delay_ms };
	struct http_fields fields;

	if (!stream->is_http) {
		grpc_session_answer(session, stream, &reply,
				    error.http_status == 405 || error.http_status == 415
					    ? error.http_status
					    : 0);
		return;
	}
	fields = grpc_stream_take_fields(stream);
	begin_reply(session, stream);
	count_http_reply(session, otlp_http_status(error));
	if (session->options.on_refused)
		session->options.on_refused(otlp_http_status(error), session->options.arg);
	end_reply(session, stream, grpc_http_refuse(session, stream, &fields, error));
	http_fields_fini(&fields);
}

static void fill_sizes(struct grpc_session_options *options)
{
	if (!options->max_message_bytes)
		options->max_message_bytes = DEFAULT_MESSAGE_BYTES;
	if (!options->head.max_bytes)
		options->head.max_bytes = DEFAULT_HEAD_BYTES;
	if (!options->head.max_fields)
		options->head.max_fields = DEFAULT_HEAD_FIELDS;
	if (!options->max_streams)
		options->max_streams = DEFAULT_STREAMS;
	if (!options->stream_window_bytes)
		options->stream_window_bytes = DEFAULT_STREAM_WINDOW;
	if (!options->connection_window_bytes)
		options->connection_window_bytes = DEFAULT_WINDOW;
	if (!options->max_in_progress)
		options->max_in_progress = DEFAULT_IN_PROGRESS;
}

static void fill_times(struct grpc_session_options *options)
{
	if (!options->greeting_ms)
		options->greeting_ms = DEFAULT_GREETING_MS;
	if (!options->head_ms)
		options->head_ms = DEFAULT_HEAD_MS;
	if (!options->idle_ms)
		options->idle_ms = DEFAULT_IDLE_MS;
	if (!options->min_ping_ms)
		options->min_ping_ms = DEFAULT_PING_MS;
	if (!options->keepalive_timeout_ms)
		options->keepalive_timeout_ms = DEFAULT_KEEPALIVE_MS;
}

/* The owner's methods and, behind them, our own. */
static int list_methods(struct grpc_session *session)
{
	static const char *const own[GRPC_OWN_METHODS] = {
		[GRPC_OWN_CHECK] = GRPC_HEALTH_CHECK,
		[GRPC_OWN_WATCH] = GRPC_HEALTH_WATCH,
		[GRPC_OWN_LIST] = GRPC_HEALTH_LIST,
		[GRPC_OWN_REFLECTION] = GRPC_REFLECTION_INFO("v1"),
		[GRPC_OWN_REFLECTION_ALPHA] = GRPC_REFLECTION_INFO("v1alpha"),
	};
	size_t own_count = session->options.reflects ? GRPC_OWN_METHODS : GRPC_OWN_REFLECTION;
	const char *const *methods = session->options.methods;
	unsigned count = 0;

	while (methods[count])
		count++;
	session->methods = calloc(count + GRPC_OWN_METHODS + 1, sizeof(*session->methods));
	if (!session->methods)
		return -ENOMEM;
	memcpy(session->methods, methods, count * sizeof(*methods));
	memcpy(session->methods + count, own, own_count * sizeof(*own));
	session->own_method = count;
	return 0;
}

static int open_http2(struct grpc_session *session)
{
	nghttp2_session_callbacks *callbacks;
	int rc = grpc_events_callbacks(&callbacks);

	if (rc < 0)
		return rc;
	rc = grpc_http2_new(&session->options, callbacks, session, &session->http2);
	nghttp2_session_callbacks_del(callbacks);
	return rc;
}

int grpc_session_new(const struct grpc_session_options *options, uint64_t now_ms,
		     struct grpc_session **out_session)
{
	struct grpc_session *session = calloc(1, sizeof(*session));
	int rc;

	if (!session)
		return -ENOMEM;
	session->options = *options;
	session->share.budget = options->budget;
	session->heads.left = NGHTTP2_CLIENT_MAGIC_LEN;
	session->deadline_ms = UINT64_MAX;
	fill_sizes(&session->options);
	fill_times(&session->options);
	session->now_ms = session->started_ms = session->heard_ms = now_ms;
	TAILQ_INIT(&session->all);
	TAILQ_INIT(&session->ready);
	rc = list_methods(session);
	if (rc == 0)
		rc = open_http2(session);
	if (rc < 0) {
		grpc_session_free(session);
		return rc;
	}
	*out_session = session;
	return 0;
}

void grpc_session_free(struct grpc_session *session)
{
	if (!session)
		return;
	nghttp2_session_del(session->http2);
	while (!TAILQ_EMPTY(&session->all)) {
		struct grpc_stream *stream = TAILQ_FIRST(&session->all);

		TAILQ_REMOVE(&session->all, stream, all);
		grpc_stream_free(stream);
	}
	free(session->methods);
	free(session);
}

/* Does it begin like a request of HTTP/1? */
static bool is_http1(struct str bytes)
{
	static const char *const methods[] = { "GET ",   "POST ",    "PUT ",   "HEAD ",
					       "PATCH ", "OPTIONS ", "DELETE " };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strncmp(bytes.data, methods[i], MIN(bytes.len, strlen(methods[i]))) == 0)
			return true;
	}
	return false;
}

/* Somebody who speaks HTTP/1.1 gets an answer in HTTP/1.1: nothing else was sent yet. Others get
 * nothing: what they would understand is not known. */
static void greet(struct grpc_session *session, struct str bytes)
{
	static const struct str magic = { NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN };
	size_t piece = MIN(bytes.len, magic.len - session->greeting_len);

	if (memcmp(bytes.data, magic.data + session->greeting_len, piece) != 0) {
		grpc_session_complain(session, "not_http2");
		session->phase = session->greeting_len > 0 || is_http1(bytes) ? HTTP1 : CLOSED;
		return;
	}
	session->greeting_len += piece;
	if (session->greeting_len == magic.len)
		session->phase = OPEN;
}

static void feed_http2(struct grpc_session *session, struct str bytes)
{
	ssize_t rc;

	if (!nghttp2_session_want_read(session->http2))
		return;
	rc = nghttp2_session_mem_recv(session->http2, (const uint8_t *)bytes.data, bytes.len);
	if (rc == NGHTTP2_ERR_FLOODED)
		grpc_session_condemn(session, "flooded", NGHTTP2_ENHANCE_YOUR_CALM);
	else if (grpc_http2_errno((int)MIN(rc, 0)) == -ENOMEM)
		grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
	else if (rc < 0)
		grpc_session_condemn(session, "broken_http2", NGHTTP2_PROTOCOL_ERROR);
}

/* Since when is what has begun not whole? */
static void note_beginning(struct grpc_session *session, bool was_waiting, uint64_t whole)
{
	if (!was_waiting || session->heads.whole != whole)
		session->begun_ms = session->now_ms;
}

/* Its data has come, or never will. */
static bool is_over(const struct grpc_session *session, int32_t id)
{
	return (grpc_seen_has_ended(&session->seen, id) ||
		grpc_seen_was_left_out(&session->seen, id)) &&
	       !nghttp2_session_get_stream_user_data(session->http2, id);
}

/* Stops behind the head of each DATA frame, when all before it is known: data for a stream that the
 * peer has ended, or left out, would be dropped without a word. */
static void receive(struct grpc_session *session, struct str bytes)
{
	bool was_waiting = grpc_frame_heads_is_waiting(&session->heads);
	uint64_t whole = session->heads.whole;

	while (bytes.len && (session->phase == GREETING || session->phase == OPEN)) {
		int32_t id;
		size_t len = grpc_frame_heads_next(&session->heads, bytes, &id);

		feed_http2(session, (struct str){ bytes.data, len });
		if (session->phase == OPEN && id && is_over(session, id))
			grpc_session_condemn(session, "stream_closed", NGHTTP2_STREAM_CLOSED);
		bytes.data += len;
		bytes.len -= len;
	}
	note_beginning(session, was_waiting, whole);
}

int grpc_session_feed(struct grpc_session *session, const void *data, size_t len, uint64_t now_ms)
{
	struct str bytes = { data, len };

	session->now_ms = session->heard_ms = now_ms;
	if (session->phase == GREETING && len > 0)
		greet(session, bytes);
	if (session->phase == GREETING || session->phase == OPEN)
		receive(session, bytes);
	return session->phase == GREETING || session->phase == OPEN ? 0 : -EPROTO;
}

static int pull_frames(struct grpc_session *session, struct buf *out)
{
	size_t start = out->len;

	while (session->phase == OPEN && out->len - start < PULL_BYTES) {
		const uint8_t *data;
		ssize_t len = nghttp2_session_mem_send(session->http2, &data);

		if (len == 0)
			break;
		if (len < 0)
			grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
		else
			buf_append(out, data, (size_t)len);
		if (len > 0 && !session->has_introduced && !buf_error(out)) {
			session->has_introduced = true;
			grpc_http2_set_max_streams(out->data + start, (size_t)len,
						   session->options.max_streams);
		}
	}
	return buf_error(out);
}

static void put_http1_answer(struct buf *out)
{
	buf_printf(out,
		   "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n"
		   "content-length: %zu\r\nconnection: close\r\n\r\n%s",
		   strlen(WRONG_PORT_TEXT), WRONG_PORT_TEXT);
}

int grpc_session_pull(struct grpc_session *session, struct buf *out)
{
	int rc = pull_frames(session, out);

	if (session->phase == HTTP1)
		put_http1_answer(out);
	else if (session->phase == CONDEMNED)
		grpc_http2_put_goaway(out, nghttp2_session_get_last_proc_stream_id(session->http2),
				      session->complaint_code, session->complaint);
	else
		return rc;
	session->phase = CLOSED;
	return buf_error(out);
}

bool grpc_session_wants_read(const struct grpc_session *session)
{
	return session->phase == GREETING ||
	       (session->phase == OPEN && nghttp2_session_want_read(session->http2));
}

bool grpc_session_wants_write(const struct grpc_session *session)
{
	return session->phase == HTTP1 || session->phase == CONDEMNED ||
	       (session->phase == OPEN && nghttp2_session_want_write(session->http2));
}

bool grpc_session_is_done(const struct grpc_session *session)
{
	return !grpc_session_wants_read(session) && !grpc_session_wants_write(session);
}

/* Hands `stream` over. false: we have answered it ourselves. */
static bool hand_over(struct grpc_session *session, struct grpc_stream *stream,
		      struct grpc_request *out_request)
{
	struct grpc_request request = { .stream_id = stream->id,
					.method = stream->method,
					.is_http = stream->is_http,
					.timeout_ms = stream->head.timeout_ms };
	struct grpc_error error;

	if (stream->is_dialog) {
		grpc_dialog_answer(session, stream);
		return false;
	}
	request.was_compressed = grpc_frame_is_compressed(&stream->frame);
	request.fields = grpc_stream_take_fields(stream);
	error = grpc_stream_take(stream, &session->options, &request.message, &request.message_len);
	if (error.status) {
		http_fields_fini(&request.fields);
		grpc_session_refuse(session, stream, error);
		return false;
	}
	if (grpc_session_is_health(session, stream)) {
		grpc_watch_answer(session, stream,
				  (struct str){ request.message, request.message_len },
				  (enum grpc_own)(stream->method - session->own_method));
		free(request.message);
		return false;
	}
	TAILQ_REMOVE(&session->ready, stream, ready);
	stream->state = GRPC_STREAM_HANDED;
	session->in_progress++;
	*out_request = request;
	return true;
}

bool grpc_session_next(struct grpc_session *session, struct grpc_request *out_request)
{
	while (session->phase == OPEN && !TAILQ_EMPTY(&session->ready) &&
	       session->in_progress < session->options.max_in_progress) {
		if (hand_over(session, TAILQ_FIRST(&session->ready), out_request))
			return true;
	}
	return false;
}

/* The stream that a reply is for; NULL: it is gone. */
static struct grpc_stream *find_handed(struct grpc_session *session, int32_t stream_id)
{
	struct grpc_stream *stream;

	assert(session->in_progress > 0);
	session->in_progress--;
	if (session->phase != OPEN)
		return NULL;
	stream = nghttp2_session_get_stream_user_data(session->http2, stream_id);
	return stream && stream->state == GRPC_STREAM_HANDED ? stream : NULL;
}

void grpc_session_reply(struct grpc_session *session, int32_t stream_id,
			const struct grpc_reply *reply)
{
	struct grpc_stream *stream = find_handed(session, stream_id);

	if (stream)
		grpc_session_answer(session, stream, reply, 0);
}

void grpc_session_reply_http(struct grpc_session *session, int32_t stream_id,
			     const struct grpc_http_reply *reply)
{
	struct grpc_stream *stream = find_handed(session, stream_id);

	if (!stream)
		return;
	begin_reply(session, stream);
	count_http_reply(session, reply->status);
	end_reply(session, stream, grpc_http_reply(session->http2, stream, reply));
}

void grpc_session_hold(struct grpc_session *session, bool hold)
{
	struct grpc_stream *stream;
	int rc;

	session->is_held = hold;
	if (hold || session->phase != OPEN)
		return;
	rc = nghttp2_session_consume_connection(session->http2, session->withheld_bytes);
	session->withheld_bytes = 0;
	TAILQ_FOREACH(stream, &session->all, all)
	{
		if (rc == 0 && grpc_stream_takes_data(stream))
			rc = nghttp2_session_consume_stream(session->http2, stream->id,
							    stream->withheld_bytes);
		stream->withheld_bytes = 0;
	}
	if (rc != 0)
		grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
}

size_t grpc_session_open_streams(const struct grpc_session *session)
{
	return session->open_streams;
}

uint64_t grpc_session_deadline_ms(const struct grpc_session *session)
{
	return session->phase == OPEN ? session->deadline_ms : UINT64_MAX;
}

const char *grpc_session_complaint(const struct grpc_session *session)
{
	return session->complaint;
}
