/* SPDX-License-Identifier: Apache-2.0 */
/* Which process made a span: the one whose threads show it, if one does.
 *
 * Several may. Who is asked may take over the context of who asks, and be looked at first, or
 * alone; and processes that were forked with their random numbers draw the same ids. Then it is the
 * one that came to show it in the slice in which it began, if only one did; else the one that its
 * resource names, unless that may be another's, from before a fork; else the one that others of its
 * resource are known to be of. Where these leave it open, or contradict each other, the likeliest
 * is taken, and the span is `inferred`. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

#define MOST_ABOVE 64u /* spans that are asked for */

static struct process *learned_owner(const struct join *join, const struct node *node)
{
	return senders_at(join->model, node->span->resource_key,
			  node->a_ns - MIN(node->bound_ns, node->a_ns),
			  node->b_ns + node->bound_ns);
}

/* It has the span since its fork, also where it shows it again after one of its own. */
static bool is_heir(const struct thread *thread, const struct node *node)
{
	return thread->has_inherited &&
	       memcmp(thread->inherited_tag.span_id, node->span->span_id, SPAN_ID_BYTES) == 0;
}

/* Where it was seen first, of those that did not inherit it: a forked child may be heard of before
 * its parent is. NULL: nowhere. */
static const struct sighting *first_sighting(const struct join *join, const struct node *node)
{
	const struct sighting *best = NULL;

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];
		bool is_worse = best && is_heir(seen->thread, node) > is_heir(best->thread, node);
		bool is_alike = best && is_heir(seen->thread, node) == is_heir(best->thread, node);

		if (!best || (is_alike ? seen->first_ns < best->first_ns : !is_worse))
			best = seen;
	}
	return best;
}

/* What tells of those that show it, and did not inherit it. */
struct contest {
	struct process *claimed; /* by the resource; NULL: none of them */
	struct process *learned; /* of others of the resource; NULL: none of them */
	struct process *begins;  /* one that can have begun it, of so many */
	unsigned begin_count;
	bool has_forked; /* one of the others, which may claim to be that one */
};

/* What was seen then leaves open whether the thread had begun the span: it was not read, or is
 * below it, or may be. */
static bool leaves_open(const struct join *join, const struct node *node, const struct slice *slice)
{
	if (slice->flags & EVENT_TAG_OUT_UNKNOWN)
		return true;
	if (!tag_is_of(slice->tag_out, join->trace->id))
		return false;
	int32_t index = join_find(join, slice->tag_out->span_id);

	for (unsigned i = 0; index >= 0 && i < MOST_ABOVE; i++) {
		if (&join->nodes[index] == node)
			return true;
		index = join->nodes[index].any_parent;
	}
	return join_find(join, slice->tag_out->span_id) < 0;
}

/* It ran as the span began, and no look at it between that and the first that shows the span says
 * that it had something else. */
static bool may_have_begun(const struct join *join, const struct node *node,
			   const struct sighting *seen)
{
	struct timeline_cursor cursor;
	const struct slice *slice;

	timeline_seek(&seen->thread->timeline, MIN(node->a_ns, seen->first_ns), &cursor);
	do
		slice = timeline_next(&cursor);
	while (slice && slice->out_ns + node->bound_ns < node->a_ns);
	if (!slice || slice->in_ns > node->a_ns + node->bound_ns)
		return false;
	while (slice && slice->out_ns < seen->first_ns && leaves_open(join, node, slice))
		slice = timeline_next(&cursor);
	return slice && slice->out_ns >= seen->first_ns;
}

static void hear(struct contest *contest, const struct join *join, const struct node *node,
		 const struct sighting *seen, const struct process *learned)
{
	struct process *process = seen->thread->process;

	if (process == node->span->process)
		contest->claimed = process;
	else
		contest->has_forked |= process->forked;
	if (process == learned)
		contest->learned = process;
	if (contest->begins == process || !may_have_begun(join, node, seen))
		return;
	contest->begins = process;
	contest->begin_count++;
}

/* NULL: nothing tells, or one thing this and another that. */
static struct process *decide(const struct contest *contest)
{
	struct process *told = contest->learned;

	if (contest->claimed && !contest->has_forked)
		told = contest->claimed;
	if (contest->begin_count == 1)
		told = contest->begins;
	return contest->claimed && told != contest->claimed ? NULL : told;
}

/* Shown by `first` and by others. */
static struct process *settle_contest(const struct join *join, struct node *node,
				      struct process *first)
{
	const struct process *learned = learned_owner(join, node);
	struct contest contest = { 0 };

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		if (!is_heir(join->sightings[s].thread, node))
			hear(&contest, join, node, &join->sightings[s], learned);
	}
	struct process *decided = decide(&contest);

	node->is_contested = !decided;
	if (decided)
		return decided;
	return contest.claimed ? contest.claimed : first;
}

static bool ran_at(const struct process *process, const struct node *node)
{
	for (struct thread *t = process->threads; t; t = t->next) {
		struct timeline_cursor cursor;
		const struct slice *slice;

		timeline_seek(&t->timeline, node->a_ns, &cursor);
		while ((slice = timeline_next(&cursor)) &&
		       slice->out_ns + node->bound_ns < node->a_ns)
			;
		if (slice && slice->in_ns <= node->a_ns + node->bound_ns)
			return true;
	}
	return false;
}

static bool are_named_alike(const struct process *a, const struct process *b)
{
	return a->ns_pid == b->ns_pid ||
	       (a->has_instance && b->has_instance &&
		strcmp(a->service_instance_id, b->service_instance_id) == 0);
}

static bool may_have_begun_in(const struct join *join, const struct node *node)
{
	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		if (may_have_begun(join, node, &join->sightings[s]))
			return true;
	}
	return false;
}

/* None but this process shows it, whose threads came to that later than it began. Who is told to be
 * its process was at work then, and may have had it between two looks. (The dear questions last:
 * timelines are unpacked for them.) */
static bool may_be_taken_over(struct join *join, const struct node *node,
			      const struct process *process)
{
	const struct process *told = node->span->process;

	if (!told) {
		/* may be told later */
		join->is_guessed |= !senders_are_known(join->model, node->span->resource_key);
		told = learned_owner(join, node);
	}
	return told && told != process && told->has_tags && !are_named_alike(told, process) &&
	       !may_have_begun_in(join, node) && ran_at(told, node);
}

static bool has_others(const struct join *join, const struct node *node,
		       const struct process *process)
{
	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct thread *thread = join->sightings[s].thread;

		if (thread->process != process && !is_heir(thread, node))
			return true;
	}
	return false;
}

static struct process *seen_in(struct join *join, struct node *node)
{
	const struct sighting *first = first_sighting(join, node);
	struct process *process = first ? first->thread->process : NULL;

	if (!first || is_heir(first->thread, node))
		return process;
	if (has_others(join, node, process)) {
		join->is_guessed = true;
		return settle_contest(join, node, process);
	}
	node->is_contested = may_be_taken_over(join, node, process);
	return process;
}

/* What those of the trace that were seen say of a resource. NULL: nothing, or different things. */
static struct process *owner_here(const struct join *join, uint64_t resource_key)
{
	struct process *owner = NULL;

	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];

		if (node->sightings < 0 || node->is_contested ||
		    node->span->resource_key != resource_key)
			continue;
		if (owner && owner != node->process)
			return NULL;
		owner = node->process;
	}
	return owner;
}

/* From another process, or another node, for all that it says. */
static bool came_in(const struct node *node)
{
	return node->span->kind == SPAN_KIND_SERVER || node->span->kind == SPAN_KIND_CONSUMER ||
	       (node->span->flags & W3C_REMOTE) == W3C_REMOTE;
}

static struct node *any_parent(const struct join *join, const struct node *node)
{
	return node->any_parent >= 0 ? &join->nodes[node->any_parent] : NULL;
}

static bool is_asked_by(const struct join *join, const struct node *node,
			const struct process *process)
{
	const struct node *parent = any_parent(join, node);

	return came_in(node) && parent && parent->process == process;
}

/* Others of the trace do not tell for sure where several processes send that resource, or where it
 * is another's than who asks: a service that runs twice may ask itself. */
static bool is_doubted(const struct join *join, const struct node *node,
		       const struct process *owner)
{
	const struct process *claimed = node->span->process;

	return claimed ? claimed != owner && is_asked_by(join, node, owner)
		       : learned_owner(join, node) != owner;
}

/* Of those that were not seen. */
static void find_by_resource(struct join *join)
{
	const struct node *asked = NULL; /* spans of one resource stand together */
	struct process *owner = NULL;

	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		if (node->process)
			continue;
		join->is_guessed |= !node->span->process;
		if (!asked || asked->span->resource_key != node->span->resource_key)
			owner = owner_here(join, node->span->resource_key);
		asked = node;
		node->process = owner ? owner : node->span->process;
		node->is_contested |= owner && is_doubted(join, node, owner);
		if (!node->process)
			node->process = learned_owner(join, node);
	}
}

/* A parent in the process that made the span: its resource is the same, and the span did not come
 * in from elsewhere, as a service does that asks another one of its kind. */
static struct node *parent_at_home(const struct join *join, const struct node *node)
{
	struct node *parent = any_parent(join, node);

	return parent && !came_in(node) && parent->span->resource_key == node->span->resource_key
		       ? parent
		       : NULL;
}

static void take_from(struct node *node, const struct node *kin)
{
	node->process = kin->process;
	node->is_contested |= kin->is_contested;
}

static void find_by_children(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i], *parent;

		while (node->process && (parent = parent_at_home(join, node)) && !parent->process) {
			take_from(parent, node);
			node = parent;
		}
	}
}

static void find_by_parents(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i], *kin = node;

		for (unsigned k = 0; kin && !kin->process && k < MOST_ABOVE; k++)
			kin = parent_at_home(join, kin);
		if (!node->process && kin && kin->process)
			take_from(node, kin);
	}
}

/* The span was begun in its parent's process, as far as anybody says. */
static bool is_from_parent(const struct node *node)
{
	const struct trace_span *span = node->span;

	return !came_in(node) && (span->is_anonymous || (span->flags & W3C_REMOTE) == W3C_TOLD);
}

/* Of a resource that is not known yet, but most likely a library's own, which works in the process
 * that asks it: then what it takes is not its parent's. */
static void find_by_strange_parents(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i], *kin = node;

		for (unsigned k = 0; kin && !kin->process && k < MOST_ABOVE; k++)
			kin = is_from_parent(kin) ? any_parent(join, kin) : NULL;
		if (node->process || !kin || !kin->process)
			continue;
		node->process = kin->process;
		node->is_contested = true;
	}
}

/* Where several processes have the same resource, as those of a service that runs twice, who is at
 * home with a span that was seen tells best. */
void owner_find(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		join->nodes[i].process = seen_in(join, &join->nodes[i]);
		join->nodes[i].is_contested |= join->nodes[i].span->is_disputed;
	}
	find_by_children(join);
	find_by_parents(join);
	find_by_resource(join);
	find_by_parents(join);
	find_by_strange_parents(join);
}
