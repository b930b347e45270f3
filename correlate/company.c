/* SPDX-License-Identifier: Apache-2.0 */
/* Traces that share a thread at the same time, as on an event loop.
 *
 * A slice that shows one trace at both ends may hide a turn of another one. No tag tells of it, but
 * the spans do: when two traces claim the same thread at the same time, what either is given there
 * is in doubt, as long as both were open. The trace that settles first does not know of the other
 * yet: it is settled once more then. */
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

bool company_is_of(const struct company *company, const struct trace *trace)
{
	return memcmp(company->trace_id, trace->id, TRACE_ID_BYTES) == 0;
}

static void extend(struct company *company, uint64_t start_ns, uint64_t end_ns)
{
	if (company->to_ns == 0)
		company->from_ns = start_ns;
	company->from_ns = MIN(company->from_ns, start_ns);
	company->to_ns = MAX(company->to_ns, end_ns);
}

/* Until when somebody but these two claims the thread, from `time_ns` on; that time: nobody does,
 * and `*out_next` is when the next one begins to. */
static uint64_t claimed_until(const struct thread *thread, const uint8_t *self,
			      const struct company *other, uint64_t time_ns, uint64_t *out_next)
{
	uint64_t until = time_ns;

	*out_next = UINT64_MAX;
	for (unsigned i = 0; i < COMPANY_MAX; i++) {
		const struct company *c = &thread->company[i];

		if (c == other || c->to_ns <= time_ns ||
		    memcmp(c->trace_id, self, TRACE_ID_BYTES) == 0)
			continue;
		if (c->from_ns <= time_ns)
			until = MAX(until, c->to_ns);
		else
			*out_next = MIN(*out_next, c->from_ns);
	}
	return until;
}

static uint64_t overlap(const struct thread *thread, const uint8_t *self,
			const struct company *other, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t shared = 0, next;

	while (from_ns < to_ns) {
		uint64_t until = MIN(claimed_until(thread, self, other, from_ns, &next), to_ns);

		shared += until - from_ns;
		from_ns = until > from_ns ? until : next;
	}
	return shared;
}

/* Asked for each piece of the lane's slices, hence noted once. */
static bool note_company(struct join *join, struct lane *lane)
{
	const struct thread *thread = lane->thread;
	uint64_t from = lane->claim.from_ns, to = lane->claim.to_ns, next;

	while (from < to && from < thread->company_until_ns) {
		uint64_t until = MIN(claimed_until(thread, join->trace->id, NULL, from, &next), to);

		if (until > from && !lane->company) {
			lane->company =
				arena_alloc(&join->arena, COMPANY_MAX * sizeof(*lane->company));
			if (!lane->company)
				return false;
		}
		if (until > from)
			lane->company[lane->company_count++] = (struct stretch){ from, until };
		from = until > from ? until : next;
	}
	return true;
}

uint64_t company_overlap_ns(const struct lane *lane, uint64_t from_ns, uint64_t to_ns)
{
	uint32_t low = 0, high = lane->company_count;
	uint64_t shared = 0;

	while (low < high) { /* the first that reaches past from_ns */
		uint32_t middle = (low + high) / 2;

		if (lane->company[middle].to_ns <= from_ns)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < lane->company_count && lane->company[low].from_ns < to_ns; low++)
		shared += MIN(lane->company[low].to_ns, to_ns) -
			  MAX(lane->company[low].from_ns, from_ns);
	return shared;
}

bool company_begins(const struct join *join, const struct thread *thread, uint64_t from_ns,
		    uint64_t to_ns)
{
	for (unsigned i = 0; thread->company && i < COMPANY_MAX; i++) {
		const struct company *c = &thread->company[i];

		if (c->to_ns && c->from_ns >= from_ns && c->from_ns <= to_ns &&
		    !company_is_of(c, join->trace))
			return true;
	}
	return false;
}

bool company_is_there(const struct join *join, const struct thread *thread, uint64_t from_ns,
		      uint64_t to_ns)
{
	return from_ns < thread->company_until_ns &&
	       overlap(thread, join->trace->id, NULL, from_ns, to_ns);
}

uint64_t company_crossed_ns(const struct company *one, const struct company *another)
{
	const struct company *first = another->own_from_ns < one->own_from_ns ? another : one;
	const struct company *second = first == one ? another : one;

	if (first->own_from_ns < second->own_from_ns && second->own_from_ns < first->own_to_ns &&
	    first->own_to_ns < second->own_to_ns)
		return first->own_to_ns;
	return 0;
}

/* All that was seen of the trace was seen on one thread. */
static const struct thread *only_thread(const struct join *join)
{
	const struct thread *only = NULL;

	for (uint32_t i = 0; i < join->sighting_count; i++) {
		if (only && only != join->sightings[i].thread)
			return NULL;
		only = join->sightings[i].thread;
	}
	return only;
}

/* At that edge of the span, as far as its clock tells. */
static bool may_have_run(const struct lane *lane, const struct node *node, uint64_t edge_ns)
{
	return lane_ran_at_edge(lane, node, edge_ns) ||
	       lane_lost_ns(lane, edge_ns, edge_ns + node->cut_ns + 1);
}

/* A span that was never seen is where it was placed, or, if that was a guess and nothing of its
 * trace was seen, wherever it may have begun and ended. */
static bool may_be_on(const struct join *join, const struct node *node, const struct lane *lane)
{
	if (node->sightings >= 0 || node->process != lane->process)
		return false;
	if (node->placed && (node->placed == lane || !node->inferred))
		return node->placed == lane;
	if (join->sighting_count && node->parent >= 0 && !join_takes_turns(join, node->process))
		return false;
	return node->b_ns <= lane->thread->folded_until_ns || /* nobody can tell any more */
	       (may_have_run(lane, node, node->a_ns) &&
		may_have_run(lane, node, MAX(node->b_ns, 1) - 1));
}

/* Nobody saw it, and no thread may have run at both its edges: so one began it, and another one
 * ended it. */
static bool is_split(const struct join *join, const struct node *node)
{
	if (!node->process || node->sightings >= 0 || (node->placed && !node->inferred) ||
	    (join->sighting_count && node->parent >= 0))
		return false;
	for (uint32_t i = 0; i < join->lane_count; i++) {
		const struct lane *lane = join->lanes[i];

		if (lane->process == node->process && may_have_run(lane, node, node->a_ns) &&
		    may_have_run(lane, node, MAX(node->b_ns, 1) - 1))
			return false;
	}
	return true;
}

/* Whoever ran at its start may have had it until the next look, and at its end since the last. */
static void claim_edges(const struct node *node, const struct lane *lane, struct company *claim)
{
	const struct slice *first = lane_ran_at_edge(lane, node, node->a_ns);
	const struct slice *last = lane_ran_at_edge(lane, node, MAX(node->b_ns, 1) - 1);

	if (lane->process != node->process)
		return;
	if (first)
		extend(claim, node->a_ns, MIN(MAX(first->out_ns, node->a_ns), node->b_ns));
	if (last)
		extend(claim, MAX(MIN(last->in_ns, node->b_ns), node->a_ns), node->b_ns);
}

/* Of a span that went from thread to thread: while this one was seen with it, and from its start on
 * or until its end, where the thread ran all the way and so may have begun it, or ended it. */
static void claim_seen(const struct node *node, const struct lane *lane,
		       const struct sighting *seen, struct company *claim)
{
	const struct slice *first = lane_on_cpu(lane, node->a_ns);
	const struct slice *last = lane_on_cpu(lane, MAX(node->b_ns, 1) - 1);
	uint64_t from = MAX(seen->first_ns, node->a_ns), to = MAX(seen->last_ns, node->a_ns);

	if (first && seen->first_ns <= first->out_ns)
		from = node->a_ns;
	if (last && seen->last_ns >= last->in_ns)
		to = node->b_ns;
	extend(claim, from, MIN(to, node->b_ns));
}

/* When the trace claims the thread: all the time that a span is open which was seen nowhere else;
 * of others, see above. */
static void claim(const struct join *join, struct lane *lane)
{
	const struct thread *thread = lane->thread;
	struct company *claim = &lane->claim;
	bool has_only = only_thread(join) == thread;

	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];
		const struct sighting *seen = join_sighting(join, (int32_t)i, thread);

		if (seen && has_only)
			extend(claim, node->a_ns, node->b_ns);
		else if (seen)
			claim_seen(node, lane, seen, claim);
		else if (may_be_on(join, node, lane))
			extend(claim, node->a_ns, node->b_ns);
		else if (node->is_split)
			claim_edges(node, lane, claim);
	}
}

static struct company *find(const struct join *join, const struct thread *thread)
{
	for (unsigned i = 0; thread->company && i < COMPANY_MAX; i++) {
		if (thread->company[i].to_ns && company_is_of(&thread->company[i], join->trace))
			return &thread->company[i];
	}
	return NULL;
}

/* In the oldest one's place. */
static struct company *add(const struct join *join, struct thread *thread)
{
	struct company *place;

	if (!thread->company)
		thread->company = calloc(COMPANY_MAX, sizeof(*thread->company));
	if (!thread->company)
		return NULL;
	place = &thread->company[thread->company_next];
	thread->company_next = (thread->company_next + 1) % COMPANY_MAX;
	*place = (struct company){ 0 };
	memcpy(place->trace_id, join->trace->id, TRACE_ID_BYTES);
	return place;
}

/* None of its slices has left the timeline since it settled. */
static bool is_whole(const struct thread *thread, const struct company *company)
{
	return thread->folded_until_ns <= company->from_ns ||
	       thread->folded_until_ns == company->folded_ns;
}

/* Tells those who were settled without knowing of this claim, or knowing of another one. */
static void tell(struct join *join, const struct thread *thread, const struct company *own,
		 uint64_t from_ns, uint64_t to_ns)
{
	for (unsigned i = 0; from_ns < to_ns && i < COMPANY_MAX; i++) {
		const struct company *other = &thread->company[i];
		uint64_t start = MAX(from_ns, other->from_ns), end = MIN(to_ns, other->to_ns);

		if (other != own && start < end && is_whole(thread, other) &&
		    overlap(thread, other->trace_id, own, start, end) < end - start)
			trace_settle_again(join->model, other->trace_id);
	}
}

/* ... and those who took a span of theirs for one that crosses its own, which it does not any more:
 * both may have moved, one after the other. */
static void tell_crossed(struct join *join, const struct thread *thread, const struct company *was,
			 const struct company *is)
{
	for (unsigned i = 0; was->own_to_ns && i < COMPANY_MAX; i++) {
		const struct company *other = &thread->company[i];

		if (other != is && company_crossed_ns(was, other) &&
		    !company_crossed_ns(is, other) && is_whole(thread, other))
			trace_settle_again(join->model, other->trace_id);
	}
}

/* Traces may tell each other in a circle: where one lies, then, hangs on where it lay before. From
 * some rounds on each claims all that it has claimed, so that the doubt of all comes to rest. */
static struct company grown(const struct company *was, const struct company *claim)
{
	struct company both = *was;

	if (claim->to_ns)
		extend(&both, claim->from_ns, claim->to_ns);
	return both;
}

static void enter(struct join *join, struct thread *thread, const struct company *claim)
{
	struct company *own = find(join, thread), was = own ? *own : (struct company){ 0 };
	bool is_growing = own && join->trace->rounds >= ROUNDS_GROWING;
	const struct company now = is_growing ? grown(&was, claim) : *claim, *is = &now;
	bool is_last = is->from_ns >= thread->company_until_ns; /* nobody meets it */

	if (was.from_ns == is->from_ns && was.to_ns == is->to_ns &&
	    was.own_from_ns == is->own_from_ns && was.own_to_ns == is->own_to_ns)
		return; /* all others know */
	if (join->trace->rounds >= ROUNDS_MAX) {
		join->limits[LIMIT_rounds]++;
		return;
	}
	if (!own)
		own = add(join, thread);
	if (!own)
		return;
	own->from_ns = is->from_ns;
	own->to_ns = is->to_ns;
	own->own_from_ns = is->own_from_ns;
	own->own_to_ns = is->own_to_ns;
	own->folded_ns = thread->folded_until_ns;
	tell(join, thread, own, was.from_ns, was.to_ns);
	tell_crossed(join, thread, &was, own);
	thread->company_until_ns = MAX(thread->company_until_ns, is->to_ns);
	if (!is_last)
		tell(join, thread, own, is->from_ns, is->to_ns);
}

static bool is_lane(const struct join *join, const struct thread *thread)
{
	for (uint32_t i = 0; i < join->lane_count; i++) {
		if (join->lanes[i]->thread == thread)
			return true;
	}
	return false;
}

/* Claims that it made when it settled before, and makes no more. */
static void withdraw(struct join *join, const struct process *process)
{
	const struct company nothing = { 0 };

	for (struct thread *t = process->threads; t; t = t->next) {
		if (find(join, t) && !is_lane(join, t))
			enter(join, t, &nothing);
	}
}

void company_claim(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++)
		join->nodes[i].is_split = is_split(join, &join->nodes[i]);
	for (uint32_t i = 0; i < join->lane_count; i++) {
		claim(join, join->lanes[i]);
		if (!note_company(join, join->lanes[i]))
			join->out_of_memory = true;
	}
}

void company_note(struct join *join)
{
	const struct process *last = NULL;

	for (uint32_t i = 0; i < join->lane_count; i++)
		enter(join, join->lanes[i]->thread, &join->lanes[i]->claim);
	for (uint32_t i = 0; join->trace->revision && i < join->count; i++) {
		const struct process *process = join->nodes[i].process;

		if (process && process != last)
			withdraw(join, process);
		last = process;
	}
}
