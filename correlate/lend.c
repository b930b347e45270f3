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
#include "correlate/join.h"

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

static void learn(struct join *join, const struct node *node, struct turns_period *period)
{
	bool is_new = turns_extend(period, node->a_ns);

	is_new |= turns_extend(period, node->b_ns);
	if (is_new)
		relearn_process(join->model, node->process,
				node->a_ns - MIN(node->a_ns, TRACE_HOLD_NS));
}

void lend_learn(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];

		if (node->process && is_lent(join, node))
			learn(join, node, &node->process->lent);
		if (node->process && is_handed_on(join, node))
			learn(join, node, &node->process->handed);
	}
}

bool lend_may_be_handed_on(const struct join *join, const struct node *node)
{
	return turns_taken(&node->process->handed, node->a_ns, node->b_ns) ||
	       is_handed_on(join, node);
}

bool lend_may_be(const struct join *join, const struct node *node)
{
	return turns_taken(&node->process->lent, node->a_ns, node->b_ns) || is_lent(join, node);
}
