/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/export/forward_answer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "otlp/grpc_status.h"

#define BUSY    "CA4aMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAg" /* 2 s */
#define BUSY_MS 2000

static enum forward_verdict judge_http(int status, unsigned spans, bool packed)
{
	struct forward_answer answer;
	uint64_t rejected;

	forward_answer_init(&answer, false);
	answer.status = status;
	return forward_answer_judge(&answer, spans, packed, &rejected);
}

static void http_is_judged_by_its_status(void **state)
{
	(void)state;
	assert_int_equal(judge_http(200, 5, true), FORWARD_DONE);
	assert_int_equal(judge_http(202, 5, true), FORWARD_DONE);
	assert_int_equal(judge_http(-ECONNREFUSED, 5, true), FORWARD_AGAIN);
	assert_int_equal(judge_http(429, 5, true), FORWARD_AGAIN);
	assert_int_equal(judge_http(502, 5, true), FORWARD_AGAIN);
	assert_int_equal(judge_http(503, 5, true), FORWARD_AGAIN);
	assert_int_equal(judge_http(504, 5, true), FORWARD_AGAIN);
	assert_int_equal(judge_http(400, 5, true), FORWARD_REFUSED);
	assert_int_equal(judge_http(401, 5, true), FORWARD_REFUSED);
	assert_int_equal(judge_http(500, 5, true), FORWARD_REFUSED);
	assert_int_equal(judge_http(413, 5, true), FORWARD_SMALLER);
	assert_int_equal(judge_http(413, 1, true), FORWARD_REFUSED);
	assert_int_equal(judge_http(415, 1, true), FORWARD_PLAIN);
	assert_int_equal(judge_http(415, 1, false), FORWARD_REFUSED);
}

static enum forward_verdict judge_grpc(const char *status, const char *name, const char *value)
{
	struct forward_answer answer;
	enum forward_verdict verdict;
	uint64_t rejected;

	forward_answer_init(&answer, true);
	answer.status = 200;
	if (name)
		forward_answer_take(&answer, str_of(name), str_of(value));
	if (status)
		forward_answer_take(&answer, STR("grpc-status"), str_of(status));
	verdict = forward_answer_judge(&answer, 5, true, &rejected);
	forward_answer_fini(&answer);
	return verdict;
}

static void grpc_is_judged_by_its_status_and_details(void **state)
{
	static const char *const again[] = { "1", "4", "10", "11", "14", "15" };
	static const char *const refused[] = {
		"2", "3", "5", "7", "9", "12", "13", "16", "99", "x"
	};

	(void)state;
	assert_int_equal(judge_grpc("0", NULL, NULL), FORWARD_DONE);
	for (size_t i = 0; i < sizeof(again) / sizeof(*again); i++)
		assert_int_equal(judge_grpc(again[i], NULL, NULL), FORWARD_AGAIN);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_int_equal(judge_grpc(refused[i], NULL, NULL), FORWARD_REFUSED);
	assert_int_equal(judge_grpc("8", NULL, NULL), FORWARD_SMALLER);
	assert_int_equal(judge_grpc("8", "grpc-status-details-bin", BUSY), FORWARD_AGAIN);
	assert_int_equal(judge_grpc("12", "grpc-accept-encoding", "identity, gzip"),
			 FORWARD_REFUSED);
	assert_int_equal(judge_grpc("12", "grpc-accept-encoding", "identity"), FORWARD_PLAIN);
	assert_int_equal(judge_grpc(NULL, NULL, NULL), FORWARD_REFUSED); /* 200, and no gRPC */
}

static void a_proxy_that_is_busy_is_tried_again(void **state)
{
	struct forward_answer answer;
	uint64_t rejected;

	(void)state;
	forward_answer_init(&answer, true);
	answer.status = 503;
	assert_int_equal(forward_answer_judge(&answer, 5, true, &rejected), FORWARD_AGAIN);
}

static uint32_t delay_of(const char *name, const char *value)
{
	struct forward_answer answer;

	forward_answer_init(&answer, true);
	forward_answer_take(&answer, str_of(name), str_of(value));
	return answer.retry_after_ms;
}

static void delays_are_read_in_every_form(void **state)
{
	(void)state;
	assert_int_equal(delay_of("Retry-After", "3"), 3000);
	assert_int_equal(delay_of("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), 0);
	assert_int_equal(delay_of("retry-after", "-1"), 0);
	assert_int_equal(delay_of("retry-after", "9999999999"), INT32_MAX);
	assert_int_equal(delay_of("grpc-status-details-bin", BUSY), BUSY_MS);
	assert_int_equal(delay_of("grpc-status-details-bin", "!"), 0);
	assert_int_equal(delay_of("grpc-retry-pushback-ms", "250"), 250);
	assert_int_equal(delay_of("grpc-retry-pushback-ms", "-1"), 0);
}

static void rejected_spans_are_taken_from_the_body(void **state)
{
	struct forward_answer answer;
	uint64_t rejected;

	(void)state;
	forward_answer_init(&answer, false);
	answer.status = 200;
	answer.body = STR("\x0a\x02\x08\x03");
	assert_int_equal(forward_answer_judge(&answer, 5, true, &rejected), FORWARD_DONE);
	assert_int_equal(rejected, 3);
	assert_int_equal(forward_answer_judge(&answer, 2, true, &rejected), FORWARD_DONE);
	assert_int_equal(rejected, 2);
	forward_answer_init(&answer, true);
	answer.status = 200;
	forward_answer_take(&answer, STR("grpc-status"), STR("0"));
	answer.body = STR("\0\0\0\0\4\x0a\x02\x08\x03");
	assert_int_equal(forward_answer_judge(&answer, 5, true, &rejected), FORWARD_DONE);
	assert_int_equal(rejected, 3);
	answer.body = STR("\0\0\0\0\5\x0a\x02\x08\x03"); /* cut short: nothing is said */
	assert_int_equal(forward_answer_judge(&answer, 5, true, &rejected), FORWARD_DONE);
	assert_int_equal(rejected, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_is_judged_by_its_status),
		cmocka_unit_test(grpc_is_judged_by_its_status_and_details),
		cmocka_unit_test(a_proxy_that_is_busy_is_tried_again),
		cmocka_unit_test(delays_are_read_in_every_form),
		cmocka_unit_test(rejected_spans_are_taken_from_the_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
