/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that no thread was ever seen with: at every switch and tick while they were open, the
 * thread carried a child of theirs, or there was none.
 *
 * The thread is their parent's, or, for a local root, the one that ran at both edges. If no other
 * thread of the process could have carried any of it, that is proof; else the likeliest is taken
 * and the span is `inferred` (DESIGN 4, rule 6). */
#include "collector/base/macros.h"
#include "correlate/join.h"

#define PLACE_MAX_THREADS 512
#define PLACE_MAX_COMPANY 512

struct candidates {
	bool takes_busy; /* ... ones too: an event loop may come to it between two others' turns */
	struct lane *best;
	bool best_is_whole; /* nothing that was seen between its edges speaks against it */
	bool best_is_seen;  /* ... and descendants were: as good as seen itself */
	bool has_rival;     /* nothing speaks against another one either */
};

static bool is_of(const struct join *join, const struct event_tag *tag, int32_t index)
{
	int32_t owner;

	if (tag_is_none(tag) || !tag_is_of(tag, join->trace->id))
		return false;
	owner = join_find(join, tag->span_id);
	return owner < 0 || node_is_below(join, owner, index);
}

/* The same tag at both ends, and of a span that is neither ours nor an ancestor of ours: that
 * thread was busy with something else. */
static bool is_busy_elsewhere(const struct join *join, const struct slice *slice, int32_t index)
{
	int32_t owner;

	if (tag_is_none(slice->tag_in) || !tag_eq(slice->tag_in, slice->tag_out))
		return false;
	if (!tag_is_of(slice->tag_in, join->trace->id))
		return true;
	owner = join_find(join, slice->tag_in->span_id);
	return owner >= 0 && !node_is_below(join, index, owner) &&
	       !node_is_below(join, owner, index);
}

/* Between the slices of its edges the thread showed nothing but descendants. */
static bool is_unbroken(const struct join *join, const struct slice *first,
			const struct slice *last, int32_t index)
{
	for (const struct slice *s = first; s < last; s++) {
		if (!is_of(join, s->tag_out, index) || s[1].gap)
			return false;
	}
	return true;
}

static void consider(struct join *join, struct candidates *candidates, struct thread *thread,
		     int32_t index)
{
	const struct node *node = &join->nodes[index];
	struct lane *lane = join_lane(join, thread);
	const struct slice *first, *last;
	bool is_whole, is_seen;

	if (!lane || node->b_ns == 0)
		return;
	first = lane_on_cpu_about(lane, node->a_ns, node->cut_ns);
	last = lane_on_cpu_about(lane, node->b_ns > node->a_ns ? node->b_ns - 1 : node->a_ns,
				 node->cut_ns);
	if (!first || !last || (!candidates->takes_busy && is_busy_elsewhere(join, first, index)))
		return;
	is_whole = is_unbroken(join, first, last, index);
	is_seen = is_whole && first != last;
	candidates->has_rival |= candidates->best && candidates->best != lane && is_whole &&
				 candidates->best_is_whole;
	if (!candidates->best || (is_whole && !candidates->best_is_whole) ||
	    (is_seen && !candidates->best_is_seen)) {
		candidates->best = lane;
		candidates->best_is_whole = is_whole;
		candidates->best_is_seen = is_seen;
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

/* A span of any other trace may begin and end between two looks at the tag. That of a child would
 * be far from its parent. */
static bool is_pinned(const struct join *join, const struct slice *slice, const struct node *node)
{
	bool is_within = slice->in_ns <= node->a_ns + node->cut_ns && node->b_ns <= slice->out_ns;

	return join_is_pinned(join, node->process, slice) &&
	       (node->parent >= 0 || !is_within || slice->flags & EVENT_TOLD);
}

/* It was off the CPU, or pinned to other traces, all the time. Once only pinned threads are left to
 * carry it, a tag proves nothing. */
static bool cannot_have_carried(const struct join *join, const struct lane *lane, int32_t index,
				bool ignores_tags)
{
	const struct node *node = &join->nodes[index];
	uint64_t end_ns = node->b_ns + node->cut_ns;

	for (uint32_t i = lane_first_after(lane, node->a_ns); i < lane->count; i++) {
		const struct slice *slice = &lane->slices[i];
		uint64_t begin = slice->gap && i ? lane->slices[i - 1].out_ns : slice->in_ns;

		if (begin >= end_ns)
			return true;
		if (slice->gap || ignores_tags || !is_pinned(join, slice, node))
			return false;
	}
	return !lane->thread->running || lane->thread->last_out_ns >= end_ns;
}

static bool is_proved(struct join *join, const struct candidates *candidates, int32_t index)
{
	const struct lane *best = candidates->best;
	const struct node *node = &join->nodes[index];
	uint32_t looked_at = 0;

	if (company_is_there(join, best->thread, node->a_ns, node->b_ns))
		return false; /* then it is within another trace's span, on this thread or another
			       */
	for (struct thread *t = join->nodes[index].process->threads; t; t = t->next) {
		const struct lane *lane;

		if (t == best->thread || !t->seen ||
		    (t->dead && t->last_out_ns < join->nodes[index].a_ns))
			continue;
		lane = ++looked_at > PLACE_MAX_THREADS ? NULL : join_lane(join, t);
		if (!lane || !cannot_have_carried(join, lane, index, candidates->takes_busy))
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

/* How long any thread of the process ran within that time, or may have run. */
static uint64_t ran_ns(struct join *join, const struct process *process, uint64_t from_ns,
		       uint64_t to_ns)
{
	uint64_t ran = 0;

	for (struct thread *t = process->threads; t && ran < to_ns - from_ns; t = t->next) {
		const struct lane *lane = t->seen ? join_lane(join, t) : NULL;
		uint64_t folded = MAX(MIN(t->folded_until_ns, to_ns), from_ns);

		ran += folded - from_ns;
		if (lane)
			ran += lane_ran_ns(lane, folded, to_ns);
	}
	return ran;
}

/* Its lane is its ancestors' too; and any other span of that time may have been put aside for it,
 * as far as somebody ran. */
static void doubt_company(struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];
	uint64_t ran = ran_ns(join, node->process, node->a_ns, node->b_ns);
	int32_t found[PLACE_MAX_COMPANY];
	uint32_t count = join_overlapping(join, node->process, node->a_ns, node->b_ns, found,
					  PLACE_MAX_COMPANY);

	for (uint32_t i = 0; i < count; i++) {
		struct node *other = &join->nodes[found[i]];
		uint64_t common = MIN(node->b_ns, other->b_ns) - MAX(node->a_ns, other->a_ns);

		if (!node_is_below(join, found[i], index))
			other->uncertain_ns += MIN(common, ran);
	}
	join->nodes[index].uncertain_ns += MIN(node->b_ns - node->a_ns, ran);
}

static void place(struct join *join, int32_t index)
{
	struct candidates candidates = { 0 };
	struct node *node = &join->nodes[index];
	struct lane *claimed;

	consider_parents_threads(join, &candidates, index);
	if (!candidates.best)
		consider_all_threads(join, &candidates, index);
	if (!candidates.best) {
		candidates.takes_busy = true;
		consider_all_threads(join, &candidates, index);
	}
	node->placed = candidates.best;
	if ((candidates.best_is_seen && !candidates.has_rival) ||
	    (candidates.best_is_whole && is_proved(join, &candidates, index)))
		return;
	node->inferred = true;
	claimed = claimed_lane(join, index);
	if (claimed)
		node->placed = claimed;
	doubt_company(join, index);
}

static void place_under(struct join *join, uint32_t depth, bool *more)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		*more |= node->depth > depth;
		if (node->depth == depth && node->sightings < 0 && node->process &&
		    node->process->has_records)
			place(join, (int32_t)i);
	}
}

void join_place(struct join *join)
{
	bool more = true;

	for (uint32_t depth = 0; more; depth++) { /* parents first: a child follows its parent */
		more = false;
		place_under(join, depth, &more);
	}
}
