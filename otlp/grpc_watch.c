/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_watch.h"

#include "otlp/grpc_http2.h"

#define MAX_WATCHES 16 /* of one connection: they have no end of their own */

static enum grpc_health health(const struct grpc_session *session)
{
	bool serving = (!session->options.serving || *session->options.serving) &&
		       session->shutdown == SERVING;

	return serving ? GRPC_HEALTH_SERVING : GRPC_HEALTH_NOT_SERVING;
}

static enum grpc_health health_for(const struct grpc_session *session,
				   const struct grpc_stream *stream)
{
	return stream->is_known ? health(session) : GRPC_HEALTH_SERVICE_UNKNOWN;
}

/* `stream` is READY. Watchers are told SERVICE_UNKNOWN, for the service may come. */
static void answer(struct grpc_session *session, struct grpc_stream *stream, bool lists)
{
	struct grpc_reply reply = { .status = GRPC_OK };
	struct buf message = { 0 };

	stream->told = health_for(session, stream);
	if (lists)
		grpc_health_list(session->options.methods, health(session), &message);
	else
		grpc_health_put(stream->told, &message);
	reply.response = buf_str(&message);
	if (buf_error(&message))
		reply = (struct grpc_reply){ .status = GRPC_UNAVAILABLE, .text = "out of memory" };
	grpc_session_answer(session, stream, &reply, 0);
	buf_fini(&message);
}

static unsigned count_watches(const struct grpc_session *session)
{
	struct grpc_stream *stream;
	unsigned count = 0;

	TAILQ_FOREACH(stream, &session->all, all)
	{
		count += stream->goes_on && !stream->is_dialog;
	}
	return count;
}

void grpc_watch_answer(struct grpc_session *session, struct grpc_stream *stream, struct str message,
		       enum grpc_own method)
{
	bool watches = method == GRPC_OWN_WATCH;
	struct grpc_error unreadable = { .status = GRPC_INVALID_ARGUMENT,
					 .text = "not a HealthCheckRequest" };
	struct grpc_error unknown = { .status = GRPC_NOT_FOUND, .text = "unknown service" };
	struct grpc_error too_many = { .status = GRPC_RESOURCE_EXHAUSTED,
				       .text = "too many watches on one connection" };

	if (!grpc_health_read(message, session->options.methods, &stream->is_known)) {
		grpc_session_refuse(session, stream, unreadable);
		return;
	}
	stream->is_known |= method == GRPC_OWN_LIST;
	if (!watches && !stream->is_known) {
		grpc_session_refuse(session, stream, unknown);
		return;
	}
	if (watches && count_watches(session) >= MAX_WATCHES) {
		grpc_session_refuse(session, stream, too_many);
		return;
	}
	stream->goes_on = watches;
	answer(session, stream, method == GRPC_OWN_LIST);
}

/* One message at a time: while the last one has not gone out, the next waits for the next tick. */
static int tell(struct grpc_session *session, struct grpc_stream *stream, bool ends)
{
	enum grpc_health now = health_for(session, stream);
	struct buf message = { 0 };
	int rc = 0;

	if (!grpc_stream_is_sent(stream) && !ends)
		return 0;
	if (grpc_stream_is_sent(stream) && now != stream->told) {
		grpc_health_put(now, &message);
		rc = buf_error(&message);
		if (rc == 0)
			rc = grpc_stream_add_response(stream, buf_str(&message));
		buf_fini(&message);
		stream->told = now;
	} else if (!ends) {
		return 0;
	}
	stream->goes_on = !ends;
	if (rc == 0)
		nghttp2_session_resume_data(session->http2, stream->id); /* fails if it runs */
	return rc;
}

void grpc_watch_tell(struct grpc_session *session, bool ends)
{
	struct grpc_stream *stream;
	int rc = 0;

	TAILQ_FOREACH(stream, &session->all, all)
	{
		if (rc == 0 && stream->goes_on && !stream->is_dialog)
			rc = tell(session, stream, ends);
	}
	if (rc < 0)
		grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
}
