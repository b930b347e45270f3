/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a session: shared by grpc_session.c (what the owner calls) and grpc_events.c (what
 * nghttp2 tells us). Nobody else includes this. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "otlp/grpc_guard.h"
#include "otlp/grpc_seen.h"
#include "otlp/grpc_session.h"
#include "otlp/grpc_stream.h"

/*   GREETING --> OPEN --> CONDEMNED: we send GOAWAY and touch nghttp2 no more
 *      |  \                  |
 *      |   +--> HTTP1: we say that this is the wrong port
 *      v          v          v
 *      +-------> CLOSED <----+          an OPEN session just runs dry */
enum grpc_session_phase { GREETING, OPEN, HTTP1, CONDEMNED, CLOSED };

/* What a session answers by itself, behind the owner's methods. */
enum grpc_own {
	GRPC_OWN_CHECK,
	GRPC_OWN_WATCH,
	GRPC_OWN_LIST,
	GRPC_OWN_REFLECTION, /* from here on only when options.reflects */
	GRPC_OWN_REFLECTION_ALPHA,
	GRPC_OWN_METHODS
};

enum grpc_session_shutdown { SERVING, ANNOUNCED, LEAVING };

struct grpc_session {
	struct grpc_session_options options;
	struct grpc_share share; /* of the options' budget */
	nghttp2_session *http2;  /* owned */
	const char **methods;    /* owned: those of the options, then our own */
	unsigned own_method;     /* the first of our own: + enum grpc_own */
	enum grpc_session_phase phase;
	enum grpc_session_shutdown shutdown;
	struct grpc_stream_list all;
	struct grpc_stream_list ready;
	size_t open_streams;
	uint32_t in_progress;
	struct grpc_guard guard;
	uint64_t now_ms;
	uint64_t started_ms;
	uint64_t heard_ms;    /* the last byte of the peer */
	uint64_t deadline_ms; /* of an open call, none is earlier; UINT64_MAX: none */
	uint64_t pinged_ms;
	bool is_pinged;
	uint64_t announced_ms;
	const char *end_reason; /* static; NULL: none */
	struct grpc_seen seen;
	struct grpc_frame_heads heads;
	uint64_t begun_ms;   /* what `heads` may be waiting for */
	size_t greeting_len; /* how much of the client's preface has come */
	bool has_introduced; /* our SETTINGS have been pulled */
	bool has_settings;
	bool peer_leaves; /* it has said so */
	bool is_held;
	size_t withheld_bytes; /* of the connection's window */
	const char *complaint; /* static */
	uint32_t complaint_code;
};

static inline bool grpc_session_is_health(const struct grpc_session *session,
					  const struct grpc_stream *stream)
{
	return !stream->is_http && stream->method >= session->own_method &&
	       stream->method < session->own_method + GRPC_OWN_REFLECTION;
}

static inline bool grpc_session_is_reflection(const struct grpc_session *session,
					      const struct grpc_stream *stream)
{
	return !stream->is_http && stream->method >= session->own_method + GRPC_OWN_REFLECTION;
}

/* The peer is beyond help: from here on nghttp2 is neither fed nor asked. Returns what its
 * callbacks must return. `reason`: static. */
int grpc_session_condemn(struct grpc_session *session, const char *reason, uint32_t code);

/* Notes the first reason why this connection ends badly. */
void grpc_session_complain(struct grpc_session *session, const char *reason);

/* Replies to a gRPC call. `http_status`: 0 is 200. */
void grpc_session_answer(struct grpc_session *session, struct grpc_stream *stream,
			 const struct grpc_reply *reply, unsigned http_status);

/* Counts the reply to a gRPC call. */
void grpc_session_count_reply(struct grpc_session *session, enum grpc_status status);

/* Answers a call or a plain request ourselves, with an error. */
void grpc_session_refuse(struct grpc_session *session, struct grpc_stream *stream,
			 struct grpc_error error);

/* The second GOAWAY, after which new streams are refused. */
void grpc_session_leave(struct grpc_session *session);

/* The peer has answered a ping of ours. */
void grpc_session_ping_returned(struct grpc_session *session, const uint8_t data[8]);
