/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 tells us. Each function notes what happened and returns; nothing is fed or pulled
 * in here, and no request is worked on. */
#include "otlp/grpc_events.h"

#include <errno.h>
#include <strings.h>

#include "collector/base/macros.h"
#include "otlp/grpc_dialog.h"
#include "otlp/grpc_http.h"
#include "otlp/grpc_session_state.h"

#define EXPECTATION "100-continue"

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
	bool wants_more = stream && grpc_stream_takes_data(stream);

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

static int on_begin_frame(nghttp2_session *http2, const nghttp2_frame_hd *hd, void *user_data)
{
	struct grpc_session *session = user_data;

	(void)http2;
	if (hd->type != NGHTTP2_HEADERS || hd->stream_id % 2 == 0)
		return 0;
	if (find_stream(session, hd->stream_id)) /* nghttp2 knows what to do */
		return 0;
	if (grpc_seen_has_ended(&session->seen, hd->stream_id))
		return grpc_session_condemn(session, "stream_closed", NGHTTP2_STREAM_CLOSED);
	if (grpc_seen_was_left_out(&session->seen, hd->stream_id))
		return grpc_session_condemn(session, "stream_id_too_small", NGHTTP2_PROTOCOL_ERROR);
	grpc_seen_open(&session->seen, hd->stream_id);
	return 0;
}

/* One too many: it may come again, and the connection goes on. What it says is not looked at. */
static int refuse_stream(struct grpc_session *session, int32_t stream_id)
{
	if (session->options.counters)
		session->options.counters->refused_streams++;
	if (nghttp2_submit_rst_stream(session->http2, NGHTTP2_FLAG_NONE, stream_id,
				      NGHTTP2_REFUSED_STREAM) != 0)
		return grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
	return count_nonsense(session, GRPC_GUARD_REFUSED_STREAM);
}

static int on_begin_headers(nghttp2_session *http2, const nghttp2_frame *frame, void *user_data)
{
	struct grpc_session *session = user_data;
	struct grpc_stream *stream;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (session->open_streams >= session->options.max_streams)
		return refuse_stream(session, frame->hd.stream_id);
	stream = grpc_stream_new(frame->hd.stream_id, &session->share, session->now_ms);
	if (!stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(http2, stream->id, stream);
	TAILQ_INSERT_TAIL(&session->all, stream, all);
	session->open_streams++;
	return 0;
}

/* Fields of a head that is not too large, while somebody may ask for them. */
static bool keeps_fields(const struct grpc_session *session, const struct grpc_stream *stream)
{
	return (session->options.takes_http || session->options.admit) &&
	       stream->state == GRPC_STREAM_HEADERS &&
	       !grpc_head_check_size(&stream->head, &session->options.head).status;
}

static int on_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user_data)
{
	struct grpc_session *session = user_data;
	struct grpc_stream *stream = find_stream(session, frame->hd.stream_id);

	struct str key = { (const char *)name, name_len };
	struct str text = { (const char *)value, value_len };

	(void)http2;
	(void)flags;
	if (!stream)
		return 0;
	if (!grpc_head_add(&stream->head, &session->options.head, key, text))
		return grpc_session_condemn(session, "too_many_headers", NGHTTP2_ENHANCE_YOUR_CALM);
	if (keeps_fields(session, stream) && grpc_stream_keep_field(stream, key, text) == -ENOMEM)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return 0;
}

static void end_request(struct grpc_session *session, struct grpc_stream *stream)
{
	struct grpc_error error;

	if (stream->is_dialog)
		return grpc_dialog_end(session, stream);
	if (stream->state != GRPC_STREAM_BODY)
		return;
	error = grpc_stream_end(stream);
	if (error.status)
		grpc_session_refuse(session, stream, error);
	else
		TAILQ_INSERT_TAIL(&session->ready, stream, ready);
}

static struct grpc_error judge_grpc(struct grpc_session *session, struct grpc_stream *stream)
{
	const struct grpc_session_options *options = &session->options;
	struct grpc_error error = grpc_head_check(&stream->head, session->methods, &stream->method);

	if (!error.status && options->admit && !grpc_session_is_health(session, stream))
		error = options->admit(&stream->fields, false, options->arg);
	if (!error.status)
		error = grpc_head_check_encoding(&stream->head);
	grpc_stream_drop_fields(stream);
	return error;
}

static struct grpc_error judge_http(struct grpc_session *session, struct grpc_stream *stream)
{
	const struct grpc_session_options *options = &session->options;
	struct grpc_error error = { 0 };

	if (options->admit)
		error = options->admit(&stream->fields, true, options->arg);
	if (!error.status)
		error = grpc_http_begin(stream, options->max_message_bytes);
	return error;
}

/* An interim answer: the client waits for it with its body. */
static void go_ahead(struct grpc_session *session, const struct grpc_stream *stream)
{
	uint8_t name[] = ":status", value[] = "100";
	const nghttp2_nv status = { name, value, sizeof(name) - 1, sizeof(value) - 1,
				    NGHTTP2_NV_FLAG_NONE };

	struct str expect = http_fields_find(&stream->fields, "expect");

	if (expect.len != sizeof(EXPECTATION) - 1 ||
	    strncasecmp(expect.data, EXPECTATION, expect.len) != 0)
		return;
	if (nghttp2_submit_headers(session->http2, NGHTTP2_FLAG_NONE, stream->id, NULL, &status, 1,
				   NULL) != 0)
		grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
}

/* Open streams and their headers are memory, too, even if no body ever follows. Whoever does not
 * even take the refusals is not asked again. */
static struct grpc_error find_room(struct grpc_session *session, struct grpc_stream *stream)
{
	if (!grpc_share_is_over(&session->share))
		return (struct grpc_error){ 0 };
	if (grpc_share_is_deaf(&session->share))
		grpc_session_condemn(session, "too_many_streams", NGHTTP2_ENHANCE_YOUR_CALM);
	return grpc_stream_lacks_room(stream);
}

static void begin_request(struct grpc_session *session, struct grpc_stream *stream, bool is_last)
{
	struct grpc_error error = grpc_head_check_size(&stream->head, &session->options.head);

	stream->is_http = session->options.takes_http && stream->head.content == GRPC_CONTENT_OTHER;
	if (stream->is_http)
		grpc_http_note(stream);
	if (!error.status)
		error = find_room(session, stream);
	if (!error.status)
		error = stream->is_http ? judge_http(session, stream) : judge_grpc(session, stream);
	if (error.status) {
		grpc_session_refuse(session, stream, error);
		return;
	}
	grpc_stream_begin(stream, session->now_ms);
	stream->is_dialog = grpc_session_is_reflection(session, stream);
	session->deadline_ms = MIN(session->deadline_ms, stream->deadline_ms);
	if (stream->is_http && !is_last)
		go_ahead(session, stream);
}

static void on_headers(struct grpc_session *session, const nghttp2_frame *frame)
{
	struct grpc_stream *stream = find_stream(session, frame->hd.stream_id);
	bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (stream)
		grpc_head_end(&stream->head);
	if (stream && stream->state == GRPC_STREAM_HEADERS)
		begin_request(session, stream, is_last);
	if (stream && is_last)
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
		grpc_session_ping_returned(session, frame->ping.opaque_data);
		return 0;
	}
	reason = grpc_guard_ping(&session->guard, session->options.min_ping_ms, session->now_ms);
	return reason ? grpc_session_condemn(session, reason, NGHTTP2_ENHANCE_YOUR_CALM) : 0;
}

static bool ends_stream(const nghttp2_frame *frame)
{
	const uint8_t type = frame->hd.type;

	return type == NGHTTP2_RST_STREAM || ((type == NGHTTP2_HEADERS || type == NGHTTP2_DATA) &&
					      frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
}

static int on_frame_recv(nghttp2_session *http2, const nghttp2_frame *frame, void *user_data)
{
	struct grpc_session *session = user_data;

	(void)http2;
	if (ends_stream(frame))
		grpc_seen_end(&session->seen, frame->hd.stream_id);
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		on_headers(session, frame);
		return session->phase == CONDEMNED ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
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
	if (stream && stream->is_dialog)
		grpc_dialog_data(session, stream, (struct str){ (const char *)data, len });
	else if (stream && stream->state == GRPC_STREAM_BODY)
		error = grpc_stream_data(stream, data, len, session->options.max_message_bytes,
					 session->now_ms);
	if (error.status)
		grpc_session_refuse(session, stream,
				    stream->is_http ? grpc_http_error(error) : error);
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
	if (stream->state == GRPC_STREAM_READY || stream->is_ready)
		TAILQ_REMOVE(&session->ready, stream, ready);
	if ((stream->state != GRPC_STREAM_REPLIED || stream->goes_on) && session->options.counters)
		session->options.counters->cancelled++;
	TAILQ_REMOVE(&session->all, stream, all);
	session->open_streams--;
	grpc_stream_free(stream);
	return 0;
}

/* A reply that went out before the request had ended: the client need not send the rest. Some that
 * speak plain HTTP (curl 7.88) forget the reply when this comes with it: they get it at the next
 * tick, unless they end the stream themselves; not where memory is short. */
static void stop_request(struct grpc_session *session, int32_t stream_id)
{
	struct grpc_stream *stream = find_stream(session, stream_id);

	if (stream)
		grpc_stream_was_refused(stream);
	if (nghttp2_session_get_stream_remote_close(session->http2, stream_id) != 0)
		return;
	if (stream && stream->is_http && !stream->lacks_room)
		stream->stops_at_tick = true;
	else
		nghttp2_submit_rst_stream(session->http2, NGHTTP2_FLAG_NONE, stream_id,
					  NGHTTP2_NO_ERROR);
}

/* Must return 0: nghttp2 has already handed out the bytes. grpc_session_pull looks at the state. */
static int on_frame_send(nghttp2_session *http2, const nghttp2_frame *frame, void *user_data)
{
	struct grpc_session *session = user_data;

	(void)http2;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			stop_request(session, frame->hd.stream_id);
		grpc_guard_forgive(&session->guard);
		break;
	case NGHTTP2_DATA:
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			stop_request(session, frame->hd.stream_id);
		grpc_guard_forgive(&session->guard);
		break;
	case NGHTTP2_RST_STREAM: /* NO_ERROR follows a whole reply: that costs no more than others;
				  * who is refused has been counted */
		if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
		    frame->rst_stream.error_code != NGHTTP2_REFUSED_STREAM)
			count_nonsense(session, GRPC_GUARD_RESET_SENT);
		break;
	case NGHTTP2_GOAWAY:
		if (frame->goaway.error_code != NGHTTP2_NO_ERROR && !session->peer_leaves)
			grpc_session_complain(session, "broken_http2");
		break;
	}
	return 0;
}

/* Go's clients say goodbye with the id of a stream of their own, where one of ours belongs; nghttp2
 * ends the connection for it. That is what they want: nothing to complain of. */
static int on_invalid_frame(nghttp2_session *http2, const nghttp2_frame *frame, int code,
			    void *user_data)
{
	struct grpc_session *session = user_data;

	(void)http2;
	(void)code;
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code == NGHTTP2_NO_ERROR) {
		session->peer_leaves = true;
		return 0;
	}
	return count_nonsense(session, GRPC_GUARD_INVALID_FRAME);
}

int grpc_events_callbacks(nghttp2_session_callbacks **out_callbacks)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
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
