/* SPDX-License-Identifier: Apache-2.0 */
/* What a request may hold at most, and that what is beyond it takes nothing else along. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "otlp/otlp_attribute.h"
#include "tests/unit/otlp/otlp_bytes.h"

static struct buf nested_value(unsigned levels)
{
	struct buf value = { 0 };

	wire_put_uint(&value, 3, 1);
	while (levels--) {
		struct buf list = { 0 }, outer = { 0 };

		bytes_put_message(&list, 1, &value);
		bytes_put_message(&outer, 5, &list);
		value = outer;
	}
	return value;
}

static void values_nested_beyond_protobuf_reject_their_span(void **state)
{
	struct buf fine = bytes_span(SPAN_A, "fine"), deep = bytes_span(SPAN_A, "deep"), value;
	struct buf request;
	struct span_batch *batch;

	(void)state;
	value = nested_value(OTLP_MAX_NESTING);
	bytes_put_attribute(&fine, 9, "a", &value);
	request = bytes_request(&fine);
	assert_int_equal(bytes_decode(&request, NULL, &batch), 0);
	assert_int_equal(batch->span_count, 1);
	otlp_batch_free(batch);
	value = nested_value(OTLP_MAX_NESTING + 1);
	bytes_put_attribute(&deep, 9, "a", &value);
	request = bytes_request(&deep);
	assert_int_equal(bytes_decode(&request, NULL, &batch), 0);
	assert_int_equal(batch->span_count, 0);
	assert_int_equal(batch->rejected[SPAN_REJECTED_TOO_DEEP], 1);
	otlp_batch_free(batch);
	buf_fini(&request);
}

/* A request of two resources with a span each; the first, or its scope, has `count` attributes
 * nested so deep. */
static void put_group(struct buf *request, struct str span_id, unsigned count, unsigned levels,
		      bool in_scope)
{
	struct buf span = bytes_span(span_id, "x"), scope = { 0 }, scopes = { 0 }, resource = { 0 },
		   group = { 0 };

	while (count--) {
		struct buf value = nested_value(levels);

		bytes_put_attribute(in_scope ? &scope : &resource, in_scope ? 3 : 1, "a", &value);
	}
	bytes_put_message(&scopes, 2, &span);
	bytes_put_message(&scopes, 1, &scope); /* behind its spans */
	bytes_put_message(&group, 2, &scopes);
	bytes_put_message(&group, 1, &resource);
	bytes_put_message(request, 1, &group);
}

static void a_resource_or_scope_beyond_the_limits_rejects_its_spans_alone(void **state)
{
	struct otlp_limits limits = otlp_limits_default;
	struct span_batch *batch;

	(void)state;
	limits.max_attributes = 3;
	limits.max_nesting = 2;
	for (int i = 0; i < 4; i++) {
		bool in_scope = i % 2, too_deep = i / 2;
		struct buf request = { 0 };

		put_group(&request, SPAN_A, too_deep ? 1 : 4, too_deep ? 3 : 1, in_scope);
		put_group(&request, SPAN_B, 3, 2, in_scope);
		assert_int_equal(bytes_decode(&request, &limits, &batch), 0);
		assert_int_equal(batch->span_count, 1);
		assert_memory_equal(batch->spans[0].span_id, SPAN_B.data, SPAN_ID_BYTES);
		assert_int_equal(batch->rejected_count, 1);
		assert_int_equal(batch->rejected[too_deep ? SPAN_REJECTED_TOO_DEEP
							  : SPAN_REJECTED_TOO_LARGE],
				 1);
		assert_string_equal(batch->rejected_reason,
				    too_deep ? "attributes are nested deeper than is taken"
					     : "more attributes, events or links than are taken");
		otlp_batch_free(batch);
		buf_fini(&request);
	}
}

/* In the span, in one of its events, in one of its links. */
static void too_many_attributes_reject_their_span_wherever_they_stand(void **state)
{
	static const uint32_t owners[] = { 9, 11, 13 }, numbers[] = { 9, 3, 4 };
	struct otlp_limits limits = otlp_limits_default;
	struct span_batch *batch;

	(void)state;
	limits.max_attributes = 3;
	for (size_t i = 0; i < 2 * ARRAY_LEN(owners); i++) {
		struct buf span = bytes_span(SPAN_A, "x"), inner = { 0 }, request;
		bool is_own = owners[i / 2] == 9;

		for (size_t j = 0; j < 3 + i % 2; j++)
			bytes_put_text(is_own ? &span : &inner, numbers[i / 2], "k", "v");
		if (!is_own)
			bytes_put_message(&span, owners[i / 2], &inner);
		request = bytes_request(&span);
		assert_int_equal(bytes_decode(&request, &limits, &batch), 0);
		assert_int_equal(batch->rejected[SPAN_REJECTED_TOO_LARGE], i % 2);
		otlp_batch_free(batch);
		buf_fini(&request);
	}
}

static void limits_hold_to_the_last_one(void **state)
{
	struct otlp_limits limits = otlp_limits_default;
	struct buf span = bytes_span(SPAN_A, "one"), request = bytes_request(&span), twice = { 0 };
	struct span_batch *batch = NULL;

	(void)state;
	limits.max_spans = limits.max_resources = limits.max_scopes = 1;
	buf_append_str(&twice, buf_str(&request));
	buf_append_str(&twice, buf_str(&request));
	assert_int_equal(bytes_decode(&request, &limits, &batch), 0);
	otlp_batch_free(batch);
	batch = NULL;
	assert_int_equal(bytes_decode(&twice, &limits, &batch), -EMSGSIZE);
	assert_null(batch);
}

/* Much smaller ones than SDKs send, every second one with a bad id. */
static struct buf small_spans(uint32_t count)
{
	struct buf scope_spans = { 0 }, resource_spans = { 0 }, request = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		uint64_t id = i + 1;
		struct buf span = { 0 };

		wire_put_bytes(&span, 1, STR("0123456789abcdef"));
		wire_put_bytes(&span, 2, (struct str){ (const char *)&id, i % 2 ? 7 : 8 });
		bytes_put_message(&scope_spans, 2, &span);
	}
	bytes_put_message(&resource_spans, 2, &scope_spans);
	bytes_put_message(&request, 1, &resource_spans);
	return request;
}

static void small_spans_have_the_array_grow(void **state)
{
	const uint32_t count = 20001;
	struct buf request = small_spans(count);
	struct span_batch *batch;

	(void)state;
	assert_int_equal(bytes_decode(&request, NULL, &batch), 0);
	assert_int_equal(batch->span_count, count / 2 + 1);
	assert_int_equal(batch->rejected[SPAN_REJECTED_SPAN_ID_LENGTH], count / 2);
	assert_in_range(batch->spans_room, batch->span_count, batch->span_count * 9 / 8);
	for (uint32_t i = 0; i < batch->span_count; i++) {
		uint64_t id = 2 * i + 1;

		assert_memory_equal(batch->spans[i].span_id, &id, SPAN_ID_BYTES);
	}
	otlp_batch_free(batch);
}

/* Memory does not depend on them, but the time does. */
static void rejected_spans_count_against_the_limit(void **state)
{
	struct otlp_limits limits = otlp_limits_default;
	struct buf request = small_spans(100);
	struct span_batch *batch = NULL;

	(void)state;
	limits.max_spans = 100;
	assert_int_equal(bytes_decode(&request, &limits, &batch), 0);
	otlp_batch_free(batch);
	limits.max_spans = 99;
	request = small_spans(100);
	batch = NULL;
	assert_int_equal(bytes_decode(&request, &limits, &batch), -EMSGSIZE);
	assert_null(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_nested_beyond_protobuf_reject_their_span),
		cmocka_unit_test(a_resource_or_scope_beyond_the_limits_rejects_its_spans_alone),
		cmocka_unit_test(too_many_attributes_reject_their_span_wherever_they_stand),
		cmocka_unit_test(limits_hold_to_the_last_one),
		cmocka_unit_test(small_spans_have_the_array_grow),
		cmocka_unit_test(rejected_spans_count_against_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
