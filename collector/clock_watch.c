/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/clock_watch.h"

#include <stdint.h>

#define SLEW_PPM 500 /* what the kernel slews by at most */

/* The offset between the clocks, at most and at least. */
static int64_t most(const struct clock_pair *pair)
{
	return (int64_t)(pair->real_ns - pair->mono_before_ns);
}

static int64_t least(const struct clock_pair *pair)
{
	return (int64_t)(pair->real_ns - pair->mono_after_ns);
}

/* Faster than it can have been slewed. */
static bool was_set(const struct clock_pair *before, const struct clock_pair *now)
{
	int64_t slew =
		(int64_t)((now->mono_after_ns - before->mono_before_ns) / 1000000 * SLEW_PPM) +
		SLEW_PPM;

	return least(now) > most(before) + slew || most(now) < least(before) - slew;
}

enum clock_news clock_watch_look(struct clock_watch *watch, struct clock_pair *out_now,
				 struct clock_pair *out_before)
{
	enum clock_news news = CLOCK_AS_BEFORE;

	*out_before = watch->last;
	*out_now = clock_read_pair();
	if (watch->last.real_ns && was_set(&watch->last, out_now))
		news = watch->is_told ? CLOCK_WAS_SET : CLOCK_WAS_SET_SINCE;
	watch->last = *out_now;
	watch->is_told = false;
	return news;
}

void clock_watch_told(struct clock_watch *watch)
{
	watch->is_told = true;
}
