/* SPDX-License-Identifier: Apache-2.0 */
/* Server reflection: what is told, and how a call goes on of which both sides are streams. */
#include "otlp/grpc_reflection.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "collector/base/wire.h"
#include "otlp/grpc_session.h"
#include "tests/unit/otlp/grpc_peer.h"

#define INFO GRPC_REFLECTION_INFO("v1")

static const char *const methods[] = { "/a.B/C", "/a.B/D", "/e.F/G", NULL };

enum { BY_NAME = 3, OF_SYMBOL = 4, OF_EXTENSION = 5, EXTENSIONS = 6, SERVICES = 7 };
enum { FILES = 4, NUMBERS = 5, LIST = 6, ERROR = 7 };

/* The field of the response that is the answer; -1: there is none. */
static int ask(uint32_t kind, const char *text, struct buf *response, struct str *out_answer)
{
	struct buf request = { 0 };
	struct wire_reader reader;
	struct wire_field field;
	int found = -1;

	wire_put_bytes(&request, 1, STR("host"));
	if (kind)
		wire_put_bytes(&request, kind, str_of(text));
	buf_clear(response);
	assert_int_equal(grpc_reflection_answer(buf_str(&request), methods, response), 0);
	reader = wire_read(buf_str(response));
	while (wire_next(&reader, &field) > 0) {
		if (field.number == 1)
			assert_true(str_eq(field.bytes, STR("host")));
		else if (field.number == 2)
			assert_true(str_eq(field.bytes, buf_str(&request)));
		else
			found = (int)field.number;
		*out_answer = field.bytes;
	}
	buf_fini(&request);
	return found;
}

static void assert_error(uint32_t kind, const char *text, uint64_t code)
{
	struct buf response = { 0 };
	struct wire_reader reader;
	struct wire_field field;
	struct str answer;

	assert_int_equal(ask(kind, text, &response, &answer), ERROR);
	reader = wire_read(answer);
	assert_int_equal(wire_next(&reader, &field), 1);
	assert_int_equal(field.value, code);
	buf_fini(&response);
}

/* How many files, and that the first one has this name. */
static size_t count_files(uint32_t kind, const char *text, const char *first)
{
	struct buf response = { 0 };
	struct wire_reader reader, file;
	struct wire_field field, name;
	struct str answer;
	size_t count = 0;

	assert_int_equal(ask(kind, text, &response, &answer), FILES);
	reader = wire_read(answer);
	for (; wire_next(&reader, &field) > 0; count++) {
		file = wire_read(field.bytes);
		assert_int_equal(wire_next(&file, &name), 1);
		if (count == 0)
			assert_true(str_eq(name.bytes, str_of(first)));
	}
	buf_fini(&response);
	return count;
}

#define TRACE_SERVICE "opentelemetry/proto/collector/trace/v1/trace_service.proto"
#define TRACE         "opentelemetry/proto/trace/v1/trace.proto"
#define COMMON        "opentelemetry/proto/common/v1/common.proto"

static void files_come_with_their_imports(void **state)
{
	(void)state;
	assert_int_equal(count_files(BY_NAME, TRACE_SERVICE, TRACE_SERVICE), 4);
	assert_int_equal(count_files(BY_NAME, COMMON, COMMON), 1);
	assert_int_equal(
		count_files(BY_NAME, "grpc/health/v1/health.proto", "grpc/health/v1/health.proto"),
		1);
	assert_error(BY_NAME, "nope.proto", GRPC_NOT_FOUND);
	assert_error(BY_NAME, "", GRPC_NOT_FOUND);
}

static void symbols_of_every_kind_are_found(void **state)
{
	static const char *const in_trace[] = {
		"Span",
		"Span.Event",
		"Span.Event.name",
		"Span.SpanKind",
		"Span.SpanKind.SPAN_KIND_CLIENT",
		"SpanFlags",
		"Span.trace_id",
	};
	static const char *const nowhere[] = {
		"",
		".",
		"opentelemetry",
		"opentelemetry.proto.trace.v1",
		"Span",
		"opentelemetry.proto.trace.v1.",
		"opentelemetry.proto.trace.v1.Spa",
		"opentelemetry.proto.trace.v1.Spans",
		"opentelemetry.proto.trace.v1.Span.",
		"opentelemetry.proto.trace.v1.Span.Event.name.x",
	};
	char symbol[100];

	(void)state;
	for (size_t i = 0; i < sizeof(in_trace) / sizeof(*in_trace); i++) {
		snprintf(symbol, sizeof(symbol), "opentelemetry.proto.trace.v1.%s", in_trace[i]);
		assert_int_equal(count_files(OF_SYMBOL, symbol, TRACE), 3);
	}
	assert_int_equal(count_files(OF_SYMBOL,
				     "opentelemetry.proto.collector.trace.v1.TraceService.Export",
				     TRACE_SERVICE),
			 4);
	assert_int_equal(
		count_files(OF_SYMBOL, "opentelemetry.proto.common.v1.AnyValue.value", COMMON), 1);
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++)
		assert_error(OF_SYMBOL, nowhere[i], GRPC_NOT_FOUND);
}

static void services_are_listed_once(void **state)
{
	struct buf response = { 0 };
	struct str answer;

	(void)state;
	assert_int_equal(ask(SERVICES, "*", &response, &answer), LIST);
	assert_true(str_eq(answer, STR("\x0a\x05\x0a\x03"
				       "a.B\x0a\x05\x0a\x03"
				       "e.F")));
	buf_fini(&response);
}

static void nothing_is_extended(void **state)
{
	struct buf response = { 0 };
	struct str answer;

	(void)state;
	assert_error(OF_EXTENSION, "\x0a\x01x\x10\x01", GRPC_NOT_FOUND);
	assert_error(EXTENSIONS, "a.B", GRPC_NOT_FOUND);
	assert_error(EXTENSIONS, "opentelemetry.proto.trace.v1.SpanFlags", GRPC_NOT_FOUND);
	assert_int_equal(ask(EXTENSIONS, "opentelemetry.proto.trace.v1.Span", &response, &answer),
			 NUMBERS);
	assert_error(0, NULL, GRPC_INVALID_ARGUMENT);
	assert_int_equal(grpc_reflection_answer(STR("\xff"), methods, &response), -EBADMSG);
	buf_fini(&response);
}

static struct peer *start(bool reflects, struct peer *peer)
{
	const struct grpc_session_options options = { .reflects = reflects };

	peer_start(peer, &options);
	return peer;
}

/* The peer is served as the owner would: no request of this kind is ever handed over. */
static void serve(struct peer *peer)
{
	struct grpc_request request;

	peer_pump(peer);
	assert_false(grpc_session_next(peer->server, &request));
	peer_pump(peer);
}

static struct buf list_services(void)
{
	return peer_frame(STR("\x3a\x01*"), 0);
}

static void it_is_off_unless_asked_for(void **state)
{
	struct peer peer;
	struct peer_call *call = peer_call(start(false, &peer), INFO, STR("\0\0\0\0\0"));

	(void)state;
	serve(&peer);
	assert_int_equal(call->grpc_status, GRPC_UNIMPLEMENTED);
	peer_stop(&peer);
}

static void each_message_is_answered_as_it_comes(void **state)
{
	struct buf ask = list_services();
	struct peer peer;
	struct peer_call *call = peer_call_open_to(start(true, &peer), INFO, STR(""));
	size_t answer;

	(void)state;
	serve(&peer);
	assert_int_equal(call->in.len, 0);
	peer_more(&peer, call, (struct str){ ask.data, 4 }, false); /* half a prefix */
	serve(&peer);
	peer_more(&peer, call, (struct str){ ask.data + 4, ask.len - 4 }, false);
	serve(&peer);
	answer = call->in.len;
	assert_true(answer > 100);
	assert_int_equal(call->grpc_status, -1);
	peer_more(&peer, call, buf_str(&ask), false); /* two at once */
	peer_more(&peer, call, buf_str(&ask), true);
	serve(&peer);
	assert_int_equal(call->in.len, 3 * answer);
	assert_int_equal(call->grpc_status, GRPC_OK);
	assert_true(call->is_closed);
	assert_int_equal(peer.counters.replies[GRPC_OK], 1);
	buf_fini(&ask);
	peer_stop(&peer);
}

static void what_cannot_be_answered_ends_the_call(void **state)
{
	static const struct {
		struct str body;
		enum grpc_status status;
	} cases[] = {
		{ { "\0\0\0\0\1\xff", 6 }, GRPC_INVALID_ARGUMENT },
		{ { "\2\0\0\0\0", 5 }, GRPC_INTERNAL },
		{ { "\1\0\0\0\0", 5 }, GRPC_INTERNAL },
		{ { "\0\0\1\0\0", 5 }, GRPC_RESOURCE_EXHAUSTED },
		{ { "\0\0\0\0\1", 5 }, GRPC_INTERNAL },
		{ { "", 0 }, GRPC_OK },
	};
	struct peer peer;

	(void)state;
	start(true, &peer);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct peer_call *call = peer_call(&peer, INFO, cases[i].body);

		serve(&peer);
		assert_int_equal(call->grpc_status, cases[i].status);
		assert_true(call->is_closed);
	}
	assert_int_equal(peer.goaways, 0);
	peer_stop(&peer);
}

static void who_does_not_read_the_answers_gets_no_more(void **state)
{
	struct buf ask = { 0 };
	struct peer peer;
	struct peer_call *call;

	(void)state;
	wire_put_bytes(&ask, BY_NAME, STR(TRACE_SERVICE)); /* some KiB */
	start(true, &peer);
	nghttp2_submit_settings(
		peer.client, NGHTTP2_FLAG_NONE,
		&(nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0 }, 1);
	peer_pump(&peer);
	call = peer_call_open_to(&peer, INFO, STR(""));
	for (int i = 0; i < 100; i++) {
		struct buf frame = peer_frame(buf_str(&ask), 0);

		peer_more(&peer, call, buf_str(&frame), false);
		serve(&peer);
		buf_fini(&frame);
	}
	assert_int_equal(peer.counters.replies[GRPC_RESOURCE_EXHAUSTED], 1);
	grpc_session_tick(peer.server, peer.now_ms + 31000);
	peer_pump(&peer);
	assert_true(call->is_closed);
	buf_fini(&ask);
	peer_stop(&peer);
}

static void a_session_that_leaves_ends_it(void **state)
{
	struct buf ask = list_services();
	struct peer_call *calls[2];
	struct peer peer;

	(void)state;
	start(true, &peer);
	calls[0] = peer_call_open_to(&peer, INFO, buf_str(&ask));
	calls[1] = peer_call_open_to(&peer, INFO, STR(""));
	serve(&peer);
	grpc_session_shutdown(peer.server, NULL, peer.now_ms);
	peer_pump(&peer);
	for (int i = 0; i < 2; i++)
		assert_int_equal(calls[i]->grpc_status, GRPC_UNAVAILABLE);
	assert_true(grpc_session_is_done(peer.server));
	buf_fini(&ask);
	peer_stop(&peer);
}

static void one_that_falls_silent_is_ended(void **state)
{
	struct buf ask = list_services();
	struct peer_call *call;
	struct peer peer;

	(void)state;
	start(true, &peer);
	call = peer_call_open_to(&peer, INFO, buf_str(&ask));
	serve(&peer);
	grpc_session_tick(peer.server, peer.now_ms + 299000);
	peer_pump(&peer);
	assert_false(call->is_closed);
	grpc_session_tick(peer.server, peer.now_ms + 301000);
	peer_pump(&peer);
	assert_true(call->is_closed);
	buf_fini(&ask);
	peer_stop(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_with_their_imports),
		cmocka_unit_test(symbols_of_every_kind_are_found),
		cmocka_unit_test(services_are_listed_once),
		cmocka_unit_test(nothing_is_extended),
		cmocka_unit_test(it_is_off_unless_asked_for),
		cmocka_unit_test(each_message_is_answered_as_it_comes),
		cmocka_unit_test(what_cannot_be_answered_ends_the_call),
		cmocka_unit_test(who_does_not_read_the_answers_gets_no_more),
		cmocka_unit_test(a_session_that_leaves_ends_it),
		cmocka_unit_test(one_that_falls_silent_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
