/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the key, the rest is its value, as it comes from the configuration or the
 * API: what is accepted can be judged, what is refused says why. */
#include <errno.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/alert.h"
#include "tests/fuzz/fuzz.h"

#define MAX_VALUE 1024

static void judge(const struct alert_rule *rule)
{
	struct alert_measure measure = { .spans = 100, .covered = 100, .wall_sum_ns = 1000 };
	struct alert_input input = { &measure, &measure, NULL };
	struct alert_subject subject = { STR("shop"), STR("GET /*"), SPAN_KIND_SERVER };
	struct alert_life life = { 0 };
	struct alert_verdict verdict;

	alert_judge(rule, &input, &verdict);
	alert_step(rule, verdict.judgement, 1, &life);
	alert_step(rule, verdict.judgement, UINT64_MAX, &life);
	(void)alert_rule_matches(rule, &subject);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const keys[] = { "when",       "window",     "for",
					    "keep",       "min_count",  "service",
					    "operation",  "kind",       "min_coverage",
					    "hysteresis", "label.team", "annotation.a" };
	struct alert_rule rule;
	char value[MAX_VALUE];
	struct buf message;
	int rc;

	if (len == 0 || len > MAX_VALUE)
		return 0;
	memcpy(value, data + 1, len - 1);
	value[len - 1] = '\0';
	buf_init(&message, 0);
	MUST(alert_rule_default(&rule) == 0);
	rc = alert_rule_set(&rule, keys[data[0] % ARRAY_LEN(keys)], value, &message);
	MUST(rc == 0 || (rc == -EINVAL && message.len));
	MUST(rule.term_count <= ALERT_MAX_TERMS);
	judge(&rule);
	alert_rule_fini(&rule);
	buf_fini(&message);
	return 0;
}
