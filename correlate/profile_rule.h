/* SPDX-License-Identifier: Apache-2.0 */
/* The rules by which profiles are read: a name, a kind and a sentence each (profile_rule.def). */
#pragma once

#include <stddef.h>

enum profile_rule_id {
#define X(id, name, kind, sentence) RULE_##id,
#include "correlate/profile_rule.def"
#undef X
	RULE_COUNT,
};

struct profile_rule {
	const char *name;
	const char *kind;
	const char *sentence;
};

extern const struct profile_rule profile_rules[RULE_COUNT];

/* RULE_COUNT: there is none of this name. */
enum profile_rule_id profile_rule_find(const char *name);
