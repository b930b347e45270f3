/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/clock_map.h"

#include <string.h>

#include "collector/base/macros.h"

#define MAX_BRACKET_NS NS_PER_SEC

/* Holds the product of two times, as those of readings have 63 bits. */
typedef __int128 wide;

struct answer {
	wide ns;
	wide bound_ns;
};

static wide wide_distance(wide a, wide b)
{
	return a > b ? a - b : b - a;
}

static wide offset(const struct clock_pair *pair)
{
	return (wide)pair->unix_ns - pair->mono_ns;
}

static wide slew(wide ns)
{
	return ns * CLOCK_MAP_SLEW_PPM / 1000000 + 1;
}

static bool is_step(const struct clock_pair *from, const struct clock_pair *to)
{
	wide gap = (wide)to->mono_ns - from->mono_ns;

	return to->unix_ns <= from->unix_ns ||
	       wide_distance(offset(from), offset(to)) > slew(gap) + from->half_ns + to->half_ns;
}

/* ---- readings in ---- */

/* A pair inside of a segment, with neighbours of the same on both sides. */
static bool is_inner(const struct clock_map *map, uint32_t i)
{
	return i > 0 && i + 1 < map->count && map->pairs[i].first != i &&
	       map->pairs[i + 1].first != i + 1;
}

/* Leaves `pair` out: `to` then answers for how far it lay from the line between its neighbours. */
static void leave_out(const struct clock_pair *from, const struct clock_pair *pair,
		      struct clock_pair *to)
{
	wide part = (offset(to) - offset(from)) * ((wide)pair->mono_ns - from->mono_ns) /
		    ((wide)to->mono_ns - from->mono_ns);
	wide half = wide_distance(offset(pair), offset(from) + part) +
		    MAX(pair->half_ns, to->half_ns) + 1;

	to->half_ns = (uint32_t)MIN(half, UINT32_MAX);
	to->apart_ns = UINT32_MAX;
}

static void find_segments(struct clock_map *map, const bool *begins)
{
	for (uint32_t i = 0; i < map->count; i++)
		map->pairs[i].first = i == 0 || begins[i] ? i : map->pairs[i - 1].first;
}

/* Makes room. If steps leave nothing to thin, the oldest quarter goes. */
static void thin(struct clock_map *map)
{
	static const uint32_t old = CLOCK_MAP_PAIRS / 2;
	bool begins[CLOCK_MAP_PAIRS];
	uint32_t kept = 0;
	bool left_out = false;

	for (uint32_t i = 0; i < map->count; i++) {
		if (i < old && !left_out && is_inner(map, i)) {
			leave_out(&map->pairs[kept - 1], &map->pairs[i], &map->pairs[i + 1]);
			left_out = true;
			continue;
		}
		left_out = false;
		begins[kept] = map->pairs[i].first == i;
		map->pairs[kept++] = map->pairs[i];
	}
	if (kept > CLOCK_MAP_PAIRS - CLOCK_MAP_PAIRS / 8) {
		uint32_t gone = CLOCK_MAP_PAIRS / 4;

		kept -= gone;
		memmove(map->pairs, map->pairs + gone, kept * sizeof(map->pairs[0]));
		memmove(begins, begins + gone, kept * sizeof(begins[0]));
	}
	map->count = kept;
	find_segments(map, begins);
}

/* The last pair says as much about this moment as the reading does. */
static bool is_worthless(const struct clock_pair *last, const struct clock_pair *reading)
{
	wide gap = (wide)reading->mono_ns - last->mono_ns;

	return reading->half_ns > slew(gap) + last->half_ns && !is_step(last, reading);
}

/* Through all readings since the pair that the door was opened at, the last one, too. */
static bool is_even(const struct clock_door *door, const struct clock_pair *from,
		    const struct clock_pair *reading)
{
	wide rise = offset(reading) - offset(from), run = (wide)reading->mono_ns - from->mono_ns;

	return (rise + reading->half_ns) * door->least_run_ns >= door->least_rise_ns * run &&
	       (rise - reading->half_ns) * door->most_run_ns <= door->most_rise_ns * run;
}

/* The reading is about to be replaced. */
static void narrow(struct clock_door *door, const struct clock_pair *from,
		   const struct clock_pair *reading)
{
	wide rise = offset(reading) - offset(from), run = (wide)reading->mono_ns - from->mono_ns;
	wide error = (wide)reading->half_ns + from->half_ns + 1;

	if (reading->half_ns > CLOCK_MAP_NARROW_NS)
		return;
	if (!door->least_run_ns ||
	    (rise - error) * door->least_run_ns > door->least_rise_ns * run) {
		door->least_rise_ns = (int64_t)(rise - error);
		door->least_run_ns = (uint64_t)run;
	}
	if (!door->most_run_ns || (rise + error) * door->most_run_ns < door->most_rise_ns * run) {
		door->most_rise_ns = (int64_t)(rise + error);
		door->most_run_ns = (uint64_t)run;
	}
	door->apart_ns = MAX(door->apart_ns, reading->mono_ns - door->reached_ns);
	door->reached_ns = reading->mono_ns;
}

/* Takes the place of the last pair, if that tells no more than the line past it. */
static bool replace(struct clock_map *map, const struct clock_pair *reading)
{
	struct clock_pair *last = &map->pairs[map->count - 1];
	struct clock_door door = map->door;

	if (map->count < 2 || last->first == map->count - 1 || is_step(last, reading) ||
	    reading->mono_ns - last[-1].mono_ns >= CLOCK_MAP_SPACING_NS)
		return false;
	narrow(&door, &last[-1], last);
	if (!is_even(&door, &last[-1], reading))
		return false;
	map->door = door;
	last->mono_ns = reading->mono_ns;
	last->unix_ns = reading->unix_ns;
	last->half_ns = reading->half_ns;
	last->apart_ns = (uint32_t)MAX(door.apart_ns, reading->mono_ns - door.reached_ns);
	return true;
}

static void append(struct clock_map *map, struct clock_pair reading)
{
	const struct clock_pair *last;
	bool step;

	if (map->count && replace(map, &reading))
		return;
	if (map->count == CLOCK_MAP_PAIRS)
		thin(map);
	last = map->count ? &map->pairs[map->count - 1] : NULL;
	step = last && is_step(last, &reading);
	map->steps += step;
	map->door = (struct clock_door){ .reached_ns = last ? last->mono_ns : 0 };
	reading.first = !last || step ? map->count : last->first;
	reading.apart_ns = last ? (uint32_t)MIN(reading.mono_ns - last->mono_ns, UINT32_MAX) : 0;
	map->pairs[map->count++] = reading;
}

void clock_map_init(struct clock_map *map)
{
	memset(map, 0, sizeof(*map));
}

void clock_map_add(struct clock_map *map, uint64_t mono_before_ns, uint64_t unix_ns,
		   uint64_t mono_after_ns)
{
	uint64_t bracket_ns = mono_after_ns - mono_before_ns;
	const struct clock_pair *last = map->count ? &map->pairs[map->count - 1] : NULL;
	struct clock_pair reading = { .mono_ns = mono_before_ns + bracket_ns / 2,
				      .unix_ns = unix_ns,
				      .half_ns = (uint32_t)(bracket_ns / 2 + bracket_ns % 2) };

	if (mono_after_ns < mono_before_ns || bracket_ns > MAX_BRACKET_NS ||
	    mono_after_ns > INT64_MAX || unix_ns > INT64_MAX ||
	    (last && reading.mono_ns <= last->mono_ns) || (last && is_worthless(last, &reading)))
		map->refused++;
	else
		append(map, reading);
}

/* ---- conversions ---- */

/* The longest time between pair i and the next without a reading. */
static wide apart(const struct clock_pair *pair)
{
	wide gap = (wide)pair[1].mono_ns - pair[0].mono_ns;

	return pair[1].apart_ns < UINT32_MAX ? MIN(gap, pair[1].apart_ns) : gap;
}

static wide rise_within(const struct clock_pair *pair, wide ns)
{
	wide gap = (wide)pair[1].mono_ns - pair[0].mono_ns;

	return (offset(&pair[1]) - offset(&pair[0])) * ns / gap;
}

/* How much more the offset would have changed between two readings from pair i to the next, had it
 * kept the rate that it has between pair `other` and the next. */
static wide bend_against(const struct clock_map *map, uint32_t i, uint32_t other)
{
	wide ns = apart(&map->pairs[i]);

	return rise_within(&map->pairs[other], ns) - rise_within(&map->pairs[i], ns);
}

/* How far realtime may stray from the straight line between pair i and the next, at that moment: if
 * its rate changed once between two readings, from that before to that behind, or it made a small
 * step as well, then it is as far off as keeping the one rate or the other would have led. That is
 * where the line begins or ends, if others lie on it. Without neighbours an even clock is expected.
 */
static wide bend(const struct clock_map *map, uint32_t i, wide mono_ns)
{
	const struct clock_pair *pairs = map->pairs;
	bool has_before = pairs[i].first != i;
	bool has_behind = i + 2 < map->count && pairs[i + 2].first != i + 2;
	wide before = 0, behind = 0;

	if (!has_before && !has_behind)
		return wide_distance(rise_within(&pairs[i], apart(&pairs[i])), 0);
	if (has_before && mono_ns <= pairs[i].mono_ns + apart(&pairs[i]))
		before = wide_distance(bend_against(map, i, i - 1), 0);
	if (has_behind && mono_ns + apart(&pairs[i]) >= pairs[i + 1].mono_ns)
		behind = wide_distance(bend_against(map, i, i + 1), 0);
	return MAX(before, behind);
}

/* Pair i and the next are of one segment. */
static wide bound_between(const struct clock_map *map, uint32_t i, wide mono_ns)
{
	return MAX(map->pairs[i].half_ns, map->pairs[i + 1].half_ns) + bend(map, i, mono_ns) + 1;
}

/* Outside of a pair's segment, `away_ns` from it. */
static wide bound_beyond(const struct clock_pair *pair, wide away_ns)
{
	return pair->half_ns + slew(away_ns);
}

/* Between pair i and the next, which follows a step. */
static wide bound_step(const struct clock_pair *pair)
{
	wide step = wide_distance(offset(&pair[0]), offset(&pair[1]));

	return step + MAX(pair[0].half_ns, pair[1].half_ns) +
	       slew((wide)pair[1].mono_ns - pair[0].mono_ns);
}

static bool tell(struct answer answer, uint64_t *out_ns, uint64_t *out_bound_ns)
{
	if (answer.ns < 0 || answer.ns > UINT64_MAX)
		return false;
	*out_ns = (uint64_t)answer.ns;
	*out_bound_ns = (uint64_t)MIN(answer.bound_ns, UINT64_MAX);
	return true;
}

/* The last pair of [from, end) that is not after the time; `from` if all are. */
static uint32_t find(const struct clock_map *map, uint32_t from, uint32_t end, uint64_t ns,
		     bool by_unix)
{
	while (end - from > 1) {
		uint32_t middle = from + (end - from) / 2;
		const struct clock_pair *pair = &map->pairs[middle];

		if ((by_unix ? pair->unix_ns : pair->mono_ns) <= ns)
			from = middle;
		else
			end = middle;
	}
	return from;
}

bool clock_map_to_unix(const struct clock_map *map, uint64_t mono_ns, uint64_t *out_unix_ns,
		       uint64_t *out_bound_ns)
{
	struct answer answer;
	const struct clock_pair *pair;
	uint32_t i;

	if (map->count == 0)
		return false;
	i = find(map, 0, map->count, mono_ns, false);
	pair = &map->pairs[i];
	if (mono_ns < pair->mono_ns || i + 1 == map->count) {
		answer.ns = mono_ns + offset(pair);
		answer.bound_ns = bound_beyond(pair, wide_distance(mono_ns, pair->mono_ns));
	} else if (pair[1].first == i + 1) {
		answer.ns = mono_ns == pair->mono_ns ? pair->unix_ns : mono_ns + offset(&pair[1]);
		answer.bound_ns = mono_ns == pair->mono_ns ? pair->half_ns : bound_step(pair);
	} else {
		answer.ns = pair->unix_ns + ((wide)mono_ns - pair->mono_ns) *
						    ((wide)pair[1].unix_ns - pair->unix_ns) /
						    ((wide)pair[1].mono_ns - pair->mono_ns);
		answer.bound_ns = bound_between(map, i, mono_ns);
	}
	return tell(answer, out_unix_ns, out_bound_ns);
}

/* Between two readings of one segment, or at its only one. */
static struct answer inside(const struct clock_map *map, uint32_t first, uint32_t last,
			    uint64_t unix_ns)
{
	uint32_t i = find(map, first, last + 1, unix_ns, true);
	const struct clock_pair *pair = &map->pairs[i];
	wide ns = pair->mono_ns;

	if (i == last)
		return (struct answer){ ns, pair->half_ns };
	ns += ((wide)unix_ns - pair->unix_ns) * ((wide)pair[1].mono_ns - pair->mono_ns) /
	      ((wide)pair[1].unix_ns - pair->unix_ns);
	return (struct answer){ ns, bound_between(map, i, ns) };
}

/* By the offset of a pair alone. */
static struct answer beyond(const struct clock_pair *pair, uint64_t unix_ns)
{
	return (struct answer){ unix_ns - offset(pair),
				bound_beyond(pair, wide_distance(unix_ns, pair->unix_ns)) };
}

/* In the gap that ends with `after`, the first pair behind a step, by the offset of `side`. Set
 * forward, both readings of the time lie in the gap; set back, the other one may lie before it. */
static struct answer at_step(const struct clock_pair *after, const struct clock_pair *side,
			     uint64_t unix_ns)
{
	const struct clock_pair *before = after - 1;
	wide gap = (wide)after->mono_ns - before->mono_ns;
	wide bound = bound_step(before);

	if (offset(after) > offset(before))
		bound = MIN(bound, gap + MAX(before->half_ns, after->half_ns));
	return (struct answer){ unix_ns - offset(side), bound };
}

/* One segment's say: 1: `out` holds the time; 0: not here; -1: not here, but `out` if nowhere. */
static int ask(const struct clock_map *map, uint32_t first, uint32_t last, uint64_t unix_ns,
	       struct answer *out)
{
	const struct clock_pair *begin = &map->pairs[first];
	const struct clock_pair *end = &map->pairs[last];
	bool is_newest = last + 1 == map->count;

	if (unix_ns < begin->unix_ns) {
		*out = first > 0 ? at_step(begin, begin, unix_ns) : beyond(begin, unix_ns);
		if (first == 0)
			return -1;
		return out->ns >= begin[-1].mono_ns;
	}
	if (unix_ns <= end->unix_ns) {
		*out = inside(map, first, last, unix_ns);
		return 1;
	}
	if (is_newest) {
		*out = beyond(end, unix_ns);
		return unix_ns - end->unix_ns <= CLOCK_MAP_AHEAD_NS ? 1 : -1;
	}
	*out = at_step(end + 1, end, unix_ns);
	if (out->ns <= end[1].mono_ns)
		return 1;
	out->ns = end[1].mono_ns;
	return -1;
}

bool clock_map_to_mono(const struct clock_map *map, uint64_t unix_ns, uint64_t *out_mono_ns,
		       uint64_t *out_bound_ns)
{
	struct answer answer, otherwise = { 0 };
	bool has_otherwise = false;
	uint32_t end = map->count;

	while (end > 0) { /* the newest segment first */
		uint32_t first = map->pairs[end - 1].first;
		int said = ask(map, first, end - 1, unix_ns, &answer);

		if (said == 1)
			return tell(answer, out_mono_ns, out_bound_ns);
		if (said == -1 && !has_otherwise) {
			otherwise = answer;
			has_otherwise = true;
		}
		end = first;
	}
	return has_otherwise && tell(otherwise, out_mono_ns, out_bound_ns);
}

/* What the offset was at the two, at least and at most; they may be of one value. */
static struct clock_range range_between(const struct clock_pair *a, const struct clock_pair *b)
{
	struct clock_range range = {
		(int64_t)MIN(offset(a) + a->half_ns, offset(b) + b->half_ns),
		(int64_t)MAX(offset(a) - a->half_ns, offset(b) - b->half_ns),
	};

	if (range.least_ns > range.most_ns)
		range.least_ns = range.most_ns = (int64_t)offset(b);
	return range;
}

bool clock_map_history(const struct clock_map *map, const struct clock_range *within,
		       struct clock_range *out)
{
	struct clock_range found = { INT64_MAX, INT64_MIN };
	uint32_t end = map->count;

	while (end > 0) {
		uint32_t first = map->pairs[end - 1].first;
		struct clock_range range = range_between(&map->pairs[first], &map->pairs[end - 1]);

		end = first;
		range.least_ns = MAX(range.least_ns, within->least_ns);
		range.most_ns = MIN(range.most_ns, within->most_ns);
		if (range.least_ns > range.most_ns)
			continue;
		found.least_ns = MIN(found.least_ns, range.least_ns);
		found.most_ns = MAX(found.most_ns, range.most_ns);
	}
	if (found.least_ns > found.most_ns)
		return false;
	*out = found;
	return true;
}
