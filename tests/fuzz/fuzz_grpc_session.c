/* SPDX-License-Identifier: Apache-2.0 */
/* An input is a list of pieces as a client might send them: {1 byte length, bytes}. The preface is
 * ours unless the first length is 0. Every other input may also speak plain HTTP. Each request is
 * answered; memory must be back at the end. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "otlp/grpc_session.h"
#include "tests/fuzz/fuzz.h"

static const char *const methods[] = { GRPC_TRACE_EXPORT, NULL };
static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static struct grpc_error admit(const struct http_fields *fields, bool is_http, void *arg)
{
	struct str token = http_fields_find(fields, "authorization");

	(void)arg;
	if (token.len == 0)
		return (struct grpc_error){ 0 };
	return (struct grpc_error){ GRPC_UNAUTHENTICATED, "no", is_http ? 401 : 0,
				    (uint32_t)token.len };
}

static void serve(struct grpc_session *session, uint8_t mood)
{
	struct grpc_request request;
	struct buf out = { 0 };

	grpc_session_hold(session, mood & 1);
	while (grpc_session_next(session, &request)) {
		struct grpc_reply reply = { .status = mood & 2 ? GRPC_UNAVAILABLE : GRPC_OK,
					    .text = "busy",
					    .response = STR("ok"),
					    .retry_delay_ms = mood };

		free(request.message);
		if (!request.is_http) {
			grpc_session_reply(session, request.stream_id, &reply);
			continue;
		}
		MUST(http_fields_find(&request.fields, ":path").len > 0);
		http_fields_fini(&request.fields);
		grpc_session_reply_http(
			session, request.stream_id,
			&(struct grpc_http_reply){ .status = 200u + mood, .body = STR("body") });
	}
	if (mood & 4)
		grpc_session_pull(session, &out);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct grpc_budget budget = { .limit_bytes = 100000 };
	struct grpc_session_options options = { .methods = methods,
						.budget = &budget,
						.max_message_bytes = 50000,
						.max_streams = 10,
						.stream_window_bytes = 1000,
						.takes_http = len % 2 == 0,
						.reflects = true,
						.admit = admit,
						.grace_ms = 2000,
						.keepalive_ms = 100 };
	struct grpc_session *session;
	uint64_t now_ms = 1;

	if (grpc_session_new(&options, now_ms, &session) < 0)
		return 0;
	if (len && data[0])
		grpc_session_feed(session, hello, sizeof(hello) - 1, now_ms);
	while (len > 0) {
		size_t piece = MIN((size_t)data[0], len - 1);

		grpc_session_feed(session, data + 1, piece, now_ms += data[0]);
		serve(session, data[piece]);
		grpc_session_tick(session, now_ms);
		data += piece + 1;
		len -= piece + 1;
	}
	grpc_session_shutdown(session, "max_age", now_ms);
	serve(session, 4);
	grpc_session_free(session);
	MUST(budget.used_bytes == 0);
	return 0;
}
