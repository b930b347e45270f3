/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_base64(struct str bytes, bool pad, const char *text)
{
	struct buf out = { 0 };

	base64_encode(bytes, pad, &out);
	buf_append_byte(&out, 0);
	assert_string_equal(out.data, text);
	buf_fini(&out);
}

static void rfc_4648_section_10_holds(void **state)
{
	(void)state;
	assert_base64(STR(""), true, "");
	assert_base64(STR("f"), true, "Zg==");
	assert_base64(STR("fo"), true, "Zm8=");
	assert_base64(STR("foo"), true, "Zm9v");
	assert_base64(STR("foob"), true, "Zm9vYg==");
	assert_base64(STR("fooba"), true, "Zm9vYmE=");
	assert_base64(STR("foobar"), true, "Zm9vYmFy");
	assert_base64(STR("\xfb\xff\xfe"), true, "+//+");
}

static void padding_can_be_left_out(void **state)
{
	(void)state;
	assert_base64(STR("f"), false, "Zg");
	assert_base64(STR("fo"), false, "Zm8");
	assert_base64(STR("foo"), false, "Zm9v");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_4648_section_10_holds),
		cmocka_unit_test(padding_can_be_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
