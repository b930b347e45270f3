/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that may have had a span which was never seen. Internal to place*.c. */
#pragma once

#include "correlate/overlay.h"

#define PLACE_MAX_LANES 16

struct candidates {
	struct lane *lanes[PLACE_MAX_LANES]; /* that ran at both edges; more are not remembered */
	uint32_t lane_count;
	bool is_many;           /* there were more */
	const int32_t *company; /* nodes that overlap it */
	uint32_t company_count;
	bool takes_turns; /* a thread may carry two that are not each other's ancestors, in turns */
	bool doubts_guesses; /* a span that was only guessed to be on a thread keeps nobody away */
	bool takes_busy; /* ... ones too: an event loop may come to it between two others' turns */
	struct lane *best;
	bool best_is_whole; /* nothing that was seen between its edges speaks against it */
	bool best_is_seen;  /* ... and descendants were: as good as seen itself */
	bool best_is_near;  /* it showed a sibling, or one below, before it or after it */
	bool has_rival;     /* nothing speaks against another one either */
};

/* place_doubt.c: the span was not proved to have been with any of them. */
void place_doubt(struct join *join, const struct candidates *candidates, int32_t index);
