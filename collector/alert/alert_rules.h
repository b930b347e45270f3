/* SPDX-License-Identifier: Apache-2.0 */
/* The alert rules of the configuration: sections `[alert NAME]` of its file, and the default.
 *
 * Built while the configuration is read, then constant. */
#pragma once

#include <stddef.h>

#include "correlate/alert_rule.h"

#define ALERT_MAX_RULES 5000

struct alert_rules {
	struct alert_rule *items; /* owned */
	size_t count, cap;
};

void alert_rules_fini(struct alert_rules *rules);

/* A new rule, to be set key by key; it may move when the next one is added. -EINVAL: a bad name, or
 * one that is taken, and `message` says so; -ENOMEM. */
int alert_rules_add(struct alert_rules *rules, struct str name, struct alert_rule **out_rule,
		    struct buf *message);
/* Adds the default rule unless the file has one of its name. */
int alert_rules_add_default(struct alert_rules *rules);
/* -EINVAL: rules without condition, each named in a line of `message`. */
int alert_rules_check(const struct alert_rules *rules, struct buf *message);

/* NULL: there is none of that name. */
const struct alert_rule *alert_rules_find(const struct alert_rules *rules, struct str name);
/* The section that says what the default rule says, as a commented sample. */
void alert_rules_sample(struct buf *out);
