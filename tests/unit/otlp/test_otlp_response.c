/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_bytes(struct buf *found, struct str wanted)
{
	assert_int_equal(found->len, wanted.len);
	if (wanted.len)
		assert_memory_equal(found->data, wanted.data, wanted.len);
	buf_fini(found);
}

static void full_success_is_the_empty_message(void **state)
{
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(otlp_response_export(0, NULL, &out), 0);
	assert_bytes(&out, STR(""));
}

static void rejected_spans_are_counted_with_a_reason(void **state)
{
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(otlp_response_export(300, "no id", &out), 0);
	assert_bytes(&out, STR("\x0a\x0a\x08\xac\x02\x12\x05no id"));
	assert_int_equal(otlp_response_export(0, "hm", &out), 0);
	assert_bytes(&out, STR("\x0a\x04\x12\x02hm"));
}

static void a_status_has_retry_info_only_with_a_delay(void **state)
{
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(otlp_response_status(GRPC_INVALID_ARGUMENT, "bad", 0, &out), 0);
	assert_bytes(&out, STR("\x08\x03\x12\x03"
			       "bad"));
	assert_int_equal(otlp_response_status(GRPC_UNAVAILABLE, NULL, 2000, &out), 0);
	assert_bytes(&out, STR("\x08\x0e\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo"
			       "\x12\x04\x0a\x02\x08\x02"));
}

static void what_others_answer_is_read(void **state)
{
	static const struct {
		uint32_t ms;
		uint32_t read_ms;
	} cases[] = { { 0, 0 }, { 1, 1 }, { 1500, 1500 }, { 60000, 60000 } };
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		buf_clear(&out);
		otlp_response_status(GRPC_UNAVAILABLE, "x", cases[i].ms, &out);
		assert_int_equal(otlp_response_retry_delay_ms(buf_str(&out)), cases[i].read_ms);
	}
	buf_clear(&out);
	otlp_response_export(7, "why", &out);
	assert_int_equal(otlp_response_rejected(buf_str(&out)), 7);
	assert_int_equal(otlp_response_rejected(STR("")), 0);
	assert_int_equal(otlp_response_rejected(STR("\x0a\x05\x08")), 0);
	assert_int_equal(
		otlp_response_rejected(STR("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
		0); /* -1 */
	assert_int_equal(otlp_response_retry_delay_ms(STR("\x1a\x7f")), 0);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_success_is_the_empty_message),
		cmocka_unit_test(rejected_spans_are_counted_with_a_reason),
		cmocka_unit_test(a_status_has_retry_info_only_with_a_delay),
		cmocka_unit_test(what_others_answer_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
