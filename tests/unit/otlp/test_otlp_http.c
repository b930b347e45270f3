/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collector/base/compress.h"
#include "collector/base/macros.h"
#include "tests/unit/otlp/otlp_bytes.h"

#define IDS          "\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"1112131415161718\""
#define JSON_REQUEST "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" IDS "}]}]}]}"

static unsigned begin(const char *method, const char *type, const char *coding, const char *length,
		      struct otlp_http_request *out_request)
{
	return otlp_http_begin(str_of(method), str_of(type), str_of(coding), str_of(length), NULL,
			       out_request)
		.http_status;
}

static void headers_say_what_the_body_is(void **state)
{
	static const struct {
		const char *type, *coding, *length;
		unsigned status;
		struct otlp_http_request request;
	} cases[] = {
		{ "application/x-protobuf", "", "", 0, { OTLP_PROTOBUF, OTLP_IDENTITY } },
		{ "application/json", "identity", "16777216", 0, { OTLP_JSON, OTLP_IDENTITY } },
		{ "Application/JSON; charset=utf-8", "GZIP", "5", 0, { OTLP_JSON, OTLP_GZIP } },
		{ "application/x-protobuf ;x", " zstd", "", 0, { OTLP_PROTOBUF, OTLP_ZSTD } },
		{ "application/x-protobuf", "deflate", "", 0, { OTLP_PROTOBUF, OTLP_DEFLATE } },
		{ "application/json", "br", "", 415, { OTLP_JSON, OTLP_IDENTITY } },
		{ "application/json", "gzip, gzip", "", 415, { OTLP_JSON, OTLP_IDENTITY } },
		{ "text/plain", "", "", 415, { OTLP_PROTOBUF, OTLP_IDENTITY } },
		{ "", "", "", 415, { OTLP_PROTOBUF, OTLP_IDENTITY } },
		{ "application/json", "", "16777217", 413, { OTLP_JSON, OTLP_IDENTITY } },
		{ "application/json",
		  "",
		  "99999999999999999999999999",
		  413,
		  { OTLP_JSON, OTLP_IDENTITY } },
	};
	struct otlp_http_request request;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
			begin("POST", cases[i].type, cases[i].coding, cases[i].length, &request),
			cases[i].status);
		assert_int_equal(request.form, cases[i].request.form);
		assert_int_equal(request.coding, cases[i].request.coding);
	}
	assert_int_equal(begin("GET", "application/json", "", "", &request), 405);
	assert_int_equal(request.form, OTLP_JSON);
}

static void traces_have_three_paths(void **state)
{
	(void)state;
	assert_true(otlp_http_is_traces(STR("/v1/traces")));
	assert_true(otlp_http_is_traces(STR("/v1/traces/")));
	assert_true(otlp_http_is_traces(STR("/")));
	assert_false(otlp_http_is_traces(STR("/v1/trace")));
	assert_false(otlp_http_is_traces(STR("/v1/logs")));
	assert_false(otlp_http_is_traces(STR("")));
}

/* The status of decoding a copy of `body`; 0: one span came out. */
static unsigned decode(enum otlp_form form, enum otlp_coding coding, struct str body,
		       const struct otlp_http_limits *limits)
{
	const struct otlp_http_request request = { form, coding };
	char *copy = body.len ? memcpy(malloc(body.len), body.data, body.len) : NULL;
	struct span_batch *batch = NULL;
	struct buf detail = { 0 };
	struct grpc_error error =
		otlp_http_decode(&request, copy, body.len, limits, &batch, &detail);

	if (!error.status) {
		assert_int_equal(batch->span_count, 1);
		otlp_batch_free(batch);
	} else {
		assert_non_null(error.text);
	}
	buf_fini(&detail);
	return error.http_status;
}

static int deflate(struct str plain, struct buf *out)
{
	static const char zlib[] = "\x78\x9c\x03\x00\x00\x00\x00\x01"; /* of nothing */

	(void)plain;
	buf_append(out, zlib, sizeof(zlib) - 1);
	return 0;
}

static int zstd(struct str plain, struct buf *out)
{
	return compress_zstd(plain, 1, out);
}

static void bodies_come_in_every_coding(void **state)
{
	struct buf span = bytes_span(SPAN_A, "x"), request = bytes_request(&span), packed = { 0 };
	const struct str json = STR(JSON_REQUEST);

	(void)state;
	assert_int_equal(decode(OTLP_PROTOBUF, OTLP_IDENTITY, buf_str(&request), NULL), 0);
	assert_int_equal(decode(OTLP_JSON, OTLP_IDENTITY, json, NULL), 0);
	compress_gzip(buf_str(&request), &packed);
	assert_int_equal(decode(OTLP_PROTOBUF, OTLP_GZIP, buf_str(&packed), NULL), 0);
	assert_int_equal(decode(OTLP_PROTOBUF, OTLP_ZSTD, buf_str(&packed), NULL), 400);
	/* what gzip wraps is raw deflate: header of 10 bytes, trailer of 8 */
	assert_int_equal(decode(OTLP_PROTOBUF, OTLP_DEFLATE,
				(struct str){ packed.data + 10, packed.len - 18 }, NULL),
			 0);
	packed.len--;
	assert_int_equal(decode(OTLP_PROTOBUF, OTLP_GZIP, buf_str(&packed), NULL), 400);
	buf_clear(&packed);
	zstd(json, &packed);
	assert_int_equal(decode(OTLP_JSON, OTLP_ZSTD, buf_str(&packed), NULL), 0);
	buf_clear(&packed);
	deflate(json, &packed);
	assert_int_equal(decode(OTLP_JSON, OTLP_DEFLATE, buf_str(&packed), NULL), 400);
	assert_int_equal(decode(OTLP_JSON, OTLP_IDENTITY, STR("{"), NULL), 400);
	assert_int_equal(decode(OTLP_PROTOBUF, OTLP_IDENTITY, STR("{}"), NULL), 400);
	buf_fini(&packed);
	buf_fini(&request);
}

static void bombs_are_413(void **state)
{
	int (*const packers[])(struct str, struct buf *) = { compress_gzip, zstd };
	const enum otlp_coding codings[] = { OTLP_GZIP, OTLP_ZSTD };
	const struct otlp_http_limits by_ratio = { .max_ratio = 10 },
				      by_size = { .max_body_bytes = 3000000 };
	struct str zeros = { calloc(1, 4000000), 4000000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(packers); i++) {
		struct buf packed = { 0 };

		packers[i](zeros, &packed);
		assert_int_equal(decode(OTLP_PROTOBUF, codings[i], buf_str(&packed), &by_ratio),
				 413);
		assert_int_equal(decode(OTLP_PROTOBUF, codings[i], buf_str(&packed), &by_size),
				 413);
		assert_int_equal(decode(OTLP_PROTOBUF, codings[i], buf_str(&packed), NULL),
				 i == 0 ? 400 : 413); /* zstd packs them a thousandfold */
		buf_fini(&packed);
	}
	free((char *)(uintptr_t)zeros.data);
}

static void every_refusal_has_an_http_status(void **state)
{
	static const unsigned wanted[GRPC_STATUS_COUNT] = { 200, 503, 500, 400, 503, 404,
							    500, 403, 413, 500, 503, 503,
							    404, 500, 503, 503, 401 };

	(void)state;
	for (unsigned i = 0; i < GRPC_STATUS_COUNT; i++) {
		struct grpc_error error = { .status = (enum grpc_status)i };

		assert_int_equal(otlp_http_status(error), wanted[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_say_what_the_body_is),
		cmocka_unit_test(traces_have_three_paths),
		cmocka_unit_test(bodies_come_in_every_coding),
		cmocka_unit_test(bombs_are_413),
		cmocka_unit_test(every_refusal_has_an_http_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
