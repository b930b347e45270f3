/* SPDX-License-Identifier: Apache-2.0 */
/* How a session passes its time, and how it ends: ticks, keep-alive, the two GOAWAYs. */
#include <string.h>

#include "collector/base/macros.h"
#include "otlp/grpc_dialog.h"
#include "otlp/grpc_http.h"
#include "otlp/grpc_session_state.h"
#include "otlp/grpc_watch.h"

#define ANNOUNCEMENT_MS 1000 /* from the first GOAWAY to the second, if no ping returns */

static const uint8_t shutdown_ping[8] = "goodbye", keepalive_ping[8] = "hello";

static void submitted(struct grpc_session *session, int rc)
{
	if (rc != 0)
		grpc_session_condemn(session, "out_of_memory", NGHTTP2_INTERNAL_ERROR);
}

/* The second GOAWAY: it names the last stream that we serve, and why. */
void grpc_session_leave(struct grpc_session *session)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(session->http2);
	const char *reason = session->end_reason;

	if (session->shutdown != ANNOUNCED)
		return;
	session->shutdown = LEAVING;
	grpc_watch_tell(session, true);
	grpc_dialog_leave(session);
	submitted(session,
		  nghttp2_submit_goaway(session->http2, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR,
					(const uint8_t *)reason, reason ? strlen(reason) : 0));
}

void grpc_session_shutdown(struct grpc_session *session, const char *reason, uint64_t now_ms)
{
	int rc;

	session->now_ms = now_ms;
	if (session->phase == GREETING)
		session->phase = CLOSED;
	if (session->phase != OPEN || session->shutdown != SERVING)
		return;
	session->shutdown = ANNOUNCED;
	session->announced_ms = now_ms;
	session->end_reason = reason;
	grpc_watch_tell(session, false);
	rc = nghttp2_submit_shutdown_notice(session->http2);
	if (rc == 0)
		rc = nghttp2_submit_ping(session->http2, NGHTTP2_FLAG_NONE, shutdown_ping);
	submitted(session, rc);
}

void grpc_session_ping_returned(struct grpc_session *session, const uint8_t data[8])
{
	if (memcmp(data, shutdown_ping, sizeof(shutdown_ping)) == 0)
		grpc_session_leave(session);
}

/* A peer that leaves its window shut does not get to keep the reply here for ever. */
static bool is_left_lying(const struct grpc_session *session, const struct grpc_stream *stream)
{
	return stream->state == GRPC_STREAM_REPLIED && !stream->goes_on &&
	       session->now_ms - stream->replied_ms > session->options.idle_ms;
}

static bool goes_on_for_too_long(const struct grpc_session *session,
				 const struct grpc_stream *stream)
{
	bool is_silent = stream->is_dialog &&
			 session->now_ms - stream->last_data_ms >
				 GRPC_STREAM_SLOWEST * (uint64_t)session->options.idle_ms;

	return stream->goes_on && (is_silent || session->now_ms >= stream->deadline_ms);
}

static void reset_stream(struct grpc_session *session, const struct grpc_stream *stream,
			 uint32_t code)
{
	submitted(session,
		  nghttp2_submit_rst_stream(session->http2, NGHTTP2_FLAG_NONE, stream->id, code));
}

/* What stopped coming, and takes memory that others want. */
static bool is_in_the_way(const struct grpc_session *session, const struct grpc_stream *stream)
{
	uint32_t idle_ms = session->options.idle_ms;
	uint32_t patience_ms = grpc_share_patience_ms(&session->share, idle_ms);

	return patience_ms < idle_ms && stream->state == GRPC_STREAM_BODY && !stream->is_dialog &&
	       session->now_ms - stream->last_data_ms > patience_ms;
}

static void tick_stream(struct grpc_session *session, struct grpc_stream *stream)
{
	struct grpc_error error =
		grpc_stream_tick(stream, session->options.idle_ms, session->now_ms);

	if (!error.status && is_in_the_way(session, stream))
		error = grpc_stream_lacks_room(stream);
	if (error.status)
		grpc_session_refuse(session, stream,
				    stream->is_http ? grpc_http_error(error) : error);
	else if (is_left_lying(session, stream) || goes_on_for_too_long(session, stream))
		reset_stream(session, stream, NGHTTP2_CANCEL);
	else if (stream->stops_at_tick)
		reset_stream(session, stream, NGHTTP2_NO_ERROR);
	else if (stream->state < GRPC_STREAM_REPLIED || stream->goes_on)
		session->deadline_ms = MIN(session->deadline_ms, stream->deadline_ms);
}

static void tick_streams(struct grpc_session *session)
{
	struct grpc_stream *stream;

	/* Nothing else can come before the rest of it. */
	if (grpc_frame_heads_is_waiting(&session->heads) &&
	    session->now_ms - session->begun_ms > session->options.head_ms)
		grpc_session_condemn(session, "slow_headers", NGHTTP2_ENHANCE_YOUR_CALM);
	session->deadline_ms = UINT64_MAX;
	TAILQ_FOREACH(stream, &session->all, all)
	{
		if (session->phase == OPEN)
			tick_stream(session, stream);
	}
}

/* Silence is broken by any byte, not just by the answer to our ping. */
static void tick_keepalive(struct grpc_session *session)
{
	const struct grpc_session_options *options = &session->options;
	uint64_t silent_ms = session->now_ms - session->heard_ms;

	if (!options->keepalive_ms || silent_ms < options->keepalive_ms) {
		session->is_pinged = false;
		return;
	}
	if (!session->is_pinged) {
		session->is_pinged = true;
		session->pinged_ms = session->now_ms;
		submitted(session,
			  nghttp2_submit_ping(session->http2, NGHTTP2_FLAG_NONE, keepalive_ping));
	} else if (session->now_ms - session->pinged_ms >= options->keepalive_timeout_ms) {
		session->phase = CLOSED;
	}
}

static void tick_end(struct grpc_session *session)
{
	const struct grpc_session_options *options = &session->options;
	uint64_t leaving_ms = session->now_ms - session->announced_ms;

	if (session->shutdown == SERVING)
		return;
	if (leaving_ms >= ANNOUNCEMENT_MS)
		grpc_session_leave(session);
	if (options->grace_ms && leaving_ms >= options->grace_ms)
		session->phase = CLOSED;
}

void grpc_session_tick(struct grpc_session *session, uint64_t now_ms)
{
	session->now_ms = now_ms;
	if (!session->has_settings && now_ms - session->started_ms > session->options.greeting_ms)
		session->phase = CLOSED;
	if (session->phase == OPEN)
		tick_streams(session);
	if (session->phase == OPEN)
		tick_keepalive(session);
	if (session->phase == OPEN)
		tick_end(session);
	if (session->phase == OPEN)
		grpc_watch_tell(session, false);
}
