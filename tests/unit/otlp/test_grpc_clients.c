/* SPDX-License-Identifier: Apache-2.0 */
/* Clients as they are: what must be taken, and what others take that must not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/compress.h"
#include "otlp/grpc_seen.h"
#include "otlp/grpc_session.h"
#include "tests/unit/otlp/grpc_peer.h"

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

static struct peer_call *call_with(struct peer *peer, const char *name, const char *value)
{
	const char *headers[] = { name, value, NULL };

	return peer_call_with(peer, GRPC_TRACE_EXPORT, STR("\0\0\0\0\0"), headers);
}

static void headers_of_many_clients_are_taken(void **state)
{
	static const char *const good[][2] = {
		{ "te", NULL },
		{ "grpc-timeout", NULL },
		{ "content-type", "application/grpc+proto" },
		{ "content-type", "Application/GRPC;charset=utf-8" },
		{ "x-trace-bin", "AAE,AgM=,BAU" },
		{ "x-other-bin", "not base64 at all!" },
		{ "user-agent", "OTel OTLP Exporter Go/1.38.0 grpc-go/1.75" },
		{ "grpc-accept-encoding", "identity, deflate, gzip" },
		{ "grpc-encoding", "identity" },
	};
	struct peer *peer = *state;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct peer_call *call = call_with(peer, good[i][0], good[i][1]);

		peer_serve(peer, STR(""));
		assert_int_equal(call->grpc_status, GRPC_OK);
	}
}

static void te_other_than_trailers_is_no_request(void **state)
{
	struct peer *peer = *state;
	struct peer_call *call = call_with(peer, "te", "gzip");

	peer_pump(peer);
	assert_true(call->is_closed);
	assert_int_equal(call->close_code, NGHTTP2_PROTOCOL_ERROR);
	assert_false(grpc_session_next(peer->server, &(struct grpc_request){ 0 }));
	assert_int_equal(peer->goaways, 0);
}

static void every_refusal_names_the_encodings(void **state)
{
	static const char *const paths[] = {
		"/opentelemetry.proto.collector.logs.v1.LogsService/Export",
		"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	};
	struct peer *peer = *state;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct peer_call *call = call_with(peer, ":path", paths[i]);

		peer_pump(peer);
		assert_int_equal(call->grpc_status, GRPC_UNIMPLEMENTED);
		assert_string_equal(call->accept_encoding, "identity,gzip,zstd");
	}
}

static void a_zstd_message_is_handed_over_inflated(void **state)
{
	static const char *const headers[] = { "grpc-encoding", "zstd", NULL };
	struct peer *peer = *state;
	struct grpc_request request;
	struct buf packed = { 0 }, frame;

	assert_int_equal(compress_zstd(STR("hello hello"), 1, &packed), 0);
	frame = peer_frame(buf_str(&packed), 1);
	peer_call_with(peer, GRPC_TRACE_EXPORT, buf_str(&frame), headers);
	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	assert_int_equal(request.message_len, 11);
	assert_memory_equal(request.message, "hello hello", 11);
	free(request.message);
	grpc_session_reply(peer->server, request.stream_id, &(struct grpc_reply){ 0 });
	buf_fini(&packed);
	buf_fini(&frame);
}

static void ids_are_remembered_as_far_back_as_promised(void **state)
{
	struct grpc_seen seen = { 0 };

	(void)state;
	assert_false(grpc_seen_was_left_out(&seen, 1));
	for (int32_t id = 1; id < 10001; id += 4) {
		grpc_seen_open(&seen, id);
		if (id % 8 == 1)
			grpc_seen_end(&seen, id);
	}
	for (int32_t id = 9997; id > 9997 - 2 * GRPC_SEEN_IDS; id -= 2) {
		assert_int_equal(grpc_seen_was_left_out(&seen, id), id % 4 != 1);
		assert_int_equal(grpc_seen_has_ended(&seen, id), id % 8 == 1);
	}
	assert_false(grpc_seen_was_left_out(&seen, 9999)); /* not used yet */
	assert_false(grpc_seen_has_ended(&seen, 1));
	assert_true(grpc_seen_was_left_out(&seen, 3)); /* forgotten: at least it is too late */
	grpc_seen_open(&seen, INT32_MAX);
	assert_true(grpc_seen_was_left_out(&seen, INT32_MAX - 2));
	assert_false(grpc_seen_has_ended(&seen, INT32_MAX - 2));
}

static void heads_of_data_frames_are_found_in_any_pieces(void **state)
{
	static const char bytes[] = "MAGIC"
				    "\0\0\3\4\0\0\0\0\0abc"
				    "\0\0\2\0\1\0\0\0\7xy"
				    "\0\0\0\0\0\0\0\1\5";
	const struct str all = STR(bytes);

	(void)state;
	for (size_t piece = 1; piece <= all.len; piece++) {
		struct grpc_frame_heads heads = { .left = 5 };
		int32_t ids[4] = { 0 };
		size_t found = 0;

		for (size_t at = 0; at < all.len;) {
			struct str part = { all.data + at,
					    all.len - at < piece ? all.len - at : piece };

			at += grpc_frame_heads_next(&heads, part, &ids[found]);
			found += ids[found] != 0;
		}
		assert_int_equal(found, 2);
		assert_int_equal(ids[0], 7);
		assert_int_equal(ids[1], 261);
	}
}

/* After each byte: how many frames were whole, and is something waited for? */
static void what_is_begun_and_not_whole_is_known(void **state)
{
	static const char bytes[] = "\0\0\1\6\0\0\0\0\0a"   /* PING: whole with its last byte */
				    "\0\0\1\1\0\0\0\0\1b"   /* HEADERS without their end ... */
				    "\0\0\0\x9\4\0\0\0\1"   /* ... which comes here */
				    "\0\0\2\0\0\0\0\0\1cd"; /* DATA: others wait for that */
	static const char waits[] = "wwwwwwwww."
				    "wwwwwwwwww"
				    "wwwwwwww."
				    "wwwwwwww...";
	static const size_t whole_at[] = { 9, 28, 39 };
	struct grpc_frame_heads heads = { 0 };
	size_t whole = 0;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(bytes); i++) {
		int32_t id;

		grpc_frame_heads_next(&heads, (struct str){ bytes + i, 1 }, &id);
		whole += whole < 3 && whole_at[whole] == i;
		assert_int_equal(heads.whole, whole);
		assert_int_equal(grpc_frame_heads_is_waiting(&heads), waits[i] == 'w');
	}
	assert_int_equal(whole, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(headers_of_many_clients_are_taken, start, stop),
		cmocka_unit_test_setup_teardown(te_other_than_trailers_is_no_request, start, stop),
		cmocka_unit_test_setup_teardown(every_refusal_names_the_encodings, start, stop),
		cmocka_unit_test_setup_teardown(a_zstd_message_is_handed_over_inflated, start,
						stop),
		cmocka_unit_test(ids_are_remembered_as_far_back_as_promised),
		cmocka_unit_test(heads_of_data_frames_are_found_in_any_pieces),
		cmocka_unit_test(what_is_begun_and_not_whole_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
