/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_rules.h"

#include <errno.h>
#include <stdlib.h>

void alert_rules_fini(struct alert_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		alert_rule_fini(&rules->items[i]);
	free(rules->items);
	*rules = (struct alert_rules){ 0 };
}

const struct alert_rule *alert_rules_find(const struct alert_rules *rules, struct str name)
{
	for (size_t i = 0; i < rules->count; i++) {
		if (str_eq(str_of(rules->items[i].name), name))
			return &rules->items[i];
	}
	return NULL;
}

static struct alert_rule *new_rule(struct alert_rules *rules)
{
	size_t cap = rules->cap ? 2 * rules->cap : 8;
	struct alert_rule *items;

	if (rules->count < rules->cap)
		return &rules->items[rules->count];
	items = reallocarray(rules->items, cap, sizeof(*items));
	if (!items)
		return NULL;
	rules->items = items;
	rules->cap = cap;
	return &items[rules->count];
}

int alert_rules_add(struct alert_rules *rules, struct str name, struct alert_rule **out_rule,
		    struct buf *message)
{
	struct alert_rule *rule;
	int rc;

	if (rules->count == ALERT_MAX_RULES) {
		buf_printf(message, "there are more than %d alerts\n", ALERT_MAX_RULES);
		return -EINVAL;
	}
	if (alert_rules_find(rules, name)) {
		buf_printf(message, "there is an alert %.*s already\n", (int)name.len, name.data);
		return -EINVAL;
	}
	rule = new_rule(rules);
	if (!rule)
		return -ENOMEM;
	rc = alert_rule_init(rule, name, message);
	if (rc < 0) {
		buf_append_byte(message, '\n');
		return rc;
	}
	rules->count++;
	*out_rule = rule;
	return 0;
}

int alert_rules_add_default(struct alert_rules *rules)
{
	struct alert_rule *rule = new_rule(rules);
	int rc;

	if (!rule)
		return -ENOMEM;
	rc = alert_rule_default(rule);
	if (rc == 0 && !alert_rules_find(rules, str_of(rule->name)))
		rules->count++;
	else
		alert_rule_fini(rule);
	return rc;
}

int alert_rules_check(const struct alert_rules *rules, struct buf *message)
{
	int rc = 0;

	for (size_t i = 0; i < rules->count; i++) {
		if (alert_rule_check(&rules->items[i], message) == 0)
			continue;
		buf_append_byte(message, '\n');
		rc = -EINVAL;
	}
	return rc;
}

void alert_rules_sample(struct buf *out)
{
	struct alert_rule rule;

	if (alert_rule_default(&rule) < 0)
		return;
	buf_append_text(
		out,
		"\n# Alerts: a section each, at the end of the file. This one is there "
		"already; one of the\n# same name takes its place. Try a rule on what is "
		"stored: `spanwise alerts test NAME --config FILE`.\n"
		"#   when     TERM and TERM ...; a TERM is FIGURE < or > VALUE\n"
		"#   FIGURE   ratio, runnable, blocked, blocked.REASON, elsewhere: shares of "
		"wall time;\n"
		"#            errors: share of spans; wall_p50, wall_p90, wall_p95, wall_p99\n"
		"#   VALUE    0.3, 30 % or 250ms; or FACTOR * hour (the hour before), yesterday "
		"(the same\n"
		"#            window), before (yesterday once there is one, else the hour)\n");
	buf_printf(out,
		   "#[alert %s]\n"
		   "#service = %s\n"
		   "#operation = %s\n"
		   "#kind = *\n"
		   "#window = %um\n"
		   "#min_count = %u\n"
		   "#min_coverage = %.0f %%\n"
		   "#when = %s\n"
		   "#for = %us\n"
		   "#keep = %us\n"
		   "#hysteresis = %.0f %%\n",
		   rule.name, rule.service, rule.operation, rule.window_minutes,
		   (unsigned)rule.min_count, 100 * rule.min_coverage, rule.when,
		   (unsigned)(rule.for_ns / 1000000000), (unsigned)(rule.keep_ns / 1000000000),
		   100 * rule.hysteresis);
	for (unsigned i = 0; i < rule.label_count; i++)
		buf_printf(out, "#label.%s = %s\n", rule.labels[i].name, rule.labels[i].value);
	alert_rule_fini(&rule);
}
