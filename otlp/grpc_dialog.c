/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_dialog.h"

#include <errno.h>

#include "otlp/grpc_http2.h"
#include "otlp/grpc_reflection.h"

#define MAX_MESSAGE_BYTES ((size_t)16 << 10)
#define MAX_UNSENT_BYTES  ((size_t)256 << 10)

static struct grpc_error error_of(enum grpc_status status, const char *text)
{
	return (struct grpc_error){ .status = status, .text = text };
}

static void make_ready(struct grpc_session *session, struct grpc_stream *stream)
{
	if (stream->is_ready)
		return;
	stream->is_ready = true;
	TAILQ_INSERT_TAIL(&session->ready, stream, ready);
}

void grpc_dialog_data(struct grpc_session *session, struct grpc_stream *stream, struct str data)
{
	size_t cap = stream->pending.cap;

	if (stream->has_all)
		return;
	stream->last_data_ms = session->now_ms;
	buf_append_str(&stream->pending, data);
	grpc_share_move(stream->share, cap, stream->pending.cap);
	make_ready(session, stream);
}

void grpc_dialog_end(struct grpc_session *session, struct grpc_stream *stream)
{
	if (stream->has_all)
		return;
	stream->has_all = true;
	make_ready(session, stream);
}

/* The trailers follow what has been added. */
static void finish(struct grpc_session *session, struct grpc_stream *stream,
		   struct grpc_error error)
{
	grpc_share_move(stream->share, stream->pending.cap, 0);
	buf_fini(&stream->pending);
	stream->end = error;
	stream->goes_on = false;
	stream->has_all = true;
	stream->replied_ms = session->now_ms;
	grpc_session_count_reply(session, error.status);
	nghttp2_session_resume_data(session->http2, stream->id); /* fails if it runs */
}

static struct grpc_error inflate(const struct grpc_stream *stream, struct str packed,
				 struct buf *out)
{
	int rc = -EBADMSG;

	if (stream->head.encoding != OTLP_IDENTITY)
		rc = otlp_coding_undo(stream->head.encoding, packed, MAX_MESSAGE_BYTES, 0, out);
	return rc < 0 ? error_of(GRPC_INTERNAL, "message is not what grpc-encoding says")
		      : error_of(GRPC_OK, NULL);
}

static struct grpc_error answer_plain(struct grpc_session *session, struct grpc_stream *stream,
				      struct str message)
{
	struct buf response = { 0 };
	int rc = grpc_reflection_answer(message, session->methods, &response);

	if (rc == 0)
		rc = grpc_stream_add_response(stream, buf_str(&response));
	buf_fini(&response);
	if (rc == -EBADMSG)
		return error_of(GRPC_INVALID_ARGUMENT, "not a ServerReflectionRequest");
	if (rc < 0)
		return error_of(GRPC_UNAVAILABLE, "out of memory");
	if (stream->reply.len - stream->reply_sent > MAX_UNSENT_BYTES)
		return error_of(GRPC_RESOURCE_EXHAUSTED, "read the answers before asking on");
	return error_of(GRPC_OK, NULL);
}

static struct grpc_error answer_message(struct grpc_session *session, struct grpc_stream *stream,
					struct str message, bool is_packed)
{
	struct buf plain = { 0 };
	struct grpc_error error;

	if (!is_packed)
		return answer_plain(session, stream, message);
	error = inflate(stream, message, &plain);
	if (error.status)
		return error;
	error = answer_plain(session, stream, buf_str(&plain));
	buf_fini(&plain);
	return error;
}

/* Answers the first message of `*rest`, which moves on. false: it is not whole, or wrong. */
static bool answer_next(struct grpc_session *session, struct grpc_stream *stream, struct str *rest,
			struct grpc_error *out_error)
{
	const uint8_t *prefix = (const uint8_t *)rest->data;
	size_t len;

	if (rest->len < GRPC_FRAME_PREFIX_BYTES)
		return false;
	len = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
	      prefix[4];
	if (prefix[0] > 1)
		*out_error = error_of(GRPC_INTERNAL, "message flag is neither 0 nor 1");
	else if (len > MAX_MESSAGE_BYTES)
		*out_error = error_of(GRPC_RESOURCE_EXHAUSTED,
				      "message is larger than this server takes");
	if (out_error->status || rest->len - GRPC_FRAME_PREFIX_BYTES < len)
		return false;
	*out_error = answer_message(session, stream,
				    (struct str){ rest->data + GRPC_FRAME_PREFIX_BYTES, len },
				    prefix[0]);
	rest->data += GRPC_FRAME_PREFIX_BYTES + len;
	rest->len -= GRPC_FRAME_PREFIX_BYTES + len;
	return !out_error->status;
}

static int begin(struct grpc_session *session, struct grpc_stream *stream)
{
	int rc = grpc_http2_begin_reply(session->http2, stream);

	stream->state = GRPC_STREAM_REPLIED;
	stream->goes_on = true;
	if (rc < 0)
		grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
	return rc;
}

void grpc_dialog_answer(struct grpc_session *session, struct grpc_stream *stream)
{
	struct grpc_error error = { 0 };
	struct str rest;

	TAILQ_REMOVE(&session->ready, stream, ready);
	stream->is_ready = false;
	if (stream->state == GRPC_STREAM_BODY && begin(session, stream) < 0)
		return;
	if (!stream->goes_on)
		return;
	rest = buf_str(&stream->pending);
	if (buf_error(&stream->pending))
		error = error_of(GRPC_UNAVAILABLE, "out of memory");
	while (!error.status && answer_next(session, stream, &rest, &error))
		;
	if (!error.status && stream->has_all && rest.len)
		error = error_of(GRPC_INTERNAL, "the call ended in the middle of a message");
	if (error.status || stream->has_all)
		return finish(session, stream, error);
	buf_consume(&stream->pending, stream->pending.len - rest.len);
	nghttp2_session_resume_data(session->http2, stream->id); /* fails if it runs */
}

void grpc_dialog_leave(struct grpc_session *session)
{
	const struct grpc_error leaving = error_of(GRPC_UNAVAILABLE, "the server is leaving");
	struct grpc_stream *stream;

	TAILQ_FOREACH(stream, &session->all, all)
	{
		if (stream->is_dialog && stream->state == GRPC_STREAM_BODY)
			grpc_session_refuse(session, stream, leaving);
		else if (stream->is_dialog && stream->goes_on)
			finish(session, stream, leaving);
	}
}
