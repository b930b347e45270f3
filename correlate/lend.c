/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that carry another thread's span: beside it (contexts that are copied to a pool, say), or
 * after it, for it was handed on.
 *
 * Where they do, a thread that shows no span at two looks may have worked for one in between, and
 * nothing tells of it, if it made no span of its own; and who hands on a span within another one
 * goes on with that. The records show what a process does: a span is seen on two threads, at the
 * same time or not. Who does so once does so before and afterwards: a minute of both is taken for
 * the same. */
#include "collector/base/macros.h"
#include "correlate/overlay.h"

#define APART_NS 20000 /* clocks that are off by less are not known to be */

static const struct sighting *beside(const struct join *join, const struct sighting *seen)
{
	for (int32_t s = seen->next; s >= 0; s = join->sightings[s].next) {
		const struct sighting *other = &join->sightings[s];

		if (other->first_ns < seen->last_ns && seen->first_ns < other->last_ns)
			return other;
	}
	return NULL;
}

static bool is_lent(const struct join *join, const struct node *node)
{
	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		if (beside(join, &join->sightings[s]))
			return true;
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

/* A span of the process's was open then that others carry. */
static bool is_open_elsewhere(const struct join *join, const struct observation *o)
{
	int32_t found[OVERLAY_MAX_SPANS];
	uint32_t count = join_overlapping(join, o->thread->process, o->first_ns, o->first_ns + 1,
					  found, OVERLAY_MAX_SPANS);

	for (uint32_t i = 0; i < count; i++) {
		if (join->nodes[found[i]].sightings >= 0)
			return true;
	}
	return false;
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

bool lend_may_be(const struct join *join, const struct node *node)
{
	return turns_taken(&node->process->habits.lent, node->a_ns, node->b_ns) ||
	       is_lent(join, node);
}
