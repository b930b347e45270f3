/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "tests/unit/correlate/explain.h"
#include "tests/unit/correlate/oracle.h"

struct figure {
	const char *name;
	uint64_t got, truth;
};

static unsigned compare(const struct figure *figure, const struct kept *kept, uint32_t span,
			uint64_t allowed_ns)
{
	uint64_t off = figure->got > figure->truth ? figure->got - figure->truth
						   : figure->truth - figure->got;

	if (off <= allowed_ns)
		return 0;
	print_message("  span %u (%s, uncertain %llu of %llu): %s is %llu, in truth %llu\n", span,
		      ledger_grade_name(kept->ledger.grade),
		      (unsigned long long)kept->ledger.uncertain_ns,
		      (unsigned long long)kept->ledger.wall_ns, figure->name,
		      (unsigned long long)figure->got, (unsigned long long)figure->truth);
	return 1;
}

static unsigned compare_splits(const char *which, const struct ledger_split *got,
			       const struct ledger_split *truth, const struct kept *kept,
			       uint32_t span, uint64_t allowed_ns)
{
	char names[REASON_COUNT + 3][40];
	struct figure figures[REASON_COUNT + 3] = {
		{ names[0], got->running_ns, truth->running_ns },
		{ names[1], got->runnable_ns, truth->runnable_ns },
		{ names[2], got->elsewhere_ns, truth->elsewhere_ns },
	};
	unsigned wrong = 0;

	snprintf(names[0], sizeof(names[0]), "%srunning_ns", which);
	snprintf(names[1], sizeof(names[1]), "%srunnable_ns", which);
	snprintf(names[2], sizeof(names[2]), "%selsewhere_ns", which);
	for (int r = 0; r < REASON_COUNT; r++) {
		snprintf(names[r + 3], sizeof(names[0]), "%sblocked_ns[%s]", which,
			 ledger_reason_name((enum ledger_reason)r));
		figures[r + 3] =
			(struct figure){ names[r + 3], got->blocked_ns[r], truth->blocked_ns[r] };
	}
	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		wrong += compare(&figures[i], kept, span, allowed_ns);
	return wrong;
}

unsigned judge_errors(const struct schedule *s, uint32_t span, const struct kept *kept,
		      uint64_t allowed_ns)
{
	struct true_ledger truth = oracle_ledger(s, (int32_t)span);
	const struct ledger *l = &kept->ledger;
	const struct figure cpu = { "cpu_ns", l->cpu_ns, truth.cpu_ns };
	const struct figure cpu_self = { "cpu_self_ns", l->cpu_self_ns, truth.cpu_self_ns };

	return compare(&cpu, kept, span, allowed_ns) + compare(&cpu_self, kept, span, allowed_ns) +
	       compare_splits("", &l->all, &truth.all, kept, span, allowed_ns) +
	       compare_splits("self.", &l->self, &truth.self, kept, span, allowed_ns);
}

static bool is_vouched_for(const struct kept *kept)
{
	return kept->is_there && kept->ledger.grade >= GRADE_BOUNDED;
}

unsigned judge_lies(const struct schedule *s, const struct outcome *outcome)
{
	unsigned lies = 0;

	for (uint32_t i = 0; i < s->span_count; i++) {
		const struct kept *kept = &outcome->spans[i];

		if (!is_vouched_for(kept) ||
		    !judge_errors(s, i, kept, kept->ledger.uncertain_ns + SLACK_NS))
			continue;
		explain_span(s, i);
		lies++;
	}
	return lies;
}

/* A thread can have been there for all of the span's time, but not for longer; its edges, and those
 * of its children, may be off by the clock's grain, and by how far it was set. */
static unsigned count_boundless(const struct schedule *s, const struct outcome *outcome)
{
	uint64_t edges_ns = SLACK_NS + outcome->edges_ns * s->span_count;
	unsigned boundless = 0;

	for (uint32_t i = 0; i < s->span_count; i++) {
		const struct ledger *l = &outcome->spans[i].ledger;

		if (!outcome->spans[i].is_there ||
		    l->uncertain_ns <= l->wall_ns * s->thread_count + edges_ns)
			continue;
		print_message("  span %u is uncertain by %llu of %llu\n", i,
			      (unsigned long long)l->uncertain_ns, (unsigned long long)l->wall_ns);
		explain_span(s, i);
		boundless++;
	}
	return boundless;
}

static struct {
	uint64_t grades[GRADE_EXACT + 1];
	float *doubts; /* owned: uncertain_ns by wall_ns, of those that are vouched for */
	uint32_t doubt_count;
} tally;

static void count_grades(const struct schedule *s, const struct outcome *outcome)
{
	for (uint32_t i = 0; i < s->span_count; i++) {
		const struct kept *kept = &outcome->spans[i];

		if (!kept->is_there)
			continue;
		tally.grades[kept->ledger.grade]++;
		if (!is_vouched_for(kept))
			continue;
		tally.doubts =
			schedule_grow(tally.doubts, tally.doubt_count, sizeof(*tally.doubts));
		tally.doubts[tally.doubt_count++] = (float)((double)kept->ledger.uncertain_ns /
							    (double)MAX(kept->ledger.wall_ns, 1));
	}
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

void judge_tell(void)
{
	uint64_t all = 0;

	for (int i = 0; i <= GRADE_EXACT; i++)
		all += tally.grades[i];
	printf("%llu ledgers:", (unsigned long long)all);
	for (int i = 0; i <= GRADE_EXACT; i++)
		printf(" %.1f %% %s,", 100.0 * (double)tally.grades[i] / (double)MAX(all, 1),
		       ledger_grade_name((enum ledger_grade)i));
	if (tally.doubt_count) {
		qsort(tally.doubts, tally.doubt_count, sizeof(*tally.doubts), by_size);
		printf(" uncertain / wall of exact and bounded: p50 %.3f, p90 %.3f",
		       (double)tally.doubts[tally.doubt_count / 2],
		       (double)tally.doubts[tally.doubt_count / 10 * 9]);
	}
	puts("");
	free(tally.doubts);
}

unsigned judge_flaws(const struct schedule *s, const struct outcome *outcome)
{
	unsigned missing = 0, boundless = count_boundless(s, outcome);

	count_grades(s, outcome);
	for (uint32_t i = 0; i < s->span_count; i++)
		missing += s->spans[i].is_exported && s->spans[i].end_ns &&
			   !outcome->spans[i].is_there;
	if (missing || outcome->wrong_sums || outcome->strangers || boundless)
		print_message("  %u missing, %u do not add up, %u strangers, %u boundless\n",
			      missing, outcome->wrong_sums, outcome->strangers, boundless);
	return missing + outcome->wrong_sums + outcome->strangers + boundless;
}

unsigned judge_foreign(const struct schedule *s, const struct outcome *outcome)
{
	unsigned wrong = 0;

	for (uint32_t i = 0; i < s->span_count; i++) {
		const struct kept *kept = &outcome->spans[i];

		if (!s->processes[s->spans[i].process].is_foreign || !kept->is_there ||
		    kept->ledger.grade == GRADE_NONE)
			continue;
		print_message("  span %u of another node is %s\n", i,
			      ledger_grade_name(kept->ledger.grade));
		wrong++;
	}
	return wrong;
}

unsigned judge_below(const struct schedule *s, const struct outcome *outcome,
		     enum ledger_grade least)
{
	unsigned below = 0;

	for (uint32_t i = 0; i < s->span_count; i++) {
		const struct kept *kept = &outcome->spans[i];

		if (!s->spans[i].is_exported || (kept->is_there && kept->ledger.grade >= least))
			continue;
		print_message("  span %u is %s only: uncertain %llu of %llu\n", i,
			      ledger_grade_name(kept->ledger.grade),
			      (unsigned long long)kept->ledger.uncertain_ns,
			      (unsigned long long)kept->ledger.wall_ns);
		below++;
	}
	return below;
}

unsigned judge_changed(const struct outcome *a, const struct outcome *b)
{
	unsigned changed = 0;

	for (uint32_t i = 0; i < a->span_count; i++) {
		const struct buf *x = &a->spans[i].code, *y = &b->spans[i].code;

		if (a->spans[i].is_there == b->spans[i].is_there && x->len == y->len &&
		    (!x->len || memcmp(x->data, y->data, x->len) == 0))
			continue;
		print_message("  span %u differs: uncertain %llu and %llu, cpu %llu and %llu\n", i,
			      (unsigned long long)a->spans[i].ledger.uncertain_ns,
			      (unsigned long long)b->spans[i].ledger.uncertain_ns,
			      (unsigned long long)a->spans[i].ledger.cpu_ns,
			      (unsigned long long)b->spans[i].ledger.cpu_ns);
		changed++;
	}
	return changed;
}
