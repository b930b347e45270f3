/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that a thread must have put aside, by when they began and ended, though none was seen to
 * come back: the thread waited without one that was still open; or it showed another trace within
 * one that it ended itself later on; or it ended one after it had begun another trace's, and that
 * one later. Who ends a span is known where no other thread of the process was on a CPU. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_SLICES 4  /* after a span was seen last: whether the thread waits without it */
#define MOST_LOOKS  16 /* at other traces' tags, for each lane */

/* The thread waited, and showed nothing, while the span was open that no other thread was seen
 * with: so it had put the span aside, and ended it in a turn that no tag tells of, or somebody else
 * did. */
static bool waits_without(const struct lane *lane, const struct node *node, uint64_t seen_ns)
{
	uint64_t end_ns = node->b_ns - MIN(node->bound_ns + LEDGER_EXACT_NS, node->b_ns);
	uint32_t first = lane_first_after(lane, seen_ns), left = MOST_SLICES;

	for (uint32_t i = first; i + 1 < lane->count && left--; i++) {
		const struct slice *slice = &lane->slices[i];

		if (slice[1].in_ns >= end_ns || !tag_is_none(slice->tag_out))
			return false;
		if (!(slice->flags & (EVENT_PREEMPTED | EVENT_TICK | EVENT_TAG_OUT_UNKNOWN)) &&
		    !slice[1].gap)
			return true;
	}
	return false;
}

/* Where a span, and those below it, were seen. */
struct whereabouts {
	struct thread *thread;
	uint64_t last_ns;
	bool is_several; /* threads */
};

static void note(struct whereabouts *where, struct thread *thread, uint64_t last_ns)
{
	where->is_several |= where->thread && where->thread != thread;
	where->thread = thread;
	where->last_ns = MAX(where->last_ns, last_ns);
}

/* Children before their parents. */
static void find_whereabouts(const struct join *join, struct whereabouts *where)
{
	for (uint32_t i = join->count; i-- > 0;) {
		uint32_t at = join->by_depth[i];
		const struct node *node = &join->nodes[at];
		struct whereabouts *above = node->parent >= 0 ? &where[node->parent] : NULL;

		for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next)
			note(&where[at], join->sightings[s].thread, join->sightings[s].last_ns);
		if (!above || !where[at].thread)
			continue;
		note(above, where[at].thread, where[at].last_ns);
		above->is_several |= where[at].is_several;
	}
}

static bool is_begun_by(struct join *join, const struct lane *lane, const struct node *node,
			uint64_t seen_ns)
{
	const struct sighting *seen =
		join_sighting(join, (int32_t)(node - join->nodes), lane->thread);

	return (seen && seen->first_ns < seen_ns) ||
	       (lane_on_cpu_about(lane, node->a_ns, node->cut_ns) &&
		told_is_alone(join, lane, node, node->a_ns));
}

static bool is_ended_by(struct join *join, const struct lane *lane, const struct node *node)
{
	return lane_on_cpu_about(lane, node->b_ns - 1, node->cut_ns) &&
	       told_is_alone(join, lane, node, node->b_ns - 1);
}

/* When the thread began to show it; 0: it is not known, or has it since a fork. */
static uint64_t first_shown(const struct join *join, const struct lane *lane,
			    const struct event_tag *tag)
{
	const struct trace *trace = trace_look(join->model, tag->trace_id);
	const struct observation *o =
		trace ? trace_observation(join->model, trace, lane->thread, tag->span_id) : NULL;

	return o && !o->inherited ? o->first_ns : 0;
}

static bool is_nowhere_else(const struct lane *lane, const struct whereabouts *where)
{
	return !where->thread || (where->thread == lane->thread && !where->is_several);
}

static uint64_t edge_error_ns(const struct node *node)
{
	return node->bound_ns + node->skew_ns + node->cut_ns;
}

/* One that was open, and nobody else's, when the thread showed another trace's tag for the first
 * time. */
static bool lies_within(struct join *join, const struct lane *lane, const struct whereabouts *where,
			uint64_t first_ns)
{
	uint32_t place = 0;
	int32_t index;

	while ((index = join_next_overlapping(join, lane->process, &place, first_ns,
					      first_ns + 1)) >= 0) {
		const struct node *node = &join->nodes[index];
		uint64_t error = edge_error_ns(node);

		if (is_nowhere_else(lane, &where[index]) && node->a_ns + error < first_ns &&
		    first_ns + error < node->b_ns && is_begun_by(join, lane, node, first_ns) &&
		    is_ended_by(join, lane, node))
			return true;
	}
	return false;
}

static void find_within(struct join *join, struct lane *lane, const struct whereabouts *where)
{
	const struct event_tag *asked = NULL;
	uint32_t looks = 0;

	for (uint32_t i = lane->shows_others ? lane_first_after(lane, join->from_ns) : lane->count;
	     i < lane->count && lane->slices[i].out_ns < join->to_ns && looks < MOST_LOOKS; i++) {
		const struct slice *slice = &lane->slices[i];
		uint64_t first_ns;

		if (slice->flags & EVENT_TOLD)
			return;
		if (slice->tag_out == asked || tag_is_none(slice->tag_out) ||
		    tag_is_of(slice->tag_out, join->trace->id))
			continue;
		asked = slice->tag_out;
		looks++;
		first_ns = first_shown(join, lane, slice->tag_out);
		if (first_ns && lies_within(join, lane, where, first_ns)) {
			lane->within_ns = first_ns;
			return;
		}
	}
}

/* The longest one that the thread began and ended, as far as it is known; no other trace is told of
 * what it has besides. */
static void find_own(struct join *join, struct lane *lane, const struct whereabouts *where)
{
	struct company *claim = &lane->claim;

	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];
		uint64_t error = edge_error_ns(node);

		if (node->process == lane->process && is_nowhere_else(lane, &where[i]) &&
		    node->b_ns - node->a_ns > 2 * error + claim->own_to_ns - claim->own_from_ns &&
		    is_begun_by(join, lane, node, 0) && is_ended_by(join, lane, node)) {
			claim->own_from_ns = node->a_ns + error;
			claim->own_to_ns = node->b_ns - error;
		}
	}
}

/* What the trace claimed when it settled before is no other's. */
static void find_crossed(const struct join *join, struct lane *lane)
{
	const struct company *own = &lane->claim;

	for (unsigned i = 0; own->own_to_ns && i < COMPANY_MAX; i++) {
		const struct company *other = &lane->thread->company[i];

		if (!company_is_of(other, join->trace))
			lane->crossed_ns = MAX(lane->crossed_ns, company_crossed_ns(own, other));
	}
}

void join_find_put_aside(struct join *join)
{
	struct whereabouts *where = arena_alloc(&join->arena, (join->count + 1) * sizeof(*where));

	if (!where) {
		join->out_of_memory = true;
		return;
	}
	find_whereabouts(join, where);
	for (uint32_t i = 0; i < join->count; i++) {
		struct lane *lane = NULL;

		if (where[i].thread && !where[i].is_several)
			lane = join_lane(join, where[i].thread);
		if (lane && !lane->takes_turns)
			lane->takes_turns = waits_without(lane, &join->nodes[i], where[i].last_ns);
	}
	for (uint32_t i = 0; i < join->lane_count; i++) {
		struct lane *lane = join->lanes[i];

		find_within(join, lane, where);
		if (!lane->company_count)
			continue;
		find_own(join, lane, where);
		find_crossed(join, lane);
	}
}

void aside_learn(struct join *join)
{
	for (uint32_t i = 0; i < join->lane_count; i++) {
		const struct lane *lane = join->lanes[i];

		if (lane->within_ns)
			lesson_note(join, LESSON_NESTED, lane->process, lane->thread,
				    lane->within_ns, lane->within_ns);
		if (lane->crossed_ns)
			lesson_note(join, LESSON_CROSSES, lane->process, lane->thread,
				    lane->crossed_ns, lane->crossed_ns);
	}
}
