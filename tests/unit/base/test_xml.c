/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_becomes(const char *text, size_t bytes, const char *expected)
{
	struct buf out;

	buf_init(&out, 0);
	xml_put_text(&out, (struct str){ text, bytes });
	buf_append_byte(&out, '\0');
	assert_int_equal(buf_error(&out), 0);
	assert_string_equal(out.data, expected);
	buf_fini(&out);
}

#define ASSERT_BECOMES(text, expected) assert_becomes(text, sizeof(text) - 1, expected)

static void markup_is_escaped(void **state)
{
	(void)state;
	ASSERT_BECOMES("a<b>&\"c\"", "a&lt;b&gt;&amp;&quot;c&quot;");
}

static void utf8_stays(void **state)
{
	(void)state;
	ASSERT_BECOMES("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x8d",
		       "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x8d");
}

static void what_xml_cannot_say_is_marked(void **state)
{
	(void)state;
	ASSERT_BECOMES("a\x01\n\0b\x7f", "a???b?");
	ASSERT_BECOMES("\xff|\xc3|\xe2\x82", "?|?|??");
	ASSERT_BECOMES("\xc0\xbc|\xed\xa0\x80|\xef\xbf\xbf|\xf4\x90\x80\x80",
		       "??|???|???|????"); /* overlong, surrogate, no character, too large */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(markup_is_escaped),
		cmocka_unit_test(utf8_stays),
		cmocka_unit_test(what_xml_cannot_say_is_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
