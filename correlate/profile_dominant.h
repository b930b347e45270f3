/* SPDX-License-Identifier: Apache-2.0 */
/* Where most of a profile is: the dominant subtree, and the dominant function over all its callers.
 */
#pragma once

#include "correlate/profile_tally.h"

#define DOMINANT_SHARE 0.5 /* "most" */

struct profile_dominant {
	uint32_t path[PROFILE_MAX_DEPTH +
		      1];  /* nodes from below the root to the deepest that holds most */
	unsigned depth;    /* of them; 0: not even the first frame holds most */
	uint32_t deepest;  /* path[depth - 1] */
	uint32_t headline; /* the node to be named: the one that decides on it, or the call it makes
			    */
	uint32_t change;   /* the innermost code of one's own on the path: where a change pays */
	bool has_own;      /* some of the path is one's own code */
	bool is_whole_program; /* the path never leaves what everything runs under */
};

/* Of a tally without recursion. `wants_call`: name the call that one's own code makes (waits)
 * rather than the code itself (CPU). */
void profile_dominant_find(const struct profile_tally *tally, bool wants_call,
			   struct profile_dominant *out);

/* The function that is small in each place and large in sum: PROFILE_NONE when there is none with
 * at least `least` of the total. */
uint32_t profile_dominant_callee(const struct profile_tally *tally,
				 const struct profile_dominant *dominant, double least);
/* The innermost function of one's own that holds most over all its callers, for paths that lead
 * through libraries only (an interpreter, a framework); PROFILE_NONE. */
uint32_t profile_dominant_anywhere(const struct profile_tally *tally);
/* The function with the largest self amount; PROFILE_NONE: empty. */
uint32_t profile_dominant_self(const struct profile_tally *tally);
/* Code that the reader of the profile wrote, as far as names tell. */
bool profile_dominant_is_own(const struct profile_tally *tally, uint32_t node);
/* The nearest frame of one's own above (and including) the node; PROFILE_NONE. */
uint32_t profile_dominant_owner(const struct profile_tally *tally, uint32_t node);
