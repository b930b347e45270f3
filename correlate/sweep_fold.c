/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a span that has left the timelines: totals by thread and tag (fold.c), put together.
 */
#include "correlate/sweep.h"

#include "collector/base/macros.h"

static void add_split(struct ledger_split *to, const struct ledger_split *from)
{
	to->running_ns += from->running_ns;
	to->runnable_ns += from->runnable_ns;
	for (unsigned r = 0; r < REASON_COUNT; r++)
		to->blocked_ns[r] += from->blocked_ns[r];
	to->elsewhere_ns += from->elsewhere_ns;
	to->unknown_ns += from->unknown_ns;
}

static uint64_t split_total(const struct ledger_split *split)
{
	return split->running_ns + split->runnable_ns + ledger_blocked_ns(split) +
	       split->elsewhere_ns + split->unknown_ns;
}

static void add_fold_waits(struct sweep *sweep, const struct fold *fold, bool is_self)
{
	for (uint32_t i = 0; i < fold->wait_count; i++) {
		const struct fold_wait *from = &fold->waits[i];
		const struct wait_key key = { &from->target, from->stack, from->syscall,
					      from->reason };
		struct ledger_wait *to = sweep_wait_find(sweep->ledger, &key);

		to->ns += from->ns;
		to->self_ns += is_self ? from->ns : 0;
		to->count += from->count;
		to->longest_ns = MAX(to->longest_ns, from->longest_ns);
	}
}

static void add_fold(struct sweep *sweep, const struct fold *fold, bool is_self)
{
	struct ledger *ledger = sweep->ledger;

	add_split(&ledger->all, &fold->split);
	if (is_self) {
		add_split(&ledger->self, &fold->split);
		ledger->cpu_self_ns += fold->cpu_ns;
	}
	ledger->cpu_ns += fold->cpu_ns;
	ledger->preempted_ns += fold->preempted_ns;
	ledger->throttled_ns += fold->throttled_ns;
	ledger->yielded_ns += fold->yielded_ns;
	ledger->uncertain_ns += fold->uncertain_ns;
	add_fold_waits(sweep, fold, is_self);
}

/* The node that it counts for: its own span's, or the local root where that was never exported. */
static int32_t fold_owner(const struct sweep *sweep, const struct folded *folded)
{
	int32_t root = sweep->index;

	if (folded->owner >= 0)
		return folded->owner;
	while (sweep->join->nodes[root].parent >= 0)
		root = sweep->join->nodes[root].parent;
	return root;
}

/* Clears the figures of a breakdown that does not fit its time any more: it is unknown then. */
static void give_up_folded(struct sweep *sweep, uint64_t ns)
{
	struct ledger *ledger = sweep->ledger;

	ledger->all = (struct ledger_split){ .unknown_ns = ns };
	ledger->self = (struct ledger_split){ .unknown_ns = ns };
	ledger->preempted_ns = ledger->throttled_ns = ledger->yielded_ns = 0;
	ledger->wait_count = 0;
}

/* A slice in which the tag changed was folded whole, as uncertain: what does not fit was not ours.
 */
static void trim_folded(struct sweep *sweep, uint64_t available_ns)
{
	struct ledger *ledger = sweep->ledger;
	uint64_t total = split_total(&ledger->all);
	uint64_t excess = total - MIN(total, available_ns);

	if (excess > ledger->uncertain_ns || excess > ledger->all.running_ns)
		return;
	ledger->all.running_ns -= excess;
	ledger->cpu_ns -= MIN(excess, ledger->cpu_ns);
	ledger->self.running_ns -= MIN(excess, ledger->self.running_ns);
	ledger->cpu_self_ns -= MIN(excess, ledger->cpu_self_ns);
}

/* Until when slices that may have been the span's were folded: those of the threads that it was
 * seen on, or is taken to have been on; of any, if of none. */
static uint64_t folded_until(const struct sweep *sweep)
{
	const struct join *join = sweep->join;
	uint64_t until = 0;

	for (int32_t s = sweep->node->sightings; s >= 0; s = join->sightings[s].next)
		until = MAX(until, join->sightings[s].thread->folded_until_ns);
	if (sweep->node->sightings >= 0)
		return until;
	if (sweep->node->placed)
		return sweep->node->placed->thread->folded_until_ns;
	for (const struct thread *t = sweep->node->process->threads; t; t = t->next)
		until = MAX(until, t->folded_until_ns);
	return until;
}

/* What no fold has: a part of a slice between others' tags, or really elsewhere; nobody can tell.
 */
static void miss_folded(struct sweep *sweep, uint64_t ns)
{
	struct ledger *ledger = sweep->ledger;

	if (ns && ns <= LEDGER_EXACT_NS) {
		sweep_elsewhere_uncovered(sweep, ns);
		ledger->uncertain_ns += ns;
	} else {
		ledger->all.unknown_ns += ns;
		ledger->self.unknown_ns += ns;
	}
}

/* All that was folded of spans whose `enter` is less. */
static bool sum_up(struct join *join)
{
	uint64_t sum = 0;

	if (join->folded_ns)
		return true;
	join->folded_ns = arena_alloc(&join->arena, (join->count + 1) * sizeof(*join->folded_ns));
	if (!join->folded_ns)
		return false;
	for (uint32_t i = 0; i < join->folded_count; i++) {
		if (join->folded[i].owner >= 0)
			join->folded_ns[join->nodes[join->folded[i].owner].enter] +=
				split_total(&join->folded[i].observation->fold->split);
	}
	for (uint32_t i = 0; i <= join->count; i++) {
		uint64_t its = join->folded_ns[i];

		join->folded_ns[i] = sum;
		sum += its;
	}
	return true;
}

/* How much of a span's time below ours before `until_ns` no fold has: it may lie within ours. */
static uint64_t missing_ns(const struct sweep *sweep, const struct node *node, uint64_t until_ns)
{
	uint64_t start = MAX(node->a_ns, sweep->node->a_ns), end = MIN(node->b_ns, until_ns);
	uint64_t found = sweep->join->folded_ns[node->leave] - sweep->join->folded_ns[node->enter];

	return start < end ? end - start - MIN(found, end - start) : 0;
}

/* A child or a rival, of this trace or of another, that the folds do not have took its time from
 * ours, who can say how much. */
static void doubt_folded(struct sweep *sweep, uint64_t until_ns)
{
	struct join *join = sweep->join;
	uint64_t doubt = 0;

	if (!sum_up(join)) {
		join->out_of_memory = true;
		return;
	}
	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *other = &join->nodes[join->by_start[i]];
		int32_t index = (int32_t)join->by_start[i];

		if (other->a_ns >= until_ns)
			break;
		if (other->process == sweep->node->process && other->b_ns > sweep->node->a_ns &&
		    !node_is_below(join, sweep->index, index))
			doubt += node_is_below(join, index, sweep->index)
					 ? missing_ns(sweep, other, until_ns)
					 : MIN(other->b_ns, until_ns) -
						   MAX(other->a_ns, sweep->node->a_ns);
	}
	for (uint32_t i = 0; i < join->lane_count; i++)
		doubt += company_overlap_ns(join->lanes[i], sweep->node->a_ns, until_ns);
	sweep->ledger->uncertain_ns += doubt;
}

static uint64_t outside_ns(const struct node *node, const struct fold *fold)
{
	uint64_t before = node->a_ns - MIN(fold->first_ns, node->a_ns);
	uint64_t after = fold->last_ns - MIN(node->b_ns, fold->last_ns);

	return before + after;
}

/* Of a child's fold, what may lie before our span or after it; and what may be our own, for the
 * child was shown when it was over: nobody can tell how much does. */
static uint64_t beyond_ns(const struct sweep *sweep, int32_t owner, const struct fold *fold)
{
	uint64_t ns = outside_ns(sweep->node, fold) + outside_ns(&sweep->join->nodes[owner], fold);

	return MIN(ns, split_total(&fold->split));
}

/* Totals of what has left the timelines. On one lane they simply add up. Lanes in parallel cannot
 * be told apart any more: that part is unknown. */
void sweep_fold_add(struct sweep *sweep)
{
	const struct thread *only = NULL;
	uint64_t until = folded_until(sweep), total;

	for (uint32_t i = 0; i < sweep->join->folded_count; i++) {
		const struct observation *o = sweep->join->folded[i].observation;
		int32_t owner = fold_owner(sweep, &sweep->join->folded[i]);

		if (!node_is_below(sweep->join, owner, sweep->index) ||
		    o->fold->last_ns <= sweep->node->a_ns || o->fold->first_ns >= sweep->node->b_ns)
			continue;
		sweep->folded_lanes |= only && only != o->thread;
		only = o->thread;
		add_fold(sweep, o->fold, owner == sweep->index);
		if (owner != sweep->index)
			sweep->ledger->uncertain_ns += beyond_ns(sweep, owner, o->fold);
		until = MAX(until, o->thread->folded_until_ns);
	}
	until = MAX(MIN(until, sweep->node->b_ns), sweep->node->a_ns);
	sweep->start_ns = until;
	trim_folded(sweep, until - sweep->node->a_ns);
	total = split_total(&sweep->ledger->all);
	if (sweep->folded_lanes || total > until - sweep->node->a_ns)
		give_up_folded(sweep, until - sweep->node->a_ns);
	else
		miss_folded(sweep, until - sweep->node->a_ns - total);
	if (until > sweep->node->a_ns)
		doubt_folded(sweep, until);
}
