/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/alerts and /api/v1/alerts/test. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/alert/alert_event.h"
#include "collector/alert/alert_history.h"
#include "collector/alert/alerter.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/config.h"
#include "collector/daemon.h"
#include "collector/query.h"

#define SHOWN_MAX       1000 /* alerts, or steps of a test */
#define DEFAULT_TEST_NS (24 * 3600 * NS_PER_SEC)
#define STATE_OPEN      ALERT_STATE_COUNT       /* pending, firing, resolved */
#define STATE_ALL       (ALERT_STATE_COUNT + 1) /* and those that lack data */

static const char *state_name(unsigned state)
{
	if (state == STATE_OPEN)
		return "open";
	if (state == STATE_ALL)
		return "all";
	return state == ALERT_STATE_INACTIVE ? NULL : alert_state_name(state);
}

struct shown {
	char order[2 * ALERT_PATTERN_BYTES]; /* what they are sorted by */
	struct buf text;
};

struct list {
	struct shown *items; /* owned */
	size_t count;
	uint64_t matching;
	int state; /* enum alert_state, STATE_OPEN or STATE_ALL */
	struct str rule, service;
	const char *url;
};

static bool is_wanted(const struct list *list, const struct alert *alert)
{
	enum alert_state state = alert->life.state;

	if ((list->rule.len && !str_eq(list->rule, str_of(alert->rule->name))) ||
	    (list->service.len && !str_eq(list->service, str_of(alert->service))))
		return false;
	if (list->state == STATE_OPEN)
		return state == ALERT_STATE_PENDING || state == ALERT_STATE_FIRING ||
		       state == ALERT_STATE_RESOLVED;
	return list->state == STATE_ALL || (int)state == list->state;
}

/* Copied as text: the alert is ours only during the visit. */
static int on_alert(const struct alert *alert, void *arg)
{
	struct list *list = arg;
	struct shown *shown = &list->items[list->count];
	struct json json;

	if (!is_wanted(list, alert))
		return 0;
	list->matching++;
	if (list->count == SHOWN_MAX)
		return 0;
	buf_init(&shown->text, 0);
	json_init(&json, &shown->text);
	alert_event_write(&json, NULL, alert, list->url);
	if (buf_error(&shown->text))
		return buf_error(&shown->text);
	snprintf(shown->order, sizeof(shown->order), "%c%s\n%s\n%s",
		 alert->life.state == ALERT_STATE_FIRING ? '0' : '1' + (char)alert->life.state,
		 alert->rule->name, alert->service, alert->operation);
	list->count++;
	return 0;
}

static int by_order(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;

	return strcmp(x->order, y->order);
}

static void put_counts(struct json *json, const struct alerter_stats *stats)
{
	json_object(json, "counts");
	for (unsigned i = ALERT_STATE_PENDING; i < ALERT_STATE_COUNT; i++)
		json_uint(json, alert_state_name(i), stats->alerts.states[i]);
	json_end(json);
	json_uint(json, "rules", stats->rules);
	json_uint(json, "operations", stats->operations);
	json_time(json, "evaluated_unix_ns", stats->last_unix_ns);
	json_object(json, "delivery");
	json_uint(json, "queued", stats->courier.queued);
	json_uint(json, "delivered", stats->courier.delivered);
	json_uint(json, "failed", stats->courier.failed);
	json_uint(json, "dropped", stats->courier.dropped);
	json_end(json);
}

static void put_list(struct query *query, struct list *list)
{
	struct alerter_stats stats;
	struct json json;

	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), by_order);
	alerter_stats(daemon_alerter(query->daemon), &stats);
	json_init(&json, &query->answer->body);
	json_object(&json, NULL);
	json_array(&json, "alerts");
	for (size_t i = 0; i < list->count; i++)
		json_raw(&json, NULL, buf_str(&list->items[i].text));
	json_end(&json);
	json_bool(&json, "truncated", list->matching > list->count);
	put_counts(&json, &stats);
	json_end(&json);
}

void alerts_query(struct query *query)
{
	struct alerter *alerter = daemon_alerter(query->daemon);
	struct list list = { .items = calloc(SHOWN_MAX + 1, sizeof(*list.items)) };
	int rc;

	list.state = params_choice(query->params, "state", state_name, STATE_ALL + 1, STATE_OPEN);
	list.rule = params_text(query->params, "rule");
	list.service = params_text(query->params, "service");
	list.url = alerter_url(alerter);
	if (query_check(query) == 0) {
		rc = list.items ? alert_book_each(alerter_book(alerter), on_alert, &list) : -ENOMEM;
		if (rc < 0)
			answer_fail(query->answer, 503, "no_memory", "out of memory");
		else
			put_list(query, &list);
	}
	for (size_t i = 0; i < list.count; i++)
		buf_fini(&list.items[i].text);
	free(list.items);
}

struct test {
	struct json *json;
	size_t count;
};

static int on_step(const struct alert_subject *subject, const struct alert_life *life,
		   const struct alert_verdict *verdict, uint64_t at_unix_ns, void *arg)
{
	struct test *test = arg;
	struct json *json = test->json;

	(void)verdict;
	if (test->count++ == SHOWN_MAX)
		return 1;
	json_object(json, NULL);
	json_time(json, "at_unix_ns", at_unix_ns);
	json_str(json, "service", subject->service);
	json_str(json, "operation", subject->operation);
	json_text(json, "kind", alert_rule_kind_name(subject->kind));
	json_text(json, "state", alert_state_name(life->state));
	json_end(json);
	return buf_error(json->buf);
}

static void run_test(struct query *query, const struct alert_rule *rule, uint64_t from, uint64_t to)
{
	struct json json;
	struct test test = { .json = &json };
	struct alert_history_options options = {
		.rule = rule,
		.from_unix_ns = from,
		.to_unix_ns = to,
		.deadline_mono_ns = clock_mono_ns() + QUERY_DEADLINE_NS,
		.visit = on_step,
		.arg = &test,
	};
	uint64_t until;
	int rc;

	json_init(&json, &query->answer->body);
	json_object(&json, NULL);
	json_text(&json, "rule", rule->name);
	json_text(&json, "when", rule->when);
	json_array(&json, "steps");
	rc = alert_history_run(daemon_store(query->daemon), &options, &until);
	if (rc < 0)
		return answer_fail(query->answer, 500, "storage",
				   "what is stored cannot be read: %s", strerror(-rc));
	json_end(&json);
	json_time(&json, "from_unix_ns", from);
	json_time(&json, "until_unix_ns", until);
	json_bool(&json, "truncated", rc == 1 || until + 60 * NS_PER_SEC <= to);
	json_end(&json);
}

/* The keys of a rule as parameters, over those of the configured rule `rule`, if it is named. */
static int read_rule(struct query *query, struct alert_rule *rule)
{
	static const char *const keys[] = { "service",   "operation",    "kind", "window",
					    "min_count", "min_coverage", "when", "for",
					    "keep",      "hysteresis" };
	struct params *params = query->params;
	struct buf said;
	int rc = 0;

	buf_init(&said, 0);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct str value = params_text(params, keys[i]);
		char text[ALERT_PATTERN_BYTES];

		if (value.len == 0)
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)value.len, value.data);
		buf_clear(&said);
		if (value.len >= sizeof(text) || alert_rule_set(rule, keys[i], text, &said) < 0)
			params_complain(params, "'%s': %.*s", keys[i], (int)said.len,
					said.len ? said.data : "");
	}
	buf_clear(&said);
	if (alert_rule_check(rule, &said) < 0)
		params_complain(params, "'when' must be given, or 'rule'");
	rc = query_check(query);
	buf_fini(&said);
	return rc;
}

void alerts_query_test(struct query *query)
{
	const struct config *config = daemon_config(query->daemon);
	struct str name = params_text(query->params, "rule");
	uint64_t to = params_time(query->params, "to", query->params->now_unix_ns);
	uint64_t from = params_time(query->params, "from", to - DEFAULT_TEST_NS);
	const struct alert_rule *known = alert_rules_find(&config->alerts, name);
	struct alert_rule rule;
	struct buf said;

	buf_init(&said, 0);
	if (known)
		rule = *known;
	else
		(void)alert_rule_init(&rule, STR("test"), &said);
	buf_fini(&said);
	/* The texts stay with the configuration. */
	rule.label_count = rule.annotation_count = 0;
	if (to <= from)
		params_complain(query->params, "'to' must be later than 'from'");
	if (name.len && !known)
		return answer_fail(query->answer, 404, "no_such_rule",
				   "no alert %.*s is configured", (int)name.len, name.data);
	if (read_rule(query, &rule) == 0)
		run_test(query, &rule, from, to);
}
