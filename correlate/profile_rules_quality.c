/* SPDX-License-Identifier: Apache-2.0 */
/* How far the data can be trusted, and what it is often misread as. */
#include <inttypes.h>

#include "collector/base/macros.h"
#include "correlate/profile_diagnose.h"

#define FEW_SAMPLES     100
#define MANY_SAMPLES    1e6 /* three hours at 99 Hz: more likely time or bytes */
#define UNKNOWN_SHARE   0.25
#define ROOTLESS_SHARE  0.2
#define RECURSION_SHARE 0.1
#define SMALL_SHARE     0.1
#define AWAY_SHARE      0.5
#define WARM_UP_SHARE   0.2

static void no_data(struct diagnosis *d)
{
	if (d->all.total > 0)
		return;
	diagnosis_say(d, RULE_NO_DATA, FINDING_VERDICT, PROFILE_NONE, 0,
		      "there is nothing in this profile: no value above zero in %" PRIu64
		      " stacks; take it again while there is load",
		      d->profile->notes.stacks);
}

static void truncated_file(struct diagnosis *d)
{
	const struct profile_notes *notes = &d->profile->notes;

	if (notes->is_truncated)
		diagnosis_say(d, RULE_TRUNCATED_FILE, FINDING_CAVEAT, PROFILE_NONE, 0,
			      "the file ends in the middle: what is said holds for the part that "
			      "is there; take it again");
	if (notes->bad_records && notes->first_bad_line)
		diagnosis_say(d, RULE_TRUNCATED_FILE, FINDING_CAVEAT, PROFILE_NONE, 0,
			      "%" PRIu64 " lines are not of the format and were left out, the "
			      "first is line %" PRIu64,
			      notes->bad_records, notes->first_bad_line);
	else if (notes->bad_records)
		diagnosis_say(d, RULE_TRUNCATED_FILE, FINDING_CAVEAT, PROFILE_NONE, 0,
			      "%" PRIu64 " records are damaged and were left out",
			      notes->bad_records);
	if (notes->other_events)
		diagnosis_say(d, RULE_TRUNCATED_FILE, FINDING_CAVEAT, PROFILE_NONE, 0,
			      "%" PRIu64 " samples of other events were left out: units do not mix",
			      notes->other_events);
}

static void few_samples(struct diagnosis *d)
{
	if (!(d->all.total > 0) || d->kind == PROFILE_OFF_CPU || d->kind == PROFILE_THREADS ||
	    d->all.samples <= 0 || d->all.samples >= FEW_SAMPLES)
		return;
	diagnosis_say(
		d, RULE_FEW_SAMPLES, FINDING_CAVEAT, PROFILE_NONE, d->all.samples,
		"only %.0f sample%s: every share is uncertain by up to %.0f points; record longer",
		d->all.samples, d->all.samples < 1.5 ? "" : "s",
		MIN(100 * diagnosis_uncertainty(0.5, d->all.samples), 100.0));
}

static void no_symbols(struct diagnosis *d)
{
	double part = d->all.topic_self[TOPIC_UNKNOWN];

	if (!(d->all.total > 0) || part < d->all.total * UNKNOWN_SHARE)
		return;
	diagnosis_say(d, RULE_NO_SYMBOLS,
		      part > d->all.total * 0.75 ? FINDING_VERDICT : FINDING_CAVEAT, PROFILE_NONE,
		      part,
		      "%.0f %% lies in code without symbols: install debug symbols (or a perf map "
		      "for a JIT) and record again",
		      100 * part / d->all.total);
}

static void waits_not_cpu(struct diagnosis *d)
{
	double share = d->profile->notes.waiting_share;

	if (!(share > 0) || !(d->all.total > 0))
		return;
	diagnosis_say(d, RULE_WAITS_NOT_CPU, FINDING_CAVEAT, PROFILE_NONE, share * d->all.total,
		      "%.0f %% of it ends where threads wait (parked, asleep, polling): read as %s "
		      "profile; --kind cpu if it is one",
		      100 * share, d->kind == PROFILE_OFF_CPU ? "an off-CPU" : "a wall-clock");
}

static void warm_up(struct diagnosis *d)
{
	double part = d->all.topic_total[TOPIC_JIT];

	if (d->kind != PROFILE_CPU || !(part > d->all.total * WARM_UP_SHARE))
		return;
	diagnosis_say(d, RULE_WARM_UP, FINDING_CAVEAT, PROFILE_NONE, part,
		      "%.0f %% of the CPU is the JIT compiler's, left out below: the program was "
		      "warming up; record it later for what it does all day",
		      100 * part / d->all.total);
}

static void unknown_unit(struct diagnosis *d)
{
	const struct profile_type *type = &d->profile->types[d->type];

	bool counts = d->kind == PROFILE_CPU || d->kind == PROFILE_WALL;

	if (!type->is_unit_guessed || type->unit != PROFILE_COUNT ||
	    !(counts ? d->all.total >= MANY_SAMPLES : d->all.total > 0))
		return;
	diagnosis_say(d, RULE_UNKNOWN_UNIT, FINDING_CAVEAT, PROFILE_NONE, d->all.total,
		      "the file does not tell the unit of its values: say it with --unit (ns, us, "
		      "ms, bytes), or --hz if they are samples");
}

static void cut_stacks(struct diagnosis *d)
{
	if (d->profile->notes.cut_stacks)
		diagnosis_say(d, RULE_CUT_STACKS, FINDING_CAVEAT, PROFILE_NONE, 0,
			      "%" PRIu64 " stacks are deeper than %u frames and were cut",
			      d->profile->notes.cut_stacks, PROFILE_MAX_DEPTH);
	if (d->all.rootless > d->all.total * ROOTLESS_SHARE)
		diagnosis_say(d, RULE_CUT_STACKS, FINDING_CAVEAT, PROFILE_NONE, d->all.rootless,
			      "%.0f %% of the stacks have lost their root: build with frame "
			      "pointers or unwind with DWARF; callers are not reliable",
			      100 * d->all.rootless / d->all.total);
}

void diagnosis_rules_quality(struct diagnosis *diagnosis)
{
	static void (*const rules[])(
		struct diagnosis *) = { no_data,       truncated_file, few_samples, no_symbols,
					waits_not_cpu, unknown_unit,   warm_up,     cut_stacks };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		rules[i](diagnosis);
}

/* ---- traps ---- */

static void width(struct diagnosis *d)
{
	const struct finding *verdict = diagnosis_verdict(d);

	if (!verdict || verdict->rule != RULE_DOMINANT_SUBTREE || d->kind != PROFILE_CPU)
		return;
	diagnosis_say(
		d, RULE_WIDTH, FINDING_TRAP, verdict->frame, verdict->part,
		"width is time, not the number of calls: nothing here says that %s is called often",
		diagnosis_name(d, verdict->frame));
}

/* The frame that an alphabetical listing shows first, when it is small. */
static void order(struct diagnosis *d)
{
	const struct profile *profile = d->profile;
	uint32_t first = PROFILE_NONE;

	if (d->kind != PROFILE_CPU)
		return;
	for (uint32_t i = 0; i < profile->frame_count; i++) {
		struct str name = profile_frame_name(profile, i),
			   best = profile_frame_name(profile, first);
		int sign;

		if (!name.len || profile_tally_has(&d->all, i, TOPIC_UNKNOWN))
			continue;
		sign = memcmp(name.data, best.data, MIN(name.len, best.len));
		if (first == PROFILE_NONE || sign < 0 || (sign == 0 && name.len < best.len))
			first = i;
	}
	if (first == PROFILE_NONE || d->all.inclusive[first] > d->all.total * SMALL_SHARE)
		return;
	diagnosis_say(d, RULE_ORDER, FINDING_TRAP, first, d->all.inclusive[first],
		      "the order in a listing means nothing: %s comes first and holds %s",
		      diagnosis_name(d, first), diagnosis_part(d, d->all.inclusive[first]));
}

static void query_cpu(struct diagnosis *d)
{
	const struct profile_tally *all = &d->all;
	uint32_t best = PROFILE_NONE;

	if (d->kind != PROFILE_CPU)
		return;
	for (uint32_t i = 0; i < all->profile->frame_count; i++) {
		if (profile_tally_has(all, i, TOPIC_DB) &&
		    (best == PROFILE_NONE || all->inclusive[i] > all->inclusive[best]))
			best = i;
	}
	if (best == PROFILE_NONE || !(all->inclusive[best] > 0) ||
	    all->inclusive[best] > all->total * 0.5)
		return;
	diagnosis_say(d, RULE_QUERY_CPU, FINDING_TRAP, best, all->inclusive[best],
		      "%s: %s is only its time on a CPU; its waiting is not in this profile (an "
		      "off-CPU profile or `spanwise trace` shows it)",
		      diagnosis_name(d, best), diagnosis_part(d, all->inclusive[best]));
}

static void mostly_away(struct diagnosis *d)
{
	double duration = (double)d->profile->duration_ns;

	if (d->kind != PROFILE_CPU || d->profile->types[d->type].unit != PROFILE_NS ||
	    !(duration > 0) || d->all.total > duration * AWAY_SHARE)
		return;
	diagnosis_say(d, RULE_MOSTLY_AWAY, FINDING_TRAP, PROFILE_NONE, d->all.total,
		      "on a CPU for only %.0f %% of the recording: if it was slow, it waited, and "
		      "a CPU profile shows no waiting",
		      100 * d->all.total / duration);
}

static void recursion(struct diagnosis *d)
{
	if (!(d->all.recursive > d->all.total * RECURSION_SHARE))
		return;
	diagnosis_say(d, RULE_RECURSION, FINDING_TRAP, PROFILE_NONE, d->all.recursive,
		      "%.0f %% of the stacks are recursive: each counts once for a function, "
		      "however deep it is in it",
		      100 * d->all.recursive / d->all.total);
}

static void inlined(struct diagnosis *d)
{
	if (!d->profile->notes.inlined_frames)
		return;
	diagnosis_say(d, RULE_INLINED, FINDING_TRAP, PROFILE_NONE, 0,
		      "some frames are inlined into their callers and shown as callees: the "
		      "compiler's call, not the program's");
}

static void library_leaf(struct diagnosis *d)
{
	uint32_t hot = profile_dominant_self(&d->tree);
	const struct finding *verdict = diagnosis_verdict(d);

	if (d->kind != PROFILE_CPU || hot == PROFILE_NONE || !verdict || verdict->frame == hot ||
	    !profile_tally_has(&d->tree, hot, TOPIC_LIBRARY) ||
	    d->tree.self[hot] < d->tree.total * SMALL_SHARE)
		return;
	diagnosis_say(d, RULE_LIBRARY_LEAF, FINDING_TRAP, hot, d->tree.self[hot],
		      "%s has the largest self time, %s, but is library code: its callers decide "
		      "how often it runs",
		      diagnosis_name(d, hot), diagnosis_part(d, d->tree.self[hot]));
}

void diagnosis_rules_trap(struct diagnosis *diagnosis)
{
	static void (*const rules[])(struct diagnosis *) = { width,       order,     query_cpu,
							     mostly_away, recursion, inlined,
							     library_leaf };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		rules[i](diagnosis);
}
