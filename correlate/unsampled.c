/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of the trace whose spans never came: descendants of others that were not exported. What they
 * ran counts for the innermost exported span above them. */
#include "correlate/overlay.h"

#define MOST_UNSAMPLED 16 /* one within another */

/* What the thread showed right before it showed this tag for the first time; NULL: not known. Where
 * changes are told, a slice begins there; else the tag came up within one. */
static const struct event_tag *shown_before(const struct join *join, const struct lane *lane,
					    const struct event_tag *tag)
{
	const struct observation *o =
		trace_observation(join->model, join->trace, lane->thread, tag->span_id);
	uint32_t at;

	if (!o || o->inherited)
		return NULL;
	at = lane_first_after(lane, o->first_ns);
	if (at == 0)
		return NULL;
	const struct slice *before = &lane->slices[at - 1];

	if (tag_eq(before->tag_out, tag) && !tag_eq(before->tag_in, tag))
		return before->tag_in;
	if (at < lane->count && before->flags & SLICE_CHANGE &&
	    tag_eq(lane->slices[at].tag_in, tag))
		return before->tag_in;
	return NULL;
}

/* A span begins below that which its thread shows. */
static int32_t below(const struct join *join, const struct lane *lane, const struct event_tag *tag)
{
	for (int i = 0; i < MOST_UNSAMPLED; i++) {
		const struct event_tag *before = shown_before(join, lane, tag);
		int32_t index;

		if (!before || tag_is_none(before) || !tag_is_of(before, join->trace->id))
			return -1;
		index = join_find(join, before->span_id);
		if (index >= 0)
			return join->nodes[index].process == lane->process ? index : -1;
		tag = before;
	}
	return -1;
}

/* The innermost that the thread carried around then; where nothing was seen, the trace's own root.
 */
static int32_t around(const struct join *join, const struct lane *lane, uint64_t time_ns)
{
	int32_t index, best = -1, root = -1;
	uint32_t place = 0;

	while ((index = join_next_overlapping(join, lane->process, &place, time_ns, time_ns + 1)) >=
	       0) {
		const struct node *node = &join->nodes[index];
		const struct sighting *seen = join_sighting(join, index, lane->thread);
		bool is_near = seen ? seen->first_ns <= time_ns : node->placed == lane;

		if (is_near && (best < 0 || node->depth > join->nodes[best].depth))
			best = index;
		if (root < 0 && node->parent < 0)
			root = index;
	}
	return best >= 0 ? best : root;
}

int32_t unsampled_owner(const struct join *join, const struct lane *lane,
			const struct event_tag *tag, uint64_t time_ns)
{
	int32_t owner = overlay_climb(join, below(join, lane, tag), time_ns);

	return owner >= 0 ? owner : around(join, lane, time_ns);
}
