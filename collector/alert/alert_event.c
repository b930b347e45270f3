/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "collector/alert/alert_entry.h"
#include "collector/base/json_read.h"
#include "collector/base/macros.h"

#define SALT_FIRED 1
#define SALT_ENDED 2

/* A figure as people read it: "38 %", "612 ms". */
static void put_figure(struct buf *out, const struct alert_term *term, double value)
{
	if (term->figure != FIGURE_WALL)
		buf_printf(out, "%.3g %%", 100 * value);
	else if (value >= 1e9)
		buf_printf(out, "%.3g s", value / 1e9);
	else
		buf_printf(out, "%.3g ms", value / 1e6);
}

/* "ratio 6.2 % < 30 %, wall_p99 612 ms > 150 ms" */
static void put_condition_text(struct buf *out, const struct alert *alert)
{
	for (unsigned i = 0; alert->has_figures && i < alert->rule->term_count; i++) {
		const struct alert_term *term = &alert->rule->terms[i];

		buf_append_text(out, i ? ", " : "");
		alert_term_name(term, out);
		buf_append_byte(out, ' ');
		put_figure(out, term, alert->verdict.figures[i]);
		buf_append_text(out, term->is_above ? " > " : " < ");
		put_figure(out, term, alert->verdict.bounds[i]);
	}
}

static void put_buf(struct json *json, const char *key, struct buf *text)
{
	if (text->len)
		json_str(json, key, buf_str(text));
	buf_clear(text);
}

static void put_wait_text(struct buf *out, const struct json_value *evidence)
{
	const struct json_value *wait = json_read_get(evidence, "dominant_wait");
	const struct json_value *stack = json_read_get(wait, "stack");

	if (json_read_is_null(wait))
		return;
	buf_printf(out, "%s %s: %.0f %% of wall time, %s", json_read_text(wait, "reason"),
		   json_read_text(wait, "target"),
		   100 * json_read_double(evidence, "dominant_share"),
		   json_read_text(wait, "decided_by"));
	for (size_t i = 0; i < json_read_count(stack); i++)
		buf_printf(out, "%s%s", i ? " < " : ", in ",
			   json_read_as_text(json_read_at(stack, i)));
}

/* Who ended the wait last, and most. */
static void put_blocker_text(struct buf *out, const struct json_value *evidence)
{
	const struct json_value *wait = json_read_get(evidence, "dominant_wait");
	const struct json_value *waker = json_read_at(json_read_get(wait, "wakers"), 0);
	const char *span = json_read_text(waker, "span_id");

	if (json_read_is_null(waker))
		return;
	if (strcmp(json_read_text(waker, "kind"), "thread") == 0)
		buf_printf(out, "%s (pid %" PRIu64 ", thread %" PRIu64 ")",
			   json_read_text(waker, "comm"), json_read_uint(waker, "pid"),
			   json_read_uint(waker, "tid"));
	else
		buf_append_text(out, json_read_text(waker, "kind"));
	if (*span)
		buf_printf(out, " in trace %s span %s", json_read_text(waker, "trace_id"), span);
}

static void put_annotations(struct json *json, const struct alert *alert,
			    const struct json_value *evidence)
{
	const struct json_value *exemplars = json_read_get(evidence, "exemplars");
	struct buf text;

	buf_init(&text, 0);
	json_object(json, "annotations");
	buf_printf(&text, "%s: %s %s", alert->rule->name, alert->service, alert->operation);
	put_buf(json, "summary", &text);
	put_condition_text(&text, alert);
	put_buf(json, "condition", &text);
	buf_append_text(&text, json_read_text(json_read_get(evidence, "verdict"), "text"));
	put_buf(json, "verdict", &text);
	put_wait_text(&text, evidence);
	put_buf(json, "dominant_wait", &text);
	put_blocker_text(&text, evidence);
	put_buf(json, "blocker", &text);
	for (size_t i = 0; i < json_read_count(exemplars); i++) {
		char key[32];

		snprintf(key, sizeof(key), "exemplar_%zu", i + 1);
		json_text(json, key, json_read_text(json_read_at(exemplars, i), "link"));
	}
	for (unsigned i = 0; i < alert->rule->annotation_count; i++)
		json_text(json, alert->rule->annotations[i].name,
			  alert->rule->annotations[i].value);
	json_end(json);
	buf_fini(&text);
}

static void put_labels(struct json *json, const struct alert *alert)
{
	json_object(json, "labels");
	json_text(json, "alertname", alert->rule->name);
	json_text(json, "service", alert->service);
	json_text(json, "operation", alert->operation);
	if (*alert_rule_kind_name(alert->kind))
		json_text(json, "kind", alert_rule_kind_name(alert->kind));
	for (unsigned i = 0; i < alert->rule->label_count; i++)
		json_text(json, alert->rule->labels[i].name, alert->rule->labels[i].value);
	json_end(json);
}

/* null: it was never evaluated over enough data. */
static void put_number(struct json *json, const char *key, const struct alert *alert, double value)
{
	if (alert->has_figures)
		json_double(json, key, value, 4);
	else
		json_null(json, key);
}

static void put_condition(struct json *json, const struct alert *alert)
{
	json_array(json, "condition");
	for (unsigned i = 0; i < alert->rule->term_count; i++) {
		struct buf name;

		buf_init(&name, 0);
		alert_term_name(&alert->rule->terms[i], &name);
		json_object(json, NULL);
		json_str(json, "figure", buf_str(&name));
		put_number(json, "value", alert, alert->verdict.figures[i]);
		put_number(json, "bound", alert, alert->verdict.bounds[i]);
		json_bool(json, "is_above", alert->rule->terms[i].is_above);
		json_end(json);
		buf_fini(&name);
	}
	json_end(json);
}

static void put_id(struct json *json, const struct alert *alert)
{
	const struct alert_life *life = &alert->life;
	char id[ALERT_ENTRY_ID_HEX + 1];

	alert_entry_id(alert,
		       4 * life->fired_unix_ns + (life->ended_unix_ns ? SALT_ENDED : SALT_FIRED),
		       id);
	json_text(json, "id", id);
}

static void put_times(struct json *json, const struct alert_life *life)
{
	if (life->fired_unix_ns)
		json_time(json, "started_unix_ns", life->fired_unix_ns);
	else
		json_null(json, "started_unix_ns");
	if (life->ended_unix_ns)
		json_time(json, "ended_unix_ns", life->ended_unix_ns);
	else
		json_null(json, "ended_unix_ns");
	json_time(json, "since_unix_ns", life->since_unix_ns);
}

/* People are told of two: it fires, it is over. */
static const char *status_of(const struct alert_life *life)
{
	if (life->state == ALERT_STATE_FIRING)
		return "firing";
	return life->ended_unix_ns ? "resolved" : "none";
}

void alert_event_write(struct json *json, const char *key, const struct alert *alert,
		       const char *url)
{
	struct json_value *evidence = NULL;
	struct buf link;

	if (alert->evidence)
		(void)json_read(str_of(alert->evidence), &evidence, NULL);
	buf_init(&link, 0);
	buf_printf(&link, "%s/api/v1/alerts?rule=%s", url, alert->rule->name);
	json_object(json, key);
	put_id(json, alert);
	json_text(json, "status", status_of(&alert->life));
	json_text(json, "state", alert_state_name(alert->life.state));
	json_text(json, "rule", alert->rule->name);
	json_text(json, "when", alert->rule->when);
	json_text(json, "service", alert->service);
	json_text(json, "operation", alert->operation);
	json_text(json, "kind", alert_rule_kind_name(alert->kind));
	put_labels(json, alert);
	put_annotations(json, alert, evidence);
	put_times(json, &alert->life);
	put_condition(json, alert);
	json_uint(json, "spans", alert->window.spans);
	json_uint(json, "covered", alert->window.covered);
	if (evidence)
		json_raw(json, "evidence", str_of(alert->evidence));
	else
		json_null(json, "evidence");
	json_str(json, "link", buf_str(&link));
	json_end(json);
	buf_fini(&link);
	json_read_free(evidence);
}

/* "2026-11-22T18:00:00.000Z" */
static void put_rfc3339(struct json *json, const char *key, uint64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / NS_PER_SEC);
	char text[40];
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, sizeof(text), "%FT%T", &tm);
	snprintf(text + len, sizeof(text) - len, ".%03uZ",
		 (unsigned)(unix_ns % NS_PER_SEC / NS_PER_MS));
	json_text(json, key, text);
}

static void copy_texts(struct json *json, const char *key, const struct json_value *texts)
{
	const struct json_value *text;
	const char *name;
	void *cursor = NULL;

	json_object(json, key);
	while ((text = json_read_next(texts, &cursor, &name)))
		json_text(json, name, json_read_as_text(text));
	json_end(json);
}

void alert_event_to_alertmanager(struct json *json, const struct json_value *event,
				 uint64_t ends_unix_ns)
{
	uint64_t ended_unix_ns = json_read_uint(event, "ended_unix_ns");

	json_object(json, NULL);
	copy_texts(json, "labels", json_read_get(event, "labels"));
	copy_texts(json, "annotations", json_read_get(event, "annotations"));
	put_rfc3339(json, "startsAt", json_read_uint(event, "started_unix_ns"));
	put_rfc3339(json, "endsAt", ended_unix_ns ? ended_unix_ns : ends_unix_ns);
	json_text(json, "generatorURL", json_read_text(event, "link"));
	json_end(json);
}
