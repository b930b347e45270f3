/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/query/when.h"

#define NOW 1763798400000000000ull /* 2025-11-22T08:00:00Z */

static void every_way_to_write_a_time_is_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {
		{ "0", 0 },
		{ "1763798400123456789", 1763798400123456789ull },
		{ "now", NOW },
		{ "-90s", NOW - 90 * NS_PER_SEC },
		{ "-15m", NOW - 900 * NS_PER_SEC },
		{ "-2h", NOW - 7200 * NS_PER_SEC },
		{ "-7d", NOW - 7 * 86400 * NS_PER_SEC },
		{ "-99999999d", 0 },
		{ "2025-11-22T08:00:00Z", NOW },
		{ "2025-11-22t09:00:00.5+01:00", NOW + NS_PER_SEC / 2 },
		{ "2025-11-22T09:00:00 01:00", NOW }, /* a plus that nobody encoded */
		{ "2025-11-22 07:30:00.000000001-00:30", NOW + 1 },
		{ "2024-02-29T00:00:00Z", 1709164800000000000ull },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t ns = 1;

		assert_true(when_parse(str_of(cases[i].text), NOW, &ns));
		assert_int_equal(ns, cases[i].ns);
	}
}

static void whatever_is_ambiguous_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"1763798400",           /* seconds */
		"1763798400123",        /* ms */
		"17637984001234567890", /* beyond 2^64 in 20 digits */
		"1763798400 00000000",
		"-15",
		"-m",
		"-1.5h",
		"-15w",
		"yesterday",
		"2025-11-22",
		"2025-11-22T08:00:00", /* of which zone? */
		"2025-02-30T08:00:00Z",
		"2025-11-22T24:00:00Z",
		"2025-11-22T08:00:00.Z",
		"2025-11-22T08:00:00Zx",
		"2025-11-22T08:00:00+0100",
		"1969-12-31T23:59:59Z",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		uint64_t ns = 7;

		assert_false(when_parse(str_of(texts[i]), NOW, &ns));
		assert_int_equal(ns, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_to_write_a_time_is_read),
		cmocka_unit_test(whatever_is_ambiguous_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
