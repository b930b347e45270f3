/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "collector/cli/story_code.h"

static void assert_told(const char *code, const char *text)
{
	const struct term plain = { .utf8 = true };
	struct json_value *entries;
	struct buf out;

	assert_int_equal(json_read(str_of(code), &entries, NULL), 0);
	buf_init(&out, 0);
	story_put_code(&plain, entries, 60000000, &out);
	buf_append_byte(&out, 0);
	assert_string_equal(out.data, text);
	buf_fini(&out);
	json_read_free(entries);
}

/* What an interpreter does to encode a list is the business of whoever called for it. */
static void plumbing_stands_for_the_code_that_called_it(void **unused)
{
	(void)unused;
	assert_told(
		"[{\"ns\":30000000,\"stack\":[\"_json.so+0x50f7\",\"_json.so+0x4c98\",\"_PyObject_"
		"MakeTpCall\",\"app.py: serialize\",\"app.py: report\",\"main\"],"
		"\"where\":[\"app.py: serialize\",\"app.py: report\"]},"
		"{\"ns\":30000000,\"stack\":[\"_json.so+0x50f7\",\"_json.so+0x4c98\",\"_PyObject_"
		"MakeTpCall\",\"app.py: serialize\",\"app.py: report\",\"main\"],"
		"\"where\":[\"app.py: serialize\",\"app.py: report\"]}]",
		"  on CPU    60.0 ms, 100 % of what ran, under app.py: serialize < app.py: "
		"report\n");
}

static void where_nothing_tells_the_frame_itself_is_shown(void **unused)
{
	(void)unused;
	assert_told("[{\"ns\":60000000,\"stack\":[\"libx.so+0x10\",\"_start\"],\"where\":[]}]",
		    "  on CPU    60.0 ms, 100 % of what ran, under libx.so+0x10\n");
}

static void code_without_a_stack_is_not_named(void **unused)
{
	(void)unused;
	assert_told(
		"[{\"ns\":60000000,\"stack\":[],\"where\":[],\"no_stack\":\"[no stack: budget]\"}]",
		"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plumbing_stands_for_the_code_that_called_it),
		cmocka_unit_test(where_nothing_tells_the_frame_itself_is_shown),
		cmocka_unit_test(code_without_a_stack_is_not_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
