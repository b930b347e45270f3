/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for CPU and wall profiles, in the order of profile_rule.def: the first that fits is the
 * verdict, the others are told beside it. */
#include "collector/base/macros.h"
#include "correlate/profile_diagnose.h"

#define GC_SHARE       0.25
#define LOCK_SHARE     0.25
#define CALLEE_SHARE   0.25
#define CALLEE_MORE    1.5 /* than a subtree that holds most by itself */
#define HOT_SHARE      0.2
#define IDLE_SHARE     0.02
#define RUNNABLE_SHARE 0.2
#define CALLER_MORE    1.03
#define NOTHING        0.05 /* of the total */
#define MARKING_MORE   4 /* collecting over allocating: the heap is large, or collected too often */

static double share(const struct diagnosis *diagnosis, double part)
{
	return diagnosis->tree.total > 0 ? part / diagnosis->tree.total : 0;
}

static void idle_pool(struct diagnosis *d)
{
	double idle = d->all.total - d->tree.total;

	if (!d->is_folded || d->kind == PROFILE_CPU || idle < d->all.total * IDLE_SHARE)
		return;
	diagnosis_say(d, RULE_IDLE_POOL, d->tree.total > 0 ? FINDING_TRAP : FINDING_VERDICT,
		      PROFILE_NONE, idle,
		      "%.0f %% of the time are threads waiting for work: no request waits there; "
		      "left out below",
		      100 * idle / d->all.total);
}

static void starved(struct diagnosis *d)
{
	double part = d->tree.topic_total[TOPIC_RUNNABLE];

	if (share(d, part) < RUNNABLE_SHARE)
		return;
	diagnosis_say(
		d, RULE_STARVED, FINDING_VERDICT, PROFILE_NONE, part,
		"starved: %s ready to run but without a CPU; no code of this program is at fault",
		diagnosis_part(d, part));
	diagnosis_say(d, RULE_STARVED, FINDING_NEXT, PROFILE_NONE, part,
		      "find what else runs on these CPUs, or raise the CPU quota");
}

/* Who allocates: the code of one's own with most allocation and collection below it. */
static uint32_t top_allocator(const struct diagnosis *d)
{
	const struct profile_tally *tree = &d->tree;
	uint32_t best = PROFILE_NONE;
	double best_part = 0;

	for (uint32_t node = 1; node < tree->profile->node_count; node++) {
		uint32_t frame = tree->profile->nodes[node].frame, owner;

		if (!(tree->topics[frame] & (TOPIC_BIT(TOPIC_ALLOC) | TOPIC_BIT(TOPIC_GC))))
			continue;
		owner = profile_dominant_owner(tree, node);
		if (owner != PROFILE_NONE && tree->cum[node] > best_part) {
			best = owner;
			best_part = tree->cum[node];
		}
	}
	return best;
}

static void gc_pressure(struct diagnosis *d)
{
	double part = d->tree.topic_total[TOPIC_GC],
	       memory = part + d->tree.topic_self[TOPIC_ALLOC];
	uint32_t who;

	if (share(d, MIN(memory, d->tree.total)) < GC_SHARE || share(d, part) < GC_SHARE / 3)
		return;
	memory = MIN(memory, d->tree.total);
	who = top_allocator(d);
	diagnosis_say(d, RULE_GC_PRESSURE, FINDING_VERDICT, who, memory,
		      "memory pressure: %s in garbage collection and allocation%s%s",
		      diagnosis_part(d, memory),
		      who == PROFILE_NONE ? "" : ", most of it caused by ",
		      who == PROFILE_NONE ? "" : diagnosis_name(d, who));
	diagnosis_say(d, RULE_GC_PRESSURE, FINDING_NEXT, who, memory,
		      "allocate less%s%s: reuse buffers, size slices and maps beforehand; an "
		      "allocation profile names the lines",
		      who == PROFILE_NONE ? "" : " in ",
		      who == PROFILE_NONE ? "" : diagnosis_name(d, who));
	if (part > d->tree.topic_self[TOPIC_ALLOC] * MARKING_MORE)
		diagnosis_say(d, RULE_GC_PRESSURE, FINDING_DETAIL, PROFILE_NONE, part,
			      "most of it is collecting (%s), not allocating: much is alive, or it "
			      "is collected too often; count the cycles first (gctrace, GC log)",
			      diagnosis_part(d, part));
}

static uint32_t top_of_topic(const struct diagnosis *d, enum profile_topic topic)
{
	const struct profile_tally *tree = &d->tree;
	uint32_t best = PROFILE_NONE, node_of_best = PROFILE_NONE, owner;

	for (uint32_t node = 1; node < tree->profile->node_count; node++) {
		if (profile_tally_has(tree, tree->profile->nodes[node].frame, topic) &&
		    (node_of_best == PROFILE_NONE || tree->cum[node] > tree->cum[node_of_best]))
			node_of_best = node;
	}
	if (node_of_best == PROFILE_NONE)
		return PROFILE_NONE;
	best = tree->profile->nodes[node_of_best].frame;
	owner = profile_dominant_owner(tree, node_of_best);
	return owner == PROFILE_NONE ? best : owner;
}

static void lock_spin(struct diagnosis *d)
{
	double part = d->tree.topic_total[TOPIC_LOCK];
	uint32_t who;

	if (d->kind == PROFILE_WALL || share(d, part) < LOCK_SHARE)
		return;
	who = top_of_topic(d, TOPIC_LOCK);
	diagnosis_say(d, RULE_LOCK_SPIN, FINDING_VERDICT, who, part,
		      "lock contention: %s of the CPU is spent taking locks, most under %s",
		      diagnosis_part(d, part), diagnosis_name(d, who));
	diagnosis_say(d, RULE_LOCK_SPIN, FINDING_NEXT, who, part,
		      "shorten or split the critical section in %s; more threads make it worse",
		      diagnosis_name(d, who));
}

static const char *topic_words(const struct profile_tally *tally, uint32_t node)
{
	static const enum profile_topic told[] = {
		TOPIC_REGEX,     TOPIC_SERIALIZE, TOPIC_COMPRESS, TOPIC_CRYPTO, TOPIC_LOG,
		TOPIC_EXCEPTION, TOPIC_SYMBOLIZE, TOPIC_JIT,      TOPIC_LOCK,   TOPIC_DB
	};

	/* the topic is that of the frame or of the child that does most of it */
	for (unsigned steps = 0; node != PROFILE_NONE && steps < 6; steps++) {
		for (size_t i = 0; i < ARRAY_LEN(told); i++) {
			if (profile_tally_has(tally, tally->profile->nodes[node].frame, told[i]))
				return profile_topic_name(told[i]);
		}
		node = profile_tally_heaviest(tally, node);
	}
	return NULL;
}

static bool is_path_informative(const struct diagnosis *d)
{
	return d->dominant.depth > 0 && !d->dominant.is_whole_program;
}

/* Libraries only on the path: an interpreter or a framework calls one's own code by many ways. */
static bool say_anywhere(struct diagnosis *d)
{
	uint32_t frame = d->dominant.has_own ? PROFILE_NONE : profile_dominant_anywhere(&d->tree);
	double part;

	if (frame == PROFILE_NONE)
		return false;
	part = d->tree.inclusive[frame];
	diagnosis_say(d, RULE_DOMINANT_CALLEE, FINDING_VERDICT, frame, part,
		      "%s holds %s, over all its callers", diagnosis_name(d, frame),
		      diagnosis_part(d, part));
	diagnosis_say(d, RULE_DOMINANT_CALLEE, FINDING_NEXT, frame, part,
		      "make %s cheaper, or call it less", diagnosis_name(d, frame));
	return true;
}

static void dominant_callee(struct diagnosis *d)
{
	uint32_t callee = d->callee;
	double part, path_part;

	if (say_anywhere(d) || callee == PROFILE_NONE)
		return;
	part = d->tree.inclusive[callee];
	path_part = is_path_informative(d) ? d->tree.cum[d->dominant.headline] : 0;
	if (share(d, part) < CALLEE_SHARE)
		return;
	if (is_path_informative(d) && path_part < d->tree.total * 0.95 &&
	    path_part * CALLEE_MORE >= part)
		return; /* the subtree says more */
	diagnosis_say(d, RULE_DOMINANT_CALLEE, FINDING_VERDICT, callee, part,
		      "%s holds %s, spread over %u callers: no single path shows it",
		      diagnosis_name(d, callee), diagnosis_part(d, part), d->tree.callers[callee]);
	diagnosis_say(d, RULE_DOMINANT_CALLEE, FINDING_NEXT, callee, part,
		      "make %s cheaper once, or call it less from all of its callers",
		      diagnosis_name(d, callee));
}

/* Where a change pays, and how much: nothing, when it is a caller of everything. */
static void say_change(struct diagnosis *d)
{
	const struct profile_dominant *found = &d->dominant;
	uint32_t frame = d->tree.profile->nodes[found->change].frame;
	double part = d->tree.cum[found->change], rest = d->tree.total - part;
	bool is_above = part > d->tree.cum[found->headline] * CALLER_MORE;

	if (is_above)
		diagnosis_say(d, RULE_DOMINANT_SUBTREE, FINDING_NEXT, frame, part,
			      "%s decides how often it runs and with how much: call it less, or "
			      "give it less",
			      diagnosis_name(d, frame));
	else if (rest < d->tree.total * NOTHING)
		diagnosis_say(d, RULE_DOMINANT_SUBTREE, FINDING_NEXT, frame, part,
			      "a change pays only in %s: there is next to nothing beside it",
			      diagnosis_name(d, frame));
	else
		diagnosis_say(d, RULE_DOMINANT_SUBTREE, FINDING_NEXT, frame, part,
			      "a change pays most in %s: up to %s can go there, and %.0f %% in all "
			      "the rest together",
			      diagnosis_name(d, frame), diagnosis_part(d, part),
			      100 * rest / d->tree.total);
}

static void dominant_subtree(struct diagnosis *d)
{
	const struct profile_dominant *found = &d->dominant;
	uint32_t frame, deepest;
	const char *words;
	double part;

	if (!is_path_informative(d))
		return;
	frame = d->tree.profile->nodes[found->headline].frame;
	deepest = d->tree.profile->nodes[found->deepest].frame;
	part = d->tree.cum[found->headline];
	words = topic_words(&d->tree, found->headline);
	diagnosis_say(d, RULE_DOMINANT_SUBTREE, FINDING_VERDICT, frame, part, "%s under %s%s%s%s",
		      diagnosis_part(d, part), diagnosis_name(d, frame), words ? " (" : "",
		      words ? words : "", words ? ")" : "");
	if (deepest != frame)
		diagnosis_say(d, RULE_DOMINANT_SUBTREE, FINDING_DETAIL, deepest,
			      d->tree.cum[found->deepest],
			      "the deepest frame that still holds most is %s with %s",
			      diagnosis_name(d, deepest),
			      diagnosis_part(d, d->tree.cum[found->deepest]));
	if (diagnosis_verdict(d)->rule == RULE_DOMINANT_SUBTREE)
		say_change(d);
}

static void hot_function(struct diagnosis *d)
{
	uint32_t hot = profile_dominant_self(&d->tree);

	if (hot == PROFILE_NONE || share(d, d->tree.self[hot]) < HOT_SHARE)
		return;
	diagnosis_say(d, RULE_HOT_FUNCTION,
		      diagnosis_has_verdict(d) ? FINDING_DETAIL : FINDING_VERDICT, hot,
		      d->tree.self[hot], "%s itself takes %s over all stacks",
		      diagnosis_name(d, hot), diagnosis_part(d, d->tree.self[hot]));
}

static void flat(struct diagnosis *d)
{
	uint32_t hot = profile_dominant_self(&d->tree);

	if (diagnosis_has_verdict(d))
		return;
	if (hot == PROFILE_NONE)
		return;
	diagnosis_say(d, RULE_FLAT, FINDING_VERDICT, hot, d->tree.self[hot],
		      "no hot spot: the largest function, %s, takes %s itself",
		      diagnosis_name(d, hot), diagnosis_part(d, d->tree.self[hot]));
	diagnosis_say(d, RULE_FLAT, FINDING_NEXT, PROFILE_NONE, 0,
		      "do less work altogether (fewer requests, less data, a cache); no single "
		      "function is worth tuning");
}

void diagnosis_rules_cpu(struct diagnosis *diagnosis)
{
	static void (*const rules[])(struct diagnosis *) = {
		idle_pool,       starved,          gc_pressure,  lock_spin,
		dominant_callee, dominant_subtree, hot_function, flat,
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		rules[i](diagnosis);
}
