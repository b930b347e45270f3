/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread was in when it came to a span that was never exported: what that one takes counts
 * for the innermost exported span around it, on its thread (DESIGN 4, rule 8). */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_BACK   64 /* slices before it, that are looked at */
#define MOST_AROUND OVERLAY_MAX_SPANS

static int32_t known(const struct join *join, const struct lane *lane, const struct event_tag *tag)
{
	int32_t index = -1;

	if (!tag_is_none(tag) && tag_is_of(tag, join->trace->id))
		index = join_find(join, tag->span_id);
	return index >= 0 && join->nodes[index].process == lane->process ? index : -1;
}

/* When the thread showed the tag first, as far as it is known. */
static uint64_t first_shown(const struct join *join, const struct lane *lane,
			    const struct event_tag *tag, uint64_t time_ns)
{
	const struct observation *o =
		trace_observation(join->model, join->trace, lane->thread, tag->span_id);

	return o ? MIN(o->first_ns, time_ns) : time_ns;
}

/* On the way back through what a thread showed, to the exported span that it was in. */
struct way_back {
	uint64_t first_ns; /* before that */
	uint64_t time_ns;  /* it was open then */
	uint64_t shown_ns; /* when it was shown; 0: it was not */
	int32_t index;     /* -1: not found yet */
};

/* true: it was found, or leads further back: of another one that nobody exported counts what its
 * thread was in when it came to that. */
static bool look_back(const struct join *join, const struct lane *lane, const struct event_tag *tag,
		      uint64_t shown_ns, struct way_back *way)
{
	int32_t index = known(join, lane, tag);
	uint64_t first_ns = way->first_ns;

	way->shown_ns = shown_ns;
	way->index = overlay_climb(join, index, way->time_ns);
	if (!tag_is_none(tag) && tag_is_of(tag, join->trace->id) &&
	    join_find(join, tag->span_id) < 0)
		way->first_ns = first_shown(join, lane, tag, first_ns);
	return way->index >= 0 || way->first_ns < first_ns;
}

/* `out_shown_ns`: when that was; 0: nothing was found. */
static int32_t shown_before(const struct join *join, const struct lane *lane, uint64_t first_ns,
			    uint64_t time_ns, uint64_t *out_shown_ns)
{
	struct way_back way = { .first_ns = first_ns, .time_ns = time_ns, .index = -1 };
	uint32_t at = lane_first_after(lane, first_ns), left = MOST_BACK;

	while (way.index < 0 && at-- > 0 && left--) {
		const struct slice *slice = &lane->slices[at];
		bool is_before = slice->out_ns < way.first_ns || slice->flags & EVENT_TOLD;

		if ((is_before && look_back(join, lane, slice->tag_out, slice->out_ns, &way)) ||
		    look_back(join, lane, slice->tag_in, slice->in_ns, &way))
			at = lane_first_after(lane, way.first_ns);
	}
	*out_shown_ns = way.index < 0 ? 0 : way.shown_ns;
	return way.index;
}

/* The thread shows something above it, or nothing, after it showed the span, which was open still.
 */
static bool is_put_aside(const struct join *join, const struct lane *lane, int32_t index)
{
	const struct node *node = &join->nodes[index];
	const struct sighting *seen = join_sighting(join, index, lane->thread);
	uint64_t end_ns = node->b_ns - MIN(node->bound_ns + LEDGER_EXACT_NS, node->b_ns);
	uint32_t left = MOST_BACK;

	for (uint32_t i = seen ? lane_first_after(lane, seen->last_ns) : lane->count;
	     i < lane->count && left-- && lane->slices[i].out_ns < end_ns; i++) {
		const struct event_tag *tag = lane->slices[i].tag_out;
		int32_t at = known(join, lane, tag);

		if (tag_is_none(tag) || (at >= 0 && !node_is_below(join, at, index)))
			return true;
	}
	return false;
}

/* Others carry it as well, or another one must have ended it. */
static bool is_handed(const struct join *join, const struct lane *lane, int32_t index)
{
	const struct node *node = &join->nodes[index];

	if (!lane_ran_at_edge(lane, node, MAX(node->b_ns, 1) - 1))
		return true;
	for (int32_t i = join->nodes[index].sightings; i >= 0; i = join->sightings[i].next) {
		if (join->sightings[i].thread != lane->thread &&
		    join->sightings[i].thread->process == lane->process)
			return true;
	}
	return false;
}

/* Open when the thread came to it, though it was shown only later, or never. */
static bool is_near(const struct join *join, const struct lane *lane, int32_t index,
		    uint64_t first_ns, bool is_told)
{
	const struct sighting *seen = join_sighting(join, index, lane->thread);

	if (!seen)
		return join->nodes[index].sightings < 0 && join->nodes[index].placed == lane;
	return !is_told && seen->first_ns > first_ns && join->nodes[index].a_ns < first_ns &&
	       !is_handed(join, lane, index);
}

/* Nothing that it showed before is known any more: the innermost one that it was seen with by then,
 * or the trace's own root. */
static int32_t likeliest(const struct join *join, const struct lane *lane, const int32_t *found,
			 uint32_t count, uint64_t time_ns)
{
	int32_t best = -1;

	for (uint32_t i = 0; i < count; i++) {
		const struct sighting *seen = join_sighting(join, found[i], lane->thread);

		if (seen && seen->first_ns <= time_ns &&
		    (best < 0 || join->nodes[found[i]].depth > join->nodes[best].depth))
			best = found[i];
	}
	for (uint32_t i = 0; best < 0 && i < count; i++)
		best = join->nodes[found[i]].parent < 0 ? found[i] : -1;
	return best;
}

static bool is_told_at(const struct lane *lane, uint64_t time_ns)
{
	uint32_t at = lane_first_after(lane, time_ns);

	return at < lane->count && lane->slices[at].flags & EVENT_TOLD;
}

int32_t enclose_at(const struct join *join, const struct lane *lane, uint64_t first_ns,
		   uint64_t time_ns)
{
	uint64_t shown_ns;

	return shown_before(join, lane, first_ns, time_ns, &shown_ns);
}

bool enclose_in_doubt(const struct join *join, const struct lane *lane, int32_t index,
		      uint64_t first_ns)
{
	return join->nodes[index].parent >= 0 && !is_told_at(lane, first_ns) &&
	       (is_handed(join, lane, index) || is_put_aside(join, lane, index) ||
		lend_may_be_handed_on(join, &join->nodes[index]));
}

int32_t enclose_unknown(const struct join *join, const struct lane *lane,
			const struct event_tag *tag, uint64_t time_ns)
{
	uint64_t first_ns = first_shown(join, lane, tag, time_ns);
	uint64_t shown_ns;
	int32_t found[MOST_AROUND], best = shown_before(join, lane, first_ns, time_ns, &shown_ns);
	uint32_t count =
		join_overlapping(join, lane->process, time_ns, time_ns + 1, found, MOST_AROUND);
	bool is_told = is_told_at(lane, first_ns);

	if (best < 0)
		best = likeliest(join, lane, found, count, time_ns);
	for (uint32_t i = 0; i < count; i++) {
		if (is_near(join, lane, found[i], first_ns, is_told) &&
		    (best < 0 || join->nodes[found[i]].depth > join->nodes[best].depth))
			best = found[i];
	}
	return best;
}

/* It counts for one of which nobody knows whether the thread ever had it. */
static bool is_guess(const struct node *node, const struct lane *lane)
{
	return node->sightings < 0 && node->placed == lane && node->inferred;
}

/* Between the last look before it and that at the unknown tag, the thread may have put aside what
 * it showed then, and may have begun what it did not: where others carry such a one, too, it may
 * have been handed to them by then, and the unknown one lie below its parent. */
void enclose_doubt(struct join *join, const struct lane *lane, const struct event_tag *tag,
		   uint64_t from_ns, uint64_t to_ns)
{
	int32_t found[MOST_AROUND], shown;
	uint64_t first_ns, shown_ns;
	uint32_t count;

	if (tag_is_none(tag) || !tag_is_of(tag, join->trace->id) ||
	    join_find(join, tag->span_id) >= 0)
		return;
	first_ns = first_shown(join, lane, tag, from_ns);
	if (is_told_at(lane, first_ns))
		return;
	shown = shown_before(join, lane, first_ns, first_ns, &shown_ns);
	count = join_overlapping(join, lane->process, from_ns, to_ns, found, MOST_AROUND);
	for (uint32_t i = 0; i < count; i++) {
		const struct node *node = &join->nodes[found[i]];
		bool is_begun = node->a_ns > shown_ns && node->a_ns < first_ns;
		uint64_t start = MAX(node->a_ns, from_ns), end = MIN(node->b_ns, to_ns);
		int32_t above = found[i] == shown || shown < 0 ? node->parent : shown;

		if (above >= 0 &&
		    (is_guess(node, lane) || ((found[i] == shown || is_begun) &&
					      enclose_in_doubt(join, lane, found[i], first_ns))))
			overlay_doubt(join, found[i], above, end - start);
	}
}
