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
#include "correlate/join.h"

#define SWEEP_MAX_LANES 1024 /* that carry one span at the same instant */

struct sweep {
	struct join *join;
	struct ledger *ledger;
	const struct node *node;
	int32_t index;
	const struct segment *active[SWEEP_MAX_LANES];
	uint32_t active_count;
	uint64_t first_seen_ns;
	uint64_t wait_seen_ns; /* start of the wait counted last */
	uint32_t slice_overflow;
	int32_t *children; /* by start: their edges split what is elsewhere */
	uint32_t child_count;
	uint64_t offset_ns; /* Unix minus monotonic, at the span's start */
	uint64_t start_ns;  /* what lies before was folded */
	bool folded_lanes;  /* on several threads: how they overlapped is not known any more */
};

static unsigned rank(uint8_t state)
{
	static const unsigned ranks[] = {
		[STATE_RUNNING] = 4, [STATE_RUNNABLE] = 3,  [STATE_BLOCKED] = 2,
		[STATE_UNKNOWN] = 1, [STATE_ELSEWHERE] = 0,
	};

	return ranks[state];
}

static const struct segment *decide(const struct sweep *sweep)
{
	const struct segment *best = NULL;

	for (uint32_t i = 0; i < sweep->active_count; i++) {
		const struct segment *s = sweep->active[i];
		uint32_t depth = sweep->join->nodes[s->carrier].depth;

		if (!best || rank(s->state) > rank(best->state)) {
			best = s;
			continue;
		}
		if (s->state != best->state)
			continue;
		if (depth > sweep->join->nodes[best->carrier].depth ||
		    (depth == sweep->join->nodes[best->carrier].depth &&
		     s->since_ns > best->since_ns))
			best = s;
	}
	return best;
}

static void note_slice(struct sweep *sweep, uint64_t start, uint64_t end, const struct segment *s,
		       uint8_t state)
{
	struct ledger *ledger = sweep->ledger;
	struct ledger_slice *last =
		ledger->slice_count ? &ledger->slices[ledger->slice_count - 1] : NULL;
	uint8_t reason = state == STATE_BLOCKED ? sweep->join->waits[s->wait].reason : 0;
	uint32_t tid = s ? s->thread->tid : 0;

	if (last && last->state == state && last->reason == reason && last->tid == tid) {
		last->ns += end - start;
		return;
	}
	if (ledger->slice_count == LEDGER_MAX_SLICES) {
		ledger->slices_truncated = true;
		return;
	}
	ledger->slices[ledger->slice_count++] = (struct ledger_slice){
		.start_unix_ns = start + sweep->offset_ns,
		.ns = end - start,
		.tid = tid,
		.state = state,
		.reason = reason,
	};
}

static bool same_wait(const struct ledger_wait *a, const struct wait *b)
{
	return a->reason == b->reason && a->syscall == b->syscall &&
	       memcmp(&a->target, &b->target, sizeof(a->target)) == 0;
}

static bool is_rest(const struct wait *wait)
{
	return wait->syscall == -1 && wait->target.kind == TARGET_NONE;
}

static struct ledger_wait *find_wait(struct ledger *ledger, const struct wait *wait)
{
	struct ledger_wait *found;

	for (uint16_t i = 0; i < ledger->wait_count; i++) {
		if (same_wait(&ledger->waits[i], wait))
			return &ledger->waits[i];
	}
	if (ledger->wait_count >= LEDGER_MAX_WAITS - REASON_COUNT && !is_rest(wait)) {
		const struct wait rest = { .reason = wait->reason, .syscall = -1 };

		return find_wait(ledger, &rest); /* so that they still add up, reason by reason */
	}
	found = &ledger->waits[ledger->wait_count++];
	*found = (struct ledger_wait){
		.reason = wait->reason,
		.syscall = wait->syscall,
		.target = wait->target,
	};
	return found;
}

static void note_waker(struct ledger_wait *to, const struct event_waker *waker, uint64_t ns)
{
	struct ledger_waker *w;

	for (uint8_t i = 0; i < to->waker_count; i++) {
		w = &to->wakers[i];
		if (w->tid == waker->tid && w->kind == waker->kind &&
		    tag_eq(&w->tag, &waker->tag)) {
			w->ns += ns;
			return;
		}
	}
	if (to->waker_count == LEDGER_MAX_WAKERS)
		return;
	w = &to->wakers[to->waker_count++];
	*w = (struct ledger_waker){ .pid = waker->pid,
				    .tid = waker->tid,
				    .kind = waker->kind,
				    .tag = waker->tag,
				    .ns = ns };
	memcpy(w->comm, waker->comm, sizeof(w->comm));
}

static void note_link(struct ledger *ledger, const struct event_tag *to, uint8_t via, uint64_t ns)
{
	for (uint16_t i = 0; i < ledger->link_count; i++) {
		if (ledger->links[i].via == via && tag_eq(&ledger->links[i].to, to)) {
			ledger->links[i].ns += ns;
			return;
		}
	}
	if (ledger->link_count < LEDGER_MAX_LINKS)
		ledger->links[ledger->link_count++] = (struct ledger_link){ *to, via, ns };
}

/* A waker that carried a span of somebody else. */
static void link_waker(struct sweep *sweep, const struct event_waker *waker, uint64_t ns)
{
	int32_t index = -1;

	if (tag_is_none(&waker->tag))
		return;
	if (memcmp(waker->tag.trace_id, sweep->join->trace->id, TRACE_ID_BYTES) == 0)
		index = join_find(sweep->join, waker->tag.span_id);
	if (index < 0 || !node_is_below(sweep->join, index, sweep->index))
		note_link(sweep->ledger, &waker->tag, 0, ns);
}

static void account_wait(struct sweep *sweep, const struct segment *s, uint64_t ns, bool is_self)
{
	const struct wait *wait = &sweep->join->waits[s->wait];
	struct ledger_wait *to = find_wait(sweep->ledger, wait);

	to->ns += ns;
	to->self_ns += is_self ? ns : 0;
	to->longest_ns = MAX(to->longest_ns, wait->raw_ns);
	if (s->since_ns != sweep->wait_seen_ns) {
		to->count++;
		sweep->wait_seen_ns = s->since_ns;
	}
	if (wait->has_waker) {
		note_waker(to, &wait->waker, ns);
		link_waker(sweep, &wait->waker, ns);
	}
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

static struct ledger_item *find_item(struct ledger *ledger, uint8_t kind, const uint8_t *span_id)
{
	struct ledger_item *item;

	for (uint16_t i = 0; i < ledger->item_count; i++) {
		item = &ledger->items[i];
		if (item->kind == kind &&
		    (!span_id || memcmp(item->span_id, span_id, SPAN_ID_BYTES) == 0))
			return item;
	}
	if (ledger->item_count == LEDGER_MAX_ITEMS)
		return NULL;
	item = &ledger->items[ledger->item_count++];
	*item = (struct ledger_item){ .kind = kind };
	if (span_id)
		memcpy(item->span_id, span_id, SPAN_ID_BYTES);
	return item;
}

static int32_t server_below(const struct join *join, int32_t client)
{
	for (uint32_t i = 0; i < join->count; i++) {
		if (join->nodes[i].any_parent == client &&
		    join->nodes[i].process != join->nodes[client].process)
			return (int32_t)i;
	}
	return -1;
}

static void note_child_item(struct sweep *sweep, int32_t child, uint64_t ns)
{
	const struct trace_span *span = sweep->join->nodes[child].span;
	struct ledger_item *item = find_item(sweep->ledger, ITEM_CHILD, span->span_id);
	int32_t server;

	if (!item)
		return;
	if (!item->ns && span->label) {
		const char *peer = span->label + strlen(span->label) + 1;

		memcpy(item->name, span->label, MIN(strlen(span->label), sizeof(item->name) - 1));
		memcpy(item->peer, peer, MIN(strlen(peer), sizeof(item->peer) - 1));
		server = server_below(sweep->join, child);
		if (server >= 0)
			memcpy(item->server_span_id, sweep->join->nodes[server].span->span_id,
			       SPAN_ID_BYTES);
	}
	item->ns += ns;
}

/* The child that covers `time`, outgoing ones first; `*out_until` shrinks to the next edge. */
static int32_t covering_child(const struct sweep *sweep, uint64_t time, uint64_t *out_until)
{
	int32_t best = -1;

	for (uint32_t i = 0; i < sweep->child_count; i++) {
		const struct node *child = &sweep->join->nodes[sweep->children[i]];

		if (child->a_ns > time) {
			*out_until = MIN(*out_until, child->a_ns);
			break;
		}
		if (child->b_ns <= time)
			continue;
		*out_until = MIN(*out_until, child->b_ns);
		if (best < 0 || child->span->label)
			best = sweep->children[i];
	}
	return best;
}

static void account_elsewhere(struct sweep *sweep, uint64_t start, uint64_t end)
{
	struct ledger *ledger = sweep->ledger;

	ledger->all.elsewhere_ns += end - start;
	while (start < end) {
		uint64_t until = end;
		int32_t child = covering_child(sweep, start, &until);
		struct ledger_item *item = NULL;

		if (child >= 0 && sweep->join->nodes[child].span->label)
			note_child_item(sweep, child, until - start);
		else
			item = find_item(
				ledger, start < sweep->first_seen_ns ? ITEM_QUEUED : ITEM_UNCOVERED,
				NULL);
		if (item)
			item->ns += until - start;
		if (child < 0)
			ledger->self.elsewhere_ns += until - start;
		start = until;
	}
}

/* Nobody watched: the daemon was down, or the process was not followed yet. */
static uint64_t unwatched_until(const struct sweep *sweep, uint64_t start, uint64_t end,
				bool *out_unwatched)
{
	const struct model *model = sweep->join->model;
	uint64_t since = sweep->node->process->first_ns;

	*out_unwatched = true;
	if (start < since)
		return MIN(end, since);
	for (unsigned i = 0; i < model->gap_count; i++) {
		const struct gap *gap = &model->gaps[i];

		if (start >= gap->from_ns && start < gap->to_ns)
			return MIN(end, gap->to_ns);
		if (start < gap->from_ns)
			end = MIN(end, gap->from_ns);
	}
	*out_unwatched = false;
	return end;
}

static void account_nobody(struct sweep *sweep, uint64_t start, uint64_t end)
{
	while (start < end) {
		bool unwatched;
		uint64_t until = unwatched_until(sweep, start, end, &unwatched);

		if (unwatched) {
			sweep->ledger->all.unknown_ns += until - start;
			sweep->ledger->self.unknown_ns += until - start;
			note_slice(sweep, start, until, NULL, STATE_UNKNOWN);
		} else {
			account_elsewhere(sweep, start, until);
			note_slice(sweep, start, until, NULL, STATE_ELSEWHERE);
		}
		start = until;
	}
}

static void account(struct sweep *sweep, uint64_t start, uint64_t end)
{
	const struct segment *s = decide(sweep);
	struct ledger *ledger = sweep->ledger;
	uint64_t ns = end - start;
	uint8_t reason;
	bool is_self;

	if (!s) {
		account_nobody(sweep, start, end);
		return;
	}
	is_self = s->carrier == sweep->index;
	reason = s->state == STATE_BLOCKED ? sweep->join->waits[s->wait].reason : 0;
	add_state(&ledger->all, s->state, reason, ns);
	if (is_self)
		add_state(&ledger->self, s->state, reason, ns);
	if (s->state == STATE_BLOCKED)
		account_wait(sweep, s, ns, is_self);
	if (s->state == STATE_RUNNABLE && s->why == WHY_PREEMPTED)
		ledger->preempted_ns += ns;
	if (s->state == STATE_RUNNABLE && s->why == WHY_THROTTLED)
		ledger->throttled_ns += ns;
	note_slice(sweep, start, end, s, s->state);
}

/* CPU time counts on every lane, also where another one decides. */
static void add_cpu(struct sweep *sweep, const struct segment *s)
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

static void drop_ended(struct sweep *sweep, uint64_t time)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < sweep->active_count; i++) {
		if (sweep->active[i]->end_ns > time)
			sweep->active[kept++] = sweep->active[i];
	}
	sweep->active_count = kept;
}

static const struct segment *next_of(const struct sweep *sweep, uint32_t *at)
{
	const struct join *join = sweep->join;

	for (; *at < join->segment_count; (*at)++) {
		const struct segment *s = &join->segments[*at];

		if (s->start_ns >= sweep->node->b_ns)
			break;
		if (s->end_ns > sweep->start_ns && node_is_below(join, s->carrier, sweep->index))
			return s;
	}
	return NULL;
}

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
		const struct wait key = { .reason = from->reason,
					  .syscall = from->syscall,
					  .target = from->target };
		struct ledger_wait *to = find_wait(sweep->ledger, &key);

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
	ledger->uncertain_ns += fold->uncertain_ns;
	add_fold_waits(sweep, fold, is_self);
}

/* The node that a folded observation counts for: its own span's, or the local root where that was
 * never exported. */
static int32_t fold_owner(const struct sweep *sweep, const struct observation *o)
{
	int32_t index = join_find(sweep->join, o->span_id);
	int32_t root = sweep->index;

	if (index >= 0)
		return index;
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
	ledger->preempted_ns = ledger->throttled_ns = 0;
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
 * seen on; of any, if of none. */
static uint64_t folded_until(const struct sweep *sweep)
{
	const struct join *join = sweep->join;
	uint64_t until = 0;

	for (int32_t s = sweep->node->sightings; s >= 0; s = join->sightings[s].next)
		until = MAX(until, join->sightings[s].thread->folded_until_ns);
	if (sweep->node->sightings >= 0)
		return until;
	for (const struct thread *t = sweep->node->process->threads; t; t = t->next)
		until = MAX(until, t->folded_until_ns);
	return until;
}

/* What no fold has: a part of a slice between others' tags, or really elsewhere; nobody can tell.
 */
static void miss_folded(struct sweep *sweep, uint64_t ns)
{
	struct ledger *ledger = sweep->ledger;

	if (ns <= LEDGER_EXACT_NS) {
		ledger->all.elsewhere_ns += ns;
		ledger->self.elsewhere_ns += ns;
		ledger->uncertain_ns += ns;
	} else {
		ledger->all.unknown_ns += ns;
		ledger->self.unknown_ns += ns;
	}
}

/* How much of another span's time before `until_ns` no fold has: it may lie within ours. */
static uint64_t missing_ns(const struct sweep *sweep, int32_t index, uint64_t until_ns)
{
	const struct node *node = &sweep->join->nodes[index];
	uint64_t start = MAX(node->a_ns, sweep->node->a_ns), end = MIN(node->b_ns, until_ns);
	uint64_t found = 0;

	for (const struct observation *o = sweep->join->trace->observations; o; o = o->next) {
		int32_t owner = o->fold && !o->inherited ? fold_owner(sweep, o) : -1;

		if (owner >= 0 && node_is_below(sweep->join, owner, index))
			found += split_total(&o->fold->split);
	}
	return start < end ? end - start - MIN(found, end - start) : 0;
}

/* A child or a rival that the folds do not have took its time from ours, who can say how much. */
static void doubt_folded(struct sweep *sweep, uint64_t until_ns)
{
	const struct join *join = sweep->join;
	uint64_t doubt = 0;

	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *other = &join->nodes[join->by_start[i]];
		int32_t index = (int32_t)join->by_start[i];

		if (other->a_ns >= until_ns)
			break;
		if (other->process == sweep->node->process && other->b_ns > sweep->node->a_ns &&
		    !node_is_below(join, sweep->index, index))
			doubt += node_is_below(join, index, sweep->index)
					 ? missing_ns(sweep, index, until_ns)
					 : MIN(other->b_ns, until_ns) -
						   MAX(other->a_ns, sweep->node->a_ns);
	}
	sweep->ledger->uncertain_ns += doubt;
}

/* Totals of what has left the timelines. On one lane they simply add up. Lanes in parallel cannot
 * be told apart any more: that part is unknown. */
static void add_folds(struct sweep *sweep)
{
	const struct thread *only = NULL;
	uint64_t until = folded_until(sweep), total;

	for (const struct observation *o = sweep->join->trace->observations; o; o = o->next) {
		int32_t owner = o->fold && !o->inherited ? fold_owner(sweep, o) : -1;

		if (owner < 0 || !node_is_below(sweep->join, owner, sweep->index) ||
		    o->fold->last_ns <= sweep->node->a_ns)
			continue;
		sweep->folded_lanes |= only && only != o->thread;
		only = o->thread;
		add_fold(sweep, o->fold, owner == sweep->index);
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

static void run(struct sweep *sweep)
{
	uint32_t at = first_segment(sweep->join, sweep->start_ns);
	const struct segment *next = next_of(sweep, &at);
	uint64_t time = sweep->start_ns;

	sweep->first_seen_ns = next ? next->start_ns : UINT64_MAX;
	while (time < sweep->node->b_ns) {
		uint64_t until = sweep->node->b_ns;

		drop_ended(sweep, time);
		for (; next && next->start_ns <= time; at++, next = next_of(sweep, &at)) {
			if (sweep->active_count < SWEEP_MAX_LANES)
				sweep->active[sweep->active_count++] = next;
			add_cpu(sweep, next);
		}
		drop_ended(sweep, time);
		if (next)
			until = MIN(until, next->start_ns);
		for (uint32_t i = 0; i < sweep->active_count; i++)
			until = MIN(until, sweep->active[i]->end_ns);
		account(sweep, time, until);
		time = until;
	}
}

static bool find_children(struct sweep *sweep)
{
	const struct join *join = sweep->join;

	sweep->children = arena_alloc(&sweep->join->arena, 1);
	for (uint32_t i = 0; i < join->count; i++)
		sweep->child_count += join->nodes[join->by_start[i]].any_parent == sweep->index;
	if (!sweep->child_count)
		return true;
	sweep->children =
		arena_alloc(&sweep->join->arena, sweep->child_count * sizeof(*sweep->children));
	if (!sweep->children)
		return false;
	sweep->child_count = 0;
	for (uint32_t i = 0; i < join->count; i++) {
		if (join->nodes[join->by_start[i]].any_parent == sweep->index)
			sweep->children[sweep->child_count++] = (int32_t)join->by_start[i];
	}
	return true;
}

static void link_servers(struct sweep *sweep)
{
	for (uint32_t i = 0; i < sweep->child_count; i++) {
		const struct node *child = &sweep->join->nodes[sweep->children[i]];
		struct event_tag tag;

		if (child->process == sweep->node->process)
			continue;
		memcpy(tag.trace_id, sweep->join->trace->id, sizeof(tag.trace_id));
		memcpy(tag.span_id, child->span->span_id, sizeof(tag.span_id));
		note_link(sweep->ledger, &tag, 1,
			  MIN(child->b_ns, sweep->node->b_ns) -
				  MIN(MAX(child->a_ns, sweep->node->a_ns),
				      MIN(child->b_ns, sweep->node->b_ns)));
	}
}

static int by_wait_ns(const void *a, const void *b)
{
	const struct ledger_wait *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns > y->ns ? -1 : 1;
	if (x->reason != y->reason)
		return x->reason < y->reason ? -1 : 1;
	if (x->syscall != y->syscall)
		return x->syscall < y->syscall ? -1 : 1;
	return memcmp(&x->target, &y->target, sizeof(x->target));
}

static int by_waker_ns(const void *a, const void *b)
{
	const struct ledger_waker *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns > y->ns ? -1 : 1;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static void sort_waits(struct ledger *ledger)
{
	if (ledger->wait_count)
		qsort(ledger->waits, ledger->wait_count, sizeof(*ledger->waits), by_wait_ns);
	for (uint16_t i = 0; i < ledger->wait_count; i++) {
		if (ledger->waits[i].waker_count)
			qsort(ledger->waits[i].wakers, ledger->waits[i].waker_count,
			      sizeof(ledger->waits[i].wakers[0]), by_waker_ns);
	}
}

static bool is_ours(const struct sweep *sweep, const struct event_tag *tag)
{
	int32_t index = -1;

	if (memcmp(tag->trace_id, sweep->join->trace->id, TRACE_ID_BYTES) == 0)
		index = join_find(sweep->join, tag->span_id);
	return index >= 0 && node_is_below(sweep->join, index, sweep->index);
}

/* One tag all along, or nothing but the span and those below it. */
static bool is_pinned(const struct sweep *sweep, const struct slice *slice)
{
	if (tag_is_none(&slice->tag_in) || tag_is_none(&slice->tag_out))
		return false;
	return tag_eq(&slice->tag_in, &slice->tag_out) ||
	       (is_ours(sweep, &slice->tag_in) && is_ours(sweep, &slice->tag_out));
}

/* While a thread of the process ran with tags that do not pin it, it may have worked for the span.
 */
static void doubt_elsewhere(struct sweep *sweep)
{
	const struct node *node = sweep->node;
	uint64_t ran = 0;

	if (!sweep->ledger->all.elsewhere_ns)
		return;
	for (struct thread *t = node->process->threads; t; t = t->next) {
		struct lane *lane = t->seen ? join_lane(sweep->join, t) : NULL;

		for (uint32_t i = 0; lane && i < lane->count; i++) {
			const struct slice *s = &lane->slices[i];
			uint64_t start = MAX(s->in_ns, node->a_ns),
				 end = MIN(s->out_ns, node->b_ns);

			if (start < end && !is_pinned(sweep, s))
				ran += end - start;
		}
	}
	sweep->ledger->uncertain_ns += MIN(ran, sweep->ledger->all.elsewhere_ns);
}

/* What a forked child burned while it still showed this span by inheritance. */
static void add_forked(struct sweep *sweep)
{
	for (const struct observation *o = sweep->join->trace->observations; o; o = o->next) {
		struct lane *lane;

		if (memcmp(o->span_id, sweep->node->span->span_id, SPAN_ID_BYTES) != 0 ||
		    !o->thread->process->forked)
			continue;
		lane = join_lane(sweep->join, o->thread);
		for (uint32_t i = 0; lane && i < lane->count; i++) {
			if (lane->slices[i].out_ns <= o->thread->inherited_until_ns)
				sweep->ledger->forked_cpu_ns += lane->slices[i].booked_ns;
		}
	}
}

static void grade(const struct sweep *sweep)
{
	struct ledger *ledger = sweep->ledger;
	const struct node *node = sweep->node;

	if (node->partial || ledger->all.unknown_ns || sweep->join->trace->over_limit ||
	    sweep->join->out_of_memory || sweep->active_count == SWEEP_MAX_LANES)
		ledger->grade = GRADE_PARTIAL;
	else if (node->sightings < 0 && (node->inferred || !node->placed) &&
		 ledger->all.elsewhere_ns == ledger->wall_ns - ledger->all.running_ns)
		ledger->grade = GRADE_INFERRED;
	else if (node->sightings < 0 && node->inferred)
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

static bool give_arrays(struct ledger *ledger, struct arena *arena)
{
	ledger->waits = arena_alloc(arena, LEDGER_MAX_WAITS * sizeof(*ledger->waits));
	ledger->items = arena_alloc(arena, LEDGER_MAX_ITEMS * sizeof(*ledger->items));
	ledger->links = arena_alloc(arena, LEDGER_MAX_LINKS * sizeof(*ledger->links));
	ledger->slices = arena_alloc(arena, LEDGER_MAX_SLICES * sizeof(*ledger->slices));
	return ledger->waits && ledger->items && ledger->links && ledger->slices;
}

void sweep_node(struct join *join, int32_t index, struct ledger *out_ledger)
{
	const struct node *node = &join->nodes[index];
	struct sweep sweep = { .join = join, .ledger = out_ledger, .node = node, .index = index };

	*out_ledger = (struct ledger){
		.start_unix_ns = node->span->start_unix_ns,
		.wall_ns = node->span->end_unix_ns - node->span->start_unix_ns,
		.pid = node->process ? node->process->pid : 0,
		.is_local_root = node->parent < 0,
		.none_cause = why_none(&sweep),
	};
	memcpy(out_ledger->trace_id, join->trace->id, TRACE_ID_BYTES);
	memcpy(out_ledger->span_id, node->span->span_id, SPAN_ID_BYTES);
	if (out_ledger->none_cause)
		return;
	if (!give_arrays(out_ledger, &join->arena) || !find_children(&sweep)) {
		out_ledger->none_cause = NONE_NO_PROCESS;
		return;
	}
	out_ledger->uncertain_ns = node->uncertain_ns + node->bound_ns;
	sweep.offset_ns = node->span->start_unix_ns - node->a_ns;
	add_folds(&sweep);
	run(&sweep);
	doubt_elsewhere(&sweep);
	add_forked(&sweep);
	link_servers(&sweep);
	sort_waits(out_ledger);
	grade(&sweep);
	assert(ledger_adds_up(out_ledger));
}
