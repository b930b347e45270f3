/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/2 connection that serves unary gRPC calls, and plain HTTP requests for those who want
 * them: bytes in, bytes out, no sockets, no clock.
 *
 *   grpc_session_new
 *     -> feed what was read; next until it says no; pull and write what it gives; reply when done
 *     -> tick once a second
 *     -> shutdown: two GOAWAYs, running calls end, is_done
 *   grpc_session_free
 *
 * Whatever goes wrong on a call is answered by the session itself: unknown method, wrong framing,
 * bad gzip, too large, too slow; and so are grpc.health.v1 and, if wanted, server reflection. The
 * owner sees whole requests only. Not thread safe: one thread
 * owns the session and everything borrowed by it. A peer that abuses the connection gets a GOAWAY
 * that names the reason; is_done is then true once that has been pulled. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "otlp/grpc_budget.h"
#include "otlp/grpc_error.h"
#include "otlp/grpc_head.h"
#include "otlp/grpc_status.h"
#include "otlp/http_fields.h"

#define GRPC_TRACE_EXPORT "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

#define GRPC_HTTP_MAX_FIELDS   16
#define GRPC_HTTP_OWNER_FIELDS 4

/* What all sessions of one thread did; for /metrics. */
struct grpc_counters {
	uint64_t replies[GRPC_STATUS_COUNT]; /* by status, those of the session itself included */
	uint64_t http_replies[6];            /* of plain HTTP: [2] those with status 2xx, ... */
	uint64_t cancelled;                  /* streams that the peer reset before the reply */
	uint64_t refused_streams;            /* more than max_streams at a time */
	uint64_t condemned;                  /* connections closed for abuse or broken HTTP/2 */
};

struct grpc_session_options {
	const char *const *methods; /* borrowed: paths that the owner serves; NULL ends it */
	const bool *serving;        /* borrowed: answers grpc.health.v1; NULL: always serving */
	/* Borrowed; NULL: none. A call that exceeds it gets UNAVAILABLE with RetryInfo. */
	struct grpc_budget *budget;
	struct grpc_counters *counters;   /* borrowed; NULL: none */
	size_t max_message_bytes;         /* as sent, and inflated; 0: 16 MiB */
	size_t max_ratio;                 /* inflated bytes for one sent, above 1 MiB; 0: 1000 */
	struct grpc_head_limits head;     /* of one request; 0: 16 KiB, 64 fields */
	uint32_t max_streams;             /* 0: 128 */
	uint32_t stream_window_bytes;     /* 0: 1 MiB */
	uint32_t connection_window_bytes; /* 0: 8 MiB */
	uint32_t max_in_progress;         /* requests handed over and not replied to; 0: 256 */
	uint32_t idle_ms;                 /* between two pieces of a message; 0: 30,000 */
	uint32_t greeting_ms;             /* from accept to the client's SETTINGS; 0: 10,000 */
	uint32_t head_ms;                 /* for the headers of one request; 0: 10,000 */

	/* A request that is not gRPC is handed over as plain HTTP; otherwise it is answered 415. */
	bool takes_http;
	bool reflects; /* answers grpc.reflection: tells which methods there are */
	/* Judges the headers before the body is read; NULL: all pass. An error is the reply: gRPC's
	 * status or, for plain HTTP, its http_status with a google.rpc.Status as body. */
	struct grpc_error (*admit)(const struct http_fields *fields, bool is_http, void *arg);
	/* What the session's own refusals of plain HTTP say besides, at most
	 * GRPC_HTTP_OWNER_FIELDS; they may borrow from the request's fields. NULL: nothing. */
	size_t (*refusal_fields)(const struct http_fields *request, struct http_field *out_fields,
				 void *arg);
	/* Plain HTTP was refused by the session itself; NULL: nobody counts. */
	void (*on_refused)(unsigned http_status, void *arg);
	void *arg;

	uint32_t grace_ms; /* for running calls, behind shutdown; 0: as long as they take */
	/* A peer that was silent for keepalive_ms is sent a ping; it has keepalive_timeout_ms to
	 * say anything at all. */
	uint32_t keepalive_ms;         /* 0: never */
	uint32_t keepalive_timeout_ms; /* 0: 20,000 */
	uint32_t min_ping_ms;          /* a peer's pings closer than that are strikes; 0: 10,000 */
};

/* A finished request. */
struct grpc_request {
	int32_t stream_id;
	unsigned method; /* index into options.methods */
	char *message;   /* owned by the receiver, from malloc, inflated; NULL when empty */
	size_t message_len;
	bool was_compressed;
	uint64_t timeout_ms; /* grpc-timeout: how long the client waits; 0: not said */
	bool is_http;        /* plain HTTP: message is the body as sent, Content-Encoding and all */
	struct http_fields fields; /* owned by the receiver; of plain HTTP only */
};

struct grpc_reply {
	enum grpc_status status;
	const char *text;        /* for people, UTF-8; NULL: none. Ignored when status is OK */
	struct str response;     /* the response message when status is OK; borrowed for the call */
	uint32_t retry_delay_ms; /* with UNAVAILABLE: RetryInfo and pushback; 0: none */
};

/* The answer to plain HTTP. Content-Length is added; the body is left out for HEAD. */
struct grpc_http_reply {
	unsigned status;
	const struct http_field *fields; /* borrowed for the call; names in lower case */
	size_t field_count;              /* at most GRPC_HTTP_MAX_FIELDS */
	struct str body;                 /* borrowed for the call */
};

struct grpc_session;

/* `now_ms`: any monotonic clock of the caller, in all calls the same. -ENOMEM. */
int grpc_session_new(const struct grpc_session_options *options, uint64_t now_ms,
		     struct grpc_session **out_session);
void grpc_session_free(struct grpc_session *session);

/* Bytes from the peer. Always takes all; those after the end of a broken connection are ignored.
 * 0 or -EPROTO: nothing more is wanted; pull what is left, then close. */
int grpc_session_feed(struct grpc_session *session, const void *data, size_t len, uint64_t now_ms);

/* Appends bytes for the peer to `out`, whole frames, until about 64 KiB. Call it with an empty buf
 * when the last one is written: then a peer that does not read holds no more than that.
 * 0 or -ENOMEM. */
int grpc_session_pull(struct grpc_session *session, struct buf *out);

bool grpc_session_wants_read(const struct grpc_session *session);
bool grpc_session_wants_write(const struct grpc_session *session);

/* Nothing is left to read or write: close the connection. */
bool grpc_session_is_done(const struct grpc_session *session);

/* The next finished request. false: none, or max_in_progress reached. Every request handed over
 * must be replied to exactly once, also if its stream has been reset meanwhile. */
bool grpc_session_next(struct grpc_session *session, struct grpc_request *out_request);

/* A reply to a stream that is gone is dropped. */
void grpc_session_reply(struct grpc_session *session, int32_t stream_id,
			const struct grpc_reply *reply);

/* The same for a request of plain HTTP. */
void grpc_session_reply_http(struct grpc_session *session, int32_t stream_id,
			     const struct grpc_http_reply *reply);

/* Back-pressure: while held, the peer gets no new flow-control credit and can send one window at
 * most. Requests that are in flight go on. */
void grpc_session_hold(struct grpc_session *session, bool hold);

/* Ends calls whose deadline has passed, messages that take too long, and connections that never
 * said hello or are dead. Also tells watchers of the health what has changed. Once a second, and
 * when a call runs out of its client's time: no deadline is earlier than deadline_ms (UINT64_MAX:
 * there is none). */
void grpc_session_tick(struct grpc_session *session, uint64_t now_ms);
uint64_t grpc_session_deadline_ms(const struct grpc_session *session);

/* Graceful: announces, waits for one round trip (at most a second of ticks), refuses new streams,
 * lets the others end. Any number of times. `reason`: static text for the peer ("max_idle"), NULL:
 * none. */
void grpc_session_shutdown(struct grpc_session *session, const char *reason, uint64_t now_ms);

/* Streams that are open; why the session condemned the peer, NULL: it did not. */
size_t grpc_session_open_streams(const struct grpc_session *session);
const char *grpc_session_complaint(const struct grpc_session *session);
