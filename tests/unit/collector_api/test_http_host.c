/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/http_host.h"

static void only_names_that_no_dns_server_gave_are_local(void **state)
{
	static const struct {
		const char *host;
		bool is_local;
	} cases[] = {
		{ "localhost", true },
		{ "LOCALHOST:7317", true },
		{ "127.0.0.1:7317", true },
		{ "127.0.0.1", true },
		{ "[::1]:7317", true },
		{ "[::1]", true },
		{ "", false },
		{ "evil.example:7317", false },
		{ "localhost.evil", false },
		{ "127.0.0.1.nip.io", false },
		{ "127.0.0.1:", false },
		{ "127.0.0.1:x", false },
		{ "::1", false },
		{ "localhost:123456", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(http_host_is_local(str_of(cases[i].host)), cases[i].is_local);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_names_that_no_dns_server_gave_are_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
