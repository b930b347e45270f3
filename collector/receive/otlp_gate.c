/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/receive/otlp_gate.h"

#include "collector/net/origins.h"
#include "collector/net/tokens.h"

static bool is_preflight(const struct otlp_service *service, const struct otlp_gate_head *head)
{
	return origins_is_preflight(service->cors_origins, head->method, head->origin,
				    head->preflight_method);
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
	struct buf headers;

	origins_put(service->cors_origins, head->origin, out);
	if (!is_preflight(service, head))
		return;
	buf_init(&headers, 0);
	buf_printf(&headers, "content-type, content-encoding, authorization%s%s%c",
		   *service->cors_headers ? ", " : "", service->cors_headers, 0);
	if (buf_error(&headers) == 0)
		origins_put_preflight("POST", headers.data, out);
	buf_fini(&headers);
}

void otlp_gate_put_headers(const struct otlp_service *service, const struct otlp_gate_head *head,
			   int status, uint32_t retry_delay_ms, struct buf *out)
{
	for (const char *const *hint = otlp_http_hints((unsigned)status); *hint; hint += 2)
		buf_printf(out, "%s: %s\r\n", hint[0], hint[1]);
	if (retry_delay_ms)
		buf_printf(out, "Retry-After: %u\r\n", (retry_delay_ms + 999) / 1000);
	put_cors(service, head, out);
}
