/* SPDX-License-Identifier: Apache-2.0 */
/* An alert rule: which operations, which window, which condition.
 *
 * A rule is set key by key from text, as it stands in the configuration:
 *
 *   service, operation   patterns; * stands for any text        *
 *   kind                 server, client, internal, producer, consumer, or *    *
 *   window               1m to 24h, whole minutes               5m
 *   min_count            spans in the window, else no data      30
 *   min_coverage         share of them that has figures         50 %
 *   when                 TERM and TERM ...                      (must be given)
 *   for                  holds so long before it fires          2m
 *   keep                 is over so long before it resolves     5m
 *   hysteresis           margin by which a firing one must miss 10 %
 *   label.NAME, annotation.NAME
 *
 *   TERM    ratio, runnable, blocked, blocked.REASON, elsewhere (shares of wall time),
 *           errors (share of spans), wall_p50, wall_p90, wall_p95, wall_p99
 *           < or >
 *           a number, a percentage or a duration; or FACTOR * hour, yesterday or before
 *
 * hour: the same figure over the hour before the window; yesterday: over the same window a day
 * earlier; before: yesterday once there is one, else hour. Not thread safe; plain data. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "correlate/ledger.h"
#include "otlp/span.h"

#define ALERT_NAME_BYTES    64
#define ALERT_PATTERN_BYTES 256
#define ALERT_WHEN_BYTES    256
#define ALERT_MAX_TERMS     6
#define ALERT_MAX_TEXTS     12 /* labels, and annotations, of a rule */

enum alert_figure {
	FIGURE_RATIO,
	FIGURE_RUNNABLE,
	FIGURE_BLOCKED,
	FIGURE_BLOCKED_REASON,
	FIGURE_ELSEWHERE,
	FIGURE_ERRORS,
	FIGURE_WALL,
};

/* Quantiles of wall time that a rule may name. */
enum alert_quantile { QUANTILE_P50, QUANTILE_P90, QUANTILE_P95, QUANTILE_P99, QUANTILE_COUNT };

enum alert_against { AGAINST_VALUE, AGAINST_HOUR, AGAINST_YESTERDAY, AGAINST_BEFORE };

struct alert_term {
	enum alert_figure figure;
	unsigned which; /* enum ledger_reason or alert_quantile, if the figure has one */
	bool is_above;
	enum alert_against against;
	double value; /* share, ns, or the factor */
};

struct alert_text {
	char *name;  /* owned, with the value behind it */
	char *value; /* within name's memory */
};

struct alert_rule {
	char name[ALERT_NAME_BYTES];
	char service[ALERT_PATTERN_BYTES], operation[ALERT_PATTERN_BYTES];
	int kind; /* enum span_kind; -1: any */
	char when[ALERT_WHEN_BYTES];
	struct alert_term terms[ALERT_MAX_TERMS];
	unsigned term_count;
	uint32_t window_minutes;
	uint64_t min_count;
	double min_coverage, hysteresis;
	uint64_t for_ns, keep_ns;
	struct alert_text labels[ALERT_MAX_TEXTS], annotations[ALERT_MAX_TEXTS];
	unsigned label_count, annotation_count;
};

/* Lower-case letters, digits, dashes and dots. -EINVAL: `message` says so. */
int alert_rule_init(struct alert_rule *rule, struct str name, struct buf *message);
void alert_rule_fini(struct alert_rule *rule);

/* -EINVAL: unknown key or bad value, and `message` says what it must be, in one line; -ENOMEM. */
int alert_rule_set(struct alert_rule *rule, const char *key, const char *value,
		   struct buf *message);
/* When all keys are set. -EINVAL: a rule without condition. */
int alert_rule_check(const struct alert_rule *rule, struct buf *message);

/* An operation: spans of one name and kind of one service. */
struct alert_subject {
	struct str service, operation;
	uint8_t kind; /* enum span_kind; another number: several */
};

bool alert_rule_matches(const struct alert_rule *rule, const struct alert_subject *subject);
/* Neither pattern has a *: the rule is about one operation, whether it has spans or not. */
bool alert_rule_is_single(const struct alert_rule *rule);
/* Whether a term looks at it. */
bool alert_rule_uses(const struct alert_rule *rule, enum alert_against against);
bool alert_rule_needs_figures(const struct alert_rule *rule);

const char *alert_rule_kind_name(unsigned kind);

/* "wall_p99", "blocked.net": as written in a condition. */
void alert_term_name(const struct alert_term *term, struct buf *out);
/* The rule that everybody has: less than 30 % on a CPU while wall time rose. */
int alert_rule_default(struct alert_rule *rule);
