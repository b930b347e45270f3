/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct grpc_head_limits limits = { .max_bytes = 16384, .max_fields = 64 };
static const char *const methods[] = { "/a.b.Trace/Export", "/a.b.Trace/Import", NULL };

static struct grpc_head head_of(const char *method, const char *path, const char *content_type)
{
	struct grpc_head head = { 0 };

	grpc_head_add(&head, &limits, STR(":method"), str_of(method));
	grpc_head_add(&head, &limits, STR(":path"), str_of(path));
	if (content_type)
		grpc_head_add(&head, &limits, STR("content-type"), str_of(content_type));
	return head;
}

static enum grpc_status check_content(const char *content_type)
{
	struct grpc_head head = head_of("POST", methods[1], content_type);
	unsigned method = 99;
	struct grpc_error error = grpc_head_check(&head, methods, &method);

	assert_int_equal(method, error.status ? 99 : 1);
	assert_int_equal(error.http_status, error.status == GRPC_INVALID_ARGUMENT ? 415 : 0);
	return error.status;
}

static void content_types_of_grpc_are_taken(void **state)
{
	(void)state;
	assert_int_equal(check_content("application/grpc"), GRPC_OK);
	assert_int_equal(check_content("Application/GRPC+Proto"), GRPC_OK);
	assert_int_equal(check_content("application/grpc;charset=utf-8"), GRPC_OK);
	assert_int_equal(check_content("application/grpc+proto;x=y"), GRPC_OK);
	assert_int_equal(check_content("application/grpc+json"), GRPC_UNIMPLEMENTED);
	assert_int_equal(check_content("application/grpc+protocol"), GRPC_UNIMPLEMENTED);
	assert_int_equal(check_content("application/grpc-web"), GRPC_INVALID_ARGUMENT);
	assert_int_equal(check_content("application/x-protobuf"), GRPC_INVALID_ARGUMENT);
	assert_int_equal(check_content(NULL), GRPC_INVALID_ARGUMENT);
}

static void assert_path(const char *path, const char *text)
{
	struct grpc_head head = head_of("POST", path, "application/grpc");
	unsigned method;
	struct grpc_error error = grpc_head_check(&head, methods, &method);

	assert_int_equal(error.status, GRPC_UNIMPLEMENTED);
	assert_string_equal(error.text, text);
}

static void unknown_paths_are_named(void **state)
{
	char longer[400];

	(void)state;
	assert_path("/a.b.trace/Export", "unknown service a.b.trace");
	assert_path("/a.b.Trace/export", "unknown method export for service a.b.Trace");
	assert_path("/a.b.Trace/Export/", "unknown service a.b.Trace/Export");
	assert_path("/a.b.Trace/", "unknown method  for service a.b.Trace");
	assert_path("/", "malformed method name \"/\"");
	assert_path("", "malformed method name \"\"");
	assert_path("a/b", "malformed method name \"a/b\"");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	longer[0] = '/';
	longer[2] = '/';
	assert_path(longer, "unknown service x");
}

/* A path is cut off for its message, never for the comparison. */
static void a_cut_off_path_is_not_taken_for_a_known_one(void **state)
{
	char path[GRPC_HEAD_PATH_MAX + 2], known[GRPC_HEAD_PATH_MAX + 1];
	const char *const one[] = { known, NULL };
	struct grpc_head head;
	unsigned method;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	memcpy(known, path, sizeof(known) - 1);
	known[sizeof(known) - 1] = '\0';
	head = head_of("POST", path, "application/grpc");
	assert_int_equal(grpc_head_check(&head, one, &method).status, GRPC_UNIMPLEMENTED);
}

static uint64_t timeout_of(const char *text)
{
	struct grpc_head head = head_of("POST", methods[0], "application/grpc");
	unsigned method;

	grpc_head_add(&head, &limits, STR("grpc-timeout"), str_of(text));
	if (grpc_head_check(&head, methods, &method).status == GRPC_INTERNAL)
		return UINT64_MAX;
	return head.timeout_ms;
}

static void timeouts_are_read_in_every_unit(void **state)
{
	static const char *const bad[] = { "",   "S",   "10",   "123456789S", "-1S",
					   "1s", "1 S", "1.5S", "0x1S",       "1SS" };

	(void)state;
	assert_int_equal(timeout_of("2H"), 7200000);
	assert_int_equal(timeout_of("3M"), 180000);
	assert_int_equal(timeout_of("10S"), 10000);
	assert_int_equal(timeout_of("99999999m"), 99999999);
	assert_int_equal(timeout_of("1500u"), 2);
	assert_int_equal(timeout_of("1n"), 1);
	assert_int_equal(timeout_of("0S"), 1);
	assert_int_equal(timeout_of("99999999H"), 359999996400000ull);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(timeout_of(bad[i]), UINT64_MAX);
}

static void the_method_is_judged_first(void **state)
{
	struct grpc_head head = head_of("GET", "/nowhere", "text/html");
	unsigned method;
	struct grpc_error error = grpc_head_check(&head, methods, &method);

	(void)state;
	assert_int_equal(error.status, GRPC_INTERNAL);
	assert_int_equal(error.http_status, 405);
}

static void headers_are_counted_and_limited(void **state)
{
	struct grpc_head head = head_of("POST", methods[0], "application/grpc");
	unsigned added = 3;
	char value[1000] = { 0 };

	(void)state;
	for (; added < limits.max_fields; added++)
		assert_true(grpc_head_add(&head, &limits, STR("x"), STR("y")));
	assert_int_equal(grpc_head_check_size(&head, &limits).status, GRPC_OK);
	for (; added < 4 * limits.max_fields; added++)
		assert_true(grpc_head_add(&head, &limits, STR("x"), STR("y")));
	assert_int_equal(grpc_head_check_size(&head, &limits).status, GRPC_RESOURCE_EXHAUSTED);
	assert_false(grpc_head_add(&head, &limits, STR("x"), STR("y")));
	head = head_of("POST", methods[0], "application/grpc");
	for (added = 0; added < 63; added++)
		assert_true(grpc_head_add(&head, &limits, STR("x"), (struct str){ value, 1000 }));
	assert_false(grpc_head_add(&head, &limits, STR("x"), (struct str){ value, 1000 }));
}

static void trailers_count_and_say_nothing(void **state)
{
	struct grpc_head head = head_of("POST", methods[0], "application/grpc");
	size_t bytes = head.bytes;
	unsigned method;

	(void)state;
	grpc_head_end(&head);
	assert_true(grpc_head_add(&head, &limits, STR("grpc-encoding"), STR("snappy")));
	assert_true(grpc_head_add(&head, &limits, STR("grpc-timeout"), STR("x")));
	assert_int_equal(grpc_head_check(&head, methods, &method).status, GRPC_OK);
	assert_int_equal(grpc_head_check_encoding(&head).status, GRPC_OK);
	assert_true(head.bytes > bytes);
}

static void an_empty_encoding_is_none(void **state)
{
	struct grpc_head head = head_of("POST", methods[0], "application/grpc");

	(void)state;
	grpc_head_add(&head, &limits, STR("grpc-encoding"), STR(""));
	assert_int_equal(grpc_head_check_encoding(&head).status, GRPC_OK);
	assert_int_equal(head.encoding, OTLP_IDENTITY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_types_of_grpc_are_taken),
		cmocka_unit_test(unknown_paths_are_named),
		cmocka_unit_test(a_cut_off_path_is_not_taken_for_a_known_one),
		cmocka_unit_test(timeouts_are_read_in_every_unit),
		cmocka_unit_test(the_method_is_judged_first),
		cmocka_unit_test(headers_are_counted_and_limited),
		cmocka_unit_test(trailers_count_and_say_nothing),
		cmocka_unit_test(an_empty_encoding_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
