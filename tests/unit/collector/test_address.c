/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/address.h"
#include "collector/base/macros.h"

static void loopback_is_told_from_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(address_check("127.0.0.1:4317"), ADDRESS_LOOPBACK);
	assert_int_equal(address_check("127.9.9.9:0"), ADDRESS_LOOPBACK);
	assert_int_equal(address_check("[::1]:65535"), ADDRESS_LOOPBACK);
	assert_int_equal(address_check("localhost:4317"), ADDRESS_LOOPBACK);
	assert_int_equal(address_check("unix:/run/spanwise/otlp.sock"), ADDRESS_UNIX);
	assert_int_equal(address_check("unix:otlp.sock"), ADDRESS_INVALID);
	assert_int_equal(address_check("0.0.0.0:4317"), ADDRESS_ELSEWHERE);
	assert_int_equal(address_check("[::]:4317"), ADDRESS_ELSEWHERE);
	assert_int_equal(address_check("10.0.0.1:1"), ADDRESS_ELSEWHERE);
}

static void what_is_no_address_is_invalid(void **state)
{
	static const char *const bad[] = {
		"",
		":",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:65536",
		"127.0.0.1:-1",
		"127.0.0.1:1x",
		"[localhost]:4317",
		"localhost.example.org:4317",
		"::1:4317",
		"[::1]",
		"[]:1",
		"[127.0.0.1]:1",
		"127.0.0.1:000001",
		"[::1:4317",
		"]:1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(address_check(bad[i]), ADDRESS_INVALID);
}

static void what_is_parsed_is_formatted_the_same(void **state)
{
	static const char *const good[] = { "127.0.0.1:4317", "[::1]:0", "[fe80::1]:7317" };
	struct sockaddr_storage address;
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(address_parse(good[i], &address), 0);
		address_format(&address, text, sizeof(text));
		assert_string_equal(text, good[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loopback_is_told_from_elsewhere),
		cmocka_unit_test(what_is_no_address_is_invalid),
		cmocka_unit_test(what_is_parsed_is_formatted_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
