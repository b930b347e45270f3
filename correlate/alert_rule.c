/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/alert_rule.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/alert_condition.h"

#define MAX_WINDOW_MINUTES (24 * 60)
#define MAX_HOLD_NS        (7 * 86400 * NS_PER_SEC)
#define MAX_VALUE_BYTES    1024
#define LABEL_BYTES        64

int alert_rule_init(struct alert_rule *rule, struct str name, struct buf *message)
{
	*rule = (struct alert_rule){
		.service = "*",
		.operation = "*",
		.kind = -1,
		.window_minutes = 5,
		.min_count = 30,
		.min_coverage = 0.5,
		.hysteresis = 0.1,
		.for_ns = 120 * NS_PER_SEC,
		.keep_ns = 300 * NS_PER_SEC,
	};
	for (size_t i = 0; i < name.len; i++) {
		if (!islower((unsigned char)name.data[i]) &&
		    !isdigit((unsigned char)name.data[i]) && !strchr("-._", name.data[i]))
			name.len = 0;
	}
	if (name.len == 0 || name.len >= sizeof(rule->name)) {
		buf_printf(message,
			   "the name of a rule must be 1 to %d lower-case letters, digits, dashes "
			   "or dots",
			   ALERT_NAME_BYTES - 1);
		return -EINVAL;
	}
	memcpy(rule->name, name.data, name.len);
	return 0;
}

void alert_rule_fini(struct alert_rule *rule)
{
	for (unsigned i = 0; i < rule->label_count; i++)
		free(rule->labels[i].name);
	for (unsigned i = 0; i < rule->annotation_count; i++)
		free(rule->annotations[i].name);
	rule->label_count = rule->annotation_count = 0;
}

static int refuse(struct buf *message, const char *must)
{
	buf_printf(message, "must be %s", must);
	return -EINVAL;
}

static int set_pattern(char *field, size_t size, const char *value, struct buf *message)
{
	size_t len = strlen(value);

	if (len == 0 || len >= size)
		return refuse(message, "a name, in which * stands for any text");
	memcpy(field, value, len + 1);
	return 0;
}

static int set_kind(struct alert_rule *rule, const char *value, struct buf *message)
{
	if (strcmp(value, "*") == 0) {
		rule->kind = -1;
		return 0;
	}
	for (int kind = SPAN_KIND_INTERNAL; kind <= SPAN_KIND_CONSUMER; kind++) {
		if (strcmp(value, alert_rule_kind_name((unsigned)kind)) == 0) {
			rule->kind = kind;
			return 0;
		}
	}
	return refuse(message, "server, client, internal, producer, consumer or *");
}

static int set_window(struct alert_rule *rule, const char *value, struct buf *message)
{
	double minute = 60.0 * NS_PER_SEC, ns;

	if (alert_duration_parse(value, &ns) < 0 || ns < minute ||
	    ns > MAX_WINDOW_MINUTES * minute || (uint64_t)ns % (60 * NS_PER_SEC) != 0)
		return refuse(message, "whole minutes from 1m to 24h");
	rule->window_minutes = (uint32_t)(ns / minute);
	return 0;
}

static int set_hold(uint64_t *field, const char *value, struct buf *message)
{
	double ns;

	if (alert_duration_parse(value, &ns) < 0 || ns > (double)MAX_HOLD_NS)
		return refuse(message, "a duration from 0s to 7d");
	*field = (uint64_t)ns;
	return 0;
}

static int set_share(double *field, const char *value, struct buf *message)
{
	return alert_share_parse(value, field) < 0 ? refuse(message, "a share from 0 % to 100 %")
						   : 0;
}

static int set_count(struct alert_rule *rule, const char *value, struct buf *message)
{
	char *end;
	unsigned long long count = strtoull(value, &end, 10);

	if (!isdigit((unsigned char)*value) || *end || count == 0 || count > 1000000000)
		return refuse(message, "a number from 1 to 1000000000");
	rule->min_count = count;
	return 0;
}

static int set_when(struct alert_rule *rule, const char *value, struct buf *message)
{
	size_t len = strlen(value);
	int rc;

	if (len >= sizeof(rule->when))
		return refuse(message, "shorter");
	rc = alert_condition_parse(rule, value, message);
	if (rc < 0)
		rule->term_count = 0;
	else
		memcpy(rule->when, value, len + 1);
	return rc;
}

/* As Prometheus names labels. */
static bool is_label(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if (!isalpha((unsigned char)name[i]) && name[i] != '_' &&
		    (i == 0 || !isdigit((unsigned char)name[i])))
			return false;
	}
	return len > 0 && len < LABEL_BYTES && strncmp(name, "__", 2) != 0;
}

static int set_text(struct alert_text *texts, unsigned *count, const char *name, const char *value,
		    struct buf *message)
{
	size_t name_bytes = strlen(name) + 1, value_bytes = strlen(value) + 1;
	char *memory;

	if (!is_label(name))
		return refuse(message, "named by letters, digits and underscores");
	for (unsigned i = 0; i < *count; i++) {
		if (strcmp(texts[i].name, name) == 0)
			return refuse(message, "named once only");
	}
	if (value_bytes > MAX_VALUE_BYTES || value_bytes == 1)
		return refuse(message, "a text of 1 to 1023 bytes");
	if (*count == ALERT_MAX_TEXTS)
		return refuse(message, "one of at most 12");
	memory = malloc(name_bytes + value_bytes);
	if (!memory)
		return -ENOMEM;
	memcpy(memory, name, name_bytes);
	memcpy(memory + name_bytes, value, value_bytes);
	texts[(*count)++] = (struct alert_text){ memory, memory + name_bytes };
	return 0;
}

static bool is_own(const char *const *own, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, own[i]) == 0)
			return true;
	}
	return false;
}

/* The labels that say which alert it is are ours, and so are the annotations that say why. */
static int set_label(struct alert_rule *rule, const char *name, const char *value,
		     struct buf *message)
{
	static const char *const own[] = { "alertname", "service", "operation", "kind" };

	if (is_own(own, ARRAY_LEN(own), name))
		return refuse(message, "another name: spanwise sets this label itself");
	return set_text(rule->labels, &rule->label_count, name, value, message);
}

static int set_annotation(struct alert_rule *rule, const char *name, const char *value,
			  struct buf *message)
{
	static const char *const own[] = { "summary", "condition",  "verdict",    "dominant_wait",
					   "blocker", "exemplar_1", "exemplar_2", "exemplar_3" };

	if (is_own(own, ARRAY_LEN(own), name))
		return refuse(message, "another name: spanwise sets this annotation itself");
	return set_text(rule->annotations, &rule->annotation_count, name, value, message);
}

int alert_rule_set(struct alert_rule *rule, const char *key, const char *value, struct buf *message)
{
	if (strncmp(key, "label.", 6) == 0)
		return set_label(rule, key + 6, value, message);
	if (strncmp(key, "annotation.", 11) == 0)
		return set_annotation(rule, key + 11, value, message);
	if (strcmp(key, "service") == 0)
		return set_pattern(rule->service, sizeof(rule->service), value, message);
	if (strcmp(key, "operation") == 0)
		return set_pattern(rule->operation, sizeof(rule->operation), value, message);
	if (strcmp(key, "kind") == 0)
		return set_kind(rule, value, message);
	if (strcmp(key, "window") == 0)
		return set_window(rule, value, message);
	if (strcmp(key, "min_count") == 0)
		return set_count(rule, value, message);
	if (strcmp(key, "min_coverage") == 0)
		return set_share(&rule->min_coverage, value, message);
	if (strcmp(key, "hysteresis") == 0)
		return set_share(&rule->hysteresis, value, message);
	if (strcmp(key, "for") == 0)
		return set_hold(&rule->for_ns, value, message);
	if (strcmp(key, "keep") == 0)
		return set_hold(&rule->keep_ns, value, message);
	if (strcmp(key, "when") == 0)
		return set_when(rule, value, message);
	buf_append_text(message,
			"is no key of an alert: they are service, operation, kind, window, "
			"min_count, min_coverage, when, for, keep, hysteresis, "
			"label.NAME, annotation.NAME");
	return -EINVAL;
}

int alert_rule_check(const struct alert_rule *rule, struct buf *message)
{
	if (rule->term_count)
		return 0;
	buf_printf(message, "alert %s has no valid `when`, such as: when = ratio < 0.30",
		   rule->name);
	return -EINVAL;
}

/* * stands for any text. One place to go back to is enough: the last star may always take more. */
static bool matches(const char *pattern, struct str text)
{
	const char *star = NULL;
	size_t at = 0, resume = 0;

	while (at < text.len) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = at;
		} else if (*pattern && *pattern == text.data[at]) {
			pattern++;
			at++;
		} else if (star) {
			pattern = star;
			at = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

bool alert_rule_matches(const struct alert_rule *rule, const struct alert_subject *subject)
{
	return (rule->kind < 0 || rule->kind == subject->kind) &&
	       matches(rule->service, subject->service) &&
	       matches(rule->operation, subject->operation);
}

const char *alert_rule_kind_name(unsigned kind)
{
	static const char *const names[] = {
		[SPAN_KIND_INTERNAL] = "internal", [SPAN_KIND_SERVER] = "server",
		[SPAN_KIND_CLIENT] = "client",     [SPAN_KIND_PRODUCER] = "producer",
		[SPAN_KIND_CONSUMER] = "consumer",
	};

	return kind < ARRAY_LEN(names) && names[kind] ? names[kind] : "";
}

bool alert_rule_is_single(const struct alert_rule *rule)
{
	return !strchr(rule->service, '*') && !strchr(rule->operation, '*');
}

bool alert_rule_uses(const struct alert_rule *rule, enum alert_against against)
{
	bool uses = false;

	for (unsigned i = 0; i < rule->term_count; i++)
		uses = uses || rule->terms[i].against == against;
	return uses;
}

bool alert_rule_needs_figures(const struct alert_rule *rule)
{
	bool needs = false;

	for (unsigned i = 0; i < rule->term_count; i++)
		needs = needs || (rule->terms[i].figure != FIGURE_WALL &&
				  rule->terms[i].figure != FIGURE_ERRORS);
	return needs;
}

int alert_rule_default(struct alert_rule *rule)
{
	struct buf none;
	int rc;

	buf_init(&none, 0);
	rc = alert_rule_init(rule, STR("waits-more"), &none);
	if (rc == 0)
		rc = alert_rule_set(rule, "when", "ratio < 0.30 and wall_p99 > 1.25 * before",
				    &none);
	if (rc == 0)
		rc = alert_rule_set(rule, "label.severity", "warning", &none);
	buf_fini(&none);
	return rc;
}
