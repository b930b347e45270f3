/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC: grpc_session <-> intake. */
#include <errno.h>
#include <stdlib.h>

#include "collector/intake.h"
#include "collector/receive/otlp_protocol.h"
#include "collector/receive/otlp_service.h"
#include "otlp/otlp_decode.h"
#include "otlp/otlp_response.h"

#define RETRY_BUSY_MS 1000

struct http2 {
	struct otlp_owner owner;
	struct grpc_session *session; /* owned */
	unsigned unanswered;          /* requests that intake has */
	bool is_busy;                 /* requests are being handed over: answers need no wake */
	bool has_served;
};

static void refuse(struct http2 *http2, int32_t stream_id, struct grpc_error error)
{
	struct grpc_reply reply = { .status = error.status,
				    .text = error.text,
				    .retry_delay_ms = error.retry_delay_ms };

	grpc_session_reply(http2->session, stream_id, &reply);
}

static void reply_stored(struct http2 *http2, int32_t stream_id, const struct span_batch *batch)
{
	struct buf message;

	buf_init(&message, 0);
	if (otlp_response_stored(OTLP_PROTOBUF, batch, &message) == 0) {
		struct grpc_reply reply = { .status = GRPC_OK, .response = buf_str(&message) };

		grpc_session_reply(http2->session, stream_id, &reply);
	} else {
		/* Stored, and it cannot be said: the sender tries again, duplicates are dropped. */
		refuse(http2, stream_id,
		       (struct grpc_error){ .status = GRPC_UNAVAILABLE,
					    .text = "out of memory; try again",
					    .retry_delay_ms = RETRY_BUSY_MS });
	}
	buf_fini(&message);
}

static void on_result(const struct intake_result *result, int32_t stream_id, void *arg)
{
	struct http2 *http2 = arg;
	struct grpc_error error =
		otlp_service_result(http2->owner.service, &otlp_counters_grpc, result);

	http2->unanswered--;
	http2->has_served = true;
	if (error.status == GRPC_OK)
		reply_stored(http2, stream_id, result->batch);
	else
		refuse(http2, stream_id, error);
	if (!http2->is_busy)
		http2->owner.wake(http2->owner.arg);
}

static void refuse_undecodable(struct http2 *http2, int32_t stream_id, int rc)
{
	struct grpc_error error = { .status = GRPC_INVALID_ARGUMENT,
				    .text = "not an ExportTraceServiceRequest: the protobuf does "
					    "not parse" };

	if (rc == -EMSGSIZE)
		error = (struct grpc_error){ .status = GRPC_RESOURCE_EXHAUSTED,
					     .text = "too many spans, resources or scopes in one "
						     "request" };
	else if (rc == -ENOMEM)
		error = (struct grpc_error){ .status = GRPC_UNAVAILABLE,
					     .text = "out of memory; try again",
					     .retry_delay_ms = RETRY_BUSY_MS };
	otlp_service_invalid(http2->owner.service, &otlp_counters_grpc, error.text);
	refuse(http2, stream_id, error);
}

static void take_request(struct http2 *http2, struct grpc_request *request)
{
	const struct otlp_service *service = http2->owner.service;
	struct intake_reply answer = { on_result, http2, request->stream_id };
	struct span_batch *batch;
	char *message = request->message;
	int rc;

	request->message = NULL;
	rc = otlp_decode(message, request->message_len, &service->limits, &batch);
	if (rc < 0)
		return refuse_undecodable(http2, request->stream_id, rc);
	http2->unanswered++;
	intake_submit(service->intake, batch, &answer);
}

static int open(const struct otlp_owner *owner, uint64_t now_ms, void **out_state)
{
	struct http2 *http2 = calloc(1, sizeof(*http2));
	int rc;

	if (!http2)
		return -ENOMEM;
	http2->owner = *owner;
	rc = grpc_session_new(&owner->service->http2, now_ms, &http2->session);
	if (rc < 0) {
		free(http2);
		return rc;
	}
	*out_state = http2;
	return 0;
}

static void close(void *state)
{
	struct http2 *http2 = state;

	grpc_session_free(http2->session);
	free(http2);
}

static void take_requests(struct http2 *http2)
{
	struct grpc_request request;

	http2->is_busy = true;
	while (grpc_session_next(http2->session, &request))
		take_request(http2, &request);
	http2->is_busy = false;
}

static void feed(void *state, struct str bytes, uint64_t now_ms)
{
	struct http2 *http2 = state;

	grpc_session_feed(http2->session, bytes.data, bytes.len, now_ms);
	take_requests(http2);
}

/* An answer makes room for the next request that waits within the session. */
static int pull(void *state, struct buf *out)
{
	struct http2 *http2 = state;

	take_requests(http2);
	return grpc_session_pull(http2->session, out);
}

static bool wants_read(const void *state)
{
	(void)state;
	return true; /* windows hold the peer back, one stream at a time */
}

static bool is_done(const void *state)
{
	const struct http2 *http2 = state;

	return grpc_session_is_done(http2->session);
}

static bool has_requests(const void *state)
{
	const struct http2 *http2 = state;

	return grpc_session_open_streams(http2->session) > 0;
}

static bool has_unanswered(const void *state)
{
	const struct http2 *http2 = state;

	return http2->unanswered > 0;
}

static bool has_served(const void *state)
{
	const struct http2 *http2 = state;

	return http2->has_served;
}

static const char *complaint(const void *state)
{
	const struct http2 *http2 = state;

	return grpc_session_complaint(http2->session);
}

static void hold(void *state, bool hold, uint64_t now_ms)
{
	struct http2 *http2 = state;

	(void)now_ms;
	grpc_session_hold(http2->session, hold);
}

static void shut_down(void *state, uint64_t now_ms)
{
	struct http2 *http2 = state;

	grpc_session_shutdown(http2->session, now_ms);
}

static void tick(void *state, uint64_t now_ms)
{
	struct http2 *http2 = state;

	grpc_session_tick(http2->session, now_ms);
}

const struct otlp_protocol otlp_http2 = {
	.name = "HTTP/2",
	.open = open,
	.close = close,
	.feed = feed,
	.pull = pull,
	.wants_read = wants_read,
	.is_done = is_done,
	.has_requests = has_requests,
	.has_unanswered = has_unanswered,
	.has_served = has_served,
	.complaint = complaint,
	.hold = hold,
	.shutdown = shut_down,
	.tick = tick,
};
