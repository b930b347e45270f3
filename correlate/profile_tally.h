/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over a profile's tree, for one of its types: by node, by function, by topic.
 *
 * A function counts once in a stack however often it recurs there. All figures are in the type's
 * unit. Borrows the profile, which must not change meanwhile. */
#pragma once

#include "correlate/profile.h"
#include "correlate/profile_topic.h"

struct profile_tally {
	const struct profile *profile;
	unsigned type;
	double total;
	double samples;               /* how many observations the total rests on; 0: not known */
	double *cum;                  /* by node: its own and its descendants' */
	double *self;                 /* by frame: at the leaf */
	double *inclusive;            /* by frame: anywhere in the stack */
	double *widest;               /* by frame: the largest single node */
	uint32_t *callers;            /* by frame: distinct frames that call it (itself excluded) */
	uint32_t *topics;             /* by frame: TOPIC_BITs */
	uint32_t *first_child, *next; /* by node */
	double topic_total[TOPIC_COUNT]; /* stacks with such a frame anywhere */
	double topic_self[TOPIC_COUNT];  /* with such a frame at the leaf */
	double recursive;                /* stacks in which a function recurs */
	double rootless; /* stacks that begin in code without symbols, or marked as cut */
	uint32_t deepest, median_depth;
};

/* -ENOMEM. */
int profile_tally_init(struct profile_tally *tally, const struct profile *profile, unsigned type);
void profile_tally_fini(struct profile_tally *tally);
/* Gives back what is kept by node (cum, first_child, next); the sums by frame and topic stay. */
void profile_tally_forget_nodes(struct profile_tally *tally);

/* A node's own amount, in the type's unit. */
double profile_tally_self(const struct profile_tally *tally, uint32_t node);
/* The child that holds most; PROFILE_NONE. */
uint32_t profile_tally_heaviest(const struct profile_tally *tally, uint32_t node);
static inline bool profile_tally_has(const struct profile_tally *tally, uint32_t frame,
				     enum profile_topic topic)
{
	return frame != PROFILE_NONE && tally->topics[frame] & TOPIC_BIT(topic);
}

/* The same profile with recursion taken out: a frame that stands in the stack already leads back to
 * where it stood. With `drop_idle`, without the stacks of threads that wait for work: an idle frame
 * below nothing but libraries and worker loops; with `drop_jit`, without those of a JIT compiler.
 * Frames keep their numbers. -ENOMEM, -EMSGSIZE. */
int profile_fold(const struct profile_tally *tally, bool drop_idle, bool drop_jit,
		 struct profile *out_folded);
