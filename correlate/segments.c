/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of all lanes, in the order of their starts. Each lane's are in order as they come: they
 * are left so where there are few lanes (sweep_lanes.c), else these runs are merged. */
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

static bool is_before(const struct segment *x, const struct segment *y)
{
	return x->start_ns != y->start_ns ? x->start_ns < y->start_ns
					  : x->thread->tid < y->thread->tid;
}

/* Two sorted runs that stand one behind the other; what is equal keeps its order. */
static void merge(const struct segment *from, uint32_t middle, uint32_t end, struct segment *to)
{
	uint32_t left = 0, right = middle;

	while (left < middle && right < end)
		*to++ = is_before(&from[right], &from[left]) ? from[right++] : from[left++];
	memcpy(to, &from[left], (middle - left) * sizeof(*to));
	memcpy(to + (middle - left), &from[right], (end - right) * sizeof(*to));
}

/* How many from `at` on are sorted. */
static uint32_t run_at(const struct segment *segments, uint32_t at, uint32_t end)
{
	uint32_t next = at + 1;

	while (next < end && !is_before(&segments[next], &segments[next - 1]))
		next++;
	return MIN(next, end) - at;
}

/* One pass over all pairs of runs. Returns how many pairs there were. */
static uint32_t merge_runs(const struct segment *from, uint32_t count, struct segment *to)
{
	uint32_t pairs = 0;

	for (uint32_t at = 0; at < count; pairs++) {
		uint32_t left = run_at(from, at, count);
		uint32_t right = run_at(from, at + left, count);

		merge(from + at, left, left + right, to + at);
		at += left + right;
	}
	return pairs;
}

static void sort(struct join *join)
{
	uint32_t count = join->segment_count;
	struct segment *other;

	if (run_at(join->segments, 0, count) == count)
		return;
	other = malloc(join->segment_cap * sizeof(*other));
	if (!other) {
		join->out_of_memory = true;
		join->segment_count = 0;
		return;
	}
	for (uint32_t pairs = UINT32_MAX; pairs > 1;) {
		struct segment *from = join->segments;

		pairs = merge_runs(from, count, other);
		join->segments = other;
		other = from;
	}
	free(other);
}

static bool are_in_order(const struct segment *segments, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		if (segments[i].start_ns < segments[i - 1].end_ns)
			return false;
	}
	return true;
}

bool segments_are_by_lanes(const struct join *join)
{
	uint32_t lanes = 0;

	for (uint32_t i = 0; i < join->lane_count; i++) {
		const struct lane *lane = join->lanes[i];

		lanes += lane->segment_count > 0;
		if (lanes > SWEEP_FEW_LANES ||
		    !are_in_order(join->segments + lane->first_segment, lane->segment_count))
			return false;
	}
	return true;
}

void segments_sort(struct join *join)
{
	uint64_t greatest = 0;

	sort(join);
	join->segment_max_end = arena_alloc(&join->arena, (join->segment_count + 1) *
								  sizeof(*join->segment_max_end));
	if (!join->segment_max_end) {
		join->out_of_memory = true;
		join->segment_count = 0;
	}
	for (uint32_t i = 0; i < join->segment_count; i++) {
		greatest = MAX(greatest, join->segments[i].end_ns);
		join->segment_max_end[i] = greatest;
	}
}
