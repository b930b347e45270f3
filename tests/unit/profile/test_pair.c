/* SPDX-License-Identifier: Apache-2.0 */
/* CPU and waiting together: the partition, and each verdict. */
#include "correlate/profile_pair.h"
#include "tests/unit/profile/profile_builder.h"

struct two {
	struct profile on_profile, off_profile;
	struct diagnosis on, off;
	struct profile_pair pair;
};

/* Values are milliseconds. */
static void judge(struct two *two, const char *on, const char *off, double wall_ms)
{
	build_profile(&two->on_profile, on);
	build_profile(&two->off_profile, off);
	two->on_profile.types[0].unit = two->off_profile.types[0].unit = PROFILE_NS;
	two->on_profile.types[0].factor = two->off_profile.types[0].factor = 1e6;
	assert_int_equal(diagnosis_init(&two->on, &two->on_profile, 0, PROFILE_CPU), 0);
	assert_int_equal(diagnosis_init(&two->off, &two->off_profile, 0, PROFILE_OFF_CPU), 0);
	assert_int_equal(profile_pair_judge(&two->on, &two->off, wall_ms * 1e6, &two->pair), 0);
	buf_append_byte(&two->pair.verdict, 0);
	buf_append_byte(&two->pair.partition, 0);
}

static void end(struct two *two)
{
	diagnosis_fini(&two->on);
	diagnosis_fini(&two->off);
	profile_fini(&two->on_profile);
	profile_fini(&two->off_profile);
	profile_pair_fini(&two->pair);
}

static void the_reference_case_waits_for_its_query(void **state)
{
	struct two two;

	(void)state;
	judge(&two, "main;handle;render 38\n",
	      "main;handle;sql.(*DB).QueryContext;net.(*conn).Read "
	      "540\nmain;handle;sync.(*Mutex).Lock 18\n"
	      "main;handle;write 3\n",
	      612);
	assert_int_equal(two.pair.rule, RULE_PAIR_WAITING);
	assert_string_equal(
		two.pair.verdict.data,
		"92 % waiting: 540 ms (88 %) in sql.(*DB).QueryContext; leave the CPU code alone");
	assert_non_null(strstr(two.pair.partition.data, "they partition it but for 13 ms (2.1 %)"));
	assert_true(is_about(&two.off, find_rule(&two.off, RULE_MICRO), "sync.(*Mutex).Lock"));
	end(&two);
}

static void each_verdict_has_its_case(void **state)
{
	struct two two;

	(void)state;
	judge(&two, "main;handle;render 300\n", "main;[runnable] 600\nmain;handle;recv 100\n",
	      1000);
	assert_int_equal(two.pair.rule, RULE_PAIR_STARVED);
	end(&two);
	judge(&two, "main;handle;render 900\n", "main;handle;recv 100\n", 1000);
	assert_int_equal(two.pair.rule, RULE_PAIR_CPU);
	assert_non_null(strstr(two.pair.verdict.data, "render"));
	end(&two);
	judge(&two, "main;handle;render 500\n", "main;handle;recv 480\n", 1000);
	assert_int_equal(two.pair.rule, RULE_PAIR_MIXED);
	end(&two);
}

static void what_does_not_partition_is_said(void **state)
{
	struct two two;

	(void)state;
	judge(&two, "main;a 900\n", "main;b 900\n", 1000);
	assert_non_null(strstr(two.pair.partition.data, "800 ms (80 %) too much"));
	end(&two);
	judge(&two, "main;a 800\n", "main;b 50\n", 1000);
	assert_non_null(strstr(two.pair.partition.data, "150 ms (15 %) in neither"));
	end(&two);
	/* more than either: not "starved", for nobody recorded that */
	judge(&two, "main;a 38\n", "main;b 100\n", 612);
	assert_int_equal(two.pair.rule, RULE_PAIR_GAP);
	assert_non_null(strstr(two.pair.verdict.data, "77 % of the wall is in neither profile"));
	end(&two);
	/* threads in parallel: no share exceeds the whole */
	judge(&two, "main;a 100\n", "main;b 1900\n", 1000);
	assert_int_equal(two.pair.rule, RULE_PAIR_WAITING);
	assert_non_null(strstr(two.pair.verdict.data, "95 % waiting"));
	end(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_case_waits_for_its_query),
		cmocka_unit_test(each_verdict_has_its_case),
		cmocka_unit_test(what_does_not_partition_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
