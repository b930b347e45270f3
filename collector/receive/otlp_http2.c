/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP over HTTP/2: grpc_session <-> intake. gRPC, and on the HTTP port OTLP/HTTP too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/intake.h"
#include "collector/net/origins.h"
#include "collector/net/tokens.h"
#include "collector/receive/otlp_gate.h"
#include "collector/receive/otlp_protocol.h"
#include "collector/receive/otlp_service.h"
#include "otlp/otlp_decode.h"
#include "otlp/otlp_response.h"

#define RETRY_BUSY_MS 1000
#define ORIGIN_MAX    256

struct http2 {
	struct otlp_owner owner;
	struct grpc_session *session; /* owned */
	unsigned unanswered;          /* requests that intake has */
	bool is_busy;                 /* requests are being handed over: answers need no wake */
	bool has_served;
};

/* A request of plain HTTP at intake; gRPC needs no more than its stream's id. */
struct plain {
	struct http2 *http2; /* borrowed */
	enum otlp_form form;
	size_t origin_len;
	char origin[ORIGIN_MAX]; /* for CORS; a longer one is none of ours */
};

static struct grpc_error no_memory(void)
{
	return (struct grpc_error){ .status = GRPC_UNAVAILABLE,
				    .text = "out of memory; try again",
				    .http_status = 503,
				    .retry_delay_ms = RETRY_BUSY_MS };
}

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
		refuse(http2, stream_id, no_memory());
	}
	buf_fini(&message);
}

static void answered(struct http2 *http2)
{
	http2->unanswered--;
	http2->has_served = true;
	if (!http2->is_busy)
		http2->owner.wake(http2->owner.arg);
}

static void on_result(const struct intake_result *result, int32_t stream_id, void *arg)
{
	struct http2 *http2 = arg;
	struct grpc_error error =
		otlp_service_result(http2->owner.service, &otlp_counters_grpc, result);

	if (error.status == GRPC_OK)
		reply_stored(http2, stream_id, result->batch);
	else
		refuse(http2, stream_id, error);
	answered(http2);
}

static void take_grpc(struct http2 *http2, struct grpc_request *request)
{
	const struct otlp_service *service = http2->owner.service;
	struct intake_reply answer = { on_result, http2, request->stream_id };
	struct grpc_error error;
	struct span_batch *batch;
	int rc = otlp_decode(request->message, request->message_len, &service->limits, &batch);

	if (rc == 0) {
		http2->unanswered++;
		intake_submit(service->intake, batch, &answer);
		return;
	}
	error = otlp_http_decode_error(rc);
	otlp_service_invalid(service, &otlp_counters_grpc, error.text);
	refuse(http2, request->stream_id, error);
}

static struct otlp_gate_head head_of(const struct http_fields *fields)
{
	struct otlp_gate_head head = {
		.method = http_fields_find(fields, ":method"),
		.path = http_fields_find(fields, ":path"),
		.content_type = http_fields_find(fields, "content-type"),
		.content_encoding = http_fields_find(fields, "content-encoding"),
		.content_length = http_fields_find(fields, "content-length"),
		.authorization = http_fields_find(fields, "authorization"),
		.origin = http_fields_find(fields, "origin"),
		.preflight_method = http_fields_find(fields, "access-control-request-method"),
		.is_ambiguous = http_fields_count(fields, "content-type") > 1 ||
				http_fields_count(fields, "content-encoding") > 1 ||
				http_fields_count(fields, "authorization") > 1,
	};
	const char *query = head.path.len ? memchr(head.path.data, '?', head.path.len) : NULL;

	if (query)
		head.path.len = (size_t)(query - head.path.data);
	return head;
}

/* "Name: value\r\n" lines, as HTTP/1.1 wants them, into fields. They are made lower case in place.
 */
static size_t split_lines(struct buf *lines, struct http_field *fields, size_t room)
{
	size_t count = 0;
	char *at = lines->data, *end = lines->data + lines->len;

	while (at < end && count < room) {
		char *colon = memchr(at, ':', (size_t)(end - at));
		char *stop = memchr(at, '\r', (size_t)(end - at));

		for (char *c = at; c < colon; c++)
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 32) : *c;
		fields[count++] = (struct http_field){
			{ at, (size_t)(colon - at) },
			{ colon + 2, (size_t)(stop - colon - 2) },
		};
		at = stop + 2;
	}
	return count;
}

static void reply_http(struct http2 *http2, int32_t stream_id, const struct otlp_gate_head *head,
		       enum otlp_form form, unsigned status, struct str body,
		       uint32_t retry_delay_ms)
{
	struct http_field fields[GRPC_HTTP_MAX_FIELDS];
	struct grpc_http_reply reply = { .status = status, .fields = fields, .body = body };
	struct buf lines;

	buf_init(&lines, 0);
	otlp_gate_put_headers(http2->owner.service, head, (int)status, retry_delay_ms, &lines);
	if (status != 204)
		buf_printf(&lines, "Content-Type: %s\r\n", otlp_http_content_type(form));
	if (!buf_error(&lines))
		reply.field_count = split_lines(&lines, fields, GRPC_HTTP_MAX_FIELDS);
	grpc_session_reply_http(http2->session, stream_id, &reply);
	otlp_service_count_http(http2->owner.service, (int)status);
	buf_fini(&lines);
}

static void refuse_http(struct http2 *http2, int32_t stream_id, const struct otlp_gate_head *head,
			enum otlp_form form, struct grpc_error error)
{
	struct buf body;

	buf_init(&body, 0);
	otlp_http_refused(form, error, &body);
	reply_http(http2, stream_id, head, form, otlp_http_status(error), buf_str(&body),
		   error.retry_delay_ms);
	buf_fini(&body);
}

static void on_plain_result(const struct intake_result *result, int32_t stream_id, void *arg)
{
	struct plain *plain = arg;
	struct http2 *http2 = plain->http2;
	struct otlp_gate_head head = { .origin = { plain->origin, plain->origin_len } };
	struct grpc_error error =
		otlp_service_result(http2->owner.service, &otlp_counters_http, result);
	struct buf body;

	buf_init(&body, 0);
	if (error.status == GRPC_OK) {
		otlp_response_stored(plain->form, result->batch, &body);
		reply_http(http2, stream_id, &head, plain->form, 200, buf_str(&body), 0);
	} else {
		refuse_http(http2, stream_id, &head, plain->form, error);
	}
	buf_fini(&body);
	free(plain);
	answered(http2);
}

/* Takes what the request owns. */
static void submit_http(struct http2 *http2, struct grpc_request *request,
			const struct otlp_gate_head *head, const struct otlp_http_request *what)
{
	const struct otlp_service *service = http2->owner.service;
	struct plain *plain = calloc(1, sizeof(*plain));
	struct intake_reply answer = { on_plain_result, plain, request->stream_id };
	struct span_batch *batch;
	struct grpc_error error;
	struct buf detail;

	buf_init(&detail, 0);
	error = otlp_http_decode(what, request->message, request->message_len,
				 &service->http_limits, &batch, &detail);
	if (!error.status && !plain) {
		otlp_batch_free(batch);
		error = no_memory();
	}
	if (error.status) {
		otlp_service_invalid(service, &otlp_counters_http, error.text);
		refuse_http(http2, request->stream_id, head, what->form, error);
		free(plain);
	} else {
		*plain = (struct plain){ .http2 = http2, .form = what->form };
		if (head->origin.len && head->origin.len < ORIGIN_MAX) {
			memcpy(plain->origin, head->origin.data, head->origin.len);
			plain->origin_len = head->origin.len;
		}
		http2->unanswered++;
		intake_submit(service->intake, batch, &answer);
	}
	http_fields_fini(&request->fields);
	buf_fini(&detail);
}

static void take_http(struct http2 *http2, struct grpc_request *request)
{
	struct otlp_gate_head head = head_of(&request->fields);
	struct otlp_http_request what;
	struct otlp_gate_verdict verdict = otlp_gate_check(http2->owner.service, &head, &what);

	if (!verdict.is_preflight && !verdict.is_health && !verdict.error.status)
		return submit_http(http2, request, &head, &what);
	if (verdict.is_preflight)
		reply_http(http2, request->stream_id, &head, what.form, 204,
			   (struct str){ NULL, 0 }, 0);
	else if (verdict.is_health)
		reply_http(http2, request->stream_id, &head, what.form, 200, OTLP_GATE_HEALTHY, 0);
	else
		refuse_http(http2, request->stream_id, &head, what.form, verdict.error);
	http_fields_fini(&request->fields);
	free(request->message);
}

/* Before the body is read. */
static struct grpc_error admit(const struct http_fields *fields, bool is_http, void *arg)
{
	const struct otlp_service *service = arg;
	struct otlp_http_request what;

	if (is_http) {
		struct otlp_gate_head head = head_of(fields);

		return otlp_gate_check(service, &head, &what).error;
	}
	if (!service->tokens ||
	    tokens_allow(service->tokens, http_fields_find(fields, "authorization")))
		return (struct grpc_error){ 0 };
	return (struct grpc_error){ .status = GRPC_UNAUTHENTICATED,
				    .text = "a valid bearer token is needed" };
}

/* Pages may read why they were refused, too. */
static size_t refusal_fields(const struct http_fields *request, struct http_field *out_fields,
			     void *arg)
{
	const struct otlp_service *service = arg;
	struct str origin = http_fields_find(request, "origin");
	size_t count = 0;

	if (*service->cors_origins)
		out_fields[count++] = (struct http_field){ STR("vary"), STR("Origin") };
	if (origins_allow(service->cors_origins, origin))
		out_fields[count++] =
			(struct http_field){ STR("access-control-allow-origin"), origin };
	return count;
}

static void on_refused(unsigned http_status, void *arg)
{
	otlp_service_count_http(arg, (int)http_status);
}

static int new_state(const struct otlp_owner *owner, uint64_t now_ms, void **out_state)
{
	struct http2 *http2 = calloc(1, sizeof(*http2));
	struct grpc_session_options options = owner->service->http2;
	int rc;

	if (!http2)
		return -ENOMEM;
	http2->owner = *owner;
	if (options.takes_http || owner->service->tokens)
		options.admit = admit; /* else nobody looks at the fields */
	options.refusal_fields = refusal_fields;
	options.on_refused = on_refused;
	options.arg = (void *)(uintptr_t)owner->service;
	rc = grpc_session_new(&options, now_ms, &http2->session);
	if (rc < 0) {
		free(http2);
		return rc;
	}
	*out_state = http2;
	return 0;
}

static void free_state(void *state)
{
	struct http2 *http2 = state;

	grpc_session_free(http2->session);
	free(http2);
}

static void take_requests(struct http2 *http2)
{
	struct grpc_request request;

	http2->is_busy = true;
	while (grpc_session_next(http2->session, &request)) {
		if (request.is_http)
			take_http(http2, &request);
		else
			take_grpc(http2, &request);
	}
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

static void shut_down(void *state, const char *reason, uint64_t now_ms)
{
	struct http2 *http2 = state;

	grpc_session_shutdown(http2->session, reason, now_ms);
}

static void tick(void *state, uint64_t now_ms)
{
	struct http2 *http2 = state;

	grpc_session_tick(http2->session, now_ms);
}

static uint64_t deadline_ms(const void *state)
{
	const struct http2 *http2 = state;

	return grpc_session_deadline_ms(http2->session);
}

const struct otlp_protocol otlp_http2 = {
	.name = "HTTP/2",
	.open = new_state,
	.close = free_state,
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
	.deadline_ms = deadline_ms,
};
