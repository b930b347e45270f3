/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_entry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/json.h"
#include "collector/base/json_read.h"

#define FIGURE_DECIMALS 9 /* of a share; durations are whole ns */

struct alert *alert_entry_new(const struct alert_rule *rule, const struct alert_subject *subject)
{
	struct alert *alert = calloc(1, sizeof(*alert));
	size_t service_len = subject->service.len, operation_len = subject->operation.len;
	char *names = malloc(service_len + operation_len + 2);

	if (!alert || !names) {
		free(alert);
		free(names);
		return NULL;
	}
	*alert = (struct alert){
		.rule = rule,
		.service = names,
		.operation = names + service_len + 1,
		.kind = subject->kind,
	};
	if (service_len)
		memcpy(alert->service, subject->service.data, service_len);
	alert->service[service_len] = '\0';
	if (operation_len)
		memcpy(alert->operation, subject->operation.data, operation_len);
	alert->operation[operation_len] = '\0';
	return alert;
}

void alert_entry_free(struct alert *alert)
{
	if (!alert)
		return;
	free(alert->service);
	free(alert->evidence);
	free(alert);
}

static uint64_t hash(const struct alert *alert, uint64_t seed)
{
	seed = map_hash(alert->rule->name, strlen(alert->rule->name), seed);
	seed = map_hash(&alert->kind, sizeof(alert->kind), seed);
	seed = map_hash(alert->service, strlen(alert->service), seed);
	return map_hash(alert->operation, strlen(alert->operation), seed);
}

void alert_entry_id(const struct alert *alert, uint64_t salt, char out_id[ALERT_ENTRY_ID_HEX + 1])
{
	snprintf(out_id, ALERT_ENTRY_ID_HEX + 1, "%016" PRIx64 "%016" PRIx64,
		 hash(alert, 2 * salt + 1), hash(alert, 2 * salt + 2));
}

/* Names may be longer than a key. */
static struct str put_key(const struct alert *alert, char key[64])
{
	char id[ALERT_ENTRY_ID_HEX + 1];

	alert_entry_id(alert, 0, id);
	snprintf(key, 64, ALERT_ENTRY_PREFIX "%s", id);
	return str_of(key);
}

void alert_entry_remove(const struct alert *alert, struct alert_batch *batch)
{
	char key[64];

	alert_batch_remove(batch, put_key(alert, key));
}

/* What it says before it is evaluated again. */
static void put_figures(struct json *json, const struct alert *alert)
{
	unsigned count = alert->has_figures ? alert->rule->term_count : 0;

	json_uint(json, "spans", alert->window.spans);
	json_uint(json, "covered", alert->window.covered);
	json_text(json, "when", alert->rule->when);
	json_array(json, "figures");
	for (unsigned i = 0; i < count; i++)
		json_double(json, NULL, alert->verdict.figures[i], FIGURE_DECIMALS);
	json_end(json);
	json_array(json, "bounds");
	for (unsigned i = 0; i < count; i++)
		json_double(json, NULL, alert->verdict.bounds[i], FIGURE_DECIMALS);
	json_end(json);
}

void alert_entry_put(const struct alert *alert, struct alert_batch *batch)
{
	struct json json;
	struct buf text;
	char key[64];

	buf_init(&text, 0);
	json_init(&json, &text);
	json_object(&json, NULL);
	json_text(&json, "rule", alert->rule->name);
	json_text(&json, "service", alert->service);
	json_text(&json, "operation", alert->operation);
	json_uint(&json, "kind", alert->kind);
	json_text(&json, "state", alert_state_name(alert->life.state));
	json_time(&json, "since_unix_ns", alert->life.since_unix_ns);
	json_time(&json, "fired_unix_ns", alert->life.fired_unix_ns);
	json_time(&json, "ended_unix_ns", alert->life.ended_unix_ns);
	json_time(&json, "better_unix_ns", alert->life.better_unix_ns);
	put_figures(&json, alert);
	if (alert->evidence)
		json_text(&json, "evidence", alert->evidence);
	json_end(&json);
	if (!buf_error(&text))
		alert_batch_put(batch, put_key(alert, key), buf_str(&text));
	else
		batch->error = buf_error(&text);
	buf_fini(&text);
}

/* -1: no state of ours. */
static int state_of(const char *name)
{
	for (int i = 0; i < ALERT_STATE_COUNT; i++) {
		if (strcmp(alert_state_name(i), name) == 0)
			return i;
	}
	return -1;
}

/* Those of a rule that asks something else now say nothing. */
static void read_figures(const struct json_value *root, struct alert *alert)
{
	const struct json_value *figures = json_read_get(root, "figures");
	const struct json_value *bounds = json_read_get(root, "bounds");
	unsigned count = alert->rule->term_count;

	alert->window.spans = json_read_uint(root, "spans");
	alert->window.covered = json_read_uint(root, "covered");
	if (json_read_count(figures) != count || json_read_count(bounds) != count ||
	    strcmp(json_read_text(root, "when"), alert->rule->when) != 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		alert->verdict.figures[i] = json_read_as_double(json_read_at(figures, i));
		alert->verdict.bounds[i] = json_read_as_double(json_read_at(bounds, i));
	}
	alert->has_figures = true;
}

static int read_life(const struct json_value *root, struct alert *alert)
{
	const char *evidence = json_read_text(root, "evidence");
	int state = state_of(json_read_text(root, "state"));

	if (state < 0)
		return -EBADMSG;
	alert->life = (struct alert_life){
		.state = state,
		.since_unix_ns = json_read_uint(root, "since_unix_ns"),
		.fired_unix_ns = json_read_uint(root, "fired_unix_ns"),
		.ended_unix_ns = json_read_uint(root, "ended_unix_ns"),
		.better_unix_ns = json_read_uint(root, "better_unix_ns"),
	};
	read_figures(root, alert);
	if (!*evidence)
		return 0;
	alert->evidence = strdup(evidence);
	return alert->evidence ? 0 : -ENOMEM;
}

int alert_entry_read(struct str value, const struct alert_rules *rules, struct alert **out_alert)
{
	const struct alert_rule *rule;
	struct json_value *root = NULL;
	struct alert_subject subject;
	struct alert *alert = NULL;
	int rc = json_read(value, &root, NULL);

	if (rc < 0)
		return rc;
	rule = alert_rules_find(rules, str_of(json_read_text(root, "rule")));
	subject = (struct alert_subject){ str_of(json_read_text(root, "service")),
					  str_of(json_read_text(root, "operation")),
					  (uint8_t)json_read_uint(root, "kind") };
	if (rule)
		alert = alert_entry_new(rule, &subject);
	rc = !rule ? -ENOENT : !alert ? -ENOMEM : read_life(root, alert);
	json_read_free(root);
	if (rc < 0)
		alert_entry_free(alert);
	else
		*out_alert = alert;
	return rc;
}
