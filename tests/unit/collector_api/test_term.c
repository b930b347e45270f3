/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/cli/term.h"

static void expect_text(bool utf8, const char *text, unsigned columns, const char *expected)
{
	struct term term = { .utf8 = utf8 };
	struct buf out;

	buf_init(&out, 0);
	term_text(&term, text, columns, true, &out);
	buf_append_byte(&out, '\0');
	assert_string_equal(out.data, expected);
	buf_fini(&out);
}

static void text_is_cut_and_padded_to_columns(void **state)
{
	(void)state;
	expect_text(false, "abc", 5, "abc  ");
	expect_text(false, "abcdef", 5, "abcd~");
	expect_text(true, "abcdef", 5, "abcd…");
	expect_text(false, "abc", 0, "");
	expect_text(true, "gr\xc3\xbc\xc3\x9f", 4, "grüß");
	expect_text(false, "gr\xc3\xbc\xc3\x9f", 4, "gr??");
}

static void no_byte_of_foreign_text_commands_the_terminal(void **state)
{
	(void)state;
	expect_text(true, "a\033[31mb", 8, "a?[31mb ");
	expect_text(true, "a\nb\tc\x7f", 6, "a?b?c?");
	expect_text(true,
		    "\xc2\x9b"
		    "31m",
		    4, "?31m"); /* C1 CSI */
	expect_text(true,
		    "a\xe2\x80\xae"
		    "b",
		    3, "a?b"); /* right-to-left override */
	expect_text(true, "\xff\xc3", 2, "\xef\xbf\xbd\xef\xbf\xbd");
}

static void durations_keep_three_digits(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0 ns" },
		{ 999, "999 ns" },
		{ 1000, "1.00 us" },
		{ 18440, "18.4 us" },
		{ 999960, "1.00 ms" },
		{ 612000000, "612 ms" },
		{ 1250000000, "1.25 s" },
		{ 99960000000, "100 s" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[16];

		term_duration(cases[i].ns, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void a_little_is_not_nothing(void **state)
{
	char text[16];

	(void)state;
	term_percent(1, 1000, text);
	assert_string_equal(text, "<1 %");
	term_percent(0, 1000, text);
	assert_string_equal(text, "0 %");
	term_percent(5, 0, text);
	assert_string_equal(text, "-");
	term_percent(2000, 1000, text);
	assert_string_equal(text, "200 %");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_cut_and_padded_to_columns),
		cmocka_unit_test(no_byte_of_foreign_text_commands_the_terminal),
		cmocka_unit_test(durations_keep_three_digits),
		cmocka_unit_test(a_little_is_not_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
