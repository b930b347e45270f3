/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/json.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "collector/base/json_read.h"

static void assert_text(struct buf *buf, const char *text)
{
	assert_int_equal(buf_error(buf), 0);
	buf_append_byte(buf, 0);
	assert_string_equal(buf->data, text);
	buf_fini(buf);
}

static void commas_and_nesting_are_right(void **state)
{
	const uint8_t id[] = { 0xab, 0x01 };
	struct buf buf = { 0 };
	struct json json;

	(void)state;
	json_init(&json, &buf);
	json_object(&json, NULL);
	json_array(&json, "empty");
	json_end(&json);
	json_array(&json, "list");
	json_uint(&json, NULL, UINT64_MAX);
	json_int(&json, NULL, INT64_MIN);
	json_object(&json, NULL);
	json_end(&json);
	json_end(&json);
	json_bool(&json, "yes", true);
	json_null(&json, "none");
	json_time(&json, "time", 1700000000000000000ull);
	json_hex(&json, "id", id, 2);
	json_raw(&json, "raw", STR("[1]"));
	json_double(&json, "half", 0.5, 3);
	json_double(&json, "nan", (double)NAN, 3);
	json_double(&json, "infinity", -(double)INFINITY, 3);
	json_text(&json, "text", "x");
	json_end(&json);
	assert_int_equal(json.depth, 0);
	assert_text(&buf, "{\"empty\":[],\"list\":[18446744073709551615,-9223372036854775808,{}],"
			  "\"yes\":true,\"none\":null,\"time\":\"1700000000000000000\","
			  "\"id\":\"ab01\",\"raw\":[1],\"half\":0.500,\"nan\":null,"
			  "\"infinity\":null,\"text\":\"x\"}");
}

static void assert_string(struct str value, const char *text)
{
	struct buf buf = { 0 };
	struct json json;

	json_init(&json, &buf);
	json_str(&json, NULL, value);
	assert_text(&buf, text);
}

static void strings_are_escaped(void **state)
{
	(void)state;
	assert_string(STR("a\"b\\c\n\r\t\x01\x7f\0z"),
		      "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\\u0000z\"");
	assert_string((struct str){ NULL, 0 }, "\"\"");
}

static void utf8_passes_and_everything_else_is_replaced(void **state)
{
	(void)state;
	assert_string(STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"),
		      "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"");
	assert_string(STR("\x80"), "\"\\ufffd\"");
	assert_string(STR("\xc0\x80"), "\"\\ufffd\\ufffd\"");            /* overlong */
	assert_string(STR("\xe0\x9f\xbf"), "\"\\ufffd\\ufffd\\ufffd\""); /* overlong */
	assert_string(STR("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""); /* surrogate */
	assert_string(STR("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
	assert_string(STR("\xe2\x82"), "\"\\ufffd\\ufffd\""); /* cut off */
	assert_string(STR("\xc3(x"), "\"\\ufffd(x\"");
}

/* Whatever the bytes, a strict reader accepts the result. */
static void random_bytes_make_valid_json(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct buf buf = { 0 };
		struct json json;
		char bytes[40];
		struct json_value *parsed = NULL;

		for (size_t k = 0; k < sizeof(bytes); k++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			bytes[k] = (char)(random >> 57 ? random >> 56
						       : 1); /* NUL the reader refuses */
		}
		json_init(&json, &buf);
		json_array(&json, NULL);
		json_str(&json, NULL, (struct str){ bytes, (size_t)i % sizeof(bytes) });
		json_double(&json, NULL, (double)(int64_t)random * 1e-3, 6);
		json_double(&json, NULL, DBL_MAX, 1);
		json_end(&json);
		assert_int_equal(json_read(buf_str(&buf), &parsed, NULL), 0);
		assert_int_equal(json_read_count(parsed), 3);
		json_read_free(parsed);
		buf_fini(&buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_and_nesting_are_right),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(utf8_passes_and_everything_else_is_replaced),
		cmocka_unit_test(random_bytes_make_valid_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
