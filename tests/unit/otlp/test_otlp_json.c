/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "otlp/otlp_attribute.h"
#include "tests/unit/otlp/otlp_bytes.h"

static void assert_json(const struct otlp_part *parts, size_t count, const char *text)
{
	struct buf out = { 0 };
	struct json json;

	json_init(&json, &out);
	otlp_json_traces(&json, NULL, parts, count);
	assert_int_equal(buf_error(&out), 0);
	assert_int_equal(json.depth, 0);
	buf_append_byte(&out, 0);
	assert_string_equal(out.data, text);
	buf_fini(&out);
}

/* The JSON of a span alone; `span` is emptied. */
static void assert_span(struct buf *span, const char *text)
{
	struct otlp_part part = { .span = buf_str(span) };
	struct buf wanted = { 0 };

	buf_printf(&wanted,
		   "{\"resourceSpans\":[{\"resource\":{},\"scopeSpans\":[{\"scope\":{},"
		   "\"spans\":[%s]}]}]}",
		   text);
	buf_append_byte(&wanted, 0);
	assert_json(&part, 1, wanted.data);
	buf_fini(&wanted);
	buf_fini(span);
}

/* The JSON of one AnyValue, which is emptied. */
static void assert_value(struct buf *value, const char *text)
{
	struct buf span = { 0 }, wanted = { 0 };

	bytes_put_attribute(&span, 9, "k", value);
	buf_printf(&wanted, "{\"attributes\":[{\"key\":\"k\",\"value\":%s}]}", text);
	buf_append_byte(&wanted, 0);
	assert_span(&span, wanted.data);
	buf_fini(&wanted);
}

static void every_field_of_a_span_is_written(void **state)
{
	struct buf span = bytes_span(SPAN_A, "GET \"x\""), event = { 0 }, link = { 0 },
		   status = { 0 };

	(void)state;
	wire_put_bytes(&span, 3, STR("a=b"));
	wire_put_bytes(&span, 4, SPAN_B);
	wire_put_uint(&span, 6, 3);
	bytes_put_text(&span, 9, "k", "v");
	wire_put_uint(&span, 10, 1);
	wire_put_fixed64(&event, 1, UINT64_MAX);
	wire_put_bytes(&event, 2, STR("e"));
	bytes_put_int(&event, 3, "n", -5);
	wire_put_uint(&event, 4, 2);
	bytes_put_message(&span, 11, &event);
	wire_put_uint(&span, 12, 3);
	bytes_put_ids(&link, TRACE_A, SPAN_B);
	wire_put_bytes(&link, 3, STR("c=d"));
	bytes_put_text(&link, 4, "l", "m");
	wire_put_uint(&link, 5, 4);
	bytes_put_fixed32(&link, 6, 1);
	bytes_put_message(&span, 13, &link);
	wire_put_uint(&span, 14, 5);
	wire_put_bytes(&status, 2, STR("why"));
	wire_put_uint(&status, 3, 2);
	bytes_put_message(&span, 15, &status);
	bytes_put_fixed32(&span, 16, 0xffffffff);
	wire_put_uint(&span, 1000, 1);
	assert_span(&span,
		    "{\"traceId\":\"0102030405060708090a0b0c0d0e0f10\","
		    "\"spanId\":\"1112131415161718\",\"traceState\":\"a=b\","
		    "\"parentSpanId\":\"2122232425262728\",\"name\":\"GET \\\"x\\\"\",\"kind\":3,"
		    "\"startTimeUnixNano\":\"1000\",\"endTimeUnixNano\":\"3000\","
		    "\"attributes\":[{\"key\":\"k\",\"value\":{\"stringValue\":\"v\"}}],"
		    "\"droppedAttributesCount\":1,"
		    "\"events\":[{\"timeUnixNano\":\"18446744073709551615\",\"name\":\"e\","
		    "\"attributes\":[{\"key\":\"n\",\"value\":{\"intValue\":\"-5\"}}],"
		    "\"droppedAttributesCount\":2}],\"droppedEventsCount\":3,"
		    "\"links\":[{\"traceId\":\"0102030405060708090a0b0c0d0e0f10\","
		    "\"spanId\":\"2122232425262728\",\"traceState\":\"c=d\","
		    "\"attributes\":[{\"key\":\"l\",\"value\":{\"stringValue\":\"m\"}}],"
		    "\"droppedAttributesCount\":4,\"flags\":1}],\"droppedLinksCount\":5,"
		    "\"status\":{\"message\":\"why\",\"code\":2},\"flags\":4294967295}");
}

static void resources_and_scopes_head_their_groups(void **state)
{
	struct buf resource = { 0 }, scope = { 0 }, entity = { 0 };
	struct otlp_part parts[3] = { 0 };

	(void)state;
	bytes_put_text(&resource, 1, "service.name", "report");
	wire_put_uint(&resource, 2, 1);
	wire_put_bytes(&entity, 2, STR("host"));
	wire_put_bytes(&entity, 3, STR("host.id"));
	wire_put_bytes(&entity, 3, STR("host.name"));
	bytes_put_message(&resource, 3, &entity);
	wire_put_bytes(&scope, 1, STR("lib"));
	wire_put_bytes(&scope, 2, STR("1.2"));
	parts[0] = (struct otlp_part){ .resource = buf_str(&resource),
				       .resource_schema_url = STR("http://r"),
				       .scope = buf_str(&scope),
				       .scope_schema_url = STR("http://s") };
	parts[1] = parts[0];
	parts[1].scope_schema_url = STR("");
	assert_json(parts, 3,
		    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
		    "\"value\":{\"stringValue\":\"report\"}}],\"droppedAttributesCount\":1,"
		    "\"entityRefs\":[{\"type\":\"host\",\"idKeys\":[\"host.id\",\"host.name\"]}]},"
		    "\"scopeSpans\":["
		    "{\"scope\":{\"name\":\"lib\",\"version\":\"1.2\"},\"spans\":[{}],"
		    "\"schemaUrl\":\"http://s\"},"
		    "{\"scope\":{\"name\":\"lib\",\"version\":\"1.2\"},\"spans\":[{}]}],"
		    "\"schemaUrl\":\"http://r\"},"
		    "{\"resource\":{},\"scopeSpans\":[{\"scope\":{},\"spans\":[{}]}]}]}");
	buf_fini(&resource);
	buf_fini(&scope);
}

static void put_double(struct buf *value, double number)
{
	uint64_t bits;

	memcpy(&bits, &number, sizeof(bits));
	wire_put_fixed64(value, OTLP_VALUE_DOUBLE, bits);
}

static void values_of_every_type_are_written(void **state)
{
	static const struct {
		double number;
		const char *text;
	} doubles[] = { { 0.1, "0.1" },
			{ 1e300, "1e+300" },
			{ 1.0 / 3, "0.3333333333333333" },
			{ -2.0, "-2" },
			{ (double)NAN, "\"NaN\"" },
			{ (double)INFINITY, "\"Infinity\"" },
			{ 5e-324, "4.94065645841247e-324" },
			{ -(double)INFINITY, "\"-Infinity\"" } };
	struct buf value = { 0 }, list = { 0 };
	char text[80];

	(void)state;
	wire_put_uint(&value, 2, 0);
	assert_value(&value, "{\"boolValue\":false}");
	wire_put_uint(&value, 3, (uint64_t)INT64_MIN);
	assert_value(&value, "{\"intValue\":\"-9223372036854775808\"}");
	wire_put_bytes(&value, 7, STR("\xff\xfe"));
	assert_value(&value, "{\"bytesValue\":\"//4=\"}");
	wire_put_bytes(&value, 1, STR("\xff"));
	assert_value(&value, "{\"stringValue\":\"\\ufffd\"}");
	assert_value(&value, "{}");
	wire_put_bytes(&value, 5, STR(""));
	assert_value(&value, "{\"arrayValue\":{\"values\":[]}}");
	wire_put_bytes(&list, 1, STR("\x10\x01"));
	wire_put_bytes(&list, 1, STR(""));
	bytes_put_message(&value, 5, &list);
	assert_value(&value, "{\"arrayValue\":{\"values\":[{\"boolValue\":true},{}]}}");
	bytes_put_text(&list, 1, "in", "side");
	bytes_put_message(&value, 6, &list);
	assert_value(&value, "{\"kvlistValue\":{\"values\":[{\"key\":\"in\",\"value\":"
			     "{\"stringValue\":\"side\"}}]}}");
	for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++) {
		put_double(&value, doubles[i].number);
		snprintf(text, sizeof(text), "{\"doubleValue\":%s}", doubles[i].text);
		assert_value(&value, text);
	}
}

static void pieces_of_a_message_are_merged_and_damage_ends_it(void **state)
{
	struct buf span = { 0 };

	(void)state;
	wire_put_bytes(&span, 15, STR("\x18\x02"));
	wire_put_bytes(&span, 15, STR("\x12\x03why"));
	wire_put_bytes(&span, 5, STR("old"));
	wire_put_bytes(&span, 5, STR("new"));
	buf_append_str(&span, STR("\x2a\x7f"));
	assert_span(&span, "{\"name\":\"new\",\"status\":{\"message\":\"why\",\"code\":2}}");
}

/* AnyValue{array [1]}, then {array [2]}: one array of two. What another member replaced is gone. */
static void pieces_of_an_array_are_merged(void **state)
{
	struct buf span = { 0 }, value = { 0 };

	(void)state;
	wire_put_bytes(&value, 6, STR("\x0a\0"));
	wire_put_bytes(&value, 5, STR("\x0a\2\x18\1"));
	wire_put_bytes(&value, 5, STR("\x0a\2\x18\2"));
	bytes_put_attribute(&span, 9, "k", &value);
	assert_span(&span, "{\"attributes\":[{\"key\":\"k\",\"value\":{\"arrayValue\":{\"values\":["
			   "{\"intValue\":\"1\"},{\"intValue\":\"2\"}]}}}]}");
}

static void enums_nobody_knows_keep_their_sign(void **state)
{
	struct buf span = { 0 };

	(void)state;
	wire_put_uint(&span, 6, (uint64_t)-1);
	assert_span(&span, "{\"kind\":-1}");
}

static void values_are_written_as_deep_as_they_are_taken(void **state)
{
	struct buf value = { 0 }, span = { 0 }, out = { 0 };
	struct otlp_part part;
	struct json json;
	size_t lists = 0;

	(void)state;
	for (int i = 0; i < 30; i++) {
		struct buf list = { 0 }, outer = { 0 };

		bytes_put_attribute(&list, 1, "k", &value);
		bytes_put_message(&outer, 6, &list);
		value = outer;
	}
	bytes_put_attribute(&span, 9, "k", &value);
	part = (struct otlp_part){ .span = buf_str(&span) };
	json_init(&json, &out);
	otlp_json_traces(&json, NULL, &part, 1);
	buf_append_byte(&out, 0);
	for (const char *at = out.data; (at = strstr(at, "kvlistValue")); at++)
		lists++;
	assert_int_equal(lists, 30);
	assert_null(strstr(out.data, "\"values\":[]"));
	buf_fini(&out);
	buf_fini(&span);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_of_a_span_is_written),
		cmocka_unit_test(resources_and_scopes_head_their_groups),
		cmocka_unit_test(values_of_every_type_are_written),
		cmocka_unit_test(pieces_of_a_message_are_merged_and_damage_ends_it),
		cmocka_unit_test(pieces_of_an_array_are_merged),
		cmocka_unit_test(enums_nobody_knows_keep_their_sign),
		cmocka_unit_test(values_are_written_as_deep_as_they_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
