/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from a difference. */
#include <math.h>

#include "collector/base/macros.h"
#include "correlate/profile_diff.h"

#define STEADY      0.15 /* allocation rates that differ by less are one load */
#define CHURN_KEPT  0.05 /* of what was allocated meanwhile, still there */
#define GROWTH      0.05 /* of the base: less is no growth worth a verdict */
#define GOOD_FIT    0.8
#define WORTH_SHARE 0.02 /* of the base, when noise is not known */

/* Sentences are put together in a buffer of their own and said whole. */
static void say(struct profile_diff *diff, enum profile_rule_id rule, enum finding_role role,
		const struct diff_entry *entry, struct buf *text)
{
	profile_diff_say(diff, rule, role, entry, "%.*s", (int)text->len,
			 text->len ? text->data : "");
	buf_fini(text);
}

static const char *noun_of(const struct profile_diff *diff)
{
	return profile_noun(&diff->merged.types[0]);
}

static void put_change(const struct profile_diff *diff, double change, struct buf *out)
{
	profile_put_change(out, change, diff->unit, noun_of(diff));
	if (!(diff->whole > 0))
		return;
	buf_printf(out, " (%.1f %% of %s)", 100 * change / diff->whole, diff->whole_name);
}

static bool is_heap(const struct profile_diff *diff)
{
	return diff->kind == PROFILE_INUSE || diff->unit == PROFILE_BYTES;
}

/* A change that means something. */
static bool is_worth(const struct profile_diff *diff, const struct diff_entry *entry)
{
	if (profile_diff_is_noise(entry))
		return false;
	return entry->noise > 0 || fabs(entry->change) > diff->totals[0] * WORTH_SHARE;
}

/* The largest that grew; NULL. */
static const struct diff_entry *nth_grown(const struct profile_diff *diff, unsigned nth)
{
	for (size_t i = 0; i < diff->entry_count; i++) {
		if (diff->entries[i].change > 0 && is_worth(diff, &diff->entries[i]) && nth-- == 0)
			return &diff->entries[i];
	}
	return NULL;
}

static const struct diff_entry *top_allocator(const struct profile_diff *diff)
{
	const struct diff_entry *best = NULL;

	for (size_t i = 0; i < diff->entry_count; i++) {
		if (!best || diff->entries[i].alloc_change > best->alloc_change)
			best = &diff->entries[i];
	}
	return best && best->alloc_change > 0 ? best : NULL;
}

static void put_distance(const struct profile_diff *diff, const struct diff_entry *first,
			 struct buf *out)
{
	const struct diff_entry *second = nth_grown(diff, 1);

	if (!second || first != nth_grown(diff, 0))
		return;
	buf_printf(out, "; %.1f times the next, ", first->change / second->change);
	profile_diff_put_name(diff, second, out);
	buf_append_byte(out, ' ');
	put_change(diff, second->change, out);
}

/* ---- memory ---- */

/* Growth that goes back again, or does not follow a line. Two profiles cannot tell. */
static bool is_line(const struct profile_diff *diff, const struct diff_entry *entry)
{
	return diff->count < 3 || (entry->slope_per_s > 0 && entry->fit >= GOOD_FIT);
}

/* The largest that grew, and by a line where that can be told; NULL. */
static const struct diff_entry *steady_growth(const struct profile_diff *diff)
{
	const struct diff_entry *entry;

	for (unsigned i = 0; (entry = nth_grown(diff, i)); i++) {
		if (entry->change <= diff->totals[0] * GROWTH)
			return NULL;
		if (is_line(diff, entry))
			return entry;
	}
	return NULL;
}

/* How much faster it was allocated in the last stretch than in the first; 0: not known. */
static double load_ratio(const struct profile_diff *diff)
{
	unsigned last = diff->count - 1;
	double first, now;

	if (!diff->has_alloc || !diff->has_times || diff->count < 3)
		return 0;
	first = (diff->alloc_totals[1] - diff->alloc_totals[0]) / diff->times_s[1];
	now = (diff->alloc_totals[last] - diff->alloc_totals[last - 1]) /
	      (diff->times_s[last] - diff->times_s[last - 1]);
	return first > 0 && now > 0 ? now / first : 0;
}

/* Memory that grew no more than the load did: nothing says that it leaks. */
static bool say_follows_load(struct profile_diff *diff, const struct diff_entry *entry)
{
	double load = load_ratio(diff), base = diff->totals[0], grown;
	struct buf text;

	if (!entry || load < 1 + STEADY || !(base > 0))
		return false;
	grown = diff->totals[diff->count - 1] / base;
	if (grown < 1 + GROWTH || grown > load * (1 + STEADY))
		return false;
	buf_init(&text, 0);
	buf_printf(&text,
		   "memory grew with the load: %.1f times as much, and %.1f times as much is "
		   "allocated a second; most of it in ",
		   grown, load);
	profile_diff_put_name(diff, entry, &text);
	buf_append_byte(&text, ' ');
	put_change(diff, entry->change, &text);
	say(diff, RULE_LOAD, FINDING_VERDICT, entry, &text);
	profile_diff_say(diff, RULE_LOAD, FINDING_NEXT, entry,
			 "take them again under steady load: what still grows then is a leak");
	return true;
}

/* What grew more than the suspect, but all at once: warmed up, not leaking. */
static void say_step(struct profile_diff *diff, const struct diff_entry *suspect)
{
	const struct diff_entry *largest = nth_grown(diff, 0);
	struct buf text;

	if (!largest || largest == suspect)
		return;
	buf_init(&text, 0);
	buf_append_text(&text, "not ");
	profile_diff_put_name(diff, largest, &text);
	buf_append_text(&text, ": it grew by more, ");
	put_change(diff, largest->change, &text);
	buf_printf(&text,
		   ", but not along a line (R^2 %.2f): it has levelled off, or goes up and "
		   "down",
		   largest->fit);
	say(diff, RULE_TREND, FINDING_TRAP, largest, &text);
}

static void say_trend(struct profile_diff *diff, const struct diff_entry *entry)
{
	struct buf text;

	if (diff->count < 3)
		return;
	buf_init(&text, 0);
	profile_diff_put_name(diff, entry, &text);
	buf_append_text(&text, diff->has_times ? " grows by " : " changes by ");
	profile_put_change(&text, entry->slope_per_s * (diff->has_times ? 60 : 1), diff->unit,
			   NULL);
	buf_printf(&text, " a %s over %u profiles, R^2 %.2f: %s",
		   diff->has_times ? "minute" : "profile", diff->count, entry->fit,
		   is_line(diff, entry) ? "a line"
					: "no line: it goes up and down, or has levelled off");
	say(diff, RULE_TREND, FINDING_DETAIL, entry, &text);
}

static void say_kept(struct profile_diff *diff, const struct diff_entry *entry)
{
	struct buf text;

	if (!diff->has_alloc || !(entry->alloc_change > 0))
		return;
	buf_init(&text, 0);
	buf_printf(&text, "%.0f %% of what it allocated meanwhile (",
		   100 * entry->change / entry->alloc_change);
	profile_put_amount(&text, entry->alloc_change, diff->unit, NULL);
	buf_append_text(&text, ") is still reachable: retention, not churn");
	say(diff, RULE_LEAK, FINDING_DETAIL, entry, &text);
}

/* Whether the load was steady: the rate of allocation between profiles. */
static void say_load(struct profile_diff *diff)
{
	double first = 0, least = 0, most = 0;
	struct buf text;

	if (!diff->has_alloc || !diff->has_times)
		return;
	for (unsigned i = 1; i < diff->count; i++) {
		double rate = (diff->alloc_totals[i] - diff->alloc_totals[i - 1]) /
			      (diff->times_s[i] - diff->times_s[i - 1]);

		first = i == 1 ? rate : first;
		least = i == 1 ? rate : MIN(least, rate);
		most = i == 1 ? rate : MAX(most, rate);
	}
	buf_init(&text, 0);
	if (diff->count == 2) {
		buf_append_text(&text, "allocation between the two: ");
		profile_put_amount(&text, first, diff->unit, NULL);
		buf_append_text(
			&text, " a second; a third profile would show whether the load was steady");
	} else {
		buf_append_text(&text, most - least <= most * STEADY ? "the load was steady: "
								     : "the load was NOT steady: ");
		profile_put_amount(&text, least, diff->unit, NULL);
		buf_append_text(&text, " to ");
		profile_put_amount(&text, most, diff->unit, NULL);
		buf_append_text(&text, " allocated a second");
	}
	say(diff, RULE_LOAD,
	    diff->count == 2 || most - least > most * STEADY ? FINDING_CAVEAT : FINDING_DETAIL,
	    NULL, &text);
}

static void say_churn(struct profile_diff *diff, bool is_verdict)
{
	const struct diff_entry *top = top_allocator(diff);
	struct buf text;

	if (!top || fabs(top->change) > top->alloc_change * CHURN_KEPT)
		return;
	buf_init(&text, 0);
	profile_diff_put_name(diff, top, &text);
	buf_append_text(&text, " allocated ");
	profile_put_amount(&text, top->alloc_change, diff->unit, NULL);
	buf_printf(&text, " and kept %.0f %%: churn, not a leak",
		   100 * MAX(top->change, 0) / top->alloc_change);
	say(diff, RULE_CHURN, is_verdict ? FINDING_VERDICT : FINDING_TRAP, top, &text);
	if (is_verdict)
		profile_diff_say(diff, RULE_CHURN, FINDING_NEXT, top,
				 "it costs CPU in the collector: reuse buffers there; memory does "
				 "not grow by it");
}

static void say_no_growth(struct profile_diff *diff)
{
	const struct diff_entry *largest = nth_grown(diff, 0);
	struct buf text;

	if (say_follows_load(diff, largest))
		return;
	say_churn(diff, true);
	if (diff->finding_count)
		return;
	buf_init(&text, 0);
	if (largest && largest->change > diff->totals[0] * GROWTH) {
		buf_append_text(&text, "no leak: ");
		profile_diff_put_name(diff, largest, &text);
		buf_append_text(&text, " is larger by ");
		put_change(diff, largest->change, &text);
		buf_append_text(&text, ", but does not keep growing");
		say(diff, RULE_NO_CHANGE, FINDING_VERDICT, largest, &text);
		return;
	}
	buf_append_text(&text, diff->change < -diff->totals[0] * GROWTH
				       ? "memory shrank: "
				       : "no growth that means anything: ");
	put_change(diff, diff->change, &text);
	say(diff, RULE_NO_CHANGE, FINDING_VERDICT, NULL, &text);
}

static void judge_heap(struct profile_diff *diff)
{
	const struct diff_entry *first = steady_growth(diff);
	struct buf text;

	if (first && say_follows_load(diff, first)) {
		say_trend(diff, first);
		say_load(diff);
		return;
	}
	if (!first) {
		say_no_growth(diff);
		first = nth_grown(diff, 0);
		if (first)
			say_trend(diff, first);
		say_load(diff);
		return;
	}
	buf_init(&text, 0);
	profile_diff_put_name(diff, first, &text);
	buf_append_text(&text, " retains memory: ");
	put_change(diff, first->change, &text);
	put_distance(diff, first, &text);
	say(diff, RULE_LEAK, FINDING_VERDICT, first, &text);
	say_kept(diff, first);
	say_trend(diff, first);
	say_step(diff, first);
	profile_diff_say(diff, RULE_LEAK, FINDING_NEXT, first,
			 "find who still holds what is allocated there: a list, map, cache or "
			 "queue that only grows");
	say_churn(diff, false);
	profile_diff_say(
		diff, RULE_COLLECTOR, FINDING_TRAP, first,
		"tuning the collector's pace (GOGC, heap limits) frees nothing that is reachable");
	say_load(diff);
}

/* Amounts that were ever allocated: two such profiles say where, not what is kept. */
static void judge_allocated(struct profile_diff *diff)
{
	const struct diff_entry *first = nth_grown(diff, 0);
	struct buf text;

	buf_init(&text, 0);
	if (!first) {
		buf_append_text(&text, "nothing was allocated beyond noise in between: ");
		put_change(diff, diff->change, &text);
		say(diff, RULE_NO_CHANGE, FINDING_VERDICT, NULL, &text);
		return;
	}
	profile_diff_put_name(diff, first, &text);
	buf_append_text(&text, " allocated most: ");
	put_change(diff, first->change, &text);
	put_distance(diff, first, &text);
	say(diff, RULE_ALLOCATED, FINDING_VERDICT, first, &text);
	profile_diff_say(
		diff, RULE_ALLOCATED, FINDING_NEXT, first,
		"if the collector costs too much, allocate less there: reuse buffers, size "
		"them beforehand");
	profile_diff_say(diff, RULE_LEAK, FINDING_TRAP, first,
			 "this is no leak: what was ever allocated only grows; compare what is in "
			 "use (--type inuse_space) to see what is kept");
}

/* ---- time ---- */

static void say_totals(struct profile_diff *diff)
{
	struct buf text;

	if (!(fabs(diff->change) > MAX(diff->noise, diff->totals[0] * STEADY)))
		return;
	buf_init(&text, 0);
	buf_append_text(&text, "the totals differ by ");
	profile_put_change(&text, diff->change, diff->unit, noun_of(diff));
	buf_append_text(&text, diff->lengths_ns[0] > 0
				       ? ": more work in the same time; --normalize compares shares"
				       : ": more work, or a longer recording; --normalize compares "
					 "shares");
	say(diff, RULE_REGRESSION, FINDING_CAVEAT, NULL, &text);
}

static void say_inclusive(struct profile_diff *diff, enum finding_role role)
{
	struct buf text;

	buf_init(&text, 0);
	profile_diff_put_name(diff, &diff->inclusive, &text);
	buf_append_text(&text, " grew most, with what it calls: ");
	put_change(diff, diff->inclusive.change, &text);
	say(diff, RULE_REGRESSION, role, &diff->inclusive, &text);
}

static void say_durations(struct profile_diff *diff)
{
	struct buf text;

	if (!diff->is_by_second)
		return;
	buf_init(&text, 0);
	buf_append_text(&text, "recorded over");
	for (unsigned i = 0; i < diff->count; i++) {
		buf_append_text(&text, i ? ", " : " ");
		profile_put_amount(&text, diff->lengths_ns[i], PROFILE_NS, NULL);
	}
	buf_append_text(&text, ": compared by the second, as if all were as long as the base");
	say(diff, RULE_DURATIONS, FINDING_CAVEAT, NULL, &text);
}

/* Threads or goroutines: each of them is there, so nothing is noise. */
static bool say_pile_up(struct profile_diff *diff, const struct diff_entry *first)
{
	struct buf text;

	if (diff->kind != PROFILE_THREADS || first->change <= 0)
		return false;
	buf_init(&text, 0);
	profile_diff_put_name(diff, first, &text);
	buf_append_text(&text, ": more and more pile up there, ");
	put_change(diff, first->change, &text);
	put_distance(diff, first, &text);
	say(diff, RULE_PILE_UP, FINDING_VERDICT, first, &text);
	profile_diff_say(
		diff, RULE_PILE_UP, FINDING_NEXT, first,
		"find what they wait for and why it does not come: give each a time limit, "
		"or a way to be cancelled");
	say_trend(diff, first);
	return true;
}

static void judge_time(struct profile_diff *diff)
{
	const struct diff_entry *first = NULL;
	struct buf text;

	for (size_t i = 0; i < diff->entry_count && !first; i++) {
		if (is_worth(diff, &diff->entries[i]))
			first = &diff->entries[i];
	}
	if (!first && diff->inclusive.frame != PROFILE_NONE) {
		say_inclusive(diff, FINDING_VERDICT);
		say_totals(diff);
		return;
	}
	buf_init(&text, 0);
	if (!first) {
		buf_append_text(&text, "no difference beyond noise: the largest is ");
		if (diff->entry_count) {
			profile_diff_put_name(diff, &diff->entries[0], &text);
			buf_append_byte(&text, ' ');
			put_change(diff, diff->entries[0].change, &text);
			buf_append_text(&text, ", within ");
			profile_put_amount(&text, diff->entries[0].noise, diff->unit,
					   noun_of(diff));
		} else {
			buf_append_text(&text, "nothing");
		}
		say(diff, RULE_NO_CHANGE, FINDING_VERDICT, NULL, &text);
		return;
	}
	if (say_pile_up(diff, first))
		return;
	profile_diff_put_name(diff, first, &text);
	buf_append_text(&text, first->change > 0 ? " grew most: " : " shrank most: ");
	put_change(diff, first->change, &text);
	if (first->change > 0)
		put_distance(diff, first, &text);
	say(diff, RULE_REGRESSION, FINDING_VERDICT, first, &text);
	if (diff->inclusive.frame != PROFILE_NONE && diff->inclusive.frame != first->frame)
		say_inclusive(diff, FINDING_DETAIL);
	say_trend(diff, first);
	say_totals(diff);
}

static void say_noise(struct profile_diff *diff)
{
	size_t noisy = 0;

	for (size_t i = 0; i < diff->entry_count; i++)
		noisy += diff->entries[i].change != 0 && profile_diff_is_noise(&diff->entries[i]);
	if (noisy)
		profile_diff_say(diff, RULE_NOISE, FINDING_CAVEAT, NULL,
				 "%zu function%s by less than sampling noise (%d sqrt(n)): no "
				 "difference",
				 noisy, noisy == 1 ? " differs" : "s differ", DIFF_SIGMAS);
}

static void say_unit(struct profile_diff *diff)
{
	const struct profile_type *type = &diff->merged.types[0];

	if ((diff->kind == PROFILE_INUSE || diff->kind == PROFILE_ALLOC) && type->is_unit_guessed &&
	    type->unit == PROFILE_COUNT)
		profile_diff_say(diff, RULE_UNKNOWN_UNIT, FINDING_CAVEAT, NULL,
				 "the files do not tell whether these are bytes or objects: say it "
				 "with --unit");
}

void profile_diff_judge(struct profile_diff *diff)
{
	if (diff->kind == PROFILE_ALLOC)
		judge_allocated(diff);
	else if (is_heap(diff))
		judge_heap(diff);
	else
		judge_time(diff);
	say_durations(diff);
	say_noise(diff);
	say_unit(diff);
}
