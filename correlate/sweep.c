/* SPDX-License-Identifier: Apache-2.0 */
/* Segments into the ledger of one span: one sweep over its time.
 *
 * At each instant: running if a lane is on a CPU, else runnable, else blocked, else unknown, else
 * elsewhere. Among lanes in the deciding state, the one that carries the deepest span decides, then
 * the latest to block. Every instant is given to exactly one state: that is the identity. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/sweep.h"

/* Whom that instant is given to; those that have ended go. `*until_ns` is when the next one ends,
 * if that is earlier. */
static const struct segment *decide(struct sweep *sweep, uint64_t time, uint64_t *until_ns)
{
	const struct segment *best = NULL;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < sweep->active_count; i++) {
		const struct segment *s = sweep->active[i];

		if (s->end_ns <= time)
			continue;
		sweep->active[kept++] = s;
		*until_ns = MIN(*until_ns, s->end_ns);
		if (!best || sweep_decides_over(sweep->join, s, best))
			best = s;
	}
	sweep->active_count = kept;
	return best;
}

static void add_state(struct ledger_split *split, uint8_t state, uint8_t reason, uint64_t ns)
{
	switch (state) {
	case STATE_RUNNING:
		split->running_ns += ns;
		break;
	case STATE_RUNNABLE:
		split->runnable_ns += ns;
		break;
	case STATE_BLOCKED:
		split->blocked_ns[reason] += ns;
		break;
	case STATE_UNKNOWN:
		split->unknown_ns += ns;
		break;
	default:
		split->elsewhere_ns += ns;
		break;
	}
}

static void add_why(struct ledger *ledger, uint8_t why, uint64_t ns)
{
	switch (why) {
	case WHY_PREEMPTED:
		ledger->preempted_ns += ns;
		break;
	case WHY_THROTTLED:
		ledger->throttled_ns += ns;
		break;
	case WHY_YIELDED:
		ledger->yielded_ns += ns;
		break;
	}
}

void sweep_account(struct sweep *sweep, uint64_t start, uint64_t end, const struct segment *s,
		   const struct wait *wait)
{
	struct ledger *ledger = sweep->ledger;
	uint64_t ns = end - start;
	uint8_t reason;
	bool is_self;

	if (!s) {
		sweep_elsewhere_add(sweep, start, end);
		return;
	}
	is_self = s->carrier == sweep->index;
	reason = s->state == STATE_BLOCKED ? wait->reason : 0;
	add_state(&ledger->all, s->state, reason, ns);
	if (is_self)
		add_state(&ledger->self, s->state, reason, ns);
	if (s->state == STATE_RUNNING && s->stack >= STACK_FIRST_ID)
		sweep_stack_add(ledger, s->stack, ns, is_self);
	if (s->state == STATE_BLOCKED)
		sweep_wait_add(sweep, s, wait, start, end, is_self);
	if (s->state == STATE_RUNNABLE)
		add_why(ledger, s->why, ns);
	sweep_picture_add(sweep, ns, sweep_picture_what(s->state, reason, s->thread->tid));
}

static void add_sums(struct ledger_split *split, const struct sweep_sums *sums, uint8_t reason)
{
	split->running_ns += sums->running_ns;
	split->runnable_ns += sums->runnable_ns;
	split->blocked_ns[reason] += sums->blocked_ns;
}

void sweep_account_sums(struct sweep *sweep, const struct sweep_sums *sums, const struct segment *s,
			const struct wait *wait, uint64_t stack)
{
	struct ledger *ledger = sweep->ledger;
	bool is_self = s->carrier == sweep->index;

	add_sums(&ledger->all, sums, wait->reason);
	ledger->cpu_ns += sums->cpu_ns;
	if (is_self) {
		add_sums(&ledger->self, sums, wait->reason);
		ledger->cpu_self_ns += sums->cpu_ns;
	}
	if (sums->running_ns && stack >= STACK_FIRST_ID)
		sweep_stack_add(ledger, stack, sums->running_ns, is_self);
	if (sums->waits)
		sweep_wait_add_sums(sweep, s, wait, sums, is_self);
	add_why(ledger, s->why, sums->runnable_ns);
}

void sweep_take(struct sweep *sweep, const struct segment *s)
{
	uint64_t start = MAX(s->start_ns, sweep->start_ns);
	uint64_t end = MIN(s->end_ns, sweep->node->b_ns);
	uint64_t cpu = s->cpu_ns;

	if (s->state != STATE_RUNNING || start >= end)
		return;
	if (end - start < s->end_ns - s->start_ns)
		cpu = (uint64_t)((unsigned __int128)cpu * (end - start) /
				 (s->end_ns - s->start_ns));
	sweep->ledger->cpu_ns += cpu;
	if (s->carrier == sweep->index)
		sweep->ledger->cpu_self_ns += cpu;
}

static uint32_t first_segment(const struct join *join, uint64_t time)
{
	uint32_t low = 0, high = join->segment_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (join->segment_max_end[middle] <= time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct segment *next_of(const struct sweep *sweep, uint32_t *at)
{
	const struct join *join = sweep->join;

	for (; *at < join->segment_count; (*at)++) {
		const struct segment *s = &join->segments[*at];

		if (s->start_ns >= sweep->node->b_ns)
			break;
		if (s->end_ns > sweep->start_ns &&
		    (s->carrier == sweep->index || node_is_below(join, s->carrier, sweep->index)))
			return s;
	}
	return NULL;
}

static void take(struct sweep *sweep, const struct segment *s)
{
	if (sweep->active_count < SWEEP_MAX_LANES)
		sweep->active[sweep->active_count++] = s;
	sweep_take(sweep, s);
}

/* While a lane runs, it does not matter what others that do not are at. */
static bool is_hidden(const struct sweep *sweep, const struct segment *s,
		      const struct segment *best)
{
	return best && best->state == STATE_RUNNING && s->state != STATE_RUNNING &&
	       sweep->active_count < SWEEP_MAX_LANES / 2;
}

static void run(struct sweep *sweep)
{
	uint32_t at = first_segment(sweep->join, sweep->start_ns);
	const struct segment *next = next_of(sweep, &at), *best;
	uint64_t time = sweep->start_ns, until;

	sweep->first_seen_ns = next ? next->start_ns : UINT64_MAX;
	for (; time < sweep->node->b_ns; time = until) {
		until = sweep->node->b_ns;
		for (; next && next->start_ns <= time; at++, next = next_of(sweep, &at))
			take(sweep, next);
		best = decide(sweep, time, &until);
		if (best && best->state == STATE_RUNNING)
			until = MIN(best->end_ns, sweep->node->b_ns);
		for (; next && next->start_ns < until && is_hidden(sweep, next, best);
		     at++, next = next_of(sweep, &at))
			take(sweep, next);
		if (next)
			until = MIN(until, next->start_ns);
		sweep_account(sweep, time, until, best,
			      best && best->wait >= 0 ? &sweep->join->waits[best->wait] : NULL);
	}
}

static bool shows(const struct event_tag *tag, const struct observation *o)
{
	return !tag_is_none(tag) && memcmp(tag->span_id, o->span_id, SPAN_ID_BYTES) == 0;
}

/* What a forked child burned while it still showed this span by inheritance. */
static void add_forked(struct sweep *sweep)
{
	const struct join *join = sweep->join;

	for (uint32_t n = 0; n < join->forked_count; n++) {
		const struct observation *o = join->forked[n];
		const struct lane *lane;

		if (memcmp(o->span_id, sweep->node->span->span_id, SPAN_ID_BYTES) != 0)
			continue;
		lane = join_lane(sweep->join, o->thread);
		for (uint32_t i = 0; lane && i < lane->count; i++) {
			const struct slice *slice = &lane->slices[i];

			if (slice->out_ns <= o->thread->inherited_until_ns &&
			    (!o->thread->has_makers || shows(slice->tag_out, o)))
				sweep->ledger->forked_cpu_ns += slice->booked_ns;
		}
	}
}

/* How long the threads of the process ran while the span was open: no more can be its own. */
static uint64_t most_cpu_ns(const struct sweep *sweep)
{
	uint64_t from = sweep->node->a_ns, to = sweep->node->b_ns, ran = 0;

	for (struct thread *t = sweep->node->process->threads; t; t = t->next) {
		const struct lane *lane = t->seen ? join_lane(sweep->join, t) : NULL;
		uint64_t folded = MAX(MIN(t->folded_until_ns, to), from);

		ran += folded - from;
		if (lane)
			ran += lane_ran_ns(lane, folded, to);
	}
	return ran;
}

/* What the span's edges may be off, and those of its children. */
static uint64_t edges_ns(const struct node *node)
{
	return node->bound_ns + node->skew_ns + node->grain_ns;
}

/* As many as may have carried it whenever it was. */
static uint64_t count_threads(const struct process *process)
{
	uint64_t count = 0;

	for (const struct thread *t = process->threads; t; t = t->next)
		count += t->seen;
	return count;
}

/* Every doubt is a stretch of the span's own time, which several may share: together they are no
 * more than all of it. What its edges may be off comes on top; if it may have been at quite another
 * time, all of it is in doubt, on all threads. */
static void cap_uncertain(const struct sweep *sweep)
{
	const struct node *node = sweep->node;
	struct ledger *ledger = sweep->ledger;
	uint64_t edges = edges_ns(node);
	uint64_t doubt = ledger->uncertain_ns - edges;

	if (node->astray_ns >= ledger->wall_ns) {
		doubt = ledger->wall_ns * MAX(count_threads(node->process), 1);
		edges -= node->astray_ns;
	} else if (doubt > ledger->wall_ns) {
		doubt = MIN(doubt, MAX(ledger->wall_ns, most_cpu_ns(sweep)));
	}
	ledger->uncertain_ns = MIN(ledger->uncertain_ns, doubt + edges);
}

/* Where all of its time is in doubt, or nobody knows when that was, no bound is left. */
static bool is_bound(const struct sweep *sweep)
{
	const struct ledger *ledger = sweep->ledger;
	uint64_t edges = edges_ns(sweep->node);

	return ledger->uncertain_ns <= LEDGER_EXACT_NS ||
	       (sweep->node->astray_ns < ledger->wall_ns &&
		ledger->uncertain_ns - edges < ledger->wall_ns);
}

/* Edges that are off by more than that are in doubt by themselves. */
static bool is_lost(const struct sweep *sweep)
{
	const struct node *node = sweep->node;
	const struct model *model = sweep->join->model;
	uint64_t sure_end_ns = node->b_ns - MIN(edges_ns(node), node->b_ns);

	return blind_within(node->process, node->a_ns, node->b_ns) ||
	       moved_within(node->process, node->a_ns, node->b_ns) ||
	       loss_within(model, node->process, node->a_ns, node->b_ns, node->sightings >= 0) ||
	       loss_is_awaited(model, node->process, sure_end_ns);
}

static void grade(const struct sweep *sweep)
{
	struct ledger *ledger = sweep->ledger;
	const struct node *node = sweep->node;

	if (node->partial || is_lost(sweep) || ledger->all.unknown_ns ||
	    sweep->join->trace->over_limit || sweep->join->out_of_memory ||
	    sweep->active_count == SWEEP_MAX_LANES)
		ledger->grade = GRADE_PARTIAL;
	else if (node->sightings < 0 && (node->inferred || !node->placed) &&
		 ledger->all.elsewhere_ns == ledger->wall_ns - ledger->all.running_ns)
		ledger->grade = GRADE_INFERRED;
	else if ((node->sightings < 0 && node->inferred) || node->is_contested ||
		 node->is_instant || !is_bound(sweep))
		ledger->grade = GRADE_INFERRED;
	else
		ledger->grade =
			ledger->uncertain_ns <= LEDGER_EXACT_NS ? GRADE_EXACT : GRADE_BOUNDED;
}

static uint8_t why_none(const struct sweep *sweep)
{
	const struct model *model = sweep->join->model;
	const struct process *process = sweep->node->process;

	if (!model->kernel)
		return NONE_NO_KERNEL;
	if (!process)
		return NONE_NO_PROCESS;
	if (!process->has_records)
		return process->publish == PUBLISH_TAGS ? NONE_BEFORE_START : NONE_NO_TAGS;
	if (sweep->node->b_ns <= process->first_ns)
		return NONE_BEFORE_START;
	/* The variable is there, but nobody writes it or has announced that he will: nothing is
	 * known of where the span ran. */
	if (!process->has_tags && !process->service_instance_id[0] &&
	    (sweep->node->inferred || !sweep->node->placed))
		return NONE_NO_TAGS;
	return NONE_NOT_SET;
}

static void give_arrays(struct ledger *ledger, struct ledger_room *room)
{
	ledger->waits = room->waits;
	ledger->items = room->items;
	ledger->links = room->links;
	ledger->slices = room->slices;
	ledger->stacks = room->stacks;
}

static bool keep_array(struct arena *arena, void **array, size_t bytes)
{
	void *copy = arena_alloc(arena, bytes);

	if (copy)
		memcpy(copy, *array, bytes);
	*array = copy;
	return copy;
}

static bool keep_arrays(struct ledger *ledger, struct arena *arena)
{
	return keep_array(arena, (void **)&ledger->waits,
			  ledger->wait_count * sizeof(*ledger->waits)) &&
	       keep_array(arena, (void **)&ledger->items,
			  ledger->item_count * sizeof(*ledger->items)) &&
	       keep_array(arena, (void **)&ledger->links,
			  ledger->link_count * sizeof(*ledger->links)) &&
	       keep_array(arena, (void **)&ledger->slices,
			  ledger->slice_count * sizeof(*ledger->slices)) &&
	       keep_array(arena, (void **)&ledger->stacks,
			  ledger->stack_count * sizeof(*ledger->stacks));
}

static void begin(const struct sweep *sweep)
{
	const struct node *node = sweep->node;

	*sweep->ledger = (struct ledger){
		.start_unix_ns = node->span->start_unix_ns,
		.wall_ns = node->span->end_unix_ns - node->span->start_unix_ns,
		.pid = node->process ? node->process->pid : 0,
		.is_local_root = node->parent < 0,
		.none_cause = why_none(sweep),
	};
	memcpy(sweep->ledger->trace_id, sweep->join->trace->id, TRACE_ID_BYTES);
	memcpy(sweep->ledger->span_id, node->span->span_id, SPAN_ID_BYTES);
}

static void give_up(const struct sweep *sweep)
{
	begin(sweep);
	sweep->ledger->none_cause = NONE_NO_PROCESS;
}

void sweep_node(struct join *join, int32_t index, struct ledger_room *room,
		struct ledger *out_ledger)
{
	const struct node *node = &join->nodes[index];
	struct sweep sweep = { .join = join,
			       .ledger = out_ledger,
			       .node = node,
			       .index = index,
			       .active = room->active };

	begin(&sweep);
	if (out_ledger->none_cause)
		return;
	give_arrays(out_ledger, room);
	doubt_tell(node, node->bound_ns + node->skew_ns);
	out_ledger->uncertain_ns = node->uncertain_ns + node->bound_ns + node->skew_ns;
	sweep.offset_ns = node->span->start_unix_ns - node->a_ns;
	sweep_fold_add(&sweep);
	sweep_picture_begin(&sweep, &room->picture);
	if (join->segment_max_end)
		run(&sweep);
	else
		sweep_lanes(&sweep);
	sweep_elsewhere_doubt(&sweep);
	add_forked(&sweep);
	sweep_wait_link_servers(&sweep);
	sweep_wait_sort(out_ledger);
	sweep_stack_finish(out_ledger);
	sweep_picture_finish(&sweep);
	cap_uncertain(&sweep);
	grade(&sweep);
	assert(ledger_adds_up(out_ledger));
	assert(ledger_stacks_add_up(out_ledger));
	if (!keep_arrays(out_ledger, &join->arena))
		give_up(&sweep);
}
