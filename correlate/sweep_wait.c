/* SPDX-License-Identifier: Apache-2.0 */
/* The waits of a ledger: per reason, target, system call and stack; with the wakers, and links to
 * the spans that they carried. */
#include "correlate/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

static bool is_lock(const struct event_target *target)
{
	return target->kind == TARGET_FUTEX || target->kind == TARGET_FUTEX_SHARED;
}

/* A lock is the same one, whoever has it. */
static bool is_same_target(const struct event_target *a, const struct event_target *b)
{
	return target_eq(a, b) ||
	       (is_lock(a) && a->kind == b->kind && a->id == b->id && a->port == b->port &&
		memcmp(a->address, b->address, sizeof(a->address)) == 0);
}

static bool is_same(const struct ledger_wait *wait, const struct wait_key *key)
{
	return wait->reason == key->reason && wait->syscall == key->syscall &&
	       wait->stack == key->stack && is_same_target(&wait->target, key->target);
}

static bool is_rest(const struct wait_key *key)
{
	return key->stack == STACK_MERGED;
}

struct ledger_wait *sweep_wait_find(struct ledger *ledger, const struct wait_key *key)
{
	static const struct event_target no_target;
	struct ledger_wait *found;

	for (uint16_t i = 0; i < ledger->wait_count; i++) {
		if (!is_same(&ledger->waits[i], key))
			continue;
		if (is_lock(key->target) && ledger->waits[i].target.aux != key->target->aux)
			ledger->waits[i].target.aux = 0; /* of several */
		return &ledger->waits[i];
	}
	if (ledger->wait_count >= LEDGER_MAX_WAITS - REASON_COUNT && !is_rest(key)) {
		const struct wait_key rest = { &no_target, STACK_MERGED, -1, key->reason };

		return sweep_wait_find(ledger,
				       &rest); /* so that they still add up, reason by reason */
	}
	found = &ledger->waits[ledger->wait_count++];
	*found = (struct ledger_wait){
		.reason = key->reason,
		.syscall = key->syscall,
		.stack = key->stack,
		.target = *key->target,
	};
	return found;
}

#define MOST_BEHIND 2

/* Of the same role, the one that had the least. */
static struct ledger_waker *least_waker(struct ledger_wait *of, bool is_holder)
{
	struct ledger_waker *least = NULL;

	for (uint8_t i = 0; i < of->waker_count; i++) {
		struct ledger_waker *w = &of->wakers[i];

		if (ledger_is_holder(w) == is_holder && (!least || w->ns < least->ns))
			least = w;
	}
	return least;
}

/* A place for another one, which has `ns`; NULL: all those that are there have more. */
static struct ledger_waker *place_for(struct sweep *sweep, struct ledger_wait *of, bool is_holder,
				      uint64_t ns)
{
	/* of a lock's wait, half of the places are for who held it; of others, some may be for who
	 * was behind who ended it */
	unsigned most = of->reason == REASON_LOCK ? LEDGER_MAX_WAKERS / 2
			: is_holder               ? MOST_BEHIND
						  : LEDGER_MAX_WAKERS;
	struct ledger_waker *least;
	unsigned like = 0;

	for (uint8_t i = 0; i < of->waker_count; i++)
		like += ledger_is_holder(&of->wakers[i]) == is_holder;
	if (like < most && of->waker_count < LEDGER_MAX_WAKERS)
		return &of->wakers[of->waker_count++];
	least = least_waker(of, is_holder && like == most);
	if (least->ns >= ns)
		return NULL;
	memset(sweep->memos, 0, sizeof(sweep->memos)); /* they may mean the one that goes */
	return least;
}

/* NULL: as above. */
static struct ledger_waker *find_waker(struct sweep *sweep, struct ledger_wait *of,
				       const struct event_waker *waker, uint8_t kind, uint64_t ns)
{
	struct ledger_waker *w;

	for (uint8_t i = 0; i < of->waker_count; i++) {
		w = &of->wakers[i];
		if (w->tid == waker->tid && w->kind == kind && tag_eq(&w->tag, &waker->tag))
			return w;
	}
	w = place_for(sweep, of, kind >= HOLDER_HELD, ns);
	if (!w)
		return NULL;
	*w = (struct ledger_waker){
		.pid = waker->pid, .tid = waker->tid, .kind = kind, .tag = waker->tag
	};
	memcpy(w->comm, waker->comm, sizeof(w->comm));
	return w;
}

static struct ledger_link *least_link(struct ledger *ledger)
{
	struct ledger_link *least = &ledger->links[0];

	for (uint16_t i = 1; i < ledger->link_count; i++) {
		if (ledger->links[i].ns < least->ns)
			least = &ledger->links[i];
	}
	return least;
}

/* NULL: there is no room for one of so few ns. */
static struct ledger_link *find_link(struct sweep *sweep, const struct event_tag *to, uint8_t via,
				     uint64_t ns)
{
	struct ledger *ledger = sweep->ledger;
	struct ledger_link *link;

	for (uint16_t i = 0; i < ledger->link_count; i++) {
		if (ledger->links[i].via == via && tag_eq(&ledger->links[i].to, to))
			return &ledger->links[i];
	}
	if (ledger->link_count < LEDGER_MAX_LINKS) {
		link = &ledger->links[ledger->link_count++];
	} else {
		link = least_link(ledger);
		if (link->ns >= ns)
			return NULL;
		memset(sweep->memos, 0, sizeof(sweep->memos)); /* as above */
	}
	*link = (struct ledger_link){ *to, via, 0 };
	return link;
}

/* To a waker that carried a span of somebody else; NULL: it did not. */
static struct ledger_link *link_to(struct sweep *sweep, const struct event_waker *waker,
				   uint8_t via, uint64_t ns)
{
	int32_t index = -1;

	if (tag_is_none(&waker->tag))
		return NULL;
	if (memcmp(waker->tag.trace_id, sweep->join->trace->id, TRACE_ID_BYTES) == 0)
		index = join_find(sweep->join, waker->tag.span_id);
	if (index >= 0 && node_is_below(sweep->join, index, sweep->index))
		return NULL;
	return find_link(sweep, &waker->tag, via, ns);
}

static void note_hold(struct sweep *sweep, const struct hold *hold, uint64_t ns,
		      struct ledger_wait *to)
{
	struct ledger_waker *who;
	struct ledger_link *link;

	if (hold->kind == HOLD_BEHIND) {
		link = link_to(sweep, &hold->who, LINK_CHAIN, ns);
		if (link)
			link->ns += ns;
		return;
	}
	who = find_waker(sweep, to, &hold->who, hold->kind, ns);
	if (who)
		who->ns += ns;
}

static void note_holds(struct sweep *sweep, const struct wait *wait, uint64_t start, uint64_t end,
		       struct ledger_wait *to)
{
	for (uint32_t i = 0; i < wait->hold_count; i++) {
		const struct hold *hold = &sweep->join->holds[wait->first_hold + i];
		uint64_t from = MAX(start, hold->from_ns), until = MIN(end, hold->to_ns);

		if (from < until)
			note_hold(sweep, hold, until - from, to);
	}
}

static bool is_remembered(const struct wait_memo *memo, const struct wait *wait,
			  const struct event_waker *waker)
{
	return memo->to && memo->target == wait_target(wait) && memo->waker == waker &&
	       memo->stack == wait->before->stack && memo->decided_by == wait->decided_by &&
	       memo->to->reason == wait->reason && (memo->who || !waker);
}

static void remember(struct sweep *sweep, struct wait_memo *memo, const struct wait *wait,
		     const struct event_waker *waker, uint64_t ns)
{
	const struct wait_key key = { wait_target(wait), wait->before->stack, wait->decided_by,
				      wait->reason };
	struct ledger_wait *to = sweep_wait_find(sweep->ledger, &key);
	struct ledger_waker *who = waker ? find_waker(sweep, to, waker, waker->kind, ns) : NULL;
	struct ledger_link *link = waker ? link_to(sweep, waker, LINK_WAKER, ns) : NULL;

	*memo = (struct wait_memo){ .target = key.target,
				    .waker = waker,
				    .stack = key.stack,
				    .decided_by = key.syscall,
				    .to = to,
				    .who = who,
				    .link = link };
}

/* From one wait to the next of a thread, where it is added to is mostly the same. */
static struct wait_memo *add(struct sweep *sweep, const struct segment *s, const struct wait *wait,
			     uint64_t ns, uint64_t longest_ns, bool is_self)
{
	const struct slice *after = wait->after;
	const struct event_waker *waker = after && after->flags & EVENT_WAKER ? after->waker : NULL;
	struct wait_memo *memo = &sweep->memos[s->thread->tid % SWEEP_MEMOS];

	if (!is_remembered(memo, wait, waker))
		remember(sweep, memo, wait, waker, ns);
	memo->to->ns += ns;
	memo->to->self_ns += is_self ? ns : 0;
	memo->to->longest_ns = MAX(memo->to->longest_ns, longest_ns);
	if (memo->who)
		memo->who->ns += ns;
	if (memo->link)
		memo->link->ns += ns;
	return memo;
}

void sweep_wait_add(struct sweep *sweep, const struct segment *s, const struct wait *wait,
		    uint64_t start, uint64_t end, bool is_self)
{
	struct wait_memo *memo = add(sweep, s, wait, end - start, wait->raw_ns, is_self);

	if (s->since_ns != sweep->wait_seen_ns) {
		memo->to->count++;
		sweep->wait_seen_ns = s->since_ns;
	}
	note_holds(sweep, wait, start, end, memo->to);
}

void sweep_wait_add_sums(struct sweep *sweep, const struct segment *s, const struct wait *wait,
			 const struct sweep_sums *sums, bool is_self)
{
	struct wait_memo *memo = add(sweep, s, wait, sums->blocked_ns, sums->longest_ns, is_self);

	memo->to->count += sums->waits;
	sweep->wait_seen_ns = sums->wait_ns;
}

void sweep_wait_link_servers(struct sweep *sweep)
{
	const struct node *nodes = sweep->join->nodes, *child;

	for (int32_t i = sweep->node->first_child; i >= 0; i = child->next_child) {
		struct ledger_link *link;
		struct event_tag tag;
		uint64_t ns;

		child = &nodes[i];
		if (child->process == sweep->node->process)
			continue;
		memcpy(tag.trace_id, sweep->join->trace->id, sizeof(tag.trace_id));
		memcpy(tag.span_id, child->span->span_id, sizeof(tag.span_id));
		ns = MIN(child->b_ns, sweep->node->b_ns);
		ns -= MIN(MAX(child->a_ns, sweep->node->a_ns), ns);
		link = find_link(sweep, &tag, LINK_PARENT, ns);
		if (link)
			link->ns += ns;
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
	if (x->stack != y->stack)
		return x->stack < y->stack ? -1 : 1;
	return memcmp(&x->target, &y->target, sizeof(x->target));
}

static int by_waker_ns(const void *a, const void *b)
{
	const struct ledger_waker *x = a, *y = b;

	if (ledger_is_holder(x) != ledger_is_holder(y))
		return ledger_is_holder(x) ? 1 : -1;
	if (x->ns != y->ns)
		return x->ns > y->ns ? -1 : 1;
	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	return x->kind < y->kind ? -1 : x->kind > y->kind;
}

void sweep_wait_sort(struct ledger *ledger)
{
	if (ledger->wait_count)
		qsort(ledger->waits, ledger->wait_count, sizeof(*ledger->waits), by_wait_ns);
	for (uint16_t i = 0; i < ledger->wait_count; i++) {
		if (ledger->waits[i].waker_count)
			qsort(ledger->waits[i].wakers, ledger->waits[i].waker_count,
			      sizeof(ledger->waits[i].wakers[0]), by_waker_ns);
	}
}
