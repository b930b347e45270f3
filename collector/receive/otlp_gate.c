/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/receive/otlp_gate.h"

#include "collector/net/tokens.h"

#define CORS_MAX_AGE_S 7200

/* Whether `origin` stands in the comma separated list, or everybody does. */
static bool may_read(const struct otlp_service *service, struct str origin)
{
	const char *at = service->cors_origins;

	while (*at && origin.len) {
		size_t len = strcspn(at, ", ");
		struct str one = { at, len };

		if (str_eq(one, origin) || str_eq(one, STR("*")))
			return true;
		at += len;
		at += strspn(at, ", ");
	}
	return false;
}

static bool is_preflight(const struct otlp_service *service, const struct otlp_gate_head *head)
{
	return str_eq(head->method, STR("OPTIONS")) && head->preflight_method.len &&
	       may_read(service, head->origin);
}

static const char *lines_for(int status)
{
	switch (status) {
	case 401:
		return "WWW-Authenticate: Bearer\r\n";
	case 405:
		return "Allow: POST\r\n";
	case 415:
		return "Accept: application/x-protobuf, application/json\r\n"
		       "Accept-Encoding: gzip, zstd, deflate\r\n";
	default:
		return "";
	}
}

struct otlp_gate_verdict otlp_gate_check(const struct otlp_service *service,
					 const struct otlp_gate_head *head,
					 struct otlp_http_request *out_request)
{
	struct otlp_gate_verdict verdict = { 0 };

	verdict.error = otlp_http_begin(head->method, head->content_type, head->content_encoding,
					head->content_length, &service->http_limits, out_request);
	if (str_eq(head->path, STR(OTLP_GATE_HEALTH))) {
		verdict.error = (struct grpc_error){ 0 };
		verdict.is_health = true;
	} else if (!otlp_http_is_traces(head->path)) {
		verdict.error = (struct grpc_error){
			.status = GRPC_UNIMPLEMENTED,
			.text = "only traces are received here, at " OTLP_HTTP_TRACES,
			.http_status = 404,
		};
	} else if (is_preflight(service, head)) {
		verdict.error = (struct grpc_error){ 0 };
		verdict.is_preflight = true;
	} else if (head->is_ambiguous) {
		verdict.error = (struct grpc_error){
			.status = GRPC_INVALID_ARGUMENT,
			.text = "Content-Type, Content-Encoding or Authorization comes twice",
			.http_status = 400,
		};
	} else if (service->tokens && !tokens_allow(service->tokens, head->authorization)) {
		verdict.error = (struct grpc_error){
			.status = GRPC_UNAUTHENTICATED,
			.text = "a valid bearer token is needed",
			.http_status = 401,
		};
	}
	return verdict;
}

static void put_cors(const struct otlp_service *service, const struct otlp_gate_head *head,
		     struct buf *out)
{
	if (!*service->cors_origins)
		return;
	buf_append_text(out, "Vary: Origin\r\n");
	if (!may_read(service, head->origin))
		return;
	buf_printf(out, "Access-Control-Allow-Origin: %.*s\r\n", (int)head->origin.len,
		   head->origin.data);
	if (!is_preflight(service, head))
		return;
	buf_printf(out,
		   "Access-Control-Allow-Methods: POST\r\nAccess-Control-Max-Age: %d\r\n"
		   "Access-Control-Allow-Headers: content-type, content-encoding, "
		   "authorization%s%s\r\n",
		   CORS_MAX_AGE_S, *service->cors_headers ? ", " : "", service->cors_headers);
}

void otlp_gate_put_headers(const struct otlp_service *service, const struct otlp_gate_head *head,
			   int status, uint32_t retry_delay_ms, struct buf *out)
{
	buf_append_text(out, lines_for(status));
	if (retry_delay_ms)
		buf_printf(out, "Retry-After: %u\r\n", (retry_delay_ms + 999) / 1000);
	put_cors(service, head, out);
}
