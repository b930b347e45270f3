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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_success_is_the_empty_message),
		cmocka_unit_test(rejected_spans_are_counted_with_a_reason),
		cmocka_unit_test(a_status_has_retry_info_only_with_a_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
