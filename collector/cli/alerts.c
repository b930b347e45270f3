/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise alerts: what fires and why; `spanwise alerts test RULE`: when a rule would have. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/client.h"
#include "collector/cli/options.h"
#include "collector/cli/show.h"
#include "collector/cli/term.h"
#include "collector/commands.h"
#include "collector/config.h"

#define RULE_COLUMNS  16
#define STATE_COLUMNS 9

static enum term_colour colour_of(const char *state)
{
	if (strcmp(state, "firing") == 0)
		return TERM_RED;
	return strcmp(state, "resolved") == 0 ? TERM_GREEN : TERM_YELLOW;
}

static void put_note(const struct term *term, const struct json_value *alert, const char *key,
		     struct buf *out)
{
	const char *text = json_read_text(json_read_get(alert, "annotations"), key);
	unsigned indent = RULE_COLUMNS;

	if (!*text)
		return;
	buf_printf(out, "  %-*s ", (int)indent - 3, key);
	term_text(term, text, term->width - MIN(term->width, indent), false, out);
	buf_append_byte(out, '\n');
}

static void put_alert(const struct term *term, const struct json_value *alert, struct buf *out)
{
	static const char *const notes[] = { "condition",  "verdict",    "dominant_wait", "blocker",
					     "exemplar_1", "exemplar_2", "exemplar_3" };
	const char *state = json_read_text(alert, "state");
	char time[32];

	term_time(json_read_uint(alert, "since_unix_ns"), time);
	term_print(term, colour_of(state), out, "%-*s", STATE_COLUMNS, state);
	buf_append_byte(out, ' ');
	term_text(term, json_read_text(alert, "rule"), RULE_COLUMNS, true, out);
	buf_printf(out, " %.19s  ", time);
	term_text(term, json_read_text(alert, "service"), term->width, false, out);
	buf_append_byte(out, ' ');
	term_text(term, json_read_text(alert, "operation"), term->width, false, out);
	buf_append_byte(out, '\n');
	for (size_t i = 0; i < ARRAY_LEN(notes); i++)
		put_note(term, alert, notes[i], out);
}

static void put_counts(const struct json_value *root, struct buf *out)
{
	const struct json_value *counts = json_read_get(root, "counts"), *count;
	const char *name;
	void *cursor = NULL;
	bool is_first = true;

	buf_printf(out, "%" PRIu64 " rules, %" PRIu64 " operations:", json_read_uint(root, "rules"),
		   json_read_uint(root, "operations"));
	while ((count = json_read_next(counts, &cursor, &name))) {
		buf_printf(out, "%s %" PRIu64 " %s", is_first ? "" : ",", json_read_as_uint(count),
			   name);
		is_first = false;
	}
	buf_append_byte(out, '\n');
}

static int show_alerts(struct client *client, const struct term *term, const char *path)
{
	struct json_value *root;
	const struct json_value *alerts;
	struct buf out;

	if (client_get_json(client, path, &root) < 0)
		return show_failure(client);
	buf_init(&out, 0);
	alerts = json_read_get(root, "alerts");
	for (size_t i = 0; i < json_read_count(alerts); i++)
		put_alert(term, json_read_at(alerts, i), &out);
	put_counts(root, &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	json_read_free(root);
	return 0;
}

static void add(struct buf *path, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	buf_printf(path, "%c%s=", memchr(path->data, '?', path->len) ? '&' : '?', key);
	client_escape(path, value);
}

static void add_duration(struct buf *path, const char *key, uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 "ns", ns);
	add(path, key, text);
}

static void add_number(struct buf *path, const char *key, double number)
{
	char text[32];

	snprintf(text, sizeof(text), "%.17g", number);
	add(path, key, text);
}

static void add_keys(struct buf *path, const struct alert_rule *rule)
{
	add(path, "service", rule->service);
	add(path, "operation", rule->operation);
	add(path, "kind", rule->kind < 0 ? "*" : alert_rule_kind_name((unsigned)rule->kind));
	add(path, "when", rule->when);
	add_number(path, "min_count", (double)rule->min_count);
	add_number(path, "min_coverage", rule->min_coverage);
	add_number(path, "hysteresis", rule->hysteresis);
	add_duration(path, "window", rule->window_minutes * 60 * NS_PER_SEC);
	add_duration(path, "for", rule->for_ns);
	add_duration(path, "keep", rule->keep_ns);
}

/* A rule of a file, key by key, so that it can be tried before the daemon has it. */
static int add_rule(struct buf *path, const char *file, const char *name)
{
	struct config config;
	const struct alert_rule *rule;
	struct buf said;
	int rc;

	config_init(&config);
	buf_init(&said, 0);
	rc = config_read_file(&config, file, &said);
	if (rc == 0)
		rc = alert_rules_add_default(&config.alerts);
	rule = rc == 0 ? alert_rules_find(&config.alerts, str_of(name)) : NULL;
	if (rc < 0)
		fprintf(stderr, "%.*s", (int)said.len, said.len ? said.data : "");
	else if (!rule)
		fprintf(stderr, "spanwise: %s has no alert %s\n", file, name);
	if (rule)
		add_keys(path, rule);
	buf_fini(&said);
	config_fini(&config);
	return rule ? 0 : -1;
}

static void put_step(const struct term *term, const struct json_value *step, struct buf *out)
{
	const char *state = json_read_text(step, "state");
	char time[32];

	term_time(json_read_uint(step, "at_unix_ns"), time);
	buf_printf(out, "%.16s  ", time);
	term_print(term, colour_of(state), out, "%-12s", state);
	buf_append_byte(out, ' ');
	term_text(term, json_read_text(step, "service"), term->width, false, out);
	buf_append_byte(out, ' ');
	term_text(term, json_read_text(step, "operation"), term->width, false, out);
	buf_append_byte(out, '\n');
}

static int show_test(struct client *client, const struct term *term, const char *path)
{
	const struct json_value *steps;
	struct json_value *root;
	unsigned fired = 0;
	struct buf out;
	char time[32];

	if (client_get_json(client, path, &root) < 0)
		return show_failure(client);
	buf_init(&out, 0);
	steps = json_read_get(root, "steps");
	for (size_t i = 0; i < json_read_count(steps); i++) {
		const struct json_value *step = json_read_at(steps, i);

		fired += strcmp(json_read_text(step, "state"), "firing") == 0;
		put_step(term, step, &out);
	}
	term_time(json_read_uint(root, "until_unix_ns"), time);
	buf_printf(&out, "%s: %s\nwould have fired %u times until %.16s%s\n",
		   json_read_text(root, "rule"), json_read_text(root, "when"), fired, time,
		   json_read_bool(root, "truncated") ? ", where it was cut short: narrow it with "
						       "--from and --to"
						     : "");
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	json_read_free(root);
	return 0;
}

/* What was asked for. */
struct ask {
	const char *api, *state, *rule, *service, *from, *to, *config;
	const char *test; /* the rule to be tested; NULL: show alerts */
};

static int put_path(const struct ask *ask, struct buf *path)
{
	buf_append_text(path, ask->test ? "/api/v1/alerts/test" : "/api/v1/alerts");
	if (!ask->test) {
		add(path, "state", ask->state);
		add(path, "rule", ask->rule);
		add(path, "service", ask->service);
	} else if (ask->config && add_rule(path, ask->config, ask->test) < 0) {
		return -1;
	} else if (!ask->config) {
		add(path, "rule", ask->test);
	}
	if (ask->test) {
		add(path, "from", ask->from);
		add(path, "to", ask->to);
	}
	buf_append_byte(path, '\0');
	return buf_error(path);
}

static int run(const struct ask *ask, const struct term *term, bool json)
{
	struct client client;
	struct buf path;
	int rc = 2;

	buf_init(&path, 0);
	client_init(&client, ask->api);
	if (put_path(ask, &path) == 0) {
		if (json)
			rc = show_json(&client, path.data);
		else if (ask->test)
			rc = show_test(&client, term, path.data);
		else
			rc = show_alerts(&client, term, path.data);
	}
	client_fini(&client);
	buf_fini(&path);
	return rc;
}

int command_alerts(int argc, char **argv)
{
	struct ask ask = { 0 };
	const char *colour = NULL;
	bool json = false;
	const struct option_row rows[] = {
		{ "--state", "STATE", &ask.state, NULL,
		  "open (pending, firing, resolved), all, or one of them, no_data, low_coverage" },
		{ "--rule", "NAME", &ask.rule, NULL, "of this rule" },
		{ "--service", "NAME", &ask.service, NULL, "of this service" },
		{ "--config", "FILE", &ask.config, NULL, "test: the rule as it stands in FILE" },
		{ "--from", "TIME", &ask.from, NULL, "test: from here on; -24h" },
		{ "--to", "TIME", &ask.to, NULL, "test: up to here; now" },
		{ "--json", NULL, NULL, &json, "the API's answer as it is" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ "--api", "ADDR", &ask.api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise alerts [--state STATE] | spanwise alerts test RULE [--config FILE] "
		"[--from TIME]",
		"What fires, and why: the wait behind it, who ended it, and traces to look at.\n"
		"`test` evaluates a rule minute by minute over what is stored, and says when it\n"
		"would have fired.",
		rows, 2
	};
	struct term term;
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (words && (words != 2 || strcmp(argv[1], "test") != 0))
		return options_refuse(&options, "must be: alerts, or alerts test RULE");
	if (words)
		ask.test = argv[2];
	if (term_init(&term, colour) < 0)
		return 2;
	return run(&ask, &term, json);
}
