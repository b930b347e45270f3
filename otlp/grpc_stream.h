/* SPDX-License-Identifier: Apache-2.0 */
/* One call, from its first header to its reply. No HTTP/2 in here: grpc_session tells what
 * happened.
 *
 *   HEADERS -> BODY -> READY -> HANDED -> REPLIED
 *      |         |       |                   ^
 *      +---------+-------+-- an error -------+
 *
 * A dialog, of which both sides are streams, is REPLIED from its first message on. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "collector/base/buf.h"
#include "otlp/grpc_budget.h"
#include "otlp/grpc_frame.h"
#include "otlp/grpc_head.h"
#include "otlp/grpc_health.h"
#include "otlp/http_fields.h"

enum grpc_stream_state {
	GRPC_STREAM_HEADERS,
	GRPC_STREAM_BODY,
	GRPC_STREAM_READY,  /* whole, waits to be handed over */
	GRPC_STREAM_HANDED, /* the owner works on it */
	GRPC_STREAM_REPLIED,
};

struct grpc_session_options;

struct grpc_stream {
	TAILQ_ENTRY(grpc_stream) all;   /* every stream of the session */
	TAILQ_ENTRY(grpc_stream) ready; /* those that are READY */
	enum grpc_stream_state state;
	int32_t id;
	struct grpc_head head;
	struct grpc_frame frame;
	unsigned method;
	uint64_t deadline_ms;      /* from grpc-timeout; UINT64_MAX: none */
	uint64_t begun_ms;         /* its headers */
	uint64_t last_data_ms;     /* for the idle limit */
	uint64_t replied_ms;       /* for a peer that does not take the reply */
	size_t withheld_bytes;     /* flow-control credit that the peer has not got back */
	struct grpc_share *share;  /* borrowed: the connection's */
	bool is_http;              /* plain: the body has no prefix, the answer no trailers */
	bool is_head, is_json;     /* of plain HTTP: how it is answered */
	bool stops_at_tick;        /* answered; the rest of the request is not wanted */
	bool lacks_room;           /* refused for want of memory: it has no part in the share */
	bool is_refusal_unsent;    /* ... and has not been told */
	struct http_fields fields; /* owned: as long as somebody may ask for them */
	struct buf reply;          /* prefix and message, until sent */
	size_t reply_sent;
	struct grpc_error end; /* how it ends, behind all messages */
	bool goes_on;          /* more messages will follow those in `reply`: */
	bool is_known;         /* ... of health, about a service that we have */
	enum grpc_health told; /* ... and what the last one said */
	bool is_dialog;        /* ... or answers to what the client goes on to ask */
	bool is_ready;         /* in the list `ready`, of a dialog */
	bool has_all;          /* the client asks no more */
	struct buf pending;    /* what it has asked, as it came */
};

TAILQ_HEAD(grpc_stream_list, grpc_stream);

/* What an open stream costs, ours and nghttp2's, before it has said anything: part of its
 * connection's share. */
#define GRPC_STREAM_BYTES ((size_t)1536)

struct grpc_stream *grpc_stream_new(int32_t id, struct grpc_share *share, uint64_t now_ms);
void grpc_stream_free(struct grpc_stream *stream);

/* The headers are complete and have been judged: HEADERS -> BODY. */
void grpc_stream_begin(struct grpc_stream *stream, uint64_t now_ms);

/* There is no room for it in the share: what it costs until it has been refused is no longer
 * counted there, or refusals would take the room of others. Returns what it is refused with. */
struct grpc_error grpc_stream_lacks_room(struct grpc_stream *stream);
/* ... and that has been sent, if it was so. */
void grpc_stream_was_refused(struct grpc_stream *stream);

/* Keeps a field of the headers. -ENOMEM, -EMSGSIZE. */
int grpc_stream_keep_field(struct grpc_stream *stream, struct str name, struct str value);

/* Gives them away. */
struct http_fields grpc_stream_take_fields(struct grpc_stream *stream);
void grpc_stream_drop_fields(struct grpc_stream *stream);

/* Bytes of the body, in BODY. */
struct grpc_error grpc_stream_data(struct grpc_stream *stream, const uint8_t *data, size_t len,
				   size_t max_message_bytes, uint64_t now_ms);

/* The peer has said all: BODY -> READY, unless the message is not whole. */
struct grpc_error grpc_stream_end(struct grpc_stream *stream);

/* Gives the message away, inflated. The state stays. */
struct grpc_error grpc_stream_take(struct grpc_stream *stream,
				   const struct grpc_session_options *options, char **out_message,
				   size_t *out_len);

/* Has the client's deadline passed without a reply, or has a message that is still coming in taken
 * too long: `idle_ms` without a byte, or GRPC_STREAM_SLOWEST times that altogether? */
#define GRPC_STREAM_SLOWEST 10
struct grpc_error grpc_stream_tick(const struct grpc_stream *stream, uint32_t idle_ms,
				   uint64_t now_ms);

/* Drops the request: the reply is on its way or the stream has gone. */
void grpc_stream_drop_request(struct grpc_stream *stream);

/* Frames `response` as the next message of the reply. -ENOMEM, -EMSGSIZE. */
int grpc_stream_add_response(struct grpc_stream *stream, struct str response);

/* Is there nothing to be sent just now? */
static inline bool grpc_stream_is_sent(const struct grpc_stream *stream)
{
	return stream->reply_sent == stream->reply.len;
}

/* Does the peer still get credit for what it sends? */
static inline bool grpc_stream_takes_data(const struct grpc_stream *stream)
{
	return stream->state == GRPC_STREAM_BODY || (stream->is_dialog && !stream->has_all);
}
