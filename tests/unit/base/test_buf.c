/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/nth_alloc.h"

static void assert_buf(const struct buf *buf, const char *text)
{
	assert_int_equal(buf_error(buf), 0);
	assert_true(str_eq(buf_str(buf), str_of(text)));
}

static void appends_follow_each_other(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 0);
	buf_append(&buf, "ab", 2);
	buf_append_str(&buf, STR("cd"));
	buf_append_text(&buf, "ef");
	buf_append_byte(&buf, 'g');
	buf_printf(&buf, "-%d-%s", 7, "h");
	buf_append(&buf, NULL, 0);
	assert_buf(&buf, "abcdefg-7-h");
	buf_fini(&buf);
	buf_fini(&buf);
}

static void it_grows_without_losing_a_byte(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 0);
	for (int i = 0; i < 100000; i++)
		buf_append_byte(&buf, (uint8_t)(i * 7));
	assert_int_equal(buf.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal((uint8_t)buf.data[i], (uint8_t)(i * 7));
	buf_fini(&buf);
}

static void the_first_error_sticks(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 5);
	buf_append_text(&buf, "12345");
	assert_buf(&buf, "12345");
	buf_append_text(&buf, "6");
	assert_int_equal(buf_error(&buf), -EMSGSIZE);
	buf_append(&buf, NULL, 0);
	assert_null(buf_reserve(&buf, 0));
	assert_int_equal(buf.len, 5);
	buf_clear(&buf);
	buf_append_text(&buf, "again");
	assert_buf(&buf, "again");
	assert_null(buf_reserve(&buf, SIZE_MAX));
	assert_int_equal(buf_error(&buf), -EMSGSIZE);
	buf_fini(&buf);
}

static void printf_may_fill_the_limit_exactly(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 5);
	buf_printf(&buf, "%05d", 7);
	assert_buf(&buf, "00007");
	buf_printf(&buf, "%d", 7);
	assert_int_equal(buf_error(&buf), -EMSGSIZE);
	buf_fini(&buf);
}

static void consume_takes_from_the_front(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 0);
	buf_consume(&buf, 3);
	buf_append_text(&buf, "abcdef");
	buf_consume(&buf, 2);
	assert_buf(&buf, "cdef");
	buf_consume(&buf, 100);
	assert_buf(&buf, "");
	buf_fini(&buf);
}

static void no_memory_keeps_what_was_there(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 0);
	buf_append_text(&buf, "kept");
	nth_alloc_arm(1);
	assert_null(buf_reserve(&buf, 10000));
	assert_true(nth_alloc_disarm());
	assert_int_equal(buf_error(&buf), -ENOMEM);
	assert_true(str_eq(buf_str(&buf), STR("kept")));
	buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_follow_each_other),
		cmocka_unit_test(it_grows_without_losing_a_byte),
		cmocka_unit_test(the_first_error_sticks),
		cmocka_unit_test(printf_may_fill_the_limit_exactly),
		cmocka_unit_test(consume_takes_from_the_front),
		cmocka_unit_test(no_memory_keeps_what_was_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
