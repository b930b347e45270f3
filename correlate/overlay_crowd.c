/* SPDX-License-Identifier: Apache-2.0 */
/* More spans of one trace that are open at once than are weighed against each other. The time goes
 * to whom the tags mean, and all that are open meanwhile are in doubt by all of it. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void note_change(struct join *join, uint32_t open, uint64_t time_ns)
{
	bool is_crowd = open >= OVERLAY_MAX_SPANS;
	struct stretch *last = join->crowd_count ? &join->crowds[join->crowd_count - 1] : NULL;
	bool was_crowd = last && last->to_ns == UINT64_MAX;

	if (is_crowd && !was_crowd)
		join->crowds[join->crowd_count++] = (struct stretch){ time_ns, UINT64_MAX };
	else if (was_crowd && !is_crowd)
		last->to_ns = time_ns;
}

/* Of all processes together: that is enough to go by. false: out of memory. */
static bool find_crowds(struct join *join)
{
	uint64_t *ends = arena_alloc(&join->arena, join->count * sizeof(*ends));
	uint32_t begun = 0, over = 0;

	join->crowds = arena_alloc(&join->arena, join->count * sizeof(*join->crowds));
	if (!ends || !join->crowds)
		return false;
	for (uint32_t i = 0; i < join->count; i++)
		ends[i] = join->nodes[i].b_ns;
	qsort(ends, join->count, sizeof(*ends), by_value);
	while (over < join->count) {
		uint64_t begin =
			begun < join->count ? join->nodes[join->by_start[begun]].a_ns : UINT64_MAX;
		uint64_t time = MIN(begin, ends[over]);

		while (begun < join->count && join->nodes[join->by_start[begun]].a_ns == time)
			begun++;
		while (over < join->count && ends[over] == time)
			over++;
		note_change(join, begun - over, time);
	}
	return true;
}

static uint64_t crowd_until(struct join *join, uint64_t time_ns)
{
	if (!join->crowds && !find_crowds(join)) {
		join->out_of_memory = true;
		return UINT64_MAX;
	}
	for (uint32_t i = 0; i < join->crowd_count; i++) {
		if (join->crowds[i].to_ns > time_ns)
			return join->crowds[i].to_ns;
	}
	return UINT64_MAX;
}

void crowd_window(struct cut *cut)
{
	struct join *join = cut->join;
	uint64_t last_ns;

	cut->to_ns = cut->slice->out_ns;
	cut->count = join_overlapping(join, cut->lane->process, cut->from_ns, cut->to_ns,
				      cut->nodes, OVERLAY_MAX_SPANS);
	if (cut->count < OVERLAY_MAX_SPANS)
		return;
	last_ns = join->nodes[cut->nodes[OVERLAY_MAX_SPANS - 1]].a_ns;
	if (last_ns <= cut->from_ns) {
		cut->to_ns = MIN(cut->to_ns, crowd_until(join, cut->from_ns));
		return;
	}
	cut->to_ns = last_ns;
	while (cut->count && join->nodes[cut->nodes[cut->count - 1]].a_ns == last_ns)
		cut->count--;
}

/* The innermost that the tags mean; where they disagree, the one before goes on until it ends. */
static int32_t meant(const struct cut *cut, uint64_t time_ns)
{
	const struct join *join = cut->join;
	int32_t in = cut->owner_in, out = cut->owner_out;

	if (in >= 0 && out >= 0 && node_is_below(join, out, in))
		return overlay_climb(join, out, time_ns);
	if (in >= 0 &&
	    (out < 0 || node_is_below(join, in, out) || node_is_active(&join->nodes[in], time_ns)))
		return overlay_climb(join, in, time_ns);
	return overlay_climb(join, out, time_ns);
}

/* Until when nothing changes of that: somebody of the chains begins or ends. */
static uint64_t next_edge(const struct join *join, int32_t index, uint64_t time_ns, uint64_t until)
{
	for (; index >= 0; index = join->nodes[index].parent) {
		const struct node *node = &join->nodes[index];

		if (node->a_ns > time_ns)
			until = MIN(until, node->a_ns);
		if (node->b_ns > time_ns)
			until = MIN(until, node->b_ns);
		if (node_is_active(node, time_ns))
			break;
	}
	return until;
}

void crowd_own(struct cut *cut)
{
	struct join *join = cut->join;
	struct segment like = cut_piece(cut);
	uint64_t at = cut->from_ns;

	join->crowded++;
	while (at < cut->to_ns) {
		uint64_t until = next_edge(join, cut->owner_in, at, cut->to_ns);

		until = next_edge(join, cut->owner_out, at, until);
		like.cpu_ns = cut_take_cpu(cut, until);
		overlay_emit(join, &like, at, until, meant(cut, at));
		at = until;
	}
}

/* Each lane may have been misplaced as long. */
void crowd_doubt(struct join *join)
{
	for (uint32_t i = 0; join->crowded && i < join->count; i++) {
		struct node *node = &join->nodes[i];
		uint64_t common = 0;

		for (uint32_t c = 0; c < join->crowd_count; c++) {
			uint64_t from = MAX(join->crowds[c].from_ns, node->a_ns);
			uint64_t to = MIN(join->crowds[c].to_ns, node->b_ns);

			common += to - MIN(from, to);
		}
		node_doubt(node, common * join->lane_count);
	}
}
