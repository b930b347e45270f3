/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_dominant.h"

#include "collector/base/macros.h"

#define RUN_SLACK     1.03 /* nodes of one run hold nearly the same: one decides, the others do it */
#define CALL_SLACK    1.03
#define WHOLE_PROGRAM 0.95 /* what holds so much is what everything runs under */
#define OWN_OF_BEST   0.6  /* one's own code is named before a library that holds hardly more */
#define HELPER_SLACK  1.5  /* a caller that holds not much more than its helper works through it */
#define BRANCH_SHARE  0.15 /* beside a run, below a thread's loop: less is a start-up, no branch */
#define SHARED        1.1  /* times what a node holds: its function is called elsewhere, too */
#define SPREAD        0.6  /* a callee is spread when no single place has more of it than this */

static uint32_t frame_of(const struct profile_tally *tally, uint32_t node)
{
	return node == PROFILE_NONE ? PROFILE_NONE : tally->profile->nodes[node].frame;
}

/* What is inlined is its caller's code: that is where a change is made. */
static bool is_own_frame(const struct profile_tally *tally, uint32_t frame)
{
	uint32_t not_own =
		TOPIC_BIT(TOPIC_LIBRARY) | TOPIC_BIT(TOPIC_KERNEL) | TOPIC_BIT(TOPIC_UNKNOWN);

	return frame != PROFILE_NONE && !(tally->topics[frame] & not_own) &&
	       !profile_frame_is_inlined(tally->profile, frame);
}

bool profile_dominant_is_own(const struct profile_tally *tally, uint32_t node)
{
	return is_own_frame(tally, frame_of(tally, node));
}

static void descend(const struct profile_tally *tally, struct profile_dominant *out)
{
	uint32_t at = profile_tally_heaviest(tally, PROFILE_ROOT);

	while (at != PROFILE_NONE && tally->cum[at] >= tally->total * DOMINANT_SHARE &&
	       tally->cum[at] > 0 && out->depth < PROFILE_MAX_DEPTH) {
		out->path[out->depth++] = at;
		at = profile_tally_heaviest(tally, at);
	}
	out->deepest = out->depth ? out->path[out->depth - 1] : PROFILE_NONE;
}

/* The highest node of the path that still holds hardly more than the deepest. */
static unsigned run_start(const struct profile_tally *tally, const struct profile_dominant *found,
			  double slack)
{
	unsigned at = found->depth - 1;

	while (at > 0 && tally->cum[found->path[at - 1]] <= tally->cum[found->deepest] * slack)
		at--;
	return at;
}

/* The same, but below where a thread begins: that tells nothing. */
static unsigned run_below_entry(const struct profile_tally *tally,
				const struct profile_dominant *found)
{
	unsigned at = run_start(tally, found, RUN_SLACK);

	while (at + 1 < found->depth &&
	       profile_tally_has(tally, frame_of(tally, found->path[at]), TOPIC_ENTRY))
		at++;
	return at;
}

/* Not one's own, or a thread's loop. */
static bool is_outer_frame(const struct profile_tally *tally, uint32_t node)
{
	uint32_t frame = frame_of(tally, node);

	return !profile_dominant_is_own(tally, node) ||
	       profile_tally_has(tally, frame, TOPIC_WORKER) ||
	       profile_tally_has(tally, frame, TOPIC_ENTRY);
}

/* A process's name may stand above the first function. */
static bool is_process_name(const struct profile_tally *tally, const struct profile_dominant *found,
			    unsigned at)
{
	uint32_t starts = TOPIC_BIT(TOPIC_ENTRY) | TOPIC_BIT(TOPIC_UNKNOWN);

	return at == 0 && found->depth > 1 &&
	       tally->topics[frame_of(tally, found->path[1])] & starts;
}

/* Others call it, too: it decides nothing here. */
static bool is_shared(const struct profile_tally *tally, uint32_t node)
{
	return tally->inclusive[frame_of(tally, node)] > tally->cum[node] * SHARED;
}

/* The caller of one's own that holds hardly more than a helper that others call, too, or than a
 * part of its own text. */
static unsigned skip_shared(const struct profile_tally *tally, const struct profile_dominant *found,
			    unsigned at)
{
	double most = tally->cum[found->path[at]] * HELPER_SLACK;
	bool is_closure = profile_tally_has(tally, frame_of(tally, found->path[at]), TOPIC_CLOSURE);

	if (!is_closure && !is_shared(tally, found->path[at]))
		return at;
	for (unsigned i = at; i-- > 0 && tally->cum[found->path[i]] <= most;) {
		uint32_t node = found->path[i];

		if (profile_dominant_is_own(tally, node) &&
		    !profile_tally_has(tally, frame_of(tally, node), TOPIC_CLOSURE) &&
		    (is_closure || !is_shared(tally, node)))
			return i;
	}
	return at;
}

/* The last node of the path that is one's own code; depth: none. */
static unsigned last_own(const struct profile_tally *tally, const struct profile_dominant *found)
{
	for (unsigned i = found->depth; i-- > 0;) {
		if (profile_dominant_is_own(tally, found->path[i]) &&
		    !is_process_name(tally, found, i))
			return skip_shared(tally, found, i);
	}
	return found->depth;
}

/* Where threads begin, and the libraries that they run in: a stack that leaves them has not
 * branched off anything of one's own. One that leaves the loop of a thread has, unless next to
 * nothing is beside it. */
static bool is_outermost(const struct profile_tally *tally, const struct profile_dominant *found,
			 unsigned at)
{
	double all = tally->cum[found->path[at]], beside = all - tally->cum[found->path[at + 1]];

	for (unsigned i = 0; i <= at; i++) {
		if (!is_outer_frame(tally, found->path[i]) && !is_process_name(tally, found, i))
			return false;
	}
	return !profile_dominant_is_own(tally, found->path[at]) || beside < all * BRANCH_SHARE;
}

/* The highest node of one's own that holds hardly more than path[at]: where the run of frames that
 * hold the same branches off. A run that reaches the root, or the loop of a thread, branches off
 * nothing: then path[at] itself. */
static uint32_t decider(const struct profile_tally *tally, const struct profile_dominant *found,
			unsigned at)
{
	double most = tally->cum[found->path[at]] * RUN_SLACK;
	uint32_t innermost = found->path[at], best = innermost;

	while (at-- > 0) {
		uint32_t node = found->path[at];

		if (tally->cum[node] > most)
			return is_outermost(tally, found, at) ? innermost : best;
		if (profile_dominant_is_own(tally, node) &&
		    !profile_tally_has(tally, frame_of(tally, node), TOPIC_WORKER) &&
		    !profile_tally_has(tally, frame_of(tally, node), TOPIC_CLOSURE))
			best = node;
	}
	return innermost;
}

/* For CPU time: the code of one's own that decides on it. When that is the whole program, the
 * innermost of one's own, or, where it does much else, what it calls. */
static uint32_t choose_code(const struct profile_tally *tally, const struct profile_dominant *found)
{
	unsigned own = last_own(tally, found);
	uint32_t node;

	if (own == found->depth)
		return found->path[run_below_entry(tally, found)];
	node = found->path[own];
	if (tally->cum[node] < tally->total * WHOLE_PROGRAM || own + 1 == found->depth)
		return decider(tally, found, own);
	if (tally->cum[found->path[own + 1]] >= tally->cum[node] / RUN_SLACK &&
	    !profile_tally_has(tally, frame_of(tally, node), TOPIC_WORKER))
		return node;
	return found->path[own + 1];
}

/* An interpreter, or a library without symbols, calls one with: that name says more. */
static unsigned first_named(const struct profile_tally *tally, const struct profile_dominant *found,
			    unsigned at)
{
	uint32_t nameless = TOPIC_BIT(TOPIC_UNKNOWN) | TOPIC_BIT(TOPIC_PLUMBING);
	double least = tally->cum[found->path[at]] / RUN_SLACK;

	for (unsigned i = at; i < found->depth && tally->cum[found->path[i]] >= least; i++) {
		if (!(tally->topics[frame_of(tally, found->path[i])] & nameless))
			return i;
	}
	return at;
}

/* For waits: the call that leaves one's own code. */
static uint32_t choose_call(const struct profile_tally *tally, const struct profile_dominant *found)
{
	unsigned start = run_start(tally, found, CALL_SLACK), own = last_own(tally, found);

	if (own + 1 < found->depth && own + 1 >= start)
		return found->path[first_named(tally, found, own + 1)];
	if (own == found->depth || own + 1 < start)
		return found->path[start];
	return found->path[own];
}

void profile_dominant_find(const struct profile_tally *tally, bool wants_call,
			   struct profile_dominant *out)
{
	unsigned own;

	*out = (struct profile_dominant){ .deepest = PROFILE_NONE,
					  .headline = PROFILE_NONE,
					  .change = PROFILE_NONE };
	descend(tally, out);
	if (!out->depth)
		return;
	out->headline = wants_call ? choose_call(tally, out) : choose_code(tally, out);
	own = last_own(tally, out);
	out->has_own = own < out->depth;
	out->change = own < out->depth ? out->path[own] : out->headline;
	/* one's own code that divides at once says nothing; a library that all of it is in does */
	out->is_whole_program =
		(own == out->depth || own + 1 == out->depth) &&
		tally->cum[out->deepest] >= tally->total * WHOLE_PROGRAM &&
		tally->first_child[out->deepest] != PROFILE_NONE &&
		profile_tally_self(tally, out->deepest) < tally->total * DOMINANT_SHARE;
}

static bool is_on_path(const struct profile_tally *tally, const struct profile_dominant *dominant,
		       uint32_t frame)
{
	for (unsigned i = 0; i < dominant->depth; i++) {
		if (frame_of(tally, dominant->path[i]) == frame)
			return true;
	}
	return false;
}

/* In many places, and in none of them mostly. */
static bool is_spread(const struct profile_tally *tally, const struct profile_dominant *dominant,
		      uint32_t frame, double least)
{
	double all = tally->inclusive[frame];

	return all >= tally->total * least && all > 0 && all < tally->total * WHOLE_PROGRAM &&
	       tally->callers[frame] >= 2 && tally->widest[frame] <= all * SPREAD &&
	       !(tally->topics[frame] & TOPIC_BIT(TOPIC_UNKNOWN)) &&
	       !is_on_path(tally, dominant, frame);
}

uint32_t profile_dominant_callee(const struct profile_tally *tally,
				 const struct profile_dominant *dominant, double least)
{
	uint32_t best = PROFILE_NONE, best_own = PROFILE_NONE;

	for (uint32_t i = 0; i < tally->profile->frame_count; i++) {
		if (!is_spread(tally, dominant, i, least))
			continue;
		if (best == PROFILE_NONE || tally->inclusive[i] > tally->inclusive[best])
			best = i;
		if (is_own_frame(tally, i) &&
		    (best_own == PROFILE_NONE || tally->inclusive[i] > tally->inclusive[best_own]))
			best_own = i;
	}
	/* a library that only leads to one's own code (sorting, with one's comparison) is no answer
	 */
	return best_own != PROFILE_NONE &&
			       tally->inclusive[best_own] >= tally->inclusive[best] * OWN_OF_BEST
		       ? best_own
		       : best;
}

uint32_t profile_dominant_anywhere(const struct profile_tally *tally)
{
	const uint32_t outer =
		TOPIC_BIT(TOPIC_ENTRY) | TOPIC_BIT(TOPIC_WORKER) | TOPIC_BIT(TOPIC_CLOSURE);
	uint32_t best = PROFILE_NONE;

	for (uint32_t i = 0; i < tally->profile->frame_count; i++) {
		if (!is_own_frame(tally, i) || tally->topics[i] & outer ||
		    tally->inclusive[i] < tally->total * DOMINANT_SHARE ||
		    tally->inclusive[i] >= tally->total * WHOLE_PROGRAM)
			continue;
		/* the one that is called, not the one that calls */
		if (best == PROFILE_NONE || tally->inclusive[i] < tally->inclusive[best])
			best = i;
	}
	return best;
}

uint32_t profile_dominant_self(const struct profile_tally *tally)
{
	uint32_t best = PROFILE_NONE;

	for (uint32_t i = 0; i < tally->profile->frame_count; i++) {
		if (tally->self[i] > 0 && !profile_tally_has(tally, i, TOPIC_NO_STACK) &&
		    (best == PROFILE_NONE || tally->self[i] > tally->self[best]))
			best = i;
	}
	return best;
}

uint32_t profile_dominant_owner(const struct profile_tally *tally, uint32_t node)
{
	while (node != PROFILE_ROOT && node != PROFILE_NONE) {
		if (profile_dominant_is_own(tally, node))
			return tally->profile->nodes[node].frame;
		node = tally->profile->nodes[node].parent;
	}
	return PROFILE_NONE;
}
