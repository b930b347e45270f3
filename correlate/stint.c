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
#define CLOCK_KNOWN_NS    5000   /* a clock of which no more is open serves to cut at ticks */

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

/* What is known of a CPU's clock, where it only drifts. As a rule the clocks of all CPUs run as
 * one: where nobody has told of this one, another's will do, if what is known fits: `raw` is the
 * base and some lag. */
static bool is_known(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw,
		     int64_t *out_lowest, int64_t *out_highest)
{
	if (cpu_lag_around(lag, cpu, time_ns, out_lowest, out_highest))
		return true;
	for (uint32_t other = 0; other < EVENT_MAX_CPUS; other++) {
		if (lag->cpus[other] &&
		    cpu_lag_around(lag, other, time_ns, out_lowest, out_highest) &&
		    raw >= *out_lowest && raw <= *out_highest + MOST_LAG_NS)
			return true;
	}
	return false;
}

/* Narrowed by what others have said of the clock before. */
static void narrow(const struct cpu_lag *lag, const struct slice *head, int64_t *lowest,
		   int64_t *highest)
{
	uint64_t before_ns = head->flags & EVENT_IN_LOST ? head->prev_out_ns : head->in_ns;
	int64_t least, most;

	if (!(head->flags & EVENT_STOLEN_UNTOLD) &&
	    is_known(lag, head->cpu, before_ns, *highest, &least, &most)) {
		*highest = MIN(*highest, most);
		*lowest = MAX(*lowest, least);
	}
	*lowest = MIN(*lowest, *highest);
}

static int64_t highest_base(const struct cpu_lag *lag, const struct stint *stint,
			    const struct slice *tail)
{
	int64_t highest = cpu_lag_ceiling(lag, tail->cpu, tail->out_ns, stint->until_ns);

	return MIN(MIN(tail->raw_lag_out, highest), stint->ceiling);
}

/* Of the stint, as the kernel tells it: not when. */
static uint64_t stolen_ns(const struct slice *head, const struct slice *tail)
{
	return tail->stolen_out_ns - MIN(head->stolen_in_ns, tail->stolen_out_ns);
}

/* What ran from the tick's reading of the clock up to the tick is the stint's before. */
static void begin_at_tick(struct stint *stint)
{
	uint64_t before = stint->ahead_ns;

	if (before == UINT64_MAX)
		before = (uint64_t)MAX(stint->raw_in - stint->base_in, 0);
	stint->booked_ns -= MIN(before, stint->booked_ns);
	stint->raw_in = stint->base_in;
}

/* As ticks tell it; at a switch nothing is booked that is still to come. Where that contradicts the
 * ticks, both may be wrong. */
static bool told_base(const struct cpu_lag *lag, const struct slice *slice, uint64_t time_ns,
		      int64_t raw, uint64_t until_ns, struct cpu_lag_range *out_base)
{
	if (slice->flags & EVENT_STOLEN_UNTOLD ||
	    !cpu_lag_told(lag, slice->cpu, time_ns, until_ns, out_base))
		return false;
	if (raw < out_base->lowest)
		out_base->lowest = raw;
	else
		out_base->highest = MIN(out_base->highest, raw);
	return true;
}

static uint64_t width(const struct cpu_lag_range *base)
{
	return (uint64_t)(base->highest - base->lowest);
}

static int64_t middle(const struct cpu_lag_range *base)
{
	return base->lowest + (base->highest - base->lowest) / 2;
}

static bool measure_told(const struct cpu_lag *lag, struct stint *stint, const struct slice *head,
			 const struct slice *tail)
{
	struct cpu_lag_range in, out;

	if (!told_base(lag, head, head->in_ns, head->raw_lag_in, stint->until_ns, &in) ||
	    !told_base(lag, tail, tail->out_ns, tail->raw_lag_out, stint->until_ns, &out))
		return false;
	stint->base_in = middle(&in);
	stint->base_out = middle(&out) + (int64_t)stolen_ns(head, tail);
	stint->doubt_ns = MAX(width(&in), width(&out)) + stolen_ns(head, tail);
	return true;
}

/* As all that switches say encloses it. */
static void measure_enclosed(const struct cpu_lag *lag, struct stint *stint,
			     const struct slice *head, const struct slice *tail)
{
	bool is_open = tail->flags & EVENT_TICK; /* what it has not booked is mostly not stolen */
	int64_t highest = highest_base(lag, stint, tail);
	int64_t lowest = lowest_base(lag, head);

	narrow(lag, head, &lowest, &highest);
	stint->doubt_ns = (uint64_t)(highest - lowest) + stolen_ns(head, tail);
	stint->base_in = MIN(MAX(likeliest_base(head, highest), lowest), highest);
	stint->base_out = highest;
	if (is_open || highest - stint->base_in <= LEAST_STOLEN_NS)
		stint->base_out = stint->base_in;
	stint->base_out += (int64_t)stolen_ns(head, tail);
}

static void measure(const struct cpu_lag *lag, struct stint *stint, const struct slice *head,
		    const struct slice *tail)
{
	if (!measure_told(lag, stint, head, tail))
		measure_enclosed(lag, stint, head, tail);
	if (head->flags & EVENT_AFTER_TICK && !(head->flags & EVENT_STOLEN_UNTOLD))
		begin_at_tick(stint);
	stint->read_ns = stint->booked_ns;
	if (tail->flags & EVENT_TICK)
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
	int64_t booked_from = (int64_t)(tail->out_ns - tail->stolen_out_ns) - tail->raw_lag_out -
			      (int64_t)stint->booked_ns;
	struct cpu_lag_range base;
	uint64_t earliest, latest;
	int64_t from, lowest, highest;

	if (told_base(lag, tail, tail->out_ns, tail->raw_lag_out, stint->until_ns, &base)) {
		highest = base.highest;
		lowest = base.lowest;
	} else {
		highest = highest_base(lag, stint, tail);
		lowest = cpu_lag_floor(lag, tail->cpu, head->prev_out_ns);
		lowest = lowest == INT64_MIN ? highest - MOST_LAG_NS : lowest;
		narrow(lag, head, &lowest, &highest);
	}
	from = booked_from + highest + (int64_t)tail->stolen_out_ns;
	stint->doubt_ns = (uint64_t)(highest - lowest) + stolen_ns(head, tail);
	head->in_ns = clamp(from, least, head->out_ns);
	earliest = clamp(from - (int64_t)stint->doubt_ns, least, head->in_ns);
	latest = clamp(from + OLDEST_READING_NS, head->in_ns, head->out_ns);
	stint->in_early_ns = head->in_ns - earliest;
	stint->in_late_ns = latest - head->in_ns;
	head->raw_lag_in = (int64_t)head->in_ns - from + highest;
	stint->base_in = stint->base_out = highest;
	stint->read_ns = stint->booked_ns;
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

uint64_t stint_cpu_until(const struct stint *stint, uint64_t time_ns)
{
	int64_t half = (int64_t)(stint->out_ns - stint->in_ns) / 2;
	int64_t ran = (int64_t)(time_ns - stint->in_ns);
	int64_t cpu = MIN(ran, half) + stint->raw_in - stint->base_in;

	if (time_ns <= stint->in_ns)
		return 0;
	if (time_ns >= stint->out_ns)
		return stint->booked_ns;
	if (ran >= half) /* what was stolen begins there, and does not make the clock go back */
		cpu = MAX(cpu, ran + stint->raw_in - stint->base_out);
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

/* What ran since the reading of the clock before a tick is booked after it, if at all: nothing is,
 * when the thread leaves without another reading. Returns how much. What was stolen up to that next
 * reading may have been so before the tick. */
static uint64_t end_at_tick(struct stint *stint, const struct slice *tail, const struct slice *end)
{
	uint64_t lag = stint->booked_ns - MIN(stint->read_ns, stint->booked_ns);
	uint64_t booked = 0, stolen = 0;

	for (const struct slice *next = tail + 1; next < end; next++) {
		booked += next->booked_ns;
		stolen = stolen_ns(tail + 1, next);
		if (next->flags & SLICE_CHANGE)
			continue;
		if (booked || next + 1 == end || !stint_goes_on(next, next + 1))
			break;
	}
	stint->booked_ns -= lag - MIN(lag, booked);
	stint->doubt_ns += MIN(lag, stolen);
	return MIN(lag, booked);
}

/* The ordinary one: a slice from switch to switch. */
static bool is_plain(const struct slice *slice, const struct slice *before)
{
	const uint32_t others = EVENT_IN_LOST | EVENT_TICK | EVENT_AFTER_TICK | EVENT_STOLEN_UNTOLD;

	return !(slice->flags & others) && slice->in_ns < slice->out_ns &&
	       !(before && before->flags & EVENT_TICK);
}

/* It is as the one before it, which was plain. */
static bool is_plain_again(const struct slice *slice)
{
	const struct slice *before = slice - 1;

	return slice->is_alike && before->stint == STINT_PLAIN && slice->flags == before->flags &&
	       slice->in_ns < slice->out_ns;
}

/* Mostly the clock is told at both ends of it. */
static void make_plain(const struct lane *lane, struct stint *stint, struct slice *slice)
{
	*stint = (struct stint){ .in_ns = slice->in_ns,
				 .out_ns = slice->out_ns,
				 .booked_ns = slice->booked_ns,
				 .read_ns = slice->booked_ns,
				 .until_ns = lane->until_ns,
				 .raw_in = slice->raw_lag_in,
				 .ahead_ns = UINT64_MAX };
	if (measure_told(lane->lag, stint, slice, slice))
		return;
	stint->ceiling = next_raw(slice, lane->slices + lane->count, lane->until_ns);
	stint_make(lane->lag, lane->until_ns, slice, slice, stint);
}

const struct stint *lane_stint(const struct lane *lane, const struct slice *slice)
{
	uint32_t index = (uint32_t)(slice - lane->slices);

	if (slice->stint == STINT_PLAIN) {
		make_plain(lane, &lane->stints[index], &lane->slices[index]);
		lane->slices[index].stint = index;
		if (slice->run)
			lane->runs[slice->run].is_plain = false;
	}
	return &lane->stints[slice->stint];
}

/* `ahead_ns`: of what is booked here, how much ran before; then, of what is booked after it. */
static void make(const struct lane *lane, struct stint *stint, struct slice *head,
		 struct slice *tail, uint64_t *ahead_ns)
{
	const struct slice *end = lane->slices + lane->count;

	*stint = (struct stint){ .ceiling = next_raw(tail, end, lane->until_ns),
				 .ahead_ns = *ahead_ns };
	for (const struct slice *s = head; s <= tail; s++)
		stint->booked_ns += s->booked_ns;
	stint_make(lane->lag, lane->until_ns, head, tail, stint);
	*ahead_ns = UINT64_MAX;
	if (tail + 1 < end && stint_goes_on(tail, tail + 1))
		*ahead_ns = end_at_tick(stint, tail, end);
	for (struct slice *s = head; s <= tail; s++)
		s->booked_ns = stint_cpu_between(stint, s->in_ns, s->out_ns);
}

/* A tick tells how far the thread's CPU clock was, if it is known when that was read. It comes at
 * any moment, and may find the clock half written: then it does not fit what is told before and
 * after. */
static bool tells_clock(const struct lane *lane, const struct slice *slice,
			const struct slice *after)
{
	const struct cpu_lag *lag = lane->lag;
	struct cpu_lag_range base;
	int64_t least, most;

	if (slice->flags & (SLICE_CHANGE | EVENT_STOLEN_UNTOLD) ||
	    slice->stolen_in_ns > slice->stolen_out_ns ||
	    slice->stolen_out_ns != after->stolen_in_ns ||
	    slice->raw_lag_out != after->raw_lag_in || slice->stolen_out_ns > after->stolen_out_ns)
		return false;
	if (cpu_lag_told(lag, slice->cpu, slice->out_ns, lane->until_ns, &base))
		return slice->raw_lag_out >= base.lowest &&
		       base.highest - base.lowest <= CLOCK_KNOWN_NS;
	return is_known(lag, slice->cpu, slice->out_ns, slice->raw_lag_out, &least, &most) &&
	       most - least <= CLOCK_KNOWN_NS && slice->raw_lag_out >= least;
}

bool stint_find(struct lane *lane)
{
	uint64_t ahead_ns = UINT64_MAX;
	uint32_t first = 0;

	lane->stints = malloc((lane->count + 1) * sizeof(*lane->stints));
	if (!lane->stints)
		return false;
	for (uint32_t i = 0; i < lane->count; i++) {
		struct slice *slice = &lane->slices[i];
		const struct lane_run *run = lane_run_at(lane, slice);

		if (run && run->is_plain) { /* as they were made */
			first = run->end;
			i = first - 1;
			continue;
		}
		if ((i && is_plain_again(slice)) || is_plain(slice, i ? slice - 1 : NULL)) {
			slice->stint = STINT_PLAIN;
			first = i + 1;
			continue;
		}
		slice->stint = first;
		if (i + 1 < lane->count && stint_goes_on(slice, slice + 1) &&
		    !tells_clock(lane, slice, slice + 1))
			continue;
		make(lane, &lane->stints[first], &lane->slices[first], slice, &ahead_ns);
		first = i + 1;
	}
	return true;
}
