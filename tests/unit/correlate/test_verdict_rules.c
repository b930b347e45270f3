/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of verdicts, at their borders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/ledger.h"

/* Of 1000 ns. */
struct parts {
	uint64_t running, runnable, blocked, elsewhere, unknown;
};

/* Whatever it waited for. */
static enum ledger_verdict judge_parts(const struct parts *parts)
{
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 1000,
				 .all = { .running_ns = parts->running,
					  .runnable_ns = parts->runnable,
					  .elsewhere_ns = parts->elsewhere,
					  .unknown_ns = parts->unknown } };
	enum ledger_verdict verdict;
	struct buf text;

	ledger.all.blocked_ns[REASON_NET] = parts->blocked / 2;
	ledger.all.blocked_ns[REASON_LOCK] = parts->blocked - parts->blocked / 2;
	assert_true(ledger_adds_up(&ledger));
	buf_init(&text, 0);
	verdict = ledger_judge(&ledger, NULL, &text);
	buf_fini(&text);
	return verdict;
}

/* Each rule at its border and one beyond it, and where two fit, the first. */
static void each_rule_holds_to_the_nanosecond(void **unused)
{
	static const struct {
		struct parts parts;
		enum ledger_verdict verdict;
	} cases[] = {
		/* starved: more than a fifth ... */
		{ { 500, 200, 0, 150, 150 }, VERDICT_MIXED },
		{ { 500, 201, 0, 150, 149 }, VERDICT_STARVED },
		/* ... and more than what it waited */
		{ { 400, 300, 300, 0, 0 }, VERDICT_MIXED },
		{ { 400, 301, 299, 0, 0 }, VERDICT_STARVED },
		{ { 100, 450, 450, 0, 0 }, VERDICT_WAITING },
		/* ... before queued, and before CPU bound */
		{ { 100, 201, 0, 699, 0 }, VERDICT_STARVED },
		{ { 799, 201, 0, 0, 0 }, VERDICT_STARVED },
		{ { 800, 200, 0, 0, 0 }, VERDICT_CPU_BOUND },
		/* queued: larger than each other part */
		{ { 334, 0, 333, 333, 0 }, VERDICT_MIXED },
		{ { 333, 0, 333, 334, 0 }, VERDICT_QUEUED },
		{ { 200, 0, 400, 400, 0 }, VERDICT_WAITING },
		{ { 200, 0, 399, 401, 0 }, VERDICT_QUEUED },
		{ { 500, 0, 0, 500, 0 }, VERDICT_MIXED },
		{ { 499, 0, 0, 501, 0 }, VERDICT_QUEUED },
		{ { 0, 200, 399, 401, 0 }, VERDICT_QUEUED },
		/* waiting: less than three tenths on a CPU, if it waited at all */
		{ { 300, 0, 700, 0, 0 }, VERDICT_MIXED },
		{ { 299, 0, 701, 0, 0 }, VERDICT_WAITING },
		{ { 0, 0, 1000, 0, 0 }, VERDICT_WAITING },
		{ { 290, 190, 1, 259, 260 }, VERDICT_WAITING },
		{ { 290, 190, 0, 260, 260 }, VERDICT_MIXED },
		/* CPU bound: more than seven tenths */
		{ { 700, 0, 300, 0, 0 }, VERDICT_MIXED },
		{ { 701, 0, 299, 0, 0 }, VERDICT_CPU_BOUND },
		{ { 1000, 0, 0, 0, 0 }, VERDICT_CPU_BOUND },
		/* none: what nobody saw is larger than each other part */
		{ { 500, 0, 0, 0, 500 }, VERDICT_MIXED },
		{ { 499, 0, 0, 0, 501 }, VERDICT_NONE },
		{ { 0, 0, 500, 0, 500 }, VERDICT_WAITING },
		{ { 0, 0, 0, 500, 500 }, VERDICT_QUEUED },
		{ { 0, 0, 0, 499, 501 }, VERDICT_NONE },
		{ { 0, 500, 0, 0, 500 }, VERDICT_STARVED },
		{ { 0, 300, 300, 0, 400 }, VERDICT_NONE },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum ledger_verdict verdict = judge_parts(&cases[i].parts);

		if (verdict != cases[i].verdict)
			fail_msg("case %zu is %s", i, ledger_verdict_name(verdict));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_holds_to_the_nanosecond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
