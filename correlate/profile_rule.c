/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_rule.h"

#include <string.h>

const struct profile_rule profile_rules[RULE_COUNT] = {
#define X(id, name, kind, sentence) { name, kind, sentence },
#include "correlate/profile_rule.def"
#undef X
};

enum profile_rule_id profile_rule_find(const char *name)
{
	size_t i = 0;

	while (i < RULE_COUNT && strcmp(profile_rules[i].name, name) != 0)
		i++;
	return (enum profile_rule_id)i;
}
