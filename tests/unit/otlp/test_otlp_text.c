/* SPDX-License-Identifier: Apache-2.0 */
/* What is mended in a request, what is not, and how the sender hears of it. */
#include "otlp/otlp_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "otlp/otlp_decode.h"
#include "otlp/otlp_response.h"
#include "tests/unit/otlp/otlp_bytes.h"

static void every_byte_that_is_no_character_becomes_one(void **state)
{
	static const char *const cases[][2] = {
		{ "plain", "plain" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", NULL }, /* stays */
		{ "a\xff"
		  "b",
		  "a?b" },
		{ "\xc3", "?" },
		{ "\xe2\x82", "??" },
		{ "\xe2\x82"
		  "x",
		  "??"
		  "x" },
		{ "\xc0\x80", "??" },           /* overlong */
		{ "\xe0\x9f\xbf", "???" },      /* overlong */
		{ "\xed\xa0\x80", "???" },      /* a surrogate */
		{ "\xf4\x90\x80\x80", "????" }, /* beyond Unicode */
		{ "\xf0\x8f\xbf\xbf"
		  "x",
		  "????"
		  "x" }, /* overlong */
		{ "12345678\x80", "12345678?" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *wanted = cases[i][1] ? cases[i][1] : cases[i][0];
		char *text = strdup(cases[i][0]);

		assert_int_equal(otlp_text_mend(str_of(text)), strcmp(wanted, cases[i][0]) != 0);
		assert_string_equal(text, wanted);
		free(text);
	}
}

static void ascii_is_seen_at_every_length(void **state)
{
	char text[40];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t len = 0; len <= sizeof(text); len++) {
		assert_true(otlp_text_is_ascii((struct str){ text, len }));
		for (size_t i = 0; i < len; i++) {
			text[i] = (char)0x80;
			assert_false(otlp_text_is_ascii((struct str){ text, len }));
			text[i] = 'x';
		}
	}
}

/* Texts in every place a span has for them, all of them "<TEXT>". */
static struct buf span_of_texts(const char *text)
{
	struct buf span = bytes_span(SPAN_A, text), event = { 0 }, link = { 0 }, status = { 0 },
		   list = { 0 }, value = { 0 }, entry = { 0 };

	wire_put_bytes(&span, 3, str_of(text));
	bytes_put_text(&span, 9, text, text);
	bytes_put_int(&span, 9, "large", INT64_MAX); /* its bytes are not ASCII either */
	wire_put_bytes(&value, 1, str_of(text));
	bytes_put_message(&entry, 1, &value);
	bytes_put_message(&list, 5, &entry);
	bytes_put_attribute(&span, 9, "list", &list);
	wire_put_fixed64(&event, 1, UINT64_MAX);
	wire_put_bytes(&event, 2, str_of(text));
	bytes_put_message(&span, 11, &event);
	bytes_put_ids(&link,
		      STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		      STR(""));
	bytes_put_text(&link, 4, "k", text);
	bytes_put_message(&span, 13, &link);
	wire_put_bytes(&status, 2, str_of(text));
	bytes_put_message(&span, 15, &status);
	wire_put_bytes(&value, 7, STR("\xff\xfe")); /* bytes, not text */
	bytes_put_attribute(&span, 9, "raw", &value);
	wire_put_bytes(&span, 99, STR("\xff")); /* unknown */
	return span;
}

static struct span_batch *decode(struct buf *request)
{
	struct span_batch *batch;

	assert_int_equal(otlp_decode(request->data, request->len, NULL, &batch), 0);
	return batch;
}

static void every_string_is_mended_and_nothing_else(void **state)
{
	struct buf bad = span_of_texts("\xff"), good = span_of_texts("?"), request;
	struct span_batch *batch;
	struct buf text = { 0 };

	(void)state;
	request = bytes_request(&bad);
	batch = decode(&request);
	assert_int_equal(batch->mended_count, 8);
	assert_int_equal(batch->rejected_count, 0);
	assert_true(str_eq(batch->spans[0].bytes, buf_str(&good)));
	assert_true(str_eq(batch->spans[0].name, STR("?")));
	otlp_response_complaints(batch, &text);
	assert_true(str_eq(buf_str(&text), STR("8 strings mended: not UTF-8, invalid bytes were "
					       "replaced by ?")));
	otlp_batch_free(batch);
	request = bytes_request(&good);
	batch = decode(&request);
	assert_int_equal(batch->mended_count, 0);
	otlp_batch_free(batch);
	buf_fini(&text);
}

static void resources_and_scopes_are_mended_too(void **state)
{
	struct buf span = bytes_span(SPAN_A, "x"), scope = { 0 }, scope_spans = { 0 },
		   resource = { 0 }, resource_spans = { 0 }, request = { 0 };
	struct span_batch *batch;

	(void)state;
	wire_put_bytes(&scope, 1, STR("lib\xff"));
	bytes_put_message(&scope_spans, 1, &scope);
	bytes_put_message(&scope_spans, 2, &span);
	wire_put_bytes(&scope_spans, 3, STR("\x80"));
	bytes_put_text(&resource, 1, "service.name", "caf\xe9");
	bytes_put_message(&resource_spans, 1, &resource);
	bytes_put_message(&resource_spans, 2, &scope_spans);
	wire_put_bytes(&resource_spans, 3, STR("u\xc3"));
	bytes_put_message(&request, 1, &resource_spans);
	batch = decode(&request);
	assert_int_equal(batch->mended_count, 4);
	assert_true(str_eq(batch->resources[0].service_name, STR("caf?")));
	assert_true(str_eq(batch->resources[0].schema_url, STR("u?")));
	assert_true(str_eq(batch->scopes[0].schema_url, STR("?")));
	otlp_batch_free(batch);
}

static struct buf linked_span(struct str trace_id, struct str span_id)
{
	struct buf span = bytes_span(SPAN_B, "x"), link = { 0 };

	bytes_put_ids(&link, trace_id, span_id);
	bytes_put_message(&span, 13, &link);
	return span;
}

static void a_link_of_bad_ids_rejects_its_span_alone(void **state)
{
	struct buf spans[] = { bytes_span(SPAN_A, "good"), linked_span(STR("short"), SPAN_A),
			       linked_span(TRACE_A, STR("123456789")),
			       linked_span(STR(""), STR("")) };
	struct buf scope_spans = { 0 }, resource_spans = { 0 }, request = { 0 }, text = { 0 };
	struct span_batch *batch;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spans); i++)
		bytes_put_message(&scope_spans, 2, &spans[i]);
	bytes_put_message(&resource_spans, 2, &scope_spans);
	bytes_put_message(&request, 1, &resource_spans);
	batch = decode(&request);
	assert_int_equal(batch->span_count, 2);
	assert_int_equal(batch->rejected_count, 2);
	assert_int_equal(batch->rejected[SPAN_REJECTED_LINK_ID_LENGTH], 2);
	otlp_response_stored(OTLP_JSON, batch, &text);
	assert_true(str_eq(buf_str(&text),
			   STR("{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":"
			       "\"2 spans rejected: an id of a link is neither empty nor of its "
			       "length (2)\"}}")));
	buf_clear(&text);
	batch->rejected_count = batch->rejected[SPAN_REJECTED_LINK_ID_LENGTH] = 0;
	otlp_response_stored(OTLP_PROTOBUF, batch, &text);
	assert_int_equal(text.len, 0); /* no partial_success when nothing was rejected */
	otlp_response_stored(OTLP_JSON, batch, &text);
	assert_true(str_eq(buf_str(&text), STR("{}")));
	otlp_batch_free(batch);
	buf_fini(&text);
}

static void a_span_of_too_many_members_is_rejected_alone(void **state)
{
	struct buf span = bytes_span(SPAN_A, "x"), request;
	struct span_batch *batch;

	(void)state;
	for (int i = 0; i <= (int)otlp_limits_default.max_attributes; i++)
		bytes_put_text(&span, 9, "k", "v");
	request = bytes_request(&span);
	batch = decode(&request);
	assert_int_equal(batch->rejected[SPAN_REJECTED_TOO_LARGE], 1);
	otlp_batch_free(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_that_is_no_character_becomes_one),
		cmocka_unit_test(ascii_is_seen_at_every_length),
		cmocka_unit_test(every_string_is_mended_and_nothing_else),
		cmocka_unit_test(resources_and_scopes_are_mended_too),
		cmocka_unit_test(a_link_of_bad_ids_rejects_its_span_alone),
		cmocka_unit_test(a_span_of_too_many_members_is_rejected_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
