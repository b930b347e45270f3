/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that show nothing, and may have had a span meanwhile: have begun it, or ended it, or been
 * given it in between. Of the span it is known that it was nowhere else, but not of those above it.
 */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define MOST_BESIDE 512 /* threads that are looked at */
#define MOST_SLICES 256 /* of a thread that may have put a span aside */
#define MOST_ASIDE  8   /* times, that are looked at one by one */

static uint64_t overlap_ns(const struct stretch *stretch, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t from = MAX(from_ns, stretch->from_ns), to = MIN(to_ns, stretch->to_ns);

	return to - MIN(from, to);
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

static bool is_pinned(const struct slice *slice)
{
	return slice->flags & EVENT_TOLD || slice_keeps_tag(slice);
}

/* How long the thread ran within that time, where no tag pins what it did. */
static uint64_t unpinned_ns(const struct lane *lane, const struct stretch *stretch)
{
	uint64_t ns = 0;

	for (uint32_t i = lane_first_after(lane, stretch->from_ns);
	     i < lane->count && lane->slices[i].in_ns < stretch->to_ns; i++) {
		const struct slice *slice = &lane->slices[i];

		if (!is_pinned(slice))
			ns += overlap_ns(stretch, slice->in_ns, slice->out_ns);
	}
	return ns;
}

/* The threads of a span's process that may have had it, one after another: those that were not gone
 * by then, and were never seen with it; or all but one. */
struct beside {
	int32_t index;
	uint64_t from_ns;
	const struct thread *except; /* NULL: whoever was seen with it ... */
	bool with_turns;             /* ... but for those that put spans aside and come back */
	struct thread *next;
	uint32_t looked_at;
	bool is_cut; /* there are more than are looked at: any of them, for all that is known */
};

static struct beside beside(const struct join *join, int32_t index, uint64_t from_ns,
			    const struct thread *except)
{
	return (struct beside){ .index = index,
				.from_ns = from_ns,
				.except = except,
				.next = join->nodes[index].process->threads };
}

static bool is_beside(const struct beside *beside, const struct thread *thread)
{
	if (!thread->seen || (thread->dead && thread->last_out_ns < beside->from_ns))
		return false;
	return thread != beside->except;
}

/* It was seen with it, and had it for as long as it shows. */
static bool is_its(const struct join *join, const struct beside *beside, const struct lane *lane)
{
	return !beside->except && !(beside->with_turns && lane->takes_turns) &&
	       join_sighting(join, beside->index, lane->thread);
}

/* NULL: no more. */
static const struct lane *next_beside(struct join *join, struct beside *beside)
{
	while (beside->next) {
		struct thread *thread = beside->next;
		const struct lane *lane = NULL;

		if (beside->looked_at == MOST_BESIDE) {
			join->limits[LIMIT_beside]++;
			beside->is_cut = true;
			return NULL;
		}
		beside->next = thread->next;
		if (is_beside(beside, thread))
			lane = join_lane(join, thread);
		if (lane && !is_its(join, beside, lane)) {
			beside->looked_at++;
			return lane;
		}
	}
	return NULL;
}

/* Somebody but that thread ran within that time, unpinned. */
static bool runs_beside(struct join *join, int32_t index, const struct thread *thread,
			const struct stretch *stretch)
{
	struct beside others = beside(join, index, stretch->from_ns, thread);
	const struct lane *lane;

	while ((lane = next_beside(join, &others))) {
		if (unpinned_ns(lane, stretch))
			return true;
	}
	return others.is_cut;
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
	if (runs_beside(join, index, seen->thread, &stretch))
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
	if (runs_beside(join, index, seen->thread, &stretch))
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

		if (!slice || is_pinned(slice) || !is_within_parent(join, lane, slice, index))
			continue;
		if (runs_beside(join, index, t, &stretch))
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
	const struct sighting *seen = handed_seen_at(join, node->process, index, is_end);
	const struct lane *lane;
	struct beside others;

	if (!seen)
		return;
	if (handed_is_edge_of(join, seen->thread, index, edge_ns)) {
		if (is_end && lend_may_be_handed_on(join, node))
			doubt_taken(join, index, seen);
		if (!is_end && lend_may_be(join, node))
			doubt_given_back(join, index, seen);
		return;
	}
	others = beside(join, index, node->a_ns, NULL);
	while ((lane = next_beside(join, &others))) {
		uint64_t ns = unseen_ns(join, lane, index, seen, is_end);

		if (ns == UINT64_MAX && !is_end) /* who has its parent began it */
			return;
		if (ns != UINT64_MAX)
			most = MAX(most, ns);
	}
	if (others.is_cut)
		most = seen_apart_ns(node, seen, is_end);
	if (most)
		overlay_doubt(join, node->parent, -1, most);
}

/* Those that were never seen with it, or take it up by turns, may have had it within that time, one
 * after the other. */
static uint64_t passed_on_ns(struct join *join, int32_t index, const struct stretch *stretch)
{
	struct beside others = beside(join, index, stretch->from_ns, NULL);
	const struct lane *lane;
	uint64_t all = stretch->to_ns - stretch->from_ns, ns = 0;

	others.with_turns = true;
	while (ns < all && (lane = next_beside(join, &others)))
		ns += unpinned_ns(lane, stretch);
	return others.is_cut ? all : MIN(ns, all);
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
	const struct lane *first = next ? join_find_lane(join, next->thread) : NULL;

	if (!first || (!lend_may_be_handed_on(join, node) && !first->takes_turns))
		return;
	do {
		struct stretch stretch = { seen ? MAX(seen->last_ns, node->a_ns) : node->a_ns,
					   MIN(next ? next->first_ns : node->b_ns, node->b_ns) };
		bool is_its =
			(!seen && handed_is_edge_of(join, next->thread, index, node->a_ns)) ||
			(!next && handed_is_edge_of(join, seen->thread, index, node->b_ns - 1));

		if (!is_its && stretch.from_ns < stretch.to_ns)
			overlay_doubt(join, node->parent, -1, passed_on_ns(join, index, &stretch));
		seen = next;
		next = seen ? shown_next(join, seen, index) : NULL;
	} while (seen);
}

/* A thread that has a span, and shows what is around it meanwhile. */
struct aside {
	struct join *join;
	const struct lane *lane;
	int32_t index;
	struct stretch stretch; /* not shown since; from UINT64_MAX: it was not the thread's yet */
	uint32_t count;
	bool is_aside; /* ... and something else was */
};

/* Others may have had it meanwhile, that show nothing; `to_ns`: its end, at most. */
static void doubt_stretch(struct aside *aside, uint64_t to_ns)
{
	const struct node *node = &aside->join->nodes[aside->index];

	aside->stretch.to_ns = to_ns;
	if (aside->is_aside && aside->stretch.from_ns < aside->stretch.to_ns) {
		aside->count++;
		overlay_doubt(aside->join, node->parent, -1,
			      passed_on_ns(aside->join, aside->index, &aside->stretch));
	}
	aside->is_aside = false;
}

/* Of what the thread shows at the end of a slice. */
static void look_aside(struct aside *aside, const struct slice *slice)
{
	struct join *join = aside->join;
	int32_t shown = overlay_meaning(join, aside->lane, slice->tag_out, slice->out_ns);

	if (shown >= 0 && node_is_below(join, shown, aside->index)) {
		if (aside->count < MOST_ASIDE || !aside->is_aside) {
			doubt_stretch(aside, slice->out_ns);
			aside->stretch.from_ns = slice->out_ns;
		}
	} else if (aside->stretch.from_ns < slice->out_ns &&
		   !way_is_sure(join, aside->lane, aside->index, slice->out_ns)) {
		aside->is_aside = true;
	}
}

/* Where spans are handed on: who begins one, and goes on with the parent until it takes it up
 * again, or lets go of it, and ends it later, may have had others work at it in between. */
static void doubt_aside(struct join *join, int32_t index, const struct sighting *seen)
{
	const struct node *node = &join->nodes[index];
	const struct lane *lane = join_find_lane(join, seen->thread);
	struct aside aside = { .join = join, .lane = lane, .index = index };
	uint32_t at = lane ? lane_first_after(lane, node->a_ns) : 0, left = MOST_SLICES;
	bool is_begun = handed_seen_at(join, node->process, index, false) == seen &&
			handed_is_edge_of(join, seen->thread, index, node->a_ns);
	bool is_ended = handed_seen_at(join, node->process, index, true) == seen &&
			handed_is_edge_of(join, seen->thread, index, node->b_ns - 1);

	aside.stretch.from_ns = is_begun ? node->a_ns : UINT64_MAX;
	for (; lane && at < lane->count && lane->slices[at].out_ns < node->b_ns && left; at++) {
		if (lane->slices[at].flags & EVENT_TOLD)
			return;
		look_aside(&aside, &lane->slices[at]);
		left--;
	}
	aside.is_aside |= !left;
	if (is_ended || !left || aside.count == MOST_ASIDE)
		doubt_stretch(&aside, node->b_ns);
}

void unseen_doubt(struct join *join)
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
		if (!lend_may_be_handed_on(join, &join->nodes[i]) &&
		    !lend_may_be_apart(&join->nodes[i]))
			continue;
		for (int32_t s = join->nodes[i].sightings; s >= 0; s = join->sightings[s].next) {
			if (join->sightings[s].thread->process == join->nodes[i].process)
				doubt_aside(join, (int32_t)i, &join->sightings[s]);
		}
	}
}
