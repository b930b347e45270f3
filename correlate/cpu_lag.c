/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/cpu_lag.h"

#include <stdlib.h>

#include "collector/base/macros.h"

#define BACK_WINDOWS  2500 /* 10 s without a switch, and nothing is known */
#define AGREE_WINDOWS 250  /* 1 s */
#define ENOUGH        3    /* switches that agree */
#define NOISE_NS      CPU_LAG_NOISE_NS
#define FRESH_NS      200    /* from the reading to the switch, of those that were not late */
#define FEW           16     /* of a second that do not tell of the drift */
#define MOST_DRIFT_NS 500000 /* a second, where nothing is known: as the kernel slews */
#define APART_NS      (40 * NS_PER_MS)  /* two readings that enclose what is between them */
#define ENCLOSE_NS    (10 * NS_PER_SEC) /* ... that tell how fast the clocks part between them */
#define RATE_NS       (2 * NS_PER_SEC)  /* ... or after both of them */
#define LONG_NS       (500 * NS_PER_MS) /* ... of one CPU as well as any other */
#define NEAR_NS       (200 * NS_PER_MS) /* of the only reading that tells of a moment */
#define MOST_NARROWED 16                /* readings that narrow down the one after them */

void cpu_lag_fini(struct cpu_lag *lag)
{
	for (unsigned cpu = 0; cpu < EVENT_MAX_CPUS; cpu++) {
		if (lag->cpus[cpu])
			free(lag->cpus[cpu]->readings);
		free(lag->cpus[cpu]);
		lag->cpus[cpu] = NULL;
	}
}

static uint32_t index_of(uint64_t time_ns)
{
	return (uint32_t)(time_ns / CPU_LAG_WINDOW_NS);
}

static struct cpu_lag_cpu *cpu_of(const struct cpu_lag *lag, uint32_t cpu)
{
	return cpu < EVENT_MAX_CPUS ? lag->cpus[cpu] : NULL;
}

static const struct cpu_lag_window *window_at(const struct cpu_lag_cpu *cpu, uint32_t index)
{
	const struct cpu_lag_window *window = &cpu->windows[index % CPU_LAG_WINDOWS];

	return window->index_one == index + 1 ? window : NULL;
}

/* The floor by all that came before that window. */
static int64_t floor_before(const struct cpu_lag_cpu *cpu, uint32_t index)
{
	for (uint32_t i = 1; i <= BACK_WINDOWS && i <= index; i++) {
		const struct cpu_lag_window *window = window_at(cpu, index - i);

		if (window)
			return window->floor;
	}
	return INT64_MIN;
}

/* Something of before that moment is about to change, or to be forgotten. */
static void note_change(struct cpu_lag_cpu *cpu, uint32_t index)
{
	uint32_t asked = cpu->memo.index_one;

	if (index + 1 < asked || index >= asked + (CPU_LAG_WINDOWS - BACK_WINDOWS - 1))
		cpu->memo.index_one = 0;
}

static struct cpu_lag_second *second_of(struct cpu_lag_cpu *cpu, uint64_t time_ns, int64_t raw)
{
	uint32_t index = (uint32_t)(time_ns / NS_PER_SEC);
	struct cpu_lag_second *second = &cpu->seconds[index % CPU_LAG_SECONDS];

	if (second->index_one != index + 1) { /* in the place of an old one */
		*second = (struct cpu_lag_second){ raw, index + 1, 0 };
		cpu->memo.index_one = 0;
	}
	return second;
}

static struct cpu_lag_cpu *make_cpu(struct cpu_lag *lag, uint32_t cpu)
{
	if (cpu < EVENT_MAX_CPUS && !lag->cpus[cpu])
		lag->cpus[cpu] = calloc(1, sizeof(*lag->cpus[cpu]));
	return cpu < EVENT_MAX_CPUS ? lag->cpus[cpu] : NULL;
}

void cpu_lag_add_anew(struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t raw,
		      uint64_t most_ns)
{
	struct cpu_lag_cpu *of = make_cpu(lag, cpu);
	uint32_t index = index_of(time_ns);
	struct cpu_lag_window *window;

	if (!of || index < of->newest)
		return; /* records of one CPU come in order */
	of->newest = index;
	note_change(of, index);
	of->second = second_of(of, time_ns, raw);
	window = &of->windows[index % CPU_LAG_WINDOWS];
	if (window->index_one != index + 1)
		*window = (struct cpu_lag_window){ raw, floor_before(of, index), index + 1, 0 };
	of->window = window;
	of->window_from_ns = index * CPU_LAG_WINDOW_NS;
	of->window_to_ns = of->window_from_ns + CPU_LAG_WINDOW_NS;
	cpu_lag_count(of, time_ns, raw, most_ns);
}

/* ---- readings of both clocks */

static const struct cpu_lag_reading *reading_at(const struct cpu_lag_cpu *cpu, uint64_t index)
{
	return &cpu->readings[index % CPU_LAG_READINGS];
}

void cpu_lag_read(struct cpu_lag *lag, uint32_t cpu, uint64_t before_ns, uint64_t sched_ns,
		  uint64_t after_ns)
{
	struct cpu_lag_cpu *of = make_cpu(lag, cpu);

	if (!of || before_ns > after_ns)
		return;
	if (!of->readings)
		of->readings = calloc(CPU_LAG_READINGS, sizeof(*of->readings));
	if (!of->readings ||
	    (of->reading_count && reading_at(of, of->reading_count - 1)->time_ns >= after_ns))
		return;
	lag->readings++;
	of->readings[of->reading_count++ % CPU_LAG_READINGS] =
		(struct cpu_lag_reading){ after_ns, (int64_t)(before_ns - sched_ns),
					  after_ns - before_ns };
}

/* The number of the oldest one that is not forgotten. */
static uint64_t oldest(const struct cpu_lag_cpu *cpu)
{
	return cpu->reading_count - MIN(cpu->reading_count, CPU_LAG_READINGS);
}

static bool is_first_after(const struct cpu_lag_cpu *cpu, uint64_t index, uint64_t time_ns)
{
	uint64_t least = oldest(cpu);

	return index >= least && index <= cpu->reading_count &&
	       (index == least || reading_at(cpu, index - 1)->time_ns <= time_ns) &&
	       (index == cpu->reading_count || reading_at(cpu, index)->time_ns > time_ns);
}

static uint64_t first_after(const struct cpu_lag_cpu *cpu, uint64_t time_ns)
{
	uint64_t high = cpu->reading_count, low = oldest(cpu);

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (reading_at(cpu, middle)->time_ns <= time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The number of the first reading that came after that moment: mostly that of the moment asked
 * for before. */
static uint64_t first_reading_after(struct cpu_lag_cpu *cpu, uint64_t time_ns)
{
	if (!is_first_after(cpu, cpu->reading_asked, time_ns))
		cpu->reading_asked = first_after(cpu, time_ns);
	return cpu->reading_asked;
}

static struct cpu_lag_range range_of(const struct cpu_lag_reading *reading)
{
	return (struct cpu_lag_range){ reading->lowest,
				       reading->lowest + (int64_t)reading->width_ns };
}

/* Between two readings that are close the clocks part, but do not come back. */
static struct cpu_lag_range enclose(struct cpu_lag_range a, struct cpu_lag_range b)
{
	return (struct cpu_lag_range){ MIN(a.lowest, b.lowest), MAX(a.highest, b.highest) };
}

/* How far the clocks part in so many ns at most: twice as fast as from one reading to the other,
 * `gap_ns` later. */
static uint64_t parting(struct cpu_lag_range before, struct cpu_lag_range after, uint64_t gap_ns,
			uint64_t ns)
{
	struct cpu_lag_range both = enclose(before, after);

	return 2 * (uint64_t)(both.highest - both.lowest) * ns / gap_ns;
}

/* ... in a second after the reading `index`, by those of the time before it; `out_gap_ns`: of how
 * long. */
static uint64_t own_rate(const struct cpu_lag_cpu *cpu, uint64_t index, uint64_t *out_gap_ns)
{
	const struct cpu_lag_reading *own = reading_at(cpu, index);
	const struct cpu_lag_reading *far =
		reading_at(cpu, first_after(cpu, own->time_ns - MIN(RATE_NS, own->time_ns)));

	*out_gap_ns = own->time_ns - far->time_ns;
	if (far == own)
		return MOST_DRIFT_NS;
	return MIN(parting(range_of(far), range_of(own), *out_gap_ns, NS_PER_SEC), MOST_DRIFT_NS);
}

/* The clocks of all CPUs run as one: where one was read little, others tell how fast. */
static uint64_t rate_after(const struct cpu_lag *lag, const struct cpu_lag_cpu *cpu, uint64_t index)
{
	uint64_t time_ns = reading_at(cpu, index)->time_ns, gap_ns;
	uint64_t rate = own_rate(cpu, index, &gap_ns);

	for (uint32_t i = 0; gap_ns < LONG_NS && i < EVENT_MAX_CPUS; i++) {
		const struct cpu_lag_cpu *other = lag->cpus[i];
		uint64_t next = other && other != cpu ? first_after(other, time_ns) : 0, its_gap;

		if (next > (other ? oldest(other) : 0) &&
		    time_ns - reading_at(other, next - 1)->time_ns <= RATE_NS)
			rate = MIN(rate, own_rate(other, next - 1, &its_gap));
	}
	return rate;
}

static struct cpu_lag_range widen(struct cpu_lag_range range, uint64_t ns)
{
	return (struct cpu_lag_range){ range.lowest - (int64_t)ns, range.highest + (int64_t)ns };
}

/* Both hold. false: they contradict each other, and nothing was done. */
static bool narrow(struct cpu_lag_range *range, struct cpu_lag_range by)
{
	struct cpu_lag_range both = { MAX(range->lowest, by.lowest),
				      MIN(range->highest, by.highest) };

	if (both.lowest > both.highest)
		return false;
	*range = both;
	return true;
}

/* Where the clocks part slowly, the readings before one tell of it, too: one of them took the
 * least time. Of those before it alone, so that it does not matter when it is asked. */
static struct cpu_lag_range read_narrowly(const struct cpu_lag *lag, const struct cpu_lag_cpu *cpu,
					  uint64_t index)
{
	const struct cpu_lag_reading *own = reading_at(cpu, index);
	uint64_t rate = rate_after(lag, cpu, index);
	struct cpu_lag_range range = range_of(own);

	for (uint64_t i = index; i-- > oldest(cpu) && index - i <= MOST_NARROWED;) {
		const struct cpu_lag_reading *by = reading_at(cpu, i);
		uint64_t ns = own->time_ns - by->time_ns;

		if (ns > RATE_NS || !narrow(&range, widen(range_of(by), rate * ns / NS_PER_SEC)))
			break; /* they part faster than they did */
	}
	return range;
}

static struct cpu_lag_range ask_narrowly(const struct cpu_lag *lag, struct cpu_lag_cpu *cpu,
					 uint64_t index)
{
	struct cpu_lag_narrowed *memo = &cpu->narrowed[index % ARRAY_LEN(cpu->narrowed)];

	if (memo->index_one != index + 1 || memo->readings != lag->readings)
		*memo = (struct cpu_lag_narrowed){ index + 1, lag->readings,
						   read_narrowly(lag, cpu, index) };
	return memo->range;
}

/* Between readings that are far apart: no further from either than the clocks part in that time. */
static struct cpu_lag_range between(struct cpu_lag_range before, uint64_t since,
				    struct cpu_lag_range after, uint64_t left)
{
	struct cpu_lag_range range = widen(before, parting(before, after, since + left, since));

	narrow(&range, widen(after, parting(before, after, since + left, left)));
	return range;
}

static bool ask_near(const struct cpu_lag *lag, struct cpu_lag_cpu *of, uint64_t time_ns,
		     uint64_t until_ns, struct cpu_lag_range *out_base)
{
	const struct cpu_lag_reading *before = NULL, *after = NULL;
	struct cpu_lag_range earlier, later;
	uint64_t index, since, left;

	if (!of->reading_count)
		return false;
	index = first_reading_after(of, time_ns);
	if (index > oldest(of))
		before = reading_at(of, index - 1);
	if (index < of->reading_count && reading_at(of, index)->time_ns <= until_ns)
		after = reading_at(of, index);
	since = before ? time_ns - before->time_ns : UINT64_MAX;
	left = after ? after->time_ns - time_ns : UINT64_MAX;
	if (before && after && since + left <= ENCLOSE_NS) {
		earlier = ask_narrowly(lag, of, index - 1);
		later = ask_narrowly(lag, of, index);
		*out_base = between(earlier, since, later, left);
		if (since + left > APART_NS)
			return true;
		of->between = (struct cpu_lag_between){ before->time_ns, after->time_ns,
							enclose(earlier, later) };
		*out_base = of->between.base;
		return true;
	}
	if (MIN(since, left) > NEAR_NS)
		return false;
	if (since < left)
		*out_base = widen(ask_narrowly(lag, of, index - 1),
				  rate_after(lag, of, index - 1) * since / NS_PER_SEC);
	else
		*out_base = widen(range_of(after), rate_after(lag, of, index) * left / NS_PER_SEC);
	return true;
}

/* By the last reading of it, and how the clock of another CPU has moved since. */
static bool ask_others(const struct cpu_lag *lag, struct cpu_lag_cpu *of, uint64_t time_ns,
		       uint64_t until_ns, struct cpu_lag_range *out_base)
{
	uint64_t index = of->reading_count ? first_reading_after(of, time_ns) : 0;
	const struct cpu_lag_reading *last;
	struct cpu_lag_range then, now, own;

	if (!of->reading_count || index == oldest(of))
		return false;
	last = reading_at(of, index - 1);
	own = range_of(last);
	for (uint32_t i = 0; i < EVENT_MAX_CPUS; i++) {
		struct cpu_lag_cpu *other = lag->cpus[i];

		if (!other || other == of ||
		    !ask_near(lag, other, last->time_ns, until_ns, &then) ||
		    !ask_near(lag, other, time_ns, until_ns, &now))
			continue;
		out_base->lowest = own.lowest + now.lowest - then.highest;
		out_base->highest = own.highest + now.highest - then.lowest;
		return true;
	}
	return false;
}

bool cpu_lag_ask_told(const struct cpu_lag *lag, struct cpu_lag_cpu *cpu, uint64_t time_ns,
		      uint64_t until_ns, struct cpu_lag_range *out_base)
{
	return ask_near(lag, cpu, time_ns, until_ns, out_base) ||
	       ask_others(lag, cpu, time_ns, until_ns, out_base);
}

/* ---- what switches say of them */

/* By how much the clocks part in a second, at most: twice as fast as in the seconds before. */
static uint64_t drift_before(const struct cpu_lag_cpu *cpu, uint64_t time_ns)
{
	uint32_t now = (uint32_t)(time_ns / NS_PER_SEC);
	const struct cpu_lag_second *later = NULL;
	uint64_t worst = 0;
	bool is_known = false;

	for (uint32_t i = 1; i < CPU_LAG_SECONDS && i <= now; i++) {
		const struct cpu_lag_second *s = &cpu->seconds[(now - i) % CPU_LAG_SECONDS];

		if (s->index_one != now - i + 1 || s->count < FEW)
			continue;
		if (later) {
			uint64_t apart = (uint64_t)llabs(later->least - s->least);

			worst = MAX(worst, apart / (later->index_one - s->index_one));
			is_known = true;
		}
		later = s;
	}
	return is_known ? 2 * worst : MOST_DRIFT_NS;
}

static bool find_around(const struct cpu_lag_cpu *of, uint64_t time_ns, int64_t *out_lowest,
			int64_t *out_highest)
{
	uint32_t index = index_of(time_ns);
	int64_t least = INT64_MAX, apart;
	uint32_t agree = 0, ago = 0;

	for (uint32_t i = 1; i <= BACK_WINDOWS && i <= index && agree < ENOUGH; i++) {
		const struct cpu_lag_window *window = window_at(of, index - i);

		if (!window || (agree && window->least > least + NOISE_NS))
			continue;
		agree = agree && window->least >= least - NOISE_NS ? agree + window->agree
								   : window->agree;
		least = MIN(least, window->least);
		ago = i;
	}
	if (agree < ENOUGH)
		return false;
	apart = (int64_t)(drift_before(of, time_ns) * ago / (NS_PER_SEC / CPU_LAG_WINDOW_NS));
	*out_lowest = least - FRESH_NS - apart;
	*out_highest = least + apart;
	return true;
}

/* The least of the nearest windows in which enough switches agree on it. */
static int64_t agreed_before(const struct cpu_lag_cpu *cpu, uint32_t index)
{
	int64_t least = INT64_MAX;
	uint32_t agree = 0;

	for (uint32_t i = 1; i <= AGREE_WINDOWS && i <= index && agree < ENOUGH; i++) {
		const struct cpu_lag_window *window = window_at(cpu, index - i);

		if (!window || (agree && window->least > least + NOISE_NS))
			continue;
		agree = agree && window->least >= least - NOISE_NS ? agree + window->agree
								   : window->agree;
		least = MIN(least, window->least);
	}
	return agree < ENOUGH ? INT64_MIN : least - NOISE_NS;
}

/* A window lies within one second, so all that is known of its moments is the same. */
static const struct cpu_lag_memo *memo_of(struct cpu_lag_cpu *cpu, uint64_t time_ns)
{
	struct cpu_lag_memo *memo = &cpu->memo;
	uint32_t index = index_of(time_ns);

	if (memo->index_one == index + 1)
		return memo;
	memo->index_one = index + 1;
	cpu->window_to_ns = 0; /* what is added now may change that */
	memo->floor = MAX(floor_before(cpu, index), agreed_before(cpu, index));
	memo->is_known = find_around(cpu, time_ns, &memo->lowest, &memo->highest);
	return memo;
}

_Static_assert(NS_PER_SEC % CPU_LAG_WINDOW_NS == 0, "a second is whole windows");

bool cpu_lag_around(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns, int64_t *out_lowest,
		    int64_t *out_highest)
{
	struct cpu_lag_cpu *of = cpu_of(lag, cpu);
	const struct cpu_lag_memo *memo = of ? memo_of(of, time_ns) : NULL;

	if (!memo || !memo->is_known)
		return false;
	*out_lowest = memo->lowest;
	*out_highest = memo->highest;
	return true;
}

int64_t cpu_lag_floor(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns)
{
	struct cpu_lag_cpu *of = cpu_of(lag, cpu);

	return of ? memo_of(of, time_ns)->floor : INT64_MIN;
}

int64_t cpu_lag_ceiling(const struct cpu_lag *lag, uint32_t cpu, uint64_t time_ns,
			uint64_t until_ns)
{
	const struct cpu_lag_cpu *of = cpu_of(lag, cpu);
	uint32_t last = index_of(MIN(time_ns + CPU_LAG_AHEAD_NS, until_ns));
	int64_t least = INT64_MAX;

	for (uint32_t i = index_of(time_ns) + 1; of && i < last; i++) {
		const struct cpu_lag_window *window = window_at(of, i);

		if (window)
			least = MIN(least, window->least);
	}
	return least;
}
