/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_trailer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/nth_alloc.h"

static void assert_field(const struct grpc_trailer *trailer, size_t i, const char *name,
			 const char *value)
{
	assert_true(i < trailer->count);
	assert_string_equal(trailer->fields[i].name, name);
	assert_int_equal(trailer->fields[i].len, strlen(value));
	assert_memory_equal(trailer->text.data + trailer->fields[i].offset, value, strlen(value));
}

static void success_is_a_bare_zero(void **state)
{
	struct grpc_trailer trailer;

	(void)state;
	assert_int_equal(grpc_trailer_init(&trailer, GRPC_OK, "ignored", 5), 0);
	assert_int_equal(trailer.count, 1);
	assert_field(&trailer, 0, "grpc-status", "0");
	grpc_trailer_fini(&trailer);
}

static void an_error_has_its_message_encoded(void **state)
{
	struct grpc_trailer trailer;

	(void)state;
	assert_int_equal(grpc_trailer_init(&trailer, GRPC_INTERNAL, "~ 50%\t\xc3\xa9\x7f", 0), 0);
	assert_int_equal(trailer.count, 2);
	assert_field(&trailer, 0, "grpc-status", "13");
	assert_field(&trailer, 1, "grpc-message", "~ 50%25%09%C3%A9%7F");
	grpc_trailer_fini(&trailer);
}

static void an_empty_message_is_left_out(void **state)
{
	struct grpc_trailer trailer;

	(void)state;
	assert_int_equal(grpc_trailer_init(&trailer, GRPC_INTERNAL, "", 0), 0);
	assert_int_equal(trailer.count, 1);
	grpc_trailer_fini(&trailer);
	assert_int_equal(grpc_trailer_init(&trailer, GRPC_INTERNAL, NULL, 0), 0);
	assert_int_equal(trailer.count, 1);
	grpc_trailer_fini(&trailer);
}

static void a_long_message_is_cut_before_it_is_encoded(void **state)
{
	char text[3000];
	struct buf out = { 0 };

	(void)state;
	memset(text, '%', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	grpc_trailer_encode_message(text, &out);
	assert_int_equal(out.len, 3 * 1024);
	buf_fini(&out);
}

static void a_delay_is_said_twice(void **state)
{
	struct grpc_trailer trailer;

	(void)state;
	assert_int_equal(grpc_trailer_init(&trailer, GRPC_UNAVAILABLE, NULL, 250), 0);
	assert_int_equal(trailer.count, 3);
	assert_string_equal(trailer.fields[1].name, "grpc-status-details-bin");
	assert_field(&trailer, 2, "grpc-retry-pushback-ms", "250");
	grpc_trailer_fini(&trailer);
}

static void every_failed_allocation_is_told(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned n = 1; failed; n++) {
		struct grpc_trailer trailer;
		int rc;

		nth_alloc_arm(n);
		rc = grpc_trailer_init(&trailer, GRPC_UNAVAILABLE, "busy", 250);
		failed = nth_alloc_disarm();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		grpc_trailer_fini(&trailer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_is_a_bare_zero),
		cmocka_unit_test(an_error_has_its_message_encoded),
		cmocka_unit_test(an_empty_message_is_left_out),
		cmocka_unit_test(a_long_message_is_cut_before_it_is_encoded),
		cmocka_unit_test(a_delay_is_said_twice),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
