/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 tells us. Each function notes what happened and returns; nothing is fed or pulled
 * in here, and no request is worked on. */
#include "otlp/grpc_events.h"

#include <errno.h>

#include "otlp/grpc_session_state.h"

static int count_nonsense(struct grpc_session *session, enum grpc_guard_kind kind)
{
	const char *reason = grpc_guard_count(&session->guard, kind, session->now_ms);

	return reason ? grpc_session_condemn(session, reason, NGHTTP2_ENHANCE_YOUR_CALM) : 0;
}

static struct grpc_stream *find_stream(struct grpc_session *session, int32_t stream_id)
{
	return nghttp2_session_get_stream_user_data(session->http2, stream_id);
}

/* Gives the peer credit for bytes that we have taken, unless we are held. */
static int give_credit(struct grpc_session *session, struct grpc_stream *stream, size_t len)
{
	bool wants_more = stream && stream->state == GRPC_STREAM_BODY;

	if (session->is_held) {
		session->withheld_bytes += len;
		if (wants_more)
			stream->withheld_bytes += len;
		return 0;
	}
	if (wants_more)
		return nghttp2_session_consume(session->http2, stream->id, len);
	return nghttp2_session_consume_connection(session->http2, len);
}

static int on_begin_headers(nghttp2_session *http2, const nghttp2_frame *frame, void *user_data)
{
	struct grpc_session *session = user_data;
	struct grpc_stream *stream;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	stream = grpc_stream_new(frame->hd.stream_id, session->options.budget, session->now_ms);
	if (!stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(http2, stream->id, stream);
	TAILQ_INSERT_TAIL(&session->all, stream, all);
	session->open_streams++;
	return 0;
}

static int on_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user_data)
{
	struct grpc_session *session = user_data;
	struct grpc_stream *stream = find_stream(session, frame->hd.stream_id);

	(void)http2;
	(void)flags;
	if (!stream || grpc_head_add(&stream->head, (struct str){ (const char *)name, name_len },
				     (struct str){ (const char *)value, value_len }))
		return 0;
	return grpc_session_condemn(session, "too_many_headers", NGHTTP2_ENHANCE_YOUR_CALM);
}

static void end_request(struct grpc_session *session, struct grpc_stream *stream)
{
	struct grpc_error error;

	if (stream->state != GRPC_STREAM_BODY)
		return;
	error = grpc_stream_end(stream);
	if (error.status)
		grpc_session_refuse(session, stream, error);
	else
		TAILQ_INSERT_TAIL(&session->ready, stream, ready);
}

static void on_headers(struct grpc_session *session, const nghttp2_frame *frame)
{
	struct grpc_stream *stream = find_stream(session, frame->hd.stream_id);
	struct grpc_error error;

	if (stream && stream->state == GRPC_STREAM_HEADERS) {
		error = grpc_stream_begin(stream, session->methods, session->now_ms);
		if (error.status)
			grpc_session_refuse(session, stream, error);
	}
	if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		end_request(session, stream);
}

static int on_data(struct grpc_session *session, const nghttp2_frame *frame)
{
	struct grpc_stream *stream = find_stream(session, frame->hd.stream_id);

	if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		end_request(session, stream);
	else if (frame->hd.length == frame->data.padlen)
		return count_nonsense(session, GRPC_GUARD_EMPTY_DATA);
	return 0;
}

static int on_ping(struct grpc_session *session, const nghttp2_frame *frame)
{
	const char *reason;

	if (frame->hd.flags & NGHTTP2_FLAG_ACK) {
		grpc_session_leave(session);
		return 0;
	}
	reason = grpc_guard_ping(&session->guard, session->now_ms);
	return reason ? grpc_session_condemn(session, reason, NGHTTP2_ENHANCE_YOUR_CALM) : 0;
}

static int on_frame_recv(nghttp2_session *http2, const nghttp2_frame *frame, void *user_data)
{
	struct grpc_session *session = user_data;

	(void)http2;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		on_headers(session, frame);
		return 0;
	case NGHTTP2_DATA:
		return on_data(session, frame);
	case NGHTTP2_PING:
		return on_ping(session, frame);
	case NGHTTP2_SETTINGS:
		session->has_settings = true;
		return frame->hd.flags & NGHTTP2_FLAG_ACK
			       ? 0
			       : count_nonsense(session, GRPC_GUARD_SETTINGS);
	default:
		return 0;
	}
}

static int on_data_chunk(nghttp2_session *http2, uint8_t flags, int32_t stream_id,
			 const uint8_t *data, size_t len, void *user_data)
{
	struct grpc_session *session = user_data;
	struct grpc_stream *stream = find_stream(session, stream_id);
	struct grpc_error error = { 0 };

	(void)http2;
	(void)flags;
	if (stream && stream->state == GRPC_STREAM_BODY)
		error = grpc_stream_data(stream, data, len, session->options.max_message_bytes,
					 session->now_ms);
	if (error.status)
		grpc_session_refuse(session, stream, error);
	return give_credit(session, stream, len) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_stream_close(nghttp2_session *http2, int32_t stream_id, uint32_t code,
			   void *user_data)
{
	struct grpc_session *session = user_data;
	struct grpc_stream *stream = find_stream(session, stream_id);

	(void)http2;
	(void)code;
	if (!stream)
		return 0;
	if (stream->state == GRPC_STREAM_READY)
		TAILQ_REMOVE(&session->ready, stream, ready);
	if (stream->state != GRPC_STREAM_REPLIED && session->options.counters)
		session->options.counters->cancelled++;
	TAILQ_REMOVE(&session->all, stream, all);
	session->open_streams--;
	grpc_stream_free(stream);
	return 0;
}

/* A reply that went out before the request had ended: the client need not send the rest. */
static void stop_request(nghttp2_session *http2, int32_t stream_id)
{
	if (nghttp2_session_get_stream_remote_close(http2, stream_id) == 0)
		nghttp2_submit_rst_stream(http2, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_NO_ERROR);
}

/* Must return 0: nghttp2 has already handed out the bytes. grpc_session_pull looks at the state. */
static int on_frame_send(nghttp2_session *http2, const nghttp2_frame *frame, void *user_data)
{
	struct grpc_session *session = user_data;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			stop_request(http2, frame->hd.stream_id);
		grpc_guard_forgive(&session->guard);
		break;
	case NGHTTP2_DATA:
		grpc_guard_forgive(&session->guard);
		break;
	case NGHTTP2_RST_STREAM:
		count_nonsense(session, GRPC_GUARD_RESET_SENT);
		break;
	case NGHTTP2_GOAWAY:
		if (frame->goaway.error_code != NGHTTP2_NO_ERROR)
			grpc_session_complain(session, "broken_http2");
		break;
	}
	return 0;
}

static int on_invalid_frame(nghttp2_session *http2, const nghttp2_frame *frame, int code,
			    void *user_data)
{
	(void)http2;
	(void)frame;
	(void)code;
	return count_nonsense(user_data, GRPC_GUARD_INVALID_FRAME);
}

int grpc_events_callbacks(nghttp2_session_callbacks **out_callbacks)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	*out_callbacks = callbacks;
	return 0;
}
