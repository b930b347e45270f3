/* SPDX-License-Identifier: Apache-2.0 */
/* The ordinary slice, with nothing to weigh: one tag all along, and one span open. Most are such,
 * and take the short way; what comes out is the same. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static const uint64_t *edges_of(struct join *join)
{
	uint32_t count = 0;

	if (join->edges)
		return join->edges;
	join->edges = arena_alloc(&join->arena, (2 * join->count + 1) * sizeof(*join->edges));
	for (uint32_t i = 0; join->edges && i < join->count; i++) {
		join->edges[count++] = join->nodes[i].a_ns;
		join->edges[count++] = join->nodes[i].b_ns;
	}
	if (count)
		qsort(join->edges, count, sizeof(*join->edges), by_value);
	return join->edges;
}

/* Without the memory for it no time is calm, and all take the long way. */
static void find_calm(struct join *join, uint64_t time_ns, struct calm *calm)
{
	const uint64_t *edges = edges_of(join);
	uint32_t low = 0, high = 2 * join->count;

	calm->from_ns = calm->to_ns = time_ns;
	if (!edges)
		return;
	while (low < high) { /* the first edge after that moment */
		uint32_t middle = (low + high) / 2;

		if (edges[middle] <= time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	calm->from_ns = low ? edges[low - 1] : 0;
	calm->to_ns = low < 2 * join->count ? edges[low] : UINT64_MAX;
}

int32_t overlay_ask_only(struct join *join, const struct process *process, uint64_t from_ns,
			 uint64_t to_ns)
{
	struct calm *calm = &join->calm;
	int32_t found[2];
	uint32_t count;

	calm->process = process;
	find_calm(join, from_ns, calm);
	count = join_overlapping(join, process, from_ns, from_ns + 1, found, ARRAY_LEN(found));
	calm->only = count == 1 ? found[0] : -1;
	calm->is_empty = count == 0 && calm->from_ns < calm->to_ns;
	return to_ns <= calm->to_ns ? calm->only : -1;
}

/* Did the thread go on from one to the other, with nothing but a CPU to wait for and in one span?
 */
static bool goes_on(const struct slice *slice, const struct slice *after)
{
	return !slice->state && !after->gap && tag_eq(slice->tag_out, after->tag_in);
}

struct look overlay_look_back(const struct lane *lane, const struct slice *slice)
{
	const struct slice *at = slice;
	struct look look = { 0 };

	while (look.steps < STACK_REACH && !look.stack && at > lane->slices &&
	       goes_on(at - 1, at)) {
		look.steps++;
		look.stack = overlay_stack_told(--at);
		if (!tag_eq(at->tag_in, at->tag_out))
			break;
	}
	return look;
}

struct look overlay_look_ahead(const struct lane *lane, const struct slice *slice)
{
	const struct slice *at = slice, *end = lane->slices + lane->count;
	struct look look = { 0 };

	while (look.steps < STACK_REACH && !look.stack && at + 1 < end && goes_on(at, at + 1)) {
		look.steps++;
		at++;
		if (!tag_eq(at->tag_in, at->tag_out))
			break;
		look.stack = overlay_stack_told(at);
	}
	return look;
}

uint64_t overlay_stack_of(const struct lane *lane, const struct slice *slice)
{
	uint64_t stack = overlay_stack_told(slice);

	if (!stack && tag_eq(slice->tag_in, slice->tag_out))
		stack = overlay_look_back(lane, slice).stack;
	if (!stack && tag_eq(slice->tag_in, slice->tag_out))
		stack = overlay_look_ahead(lane, slice).stack;
	return stack;
}

static bool is_plain(const struct lane *lane, const struct slice *before, const struct slice *slice)
{
	const struct stint *stint =
		slice->stint == STINT_PLAIN ? NULL : &lane->stints[slice->stint];

	return slice->tag_in == slice->tag_out && !lane->company_count &&
	       !(slice->flags & (EVENT_TOLD | EVENT_TAG_OUT_UNKNOWN | EVENT_IN_LOST)) &&
	       !(before && before->flags & EVENT_TAG_OUT_UNKNOWN) &&
	       (!stint || (stint->in_ns == slice->in_ns && stint->out_ns == slice->out_ns));
}

/* One that showed nothing: a span that the thread carried before and after it is in doubt, for it
 * may have come back to it in between. */
static bool doubt_idle(struct join *join, const struct lane *lane, const struct slice *slice)
{
	int32_t only = overlay_only(join, lane->process, slice->in_ns, slice->out_ns);
	const struct node *node = only < 0 ? NULL : &join->nodes[only];
	const struct sighting *seen;
	uint64_t cpu_ns;

	if (!node || node->cut_ns || node->a_ns >= slice->in_ns || node->b_ns <= slice->out_ns)
		return false;
	seen = join_sighting(join, only, lane->thread);
	if (!seen || seen->first_ns >= slice->out_ns || seen->last_ns <= slice->in_ns)
		return false;
	cpu_ns = lane_cpu_ns(lane, slice);
	overlay_doubt(join, only, -1, MAX(slice->out_ns - slice->in_ns, cpu_ns));
	return true;
}

bool overlay_plain(struct join *join, const struct lane *lane, const struct slice *before,
		   const struct slice *slice)
{
	const struct meaning *meaning = join->meaning;
	int32_t owner;

	if (!is_plain(lane, before, slice))
		return false;
	if (tag_is_none(slice->tag_in))
		return doubt_idle(join, lane, slice);
	owner = overlay_meaning(join, lane, slice->tag_in, slice->in_ns);
	if (owner < 0 || meaning->tag != slice->tag_in || meaning->thread != lane->thread ||
	    !meaning->is_seen ||
	    overlay_only(join, lane->process, slice->in_ns, slice->out_ns) != owner)
		return false;
	if (lane->takes_turns) /* another trace may have had one that no tag tells of */
		overlay_doubt(join, owner, -1, slice->out_ns - slice->in_ns);
	overlay_emit(join,
		     &(struct segment){
			     .state = STATE_RUNNING,
			     .thread = lane->thread,
			     .since_ns = slice->in_ns,
			     .stack = overlay_stack_of(lane, slice),
			     .cpu_ns = lane_cpu_ns(lane, slice),
			     .wait = -1,
		     },
		     slice->in_ns, slice->out_ns, owner);
	return true;
}
