/* SPDX-License-Identifier: Apache-2.0 */
/* Plain HTTP on the same connection as gRPC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "otlp/grpc_session.h"
#include "tests/unit/otlp/grpc_peer.h"

static struct grpc_error admit(const struct http_fields *fields, bool is_http, void *arg)
{
	struct str token = http_fields_find(fields, "authorization");

	(void)arg;
	if (token.len == 0)
		return (struct grpc_error){ 0 };
	if (str_eq(token, STR("Bearer busy")))
		return (struct grpc_error){ GRPC_UNAVAILABLE, "busy", 0, 1500 };
	return (struct grpc_error){ GRPC_UNAUTHENTICATED, is_http ? "http" : "grpc", 0, 0 };
}

static int start(void **state)
{
	const struct grpc_session_options options = { .takes_http = true,
						      .admit = admit,
						      .max_message_bytes = 100000 };

	*state = malloc(sizeof(struct peer));
	peer_start(*state, &options);
	return 0;
}

static int stop(void **state)
{
	peer_stop(*state);
	free(*state);
	return 0;
}

/* A POST of JSON, with one more header when `name` is not NULL. */
static struct peer_call *post(struct peer *peer, struct str body, const char *name,
			      const char *value)
{
	const char *headers[] = {
		"content-type", "application/json", "te", NULL, name, value, NULL
	};

	return peer_call_with(peer, "/v1/traces?x=1", body, headers);
}

static void assert_body(const struct peer_call *call, const char *text)
{
	assert_true(call->is_closed);
	assert_true(str_eq(buf_str(&call->in), str_of(text)));
}

static void a_request_is_handed_over_with_its_fields(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = post(peer, STR("{}"), "content-encoding", "GZIP");
	const struct http_field fields[] = { { STR("content-type"), STR("application/json") } };
	struct grpc_request request;

	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	assert_true(request.is_http);
	assert_int_equal(request.message_len, 2);
	assert_memory_equal(request.message, "{}", 2);
	assert_true(str_eq(http_fields_find(&request.fields, ":path"), STR("/v1/traces?x=1")));
	assert_true(str_eq(http_fields_find(&request.fields, "content-encoding"), STR("GZIP")));
	assert_int_equal(http_fields_find(&request.fields, "origin").len, 0);
	grpc_session_reply_http(peer->server, request.stream_id,
				&(struct grpc_http_reply){ .status = 200,
							   .fields = fields,
							   .field_count = 1,
							   .body = STR("{\"a\":1}") });
	peer_pump(peer);
	assert_int_equal(call->http_status, 200);
	assert_int_equal(call->grpc_status, -1);
	assert_body(call, "{\"a\":1}");
	assert_int_equal(peer->counters.http_replies[2], 1);
	free(request.message);
	http_fields_fini(&request.fields);
}

static void grpc_and_http_share_a_connection(void **state)
{
	struct peer *peer = *state;
	struct buf frame = peer_frame(STR("hello"), 0);
	struct peer_call *call = peer_call(peer, GRPC_TRACE_EXPORT, buf_str(&frame));
	struct peer_call *head = post(peer, STR(""), ":method", "HEAD");
	struct grpc_request request;

	peer_serve(peer, STR(""));
	assert_int_equal(call->grpc_status, GRPC_OK);
	assert_true(grpc_session_next(peer->server, &request));
	assert_true(request.is_http);
	assert_null(request.message);
	grpc_session_reply_http(peer->server, request.stream_id,
				&(struct grpc_http_reply){ .status = 405, .body = STR("no") });
	peer_pump(peer);
	assert_int_equal(head->http_status, 405);
	assert_body(head, "");
	http_fields_fini(&request.fields);
	buf_fini(&frame);
}

static void refusals_speak_the_language_of_the_request(void **state)
{
	struct peer *peer = *state;
	const char *const token[] = { "authorization", "x", NULL };
	struct peer_call *call = post(peer, STR("{}"), "authorization", "x"), *grpc;

	grpc = peer_call_with(peer, GRPC_TRACE_EXPORT, STR("\0\0\0\0\0"), token);
	peer_pump(peer);
	assert_int_equal(call->http_status, 401);
	assert_body(call, "{\"code\":16,\"message\":\"http\"}");
	assert_int_equal(grpc->grpc_status, GRPC_UNAUTHENTICATED);
	assert_string_equal(grpc->message, "grpc");
	call = post(peer, STR("{}"), "authorization", "Bearer busy");
	peer_pump(peer);
	assert_int_equal(call->http_status, 503);
	assert_string_equal(call->retry_after, "2");
	assert_body(call, "{\"code\":14,\"message\":\"busy\",\"details\":[{\"@type\":"
			  "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":"
			  "\"1.500s\"}]}");
}

static void too_large_is_413_before_and_behind_the_body(void **state)
{
	struct peer *peer = *state;
	struct buf large = { 0 };
	struct peer_call *call;

	memset(buf_reserve(&large, 100001), 'x', 100001);
	large.len = 100001;
	call = post(peer, buf_str(&large), NULL, NULL);
	peer_pump(peer);
	assert_int_equal(call->http_status, 413);
	call = post(peer, STR(""), "content-length", "4294967296");
	call->keeps_open = true;
	peer_pump(peer);
	assert_int_equal(call->http_status, 413);
	assert_false(call->is_closed); /* the rest is stopped when the reply has been seen */
	grpc_session_tick(peer->server, peer->now_ms += 1000);
	peer_pump(peer);
	assert_true(call->is_closed);
	assert_int_equal(call->close_code, NGHTTP2_NO_ERROR);
	assert_false(grpc_session_next(peer->server, &(struct grpc_request){ 0 }));
	large.len--;
	call = post(peer, buf_str(&large), "content-length", "100000");
	peer_pump(peer);
	assert_false(call->is_closed);
	buf_fini(&large);
}

static void who_expects_100_continue_gets_it(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = post(peer, STR("{}"), "expect", "100-continue");

	peer_pump(peer);
	assert_int_equal(call->http_status, 100);
}

static void a_body_that_stops_coming_may_be_sent_again(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = post(peer, STR("{"), NULL, NULL);

	call->keeps_open = true;
	peer_pump(peer);
	grpc_session_tick(peer->server, peer->now_ms += 31000);
	peer_pump(peer);
	assert_int_equal(call->http_status, 503);
}

/* A few bytes on the wire, by HPACK, and as long as no body comes they would lie here. */
static void large_headers_count_before_a_body_comes(void **state)
{
	struct peer *peer = *state;
	char large[3001] = { 0 };
	struct peer_call *calls[20];
	size_t refused = 0;

	memset(large, 'x', sizeof(large) - 1);
	peer->budget.limit_bytes = 50000;
	for (size_t i = 0; i < 20; i++) {
		calls[i] = post(peer, STR(""), "x-large", large);
		calls[i]->keeps_open = true;
		peer_pump(peer);
		assert_true(peer->budget.used_bytes <= 50000);
	}
	for (size_t i = 0; i < 20; i++) {
		refused += calls[i]->http_status == 503;
		assert_true(calls[i]->http_status == 0 ||
			    str_eq(str_of(calls[i]->retry_after), STR("1")));
	}
	assert_in_range(refused, 8, 16);
	calls[0]->keeps_open = false; /* room again */
	nghttp2_submit_rst_stream(peer->client, 0, calls[0]->id, NGHTTP2_CANCEL);
	peer_pump(peer);
	calls[0] = post(peer, STR(""), NULL, NULL);
	calls[0]->keeps_open = true;
	peer_pump(peer);
	assert_int_equal(calls[0]->http_status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_is_handed_over_with_its_fields, start,
						stop),
		cmocka_unit_test_setup_teardown(grpc_and_http_share_a_connection, start, stop),
		cmocka_unit_test_setup_teardown(refusals_speak_the_language_of_the_request, start,
						stop),
		cmocka_unit_test_setup_teardown(too_large_is_413_before_and_behind_the_body, start,
						stop),
		cmocka_unit_test_setup_teardown(large_headers_count_before_a_body_comes, start,
						stop),
		cmocka_unit_test_setup_teardown(who_expects_100_continue_gets_it, start, stop),
		cmocka_unit_test_setup_teardown(a_body_that_stops_coming_may_be_sent_again, start,
						stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
