/* SPDX-License-Identifier: Apache-2.0 */
/* Flow control, and peers that mean no good. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "otlp/grpc_session.h"
#include "tests/unit/otlp/grpc_peer.h"

#define WINDOW 65536u

static int start(void **state)
{
	struct grpc_session_options options = { .stream_window_bytes = WINDOW,
						.connection_window_bytes = 2 * WINDOW };

	*state = malloc(sizeof(struct peer));
	peer_start(*state, &options);
	peer_pump(*state);
	return 0;
}

static int stop(void **state)
{
	peer_stop(*state);
	free(*state);
	return 0;
}

static struct buf large_frame(size_t len)
{
	char *zeros = calloc(1, len);
	struct buf frame = peer_frame((struct str){ zeros, len }, 0);

	free(zeros);
	return frame;
}

static void assert_condemned(struct peer *peer, uint32_t code, const char *reason)
{
	assert_int_equal(peer->goaway_code, code);
	assert_string_equal(peer->goaway_debug, reason);
	assert_string_equal(grpc_session_complaint(peer->server), reason);
	assert_true(grpc_session_is_done(peer->server));
	assert_int_equal(peer->counters.condemned, 1);
	assert_int_equal(grpc_session_feed(peer->server, "x", 1, peer->now_ms), -EPROTO);
}

/* A frame as the wire has it, sent in front of what the client says by itself. */
static void send_raw(struct peer *peer, uint8_t type, uint8_t flags, uint32_t stream_id,
		     struct str payload)
{
	const uint8_t head[] = { (uint8_t)(payload.len >> 16),
				 (uint8_t)(payload.len >> 8),
				 (uint8_t)payload.len,
				 type,
				 flags,
				 0,
				 0,
				 (uint8_t)(stream_id >> 8),
				 (uint8_t)stream_id };

	buf_append(&peer->to_server, head, sizeof(head));
	buf_append_str(&peer->to_server, payload);
}

static void a_message_larger_than_the_windows_gets_through(void **state)
{
	struct peer *peer = *state;
	struct buf frame = large_frame(10 * WINDOW);
	struct peer_call *call = peer_call(peer, GRPC_TRACE_EXPORT, buf_str(&frame));

	peer_serve(peer, STR(""));
	assert_int_equal(call->grpc_status, GRPC_OK);
	buf_fini(&frame);
}

static void a_held_session_takes_one_window_and_goes_on_when_released(void **state)
{
	struct peer *peer = *state;
	struct buf frame = large_frame(3 * WINDOW);
	struct peer_call *first = peer_call(peer, GRPC_TRACE_EXPORT, buf_str(&frame));
	struct peer_call *second = peer_call(peer, GRPC_TRACE_EXPORT, buf_str(&frame));
	struct grpc_request request;

	grpc_session_hold(peer->server, true);
	peer_pump(peer);
	assert_false(grpc_session_next(peer->server, &request));
	assert_int_equal(first->out.len + second->out.len, 2 * frame.len - 2 * WINDOW);
	grpc_session_hold(peer->server, false);
	peer_serve(peer, STR(""));
	peer_serve(peer, STR(""));
	assert_int_equal(first->grpc_status, GRPC_OK);
	assert_int_equal(second->grpc_status, GRPC_OK);
	buf_fini(&frame);
}

/* The credit of a stream that died while we were held must come back to the connection. */
static void cancelled_calls_do_not_close_the_window_for_good(void **state)
{
	struct peer *peer = *state;
	struct buf frame = large_frame(WINDOW / 2);
	struct peer_call *call;

	for (int i = 0; i < 20; i++) {
		call = peer_call_open(peer, (struct str){ frame.data, frame.len - 1 });
		grpc_session_hold(peer->server, i % 2);
		peer_pump(peer);
		nghttp2_submit_rst_stream(peer->client, NGHTTP2_FLAG_NONE, call->id,
					  NGHTTP2_CANCEL);
		peer_pump(peer);
	}
	grpc_session_hold(peer->server, false);
	call = peer_call(peer, GRPC_TRACE_EXPORT, buf_str(&frame));
	peer_serve(peer, STR(""));
	assert_int_equal(call->grpc_status, GRPC_OK);
	buf_fini(&frame);
}

/* Refused calls are reset; what their clients had sent already is credited too. */
static void refused_calls_do_not_close_the_window_for_good(void **state)
{
	struct peer *peer = *state;
	struct buf frame = large_frame(WINDOW / 2);
	struct peer_call *call;

	for (int i = 0; i < 20; i++) {
		call = peer_call(peer, "/nobody.Here/Call", buf_str(&frame));
		peer_pump(peer);
		assert_int_equal(call->grpc_status, GRPC_UNIMPLEMENTED);
	}
	call = peer_call(peer, GRPC_TRACE_EXPORT, buf_str(&frame));
	peer_serve(peer, STR(""));
	assert_int_equal(call->grpc_status, GRPC_OK);
	buf_fini(&frame);
}

/* A frame of HEADERS that opens a call, for a client whose own library would know better. */
static void open_raw(struct peer *peer, uint32_t id)
{
	const struct str start = STR("\x83\x86\1\1x\0\5:path");
	const struct str end = STR("\0\14content-type\20application/grpc");
	struct buf block = { 0 };

	buf_append_str(&block, start);
	buf_append_byte(&block, sizeof(GRPC_TRACE_EXPORT) - 1);
	buf_append_text(&block, GRPC_TRACE_EXPORT);
	buf_append_str(&block, end);
	send_raw(peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, buf_str(&block));
	buf_fini(&block);
}

/* How many streams are refused in what the server says. */
static unsigned count_refused(struct str said)
{
	unsigned count = 0;
	size_t at = 0;

	while (at + 9 <= said.len) {
		const uint8_t *head = (const uint8_t *)said.data + at;
		size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];

		assert_int_not_equal(head[3], NGHTTP2_GOAWAY);
		count += head[3] == NGHTTP2_RST_STREAM && head[12] == NGHTTP2_REFUSED_STREAM;
		at += 9 + len;
	}
	return count;
}

static void say_hello(struct peer *peer)
{
	buf_append(&peer->to_server, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	send_raw(peer, NGHTTP2_SETTINGS, 0, 0, STR(""));
}

/* What the server says to what `send_raw` wrote, without a client. */
static unsigned refused_now(struct peer *peer)
{
	struct buf said = { 0 };
	unsigned count;

	grpc_session_feed(peer->server, peer->to_server.data, peer->to_server.len, peer->now_ms);
	buf_clear(&peer->to_server);
	assert_int_equal(grpc_session_pull(peer->server, &said), 0);
	count = count_refused(buf_str(&said));
	buf_fini(&said);
	return count;
}

/* Whether the client knows our settings or not. */
static void streams_beyond_the_limit_are_refused_alone(void **state)
{
	struct peer *peer = *state;

	for (int knows = 0; knows < 2; knows++) {
		struct grpc_session_options options = { .max_streams = 2 };

		peer_stop(peer);
		peer_start(peer, &options);
		if (knows)
			peer_pump(peer);
		else
			say_hello(peer);
		for (uint32_t id = 1; id < 13; id += 2) {
			open_raw(peer, id);
			send_raw(peer, NGHTTP2_DATA, id > 7 ? NGHTTP2_FLAG_END_STREAM : 0, id,
				 STR("abc"));
		}
		assert_int_equal(refused_now(peer), 4);
		assert_int_equal(grpc_session_open_streams(peer->server), 2);
		assert_int_equal(peer->counters.refused_streams, 4);
		send_raw(peer, NGHTTP2_RST_STREAM, 0, 1, STR("\0\0\0\x08"));
		open_raw(peer, 13);
		assert_int_equal(refused_now(peer), 0);
		assert_int_equal(grpc_session_open_streams(peer->server), 2);
	}
}

static void the_client_is_told_the_true_limit_of_streams(void **state)
{
	struct peer *peer = *state;

	peer_pump(peer);
	assert_int_equal(nghttp2_session_get_remote_settings(
				 peer->client, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
			 128);
}

static void who_never_minds_the_limit_of_streams_is_got_rid_of(void **state)
{
	struct peer *peer = *state;

	peer_pump(peer);
	for (uint32_t i = 0; i < 2000; i++)
		open_raw(peer, 1 + 2 * i);
	grpc_session_feed(peer->server, peer->to_server.data, peer->to_server.len, peer->now_ms);
	assert_string_equal(grpc_session_complaint(peer->server), "too_many_streams");
	assert_int_equal(grpc_session_open_streams(peer->server), 128);
}

static void pings_in_a_row_are_too_many(void **state)
{
	struct peer *peer = *state;

	for (int i = 0; i < 4; i++) {
		assert_int_equal(peer->goaways, 0);
		nghttp2_submit_ping(peer->client, NGHTTP2_FLAG_NONE, NULL);
		peer_pump(peer);
	}
	assert_condemned(peer, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
}

static void pings_at_keepalive_pace_or_between_replies_are_fine(void **state)
{
	struct peer *peer = *state;

	for (int i = 0; i < 20; i++) {
		nghttp2_submit_ping(peer->client, NGHTTP2_FLAG_NONE, NULL);
		peer->now_ms += 10000;
		peer_pump(peer);
	}
	for (int i = 0; i < 20; i++) {
		struct peer_call *call = peer_call(peer, GRPC_TRACE_EXPORT, STR("\0\0\0\0\0"));

		nghttp2_submit_ping(peer->client, NGHTTP2_FLAG_NONE, NULL);
		peer_serve(peer, STR(""));
		assert_int_equal(call->grpc_status, GRPC_OK);
	}
	assert_int_equal(peer->goaways, 0);
}

static void a_flood_of_settings_is_too_many(void **state)
{
	struct peer *peer = *state;

	for (int i = 0; i < 50; i++)
		send_raw(peer, NGHTTP2_SETTINGS, 0, 0, STR(""));
	peer_pump(peer);
	assert_condemned(peer, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_settings");
}

static void a_flood_of_empty_data_is_too_many(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = peer_call_open(peer, STR(""));

	peer_pump(peer);
	for (int i = 0; i < 200; i++)
		send_raw(peer, NGHTTP2_DATA, 0, (uint32_t)call->id, STR(""));
	peer_pump(peer);
	assert_condemned(peer, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_empty_frames");
}

static void rapid_resets_end_the_connection(void **state)
{
	struct peer *peer = *state;

	for (int i = 0; i < 1100 && peer->goaways == 0; i++) {
		struct peer_call *call;

		peer->call_count = 0;
		call = peer_call_open(peer, STR(""));
		peer_pump(peer);
		nghttp2_submit_rst_stream(peer->client, NGHTTP2_FLAG_NONE, call->id,
					  NGHTTP2_CANCEL);
		peer_pump(peer);
	}
	assert_int_equal(peer->goaways, 1);
	assert_true(grpc_session_is_done(peer->server));
}

/* MadeYouReset: streams whose bodies are not as long as they said. */
static void resets_that_we_are_made_to_send_end_the_connection(void **state)
{
	static const char *const headers[] = { "content-length", "1", NULL };
	struct peer *peer = *state;

	for (int i = 0; i < 250; i++) {
		peer_call_with(peer, GRPC_TRACE_EXPORT, STR("\0\0\0\0\0"), headers);
		peer_pump(peer);
	}
	assert_condemned(peer, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_resets");
}

/* ... but who is refused early has done nothing to the connection: a wrong token, or our memory. */
static void early_refusals_do_not_end_the_connection(void **state)
{
	struct peer *peer = *state;

	for (int i = 0; i < 250; i++) {
		struct peer_call *call = peer_call_open(peer, STR("\2\0\0\0\0"));

		peer_pump(peer);
		assert_int_equal(call->grpc_status, GRPC_INTERNAL);
	}
	assert_int_equal(peer->goaways, 0);
}

/* A window that overflows is an error of the stream alone. */
static void invalid_frames_end_the_connection(void **state)
{
	struct peer *peer = *state;

	for (int i = 0; i < 150 && peer->goaways == 0; i++) {
		struct peer_call *call;

		peer->call_count = 0;
		call = peer_call_open(peer, STR(""));
		peer_pump(peer);
		send_raw(peer, NGHTTP2_WINDOW_UPDATE, 0, (uint32_t)call->id,
			 STR("\x7f\xff\xff\xff"));
		peer_pump(peer);
	}
	assert_condemned(peer, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_invalid_frames");
}

static struct peer_call *call_with_headers(struct peer *peer, size_t count, const char *value)
{
	static const char *headers[602];
	size_t at = 0;

	while (count--) {
		headers[at++] = "x-filler";
		headers[at++] = value;
	}
	headers[at] = NULL;
	return peer_call_with(peer, GRPC_TRACE_EXPORT, STR("\0\0\0\0\0"), headers);
}

static void too_many_headers_refuse_the_call(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = call_with_headers(peer, 60, "x");

	peer_pump(peer);
	assert_int_equal(call->grpc_status, GRPC_RESOURCE_EXHAUSTED);
	assert_string_equal(call->message, "too many request headers");
	call = call_with_headers(peer, 50, "x");
	peer_serve(peer, STR(""));
	assert_int_equal(call->grpc_status, GRPC_OK);
}

/* The value enters HPACK's table once; from then on one byte on the wire stands for it. */
static void an_hpack_bomb_ends_the_connection(void **state)
{
	struct peer *peer = *state;
	char value[221]; /* more, and the client would not send it */

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	call_with_headers(peer, 255, value);
	peer_pump(peer);
	assert_condemned(peer, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_headers");
	assert_true(peer->to_server_bytes < 2000);
}

static void broken_http2_ends_with_a_goaway(void **state)
{
	struct peer *peer = *state;

	send_raw(peer, NGHTTP2_PING, 0, 0, STR("short"));
	peer_pump(peer);
	assert_int_equal(peer->goaways, 1);
	assert_int_equal(peer->goaway_code, NGHTTP2_FRAME_SIZE_ERROR);
	assert_string_equal(grpc_session_complaint(peer->server), "broken_http2");
	assert_true(grpc_session_is_done(peer->server));
}

/* Go's clients close with a GOAWAY that names a stream of their own. */
static void a_goodbye_is_no_offence(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = peer_call(peer, GRPC_TRACE_EXPORT, STR("\0\0\0\0\0"));

	peer_serve(peer, STR(""));
	send_raw(peer, NGHTTP2_GOAWAY, 0, 0, STR("\0\0\0\1\0\0\0\0client transport shutdown"));
	peer_pump(peer);
	assert_int_equal(call->grpc_status, GRPC_OK);
	assert_null(grpc_session_complaint(peer->server));
	assert_int_equal(peer->counters.condemned, 0);
	assert_true(grpc_session_is_done(peer->server));
}

static void a_message_that_stops_coming_is_ended(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = peer_call_open(peer, STR("\0\0\0\0\5he"));

	peer_pump(peer);
	grpc_session_tick(peer->server, peer->now_ms + 30000);
	assert_int_equal(peer->counters.replies[GRPC_DEADLINE_EXCEEDED], 0);
	grpc_session_tick(peer->server, peer->now_ms + 30001);
	peer_pump(peer);
	assert_int_equal(call->grpc_status, GRPC_DEADLINE_EXCEEDED);
	assert_true(call->is_closed);
	assert_int_equal(peer->budget.used_bytes, 0);
}

static void a_client_that_never_greets_is_let_go(void **state)
{
	struct grpc_session *session = NULL;
	static const char *const methods[] = { NULL };
	struct grpc_session_options options = { .methods = methods };

	(void)state;
	assert_int_equal(grpc_session_new(&options, 0, &session), 0);
	grpc_session_tick(session, 10000);
	assert_false(grpc_session_is_done(session));
	grpc_session_tick(session, 10001);
	assert_true(grpc_session_is_done(session));
	grpc_session_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
		TEST(a_message_larger_than_the_windows_gets_through),
		TEST(a_held_session_takes_one_window_and_goes_on_when_released),
		TEST(cancelled_calls_do_not_close_the_window_for_good),
		TEST(refused_calls_do_not_close_the_window_for_good),
		TEST(streams_beyond_the_limit_are_refused_alone),
		TEST(the_client_is_told_the_true_limit_of_streams),
		TEST(who_never_minds_the_limit_of_streams_is_got_rid_of),
		TEST(pings_in_a_row_are_too_many),
		TEST(pings_at_keepalive_pace_or_between_replies_are_fine),
		TEST(a_flood_of_settings_is_too_many),
		TEST(a_flood_of_empty_data_is_too_many),
		TEST(rapid_resets_end_the_connection),
		TEST(resets_that_we_are_made_to_send_end_the_connection),
		TEST(early_refusals_do_not_end_the_connection),
		TEST(invalid_frames_end_the_connection),
		TEST(too_many_headers_refuse_the_call),
		TEST(an_hpack_bomb_ends_the_connection),
		TEST(broken_http2_ends_with_a_goaway),
		TEST(a_goodbye_is_no_offence),
		TEST(a_message_that_stops_coming_is_ended),
		TEST(a_client_that_never_greets_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
