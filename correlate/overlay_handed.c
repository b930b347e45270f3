/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that one thread begins, or ends, while it carries an ancestor of theirs, and that are seen
 * with others: it may have carried them, too, without a look in between. From the span's start
 * until its thread is looked at, or another one is seen with it; and from where another one was
 * seen with it last until its end. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_LOOKS  8   /* on the way from a span's edge, that do not tell */
#define MOST_BESIDE 512 /* threads that may have begun a span, or ended it, unseen */

/* It has another span then, that is neither above nor below this one, or of another trace. */
static bool is_busy(const struct join *join, const struct lane *lane, int32_t index,
		    uint64_t time_ns)
{
	int32_t found[OVERLAY_MAX_SPANS];
	uint32_t count = join_overlapping(join, lane->process, time_ns, time_ns + 1, found,
					  OVERLAY_MAX_SPANS);

	for (uint32_t i = 0; i < count; i++) {
		if (!node_is_below(join, found[i], index) &&
		    !node_is_below(join, index, found[i]) &&
		    join_sighting(join, found[i], lane->thread))
			return true;
	}
	return company_overlap_ns(lane, time_ns, time_ns + 1);
}

bool handed_by_another(const struct cut *cut, int32_t index, bool is_end)
{
	const struct node *node = &cut->join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;

	return is_busy(cut->join, cut->lane, index, edge_ns) &&
	       !told_is_alone(cut->join, cut->lane, node, edge_ns);
}

bool handed_away(const struct lane *lane, const struct node *node, uint64_t time_ns,
		 uint64_t margin_ns)
{
	uint64_t error = node->bound_ns + node->skew_ns + margin_ns;
	uint64_t from = time_ns - MIN(error, time_ns), to = time_ns + node->cut_ns + error + 1;

	return !lane_on_cpu_about(lane, from, to - from) && !lane_lost_ns(lane, from, to);
}

/* On a CPU then, for all that is known. */
static bool may_run_at(const struct join *join, const struct thread *thread,
		       const struct node *node, uint64_t time_ns)
{
	const struct lane *lane = join_find_lane(join, thread);

	return !lane || !handed_away(lane, node, time_ns, 0);
}

bool handed_beside(const struct cut *cut, int32_t index, uint64_t edge_ns)
{
	const struct join *join = cut->join;
	const struct node *node = &join->nodes[index];

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (seen->thread != cut->lane->thread && seen->last_ns >= cut->slice->in_ns &&
		    seen->first_ns <= cut->slice->out_ns &&
		    (edge_ns == UINT64_MAX || may_run_at(join, seen->thread, node, edge_ns)))
			return true;
	}
	return false;
}

bool handed_apart(const struct cut *cut, int32_t index, bool is_end)
{
	const struct node *node = &cut->join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;
	int32_t owner = is_end ? cut->owner_out : cut->owner_in;
	bool is_owned = owner >= 0 && node_is_below(cut->join, index, owner);

	return node->parent >= 0 && lend_may_be_apart(node) &&
	       told_is_by_another(cut->join, cut->lane, index, edge_ns, is_owned);
}

/* The thread was on a CPU at that edge of the span, and at nothing else that is known. */
static bool is_edge_of(const struct join *join, const struct thread *thread, int32_t index,
		       uint64_t edge_ns)
{
	const struct lane *lane = join_find_lane(join, thread);

	return lane && lane_on_cpu_about(lane, edge_ns, join->nodes[index].cut_ns) &&
	       !is_busy(join, lane, index, edge_ns);
}

/* The first that was seen with the span, or the last; NULL: none. */
static const struct sighting *seen_at(const struct join *join, const struct process *process,
				      int32_t index, bool is_end)
{
	const struct sighting *best = NULL;

	for (int32_t s = join->nodes[index].sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (seen->thread->process == process &&
		    (!best ||
		     (is_end ? seen->last_ns > best->last_ns : seen->first_ns < best->first_ns)))
			best = seen;
	}
	return best;
}

/* The thread went on from one to the other without having left its CPU of itself. */
static bool goes_on(const struct slice *slice)
{
	return slice->flags & (EVENT_TICK | EVENT_PREEMPTED) && !slice[1].gap;
}

static bool lies_in(const struct slice *slice, const struct node *node, uint64_t edge_ns)
{
	return edge_ns <= slice->out_ns + node->bound_ns &&
	       edge_ns + node->cut_ns + node->bound_ns >= slice->in_ns;
}

/* A look at it between a span's start and its attach, or its detach and its end, does not tell: so
 * the edge lies in the slice, or where the thread came from, or went on, without a pause. */
static bool lies_about(const struct lane *lane, const struct slice *slice, const struct node *node,
		       uint64_t edge_ns, bool is_end)
{
	const struct slice *last = &lane->slices[lane->count - 1];
	uint32_t left = MOST_LOOKS;

	while (!lies_in(slice, node, edge_ns)) {
		if (!left--)
			return false;
		if (is_end && slice < last && slice->out_ns < edge_ns && goes_on(slice))
			slice++;
		else if (!is_end && slice > lane->slices && slice->in_ns > edge_ns &&
			 goes_on(slice - 1))
			slice--;
		else
			return false;
	}
	return true;
}

bool handed_from_here(const struct cut *cut, int32_t index, bool is_end,
		      struct stretch *out_stretch)
{
	const struct join *join = cut->join;
	const struct node *node = &join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;
	const struct sighting *seen;

	if (cut->slice->flags & EVENT_TOLD ||
	    !lies_about(cut->lane, cut->slice, node, edge_ns, is_end))
		return false;
	seen = seen_at(join, cut->lane->process, index, is_end);
	if (!seen || seen->thread == cut->lane->thread ||
	    is_edge_of(join, seen->thread, index, edge_ns))
		return false;
	*out_stretch = is_end ? (struct stretch){ seen->last_ns, node->b_ns }
			      : (struct stretch){ node->a_ns, seen->first_ns };
	return true;
}

static uint64_t overlap_ns(const struct stretch *stretch, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t from = MAX(from_ns, stretch->from_ns), to = MIN(to_ns, stretch->to_ns);

	return to - MIN(from, to);
}

static bool is_tag_of(const struct cut *cut, const struct event_tag *tag, const uint8_t *span_id)
{
	return !tag_is_none(tag) && tag_is_of(tag, cut->join->trace->id) &&
	       memcmp(tag->span_id, span_id, SPAN_ID_BYTES) == 0;
}

/* The slice shows its parent, which nobody exported; nor is it known for what that one counts. */
static bool is_within_hidden(const struct cut *cut, int32_t index)
{
	const struct node *node = &cut->join->nodes[index];
	const uint8_t *parent_id = node->span->parent_id;

	return node->any_parent < 0 && node->adopted_by < 0 &&
	       (is_tag_of(cut, cut->slice->tag_in, parent_id) ||
		is_tag_of(cut, cut->slice->tag_out, parent_id));
}

static void doubt_handed(struct cut *cut, int32_t index, int32_t owner, uint64_t start,
			 uint64_t end, uint64_t ns)
{
	struct join *join = cut->join;
	struct stretch begin = { 0 }, finish = { 0 };
	uint64_t may;

	handed_from_here(cut, index, false, &begin);
	handed_from_here(cut, index, true, &finish);
	may = MAX(overlap_ns(&begin, start, end), overlap_ns(&finish, start, end));
	if (!may)
		return;
	may = may == end - start ? ns : may;
	overlay_doubt(join, index, owner, may);
	if (owner >= 0 && !node_is_below(join, index, owner))
		overlay_doubt(join, owner, -1, may);
}

void handed_doubt(struct cut *cut, int32_t owner, uint64_t start, uint64_t end, uint64_t ns)
{
	for (uint32_t i = 0; i < cut->count; i++) {
		int32_t index = cut->nodes[i];
		bool is_below = owner >= 0 && node_is_below(cut->join, index, owner);

		if (cut->confidence[i] == AWAY && (is_below || is_within_hidden(cut, index)))
			doubt_handed(cut, index, owner, start, end, ns);
	}
}

/* Its tag is that of an ancestor of the span: handed_from_here() asks about that. */
static bool is_within_parent(const struct join *join, const struct lane *lane,
			     const struct slice *slice, int32_t index)
{
	int32_t in = overlay_meaning(join, lane, slice->tag_in, slice->in_ns);
	int32_t out = overlay_meaning(join, lane, slice->tag_out, slice->out_ns);

	return (in >= 0 && node_is_below(join, index, in)) ||
	       (out >= 0 && node_is_below(join, index, out));
}

/* How long that thread, which never showed the span, may have had it at its start, or its end;
 * UINT64_MAX: it is its parent's thread. */
static uint64_t unseen_ns(const struct join *join, const struct lane *lane, int32_t index,
			  const struct sighting *seen, bool is_end)
{
	const struct node *node = &join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns;
	const struct slice *slice = lane_on_cpu_about(lane, edge_ns, node->cut_ns);
	uint64_t from, to;

	if (!slice || slice->flags & EVENT_TOLD)
		return 0;
	if (is_within_parent(join, lane, slice, index))
		return UINT64_MAX;
	if (slice_keeps_tag(slice))
		return 0;
	from = is_end ? MAX(slice->in_ns, seen->last_ns) : MAX(slice->in_ns, node->a_ns);
	to = is_end ? MIN(slice->out_ns, node->b_ns) : MIN(slice->out_ns, seen->first_ns);
	return to - MIN(from, to);
}

/* One tag all along, or its thread told all that it did. */
static bool slice_is_pinned(const struct slice *slice)
{
	return slice->flags & EVENT_TOLD ||
	       (!tag_is_none(slice->tag_in) && tag_eq(slice->tag_in, slice->tag_out));
}

/* How long the thread ran within that time, where no tag pins what it did. */
static uint64_t unpinned_ns(const struct lane *lane, const struct stretch *stretch)
{
	uint64_t ns = 0;

	for (uint32_t i = lane_first_after(lane, stretch->from_ns);
	     i < lane->count && lane->slices[i].in_ns < stretch->to_ns; i++) {
		const struct slice *slice = &lane->slices[i];

		if (!slice_is_pinned(slice))
			ns += overlap_ns(stretch, slice->in_ns, slice->out_ns);
	}
	return ns;
}

/* Somebody else ran within that time, unpinned. */
static bool runs_beside(struct join *join, const struct process *process,
			const struct thread *thread, const struct stretch *stretch)
{
	uint32_t looked_at = 0;

	for (struct thread *t = process->threads; t; t = t->next) {
		const struct lane *lane = NULL;

		if (looked_at == MOST_BESIDE) { /* any of the others, for all that is known */
			join->limits[LIMIT_beside]++;
			return true;
		}
		if (t != thread && t->seen && !(t->dead && t->last_out_ns < stretch->from_ns))
			lane = join_lane(join, t);
		looked_at += lane ? 1 : 0;
		if (lane && unpinned_ns(lane, stretch))
			return true;
	}
	return false;
}

/* The thread that was seen with it last ran at its end, where it shows it no more. Where spans are
 * handed on, another one that ran meanwhile may have been given it at any time since, and have
 * ended it. */
static void doubt_taken(struct join *join, int32_t index, const struct sighting *seen)
{
	const struct node *node = &join->nodes[index];
	const struct lane *own = join_find_lane(join, seen->thread);
	const struct slice *slice = lane_on_cpu(own, node->b_ns - 1);
	struct stretch stretch = { slice ? MAX(slice->in_ns, seen->last_ns) : node->b_ns,
				   node->b_ns };

	if (!slice || slice->flags & EVENT_TOLD || stretch.from_ns >= stretch.to_ns)
		return;
	if (runs_beside(join, node->process, seen->thread, &stretch))
		overlay_doubt(join, index, -1, stretch.to_ns - stretch.from_ns);
}

/* The thread ran at its start, and shows it at its first look. Where threads carry others' spans,
 * one that ran meanwhile may have been given it, and have given it back: then the first one went on
 * with the parent in between. */
static void doubt_given_back(struct join *join, int32_t index, const struct sighting *seen)
{
	const struct node *node = &join->nodes[index];
	const struct lane *own = join_find_lane(join, seen->thread);
	const struct slice *slice = lane_on_cpu_about(own, node->a_ns, node->cut_ns);
	struct stretch stretch = { node->a_ns,
				   MIN(MIN(slice->out_ns, seen->first_ns), node->b_ns) };

	if (slice->flags & EVENT_TOLD || stretch.from_ns >= stretch.to_ns)
		return;
	if (runs_beside(join, node->process, seen->thread, &stretch))
		overlay_doubt(join, index, node->parent, stretch.to_ns - stretch.from_ns);
}

/* Nobody was seen with it, and one thread ran at its start. Where spans are handed on, another one
 * that ran meanwhile may have been given it, and the first one went on with the parent. */
static void doubt_given(struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];
	struct stretch stretch = { node->a_ns, node->b_ns };

	if (!lend_may_be_handed_on(join, node))
		return;
	for (struct thread *t = node->process->threads; t; t = t->next) {
		const struct lane *lane = t->seen ? join_find_lane(join, t) : NULL;
		const struct slice *slice =
			lane ? lane_on_cpu_about(lane, node->a_ns, node->cut_ns) : NULL;

		if (!slice || slice_is_pinned(slice) || !is_within_parent(join, lane, slice, index))
			continue;
		if (runs_beside(join, node->process, t, &stretch))
			overlay_doubt(join, index, node->parent, node->b_ns - node->a_ns);
		return;
	}
}

/* From the span's start until it was seen, or from there to its end. */
static uint64_t seen_apart_ns(const struct node *node, const struct sighting *seen, bool is_end)
{
	uint64_t from = is_end ? seen->last_ns : node->a_ns;
	uint64_t to = is_end ? node->b_ns : seen->first_ns;

	return to - MIN(from, to);
}

static void doubt_unseen(struct join *join, int32_t index, bool is_end)
{
	const struct node *node = &join->nodes[index];
	uint64_t edge_ns = is_end ? MAX(node->b_ns, 1) - 1 : node->a_ns, most = 0;
	const struct sighting *seen = seen_at(join, node->process, index, is_end);
	uint32_t looked_at = 0;

	if (!seen)
		return;
	if (is_edge_of(join, seen->thread, index, edge_ns)) {
		if (is_end && lend_may_be_handed_on(join, node))
			doubt_taken(join, index, seen);
		if (!is_end && lend_may_be(join, node))
			doubt_given_back(join, index, seen);
		return;
	}
	for (struct thread *t = node->process->threads; t; t = t->next) {
		const struct lane *lane = NULL;
		uint64_t ns;

		if (looked_at == MOST_BESIDE) { /* any of the others, for all that is known */
			join->limits[LIMIT_beside]++;
			most = seen_apart_ns(node, seen, is_end);
			break;
		}

		if (t->seen && !(t->dead && t->last_out_ns < node->a_ns) &&
		    !join_sighting(join, index, t))
			lane = join_lane(join, t);
		looked_at += lane ? 1 : 0;
		ns = lane ? unseen_ns(join, lane, index, seen, is_end) : 0;
		if (ns == UINT64_MAX && !is_end) /* who has its parent began it */
			return;
		if (ns != UINT64_MAX)
			most = MAX(most, ns);
	}
	if (most)
		overlay_doubt(join, node->parent, -1, most);
}

/* Of those that were never seen with it, the one that ran longest within that time may have had it.
 */
static uint64_t passed_on_ns(struct join *join, int32_t index, const struct stretch *stretch)
{
	const struct node *node = &join->nodes[index];
	uint64_t most = 0;
	uint32_t looked_at = 0;

	for (struct thread *t = node->process->threads; t; t = t->next) {
		const struct lane *lane = NULL;

		if (looked_at == MOST_BESIDE) { /* any of the others, for all that is known */
			join->limits[LIMIT_beside]++;
			return stretch->to_ns - stretch->from_ns;
		}
		if (t->seen && !(t->dead && t->last_out_ns < stretch->from_ns) &&
		    !join_sighting(join, index, t))
			lane = join_lane(join, t);
		looked_at += lane ? 1 : 0;
		most = lane ? MAX(most, unpinned_ns(lane, stretch)) : most;
	}
	return most;
}

/* Who showed it next after `seen`, or first (NULL); NULL: nobody. */
static const struct sighting *shown_next(const struct join *join, const struct sighting *seen,
					 int32_t index)
{
	const struct node *node = &join->nodes[index];
	const struct sighting *next = NULL;

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *other = &join->sightings[s];

		if (other->thread->process == node->process &&
		    (!seen || other->last_ns > seen->last_ns) &&
		    (!next || other->first_ns < next->first_ns))
			next = other;
	}
	return next;
}

/* It goes from thread to thread: from its start on another one, between two who showed it, and from
 * the last one to its end on another, a third one may have had it. */
static void doubt_passed_on(struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];
	const struct sighting *seen = NULL, *next = shown_next(join, NULL, index);

	if (!next || !lend_may_be_handed_on(join, node))
		return;
	do {
		struct stretch stretch = { seen ? MAX(seen->last_ns, node->a_ns) : node->a_ns,
					   MIN(next ? next->first_ns : node->b_ns, node->b_ns) };
		bool is_its = (!seen && is_edge_of(join, next->thread, index, node->a_ns)) ||
			      (!next && is_edge_of(join, seen->thread, index, node->b_ns - 1));

		if (!is_its && stretch.from_ns < stretch.to_ns)
			overlay_doubt(join, node->parent, -1, passed_on_ns(join, index, &stretch));
		seen = next;
		next = seen ? shown_next(join, seen, index) : NULL;
	} while (seen);
}

/* One that has no tag then may have begun it, or ended it, and worked at it: it is known of the
 * span that it was nowhere else, but not of those above it. */
void handed_doubt_unseen(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		if (join->nodes[i].parent < 0 || !join->nodes[i].process)
			continue;
		if (join->nodes[i].sightings < 0) {
			doubt_given(join, (int32_t)i);
			continue;
		}
		doubt_unseen(join, (int32_t)i, false);
		doubt_unseen(join, (int32_t)i, true);
		doubt_passed_on(join, (int32_t)i);
	}
}
