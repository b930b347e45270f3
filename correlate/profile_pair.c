/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_pair.h"

#include "collector/base/macros.h"

#define TOLERANCE     0.05 /* of the wall: two profilers never start in the same instant */
#define STARVED_SHARE 0.2
#define WAITING_SHARE 0.3
#define CPU_SHARE     0.7

static void put_ns(struct buf *out, double ns)
{
	profile_put_amount(out, ns, PROFILE_NS, NULL);
}

static void put_part(struct buf *out, double ns, double wall_ns)
{
	put_ns(out, ns);
	buf_append_text(out, " (");
	profile_put_share(out, ns, wall_ns);
	buf_append_byte(out, ')');
}

static void measure(const struct diagnosis *on, const struct diagnosis *off, double wall_ns,
		    struct profile_pair *out)
{
	double recorded = off->tree.topic_total[TOPIC_RUNNABLE], sum;

	out->on_ns = on->all.total;
	out->waiting_ns = MAX(off->tree.total - recorded, 0.0);
	sum = out->on_ns + out->waiting_ns + recorded;
	out->is_wall_told = wall_ns > 0;
	out->is_of_spans = on->profile->notes.is_of_spans;
	out->wall_ns = out->is_wall_told ? wall_ns : sum;
	out->missing_ns = MAX(out->wall_ns - sum, 0.0);
	out->surplus_ns = MAX(sum - out->wall_ns, 0.0);
	out->runnable_ns = recorded + out->missing_ns;
	/* threads in parallel: shares of the wall would exceed the whole */
	out->base_ns = out->surplus_ns > out->wall_ns * TOLERANCE ? sum : out->wall_ns;
}

/* A gap may have been ready without a CPU, or not recorded: it decides nothing. */
static enum profile_rule_id judge(const struct profile_pair *pair)
{
	double all = pair->base_ns, recorded = pair->runnable_ns - pair->missing_ns;

	if (recorded > all * STARVED_SHARE && recorded > pair->waiting_ns)
		return RULE_PAIR_STARVED;
	if (pair->on_ns <= all * CPU_SHARE && pair->missing_ns > all * STARVED_SHARE &&
	    pair->missing_ns > pair->waiting_ns)
		return RULE_PAIR_GAP;
	if (pair->on_ns < all * WAITING_SHARE && pair->waiting_ns > 0)
		return RULE_PAIR_WAITING;
	if (pair->on_ns > all * CPU_SHARE)
		return RULE_PAIR_CPU;
	return RULE_PAIR_MIXED;
}

static void say_partition(struct profile_pair *pair)
{
	struct buf *out = &pair->partition;

	put_ns(out, pair->on_ns);
	buf_append_text(out, " on a CPU + ");
	put_ns(out, pair->waiting_ns);
	buf_append_text(out, " waiting");
	if (pair->runnable_ns > pair->missing_ns) {
		buf_append_text(out, " + ");
		put_ns(out, pair->runnable_ns - pair->missing_ns);
		buf_append_text(out, " ready without a CPU");
	}
	if (!pair->is_wall_told && pair->is_of_spans)
		return;
	if (!pair->is_wall_told) {
		buf_append_text(
			out, "; give the wall time with --wall to check that nothing is missing");
		return;
	}
	buf_append_text(out, " of ");
	put_ns(out, pair->wall_ns);
	buf_append_text(out, " wall: ");
	if (pair->surplus_ns > pair->wall_ns * TOLERANCE) {
		put_part(out, pair->surplus_ns, pair->wall_ns);
		buf_append_text(out,
				" too much: threads in parallel, or profiles of different windows");
	} else if (pair->missing_ns > pair->wall_ns * TOLERANCE) {
		put_part(out, pair->missing_ns, pair->wall_ns);
		buf_append_text(out, " in neither: ready without a CPU, or not recorded");
	} else {
		buf_append_text(out, "they partition it");
		if (pair->missing_ns > 0) {
			buf_append_text(out, " but for ");
			put_part(out, pair->missing_ns, pair->wall_ns);
		}
	}
}

/* What the off-CPU or on-CPU side calls dominant: "540 ms (88 %) in X". */
static void put_dominant(struct profile_pair *pair, struct diagnosis *side)
{
	const struct finding *found = diagnosis_verdict(side);

	if (!found || found->frame == PROFILE_NONE)
		return;
	buf_append_text(&pair->verdict, ": ");
	put_part(&pair->verdict, found->part, pair->base_ns);
	buf_printf(&pair->verdict, " in %s", diagnosis_name(side, found->frame));
}

static void put_percent(struct profile_pair *pair, double part, const char *words)
{
	buf_printf(&pair->verdict, "%.0f %% %s", 100 * part / pair->base_ns, words);
}

static void say_verdict(struct profile_pair *pair, struct diagnosis *on, struct diagnosis *off)
{
	switch (pair->rule) {
	case RULE_PAIR_STARVED:
		put_percent(pair, pair->runnable_ns,
			    "starved of CPU: ready to run but not given one; ");
		buf_append_text(&pair->verdict, "find what else runs there, or raise the quota");
		break;
	case RULE_PAIR_GAP:
		put_percent(pair, pair->missing_ns,
			    "of the wall is in neither profile, so there is no verdict yet: ");
		buf_append_text(&pair->verdict,
				"starved of CPU, or not recorded; find out which before you "
				"conclude");
		break;
	case RULE_PAIR_WAITING:
		put_percent(pair, pair->waiting_ns, "waiting");
		put_dominant(pair, off);
		buf_append_text(&pair->verdict, "; leave the CPU code alone");
		break;
	case RULE_PAIR_CPU:
		put_percent(pair, pair->on_ns, "on CPU");
		put_dominant(pair, on);
		break;
	default:
		put_percent(pair, pair->on_ns, "on CPU and ");
		put_percent(pair, pair->waiting_ns, "waiting: mixed");
		put_dominant(pair, pair->on_ns > pair->waiting_ns ? on : off);
		break;
	}
}

int profile_pair_judge(struct diagnosis *on, struct diagnosis *off, double wall_ns,
		       struct profile_pair *out)
{
	*out = (struct profile_pair){ 0 };
	buf_init(&out->verdict, 0);
	buf_init(&out->partition, 0);
	measure(on, off, wall_ns, out);
	if (!(out->wall_ns > 0)) {
		out->rule = RULE_NO_DATA;
		buf_append_text(&out->verdict,
				"both profiles are empty: take them again while there is load");
		return buf_error(&out->verdict);
	}
	out->rule = judge(out);
	say_partition(out);
	say_verdict(out, on, off);
	if (out->rule == RULE_PAIR_WAITING)
		diagnosis_say(off, RULE_MICRO, FINDING_TRAP, PROFILE_NONE, out->on_ns,
			      "not the CPU: it is only %.1f %% of the %s",
			      100 * out->on_ns / out->base_ns,
			      out->base_ns > out->wall_ns ? "time of all threads" : "wall");
	return buf_error(&out->verdict) ? buf_error(&out->verdict) : buf_error(&out->partition);
}

void profile_pair_fini(struct profile_pair *pair)
{
	buf_fini(&pair->verdict);
	buf_fini(&pair->partition);
}
