/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that no thread was ever seen with: at every switch and tick while they were open, the
 * thread carried a child of theirs, or there was none.
 *
 * The thread is their parent's, or, for a local root, the one that ran at both edges. If no other
 * thread of the process could have carried any of it, that is proof; else the likeliest is taken
 * and the span is `inferred` (DESIGN 4, rule 6). */
#include "correlate/place.h"
#include "collector/base/macros.h"

#define PLACE_MAX_THREADS 512
#define PLACE_MAX_COMPANY 512
#define PLACE_MAX_ROUNDS  4

/* `is_sure`: what was not exported may as well lie below its parent, and tells nothing. */
static bool is_of(const struct join *join, const struct event_tag *tag, int32_t index, bool is_sure)
{
	int32_t owner;

	if (tag_is_none(tag) || !tag_is_of(tag, join->trace->id))
		return false;
	owner = join_find(join, tag->span_id);
	return owner < 0 ? !is_sure : node_is_below(join, owner, index);
}

/* The same tag at both ends, and of a span that is neither ours nor an ancestor of ours: that
 * thread was busy with something else. */
static bool is_busy_elsewhere(const struct join *join, const struct slice *slice, int32_t index)
{
	int32_t owner;

	if (!slice_keeps_tag(slice))
		return false;
	if (!tag_is_of(slice->tag_in, join->trace->id))
		return true;
	owner = join_find(join, slice->tag_in->span_id);
	return owner >= 0 && !node_is_below(join, index, owner) &&
	       !node_is_below(join, owner, index);
}

/* All that was seen of it was seen on that thread. */
static bool is_only_on(const struct join *join, int32_t index, const struct thread *thread)
{
	int32_t first = join->nodes[index].sightings;

	return join->sightings[first].thread == thread && join->sightings[first].next < 0;
}

static bool is_related(const struct join *join, int32_t a, int32_t b)
{
	return node_is_below(join, a, b) || node_is_below(join, b, a);
}

/* The thread has another span of the trace meanwhile, above or below which this one is not: where
 * nobody puts spans aside, it cannot have both. `is_sure`: it has that one for certain. */
static bool is_occupied(const struct join *join, const struct candidates *candidates,
			const struct lane *lane, int32_t index, bool is_sure)
{
	for (uint32_t i = 0; !candidates->takes_turns && i < candidates->company_count; i++) {
		int32_t other = candidates->company[i];
		const struct node *node = &join->nodes[other];
		bool is_placed = node->placed == lane && !(is_sure && node->inferred);

		if (!is_related(join, index, other) &&
		    (node->sightings >= 0 ? is_only_on(join, other, lane->thread) : is_placed))
			return true;
	}
	return false;
}

/* Between the slices of its edges the thread showed nothing but descendants. */
static bool is_unbroken(const struct join *join, const struct slice *first,
			const struct slice *last, int32_t index, bool is_sure)
{
	for (const struct slice *s = first; s < last; s++) {
		if (!is_of(join, s->tag_out, index, is_sure) || s[1].gap)
			return false;
	}
	return true;
}

static void note_lane(struct candidates *candidates, struct lane *lane)
{
	for (uint32_t i = 0; i < candidates->lane_count; i++) {
		if (candidates->lanes[i] == lane)
			return;
	}
	candidates->is_many |= candidates->lane_count == PLACE_MAX_LANES;
	if (!candidates->is_many)
		candidates->lanes[candidates->lane_count++] = lane;
}

static bool shows_sibling(const struct join *join, const struct lane *lane,
			  const struct slice *first, const struct slice *last, int32_t index)
{
	int32_t parent = join->nodes[index].parent;

	return parent >= 0 &&
	       (cut_has(join, overlay_meaning(join, lane, first->tag_in, first->in_ns), parent) ||
		cut_has(join, overlay_meaning(join, lane, last->tag_out, last->out_ns), parent));
}

static void consider(struct join *join, struct candidates *candidates, struct thread *thread,
		     int32_t index)
{
	const struct node *node = &join->nodes[index];
	struct lane *lane = join_lane(join, thread);
	const struct slice *first, *last;
	bool is_whole, is_seen, is_near;

	if (!lane || node->b_ns == 0)
		return;
	first = lane_on_cpu_about(lane, node->a_ns, node->cut_ns);
	last = lane_on_cpu_about(lane, node->b_ns > node->a_ns ? node->b_ns - 1 : node->a_ns,
				 node->cut_ns);
	if (!first || !last || (!candidates->takes_busy && is_busy_elsewhere(join, first, index)))
		return;
	if (is_occupied(join, candidates, lane, index, true))
		return;
	note_lane(candidates, lane); /* also one that is only guessed to have another */
	if (!candidates->doubts_guesses && is_occupied(join, candidates, lane, index, false))
		return;
	is_whole = is_unbroken(join, first, last, index, false);
	is_seen = is_whole && first != last && is_unbroken(join, first, last, index, true);
	is_near = shows_sibling(join, lane, first, last, index);
	candidates->has_rival |= candidates->best && candidates->best != lane && is_whole &&
				 candidates->best_is_whole;
	if (!candidates->best || (is_whole && !candidates->best_is_whole) ||
	    (is_seen && !candidates->best_is_seen) ||
	    (is_near && !candidates->best_is_near && is_whole == candidates->best_is_whole &&
	     is_seen == candidates->best_is_seen)) {
		candidates->best = lane;
		candidates->best_is_whole = is_whole;
		candidates->best_is_seen = is_seen;
		candidates->best_is_near = is_near;
	}
}

static void consider_parents_threads(struct join *join, struct candidates *candidates,
				     int32_t index)
{
	for (int32_t up = join->nodes[index].parent; up >= 0; up = join->nodes[up].parent) {
		const struct node *parent = &join->nodes[up];

		for (int32_t s = parent->sightings; s >= 0; s = join->sightings[s].next)
			consider(join, candidates, join->sightings[s].thread, index);
		if (parent->sightings < 0 && parent->placed)
			consider(join, candidates, parent->placed->thread, index);
		if (candidates->best)
			return;
	}
}

static void consider_all_threads(struct join *join, struct candidates *candidates, int32_t index)
{
	for (struct thread *t = join->nodes[index].process->threads; t; t = t->next) {
		if (t->seen && !(t->dead && t->last_out_ns < join->nodes[index].a_ns))
			consider(join, candidates, t, index);
	}
}

/* It began and ended with the thread on a CPU. Where it is not known that threads of the process
 * put nothing aside, this one may have had it in turns, each of them between two looks. */
static bool may_take_turns(const struct lane *lane, const struct node *node)
{
	return !turns_are_none(node->process) && lane_ran_at_edge(lane, node, node->a_ns) &&
	       lane_ran_at_edge(lane, node, MAX(node->b_ns, 1) - 1);
}

/* A span of any other trace may begin and end between two looks at the tag. That of a child would
 * be far from its parent. */
static bool is_pinned(const struct join *join, const struct lane *lane, const struct slice *slice,
		      const struct node *node)
{
	bool is_within = slice->in_ns <= node->a_ns + node->cut_ns && node->b_ns <= slice->out_ns;

	return join_is_pinned(join, node->process, slice) &&
	       (node->parent >= 0 || slice->flags & EVENT_TOLD ||
		(!is_within && !may_take_turns(lane, node)));
}

/* It was off the CPU, or pinned to other traces, all the time that the span may have had. Once only
 * pinned threads are left to carry it, a tag proves nothing. */
static bool cannot_have_carried(const struct join *join, const struct lane *lane, int32_t index,
				bool ignores_tags)
{
	const struct node *node = &join->nodes[index];
	uint64_t begin_ns = node->a_ns - MIN(node->a_ns, node->skew_ns);
	uint64_t end_ns = node->b_ns + node->cut_ns + node->skew_ns;

	for (uint32_t i = lane_first_after(lane, begin_ns); i < lane->count; i++) {
		const struct slice *slice = &lane->slices[i];
		uint64_t begin = slice->gap && i ? lane->slices[i - 1].out_ns : slice->in_ns;

		if (begin >= end_ns)
			return true;
		if (slice->gap || ignores_tags || !is_pinned(join, lane, slice, node))
			return false;
	}
	return !lane->thread->running || lane->thread->last_out_ns >= end_ns;
}

static bool is_proved(struct join *join, const struct candidates *candidates, int32_t index)
{
	const struct lane *best = candidates->best;
	const struct node *node = &join->nodes[index];
	uint64_t from_ns = node->a_ns - MIN(node->a_ns, node->skew_ns);
	uint64_t apart_ns = node->skew_ns - node->astray_ns; /* others are astray with it */
	uint32_t looked_at = 0;

	if (company_is_there(join, best->thread, node->a_ns - MIN(node->a_ns, apart_ns),
			     node->b_ns + apart_ns))
		return false; /* it is within another trace's span, on some thread */
	for (struct thread *t = join->nodes[index].process->threads; t; t = t->next) {
		const struct lane *lane;

		if (t == best->thread || !t->seen || (t->dead && t->last_out_ns < from_ns))
			continue;
		if (t->folded_until_ns > from_ns) /* what it did is not known any more */
			return false;
		lane = ++looked_at > PLACE_MAX_THREADS ? NULL : join_lane(join, t);
		if (!lane || (!cannot_have_carried(join, lane, index, candidates->takes_busy) &&
			      !is_occupied(join, candidates, lane, index, true)))
			return false;
	}
	return true;
}

/* thread.id as the kernel counts, where the span says so. */
static struct lane *claimed_lane(struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];

	for (struct thread *t = node->process->threads; t; t = t->next) {
		if (node->span->thread_id > 0 && (int64_t)t->tid == node->span->thread_id)
			return join_lane(join, t);
	}
	return NULL;
}

/* First the thread that its parent had; then any. If all that could have had it have something
 * else, that was guessed wrong; or somebody takes turns after all. */
static void find_candidates(struct join *join, struct candidates *candidates, int32_t index)
{
	consider_parents_threads(join, candidates, index);
	if (!candidates->best || !candidates->takes_turns)
		consider_all_threads(join, candidates, index);
	if (candidates->best)
		return;
	candidates->doubts_guesses = true;
	if (candidates->lane_count)
		consider_all_threads(join, candidates, index);
	if (candidates->best)
		return;
	candidates->takes_turns = true;
	consider_parents_threads(join, candidates, index);
	if (!candidates->best)
		consider_all_threads(join, candidates, index);
	if (candidates->best)
		return;
	candidates->takes_busy = true;
	consider_all_threads(join, candidates, index);
}

/* false: more than one thread may have carried it, and it is not placed yet: others may have a
 * place for sure, or have but one, and keep it from all but one. */
static bool place(struct join *join, int32_t index, bool is_last)
{
	struct node *node = &join->nodes[index];
	int32_t company[PLACE_MAX_COMPANY];
	struct candidates candidates = { .company = company };
	bool takes_turns;
	struct lane *claimed;

	node->placed = join_marked_lane(join, index);
	node->is_marked = node->placed;
	if (node->is_marked)
		return true;
	candidates.company_count = join_overlapping(join, node->process, node->a_ns, node->b_ns,
						    company, PLACE_MAX_COMPANY);
	takes_turns = candidates.takes_turns = candidates.company_count == PLACE_MAX_COMPANY ||
					       join_takes_turns(join, node->process) ||
					       !turns_are_none(node->process) ||
					       join_has_turns(join);
	find_candidates(join, &candidates, index);
	node->placed = candidates.best;
	if (!node->is_contested &&
	    ((candidates.best_is_seen && !candidates.has_rival) ||
	     (candidates.best_is_whole && is_proved(join, &candidates, index))))
		return true;
	if (!is_last && !takes_turns && (candidates.lane_count > 1 || candidates.doubts_guesses)) {
		node->placed = NULL;
		return false;
	}
	node->inferred = true;
	claimed = claimed_lane(join, index);
	if (claimed)
		node->placed = claimed;
	place_doubt(join, &candidates, index);
	return true;
}

/* Parents first: a child follows its parent. false: there is none left of whom nobody knows. */
static bool place_sure(struct join *join, bool *waits)
{
	bool any = false, left = false;

	for (uint32_t i = 0; i < join->count; i++) {
		uint32_t index = join->by_depth[i];
		int32_t parent = join->nodes[index].parent;

		if (waits[index] && !(parent >= 0 && waits[parent]) &&
		    place(join, (int32_t)index, false)) {
			waits[index] = false;
			any = true;
		}
		left |= waits[index];
	}
	return any && left;
}

static void place_rest(struct join *join, bool *waits, const bool *shows)
{
	for (uint32_t i = 0; i < join->count; i++) {
		uint32_t index = join->by_depth[i];

		if (waits[index] && (!shows || shows[index])) {
			place(join, (int32_t)index, true);
			waits[index] = false;
		}
	}
}

/* Who was seen, or has one below it that was, has the ancestors that `shows` tells. */
static void find_shows(const struct join *join, bool *shows)
{
	for (uint32_t i = join->count; i-- > 0;) {
		uint32_t index = join->by_depth[i];
		const struct node *node = &join->nodes[index];

		shows[index] |= node->sightings >= 0;
		if (node->parent >= 0)
			shows[node->parent] |= shows[index];
	}
}

/* First those of whom it is sure, or who have but one thread left, as that may leave others with
 * but one; then those below whom something was seen. */
void join_place(struct join *join)
{
	bool *waits = arena_alloc(&join->arena, join->count + 1);
	bool *shows = arena_alloc(&join->arena, join->count + 1);
	unsigned rounds = 0;

	if (!waits || !shows) {
		join->out_of_memory = true;
		return;
	}
	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];

		waits[i] = node->sightings < 0 && node->process && node->process->has_records;
		shows[i] = false;
	}
	while (place_sure(join, waits) && ++rounds < PLACE_MAX_ROUNDS)
		continue;
	find_shows(join, shows);
	place_rest(join, waits, shows);
	place_rest(join, waits, NULL);
}
