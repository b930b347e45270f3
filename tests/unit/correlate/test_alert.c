/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/alert.h"

#define SECOND NS_PER_SEC
#define START  (1763798400 * SECOND)

static struct alert_rule rule_of(const char *when)
{
	struct alert_rule rule;
	struct buf message;

	buf_init(&message, 0);
	assert_int_equal(alert_rule_init(&rule, STR("slow"), &message), 0);
	assert_int_equal(alert_rule_set(&rule, "when", when, &message), 0);
	buf_fini(&message);
	return rule;
}

/* 100 spans, all covered, of 1 s together. */
static struct alert_measure measure(double ratio, uint64_t p99_ms)
{
	struct alert_measure measure = {
		.spans = 100,
		.covered = 100,
		.wall_sum_ns = SECOND,
		.cpu_ns = (uint64_t)(ratio * 1e9),
		.wall_ns = { 0, 0, 0, p99_ms * NS_PER_MS },
	};

	measure.blocked_ns[REASON_NET] = SECOND - measure.cpu_ns;
	return measure;
}

static enum alert_judgement judge(const struct alert_rule *rule, const struct alert_measure *window,
				  const struct alert_measure *hour,
				  const struct alert_measure *yesterday)
{
	struct alert_input input = { window, hour, yesterday };
	struct alert_verdict verdict;

	alert_judge(rule, &input, &verdict);
	return verdict.judgement;
}

static void the_default_fires_when_work_turns_into_waiting(void **state)
{
	struct alert_measure busy = measure(0.8, 100), waits = measure(0.1, 500);
	struct alert_measure always = measure(0.1, 100), slower = measure(0.8, 500);
	struct alert_rule rule;

	(void)state;
	assert_int_equal(alert_rule_default(&rule), 0);
	assert_int_equal(judge(&rule, &waits, &busy, NULL), ALERT_HOLDS);
	/* What always waits is no news, and neither is work that grew. */
	assert_int_equal(judge(&rule, &always, &always, NULL), ALERT_CLEAR);
	assert_int_equal(judge(&rule, &slower, &busy, NULL), ALERT_CLEAR);
	/* Yesterday counts more than the hour, once there is one. */
	assert_int_equal(judge(&rule, &waits, &busy, &waits), ALERT_CLEAR);
	assert_int_equal(judge(&rule, &waits, &waits, &busy), ALERT_HOLDS);
	busy.spans = rule.min_count - 1;
	assert_int_equal(judge(&rule, &waits, &waits, &busy), ALERT_CLEAR);
	assert_int_equal(judge(&rule, &waits, NULL, NULL), ALERT_NO_BASELINE);
	alert_rule_fini(&rule);
}

static void nothing_is_judged_without_enough_data(void **state)
{
	struct alert_rule ratio = rule_of("ratio < 0.30"), wall = rule_of("wall_p99 > 100ms");
	struct alert_measure some = measure(0.1, 500);

	(void)state;
	assert_int_equal(judge(&ratio, NULL, NULL, NULL), ALERT_NO_DATA);
	some.covered = 49;
	assert_int_equal(judge(&ratio, &some, NULL, NULL), ALERT_LOW_COVERAGE);
	assert_int_equal(judge(&wall, &some, NULL, NULL), ALERT_HOLDS);
	some.covered = 50;
	assert_int_equal(judge(&ratio, &some, NULL, NULL), ALERT_HOLDS);
	some.spans = some.covered = 29;
	assert_int_equal(judge(&ratio, &some, NULL, NULL), ALERT_NO_DATA);
	some = (struct alert_measure){ .spans = 100, .covered = 100 };
	assert_int_equal(judge(&ratio, &some, NULL, NULL), ALERT_LOW_COVERAGE);
}

static void every_figure_is_read(void **state)
{
	struct alert_measure some = measure(0.25, 500);
	static const struct {
		const char *when;
		double figure, bound;
	} cases[] = {
		{ "ratio < 0.3", 0.25, 0.3 },       { "runnable > 5 %", 0.1, 0.05 },
		{ "blocked > 50 %", 0.75, 0.5 },    { "blocked.net > 50 %", 0.75, 0.5 },
		{ "elsewhere > 0.01", 0.02, 0.01 }, { "errors > 0.01", 0.04, 0.01 },
		{ "wall_p99 > 400ms", 5e8, 4e8 },   { "wall_p99 > 0.5 * hour", 5e8, 2.5e8 },
	};

	(void)state;
	some.runnable_ns = SECOND / 10;
	some.elsewhere_ns = SECOND / 50;
	some.errors = 4;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct alert_rule rule = rule_of(cases[i].when);
		struct alert_input input = { &some, &some, NULL };
		struct alert_verdict verdict;

		alert_judge(&rule, &input, &verdict);
		assert_int_equal(verdict.judgement, ALERT_HOLDS);
		assert_float_equal(verdict.figures[0], cases[i].figure, 1e-9);
		assert_float_equal(verdict.bounds[0], cases[i].bound, 1e-9);
	}
}

static void a_near_miss_is_within_the_hysteresis(void **state)
{
	struct alert_rule rule = rule_of("ratio < 0.30 and blocked.net > 60 %");
	struct alert_measure holds = measure(0.29, 0), near = measure(0.32, 0);
	struct alert_measure clear = measure(0.34, 0);

	(void)state;
	assert_int_equal(judge(&rule, &holds, NULL, NULL), ALERT_HOLDS);
	assert_int_equal(judge(&rule, &near, NULL, NULL), ALERT_NEAR);
	assert_int_equal(judge(&rule, &clear, NULL, NULL), ALERT_CLEAR);
	near.blocked_ns[REASON_NET] = SECOND * 50 / 100;
	assert_int_equal(judge(&rule, &near, NULL, NULL), ALERT_CLEAR);
}

struct step {
	unsigned at_s;
	enum alert_judgement judgement;
	enum alert_change change;
	enum alert_state state;
};

static void play(const struct alert_rule *rule, const struct step *steps, size_t count)
{
	struct alert_life life = { 0 };

	for (size_t i = 0; i < count; i++) {
		enum alert_change change =
			alert_step(rule, steps[i].judgement, START + steps[i].at_s * SECOND, &life);

		if (change != steps[i].change || life.state != steps[i].state)
			fail_msg("step %zu: change %d, state %s", i, change,
				 alert_state_name(life.state));
	}
}

#define PLAY(rule, ...)                                                                            \
	do {                                                                                       \
		static const struct step steps[] = { __VA_ARGS__ };                                \
		play(&(rule), steps, ARRAY_LEN(steps));                                            \
	} while (0)

static void it_fires_after_a_time_and_resolves_after_another(void **state)
{
	struct alert_rule rule = rule_of("ratio < 0.30"); /* for 120 s, keep 300 s */

	(void)state;
	PLAY(rule, { 0, ALERT_CLEAR, ALERT_SAME, ALERT_STATE_INACTIVE },
	     { 15, ALERT_HOLDS, ALERT_MOVED, ALERT_STATE_PENDING },
	     { 134, ALERT_HOLDS, ALERT_SAME, ALERT_STATE_PENDING },
	     { 135, ALERT_HOLDS, ALERT_FIRED, ALERT_STATE_FIRING },
	     { 150, ALERT_NEAR, ALERT_SAME, ALERT_STATE_FIRING },
	     { 165, ALERT_CLEAR, ALERT_SAME, ALERT_STATE_FIRING },
	     { 464, ALERT_NEAR, ALERT_SAME, ALERT_STATE_FIRING }, /* begins anew */
	     { 465, ALERT_CLEAR, ALERT_SAME, ALERT_STATE_FIRING },
	     { 765, ALERT_CLEAR, ALERT_ENDED, ALERT_STATE_RESOLVED },
	     { 780, ALERT_NEAR, ALERT_SAME, ALERT_STATE_RESOLVED },
	     { 1665, ALERT_CLEAR, ALERT_MOVED, ALERT_STATE_INACTIVE },
	     { 1680, ALERT_CLEAR, ALERT_SAME, ALERT_STATE_INACTIVE });
}

static void a_short_spell_never_fires(void **state)
{
	struct alert_rule rule = rule_of("ratio < 0.30");

	(void)state;
	PLAY(rule, { 0, ALERT_HOLDS, ALERT_MOVED, ALERT_STATE_PENDING },
	     { 119, ALERT_HOLDS, ALERT_SAME, ALERT_STATE_PENDING },
	     { 120, ALERT_NEAR, ALERT_MOVED, ALERT_STATE_INACTIVE },
	     { 121, ALERT_HOLDS, ALERT_MOVED, ALERT_STATE_PENDING },
	     { 60, ALERT_HOLDS, ALERT_SAME, ALERT_STATE_PENDING }, /* a clock set back */
	     { 241, ALERT_HOLDS, ALERT_FIRED, ALERT_STATE_FIRING });
}

static void silence_is_no_recovery(void **state)
{
	struct alert_rule rule = rule_of("ratio < 0.30");

	(void)state;
	rule.for_ns = 0;
	PLAY(rule, { 0, ALERT_HOLDS, ALERT_FIRED, ALERT_STATE_FIRING },
	     { 15, ALERT_NO_DATA, ALERT_SAME, ALERT_STATE_FIRING },
	     { 100, ALERT_LOW_COVERAGE, ALERT_SAME, ALERT_STATE_FIRING },
	     { 315, ALERT_LOW_COVERAGE, ALERT_ENDED, ALERT_STATE_LOW_COVERAGE },
	     { 330, ALERT_NO_DATA, ALERT_MOVED, ALERT_STATE_NO_DATA },
	     { 345, ALERT_NO_BASELINE, ALERT_SAME, ALERT_STATE_NO_DATA },
	     { 360, ALERT_HOLDS, ALERT_FIRED, ALERT_STATE_FIRING },
	     { 375, ALERT_NO_DATA, ALERT_SAME, ALERT_STATE_FIRING },
	     { 700, ALERT_NO_DATA, ALERT_ENDED, ALERT_STATE_NO_DATA },
	     { 715, ALERT_CLEAR, ALERT_MOVED, ALERT_STATE_INACTIVE });
}

static void a_resolved_one_may_fire_again(void **state)
{
	struct alert_rule rule = rule_of("ratio < 0.30");

	(void)state;
	rule.keep_ns = 0;
	PLAY(rule, { 0, ALERT_HOLDS, ALERT_MOVED, ALERT_STATE_PENDING },
	     { 120, ALERT_HOLDS, ALERT_FIRED, ALERT_STATE_FIRING },
	     { 135, ALERT_CLEAR, ALERT_ENDED, ALERT_STATE_RESOLVED },
	     { 150, ALERT_HOLDS, ALERT_MOVED, ALERT_STATE_PENDING },
	     { 270, ALERT_HOLDS, ALERT_FIRED, ALERT_STATE_FIRING });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_fires_when_work_turns_into_waiting),
		cmocka_unit_test(nothing_is_judged_without_enough_data),
		cmocka_unit_test(every_figure_is_read),
		cmocka_unit_test(a_near_miss_is_within_the_hysteresis),
		cmocka_unit_test(it_fires_after_a_time_and_resolves_after_another),
		cmocka_unit_test(a_short_spell_never_fires),
		cmocka_unit_test(silence_is_no_recovery),
		cmocka_unit_test(a_resolved_one_may_fire_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
