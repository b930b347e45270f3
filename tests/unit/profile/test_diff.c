/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule by which profiles are compared, and the arithmetic under them. */
#include <errno.h>
#include <stdio.h>

#include "correlate/profile_diff.h"
#include "tests/unit/profile/profile_builder.h"

#define MOST 4

struct comparison {
	struct profile profiles[MOST];
	struct diff_input inputs[MOST];
	struct profile_diff diff;
	struct buf message;
	unsigned count;
};

/* Heap profiles carry [inuse_space, alloc_space]: the second number of a stack is what it
 * allocated. */
static void add(struct comparison *comparison, const char *type, const char *unit, const char *text)
{
	struct profile *profile = &comparison->profiles[comparison->count];
	struct diff_input *input = &comparison->inputs[comparison->count++];
	double factor;

	build_profile(profile, text);
	snprintf(profile->types[0].name, sizeof(profile->types[0].name), "%s", type);
	snprintf(profile->types[0].unit_name, sizeof(profile->types[0].unit_name), "%s", unit);
	profile->types[0].unit = profile_unit_of(str_of(unit), &factor);
	profile->types[0].kind = profile_kind_of(str_of(type), str_of(unit));
	*input = (struct diff_input){ profile, 0, PROFILE_NONE };
}

static int compare(struct comparison *comparison, const struct diff_options *options)
{
	buf_init(&comparison->message, 0);
	return profile_diff_init(&comparison->diff, comparison->inputs, comparison->count, options,
				 &comparison->message);
}

static void end(struct comparison *comparison)
{
	profile_diff_fini(&comparison->diff);
	buf_fini(&comparison->message);
	while (comparison->count > 0)
		profile_fini(&comparison->profiles[--comparison->count]);
}

static bool speaks(const struct comparison *comparison, enum profile_rule_id rule,
		   const char *words)
{
	const struct profile_diff *diff = &comparison->diff;

	for (unsigned i = 0; i < diff->finding_count; i++) {
		if (diff->findings[i].rule == rule &&
		    strstr(diff->text.data + diff->findings[i].text, words))
			return true;
	}
	return false;
}

static const struct diff_options plain;

static void retained_memory_is_a_leak_and_tuning_no_answer(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add(&comparison, "inuse_space", "bytes", "main;log;strings.Join 50\nmain;index 100\n");
	add(&comparison, "inuse_space", "bytes", "main;log;strings.Join 460\nmain;index 190\n");
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_true(speaks(&comparison, RULE_LEAK,
			   "log -> strings.Join retains memory: +410 B (82.0 % of all change)"));
	assert_true(speaks(&comparison, RULE_LEAK, "4.6 times the next, index"));
	assert_true(speaks(&comparison, RULE_COLLECTOR, "GOGC"));
	end(&comparison);
}

static void what_has_no_unit_is_neither_bytes_nor_objects(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add(&comparison, "heap", "count", "main;log;strings.Join 50\nmain;index 100\n");
	add(&comparison, "heap", "count", "main;log;strings.Join 460\nmain;index 190\n");
	comparison.profiles[0].types[0].is_unit_guessed = true;
	comparison.profiles[1].types[0].is_unit_guessed = true;
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_true(speaks(&comparison, RULE_LEAK, "retains memory: +410 (82.0 %"));
	assert_true(speaks(&comparison, RULE_UNKNOWN_UNIT, "--unit"));
	end(&comparison);
}

static void diff_base_takes_percent_of_the_base(void **state)
{
	const struct diff_options of_base = { .is_diff_base = true };
	struct comparison comparison = { 0 };

	(void)state;
	add(&comparison, "inuse_space", "bytes", "main;a 100\nmain;b 100\n");
	add(&comparison, "inuse_space", "bytes", "main;a 300\nmain;b 50\n");
	assert_int_equal(compare(&comparison, &of_base), 0);
	assert_true(comparison.diff.whole == 200);
	end(&comparison);
	add(&comparison, "inuse_space", "bytes", "main;a 100\nmain;b 100\n");
	add(&comparison, "inuse_space", "bytes", "main;a 300\nmain;b 50\n");
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_true(comparison.diff.whole == 250);
	end(&comparison);
}

/* Both types in one profile, as pprof has them. */
static void add_heap(struct comparison *comparison, int64_t inuse, int64_t alloc, uint64_t minute)
{
	struct profile *profile = &comparison->profiles[comparison->count];
	uint32_t frame, stack;

	assert_int_equal(profile_init(profile, 0), 0);
	profile_add_type(profile, STR("inuse_space"), STR("bytes"));
	profile_add_type(profile, STR("alloc_space"), STR("bytes"));
	assert_int_equal(profile_frame(profile, STR("main.decode"), &frame), 0);
	assert_int_equal(profile_stack(profile, &frame, 1, &stack), 0);
	profile_add(profile, stack, (int64_t[]){ inuse, alloc });
	assert_int_equal(profile_seal(profile), 0);
	profile->time_unix_ns = (1 + minute) * 60000000000u;
	comparison->inputs[comparison->count++] = (struct diff_input){ profile, 0, 1 };
}

static void memory_that_is_freed_again_is_churn(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add_heap(&comparison, 1000, 50000, 0);
	add_heap(&comparison, 1010, 950000, 10);
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_true(speaks(&comparison, RULE_CHURN,
			   "main.decode allocated 900 kB and kept 0 %: churn, not a leak"));
	assert_false(speaks(&comparison, RULE_LEAK, ""));
	end(&comparison);
}

static void a_leak_is_a_line_and_a_saw_tooth_is_none(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add_heap(&comparison, 1000, 10000, 0);
	add_heap(&comparison, 2000, 20000, 10);
	add_heap(&comparison, 3000, 30000, 20);
	add_heap(&comparison, 4000, 40000, 30);
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_true(speaks(&comparison, RULE_LEAK, "main.decode retains"));
	assert_true(speaks(&comparison, RULE_TREND,
			   "+100 B a minute over 4 profiles, R^2 1.00: a line"));
	assert_true(speaks(&comparison, RULE_LOAD, "the load was steady"));
	end(&comparison);
	add_heap(&comparison, 1000, 10000, 0);
	add_heap(&comparison, 4000, 20000, 10);
	add_heap(&comparison, 900, 60000, 20);
	add_heap(&comparison, 3000, 61000, 30);
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_false(speaks(&comparison, RULE_LEAK, ""));
	assert_true(speaks(&comparison, RULE_TREND, "no line"));
	assert_true(speaks(&comparison, RULE_LOAD, "NOT steady"));
	end(&comparison);
}

static void memory_that_follows_the_load_is_no_leak(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add_heap(&comparison, 1000, 10000, 0);
	add_heap(&comparison, 1000, 20000, 10);
	add_heap(&comparison, 3000, 50000, 20);
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_int_equal(comparison.diff.findings[0].rule, RULE_LOAD);
	assert_true(speaks(&comparison, RULE_LOAD, "memory grew with the load"));
	assert_false(speaks(&comparison, RULE_LEAK, ""));
	end(&comparison);
}

static void what_was_ever_allocated_is_no_leak(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add(&comparison, "alloc_space", "bytes", "main;render;bytes.Repeat 1000\nmain;x 1000\n");
	add(&comparison, "alloc_space", "bytes", "main;render;bytes.Repeat 9000\nmain;x 1500\n");
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_int_equal(comparison.diff.findings[0].rule, RULE_ALLOCATED);
	assert_true(speaks(&comparison, RULE_LEAK, "this is no leak"));
	assert_false(speaks(&comparison, RULE_LEAK, "retains"));
	end(&comparison);
}

static void recordings_of_unlike_length_are_compared_by_the_second(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add(&comparison, "samples", "count", "main;a 700\nmain;b 300\n");
	add(&comparison, "samples", "count", "main;a 2840\nmain;b 1160\n");
	comparison.profiles[0].duration_ns = 10000000000u;
	comparison.profiles[1].duration_ns = 40000000000u;
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_int_equal(comparison.diff.findings[0].rule, RULE_NO_CHANGE);
	assert_true(speaks(&comparison, RULE_DURATIONS, "recorded over 10 s, 40 s"));
	end(&comparison);
	/* what doubled in the same time has */
	add(&comparison, "samples", "count", "main;a 700\nmain;b 300\n");
	add(&comparison, "samples", "count", "main;a 1400\nmain;b 300\n");
	comparison.profiles[0].duration_ns = comparison.profiles[1].duration_ns = 10000000000u;
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_int_equal(comparison.diff.findings[0].rule, RULE_REGRESSION);
	end(&comparison);
}

static void goroutines_that_only_grow_pile_up(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add(&comparison, "goroutine", "count", "main;publish;runtime.gopark 40\n");
	add(&comparison, "goroutine", "count", "main;publish;runtime.gopark 90\n");
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_int_equal(comparison.diff.findings[0].rule, RULE_PILE_UP);
	assert_true(speaks(&comparison, RULE_PILE_UP, "+50 goroutines"));
	end(&comparison);
}

static void what_chance_explains_is_no_difference(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add(&comparison, "samples", "count", "main;a 1000\nmain;b 400\n");
	add(&comparison, "samples", "count", "main;a 1060\nmain;b 370\n");
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_true(speaks(&comparison, RULE_NO_CHANGE, "no difference beyond noise"));
	assert_true(speaks(&comparison, RULE_NOISE, "2 functions"));
	end(&comparison);
	add(&comparison, "samples", "count", "main;a 1000\nmain;b 400\n");
	add(&comparison, "samples", "count", "main;a 1060\nmain;b 900\n");
	assert_int_equal(compare(&comparison, &plain), 0);
	assert_true(speaks(&comparison, RULE_REGRESSION, "b grew most: +500 samples"));
	end(&comparison);
}

static void unlike_profiles_are_refused(void **state)
{
	struct comparison comparison = { 0 };

	(void)state;
	add(&comparison, "inuse_space", "bytes", "main 1\n");
	add(&comparison, "samples", "count", "main 1\n");
	assert_int_equal(compare(&comparison, &plain), -EINVAL);
	assert_non_null(memmem(comparison.message.data, comparison.message.len, "unlike", 6));
	end(&comparison);
	add(&comparison, "cpu", "nanoseconds", "main 1\n");
	add(&comparison, "cpu", "nanoseconds", "main 1\n");
	comparison.profiles[1].period = 10000000;
	assert_int_equal(compare(&comparison, &plain), -EINVAL);
	assert_non_null(
		memmem(comparison.message.data, comparison.message.len, "sampled every", 13));
	end(&comparison);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retained_memory_is_a_leak_and_tuning_no_answer),
		cmocka_unit_test(what_has_no_unit_is_neither_bytes_nor_objects),
		cmocka_unit_test(diff_base_takes_percent_of_the_base),
		cmocka_unit_test(memory_that_is_freed_again_is_churn),
		cmocka_unit_test(a_leak_is_a_line_and_a_saw_tooth_is_none),
		cmocka_unit_test(memory_that_follows_the_load_is_no_leak),
		cmocka_unit_test(what_was_ever_allocated_is_no_leak),
		cmocka_unit_test(recordings_of_unlike_length_are_compared_by_the_second),
		cmocka_unit_test(goroutines_that_only_grow_pile_up),
		cmocka_unit_test(what_chance_explains_is_no_difference),
		cmocka_unit_test(unlike_profiles_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
