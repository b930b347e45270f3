/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_tally.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collector/base/macros.h"

static void sum_nodes(struct profile_tally *tally)
{
	const struct profile *profile = tally->profile;

	for (uint32_t i = profile->node_count; i-- > 0;) {
		const struct profile_node *node = &profile->nodes[i];

		tally->cum[i] += profile_tally_self(tally, i);
		tally->next[i] = PROFILE_NONE;
		if (i == PROFILE_ROOT)
			continue;
		tally->cum[node->parent] += tally->cum[i];
		tally->next[i] = tally->first_child[node->parent];
		tally->first_child[node->parent] = i;
	}
	tally->total = tally->cum[PROFILE_ROOT];
}

double profile_tally_self(const struct profile_tally *tally, uint32_t node)
{
	return (double)profile_self(tally->profile, node, tally->type) *
	       tally->profile->types[tally->type].factor;
}

/* ---- one walk over all stacks ---- */

struct walk {
	struct profile_tally *tally;
	uint32_t *on_path;     /* by frame: how often it stands in the current stack */
	uint32_t *last_caller; /* by frame: the caller counted last */
	double *depth_weight;  /* by depth: what ends there */
	uint32_t path[PROFILE_MAX_DEPTH + 2];
	uint32_t topics[PROFILE_MAX_DEPTH + 2]; /* of all frames up to here */
	bool recurs[PROFILE_MAX_DEPTH + 2];
	unsigned depth;
};

static void count_caller(struct walk *walk, uint32_t node, uint32_t frame)
{
	uint32_t parent = walk->tally->profile->nodes[node].parent;
	uint32_t caller = walk->tally->profile->nodes[parent].frame;

	if (caller == frame || walk->last_caller[frame] == caller + 2)
		return;
	walk->last_caller[frame] = caller + 2; /* the root's PROFILE_NONE becomes 1 */
	walk->tally->callers[frame]++;
}

static void count_topics(struct walk *walk, uint32_t node, uint32_t frame)
{
	struct profile_tally *tally = walk->tally;
	uint32_t above = walk->topics[walk->depth - 1], own = tally->topics[frame];

	for (uint32_t left = own; left; left &= left - 1) {
		unsigned topic = (unsigned)__builtin_ctz(left);

		if (!(above & TOPIC_BIT(topic)))
			tally->topic_total[topic] += tally->cum[node];
		tally->topic_self[topic] += profile_tally_self(tally, node);
	}
	walk->topics[walk->depth] = above | own;
}

static void enter(struct walk *walk, uint32_t node)
{
	struct profile_tally *tally = walk->tally;
	uint32_t frame = tally->profile->nodes[node].frame;
	double self = profile_tally_self(tally, node);
	bool again = walk->on_path[frame]++ > 0;

	walk->path[++walk->depth] = node;
	tally->self[frame] += self;
	if (!again)
		tally->inclusive[frame] += tally->cum[node];
	tally->widest[frame] = MAX(tally->widest[frame], tally->cum[node]);
	walk->recurs[walk->depth] = again || walk->recurs[walk->depth - 1];
	if (again && !walk->recurs[walk->depth - 1])
		tally->recursive += tally->cum[node];
	count_caller(walk, node, frame);
	count_topics(walk, node, frame);
	if (walk->depth == 1 &&
	    tally->topics[frame] & (TOPIC_BIT(TOPIC_UNKNOWN) | TOPIC_BIT(TOPIC_TRUNCATED)))
		tally->rootless += tally->cum[node];
	walk->depth_weight[walk->depth] += fabs(self);
	tally->deepest = MAX(tally->deepest, walk->depth);
}

static void leave(struct walk *walk)
{
	uint32_t node = walk->path[walk->depth--];

	walk->on_path[walk->tally->profile->nodes[node].frame]--;
}

/* The stack of the walk is the path itself: siblings follow by `next`. */
static void walk_all(struct walk *walk)
{
	const struct profile_tally *tally = walk->tally;
	uint32_t at = tally->first_child[PROFILE_ROOT];

	walk->topics[0] = 0;
	walk->recurs[0] = false;
	for (;;) {
		if (at != PROFILE_NONE) {
			enter(walk, at);
			at = tally->first_child[at];
			continue;
		}
		if (walk->depth == 0)
			return;
		at = tally->next[walk->path[walk->depth]];
		leave(walk);
	}
}

static uint32_t median_of(const double *weights, size_t count)
{
	double all = 0, sum = 0;

	for (size_t i = 0; i < count; i++)
		all += weights[i];
	for (size_t i = 0; i < count; i++) {
		sum += weights[i];
		if (sum * 2 >= all)
			return (uint32_t)i;
	}
	return 0;
}

static int walk_profile(struct profile_tally *tally)
{
	size_t frames = (size_t)tally->profile->frame_count + 1;
	struct walk *walk = calloc(1, sizeof(*walk));
	int rc = -ENOMEM;

	if (!walk)
		return rc;
	walk->tally = tally;
	walk->on_path = calloc(frames, sizeof(*walk->on_path));
	walk->last_caller = calloc(frames, sizeof(*walk->last_caller));
	walk->depth_weight = calloc(PROFILE_MAX_DEPTH + 2, sizeof(*walk->depth_weight));
	if (walk->on_path && walk->last_caller && walk->depth_weight) {
		walk_all(walk);
		tally->median_depth = median_of(walk->depth_weight, PROFILE_MAX_DEPTH + 2);
		rc = 0;
	}
	free(walk->on_path);
	free(walk->last_caller);
	free(walk->depth_weight);
	free(walk);
	return rc;
}

/* How many observations stand behind the total. */
static double count_samples(const struct profile *profile, unsigned type, double total)
{
	uint32_t counts = profile_count_type(profile, type);

	if (counts != PROFILE_NONE)
		return profile_total(profile, counts);
	if (profile->period > 0)
		return total / ((double)profile->period * profile->types[type].factor);
	return 0;
}

int profile_tally_init(struct profile_tally *tally, const struct profile *profile, unsigned type)
{
	size_t nodes = profile->node_count, frames = (size_t)profile->frame_count + 1;
	int rc = -ENOMEM;

	*tally = (struct profile_tally){ .profile = profile, .type = type };
	tally->cum = calloc(nodes, sizeof(*tally->cum));
	tally->first_child = malloc(nodes * sizeof(*tally->first_child));
	tally->next = malloc(nodes * sizeof(*tally->next));
	tally->self = calloc(frames, sizeof(*tally->self));
	tally->inclusive = calloc(frames, sizeof(*tally->inclusive));
	tally->widest = calloc(frames, sizeof(*tally->widest));
	tally->callers = calloc(frames, sizeof(*tally->callers));
	tally->topics = calloc(frames, sizeof(*tally->topics));
	if (tally->cum && tally->first_child && tally->next && tally->self && tally->inclusive &&
	    tally->widest && tally->callers && tally->topics) {
		memset(tally->first_child, 0xff, nodes * sizeof(*tally->first_child));
		for (uint32_t i = 0; i < profile->frame_count; i++)
			tally->topics[i] = profile_topics_of(profile_frame_name(profile, i));
		sum_nodes(tally);
		tally->samples = count_samples(profile, type, tally->total);
		rc = walk_profile(tally);
	}
	if (rc < 0)
		profile_tally_fini(tally);
	return rc;
}

void profile_tally_forget_nodes(struct profile_tally *tally)
{
	free(tally->cum);
	free(tally->first_child);
	free(tally->next);
	tally->cum = NULL;
	tally->first_child = tally->next = NULL;
}

void profile_tally_fini(struct profile_tally *tally)
{
	free(tally->cum);
	free(tally->first_child);
	free(tally->next);
	free(tally->self);
	free(tally->inclusive);
	free(tally->widest);
	free(tally->callers);
	free(tally->topics);
	*tally = (struct profile_tally){ 0 };
}

uint32_t profile_tally_heaviest(const struct profile_tally *tally, uint32_t node)
{
	uint32_t best = PROFILE_NONE;

	for (uint32_t at = tally->first_child[node]; at != PROFILE_NONE; at = tally->next[at]) {
		if (best == PROFILE_NONE || tally->cum[at] > tally->cum[best])
			best = at;
	}
	return best;
}

/* ---- is it a CPU profile at all ---- */

int profile_waiting_share(const struct profile *profile, unsigned type, double *out_share)
{
	const uint32_t waits = TOPIC_BIT(TOPIC_IDLE) | TOPIC_BIT(TOPIC_AWAIT) |
			       TOPIC_BIT(TOPIC_SLEEP) | TOPIC_BIT(TOPIC_PARKED) |
			       TOPIC_BIT(TOPIC_RUNNABLE);
	uint8_t *known = calloc((size_t)profile->frame_count + 1, 1); /* 1: waits, 2: does not */
	double waiting = 0, total = 0;

	if (!known)
		return -ENOMEM;
	for (uint32_t i = 1; i < profile->node_count; i++) {
		uint32_t frame = profile->nodes[i].frame;
		double self = (double)profile_self(profile, i, type);

		if (!(self > 0))
			continue;
		if (!known[frame])
			known[frame] = profile_topics_of(profile_frame_name(profile, frame)) & waits
					       ? 1
					       : 2;
		total += self;
		waiting += known[frame] == 1 ? self : 0;
	}
	free(known);
	*out_share = total > 0 ? waiting / total : 0;
	return 0;
}

/* ---- recursion and idle threads ---- */

struct fold {
	const struct profile_tally *tally;
	struct profile *folded;
	struct profile_walk walk;
	uint32_t *place; /* by frame: where it stands in the path at hand, from 1; 0: nowhere */
	uint32_t path[PROFILE_MAX_DEPTH];
	uint8_t is_idle[PROFILE_MAX_DEPTH + 1]; /* by depth: at or below an idle frame */
	uint8_t is_busy[PROFILE_MAX_DEPTH + 1]; /* at or below a frame that works for somebody */
	bool drop_idle, drop_jit;
};

static void judge_idle(struct fold *fold)
{
	uint32_t depth = fold->walk.depth, topics;
	uint32_t nobody =
		TOPIC_BIT(TOPIC_LIBRARY) | TOPIC_BIT(TOPIC_WORKER) | TOPIC_BIT(TOPIC_IDLE);
	uint32_t waits = TOPIC_BIT(TOPIC_IDLE) | TOPIC_BIT(TOPIC_PARKED);

	if (!depth)
		return;
	topics = fold->tally->topics[fold->walk.frames[depth - 1]];
	/* a process's name may stand above the first function */
	fold->is_busy[depth] =
		!(topics & nobody) ||
		(fold->is_busy[depth - 1] && !(depth == 2 && topics & TOPIC_BIT(TOPIC_ENTRY)));
	fold->is_idle[depth] = fold->is_idle[depth - 1] || topics & TOPIC_BIT(TOPIC_AWAIT) ||
			       (topics & waits && !fold->is_busy[depth]);
}

/* The stack at hand without its loops; returns its depth. */
static uint32_t shorten(struct fold *fold)
{
	const struct profile_walk *walk = &fold->walk;
	uint32_t depth = 0;

	for (uint32_t i = 0; i < walk->depth; i++) {
		uint32_t frame = walk->frames[i];

		if (fold->place[frame]) {
			while (depth > fold->place[frame])
				fold->place[fold->path[--depth]] = 0;
			continue;
		}
		fold->path[depth++] = frame;
		fold->place[frame] = depth;
	}
	for (uint32_t i = 0; i < depth; i++)
		fold->place[fold->path[i]] = 0;
	return depth;
}

static bool is_dropped(const struct fold *fold)
{
	const struct profile_walk *walk = &fold->walk;

	if (fold->drop_idle && fold->is_idle[walk->depth])
		return true;
	for (uint32_t i = 0; fold->drop_jit && i < walk->depth; i++) {
		if (profile_tally_has(fold->tally, walk->frames[i], TOPIC_JIT))
			return true;
	}
	return false;
}

static int fold_node(struct fold *fold)
{
	const struct profile *profile = fold->tally->profile;
	uint32_t value = profile->nodes[fold->walk.node].value, stack;
	int rc;

	judge_idle(fold);
	if (value == PROFILE_NONE || is_dropped(fold))
		return 0;
	rc = profile_stack(fold->folded, fold->path, shorten(fold), &stack);
	if (rc == 0)
		profile_add(fold->folded, stack,
			    &profile->values[(size_t)value * profile->type_count]);
	return rc;
}

static int copy_frames(const struct profile *profile, struct profile *folded)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < profile->frame_count; i++) {
		uint32_t same;

		rc = profile_frame(folded, profile_frame_name(profile, i), &same);
		if (rc == 0)
			folded->frames[same].seen = profile->frames[i].seen;
	}
	return rc;
}

static int fold_all(struct fold *fold)
{
	const struct profile *profile = fold->tally->profile;
	int rc = copy_frames(profile, fold->folded);

	profile_walk_init(&fold->walk, profile);
	while (rc == 0 && profile_walk_next(&fold->walk))
		rc = fold_node(fold);
	return rc;
}

int profile_fold(const struct profile_tally *tally, bool drop_idle, bool drop_jit,
		 struct profile *out_folded)
{
	const struct profile *profile = tally->profile;
	struct fold *fold = calloc(1, sizeof(*fold));
	int rc = fold ? profile_init(out_folded, profile->limit_bytes) : -ENOMEM;

	if (rc < 0) {
		free(fold);
		return rc;
	}
	memcpy(out_folded->types, profile->types, sizeof(profile->types));
	out_folded->type_count = profile->type_count;
	out_folded->period = profile->period;
	out_folded->notes = profile->notes;
	fold->tally = tally;
	fold->folded = out_folded;
	fold->drop_idle = drop_idle;
	fold->drop_jit = drop_jit;
	fold->place = calloc((size_t)profile->frame_count + 1, sizeof(*fold->place));
	rc = fold->place ? fold_all(fold) : -ENOMEM;
	if (rc == 0)
		rc = profile_seal(out_folded);
	if (rc < 0)
		profile_fini(out_folded);
	free(fold->place);
	free(fold);
	return rc;
}
