/* SPDX-License-Identifier: Apache-2.0 */
/* SDKs whose clocks are not the machine's: read once, when the process began, say, and the time of
 * day was set since.
 *
 * The tags tell. A span cannot start after it was first seen: its clock is ahead by that. One that
 * is seen after its end has a clock that is behind, or somebody still works in its context; but a
 * clock can be no further behind than from any span's start to when that was first seen, nor
 * further ahead than from when one was last seen to its end. What some spans of a process show is
 * in doubt for all of them, a minute before and after, as long as the time of day is not set. */
#include "collector/base/macros.h"
#include "correlate/join.h"

#define MOST_CLOCKS 16   /* processes of a trace; of further ones each span is on its own */
#define LEAST_NS    5000 /* from a span's edge to its tag's: no skew */

struct skew_of {
	struct process *process;
	struct clock_skew skew;
};

struct skews {
	struct skew_of all[MOST_CLOCKS];
	uint32_t count;
};

static const struct clock_skew no_skew = { .most_ahead_ns = UINT64_MAX,
					   .most_behind_ns = UINT64_MAX };

static uint64_t beyond(uint64_t ns, uint64_t than_ns)
{
	return ns - MIN(ns, than_ns);
}

static uint64_t if_more(uint64_t ns, uint64_t than_ns)
{
	return ns > than_ns ? ns : 0;
}

static void add(struct clock_skew *to, const struct clock_skew *from)
{
	to->ahead_ns = MAX(to->ahead_ns, from->ahead_ns);
	to->behind_ns = MAX(to->behind_ns, from->behind_ns);
	to->most_ahead_ns = MIN(to->most_ahead_ns, from->most_ahead_ns);
	to->most_behind_ns = MIN(to->most_behind_ns, from->most_behind_ns);
}

static uint64_t doubt_of(const struct clock_skew *skew)
{
	return MAX(MIN(skew->ahead_ns, skew->most_ahead_ns),
		   MIN(skew->behind_ns, skew->most_behind_ns));
}

static struct clock_skew *find(struct skews *skews, struct process *process)
{
	for (uint32_t i = 0; i < skews->count; i++) {
		if (skews->all[i].process == process)
			return &skews->all[i].skew;
	}
	if (!process || skews->count == MOST_CLOCKS)
		return NULL;
	skews->all[skews->count] = (struct skew_of){ process, no_skew };
	return &skews->all[skews->count++].skew;
}

/* Nobody has to detach a span before the thread ends: it may have ended at any time before. */
static bool is_left_at_end(const struct sighting *sighting)
{
	return sighting->thread->dead && sighting->last_ns >= sighting->thread->last_out_ns;
}

/* What a span shows that was seen in its own process. */
static struct clock_skew look(const struct join *join, const struct node *node)
{
	uint64_t first = UINT64_MAX, last = 0, end = node->b_ns + node->cut_ns;
	uint64_t least = node->bound_ns;

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *sighting = &join->sightings[s];

		if (sighting->thread->process != node->process)
			continue;
		first = MIN(first, sighting->first_ns);
		last = MAX(last, is_left_at_end(sighting) ? sighting->first_ns : sighting->last_ns);
	}
	if (first > last)
		return no_skew;
	return (struct clock_skew){ .ahead_ns = if_more(beyond(node->a_ns, first), least),
				    .behind_ns = if_more(beyond(last, end), least + LEAST_NS),
				    .most_ahead_ns = beyond(end, last) + node->bound_ns,
				    .most_behind_ns = beyond(first, node->a_ns) + node->bound_ns };
}

static void look_at_all(const struct join *join, struct skews *skews)
{
	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];
		struct clock_skew *skew = find(skews, node->process), its;

		if (!skew)
			continue;
		its = look(join, node);
		add(skew, &its);
	}
}

static bool is_known(const struct join *join, const struct process *process)
{
	return turns_taken(&process->skewed, join->from_ns, join->to_ns) &&
	       process->skew_unset_ns == clock_map_unset_since(&join->model->clocks, join->from_ns);
}

void skew_doubt(struct join *join)
{
	struct skews skews = { .count = 0 };

	look_at_all(join, &skews);
	for (uint32_t i = 0; i < skews.count; i++) {
		if (is_known(join, skews.all[i].process))
			add(&skews.all[i].skew, &skews.all[i].process->skew);
	}
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];
		const struct clock_skew *skew = find(&skews, node->process);
		uint64_t ahead = look(join, node).ahead_ns;

		node->skew_ns += MAX(ahead, skew ? doubt_of(skew) : 0);
	}
}

void skew_learn(struct join *join)
{
	struct skews skews = { .count = 0 };

	look_at_all(join, &skews);
	for (uint32_t i = 0; i < skews.count; i++) {
		struct process *process = skews.all[i].process;
		uint64_t was = doubt_of(&process->skew), now;

		if (!is_known(join, process)) {
			process->skew = no_skew;
			process->skewed = (struct turns_period){ 0, 0 };
		}
		add(&process->skew, &skews.all[i].skew);
		turns_extend(&process->skewed, join->from_ns);
		turns_extend(&process->skewed, join->to_ns);
		process->skew_unset_ns = clock_map_unset_since(&join->model->clocks, join->from_ns);
		now = doubt_of(&process->skew);
		if (MAX(was, now) - MIN(was, now) > LEDGER_EXACT_NS)
			relearn_process(join->model, process,
					join->from_ns - MIN(join->from_ns, TRACE_HOLD_NS));
	}
}
