/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collector/flame_svg.h"

static struct buf draw(const struct flame_svg *flame)
{
	struct buf out;

	buf_init(&out, 0);
	assert_int_equal(flame_svg_write(flame, &out), 0);
	buf_append_byte(&out, 0);
	return out;
}

static void names_cannot_leave_their_element(void **state)
{
	struct flame_frame frames[] = {
		{ STR("<script>\"x\" & ]]></script>\x01\xff"), FLAME_NO_PARENT, 10, 0, true },
	};
	struct flame_svg flame = {
		.title = "a<b", .noun = "samples", .frames = frames, .count = 1
	};
	struct buf out = draw(&flame);

	(void)state;
	assert_non_null(
		strstr(out.data, "&lt;script&gt;&quot;x&quot; &amp; ]]&gt;&lt;/script&gt;??"));
	assert_non_null(strstr(out.data, "a&lt;b"));
	assert_non_null(strstr(out.data, "class=\"f m\""));
	buf_fini(&out);
}

static void width_is_the_share_and_the_largest_comes_first(void **state)
{
	struct flame_frame frames[] = {
		{ STR("main"), FLAME_NO_PARENT, 100, 0, false },
		{ STR("aaa"), 0, 3, 0, false },
		{ STR("serialize"), 0, 70, 0, false },
		{ STR("dust"), 0, 0.001, 0, false },
	};
	struct flame_svg flame = { .noun = "samples", .frames = frames, .count = 4 };
	struct buf out = draw(&flame);

	(void)state;
	assert_non_null(strstr(
		out.data,
		"data-x=\"0.0000\" data-w=\"840.0000\"><title>serialize: 70 samples (70 %)"));
	assert_non_null(strstr(out.data, "data-x=\"840.0000\" data-w=\"36.0000\"><title>aaa"));
	assert_null(strstr(out.data, "dust"));
	assert_non_null(strstr(out.data, "1 frames are too narrow"));
	buf_fini(&out);
}

static void a_child_before_its_parent_is_refused(void **state)
{
	struct flame_frame frames[] = { { STR("a"), 0, 1, 0, false } };
	struct flame_svg flame = { .frames = frames, .count = 1 };
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	assert_int_equal(flame_svg_write(&flame, &out), -EINVAL);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_cannot_leave_their_element),
		cmocka_unit_test(width_is_the_share_and_the_largest_comes_first),
		cmocka_unit_test(a_child_before_its_parent_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
