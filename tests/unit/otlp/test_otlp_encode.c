/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_encode.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "otlp/otlp_decode.h"
#include "tests/unit/otlp/otlp_bytes.h"

#define SPANS 200

/* Encodes `parts`, decodes that again. */
static struct span_batch *round_trip(const struct otlp_part *parts, size_t count)
{
	struct span_batch *batch = NULL;
	struct buf out = { 0 };

	assert_int_equal(otlp_encode_traces(parts, count, &out), 0);
	assert_int_equal(otlp_decode(out.data, out.len, NULL, &batch), 0);
	return batch;
}

static void spans_come_back_byte_for_byte_with_unknown_fields(void **state)
{
	struct buf span = bytes_span(SPAN_A, "name");
	struct otlp_part part = { .resource = STR("\xc2\x3e\x03"
						  "abc"),
				  .resource_schema_url = STR("http://r"),
				  .scope = STR("\x0a\x01s\xc2\x3e\x01x"),
				  .scope_schema_url = STR("http://s") };
	struct span_batch *batch;

	(void)state;
	wire_put_bytes(&span, 1000, STR("from the future"));
	part.span = buf_str(&span);
	batch = round_trip(&part, 1);
	assert_int_equal(batch->span_count, 1);
	assert_true(str_eq(batch->spans[0].bytes, part.span));
	assert_true(str_eq(batch->resources[0].bytes, part.resource));
	assert_true(str_eq(batch->resources[0].schema_url, part.resource_schema_url));
	assert_true(str_eq(batch->scopes[0].bytes, part.scope));
	assert_true(str_eq(batch->scopes[0].schema_url, part.scope_schema_url));
	otlp_batch_free(batch);
	buf_fini(&span);
}

/* Random runs of equal resources and scopes: every span must find its own again. */
static void parts_are_grouped_and_none_is_lost(void **state)
{
	const struct str texts[] = { STR("\x0a\x03\x0a\x01r"), STR("\x10\x01"), STR("") };
	struct otlp_part parts[SPANS] = { 0 };
	struct buf spans[SPANS];
	struct span_batch *batch;
	unsigned random = 1;

	(void)state;
	for (size_t i = 0; i < SPANS; i++) {
		random = random * 1103515245 + 12345;
		spans[i] = bytes_span(SPAN_A, i % 7 ? "short" : "a much longer name of a span");
		wire_put_uint(&spans[i], 1000, i);
		parts[i].span = buf_str(&spans[i]);
		parts[i].resource = texts[i / 40 % 3];
		parts[i].scope = (random >> 20) & 1 ? texts[1] : texts[2];
		parts[i].scope_schema_url = (random >> 21) & 1 ? STR("u") : STR("");
	}
	batch = round_trip(parts, SPANS);
	assert_int_equal(batch->span_count, SPANS);
	assert_int_equal(batch->resource_count, 5);
	assert_in_range(batch->scope_count, 20, SPANS - 20);
	for (size_t i = 0; i < SPANS; i++) {
		const struct span_resource *resource = &batch->resources[batch->spans[i].resource];
		const struct span_scope *scope = &batch->scopes[batch->spans[i].scope];

		assert_true(str_eq(resource->bytes, parts[i].resource));
		assert_true(str_eq(batch->spans[i].bytes, parts[i].span));
		assert_true(str_eq(scope->bytes, parts[i].scope));
		assert_true(str_eq(scope->schema_url, parts[i].scope_schema_url));
		buf_fini(&spans[i]);
	}
	otlp_batch_free(batch);
}

static void nothing_encodes_to_nothing(void **state)
{
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(otlp_encode_traces(NULL, 0, &out), 0);
	assert_int_equal(out.len, 0);
}

static void the_limit_of_the_buffer_is_told(void **state)
{
	struct otlp_part part = { .span = STR("\x2a\x04name") };
	struct buf out;

	(void)state;
	buf_init(&out, 5);
	assert_int_equal(otlp_encode_traces(&part, 1, &out), -EMSGSIZE);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_come_back_byte_for_byte_with_unknown_fields),
		cmocka_unit_test(parts_are_grouped_and_none_is_lost),
		cmocka_unit_test(nothing_encodes_to_nothing),
		cmocka_unit_test(the_limit_of_the_buffer_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
