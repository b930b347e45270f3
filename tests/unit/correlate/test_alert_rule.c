/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "collector/base/macros.h"
#include "correlate/alert_condition.h"

/* A rule and what was said about it. */
struct bench {
	struct alert_rule rule;
	struct buf message;
};

static int make(void **state)
{
	static struct bench bench;

	buf_init(&bench.message, 0);
	*state = &bench;
	return alert_rule_init(&bench.rule, STR("slow"), &bench.message);
}

static int drop(void **state)
{
	struct bench *bench = *state;

	alert_rule_fini(&bench->rule);
	buf_fini(&bench->message);
	return 0;
}

static void accept(struct bench *bench, const char *key, const char *value)
{
	if (alert_rule_set(&bench->rule, key, value, &bench->message) < 0)
		fail_msg("%s = %s: %.*s", key, value, (int)bench->message.len, bench->message.data);
}

static void refuse(struct bench *bench, const char *key, const char *value, const char *part)
{
	buf_clear(&bench->message);
	assert_int_equal(alert_rule_set(&bench->rule, key, value, &bench->message), -EINVAL);
	buf_append_byte(&bench->message, '\0');
	if (!strstr(bench->message.data, part))
		fail_msg("%s = %s: said %s, not %s", key, value, bench->message.data, part);
}

static void check_term(const struct alert_term *term, const char *name, bool is_above,
		       enum alert_against against, double value)
{
	struct buf text;

	buf_init(&text, 0);
	alert_term_name(term, &text);
	assert_true(str_eq(buf_str(&text), str_of(name)));
	buf_fini(&text);
	assert_int_equal(term->is_above, is_above);
	assert_int_equal(term->against, against);
	assert_float_equal(term->value, value, 1e-6);
}

static void conditions_name_figures_bounds_and_baselines(void **state)
{
	struct bench *bench = *state;
	const struct alert_term *terms = bench->rule.terms;

	accept(bench, "when",
	       " ratio<0.30 and wall_p99 > 1.25*before and blocked.net > 40 % "
	       "and wall_p50>1.5ms and runnable > 2 * hour and errors > 1%");
	assert_int_equal(bench->rule.term_count, 6);
	check_term(&terms[0], "ratio", false, AGAINST_VALUE, 0.3);
	check_term(&terms[1], "wall_p99", true, AGAINST_BEFORE, 1.25);
	check_term(&terms[2], "blocked.net", true, AGAINST_VALUE, 0.4);
	check_term(&terms[3], "wall_p50", true, AGAINST_VALUE, 1.5e6);
	check_term(&terms[4], "runnable", true, AGAINST_HOUR, 2);
	check_term(&terms[5], "errors", true, AGAINST_VALUE, 0.01);
	assert_true(alert_rule_uses(&bench->rule, AGAINST_BEFORE));
	assert_false(alert_rule_uses(&bench->rule, AGAINST_YESTERDAY));
	assert_true(alert_rule_needs_figures(&bench->rule));
	accept(bench, "when", "wall_p95 > 2 * yesterday");
	assert_false(alert_rule_needs_figures(&bench->rule));
}

static void a_wrong_condition_is_refused_with_its_place(void **state)
{
	struct bench *bench = *state;
	static const struct {
		const char *text, *part;
	} wrong[] = {
		{ "", "must be ratio" },
		{ "ratios < 1", "must be ratio" },
		{ "blocked.nothing > 1", "must be ratio" },
		{ "ratio = 0.3", "must be < or >, at \"= 0.3\"" },
		{ "ratio < inf", "a number, at \"inf\"" },
		{ "ratio < -1", "a number" },
		{ "ratio < 0x10", "a number" },
		{ "ratio < 1 or errors > 1", "go on with `and`, at \"or errors" },
		{ "wall_p99 > 250", "a duration such as 250ms" },
		{ "wall_p99 > 2 * tomorrow", "hour, yesterday or before" },
		{ "ratio < 1 and", "must be ratio" },
		{ "ratio<1 and ratio<1 and ratio<1 and ratio<1 and ratio<1 and ratio<1 and ratio<1",
		  "at most 6" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		refuse(bench, "when", wrong[i].text, wrong[i].part);
	assert_int_equal(alert_rule_check(&bench->rule, &bench->message), -EINVAL);
}

static void keys_have_units_and_ranges(void **state)
{
	struct bench *bench = *state;

	accept(bench, "window", "15m");
	assert_int_equal(bench->rule.window_minutes, 15);
	refuse(bench, "window", "90s", "whole minutes from 1m to 24h");
	refuse(bench, "window", "25h", "whole minutes");
	accept(bench, "for", "0s");
	accept(bench, "keep", "1.5h");
	assert_true(bench->rule.keep_ns == 5400 * NS_PER_SEC);
	refuse(bench, "for", "8d", "from 0s to 7d");
	refuse(bench, "for", "5", "from 0s to 7d");
	accept(bench, "min_coverage", "70 %");
	assert_float_equal(bench->rule.min_coverage, 0.7, 1e-9);
	refuse(bench, "hysteresis", "1.5", "a share");
	refuse(bench, "min_count", "0", "a number from 1");
	refuse(bench, "min_count", "-1", "a number from 1");
	refuse(bench, "colour", "red", "is no key of an alert");
	refuse(bench, "service", "", "stands for any text");
}

static void labels_are_named_as_prometheus_does(void **state)
{
	struct bench *bench = *state;

	accept(bench, "label.severity", "page");
	accept(bench, "annotation.runbook", "https://wiki.example/slow?a=b");
	assert_string_equal(bench->rule.labels[0].name, "severity");
	assert_string_equal(bench->rule.annotations[0].value, "https://wiki.example/slow?a=b");
	refuse(bench, "label.a-b", "x", "letters, digits and underscores");
	refuse(bench, "label.1st", "x", "letters");
	refuse(bench, "label.__name__", "x", "letters");
	refuse(bench, "label.service", "x", "sets this label itself");
	refuse(bench, "label.severity", "x", "named once only");
	refuse(bench, "annotation.verdict", "x", "sets this annotation itself");
	for (unsigned i = 1; i < ALERT_MAX_TEXTS; i++) {
		const char key[] = { 'l', 'a', 'b', 'e', 'l', '.', (char)('a' + i), '\0' };

		accept(bench, key, "x");
	}
	refuse(bench, "label.more", "x", "at most 12");
}

static bool matches(const struct alert_rule *rule, const char *service, const char *operation)
{
	struct alert_subject subject = { str_of(service), str_of(operation), SPAN_KIND_SERVER };

	return alert_rule_matches(rule, &subject);
}

static void patterns_match_names_with_any_bytes(void **state)
{
	struct bench *bench = *state;
	struct alert_rule *rule = &bench->rule;

	assert_false(alert_rule_is_single(rule));
	accept(bench, "service", "shop");
	accept(bench, "operation", "GET */items/[id]*");
	assert_true(matches(rule, "shop", "GET /a/b/items/[id]"));
	assert_true(matches(rule, "shop", "GET /items/items/[id]/x"));
	assert_false(matches(rule, "shop", "GET /items/i"));
	assert_false(matches(rule, "shops", "GET /a/items/[id]"));
	accept(bench, "operation", "GET");
	assert_true(alert_rule_is_single(rule));
	assert_false(matches(rule, "shop", ""));
	accept(bench, "operation", "*");
	accept(bench, "kind", "client");
	assert_false(matches(rule, "shop", "GET"));
	accept(bench, "kind", "server");
	assert_true(matches(rule, "shop", "GET"));
	refuse(bench, "kind", "any", "server, client");
	accept(bench, "operation", "*a*a*a*a*a*a*a*a*b");
	assert_false(matches(rule, "shop", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void names_of_rules_are_plain(void **state)
{
	struct bench *bench = *state;
	struct alert_rule rule;

	assert_int_equal(alert_rule_init(&rule, STR("a-1.b_c"), &bench->message), 0);
	assert_int_equal(alert_rule_init(&rule, STR(""), &bench->message), -EINVAL);
	assert_int_equal(alert_rule_init(&rule, STR("A b"), &bench->message), -EINVAL);
	assert_int_equal(alert_rule_default(&rule), 0);
	assert_int_equal(alert_rule_check(&rule, &bench->message), 0);
	alert_rule_fini(&rule);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(conditions_name_figures_bounds_and_baselines),
		TEST(a_wrong_condition_is_refused_with_its_place),
		TEST(keys_have_units_and_ranges),
		TEST(labels_are_named_as_prometheus_does),
		TEST(patterns_match_names_with_any_bytes),
		TEST(names_of_rules_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
