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
		{ STR("<script>\"x\" & ]]></script>\x01\xff"), FLAME_NO_PARENT, 10, 0, true, 0 },
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

/* Of 1200, of which a character takes 7. */
static void a_long_name_is_cut_between_characters(void **state)
{
	struct flame_frame frames[] = {
		{ STR("main"), FLAME_NO_PARENT, 1200, 0, false, 0 },
		{ STR("gr\xc3\xb6\xc3\x9f\xc3\xa4\xc3\xb6_of"), 0, 46, 0, false,
		  0 }, /* 8 letters, 6 fit */
		{ STR("\xc3\xb6\xc3\xb6\xc3\xb6"), 0, 30, 0, false, 0 },
		{ STR("narrow"), 0, 18, 0, false, 0 },
	};
	struct flame_svg flame = { .noun = "samples", .frames = frames, .count = 4 };
	struct buf out = draw(&flame);

	(void)state;
	assert_non_null(strstr(out.data, ">gr\xc3\xb6\xc3\x9f..</text>"));
	assert_non_null(strstr(out.data, ">\xc3\xb6\xc3\xb6\xc3\xb6</text>"));
	assert_non_null(strstr(out.data, "narrow: 18 samples"));
	assert_null(strstr(out.data, ">narrow</text>"));
	assert_non_null(strstr(out.data, ">main</text>"));
	buf_fini(&out);
}

static void width_is_the_share_and_the_largest_comes_first(void **state)
{
	struct flame_frame frames[] = {
		{ STR("main"), FLAME_NO_PARENT, 100, 0, false, 0 },
		{ STR("aaa"), 0, 3, 0, false, 0 },
		{ STR("serialize"), 0, 70, 0, false, 0 },
		{ STR("dust"), 0, 0.001, 0, false, 0 },
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

static void a_small_share_is_well_formed(void **state)
{
	struct flame_frame frames[] = {
		{ STR("main"), FLAME_NO_PARENT, 10000, 0, false, 0 },
		{ STR("rare"), 0, 5, 0, false, 1 },
	};
	const struct flame_svg_kind kinds[] = { { "net", "#cf222e", 5 }, { "lock", "#8250df", 0 } };
	struct flame_svg flame = {
		.unit = PROFILE_NS, .frames = frames, .count = 2, .kinds = kinds, .kind_count = 2
	};
	struct buf out = draw(&flame);

	(void)state;
	assert_non_null(strstr(out.data, "rare: 5 ns (&lt;0.1 %), 5 ns</title>"));
	assert_non_null(strstr(out.data, ">net 5 ns (&lt;0.1 %)</text>"));
	assert_non_null(strstr(out.data, "class=\"f k\""));
	assert_null(strstr(out.data, "lock"));
	assert_null(strstr(out.data, "(<"));
	buf_fini(&out);
}

static void the_largest_change_has_the_fullest_colour(void **state)
{
	struct flame_frame frames[] = {
		{ STR("main"), FLAME_NO_PARENT, 100, -40, false, 0 },
		{ STR("grew"), 0, 50, 40, false, 0 },
		{ STR("same"), 0, 10, 0, false, 0 },
	};
	struct flame_svg flame = { .is_diff = true, .frames = frames, .count = 3 };
	struct buf out = draw(&flame);

	(void)state;
	assert_non_null(strstr(out.data, "fill=\"rgb(75,75,245)\""));
	assert_non_null(strstr(out.data, "fill=\"rgb(245,75,75)\""));
	assert_non_null(strstr(out.data, "fill=\"rgb(245,245,245)\""));
	buf_fini(&out);
}

static void a_child_before_its_parent_is_refused(void **state)
{
	struct flame_frame frames[] = { { STR("a"), 0, 1, 0, false, 0 } };
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
		cmocka_unit_test(a_long_name_is_cut_between_characters),
		cmocka_unit_test(width_is_the_share_and_the_largest_comes_first),
		cmocka_unit_test(a_small_share_is_well_formed),
		cmocka_unit_test(the_largest_change_has_the_fullest_colour),
		cmocka_unit_test(a_child_before_its_parent_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
