/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_json_decode.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collector/base/json_scan.h"
#include "collector/base/macros.h"
#include "otlp/otlp_json.h"
#include "tests/lib/nth_alloc.h"

#define IDS        "\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"1112131415161718\""
#define LONE(span) "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[" span "]}]}]}"

/* The batch back as OTLP JSON, which puts every form of a value into one. */
static void write_back(const struct span_batch *batch, struct buf *out)
{
	struct otlp_part parts[8];
	struct json json;

	assert_true(batch->span_count <= ARRAY_LEN(parts));
	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct span *span = &batch->spans[i];
		const struct span_resource *resource = &batch->resources[span->resource];
		const struct span_scope *scope = &batch->scopes[span->scope];

		parts[i] = (struct otlp_part){ resource->bytes, resource->schema_url, scope->bytes,
					       scope->schema_url, span->bytes };
	}
	json_init(&json, out);
	otlp_json_traces(&json, NULL, parts, batch->span_count);
	buf_append_byte(out, 0);
}

static void assert_reads_as(const char *text, const char *wanted)
{
	struct buf out = { 0 }, problem = { 0 };
	struct span_batch *batch;

	assert_int_equal(otlp_json_decode(str_of(text), 0, NULL, &batch, &problem), 0);
	write_back(batch, &out);
	assert_string_equal(out.data, wanted);
	otlp_batch_free(batch);
	buf_fini(&out);
	buf_fini(&problem);
}

/* `member` is one attribute's value; `wanted` what becomes of it. */
static void assert_value(const char *value, const char *wanted)
{
	struct buf text = { 0 }, back = { 0 };

	buf_printf(&text, LONE("{" IDS ",\"attributes\":[{\"key\":\"k\",\"value\":%s}]}") "%c",
		   value, 0);
	buf_printf(&back,
		   "{\"resourceSpans\":[{\"resource\":{},\"scopeSpans\":[{\"scope\":{},\"spans\":"
		   "[{" IDS ",\"attributes\":[{\"key\":\"k\",\"value\":%s}]}]}]}]}%c",
		   wanted, 0);
	assert_reads_as(text.data, back.data);
	buf_fini(&text);
	buf_fini(&back);
}

static void assert_bad(const char *text, const char *problem)
{
	struct buf found = { 0 };
	struct span_batch *batch;

	assert_int_equal(otlp_json_decode(str_of(text), 0, NULL, &batch, &found), -EBADMSG);
	buf_append_byte(&found, 0);
	if (strcmp(found.data, problem) != 0)
		print_error("%s\n", text);
	assert_string_equal(found.data, problem);
	buf_fini(&found);
}

static void every_field_comes_back(void **state)
{
	static const char text[] =
		"{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
		"\"value\":{\"stringValue\":\"shop\"}}],\"droppedAttributesCount\":1,"
		"\"entityRefs\":[{\"schemaUrl\":\"u\",\"type\":\"service\",\"idKeys\":[\"a\",\"b\"]"
		","
		"\"descriptionKeys\":[\"c\"]}]},\"scopeSpans\":[{\"scope\":{\"name\":\"lib\","
		"\"version\":\"1\",\"attributes\":[{\"key\":\"x\",\"value\":{\"boolValue\":true}}],"
		"\"droppedAttributesCount\":2},\"spans\":[{" IDS
		",\"traceState\":\"a=b\",\"parentSpanId\":\"2122232425262728\",\"name\":\"GET\","
		"\"kind\":2,\"startTimeUnixNano\":\"1700000000000000001\","
		"\"endTimeUnixNano\":\"18446744073709551615\",\"attributes\":[{\"key\":\"k\","
		"\"value\":{\"intValue\":\"-9223372036854775808\"}}],\"droppedAttributesCount\":3,"
		"\"events\":[{\"timeUnixNano\":\"7\",\"name\":\"e\",\"attributes\":[{\"key\":\"y\","
		"\"value\":{\"doubleValue\":0.1}}],\"droppedAttributesCount\":4}],"
		"\"droppedEventsCount\":5,\"links\":[{\"traceId\":"
		"\"0102030405060708090a0b0c0d0e0f11\",\"spanId\":\"1112131415161719\","
		"\"traceState\":\"c=d\",\"attributes\":[{\"key\":\"z\",\"value\":{\"bytesValue\":"
		"\"/+8=\"}}],\"droppedAttributesCount\":6,\"flags\":257}],\"droppedLinksCount\":7,"
		"\"status\":{\"message\":\"m\",\"code\":2},\"flags\":769}],\"schemaUrl\":\"v\"}],"
		"\"schemaUrl\":\"w\"}]}";
	struct span_batch *batch;

	(void)state;
	assert_reads_as(text, text);
	assert_int_equal(otlp_json_decode(STR(text), 0, NULL, &batch, NULL), 0);
	assert_int_equal(batch->span_count, 1);
	assert_true(str_eq(batch->resources[0].service_name, STR("shop")));
	assert_int_equal(batch->spans[0].start_unix_ns, 1700000000000000001);
	assert_int_equal(batch->spans[0].status, SPAN_STATUS_ERROR);
	otlp_batch_free(batch);
}

static void values_are_read_in_every_spelling(void **state)
{
	static const char *const same[][2] = {
		{ "{\"intValue\":5}", "{\"intValue\":\"5\"}" },
		{ "{\"intValue\":-5.0}", "{\"intValue\":\"-5\"}" },
		{ "{\"intValue\":1e3}", "{\"intValue\":\"1000\"}" },
		{ "{\"intValue\":\"12.5e1\"}", "{\"intValue\":\"125\"}" },
		{ "{\"intValue\":9007199254740993}", "{\"intValue\":\"9007199254740993\"}" },
		{ "{\"intValue\":0e999999999999}", "{\"intValue\":\"0\"}" },
		{ "{\"intValue\":1e21}", "{\"doubleValue\":1e+21}" },
		{ "{\"intValue\":9223372036854775808}", "{\"doubleValue\":9.223372036854776e+18}" },
		{ "{\"intValue\":-9223372036854775808}",
		  "{\"intValue\":\"-9223372036854775808\"}" },
		{ "{\"doubleValue\":3}", "{\"doubleValue\":3}" },
		{ "{\"doubleValue\":\"1.5e300\"}", "{\"doubleValue\":1.5e+300}" },
		{ "{\"doubleValue\":-0.0}", "{\"doubleValue\":-0.0}" },
		{ "{\"doubleValue\":\"NaN\"}", "{\"doubleValue\":\"NaN\"}" },
		{ "{\"doubleValue\":\"-Infinity\"}", "{\"doubleValue\":\"-Infinity\"}" },
		{ "{\"doubleValue\":null}", "{}" }, /* how JavaScript writes NaN */
		{ "{\"bytesValue\":\"_-8\"}", "{\"bytesValue\":\"/+8=\"}" },
		{ "{\"bytesValue\":\"/+8=\"}", "{\"bytesValue\":\"/+8=\"}" },
		{ "{\"bytesValue\":\"\"}", "{\"bytesValue\":\"\"}" },
		{ "{\"stringValue\":\"\"}", "{\"stringValue\":\"\"}" },
		{ "{\"stringValue\":\"\\u0041\\ud83d\\ude00\\n\\/\"}",
		  "{\"stringValue\":\"A\xf0\x9f\x98\x80\\n/\"}" },
		{ "{\"stringValue\":\"\\ud83d!\"}", "{\"stringValue\":\"\xef\xbf\xbd!\"}" },
		{ "{\"string_value\":\"x\",\"novel\":[{\"a\":[1,2,{}]},null]}", "{}" },
		{ "{}", "{}" },
		{ "{\"arrayValue\":{\"values\":[null,{\"intValue\":1},{}]}}",
		  "{\"arrayValue\":{\"values\":[{},{\"intValue\":\"1\"},{}]}}" },
		{ "{\"arrayValue\":{}}", "{\"arrayValue\":{\"values\":[]}}" },
		{ "{\"kvlistValue\":{\"values\":[{\"key\":\"a\",\"value\":{\"boolValue\":false}}]}"
		  "}",
		  "{\"kvlistValue\":{\"values\":[{\"key\":\"a\",\"value\":{\"boolValue\":false}}]}"
		  "}" },
		{ "{\"arrayValue\":{\"values\":[{\"intValue\":1}]},\"stringValue\":\"last\"}",
		  "{\"stringValue\":\"last\"}" },
		{ "{\"arrayValue\":{\"values\":[{}]},\"arrayValue\":{\"values\":[{},{}]}}",
		  "{\"arrayValue\":{\"values\":[{},{}]}}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_value(same[i][0], same[i][1]);
}

#define FIRST_SPAN "{\"resourceSpans\":[{\"resource\":{},\"scopeSpans\":[{\"scope\":{},\"spans\":["

static void spans_are_read_as_clients_write_them(void **state)
{
	(void)state;
	assert_reads_as(LONE("{\"kind\":\"SPAN_KIND_CLIENT\",\"status\":{\"code\":"
			     "\"STATUS_CODE_OK\"}," IDS "}"),
			FIRST_SPAN "{" IDS ",\"kind\":3,\"status\":{\"code\":1}}]}]}]}");
	/* upper case, null members, whole doubles, a member that comes twice, unknown ones */
	assert_reads_as(LONE("{\"traceId\":\"0102030405060708090A0B0C0D0E0F10\",\"spanId\":"
			     "\"1112131415161718\",\"trace_id\":\"00\",\"parentSpanId\":\"\","
			     "\"attributes\":null,\"events\":null,\"status\":null,\"name\":\"a\","
			     "\"startTimeUnixNano\":1e3,\"flags\":\"1\",\"name\":\"b\","
			     "\"x\":{\"y\":[]}}"),
			FIRST_SPAN "{" IDS ",\"parentSpanId\":\"\",\"name\":\"b\","
				   "\"startTimeUnixNano\":\"1000\",\"flags\":1}]}]}]}");
	assert_reads_as(LONE("{\"links\":[{}]," IDS ",\"name\":\"\",\"links\":[{\"flags\":1},{}],"
			     "\"kind\":1,\"links\":[null]}"),
			FIRST_SPAN "{" IDS ",\"name\":\"\",\"kind\":1}]}]}]}");
	assert_reads_as(LONE("{" IDS ",\"attributes\":[{\"key\":\"k\",\"value\":null},null]}"),
			FIRST_SPAN "{" IDS ",\"attributes\":[{\"key\":\"k\"}]}]}]}]}");
	assert_reads_as(" { } ", "{\"resourceSpans\":[]}");
	assert_reads_as("{\"resourceSpans\":null}", "{\"resourceSpans\":[]}");
}

static void a_bad_id_rejects_its_span_alone(void **state)
{
	static const char *const bad[] = {
		"{\"traceId\":\"xx\",\"spanId\":\"1112131415161718\"}",
		"{\"traceId\":\"0102030405060708090a0b0c0d0e0f1\",\"spanId\":\"1112131415161718\"}",
		"{\"traceId\":\"0102030405060708090a0b0c0d0e0f1011\",\"spanId\":\"11\"}",
		"{" IDS ",\"parentSpanId\":\"AAECAwQFBgc=\"}",
		"{}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct span_batch *batch;
		struct buf text = { 0 };

		buf_printf(&text, LONE("%s,{" IDS "}"), bad[i]);
		assert_int_equal(otlp_json_decode(buf_str(&text), 0, NULL, &batch, NULL), 0);
		assert_int_equal(batch->span_count, 1);
		assert_int_equal(batch->rejected_count, 1);
		otlp_batch_free(batch);
		buf_fini(&text);
	}
}

static void what_is_not_otlp_json_is_refused_with_its_place(void **state)
{
	(void)state;
	assert_bad("", "expected an object at byte 0");
	assert_bad("\xef\xbb\xbf{}", "expected an object at byte 0");
	assert_bad("[]", "expected an object at byte 0");
	assert_bad("{} {}", "something follows behind the value at byte 3");
	assert_bad("{}x", "something follows behind the value at byte 2");
	assert_bad("{", "expected a string at byte 1");
	assert_bad("{\"a\":1,}", "expected a string at byte 7");
	assert_bad("{\"a\" 1}", "expected : at byte 5");
	assert_bad("{\"a\":01}", "expected a number at byte 5");
	assert_bad("{\"a\":tru}", "expected true or false at byte 5");
	assert_bad("{\"a\":'x'}", "expected a value at byte 5");
	assert_bad("{\"a\":\"\n\"}", "a control character in a string at byte 6");
	assert_bad("{\"a\":\"\\x\"}", "unknown escape in a string at byte 7");
	assert_bad("{\"a\":\"\\u12g4\"}", "expected four hex digits at byte 8");
	assert_bad("{\"a\":\"x", "a string does not end at byte 7");
	assert_bad("{\"a\":[1 2]}", "expected , or ] at byte 8");
	assert_bad("{\"resourceSpans\":{}}", "expected an array at byte 17");
	assert_bad("{\"resourceSpans\":[[]]}", "expected an object at byte 18");
	assert_bad(LONE("{\"name\":1}"), "expected a string at byte 51");
	assert_bad(LONE("{\"kind\":\"client\"}"), "expected the number of an enum at byte 59");
	assert_bad(LONE("{\"flags\":-1}"),
		   "expected a whole number in range, not negative at byte 54");
	assert_bad(LONE("{\"droppedLinksCount\":4294967296}"),
		   "expected a whole number in range, not negative at byte 74");
	assert_bad(LONE("{\"endTimeUnixNano\":1.5}"),
		   "expected a whole number in range, not negative at byte 65");
	assert_bad(LONE("{\"attributes\":[{\"value\":{\"intValue\":1.5}}]}"),
		   "expected a whole number at byte 82");
	assert_bad(LONE("{\"attributes\":[{\"value\":{\"doubleValue\":1e999}}]}"),
		   "expected a number, NaN, Infinity or -Infinity at byte 87");
	assert_bad(LONE("{\"attributes\":[{\"value\":{\"boolValue\":\"true\"}}]}"),
		   "expected true or false at byte 80");
	assert_bad(LONE("{\"attributes\":[{\"value\":{\"bytesValue\":\"a\"}}]}"),
		   "expected base64 at byte 84");
}

/* `count` times `piece`, in both directions. */
static struct buf nest(const char *open, const char *close, unsigned count)
{
	struct buf text = { 0 };

	buf_append_text(&text, "{\"a\":");
	for (unsigned i = 0; i < count; i++)
		buf_append_text(&text, open);
	buf_append_byte(&text, '0');
	for (unsigned i = 0; i < count; i++)
		buf_append_text(&text, close);
	buf_append_text(&text, "}");
	buf_append_byte(&text, 0);
	return text;
}

static void nesting_is_limited_in_what_is_known_and_what_is_not(void **state)
{
	struct buf text = nest("[", "]", JSON_SCAN_MAX_DEPTH - 1);

	(void)state;
	assert_reads_as(text.data, "{\"resourceSpans\":[]}");
	buf_fini(&text);
	text = nest("{\"a\":", "}", JSON_SCAN_MAX_DEPTH);
	assert_int_equal(otlp_json_to_protobuf(str_of(text.data), &(struct buf){ 0 }, NULL),
			 -EBADMSG);
	buf_fini(&text);
}

static void however_often_a_member_comes_the_last_counts(void **state)
{
	struct buf text = { 0 };
	struct span_batch *batch;

	(void)state;
	buf_append_text(&text, "{\"resourceSpans\":[{}]");
	for (int i = 0; i < 100000; i++)
		buf_append_text(&text, ",\"resourceSpans\":[{},{}]");
	buf_append_text(&text, ",\"resourceSpans\":[{},{},{}]}");
	assert_int_equal(otlp_json_decode(buf_str(&text), 0, NULL, &batch, NULL), 0);
	assert_int_equal(batch->resource_count, 3);
	otlp_batch_free(batch);
	buf_fini(&text);
}

static void half_a_surrogate_pair_is_mended_and_counted(void **state)
{
	struct span_batch *batch;

	(void)state;
	assert_int_equal(otlp_json_decode(STR(LONE("{" IDS ",\"name\":\"\\ud83d\\ude00\"}")), 0,
					  NULL, &batch, NULL),
			 0);
	assert_int_equal(batch->mended_count, 0);
	otlp_batch_free(batch);
	assert_int_equal(otlp_json_decode(STR(LONE("{" IDS ",\"name\":\"\\ude00\\ud83d\"}")), 0,
					  NULL, &batch, NULL),
			 0);
	assert_int_equal(batch->mended_count, 1);
	otlp_batch_free(batch);
}

static void limits_and_memory_are_reported(void **state)
{
	const struct str text = STR(LONE("{" IDS ",\"name\":\"\\u0041 name\"}"));
	struct span_batch *batch = NULL;
	bool failed = true;
	unsigned n = 0;

	(void)state;
	assert_int_equal(otlp_json_decode(text, 20, NULL, &batch, NULL), -EMSGSIZE);
	while (failed) {
		int rc;

		nth_alloc_arm(++n);
		rc = otlp_json_decode(text, 0, NULL, &batch, NULL);
		failed = nth_alloc_disarm();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
	}
	assert_true(n > 3);
	otlp_batch_free(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(values_are_read_in_every_spelling),
		cmocka_unit_test(spans_are_read_as_clients_write_them),
		cmocka_unit_test(a_bad_id_rejects_its_span_alone),
		cmocka_unit_test(what_is_not_otlp_json_is_refused_with_its_place),
		cmocka_unit_test(nesting_is_limited_in_what_is_known_and_what_is_not),
		cmocka_unit_test(however_often_a_member_comes_the_last_counts),
		cmocka_unit_test(half_a_surrogate_pair_is_mended_and_counted),
		cmocka_unit_test(limits_and_memory_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
