/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP over HTTP/1.1: http1 <-> intake. One request at a time; what is pipelined behind it waits.
 *
 *   READING --whole request--> WORKING --answer--> READING
 *      |                          |
 *      +-- refused before its body, broken, too slow, `Connection: close` --> ENDED
 */
#include <errno.h>
#include <stdlib.h>

#include "collector/http1.h"
#include "collector/intake.h"
#include "collector/receive/otlp_gate.h"
#include "collector/receive/otlp_protocol.h"
#include "otlp/otlp_response.h"

/* Answers that are not yet taken, in bytes: who asks on and on waits for them. */
#define MOST_ANSWERS  ((size_t)64 << 10)
#define RETRY_BUSY_MS 1000

enum state { READING, WORKING, ENDED };

struct http1_export {
	struct otlp_owner owner;
	enum state state;
	struct http1 http;
	struct otlp_gate_head head; /* slices of `http` */
	struct otlp_http_request request;
	struct buf pending; /* bytes behind the request at work */
	struct buf out;
	struct grpc_share share; /* the body, while it comes in */
	uint64_t opened_ms, began_ms, fed_ms;
	const char *complaint;
	bool has_begun; /* the first byte of a request is there */
	bool has_body;  /* its headers are all there, and good */
	bool is_held, is_leaving, has_served, is_busy;
};

static const struct otlp_service *service_of(const struct http1_export *export)
{
	return export->owner.service;
}

static void budget(struct http1_export *export, size_t bytes)
{
	grpc_share_move(&export->share, export->share.bytes, bytes);
}

/* Answers the request, and is ready for the next one, or done. */
static void respond(struct http1_export *export, int status, uint32_t retry_delay_ms,
		    struct str body, bool may_go_on)
{
	bool keep_alive = may_go_on && export->http.request.keep_alive && !export->is_leaving;
	struct http1_response response = { .status = status, .body = body };
	struct buf lines;

	buf_init(&lines, 0);
	otlp_gate_put_headers(service_of(export), &export->head, status, retry_delay_ms, &lines);
	buf_append_byte(&lines, '\0');
	response.headers = buf_error(&lines) ? NULL : lines.data;
	if (status != 204)
		response.content_type = otlp_http_content_type(export->request.form);
	http1_respond(&response, keep_alive, export->http.request.is_head, &export->out);
	otlp_service_count_http(service_of(export), status);
	buf_fini(&lines);
	export->state = keep_alive ? READING : ENDED;
	export->head = (struct otlp_gate_head){ 0 };
	export->request = (struct otlp_http_request){ 0 };
	export->has_begun = export->has_body = false;
	http1_next(&export->http);
	budget(export, 0);
}

static void refuse(struct http1_export *export, struct grpc_error error, bool may_go_on)
{
	struct buf body;

	buf_init(&body, 0);
	otlp_http_refused(export->request.form, error, &body);
	respond(export, (int)otlp_http_status(error), error.retry_delay_ms, buf_str(&body),
		may_go_on);
	buf_fini(&body);
}

static void refuse_busy(struct http1_export *export)
{
	refuse(export,
	       (struct grpc_error){ .status = GRPC_UNAVAILABLE,
				    .text = "too much is in flight; try again",
				    .retry_delay_ms = RETRY_BUSY_MS },
	       false);
}

static void advance(struct http1_export *export);

static void answer_stored(struct http1_export *export, const struct span_batch *batch)
{
	struct buf body;

	buf_init(&body, 0);
	otlp_response_stored(export->request.form, batch, &body);
	respond(export, 200, 0, buf_str(&body), true);
	buf_fini(&body);
}

static void on_result(const struct intake_result *result, int32_t stream_id, void *arg)
{
	struct http1_export *export = arg;
	struct grpc_error error =
		otlp_service_result(service_of(export), &otlp_counters_http, result);

	(void)stream_id;
	export->has_served = true;
	if (error.status == GRPC_OK)
		answer_stored(export, result->batch);
	else
		refuse(export, error, true);
	if (export->is_busy)
		return;
	advance(export);
	export->owner.wake(export->owner.arg);
}

static void take_request(struct http1_export *export)
{
	const struct otlp_service *service = service_of(export);
	struct intake_reply reply = { on_result, export, 0 };
	struct span_batch *batch;
	struct grpc_error error;
	struct buf detail;
	size_t len;
	char *body = http1_take_body(&export->http, &len);

	buf_init(&detail, 0);
	error = otlp_http_decode(&export->request, body, len, &service->http_limits, &batch,
				 &detail);
	if (error.status) {
		otlp_service_invalid(service, &otlp_counters_http, error.text);
		refuse(export, error, true);
	} else {
		export->state = WORKING;
		budget(export, 0);
		intake_submit(service->intake, batch, &reply);
	}
	buf_fini(&detail);
}

static bool is_ambiguous(const struct http1_request *request)
{
	return http1_count_header(request, "content-type") > 1 ||
	       http1_count_header(request, "content-encoding") > 1 ||
	       http1_count_header(request, "authorization") > 1;
}

static struct otlp_gate_verdict judge(struct http1_export *export)
{
	const struct http1_request *request = &export->http.request;

	export->has_body = true;
	export->head = (struct otlp_gate_head){
		.method = request->method,
		.path = request->path,
		.content_type = http1_header(request, "content-type"),
		.content_encoding = http1_header(request, "content-encoding"),
		.content_length = http1_header(request, "content-length"),
		.authorization = http1_header(request, "authorization"),
		.origin = http1_header(request, "origin"),
		.preflight_method = http1_header(request, "access-control-request-method"),
		.is_ambiguous = is_ambiguous(request),
	};
	return otlp_gate_check(service_of(export), &export->head, &export->request);
}

/* All headers are there; the body may follow. */
static void check_head(struct http1_export *export)
{
	bool is_whole = export->http.state == HTTP1_DONE;
	struct otlp_gate_verdict verdict = judge(export);

	if (verdict.is_preflight)
		respond(export, 204, 0, (struct str){ NULL, 0 }, is_whole);
	else if (verdict.is_health)
		respond(export, 200, 0, OTLP_GATE_HEALTHY, is_whole);
	else if (verdict.error.status)
		refuse(export, verdict.error, is_whole);
	else if (export->http.request.expects_continue)
		buf_append_text(&export->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* A body that is too large by its announcement is still judged by its head first. */
static void refuse_broken(struct http1_export *export)
{
	struct grpc_error error = { .status = GRPC_INVALID_ARGUMENT,
				    .text = export->http.complaint,
				    .http_status = (unsigned)export->http.status };

	if (error.http_status == 413) {
		error.status = GRPC_RESOURCE_EXHAUSTED;
		if (!export->has_body) {
			struct otlp_gate_verdict verdict = judge(export);

			error = verdict.error.status ? verdict.error : error;
		}
	} else {
		export->complaint = error.text;
	}
	if (export->http.is_foreign && !export->has_served)
		export->state = ENDED; /* no answer that it would understand */
	else
		refuse(export, error, false);
}

/* One step with what has come; false: more bytes are needed, or it is not our turn. */
static bool step(struct http1_export *export)
{
	size_t used = http1_feed(&export->http, buf_str(&export->pending));

	if (used)
		export->has_begun = true;
	buf_consume(&export->pending, used);
	budget(export, export->http.body.cap);
	if (export->http.state == HTTP1_BROKEN) {
		refuse_broken(export);
		return false;
	}
	if (export->http.state != HTTP1_HEAD && !export->has_body) {
		check_head(export);
		return true;
	}
	if (export->http.state == HTTP1_DONE) {
		take_request(export);
		return true;
	}
	if (grpc_share_is_over(&export->share)) {
		refuse_busy(export);
		return false;
	}
	return used > 0;
}

static void advance(struct http1_export *export)
{
	uint64_t fed = export->fed_ms;

	export->is_busy = true;
	while (export->state == READING && export->out.len < MOST_ANSWERS &&
	       (export->pending.len || export->has_body)) {
		if (!export->has_begun)
			export->began_ms = fed;
		if (!step(export))
			break;
	}
	export->is_busy = false;
	if (export->state == ENDED)
		buf_fini(&export->pending);
}

static int new_state(const struct otlp_owner *owner, uint64_t now_ms, void **out_state)
{
	struct http1_export *export = calloc(1, sizeof(*export));

	if (!export)
		return -ENOMEM;
	export->owner = *owner;
	export->share.budget = owner->service->http2.budget;
	export->opened_ms = export->fed_ms = now_ms;
	http1_init(&export->http, owner->service->http_limits.max_body_bytes);
	http1_limit_head(&export->http, owner->service->max_head_bytes,
			 owner->service->max_head_fields);
	export->http.stops_at_body = true;
	buf_init(&export->pending, 0);
	buf_init(&export->out, 0);
	*out_state = export;
	return 0;
}

static void free_state(void *state)
{
	struct http1_export *export = state;

	budget(export, 0);
	http1_fini(&export->http);
	buf_fini(&export->pending);
	buf_fini(&export->out);
	free(export);
}

static void feed(void *state, struct str bytes, uint64_t now_ms)
{
	struct http1_export *export = state;

	if (export->state == ENDED)
		return;
	export->fed_ms = now_ms;
	buf_append_str(&export->pending, bytes);
	if (buf_error(&export->pending))
		export->state = ENDED;
	else
		advance(export);
}

static int pull(void *state, struct buf *out)
{
	struct http1_export *export = state;

	buf_append_str(out, buf_str(&export->out));
	buf_fini(&export->out);
	advance(export);
	return buf_error(out);
}

static bool wants_read(const void *state)
{
	const struct http1_export *export = state;

	/* what is pipelined waits outside */
	return !export->is_held && export->pending.len == 0 && export->out.len < MOST_ANSWERS;
}

static bool is_done(const void *state)
{
	const struct http1_export *export = state;

	return export->state == ENDED && export->out.len == 0;
}

static bool has_requests(const void *state)
{
	const struct http1_export *export = state;

	return export->state == WORKING || export->has_begun;
}

static bool has_unanswered(const void *state)
{
	const struct http1_export *export = state;

	return export->state == WORKING;
}

static bool has_served(const void *state)
{
	const struct http1_export *export = state;

	return export->has_served;
}

static const char *complaint(const void *state)
{
	const struct http1_export *export = state;

	return export->complaint;
}

/* While we do not read, nobody is too slow but we. */
static void hold(void *state, bool hold, uint64_t now_ms)
{
	struct http1_export *export = state;

	export->is_held = hold;
	export->fed_ms = export->began_ms = now_ms;
}

static void shut_down(void *state, const char *reason, uint64_t now_ms)
{
	struct http1_export *export = state;

	(void)reason;
	(void)now_ms;
	export->is_leaving = true;
	if (export->state == READING && !export->has_begun)
		export->state = ENDED;
}

/* NULL: in time. */
static const char *lateness(const struct http1_export *export, uint64_t now_ms)
{
	const struct otlp_timeouts *limits = &service_of(export)->timeouts;
	uint64_t between_ms = grpc_share_patience_ms(&export->share, (uint32_t)limits->between_ms);

	if (!export->has_body && now_ms - export->began_ms > limits->head_ms)
		return "the headers did not come in time";
	if (now_ms - export->fed_ms > between_ms)
		return "the body did not come on";
	if (now_ms - export->began_ms > limits->request_ms)
		return "the request did not come in time";
	return NULL;
}

/* A body that stops may come again later: with 408 no exporter would try. */
static struct grpc_error too_late(const struct http1_export *export, const char *late)
{
	if (!export->has_body)
		return (struct grpc_error){ GRPC_DEADLINE_EXCEEDED, late, 408, 0 };
	return (struct grpc_error){ GRPC_UNAVAILABLE, late, 503, RETRY_BUSY_MS };
}

static void tick(void *state, uint64_t now_ms)
{
	struct http1_export *export = state;
	const char *late;

	if (export->state != READING || !export->has_begun || export->is_held)
		return;
	late = lateness(export, now_ms);
	if (!late)
		return;
	export->complaint = late;
	refuse(export, too_late(export, late), false);
}

/* HTTP/1 has no header by which a client says how long it waits. */
static uint64_t deadline_ms(const void *state)
{
	(void)state;
	return UINT64_MAX;
}

const struct otlp_protocol otlp_http1 = {
	.name = "HTTP/1",
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
