/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for off-CPU profiles and for one heap profile. */
#include "collector/base/macros.h"
#include "correlate/profile_diagnose.h"

#define STARVED_SHARE 0.3
#define IDLE_SHARE    0.02

static void idle_pool(struct diagnosis *d)
{
	double idle = d->all.total - d->tree.total;

	if (!d->is_folded || idle < d->all.total * IDLE_SHARE)
		return;
	diagnosis_say(d, RULE_IDLE_POOL,
		      d->tree.total > d->all.total * IDLE_SHARE ? FINDING_TRAP : FINDING_VERDICT,
		      PROFILE_NONE, idle,
		      "%.0f %% of the waiting are idle threads waiting for work: no request waits "
		      "there%s",
		      100 * idle / d->all.total,
		      d->tree.total > d->all.total * IDLE_SHARE ? "; left out below"
								: ", and nothing else waits");
}

static void starved(struct diagnosis *d)
{
	double part = d->tree.topic_total[TOPIC_RUNNABLE];

	if (!(d->tree.total > 0) || part < d->tree.total * STARVED_SHARE)
		return;
	diagnosis_say(
		d, RULE_STARVED, FINDING_VERDICT, PROFILE_NONE, part,
		"starved: %s of the time off the CPU it was ready to run; nothing is waited for",
		diagnosis_part(d, part));
	diagnosis_say(d, RULE_STARVED, FINDING_NEXT, PROFILE_NONE, part,
		      "find what else runs on these CPUs, or raise the CPU quota");
}

static enum profile_rule_id rule_of_wait(const struct diagnosis *d, uint32_t node)
{
	/* what is below decides: a query may take a lock inside, but then most of it is below */
	for (unsigned steps = 0; node != PROFILE_NONE && steps < 8; steps++) {
		uint32_t frame = d->tree.profile->nodes[node].frame;

		if (profile_tally_has(&d->tree, frame, TOPIC_DB))
			return RULE_DOMINANT_WAIT;
		if (profile_tally_has(&d->tree, frame, TOPIC_SLEEP))
			return RULE_SLEEP_WAIT;
		if (profile_tally_has(&d->tree, frame, TOPIC_LOCK))
			return RULE_LOCK_WAIT;
		if (profile_tally_has(&d->tree, frame, TOPIC_CHANNEL))
			return RULE_CHANNEL_WAIT;
		node = profile_tally_heaviest(&d->tree, node);
	}
	return RULE_DOMINANT_WAIT;
}

static void say_next(struct diagnosis *d, enum profile_rule_id rule, uint32_t frame, double part)
{
	switch (rule) {
	case RULE_CHANNEL_WAIT:
		diagnosis_say(d, rule, FINDING_NEXT, frame, part,
			      "look at the other end of this channel or queue: it is slower, too "
			      "few, or gone");
		break;
	case RULE_LOCK_WAIT:
		diagnosis_say(d, rule, FINDING_NEXT, frame, part,
			      "find who holds this lock and what it does meanwhile; shorten or "
			      "split that section");
		break;
	case RULE_SLEEP_WAIT:
		diagnosis_say(d, rule, FINDING_NEXT, frame, part,
			      "the program asked for this wait: shorten it, or wait for the event "
			      "itself");
		break;
	default:
		diagnosis_say(d, rule, FINDING_NEXT, frame, part,
			      "chase what %s waits for (the query, the peer, the disk); leave the "
			      "CPU code alone",
			      diagnosis_name(d, frame));
	}
}

static bool says_nothing(const struct diagnosis *d, uint32_t node)
{
	return node == PROFILE_NONE || d->dominant.is_whole_program ||
	       profile_tally_has(&d->tree, d->tree.profile->nodes[node].frame, TOPIC_ENTRY);
}

/* Where nothing holds most: the largest of the calls that leave one's own code, or of all places
 * where somebody waits. */
static uint32_t largest_wait(const struct diagnosis *d)
{
	const struct profile_tally *tree = &d->tree;
	uint32_t call = PROFILE_NONE, leaf = PROFILE_NONE;

	for (uint32_t i = 1; i < tree->profile->node_count; i++) {
		uint32_t parent = tree->profile->nodes[i].parent;
		bool is_call = !profile_dominant_is_own(tree, i) && parent != PROFILE_ROOT &&
			       profile_dominant_is_own(tree, parent) && !says_nothing(d, i);

		if (is_call && (call == PROFILE_NONE || tree->cum[i] > tree->cum[call]))
			call = i;
		if (leaf == PROFILE_NONE ||
		    profile_tally_self(tree, i) > profile_tally_self(tree, leaf))
			leaf = i;
	}
	return call == PROFILE_NONE ? leaf : call;
}

/* Go's mutex profile has no stack of who waited: the time is booked where the lock was let go. */
static bool is_unlock(const struct diagnosis *d, uint32_t frame)
{
	struct str name = profile_frame_name(d->profile, frame);

	return name.len > 6 && memcmp(name.data + name.len - 6, "Unlock", 6) == 0;
}

static void say_holder(struct diagnosis *d, uint32_t frame, uint32_t owner, double part)
{
	diagnosis_say(d, RULE_LOCK_WAIT, FINDING_VERDICT, frame, part,
		      "%s others waited for the lock that %s held (booked at its %s)",
		      diagnosis_part(d, part), diagnosis_name(d, owner), diagnosis_name(d, frame));
	diagnosis_say(d, RULE_LOCK_WAIT, FINDING_NEXT, owner, part,
		      "shorten what %s does while it holds the lock, or split the lock",
		      diagnosis_name(d, owner));
}

static void say_wait(struct diagnosis *d, enum profile_rule_id rule, uint32_t frame, uint32_t owner,
		     double part)
{
	bool has_owner = owner != PROFILE_NONE && owner != frame;

	diagnosis_say(d, rule, FINDING_VERDICT, frame, part, "%s %s in %s%s%s",
		      diagnosis_part(d, part), d->kind == PROFILE_THREADS ? "stand" : "waits",
		      diagnosis_name(d, frame), has_owner ? ", called by " : "",
		      has_owner ? diagnosis_name(d, owner) : "");
	say_next(d, rule, frame, part);
	if (d->kind == PROFILE_THREADS)
		diagnosis_say(
			d, RULE_PILE_UP, FINDING_NEXT, frame, part,
			"take a second profile later and run `spanwise diff FIRST SECOND`: do "
			"they pile up?");
}

static void dominant_wait(struct diagnosis *d)
{
	const struct profile_dominant *found = &d->dominant;
	enum profile_rule_id rule;
	uint32_t node = found->headline, frame, owner;
	double part;

	if (says_nothing(d, node))
		node = largest_wait(d);
	if (node == PROFILE_NONE || !(d->tree.total > 0))
		return;
	frame = d->tree.profile->nodes[node].frame;
	part = d->tree.cum[node];
	rule = rule_of_wait(d, node);
	owner = profile_dominant_owner(&d->tree, node);
	if (rule == RULE_LOCK_WAIT && is_unlock(d, frame) && owner != PROFILE_NONE)
		say_holder(d, frame, owner, part);
	else
		say_wait(d, rule, frame, owner, part);
}

/* Another wait of some size, so that it is seen to be small. */
static void next_wait(struct diagnosis *d)
{
	const struct finding *verdict = diagnosis_verdict(d);
	uint32_t best = PROFILE_NONE;

	if (!verdict || d->dominant.headline == PROFILE_NONE)
		return;
	for (uint32_t i = 0; i < d->tree.profile->frame_count; i++) {
		uint32_t wanted =
			TOPIC_BIT(TOPIC_LOCK) | TOPIC_BIT(TOPIC_DB) | TOPIC_BIT(TOPIC_SLEEP);

		if (!(d->tree.topics[i] & wanted) || i == verdict->frame ||
		    d->tree.inclusive[i] > verdict->part * 0.5 ||
		    d->tree.inclusive[i] < d->tree.total * 0.005)
			continue;
		if (best == PROFILE_NONE || d->tree.inclusive[i] > d->tree.inclusive[best])
			best = i;
	}
	if (best != PROFILE_NONE)
		diagnosis_say(d, RULE_MICRO, FINDING_TRAP, best, d->tree.inclusive[best],
			      "not %s: it is only %s of the waiting", diagnosis_name(d, best),
			      diagnosis_part(d, d->tree.inclusive[best]));
}

void diagnosis_rules_wait(struct diagnosis *diagnosis)
{
	static void (*const rules[])(struct diagnosis *) = { idle_pool, starved, dominant_wait,
							     next_wait };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		rules[i](diagnosis);
}

/* The node with the largest own amount. */
static uint32_t largest_leaf(const struct profile_tally *tally)
{
	uint32_t best = PROFILE_NONE;

	for (uint32_t i = 1; i < tally->profile->node_count; i++) {
		if (best == PROFILE_NONE ||
		    profile_tally_self(tally, i) > profile_tally_self(tally, best))
			best = i;
	}
	return best;
}

void diagnosis_rules_heap(struct diagnosis *d)
{
	uint32_t leaf = largest_leaf(&d->tree), frame, owner;
	double part;

	if (leaf == PROFILE_NONE || !(d->tree.total > 0))
		return;
	frame = d->tree.profile->nodes[leaf].frame;
	owner = profile_dominant_owner(&d->tree, leaf);
	part = d->tree.self[frame];
	diagnosis_say(d, RULE_HEAP_HOLDER, FINDING_VERDICT, frame, part, "%s%s%s %s %s",
		      owner == PROFILE_NONE || owner == frame ? "" : diagnosis_name(d, owner),
		      owner == PROFILE_NONE || owner == frame ? "" : " -> ",
		      diagnosis_name(d, frame), d->kind == PROFILE_ALLOC ? "allocated" : "holds",
		      diagnosis_part(d, part));
	diagnosis_say(d, RULE_HEAP_HOLDER, FINDING_NEXT, frame, part,
		      "one heap profile shows no growth: take a second under the same load and run "
		      "`spanwise diff FIRST SECOND`");
}
