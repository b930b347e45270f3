/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/stint.h"

#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

#define LEAST_LAG_NS      1000   /* a switch that books no earlier than this has read the clock */
#define READING_NS        2300   /* from the waking to the reading of the clock */
#define IDLE_LEAST_NS     10000  /* from the waking to the switch, on a CPU that was idle ... */
#define IDLE_MOST_NS      60000  /* ... or on any: it stayed busy for longer */
#define NEXT_SLICES       4      /* of the thread, that tell of the clock, too */
#define LEAST_STOLEN_NS   3000   /* less is the way from the last booking to the switch */
#define MOST_LAG_NS       100000 /* where nothing is known of it: twice what was seen */
#define OLDEST_READING_NS 500000 /* that a switch books with, of who was woken for it */

uint64_t stint_most_lag(const struct slice *slice)
{
	if (slice->flags & (EVENT_IN_LOST | EVENT_AFTER_TICK) || !slice->waking_ns)
		return CPU_LAG_UNBOUND;
	if (slice->waking_ns <= slice->prev_out_ns) /* it was on its way out then */
		return CPU_LAG_UNBOUND;
	return slice->in_ns - slice->waking_ns;
}

static int64_t lowest_base(const struct cpu_lag *lag, const struct slice *head)
{
	int64_t floor = cpu_lag_floor(lag, head->cpu, head->in_ns);
	uint64_t most = stint_most_lag(head);

	if (most != CPU_LAG_UNBOUND)
		floor = MAX(floor, head->raw_lag_in - (int64_t)most);
	return floor == INT64_MIN ? head->raw_lag_in - MOST_LAG_NS : floor;
}

/* Whoever wakes a thread reads the clock for it, and the switch to it books from there if the CPU
 * was idle: that takes a while, but not long. What came on top was stolen. If it did not take long,
 * the CPU may as well have been busy, and the clock been read at the switch. */
static int64_t likeliest_base(const struct slice *head, int64_t highest)
{
	uint64_t most = stint_most_lag(head);
	bool ran_ahead = head->raw_lag_in > highest + LEAST_LAG_NS;

	if (most > IDLE_MOST_NS || most < READING_NS || (most < IDLE_LEAST_NS && !ran_ahead))
		return head->raw_lag_in;
	return head->raw_lag_in - (int64_t)(most - READING_NS);
}

static int64_t highest_base(const struct cpu_lag *lag, const struct stint *stint,
			    const struct slice *tail)
{
	int64_t highest = cpu_lag_ceiling(lag, tail->cpu, tail->out_ns, stint->until_ns);

	return MIN(MIN(tail->raw_lag_out, highest), stint->ceiling);
}

static void measure(const struct cpu_lag *lag, struct stint *stint, const struct slice *head,
		    const struct slice *tail)
{
	bool is_open = tail->flags & EVENT_TICK; /* what it has not booked is mostly not stolen */
	int64_t highest = highest_base(lag, stint, tail);
	int64_t lowest = MIN(lowest_base(lag, head), highest);

	stint->doubt_ns = (uint64_t)(highest - lowest);
	stint->base_in = MIN(MAX(likeliest_base(head, highest), lowest), highest);
	stint->base_out = highest;
	if (is_open || highest - stint->base_in <= LEAST_STOLEN_NS)
		stint->base_out = stint->base_in;
	if (is_open)
		stint->booked_ns = (uint64_t)MAX((int64_t)(stint->out_ns - stint->in_ns) +
							 stint->raw_in - stint->base_out,
						 0);
}

static uint64_t clamp(int64_t time_ns, uint64_t least, uint64_t most)
{
	return time_ns < (int64_t)least ? least : MIN((uint64_t)time_ns, most);
}

/* A switch-in that nobody reported. What is booked ends with the last reading of the clock at
 * `tail`, so it began at `booked_from` on that clock; when that was by ours, the base tells. The
 * switch came with that reading, or later. */
static void rebuild_in(const struct cpu_lag *lag, struct stint *stint, struct slice *head,
		       const struct slice *tail)
{
	uint64_t least = MIN(MAX(head->prev_out_ns, head->waking_ns), head->out_ns);
	int64_t booked_from = (int64_t)tail->out_ns - tail->raw_lag_out - (int64_t)stint->booked_ns;
	int64_t highest = highest_base(lag, stint, tail);
	int64_t lowest = cpu_lag_floor(lag, tail->cpu, head->prev_out_ns);
	uint64_t earliest, latest;

	lowest = lowest == INT64_MIN ? highest - MOST_LAG_NS : MIN(lowest, highest);
	head->in_ns = clamp(booked_from + highest, least, head->out_ns);
	head->raw_lag_in = (int64_t)head->in_ns - booked_from;
	earliest = clamp(booked_from + lowest, least, head->in_ns);
	latest = clamp(booked_from + highest + OLDEST_READING_NS, head->in_ns, head->out_ns);
	stint->in_early_ns = head->in_ns - earliest;
	stint->in_late_ns = latest - head->in_ns;
	stint->raw_in = head->raw_lag_in;
	stint->base_in = stint->base_out = highest;
	stint->doubt_ns = (uint64_t)(highest - lowest);
}

void stint_make(const struct cpu_lag *lag, uint64_t until_ns, struct slice *head,
		const struct slice *tail, struct stint *stint)
{
	stint->until_ns = until_ns;
	if (head->flags & EVENT_IN_LOST)
		rebuild_in(lag, stint, head, tail);
	stint->in_ns = head->in_ns;
	stint->out_ns = tail->out_ns;
	stint->raw_in = head->raw_lag_in;
	if (!(head->flags & EVENT_IN_LOST))
		measure(lag, stint, head, tail);
	else if (tail->flags & EVENT_TICK)
		stint->booked_ns += (uint64_t)(tail->raw_lag_out - stint->base_out);
}

static int64_t base_at(const struct stint *stint, uint64_t time_ns)
{
	return time_ns < stint->in_ns + (stint->out_ns - stint->in_ns) / 2 ? stint->base_in
									   : stint->base_out;
}

uint64_t stint_cpu_until(const struct stint *stint, uint64_t time_ns)
{
	int64_t cpu;

	if (time_ns <= stint->in_ns)
		return 0;
	if (time_ns >= stint->out_ns)
		return stint->booked_ns;
	cpu = (int64_t)(time_ns - stint->in_ns) + stint->raw_in - base_at(stint, time_ns);
	return MIN((uint64_t)MAX(cpu, 0), stint->booked_ns);
}

uint64_t stint_cpu_between(const struct stint *stint, uint64_t start_ns, uint64_t end_ns)
{
	uint64_t end = stint_cpu_until(stint, end_ns);

	return end - MIN(stint_cpu_until(stint, start_ns), end);
}

bool stint_goes_on(const struct slice *slice, const struct slice *after)
{
	return slice->flags & EVENT_TICK && !after->gap && after->in_ns == slice->out_ns;
}

/* The thread itself may be back before the next window of its CPU's clock. */
static int64_t next_raw(const struct slice *tail, const struct slice *end, uint64_t until_ns)
{
	int64_t least = INT64_MAX;

	until_ns = MIN(until_ns, tail->out_ns + CPU_LAG_AHEAD_NS);
	end = MIN(end, tail + 1 + NEXT_SLICES);
	for (const struct slice *next = tail + 1; next < end && next->out_ns <= until_ns; next++) {
		if (next->cpu != tail->cpu || next->flags & SLICE_CHANGE)
			continue;
		least = MIN(least, next->raw_lag_out);
		if (!(next->flags & (EVENT_IN_LOST | EVENT_AFTER_TICK)))
			least = MIN(least, next->raw_lag_in);
	}
	return least;
}

static void make(const struct join *join, const struct lane *lane, struct stint *stint,
		 struct slice *head, struct slice *tail)
{
	uint64_t until_ns = join->to_ns + JOIN_AHEAD_NS;

	*stint = (struct stint){ .ceiling = next_raw(tail, lane->slices + lane->count, until_ns) };
	for (const struct slice *s = head; s <= tail; s++)
		stint->booked_ns += s->booked_ns;
	stint_make(&join->model->lag, until_ns, head, tail, stint);
	for (struct slice *s = head; s <= tail; s++)
		s->booked_ns = stint_cpu_between(stint, s->in_ns, s->out_ns);
}

bool stint_find(const struct join *join, struct lane *lane)
{
	uint32_t first = 0;

	lane->stints = malloc((lane->count + 1) * sizeof(*lane->stints));
	if (!lane->stints)
		return false;
	for (uint32_t i = 0; i < lane->count; i++) {
		lane->slices[i].stint = lane->stint_count;
		if (i + 1 < lane->count && stint_goes_on(&lane->slices[i], &lane->slices[i + 1]))
			continue;
		make(join, lane, &lane->stints[lane->stint_count++], &lane->slices[first],
		     &lane->slices[i]);
		first = i + 1;
	}
	return true;
}
