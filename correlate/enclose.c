/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread was in when it came to a span that was never exported: what that one takes counts
 * for the innermost exported span around it, on its thread (DESIGN 4, rule 8). */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_BACK   64 /* slices before it, that are looked at */
#define MOST_BESIDE 64 /* threads that may have ended a span */
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

/* The span names what the tag is of as its parent, or stands below one that does: so it does not
 * lie around it. */
static bool is_below_tag(const struct join *join, int32_t index, const struct event_tag *tag)
{
	for (; tag && index >= 0; index = join->nodes[index].parent) {
		if (memcmp(join->nodes[index].span->parent_id, tag->span_id, SPAN_ID_BYTES) == 0)
			return true;
	}
	return false;
}

/* On the way back through what a thread showed, to the exported span that it was in. */
struct way_back {
	uint64_t first_ns;             /* before that */
	uint64_t time_ns;              /* it was open then */
	uint64_t shown_ns;             /* when it was shown; 0: it was not */
	int32_t index;                 /* -1: not found yet */
	const struct event_tag *below; /* nothing that stands below that; NULL: whatever it is */
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
	if (is_below_tag(join, way->index, way->below))
		way->index = -1;
	if (!tag_is_none(tag) && tag_is_of(tag, join->trace->id) &&
	    join_find(join, tag->span_id) < 0)
		way->first_ns = first_shown(join, lane, tag, first_ns);
	return way->index >= 0 || way->first_ns < first_ns;
}

/* What a thread showed before: an exported span, and when. */
struct before {
	int32_t node; /* -1: nothing was found ... */
	bool is_cut;  /* ... as far as was looked */
	uint64_t shown_ns;
};

static struct before shown_before(const struct join *join, const struct lane *lane,
				  const struct event_tag *below, uint64_t first_ns,
				  uint64_t time_ns)
{
	struct way_back way = {
		.first_ns = first_ns, .time_ns = time_ns, .index = -1, .below = below
	};
	uint32_t at = lane_first_after(lane, first_ns), left = MOST_BACK;

	while (way.index < 0 && at > 0 && left-- > 0) {
		const struct slice *slice = &lane->slices[--at];
		bool is_before = slice->out_ns < way.first_ns || slice->flags & EVENT_TOLD;

		if ((is_before && look_back(join, lane, slice->tag_out, slice->out_ns, &way)) ||
		    look_back(join, lane, slice->tag_in, slice->in_ns, &way))
			at = lane_first_after(lane, way.first_ns);
	}
	return (struct before){ .node = way.index,
				.is_cut = way.index < 0 && at > 0,
				.shown_ns = way.index < 0 ? 0 : way.shown_ns };
}

/* The thread shows something above it, or nothing, after it showed the span, which was open still.
 */
static bool look_aside(const struct join *join, const struct lane *lane, int32_t index)
{
	const struct node *node = &join->nodes[index];
	const struct sighting *seen = join_sighting(join, index, lane->thread);
	uint64_t end_ns = node->b_ns - MIN(node->bound_ns + LEDGER_EXACT_NS, node->b_ns);

	for (uint32_t i = seen ? lane_first_after(lane, seen->last_ns) : lane->count;
	     i < lane->count && lane->slices[i].out_ns < end_ns; i++) {
		const struct event_tag *tag = lane->slices[i].tag_out;
		int32_t at = known(join, lane, tag);

		if (tag_is_none(tag) || (at >= 0 && !node_is_below(join, at, index)))
			return true;
	}
	return false;
}

/* It is asked of each slice of what was not exported: of one lane after the other. */
static bool is_put_aside(const struct join *join, const struct lane *lane, int32_t index)
{
	struct node *node = &join->nodes[index];

	if (node->aside_on != lane) {
		node->aside_on = lane;
		node->is_aside = look_aside(join, lane, index);
	}
	return node->is_aside;
}

/* Another thread of the process was on a CPU then. */
static bool ran_beside(const struct lane *lane, uint64_t from_ns, uint64_t to_ns)
{
	uint32_t left = MOST_BESIDE;

	for (struct thread *t = lane->process->threads; t; t = t->next) {
		struct timeline_cursor cursor;
		const struct slice *slice;

		if (t == lane->thread || (t->last_out_ns < from_ns && !t->running))
			continue;
		timeline_seek(&t->timeline, from_ns, &cursor);
		slice = timeline_next(&cursor);
		while (slice && slice->out_ns < from_ns)
			slice = timeline_next(&cursor);
		if (!left-- || !slice || slice->in_ns <= to_ns || t->folded_until_ns > from_ns)
			return true;
	}
	return false;
}

/* It was on no CPU then, or came there, or left it, about then, as far as the span's clock tells,
 * and another one was there, too. */
static bool may_be_ended_by_another(const struct lane *lane, const struct node *node)
{
	uint64_t edge_ns = MAX(node->b_ns, 1) - 1, error = node->bound_ns + node->skew_ns + 1;
	uint64_t from_ns = edge_ns - MIN(error, edge_ns), to_ns = edge_ns + node->cut_ns + error;
	const struct slice *slice = lane_ran_at_edge(lane, node, edge_ns);

	if (!slice)
		return true;
	return (slice->in_ns > from_ns || slice->out_ns < to_ns) &&
	       ran_beside(lane, from_ns, to_ns);
}

/* Others carry it as well, or another one may have ended it. */
static bool is_handed(const struct join *join, const struct lane *lane, int32_t index)
{
	const struct node *node = &join->nodes[index];

	if (may_be_ended_by_another(lane, node))
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

/* The innermost of those that had begun by then, if each lies within the one before; else the
 * trace's own root. */
static int32_t innermost(const struct join *join, const int32_t *found, uint32_t count,
			 uint64_t first_ns)
{
	int32_t best = -1, root = -1;

	for (uint32_t i = 0; i < count; i++) {
		if (join->nodes[found[i]].a_ns <= first_ns &&
		    (best < 0 || join->nodes[found[i]].depth > join->nodes[best].depth))
			best = found[i];
		if (root < 0 && join->nodes[found[i]].parent < 0)
			root = found[i];
	}
	for (uint32_t i = 0; best >= 0 && i < count; i++) {
		if (join->nodes[found[i]].a_ns <= first_ns && !node_is_below(join, best, found[i]))
			return root;
	}
	return best < 0 ? root : best;
}

/* Nothing that it showed before is known any more: the innermost one that it was seen with by then.
 * Another thread began it if there is none. */
static int32_t likeliest(const struct join *join, const struct lane *lane, const int32_t *found,
			 uint32_t count, uint64_t first_ns, uint64_t time_ns)
{
	int32_t best = -1;

	for (uint32_t i = 0; i < count; i++) {
		const struct sighting *seen = join_sighting(join, found[i], lane->thread);

		if (seen && seen->first_ns <= time_ns &&
		    (best < 0 || join->nodes[found[i]].depth > join->nodes[best].depth))
			best = found[i];
	}
	return best < 0 ? innermost(join, found, count, first_ns) : best;
}

static bool is_told_at(const struct lane *lane, uint64_t time_ns)
{
	uint32_t at = lane_first_after(lane, time_ns);

	return at < lane->count && lane->slices[at].flags & EVENT_TOLD;
}

/* ... or a deeper one, that was open then. */
static int32_t deepest_near(const struct join *join, const struct lane *lane, uint64_t first_ns,
			    const int32_t *found, uint32_t count, int32_t best)
{
	bool is_told = is_told_at(lane, first_ns);

	for (uint32_t i = 0; i < count; i++) {
		if (is_near(join, lane, found[i], first_ns, is_told) &&
		    (best < 0 || join->nodes[found[i]].depth > join->nodes[best].depth))
			best = found[i];
	}
	return best;
}

int32_t enclose_at(const struct join *join, const struct lane *lane, uint64_t first_ns,
		   uint64_t time_ns, int32_t except)
{
	int32_t found[MOST_AROUND], best = shown_before(join, lane, NULL, first_ns, time_ns).node;
	uint32_t count = 0, all;

	if (best < 0)
		return -1;
	all = join_overlapping(join, lane->process, time_ns, time_ns + 1, found, MOST_AROUND);
	for (uint32_t i = 0; i < all; i++) {
		if (node_is_below(join, found[i], best) && !node_is_below(join, found[i], except))
			found[count++] = found[i];
	}
	return deepest_near(join, lane, first_ns, found, count, best);
}

static bool in_doubt(const struct join *join, const struct lane *lane, int32_t index)
{
	return join->nodes[index].parent >= 0 &&
	       (is_handed(join, lane, index) || is_put_aside(join, lane, index) ||
		lend_may_be_handed_on(join, &join->nodes[index]));
}

/* Keeps those. */
static uint32_t not_below(const struct join *join, const struct event_tag *tag, int32_t *found,
			  uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (!is_below_tag(join, found[i], tag))
			found[kept++] = found[i];
	}
	return kept;
}

/* As its begin was marked. -1: it was not. */
static int32_t begun(const struct join *join, const struct lane *lane, const struct event_tag *tag,
		     uint64_t time_ns)
{
	if (!join->hidden_count)
		return -1;
	return begun_within(join, lane->process, tag->span_id,
			    first_shown(join, lane, tag, time_ns));
}

bool enclose_is_begun(const struct join *join, const struct lane *lane, const struct event_tag *tag,
		      uint64_t time_ns)
{
	return !tag_is_none(tag) && tag_is_of(tag, join->trace->id) &&
	       join_find(join, tag->span_id) < 0 && begun(join, lane, tag, time_ns) >= 0;
}

int32_t enclose_unknown(const struct join *join, const struct lane *lane,
			const struct event_tag *tag, uint64_t time_ns)
{
	uint64_t first_ns = first_shown(join, lane, tag, time_ns);
	int32_t found[MOST_AROUND], best = shown_before(join, lane, tag, first_ns, time_ns).node;
	int32_t begun_in = begun(join, lane, tag, time_ns);
	uint32_t count;

	if (begun_in >= 0)
		return overlay_climb(join, begun_in, time_ns);
	count = not_below(
		join, tag, found,
		join_overlapping(join, lane->process, time_ns, time_ns + 1, found, MOST_AROUND));
	if (best < 0)
		best = likeliest(join, lane, found, count, first_ns, time_ns);
	return deepest_near(join, lane, first_ns, found, count, best);
}

/* It counts for one of which nobody knows whether the thread ever had it. */
static bool is_guess(const struct node *node, const struct lane *lane)
{
	return node->sightings < 0 && node->placed == lane && node->inferred;
}

/* The thread showed nothing for too long: of those that it was seen with, and all above them,
 * nobody knows whose it is, if there are several. */
static void doubt_seen(struct join *join, const struct lane *lane, const int32_t *found,
		       uint32_t count, uint64_t ns)
{
	int32_t seen[MOST_AROUND];
	uint32_t seen_count = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (join_sighting(join, found[i], lane->thread))
			seen[seen_count++] = found[i];
	}
	join->limits[LIMIT_enclosing]++;
	for (uint32_t i = 0; seen_count > 1 && i < count; i++) {
		for (uint32_t k = 0; k < seen_count; k++) {
			if (node_is_below(join, seen[k], found[i])) {
				node_doubt(&join->nodes[found[i]], ns);
				break;
			}
		}
	}
}

static uint64_t common_ns(const struct node *node, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t start = MAX(node->a_ns, from_ns), end = MIN(node->b_ns, to_ns);

	return end - MIN(start, end);
}

/* What ran was given to nobody, and the span is in doubt by it already, as one that the thread has
 * put aside. */
static bool is_in_doubt(const struct cut *cut, uint32_t at, int32_t index)
{
	return at < cut->count && cut->nodes[at] == index && cut->confidence[at] == SUSPENDED;
}

static bool is_nobodys(const struct cut *cut)
{
	for (uint32_t i = 0; i < cut->count; i++) {
		if (cut->confidence[i] > SUSPENDED)
			return false;
	}
	return true;
}

/* When it was seen with the tag, to which it came in that slice. */
static bool all_are_over(const struct cut *cut, const struct event_tag *tag)
{
	return cut && cut->owner_out < 0 && tag_eq(cut->slice->tag_out, tag) &&
	       !tag_eq(cut->slice->tag_in, tag);
}

/* The thread has shown nothing of the trace, so another one began the span, in any of those that
 * were open: or had been, if it came to it earlier than it was seen with it. */
static void doubt_strange(struct join *join, const struct lane *lane, const struct event_tag *tag,
			  const int32_t *found, uint32_t count, uint64_t first_ns,
			  const struct stretch *within, const struct cut *cut)
{
	bool is_told = is_told_at(lane, first_ns), is_weighed = cut && is_nobodys(cut);
	uint32_t open = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct sighting *seen = join_sighting(join, found[i], lane->thread);

		if (is_near(join, lane, found[i], first_ns, is_told) ||
		    (seen && seen->first_ns <= first_ns))
			return;
		open += join->nodes[found[i]].a_ns <= first_ns;
	}
	for (uint32_t i = 0; (open > 1 || all_are_over(cut, tag)) && i < count; i++) {
		struct node *node = &join->nodes[found[i]];

		if (node->a_ns <= first_ns && !(is_weighed && is_in_doubt(cut, i, found[i])))
			node_doubt(node, common_ns(node, within->from_ns, within->to_ns));
	}
}

/* Between the last look before it and that at `first_ns`, when it came to something that nobody
 * exported, or stands below that, the thread may have put aside what it showed then, and may have
 * begun what it did not: where others carry such a one, too, it may have been handed to them by
 * then, and that something lie below its parent. */
static void doubt_shown(struct join *join, const struct lane *lane, const struct before *before,
			uint64_t first_ns, const struct stretch *within, int32_t except)
{
	int32_t found[MOST_AROUND], shown = before->node;
	uint32_t count = join_overlapping(join, lane->process, within->from_ns, within->to_ns,
					  found, MOST_AROUND);

	for (uint32_t i = 0; i < count; i++) {
		const struct node *node = &join->nodes[found[i]];
		bool is_begun = node->a_ns > before->shown_ns && node->a_ns < first_ns;
		int32_t above = found[i] == shown || shown < 0 ? node->parent : shown;

		if (above < 0 || (except >= 0 && node_is_below(join, found[i], except)))
			continue;
		if (is_guess(node, lane) ||
		    ((found[i] == shown || is_begun) && in_doubt(join, lane, found[i])))
			overlay_doubt(join, found[i], above,
				      common_ns(node, within->from_ns, within->to_ns));
	}
}

/* What it showed before it may have put aside at any time since then: while off its CPU, it did
 * not. */
static uint64_t not_looked_at_since(const struct lane *lane, const struct before *before,
				    uint64_t first_ns)
{
	const struct slice *slice = lane_on_cpu(lane, MAX(first_ns, 1) - 1);

	return before->node >= 0 && slice ? MAX(before->shown_ns, slice->in_ns) : first_ns;
}

void enclose_doubt_around(struct join *join, const struct lane *lane, uint64_t first_ns,
			  uint64_t from_ns, uint64_t to_ns, int32_t except)
{
	struct before before = shown_before(join, lane, NULL, first_ns, first_ns);
	struct stretch within = { MIN(from_ns, not_looked_at_since(lane, &before, first_ns)),
				  to_ns };

	if (!is_told_at(lane, first_ns))
		doubt_shown(join, lane, &before, first_ns, &within, except);
}

void enclose_doubt(struct join *join, const struct lane *lane, const struct event_tag *tag,
		   uint64_t from_ns, uint64_t to_ns, const struct cut *cut)
{
	const struct stretch within = { from_ns, to_ns };
	int32_t found[MOST_AROUND];
	struct before before;
	uint64_t first_ns;
	uint32_t count;

	if (tag_is_none(tag) || !tag_is_of(tag, join->trace->id) ||
	    join_find(join, tag->span_id) >= 0 || begun(join, lane, tag, from_ns) >= 0)
		return;
	first_ns = first_shown(join, lane, tag, from_ns);
	before = shown_before(join, lane, tag, first_ns, first_ns);
	if (before.node >= 0 && is_told_at(lane, first_ns))
		return;
	count = join_overlapping(join, lane->process, from_ns, to_ns, found, MOST_AROUND);
	if (before.node < 0)
		doubt_strange(join, lane, tag, found, count, first_ns, &within, cut);
	if (before.is_cut)
		doubt_seen(join, lane, found, count, to_ns - from_ns);
	if (!is_told_at(lane, first_ns))
		doubt_shown(join, lane, &before, first_ns, &within, -1);
}
