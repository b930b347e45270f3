/* SPDX-License-Identifier: Apache-2.0 */
/* When the time of day was set.
 *
 * The clock is looked at each time that the ring is drained, and told to the correlator once a
 * second; but when it was set meanwhile, at once, and with it how it stood at the look before: so
 * only what happens between these two, some 10 ms, is uncertain by how far it was set. One thread.
 */
#pragma once

#include <stdbool.h>

#include "collector/clock.h"

struct clock_watch {
	struct clock_pair last; /* zeros: none yet */
	bool is_told;
};

enum clock_news {
	CLOCK_AS_BEFORE,
	CLOCK_WAS_SET,       /* since the look before, which was told */
	CLOCK_WAS_SET_SINCE, /* ... which was not told yet */
};

enum clock_news clock_watch_look(struct clock_watch *watch, struct clock_pair *out_now,
				 struct clock_pair *out_before);
/* The last look was told. */
void clock_watch_told(struct clock_watch *watch);
