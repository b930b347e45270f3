/* SPDX-License-Identifier: Apache-2.0 */
/* How connections age and end, and what watchers of the health see of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "otlp/grpc_health.h"
#include "otlp/grpc_session.h"
#include "tests/unit/otlp/grpc_peer.h"

static struct peer_call *watch(struct peer *peer, struct str request)
{
	struct buf frame = peer_frame(request, 0);
	struct peer_call *call = peer_call(peer, GRPC_HEALTH_WATCH, buf_str(&frame));

	buf_fini(&frame);
	peer_pump(peer);
	grpc_session_next(peer->server, &(struct grpc_request){ 0 });
	peer_pump(peer);
	return call;
}

static void tick(struct peer *peer, uint64_t ms)
{
	peer->now_ms += ms;
	grpc_session_tick(peer->server, peer->now_ms);
	peer_pump(peer);
}

#define TOLD(status) STR("\0\0\0\0\2\x08" status)

static void a_watcher_is_told_every_change(void **state)
{
	struct peer peer;
	struct peer_call *call, *other;

	(void)state;
	peer_start(&peer, NULL);
	call = watch(&peer, STR(""));
	other = watch(&peer, STR("\x0a\4nope"));
	assert_true(str_eq(buf_str(&call->in), TOLD("\1")));
	assert_true(str_eq(buf_str(&other->in), TOLD("\3")));
	tick(&peer, 1000);
	peer.serving = false;
	tick(&peer, 1000);
	assert_true(str_eq(buf_str(&call->in), STR("\0\0\0\0\2\x08\1\0\0\0\0\2\x08\2")));
	tick(&peer, 60000);
	assert_false(call->is_closed);
	peer.serving = true;
	tick(&peer, 1000);
	assert_int_equal(call->in.len, 21);
	assert_int_equal(other->in.len, 7);
	grpc_session_shutdown(peer.server, NULL, peer.now_ms);
	peer_pump(&peer);
	assert_true(call->is_closed);
	assert_int_equal(call->grpc_status, GRPC_OK);
	assert_int_equal(call->in.len, 28); /* NOT_SERVING came first */
	assert_true(other->is_closed);
	assert_true(grpc_session_is_done(peer.server));
	peer_stop(&peer);
}

/* They end when the client wants, and cost until then. */
static void a_connection_has_so_many_watches_and_no_more(void **state)
{
	struct peer_call *calls[20];
	struct peer peer;

	(void)state;
	peer_start(&peer, NULL);
	for (size_t i = 0; i < 20; i++)
		calls[i] = watch(&peer, STR(""));
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(calls[i]->grpc_status, i < 16 ? -1 : GRPC_RESOURCE_EXHAUSTED);
	nghttp2_submit_rst_stream(peer.client, 0, calls[3]->id, NGHTTP2_CANCEL);
	peer_pump(&peer);
	assert_int_equal(watch(&peer, STR(""))->grpc_status, -1);
	peer_stop(&peer);
}

static void a_watcher_that_leaves_is_forgotten(void **state)
{
	struct peer peer;
	struct peer_call *call;

	(void)state;
	peer_start(&peer, NULL);
	call = watch(&peer, STR(""));
	nghttp2_submit_rst_stream(peer.client, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
	peer_pump(&peer);
	assert_int_equal(grpc_session_open_streams(peer.server), 0);
	tick(&peer, 1000);
	peer_stop(&peer);
}

static struct peer_call *call_with_deadline(struct peer *peer, struct str body, const char *timeout)
{
	const char *const headers[] = { "grpc-timeout", timeout, NULL };
	struct peer_call *call = peer_call_with(peer, GRPC_TRACE_EXPORT, body, headers);

	peer_pump(peer);
	return call;
}

/* The client waits no longer, whatever became of its message. */
static void a_deadline_ends_calls_in_every_state(void **state)
{
	const struct grpc_session_options options = { .max_in_progress = 1 };
	struct grpc_request request;
	struct peer peer;
	struct peer_call *calls[4];

	(void)state;
	peer_start(&peer, &options);
	calls[0] = call_with_deadline(&peer, STR("\0\0\0\0\0"), "400m"); /* handed over */
	calls[1] = call_with_deadline(&peer, STR("\0\0\0\0\0"), "300m"); /* waits for its turn */
	calls[2] = call_with_deadline(&peer, STR("\0\0\0\0\0"), "1S");
	assert_true(grpc_session_next(peer.server, &request));
	calls[3] = peer_call_open(&peer, STR("\0\0\0\0\5he")); /* without a deadline */
	peer_pump(&peer);
	assert_int_equal(grpc_session_deadline_ms(peer.server), peer.now_ms + 300);
	tick(&peer, 300);
	assert_int_equal(calls[1]->grpc_status, GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(grpc_session_deadline_ms(peer.server), peer.now_ms + 100);
	tick(&peer, 100);
	assert_int_equal(calls[0]->grpc_status, GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(calls[0]->header_blocks, 1);
	assert_false(calls[2]->is_closed || calls[3]->is_closed);
	grpc_session_reply(peer.server, request.stream_id, &(struct grpc_reply){ 0 });
	peer_serve(&peer, STR(""));
	assert_int_equal(calls[2]->grpc_status, GRPC_OK);
	tick(&peer, 1000);
	assert_int_equal(grpc_session_deadline_ms(peer.server), UINT64_MAX);
	assert_false(calls[3]->is_closed);
	peer_stop(&peer);
}

static void a_deadline_ends_a_watch(void **state)
{
	const char *const headers[] = { "grpc-timeout", "5S", NULL };
	struct peer_call *call;
	struct peer peer;

	(void)state;
	peer_start(&peer, NULL);
	call = peer_call_with(&peer, GRPC_HEALTH_WATCH, STR("\0\0\0\0\0"), headers);
	peer_pump(&peer);
	grpc_session_next(peer.server, &(struct grpc_request){ 0 });
	tick(&peer, 4000);
	assert_false(call->is_closed);
	assert_int_equal(grpc_session_deadline_ms(peer.server), peer.now_ms + 1000);
	tick(&peer, 1000);
	assert_true(call->is_closed);
	assert_int_equal(call->close_code, NGHTTP2_CANCEL);
	peer_stop(&peer);
}

static void who_is_sent_away_is_told_why_and_has_time_to_end(void **state)
{
	const struct grpc_session_options options = { .grace_ms = 5000 };
	struct peer peer;
	struct peer_call *call;

	(void)state;
	peer_start(&peer, &options);
	call = peer_call_open(&peer, STR("\0\0\0\0\5he"));
	peer_pump(&peer);
	grpc_session_shutdown(peer.server, "max_age", peer.now_ms);
	peer_pump(&peer);
	assert_int_equal(peer.goaways, 2);
	assert_int_equal(peer.goaway_code, NGHTTP2_NO_ERROR);
	assert_string_equal(peer.goaway_debug, "max_age");
	peer_more(&peer, call, STR("l"), false);
	peer_pump(&peer);
	tick(&peer, 4000);
	assert_false(grpc_session_is_done(peer.server)); /* a call is running */
	tick(&peer, 1000);
	assert_true(grpc_session_is_done(peer.server));
	peer_stop(&peer);
}

static void a_dead_peer_is_found_by_ping(void **state)
{
	const struct grpc_session_options options = { .keepalive_ms = 30000,
						      .keepalive_timeout_ms = 10000 };
	struct buf out = { 0 };
	struct peer peer;

	(void)state;
	peer_start(&peer, &options);
	peer_pump(&peer);
	tick(&peer, 30000); /* its ping is answered */
	tick(&peer, 29000);
	assert_false(grpc_session_wants_write(peer.server));
	peer.now_ms += 1000;
	grpc_session_tick(peer.server, peer.now_ms);
	assert_int_equal(grpc_session_pull(peer.server, &out), 0);
	assert_true(out.len > 0);
	grpc_session_tick(peer.server, peer.now_ms + 9000);
	assert_false(grpc_session_is_done(peer.server));
	grpc_session_tick(peer.server, peer.now_ms + 10000);
	assert_true(grpc_session_is_done(peer.server));
	buf_fini(&out);
	peer_stop(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watcher_is_told_every_change),
		cmocka_unit_test(a_connection_has_so_many_watches_and_no_more),
		cmocka_unit_test(a_watcher_that_leaves_is_forgotten),
		cmocka_unit_test(a_deadline_ends_calls_in_every_state),
		cmocka_unit_test(a_deadline_ends_a_watch),
		cmocka_unit_test(who_is_sent_away_is_told_why_and_has_time_to_end),
		cmocka_unit_test(a_dead_peer_is_found_by_ping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
