/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void every_byte_comes_back_from_either_case(void **state)
{
	uint8_t bytes[256], again[256];
	char text[513];

	(void)state;
	for (int i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	hex_encode(bytes, 256, text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text + 2 * 0xab, "ab", 2);
	assert_true(hex_decode(str_of(text), again, 256));
	assert_memory_equal(again, bytes, 256);
	for (char *at = text; *at; at++)
		*at = *at >= 'a' ? (char)(*at - 'a' + 'A') : *at;
	assert_true(hex_decode(str_of(text), again, 256));
	assert_memory_equal(again, bytes, 256);
}

static void only_digits_of_the_right_number_are_read(void **state)
{
	uint8_t bytes[2];

	(void)state;
	assert_true(hex_decode(STR("00fF"), bytes, 2));
	assert_false(hex_decode(STR("00f"), bytes, 2));
	assert_false(hex_decode(STR("00ff0"), bytes, 2));
	assert_false(hex_decode(STR("00fg"), bytes, 2));
	assert_false(hex_decode(STR("0x12"), bytes, 2));
	assert_false(hex_decode(STR(" 1ff"), bytes, 2));
	assert_true(hex_decode(STR(""), bytes, 0));
}

static void zero_is_seen_whole(void **state)
{
	const uint8_t bytes[9] = { [8] = 1 };

	(void)state;
	assert_true(hex_is_zero(bytes, 8));
	assert_false(hex_is_zero(bytes, 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_comes_back_from_either_case),
		cmocka_unit_test(only_digits_of_the_right_number_are_read),
		cmocka_unit_test(zero_is_seen_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
