/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks that take a client which speaks no proper HTTP/2: frames made by hand, and a look at how
 * much memory they buy. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "otlp/grpc_session.h"
#include "otlp/grpc_stream.h"

#define MIB ((size_t)1 << 20)

/* Under ASan malloc keeps its own books. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
	return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
						       : mallinfo2().uordblks;
}

struct attack {
	struct grpc_session *server;
	struct grpc_budget budget;
	struct grpc_counters counters;
	struct buf out; /* what the server said */
	size_t memory_before;
	size_t memory_most;
	uint64_t now_ms;
};

static const char *const methods[] = { GRPC_TRACE_EXPORT, NULL };

static void frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t id, struct str payload)
{
	const uint8_t head[] = { (uint8_t)(payload.len >> 16),
				 (uint8_t)(payload.len >> 8),
				 (uint8_t)payload.len,
				 type,
				 flags,
				 (uint8_t)(id >> 24),
				 (uint8_t)(id >> 16),
				 (uint8_t)(id >> 8),
				 (uint8_t)id };

	buf_append(out, head, sizeof(head));
	buf_append_str(out, payload);
}

/* Takes bytes as a socket would bring them, with an owner that reads and writes in between. */
static void send(struct attack *attack, struct buf *bytes)
{
	const size_t piece = 16384;

	attack->memory_before = attack->memory_most = allocated(); /* `bytes` among it */
	for (size_t at = 0; at < bytes->len; at += piece) {
		grpc_session_feed(attack->server, bytes->data + at, MIN(piece, bytes->len - at),
				  attack->now_ms);
		attack->memory_most = MAX(attack->memory_most, allocated());
		buf_clear(&attack->out);
		assert_int_equal(grpc_session_pull(attack->server, &attack->out), 0);
	}
	buf_clear(bytes);
}

static int start(void **state)
{
	struct attack *attack = calloc(1, sizeof(*attack));
	const struct grpc_session_options options = { .methods = methods,
						      .budget = &attack->budget,
						      .counters = &attack->counters };
	struct buf hello = { 0 };

	attack->budget.limit_bytes = 64 * MIB;
	attack->now_ms = 1000000;
	assert_int_equal(grpc_session_new(&options, attack->now_ms, &attack->server), 0);
	buf_append(&hello, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	frame(&hello, NGHTTP2_SETTINGS, 0, 0, STR(""));
	frame(&hello, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, STR(""));
	send(attack, &hello);
	buf_fini(&hello);
	*state = attack;
	return 0;
}

static int stop(void **state)
{
	struct attack *attack = *state;

	grpc_session_free(attack->server);
	buf_fini(&attack->out);
	free(attack);
	return 0;
}

/* The GOAWAY of the last pull: code, then reason. */
static void assert_ended(struct attack *attack, uint32_t code, const char *reason)
{
	const uint8_t *at = (const uint8_t *)attack->out.data;
	size_t len = attack->out.len;

	assert_true(grpc_session_is_done(attack->server));
	assert_non_null(grpc_session_complaint(attack->server));
	while (len >= 9 && at[3] != NGHTTP2_GOAWAY) {
		size_t whole = 9 + ((size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2]);

		assert_true(whole <= len);
		at += whole;
		len -= whole;
	}
	assert_true(len >= 17);
	assert_int_equal((uint32_t)at[13] << 24 | at[14] << 16 | at[15] << 8 | at[16], code);
	if (reason)
		assert_memory_equal(at + 17, reason, strlen(reason));
}

static void assert_memory_below(const struct attack *attack, size_t bytes)
{
	assert_true(attack->memory_most < attack->memory_before + bytes);
}

/* The headers of a call, in HPACK without a table, so that any frame may carry them. */
static struct buf headers(void)
{
	static const char *const fields[][2] = {
		{ ":method", "POST" }, { ":scheme", "http" },
		{ ":authority", "x" }, { ":path", GRPC_TRACE_EXPORT },
		{ "te", "trailers" },  { "content-type", "application/grpc" },
	};
	struct buf out = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		buf_append_byte(&out, 0);
		for (size_t j = 0; j < 2; j++) {
			buf_append_byte(&out, (uint8_t)strlen(fields[i][j]));
			buf_append_text(&out, fields[i][j]);
		}
	}
	return out;
}

static void put_call(struct buf *out, uint32_t id, uint8_t flags)
{
	struct buf block = headers();

	frame(out, NGHTTP2_HEADERS, flags, id, buf_str(&block));
	buf_fini(&block);
}

static void a_flood_of_continuations_ends_the_connection(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	put_call(&bytes, 1, 0);
	for (int i = 0; i < 200000; i++)
		frame(&bytes, NGHTTP2_CONTINUATION, 0, 1, STR(""));
	send(attack, &bytes);
	assert_true(grpc_session_is_done(attack->server));
	assert_memory_below(attack, MIB);
	buf_fini(&bytes);
}

static void ten_thousand_streams_are_not_held(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	for (uint32_t i = 0; i < 10000; i++)
		put_call(&bytes, 2 * i + 1, NGHTTP2_FLAG_END_HEADERS);
	send(attack, &bytes);
	assert_true(grpc_session_is_done(attack->server));
	assert_memory_below(attack, MIB);
	buf_fini(&bytes);
}

static void rapid_resets_buy_nothing(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	for (uint32_t i = 0; i < 50000; i++) {
		put_call(&bytes, 2 * i + 1, NGHTTP2_FLAG_END_HEADERS);
		frame(&bytes, NGHTTP2_RST_STREAM, 0, 2 * i + 1, STR("\0\0\0\x8"));
	}
	send(attack, &bytes);
	assert_true(grpc_session_is_done(attack->server));
	assert_memory_below(attack, MIB);
	buf_fini(&bytes);
}

static void a_million_empty_messages_are_one_refusal(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };
	char *zeros = calloc(1, 16380); /* 3276 empty messages in each frame */

	put_call(&bytes, 1, NGHTTP2_FLAG_END_HEADERS);
	for (int i = 0; i < 120; i++)
		frame(&bytes, NGHTTP2_DATA, 0, 1, (struct str){ zeros, 16380 });
	send(attack, &bytes);
	assert_int_equal(attack->counters.replies[GRPC_UNIMPLEMENTED], 1);
	assert_memory_below(attack, MIB);
	free(zeros);
	buf_fini(&bytes);
}

static void more_than_the_windows_is_a_flow_control_error(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };
	char *data = calloc(1, 16384);

	grpc_session_hold(attack->server, true); /* no credit: the window holds a megabyte */
	put_call(&bytes, 1, NGHTTP2_FLAG_END_HEADERS);
	frame(&bytes, NGHTTP2_DATA, 0, 1, STR("\0\0\xff\xff\xff"));
	for (int i = 0; i < 700; i++)
		frame(&bytes, NGHTTP2_DATA, 0, 1, (struct str){ data, 16384 });
	send(attack, &bytes);
	assert_memory_below(attack, 17 * MIB);
	assert_true(grpc_session_is_done(attack->server) ||
		    attack->counters.cancelled + attack->counters.replies[GRPC_INTERNAL] > 0);
	free(data);
	buf_fini(&bytes);
}

static void a_connection_window_that_overflows_ends_it(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	for (int i = 0; i < 2; i++)
		frame(&bytes, NGHTTP2_WINDOW_UPDATE, 0, 0, STR("\x7f\xff\xff\xff"));
	send(attack, &bytes);
	assert_ended(attack, NGHTTP2_FLOW_CONTROL_ERROR, NULL);
	buf_fini(&bytes);
}

static void an_id_smaller_than_the_last_ends_it(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	put_call(&bytes, 5, NGHTTP2_FLAG_END_HEADERS);
	put_call(&bytes, 3, NGHTTP2_FLAG_END_HEADERS);
	send(attack, &bytes);
	assert_ended(attack, NGHTTP2_PROTOCOL_ERROR, "stream_id_too_small");
	buf_fini(&bytes);
}

static void frames_behind_a_reset_end_it(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	put_call(&bytes, 1, NGHTTP2_FLAG_END_HEADERS);
	frame(&bytes, NGHTTP2_RST_STREAM, 0, 1, STR("\0\0\0\x8"));
	frame(&bytes, NGHTTP2_DATA, 0, 1, STR("late"));
	send(attack, &bytes);
	assert_ended(attack, NGHTTP2_STREAM_CLOSED, "stream_closed");
	buf_fini(&bytes);
}

/* What we have refused and reset, the client may still be sending: that is no offence. */
static void data_that_crosses_our_refusal_is_dropped_quietly(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	put_call(&bytes, 1, NGHTTP2_FLAG_END_HEADERS);
	frame(&bytes, NGHTTP2_DATA, 0, 1, STR("\2\0\0\0\0"));
	send(attack, &bytes);
	assert_int_equal(attack->counters.replies[GRPC_INTERNAL], 1);
	frame(&bytes, NGHTTP2_DATA, 0, 1, STR("more"));
	frame(&bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, STR("last"));
	put_call(&bytes, 3, NGHTTP2_FLAG_END_HEADERS);
	send(attack, &bytes);
	assert_null(grpc_session_complaint(attack->server));
	assert_int_equal(grpc_session_open_streams(attack->server), 1);
	buf_fini(&bytes);
}

static void who_never_opens_its_window_loses_its_replies(void **state)
{
	struct attack *attack = *state;
	struct grpc_request request;
	struct buf bytes = { 0 };

	frame(&bytes, NGHTTP2_SETTINGS, 0, 0, STR("\0\4\0\0\0\0")); /* window 0 */
	for (uint32_t i = 0; i < 100; i++) {
		put_call(&bytes, 2 * i + 1, NGHTTP2_FLAG_END_HEADERS);
		frame(&bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 2 * i + 1, STR("\0\0\0\0\0"));
	}
	send(attack, &bytes);
	while (grpc_session_next(attack->server, &request))
		grpc_session_reply(attack->server, request.stream_id, &(struct grpc_reply){ 0 });
	assert_int_equal(grpc_session_pull(attack->server, &attack->out), 0);
	assert_int_equal(grpc_session_open_streams(attack->server), 100);
	assert_true(allocated() < attack->memory_before + MIB);
	grpc_session_tick(attack->server, attack->now_ms + 31000);
	assert_int_equal(grpc_session_pull(attack->server, &attack->out), 0);
	assert_int_equal(grpc_session_open_streams(attack->server), 0);
	buf_fini(&bytes);
}

/* Headers without an end, trailers without an end, a frame of which there is no more than its head;
 * the last one with a byte now and then. */
static void what_is_begun_and_does_not_end_is_not_waited_for(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	for (int kind = 0; kind < 3; kind++) {
		if (kind < 2)
			put_call(&bytes, 1, kind == 0 ? 0 : NGHTTP2_FLAG_END_HEADERS);
		if (kind == 1)
			frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, STR("\0\1x\1y"));
		if (kind == 2)
			buf_append(&bytes, "\0\0\x10\x0b\0\0\0\0\0", 9);
		send(attack, &bytes);
		for (int i = 0; i < 9; i++) {
			attack->now_ms += 1000;
			grpc_session_tick(attack->server, attack->now_ms);
			assert_null(grpc_session_complaint(attack->server));
			if (kind == 2)
				buf_append_byte(&bytes, 0);
			send(attack, &bytes);
		}
		grpc_session_tick(attack->server, attack->now_ms + 2000);
		buf_clear(&attack->out);
		assert_int_equal(grpc_session_pull(attack->server, &attack->out), 0);
		assert_ended(attack, NGHTTP2_ENHANCE_YOUR_CALM, "slow_headers");
		stop(state);
		start(state);
		attack = *state;
	}
	buf_fini(&bytes);
}

/* Each read may end within a frame, for hours. */
static void a_busy_client_is_never_taken_for_a_slow_one(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	for (int i = 0; i < 101; i++)
		frame(&bytes, NGHTTP2_WINDOW_UPDATE, 0, 0, STR("\0\0\0\1"));
	grpc_session_feed(attack->server, bytes.data, 5, attack->now_ms);
	for (size_t at = 5; at + 13 <= bytes.len; at += 13) {
		attack->now_ms += 9000;
		grpc_session_feed(attack->server, bytes.data + at, 13, attack->now_ms);
		grpc_session_tick(attack->server, attack->now_ms + 9000);
	}
	assert_null(grpc_session_complaint(attack->server));
	buf_fini(&bytes);
}

static void a_body_that_trickles_is_ended(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	put_call(&bytes, 1, NGHTTP2_FLAG_END_HEADERS);
	frame(&bytes, NGHTTP2_DATA, 0, 1, STR("\0\0\0\xff\xff"));
	for (int i = 0; i < 20; i++) {
		frame(&bytes, NGHTTP2_DATA, 0, 1, STR("x"));
		send(attack, &bytes);
		attack->now_ms += 20000;
		grpc_session_tick(attack->server, attack->now_ms);
	}
	assert_int_equal(attack->counters.replies[GRPC_DEADLINE_EXCEEDED], 1);
	buf_fini(&bytes);
}

#define ROOM 40u /* streams; of a budget, one connection alone may have four fifths */

static void streams_without_a_body_are_memory_too(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	attack->budget.limit_bytes = ROOM / 4 * 5 * GRPC_STREAM_BYTES;
	for (uint32_t i = 0; i < ROOM + 40; i++) {
		put_call(&bytes, 2 * i + 1, NGHTTP2_FLAG_END_HEADERS);
		send(attack, &bytes);
	}
	assert_int_equal(attack->counters.replies[GRPC_UNAVAILABLE], 40);
	assert_int_equal(grpc_session_open_streams(attack->server), ROOM);
	assert_int_equal(attack->budget.used_bytes, ROOM * GRPC_STREAM_BYTES);
	assert_null(grpc_session_complaint(attack->server));
	buf_fini(&bytes);
}

/* A client may ask for much at once. */
static void refusals_may_wait_while_they_are_few(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	attack->budget.limit_bytes = ROOM / 4 * 5 * GRPC_STREAM_BYTES;
	for (uint32_t i = 0; i < ROOM + 80; i++)
		put_call(&bytes, 2 * i + 1, NGHTTP2_FLAG_END_HEADERS);
	send(attack, &bytes);
	assert_null(grpc_session_complaint(attack->server));
	assert_int_equal(attack->counters.replies[GRPC_UNAVAILABLE], 80);
	assert_int_equal(attack->budget.unsent_refusals, 0);
	buf_fini(&bytes);
}

static void who_does_not_take_refusals_is_not_refused_for_ever(void **state)
{
	struct attack *attack = *state;
	struct buf bytes = { 0 };

	attack->budget.limit_bytes = ROOM / 4 * 5 * GRPC_STREAM_BYTES;
	attack->budget.unsent_refusals = GRPC_BUDGET_REFUSALS; /* others are like that */
	for (uint32_t i = 0; i < ROOM + 40; i++)
		put_call(&bytes, 2 * i + 1, NGHTTP2_FLAG_END_HEADERS);
	send(attack, &bytes);
	assert_ended(attack, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_streams");
	attack->budget.unsent_refusals -= GRPC_BUDGET_REFUSALS;
	buf_fini(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flood_of_continuations_ends_the_connection),
		TEST(ten_thousand_streams_are_not_held),
		TEST(rapid_resets_buy_nothing),
		TEST(a_million_empty_messages_are_one_refusal),
		TEST(more_than_the_windows_is_a_flow_control_error),
		TEST(a_connection_window_that_overflows_ends_it),
		TEST(an_id_smaller_than_the_last_ends_it),
		TEST(frames_behind_a_reset_end_it),
		TEST(data_that_crosses_our_refusal_is_dropped_quietly),
		TEST(who_never_opens_its_window_loses_its_replies),
		TEST(what_is_begun_and_does_not_end_is_not_waited_for),
		TEST(a_busy_client_is_never_taken_for_a_slow_one),
		TEST(a_body_that_trickles_is_ended),
		TEST(streams_without_a_body_are_memory_too),
		TEST(refusals_may_wait_while_they_are_few),
		TEST(who_does_not_take_refusals_is_not_refused_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
