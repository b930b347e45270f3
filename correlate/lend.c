/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that carry another thread's span: beside it (contexts that are copied to a pool, say), or
 * after it, for it was handed on.
 *
 * Where they do, a thread that shows no span at two looks may have worked for one in between, and
 * nothing tells of it, if it made no span of its own; and who hands on a span within another one
 * goes on with that. The records show what a process does: a span is seen on two threads, at the
 * same time or not. Who does so once does so before and afterwards: a minute of both is taken for
 * the same. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define APART_NS    20000 /* clocks that are off by less are not known to be */
#define MOST_SLICES 256   /* of a span on a thread: whether it shows the parent in between */

/* Both of its own process: a forked child that still has it in its context lends nothing. */
static bool are_beside(const struct node *node, const struct sighting *a, const struct sighting *b)
{
	return a->thread->process == node->process && b->thread->process == node->process &&
	       b->first_ns < a->last_ns && a->first_ns < b->last_ns;
}

static bool is_lent(const struct join *join, const struct node *node)
{
	for (int32_t a = node->sightings; a >= 0; a = join->sightings[a].next) {
		for (int32_t b = join->sightings[a].next; b >= 0; b = join->sightings[b].next) {
			if (are_beside(node, &join->sightings[a], &join->sightings[b]))
				return true;
		}
	}
	return false;
}

/* One within another span; a root that is handed on leaves nothing to go on with. */
static bool is_handed_on(const struct join *join, const struct node *node)
{
	const struct thread *first = NULL;

	for (int32_t s = node->parent < 0 ? -1 : node->sightings; s >= 0;
	     s = join->sightings[s].next) {
		const struct thread *thread = join->sightings[s].thread;

		if (thread->process != node->process)
			continue;
		if (first && thread != first)
			return true;
		first = thread;
	}
	return false;
}

/* One thread showed it, which was not on a CPU at its start, or its end: another one began it, or
 * ended it. A root that waits in a queue had none of the time of who began it. */
static bool is_kept_apart(struct join *join, const struct node *node)
{
	const struct sighting *seen =
		node->parent < 0 || node->sightings < 0 ? NULL : &join->sightings[node->sightings];
	struct lane *lane = NULL;

	if (seen && seen->next < 0 && !(seen->thread->last_flags & EVENT_TOLD))
		lane = join_lane(join, seen->thread);
	if (!lane || !lane->count)
		return false;
	return handed_away(lane, node, node->a_ns, APART_NS) ||
	       handed_away(lane, node, MAX(node->b_ns, 1) - 1, APART_NS);
}

/* Its last thread was not on a CPU at its end: another one ended it. Of threads that do not tell
 * their changes that is asked for roots alone; is_kept_apart() asks for others. */
static bool is_left(struct join *join, const struct node *node)
{
	int32_t index = (int32_t)(node - join->nodes);
	const struct sighting *seen = handed_seen_at(join, node->process, index, true);
	struct lane *lane = NULL;

	if (seen && (node->parent < 0 || seen->thread->last_flags & EVENT_TOLD))
		lane = join_lane(join, seen->thread);
	return lane && lane->count && handed_away(lane, node, MAX(node->b_ns, 1) - 1, APART_NS);
}

/* Somebody has shown it, then the thread its parent, then the thread the span. */
static bool is_resumed_on(struct join *join, const struct node *node, const struct sighting *seen,
			  uint64_t first_ns)
{
	const uint8_t *parent_id = node->span->parent_id;
	const struct lane *lane = join_lane(join, seen->thread);
	uint32_t at = lane ? lane_first_after(lane, first_ns) : 0, left = MOST_SLICES;

	for (; lane && at < lane->count && lane->slices[at].out_ns < seen->last_ns && left--;
	     at++) {
		const struct slice *slice = &lane->slices[at];

		if (slice->flags & EVENT_TOLD)
			return false;
		if (!tag_is_none(slice->tag_out) && tag_is_of(slice->tag_out, join->trace->id) &&
		    memcmp(slice->tag_out->span_id, parent_id, SPAN_ID_BYTES) == 0)
			return true;
	}
	return false;
}

/* A thread that has the parent comes to it in its midst, be it that it had put it aside. */
static bool is_resumed(struct join *join, const struct node *node)
{
	const struct sighting *first =
		handed_seen_at(join, node->process, (int32_t)(node - join->nodes), false);

	for (int32_t s = node->parent < 0 || !first ? -1 : node->sightings; s >= 0;
	     s = join->sightings[s].next) {
		const struct sighting *seen = &join->sightings[s];

		if (seen->thread->process == node->process &&
		    is_resumed_on(join, node, seen, first->first_ns))
			return true;
	}
	return false;
}

/* No look has told who has it, and the thread may have begun it. */
static bool may_be_of(struct join *join, struct thread *thread, const struct node *node)
{
	const struct lane *lane = node->sightings < 0 ? join_lane(join, thread) : NULL;

	return lane && lane_ran_at_edge(lane, node, node->a_ns);
}

/* A span of the process's was open then that others carry; and none that may have been the
 * thread's, which it was in. */
static bool is_open_elsewhere(struct join *join, const struct observation *o)
{
	int32_t found[OVERLAY_MAX_SPANS];
	uint32_t count = join_overlapping(join, o->thread->process, o->first_ns, o->first_ns + 1,
					  found, OVERLAY_MAX_SPANS);
	bool is_open = false;

	for (uint32_t i = 0; i < count; i++) {
		if (may_be_of(join, o->thread, &join->nodes[found[i]]))
			return false;
		is_open |= join->nodes[found[i]].sightings >= 0;
	}
	return is_open;
}

static void mark_shows(struct join *join, bool shows)
{
	for (uint32_t i = 0; i < join->sighting_count; i++)
		join->sightings[i].thread->shows = shows;
}

/* Threads that show spans of the trace which nobody exports, and none else: these were begun within
 * another thread's, and handed to them. */
static void learn_hidden(struct join *join)
{
	mark_shows(join, true);
	for (const struct observation *o = join->trace->observations; o; o = o->next) {
		struct process *process = o->thread->process;
		bool is_told = o->thread->last_flags & EVENT_TOLD; /* then nothing is unseen */

		if (!o->inherited && !is_told && !o->thread->shows && is_open_elsewhere(join, o))
			lesson_note(join, LESSON_LENT, process, NULL, o->first_ns, o->last_ns);
	}
	mark_shows(join, false);
}

static void learn(struct join *join, enum lesson_kind kind, const struct node *node)
{
	lesson_note(join, kind, node->process, NULL, node->a_ns, node->b_ns);
}

void lend_learn(struct join *join)
{
	learn_hidden(join);
	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];

		if (node->process && is_lent(join, node))
			learn(join, LESSON_LENT, node);
		if (node->process && is_handed_on(join, node))
			learn(join, LESSON_HANDED, node);
		if (node->process && is_kept_apart(join, node))
			learn(join, LESSON_APART, node);
		if (node->process && is_left(join, node))
			learn(join, LESSON_LEFT, node);
		if (node->process && is_resumed(join, node))
			learn(join, LESSON_RESUMED, node);
	}
}

bool lend_may_be_handed_on(const struct join *join, const struct node *node)
{
	return turns_taken(&node->process->habits.handed, node->a_ns, node->b_ns) ||
	       is_handed_on(join, node);
}

bool lend_may_be_apart(const struct node *node)
{
	return turns_taken(&node->process->habits.apart, node->a_ns, node->b_ns);
}

bool lend_may_be_left(const struct node *node)
{
	return turns_taken(&node->process->habits.left, node->a_ns, node->b_ns);
}

bool lend_may_be(const struct join *join, const struct node *node)
{
	return turns_taken(&node->process->habits.lent, node->a_ns, node->b_ns) ||
	       is_lent(join, node);
}

bool lend_may_be_resumed(const struct process *process, uint64_t from_ns, uint64_t to_ns)
{
	return turns_taken(&process->habits.resumed, from_ns, to_ns);
}
