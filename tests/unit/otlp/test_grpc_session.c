/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_session.h"
#include "otlp/grpc_stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collector/base/compress.h"
#include "tests/lib/nth_alloc.h"
#include "tests/unit/otlp/grpc_peer.h"

#define OK_REPLY ((struct grpc_reply){ .status = GRPC_OK })

static int start(void **state)
{
	*state = malloc(sizeof(struct peer));
	peer_start(*state, NULL);
	return 0;
}

static int stop(void **state)
{
	peer_stop(*state);
	free(*state);
	return 0;
}

static struct peer_call *call_hello(struct peer *peer)
{
	struct buf frame = peer_frame(STR("hello"), 0);
	struct peer_call *call = peer_call(peer, GRPC_TRACE_EXPORT, buf_str(&frame));

	buf_fini(&frame);
	return call;
}

static void assert_refused(const struct peer_call *call, enum grpc_status status, const char *text)
{
	assert_true(call->is_closed);
	assert_int_equal(call->grpc_status, status);
	assert_string_equal(call->message, text);
	assert_int_equal(call->header_blocks, 1); /* trailers only */
	assert_int_equal(call->in.len, 0);
}

static void a_unary_call_goes_through(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = call_hello(peer);
	struct grpc_request request;

	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	assert_int_equal(request.method, 0);
	assert_int_equal(request.message_len, 5);
	assert_memory_equal(request.message, "hello", 5);
	assert_int_equal(request.timeout_ms, 0);
	free(request.message);
	assert_false(grpc_session_next(peer->server, &request));
	grpc_session_reply(peer->server, request.stream_id,
			   &(struct grpc_reply){ .response = STR("bye") });
	peer_pump(peer);
	assert_int_equal(call->http_status, 200);
	assert_int_equal(call->grpc_status, GRPC_OK);
	assert_int_equal(call->header_blocks, 2);
	assert_int_equal(call->in.len, 8);
	assert_memory_equal(call->in.data, "\0\0\0\0\3bye", 8);
	assert_true(call->is_closed);
	assert_int_equal(call->close_code, NGHTTP2_NO_ERROR);
	assert_int_equal(peer->counters.replies[GRPC_OK], 1);
	assert_int_equal(grpc_session_open_streams(peer->server), 0);
}

static void an_empty_reply_still_has_a_message(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = call_hello(peer);

	peer_serve(peer, STR(""));
	assert_int_equal(call->in.len, 5);
	assert_memory_equal(call->in.data, "\0\0\0\0\0", 5);
}

static void an_empty_message_is_a_request(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = peer_call(peer, GRPC_TRACE_EXPORT, STR("\0\0\0\0\0"));
	struct grpc_request request;

	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	assert_int_equal(request.message_len, 0);
	free(request.message);
	grpc_session_reply(peer->server, request.stream_id, &OK_REPLY);
	peer_pump(peer);
	assert_int_equal(call->grpc_status, GRPC_OK);
}

static void bytes_may_come_one_by_one(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = call_hello(peer);

	peer->piece = 1;
	peer_serve(peer, STR("bye"));
	assert_int_equal(call->grpc_status, GRPC_OK);
}

static void a_message_may_come_in_many_data_frames(void **state)
{
	struct peer *peer = *state;
	struct buf frame = peer_frame(STR("hello"), 0);
	struct peer_call *call = peer_call_open(peer, STR(""));

	for (size_t i = 0; i < frame.len; i++) {
		peer_pump(peer);
		peer_more(peer, call, (struct str){ frame.data + i, 1 }, i + 1 == frame.len);
	}
	peer_serve(peer, STR(""));
	assert_int_equal(call->grpc_status, GRPC_OK);
	buf_fini(&frame);
}

static void many_calls_share_a_connection_and_end_in_any_order(void **state)
{
	struct peer *peer = *state;
	struct peer_call *calls[100];
	struct grpc_request requests[100];

	for (size_t i = 0; i < 100; i++)
		calls[i] = call_hello(peer);
	peer_pump(peer);
	for (size_t i = 0; i < 100; i++)
		assert_true(grpc_session_next(peer->server, &requests[i]));
	for (size_t i = 100; i-- > 0;) {
		free(requests[i].message);
		grpc_session_reply(peer->server, requests[i].stream_id, &OK_REPLY);
		peer_pump(peer);
		assert_int_equal(calls[i]->grpc_status, GRPC_OK);
		assert_int_equal(calls[i ? i - 1 : 0]->grpc_status, i ? -1 : GRPC_OK);
	}
}

static void a_gzip_message_is_handed_over_inflated(void **state)
{
	static const char *const headers[] = { "grpc-encoding", "gzip", NULL };
	struct peer *peer = *state;
	struct buf packed = { 0 }, frame;
	struct grpc_request request;

	assert_int_equal(compress_gzip(STR("hello hello hello"), &packed), 0);
	frame = peer_frame(buf_str(&packed), 1);
	peer_call_with(peer, GRPC_TRACE_EXPORT, buf_str(&frame), headers);
	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	assert_true(request.was_compressed);
	assert_int_equal(request.message_len, 17);
	assert_memory_equal(request.message, "hello hello hello", 17);
	assert_int_equal(peer->budget.used_bytes, GRPC_STREAM_BYTES);
	free(request.message);
	grpc_session_reply(peer->server, request.stream_id, &OK_REPLY);
	buf_fini(&packed);
	buf_fini(&frame);
}

/* Sends `body` with one more header and expects the refusal. */
static void expect(struct peer *peer, struct str body, const char *name, const char *value,
		   enum grpc_status status, const char *text)
{
	const char *const headers[] = { name, value, NULL };
	struct peer_call *call = peer_call_with(peer, GRPC_TRACE_EXPORT, body, headers);
	struct grpc_request request;

	peer_pump(peer);
	assert_false(grpc_session_next(peer->server, &request));
	peer_pump(peer);
	assert_refused(call, status, text);
}

static void wrong_framing_is_refused(void **state)
{
	struct peer *peer = *state;

	expect(peer, STR(""), NULL, NULL, GRPC_UNIMPLEMENTED, "no message in a unary call");
	expect(peer, STR("\0\0\0\0\1a\0\0\0\0\0"), NULL, NULL, GRPC_UNIMPLEMENTED,
	       "more than one message in a unary call");
	expect(peer, STR("\0\0\0\0\2a"), NULL, NULL, GRPC_INTERNAL,
	       "the call ended in the middle of its message");
	expect(peer, STR("\0\0"), NULL, NULL, GRPC_INTERNAL,
	       "the call ended in the middle of its message");
	expect(peer, STR("\2\0\0\0\0"), NULL, NULL, GRPC_INTERNAL,
	       "message flag is neither 0 nor 1");
	expect(peer, STR("\1\0\0\0\1a"), NULL, NULL, GRPC_INTERNAL,
	       "compressed message without grpc-encoding");
	expect(peer, STR("\1\0\0\0\1a"), "grpc-encoding", "identity", GRPC_INTERNAL,
	       "compressed message without grpc-encoding");
	expect(peer, STR("\1\0\0\0\1a"), "grpc-encoding", "gzip", GRPC_INTERNAL,
	       "message is not what grpc-encoding says");
}

static void wrong_headers_are_refused(void **state)
{
	struct peer *peer = *state;
	struct str body = STR("\0\0\0\0\0");

	expect(peer, body, "grpc-encoding", "snappy", GRPC_UNIMPLEMENTED,
	       "unknown grpc-encoding; understood: identity,gzip,zstd");
	assert_string_equal(peer->calls[0].accept_encoding, "identity,gzip,zstd");
	expect(peer, body, "grpc-timeout", "10", GRPC_INTERNAL, "malformed grpc-timeout");
	expect(peer, body, ":method", "PUT", GRPC_INTERNAL, "gRPC calls are POST requests");
	assert_int_equal(peer->calls[2].http_status, 405);
	expect(peer, body, "content-type", "text/html", GRPC_INVALID_ARGUMENT,
	       "content-type is not application/grpc");
	assert_int_equal(peer->calls[3].http_status, 415);
	expect(peer, body, "content-type", NULL, GRPC_INVALID_ARGUMENT,
	       "content-type is not application/grpc");
	expect(peer, body, ":path", "/a.B/C", GRPC_UNIMPLEMENTED, "unknown service a.B");
	expect(peer, body, ":path", "/test.Echo/Thrice", GRPC_UNIMPLEMENTED,
	       "unknown method Thrice for service test.Echo");
	assert_int_equal(peer->calls[6].http_status, 200);
}

static void a_large_message_is_refused_by_its_prefix(void **state)
{
	struct grpc_session_options options = { .max_message_bytes = 1000 };
	struct peer peer;
	struct peer_call *call;

	(void)state;
	peer_start(&peer, &options);
	call = peer_call_open(&peer, STR("\0\0\0\x03\xe9"));
	peer_pump(&peer);
	assert_refused(call, GRPC_RESOURCE_EXHAUSTED, "message is larger than this server takes");
	assert_string_equal(call->details, ""); /* no RetryInfo: never again */
	assert_int_equal(call->close_code, NGHTTP2_NO_ERROR);
	peer_stop(&peer);
}

static void a_gzip_bomb_is_refused(void **state)
{
	struct grpc_session_options options = { .max_message_bytes = 10000 };
	static const char *const headers[] = { "grpc-encoding", "gzip", NULL };
	struct buf packed = { 0 }, frame;
	struct str zeros = { calloc(1, 10001), 10001 };
	struct grpc_request request;
	struct peer_call *call;
	struct peer peer;

	(void)state;
	peer_start(&peer, &options);
	assert_int_equal(compress_gzip(zeros, &packed), 0);
	frame = peer_frame(buf_str(&packed), 1);
	call = peer_call_with(&peer, GRPC_TRACE_EXPORT, buf_str(&frame), headers);
	peer_pump(&peer);
	assert_false(grpc_session_next(peer.server, &request));
	peer_pump(&peer);
	assert_refused(call, GRPC_RESOURCE_EXHAUSTED,
		       "inflated message is larger than this server takes");
	peer_stop(&peer);
	buf_fini(&packed);
	buf_fini(&frame);
	free((char *)(uintptr_t)zeros.data);
}

static void the_timeout_is_handed_over_in_ms(void **state)
{
	static const char *const headers[] = { "grpc-timeout", "10S", NULL };
	struct peer *peer = *state;
	struct grpc_request request;

	peer_call_with(peer, GRPC_TRACE_EXPORT, STR("\0\0\0\0\0"), headers);
	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	assert_int_equal(request.timeout_ms, 10000);
	grpc_session_reply(peer->server, request.stream_id, &OK_REPLY);
}

static void unavailable_carries_retry_info(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = call_hello(peer);
	struct grpc_request request;

	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	free(request.message);
	grpc_session_reply(peer->server, request.stream_id,
			   &(struct grpc_reply){ .status = GRPC_UNAVAILABLE,
						 .text = "100% busy\n",
						 .retry_delay_ms = 1500 });
	peer_pump(peer);
	assert_refused(call, GRPC_UNAVAILABLE, "100%25 busy%0A");
	assert_string_equal(call->pushback, "1500");
	/* Status{14, "100% busy\n", [Any{RetryInfo{Duration{1, 500000000}}}]} without padding */
	assert_string_equal(call->details,
			    "CA4SCjEwMCUgYnVzeQoaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJl"
			    "dHJ5SW5mbxIKCggIARCAyrXuAQ");
	assert_int_equal(peer->counters.replies[GRPC_UNAVAILABLE], 1);
}

static void a_reply_to_a_cancelled_call_is_dropped(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = call_hello(peer), *next;
	struct grpc_request request;

	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	nghttp2_submit_rst_stream(peer->client, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
	peer_pump(peer);
	assert_int_equal(grpc_session_open_streams(peer->server), 0);
	assert_int_equal(peer->counters.cancelled, 1);
	free(request.message);
	grpc_session_reply(peer->server, request.stream_id, &OK_REPLY);
	next = call_hello(peer);
	peer_serve(peer, STR(""));
	assert_int_equal(next->grpc_status, GRPC_OK);
}

static void a_call_cancelled_in_mid_message_frees_its_memory(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = peer_call_open(peer, STR("\0\0\0\1\0half of it"));

	peer_pump(peer);
	assert_true(peer->budget.used_bytes > 0);
	nghttp2_submit_rst_stream(peer->client, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
	peer_pump(peer);
	assert_int_equal(peer->budget.used_bytes, 0);
}

static void over_the_budget_is_unavailable(void **state)
{
	struct peer *peer = *state;
	struct buf message = { 0 }, frame;
	struct peer_call *first, *second;

	memset(buf_reserve(&message, GRPC_STREAM_BYTES / 2), 'x', GRPC_STREAM_BYTES / 2);
	message.len = GRPC_STREAM_BYTES / 2;
	frame = peer_frame(buf_str(&message), 0);
	peer->budget.limit_bytes = 3 * GRPC_STREAM_BYTES;
	first = peer_call_open(peer, buf_str(&frame));
	peer_pump(peer);
	second = peer_call(peer, GRPC_TRACE_EXPORT, buf_str(&frame));
	peer_pump(peer);
	assert_refused(second, GRPC_UNAVAILABLE, "no memory for this request; try again");
	assert_string_equal(second->pushback, "1000");
	peer_more(peer, first, STR(""), true);
	peer_serve(peer, STR(""));
	assert_int_equal(first->grpc_status, GRPC_OK);
	buf_fini(&message);
	buf_fini(&frame);
}

static void no_more_than_max_in_progress_are_handed_over(void **state)
{
	struct grpc_session_options options = { .max_in_progress = 1 };
	struct grpc_request first, second;
	struct peer peer;

	(void)state;
	peer_start(&peer, &options);
	call_hello(&peer);
	call_hello(&peer);
	peer_pump(&peer);
	assert_true(grpc_session_next(peer.server, &first));
	assert_false(grpc_session_next(peer.server, &second));
	grpc_session_reply(peer.server, first.stream_id, &OK_REPLY);
	assert_true(grpc_session_next(peer.server, &second));
	grpc_session_reply(peer.server, second.stream_id, &OK_REPLY);
	free(first.message);
	free(second.message);
	peer_stop(&peer);
}

static void health_says_what_the_owner_says(void **state)
{
	struct peer *peer = *state;
	struct buf trace = peer_frame(STR("\x0a\x0atest.Echo"), 0),
		   other = peer_frame(STR("\x0a\x01x"), 0);
	struct peer_call *all, *down, *unknown, *named;
	struct grpc_request request;

	trace.data[6] = 9;
	all = peer_call(peer, "/grpc.health.v1.Health/Check", STR("\0\0\0\0\0"));
	named = peer_call(peer, "/grpc.health.v1.Health/Check", buf_str(&trace));
	unknown = peer_call(peer, "/grpc.health.v1.Health/Check", buf_str(&other));
	peer_pump(peer);
	assert_false(grpc_session_next(peer->server, &request));
	peer->serving = false;
	down = peer_call(peer, "/grpc.health.v1.Health/Check", STR("\0\0\0\0\0"));
	peer_pump(peer);
	assert_false(grpc_session_next(peer->server, &request));
	peer_pump(peer);
	assert_memory_equal(all->in.data, "\0\0\0\0\2\x08\x01", 7);
	assert_memory_equal(named->in.data, "\0\0\0\0\2\x08\x01", 7);
	assert_memory_equal(down->in.data, "\0\0\0\0\2\x08\x02", 7);
	assert_refused(unknown, GRPC_NOT_FOUND, "unknown service");
	buf_fini(&trace);
	buf_fini(&other);
}

static void health_lists_every_service_once(void **state)
{
	static const char trace[] =
		"\x0a\x39\x0a\x33opentelemetry.proto.collector.trace.v1.TraceService"
		"\x12\x02\x08\x01";
	struct peer *peer = *state;
	struct peer_call *call = peer_call(peer, "/grpc.health.v1.Health/List", STR("\0\0\0\0\0"));

	peer_pump(peer);
	assert_false(grpc_session_next(peer->server, &(struct grpc_request){ 0 }));
	peer_pump(peer);
	assert_int_equal(call->grpc_status, GRPC_OK);
	assert_int_equal(call->in.len, 5 + 8 + (sizeof(trace) - 1) + 17);
	assert_memory_equal(call->in.data + 5, "\x0a\x06\x0a\x00\x12\x02\x08\x01", 8);
	assert_memory_equal(call->in.data + 13, trace, sizeof(trace) - 1);
	assert_memory_equal(call->in.data + 13 + sizeof(trace) - 1,
			    "\x0a\x0f\x0a\x09test.Echo\x12\x02\x08\x01", 17);
}

static void shutdown_lets_running_calls_end(void **state)
{
	struct peer *peer = *state;
	struct peer_call *running = call_hello(peer);
	struct grpc_request request;

	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	free(request.message);
	grpc_session_shutdown(peer->server, NULL, peer->now_ms);
	grpc_session_shutdown(peer->server, NULL, peer->now_ms);
	peer_pump(peer); /* first GOAWAY, ping, its echo, second GOAWAY */
	assert_int_equal(peer->goaways, 2);
	assert_int_equal(peer->goaway_code, NGHTTP2_NO_ERROR);
	assert_int_equal(peer->goaway_last, running->id);
	assert_false(grpc_session_is_done(peer->server));
	grpc_session_reply(peer->server, request.stream_id, &OK_REPLY);
	peer_pump(peer);
	assert_int_equal(running->grpc_status, GRPC_OK);
	assert_true(grpc_session_is_done(peer->server));
	assert_null(grpc_session_complaint(peer->server));
}

static void shutdown_does_not_wait_for_the_ping_for_ever(void **state)
{
	struct peer *peer = *state;
	struct buf out = { 0 };

	peer_pump(peer);
	grpc_session_shutdown(peer->server, NULL, peer->now_ms);
	grpc_session_pull(peer->server, &out);
	grpc_session_tick(peer->server, peer->now_ms + 500);
	assert_false(grpc_session_is_done(peer->server));
	grpc_session_tick(peer->server, peer->now_ms + 1000);
	grpc_session_pull(peer->server, &out);
	assert_true(grpc_session_is_done(peer->server));
	buf_fini(&out);
}

static void http1_gets_an_answer_it_understands(void **state)
{
	struct peer *peer = *state;
	struct buf out = { 0 };
	const char request[] = "POST /v1/traces HTTP/1.1\r\n\r\n";

	assert_true(grpc_session_wants_read(peer->server));
	assert_int_equal(grpc_session_feed(peer->server, "P", 1, 0), 0);
	grpc_session_pull(peer->server, &out);
	assert_int_equal(out.len, 0); /* not a byte before we know who it is */
	assert_int_equal(grpc_session_feed(peer->server, request + 1, sizeof(request) - 2, 0),
			 -EPROTO);
	assert_true(grpc_session_wants_write(peer->server));
	assert_int_equal(grpc_session_pull(peer->server, &out), 0);
	buf_append_byte(&out, 0);
	assert_non_null(strstr(out.data, "HTTP/1.1 400 "));
	assert_non_null(strstr(out.data, "4318"));
	assert_true(grpc_session_is_done(peer->server));
	assert_string_equal(grpc_session_complaint(peer->server), "not_http2");
	buf_fini(&out);
}

static void every_failed_allocation_is_survived(void **state)
{
	struct peer *peer = *state;
	struct grpc_session *server;
	unsigned n = 0;
	bool failed = true;
	static const char *const methods[] = { GRPC_TRACE_EXPORT, NULL };

	while (failed) {
		struct grpc_session_options options = { .methods = methods };
		int rc;

		nth_alloc_arm(++n);
		rc = grpc_session_new(&options, 1, &server);
		failed = nth_alloc_disarm();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
	}
	grpc_session_free(server);
	assert_true(n > 2);
	for (n = 1, failed = true; failed; n++) {
		struct peer_call *call = call_hello(peer);
		struct grpc_request request;

		nth_alloc_arm(n);
		peer_pump(peer);
		if (grpc_session_next(peer->server, &request)) {
			free(request.message);
			grpc_session_reply(peer->server, request.stream_id, &OK_REPLY);
		}
		peer_pump(peer);
		failed = nth_alloc_disarm();
		peer_pump(peer);
		assert_true(call->is_closed);
	}
	assert_true(n > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
		TEST(a_unary_call_goes_through),
		TEST(an_empty_reply_still_has_a_message),
		TEST(an_empty_message_is_a_request),
		TEST(bytes_may_come_one_by_one),
		TEST(a_message_may_come_in_many_data_frames),
		TEST(many_calls_share_a_connection_and_end_in_any_order),
		TEST(a_gzip_message_is_handed_over_inflated),
		TEST(wrong_framing_is_refused),
		TEST(wrong_headers_are_refused),
		TEST(a_large_message_is_refused_by_its_prefix),
		TEST(a_gzip_bomb_is_refused),
		TEST(the_timeout_is_handed_over_in_ms),
		TEST(unavailable_carries_retry_info),
		TEST(a_reply_to_a_cancelled_call_is_dropped),
		TEST(a_call_cancelled_in_mid_message_frees_its_memory),
		TEST(over_the_budget_is_unavailable),
		TEST(no_more_than_max_in_progress_are_handed_over),
		TEST(health_says_what_the_owner_says),
		TEST(health_lists_every_service_once),
		TEST(shutdown_lets_running_calls_end),
		TEST(shutdown_does_not_wait_for_the_ping_for_ever),
		TEST(http1_gets_an_answer_it_understands),
		TEST(every_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
