/* SPDX-License-Identifier: Apache-2.0 */
/* The time of a span that no thread is known to have worked for it, by the child that covers it;
 * and how certain that is (DESIGN 4, rule 7). */
#include "correlate/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

/* Beside them an item each for queued, uncovered, and calls beyond these. */
#define MAX_CALLS   (LEDGER_MAX_ITEMS - 3)
#define OTHER_CALLS "other calls"

/* Its children, wherever they are. */
static void find_children(struct sweep *sweep)
{
	const struct join *join = sweep->join;

	sweep->children.nodes = join->children_room;
	for (int32_t i = sweep->node->first_child; i >= 0; i = join->nodes[i].next_child)
		sweep->children.nodes[sweep->children.count++] = i;
}

static int by_place(const void *a, const void *b, void *arg)
{
	const struct node *nodes = arg;
	uint32_t x = nodes[*(const int32_t *)a].place, y = nodes[*(const int32_t *)b].place;

	return x < y ? -1 : x > y;
}

/* Client and producer spans below it, however deep. */
static void find_calls(struct sweep *sweep)
{
	const struct join *join = sweep->join;
	uint32_t low = 0, high = join->call_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (join->nodes[join->calls[middle]].enter <= sweep->node->enter)
			low = middle + 1;
		else
			high = middle;
	}
	sweep->calls.nodes = join->calls_room;
	for (; low < join->call_count && join->nodes[join->calls[low]].enter < sweep->node->leave;
	     low++)
		sweep->calls.nodes[sweep->calls.count++] = join->calls[low];
	qsort_r(sweep->calls.nodes, sweep->calls.count, sizeof(*sweep->calls.nodes), by_place,
		join->nodes);
}

/* Once, where it matters. */
static void find_lists(struct sweep *sweep)
{
	if (sweep->children.nodes)
		return;
	find_children(sweep);
	find_calls(sweep);
}

static struct ledger_item *add_item(struct ledger *ledger, enum ledger_item_kind kind)
{
	struct ledger_item *item = &ledger->items[ledger->item_count++];

	*item = (struct ledger_item){ .kind = (uint8_t)kind };
	return item;
}

/* Of a kind of which there is but one: its place is kept free. */
static struct ledger_item *find_single(struct ledger *ledger, enum ledger_item_kind kind)
{
	for (uint16_t i = 0; i < ledger->item_count; i++) {
		if (ledger->items[i].kind == kind)
			return &ledger->items[i];
	}
	return add_item(ledger, kind);
}

static int32_t server_below(const struct join *join, int32_t client)
{
	int32_t i = join->nodes[client].first_child;

	while (i >= 0 && join->nodes[i].process == join->nodes[client].process)
		i = join->nodes[i].next_child;
	return i;
}

/* Of the call: name and peer. */
static void set_label(const struct trace_span *span, struct ledger_item *item)
{
	const char *name = span->label ? span->label : "";
	const char *peer = span->label ? name + strlen(name) + 1 : "";

	memcpy(item->name, name, MIN(strlen(name), sizeof(item->name) - 1));
	memcpy(item->peer, peer, MIN(strlen(peer), sizeof(item->peer) - 1));
}

static bool is_named_like(const struct ledger_item *a, const struct ledger_item *b)
{
	return a->kind == b->kind && memcmp(a->name, b->name, sizeof(a->name)) == 0 &&
	       memcmp(a->peer, b->peer, sizeof(a->peer)) == 0;
}

/* Where the ledger has no room for one more call: that of the first of its name, else of all
 * others. */
static struct ledger_item *find_crowded(struct ledger *ledger, const struct trace_span *span)
{
	struct ledger_item wanted = { .kind = ITEM_CHILD };
	struct ledger_item others = { .kind = ITEM_CHILD, .name = OTHER_CALLS };
	struct ledger_item *item;

	set_label(span, &wanted);
	for (uint16_t i = 0; i < ledger->item_count; i++) {
		if (is_named_like(&ledger->items[i], &wanted))
			return &ledger->items[i];
	}
	for (uint16_t i = 0; i < ledger->item_count; i++) {
		if (is_named_like(&ledger->items[i], &others))
			return &ledger->items[i];
	}
	item = add_item(ledger, ITEM_CHILD);
	*item = others;
	return item;
}

static struct ledger_item *find_call(struct sweep *sweep, int32_t call)
{
	const struct join *join = sweep->join;
	const struct trace_span *span = join->nodes[call].span;
	struct ledger *ledger = sweep->ledger;
	struct ledger_item *item;
	unsigned count = 0;
	int32_t server;

	for (uint16_t i = 0; i < ledger->item_count; i++) {
		if (ledger->items[i].kind != ITEM_CHILD)
			continue;
		count++;
		if (memcmp(ledger->items[i].span_id, span->span_id, SPAN_ID_BYTES) == 0)
			return &ledger->items[i];
	}
	if (count >= MAX_CALLS)
		return find_crowded(ledger, span);
	item = add_item(ledger, ITEM_CHILD);
	memcpy(item->span_id, span->span_id, SPAN_ID_BYTES);
	set_label(span, item);
	server = server_below(join, call);
	if (server >= 0)
		memcpy(item->server_span_id, join->nodes[server].span->span_id, SPAN_ID_BYTES);
	return item;
}

/* What no call below it covers: a call itself waits for its answer. */
static struct ledger_item *own_item(struct sweep *sweep, bool is_queued)
{
	if (is_queued)
		return find_single(sweep->ledger, ITEM_QUEUED);
	if (sweep->node->span->label)
		return find_call(sweep, sweep->index);
	return find_single(sweep->ledger, ITEM_UNCOVERED);
}

void sweep_elsewhere_uncovered(struct sweep *sweep, uint64_t ns)
{
	sweep->ledger->all.elsewhere_ns += ns;
	sweep->ledger->self.elsewhere_ns += ns;
	own_item(sweep, false)->ns += ns;
}

/* Nothing has taken it up yet; a call that never shows is waited for all the same. */
static bool is_queued(const struct sweep *sweep, uint64_t time)
{
	if (sweep->node->span->label && sweep->first_seen_ns == UINT64_MAX)
		return false;
	return time < sweep->first_seen_ns;
}

/* The deepest of the list that covers `time`; `*out_until` shrinks to the next edge. */
static int32_t covering(const struct sweep *sweep, struct sweep_list *list, uint64_t time,
			uint64_t *out_until)
{
	const struct node *nodes = sweep->join->nodes;
	int32_t best = -1;

	while (list->first < list->count && nodes[list->nodes[list->first]].b_ns <= time)
		list->first++; /* over for good: time goes on */
	for (uint32_t i = list->first; i < list->count; i++) {
		const struct node *node = &nodes[list->nodes[i]];

		if (node->a_ns > time) {
			*out_until = MIN(*out_until, node->a_ns);
			break;
		}
		if (node->b_ns <= time)
			continue;
		*out_until = MIN(*out_until, node->b_ns);
		if (best < 0 || node->depth > nodes[best].depth)
			best = list->nodes[i];
	}
	return best;
}

static void account_elsewhere(struct sweep *sweep, uint64_t start, uint64_t end)
{
	struct ledger *ledger = sweep->ledger;

	find_lists(sweep);
	ledger->all.elsewhere_ns += end - start;
	while (start < end) {
		uint64_t until = end;
		int32_t child = covering(sweep, &sweep->children, start, &until);
		int32_t call = covering(sweep, &sweep->calls, start, &until);
		struct ledger_item *item = call >= 0 ? find_call(sweep, call)
						     : own_item(sweep, is_queued(sweep, start));

		item->ns += until - start;
		if (child < 0)
			ledger->self.elsewhere_ns += until - start;
		start = until;
	}
}

/* The newest gap lasts until the process is heard of again; older ones have been forgotten so far.
 */
static uint64_t gap_end(const struct model *model, unsigned i, const struct process *process)
{
	const struct gap *gap = &model->gaps[i];

	if (i + 1 < model->gap_count)
		return gap->to_ns;
	return process->last_ns <= gap->to_ns ? UINT64_MAX : MAX(process->resumed_ns, gap->to_ns);
}

/* Nobody watched: the daemon was down, or the process was not followed yet. */
static uint64_t unwatched_until(const struct sweep *sweep, uint64_t start, uint64_t end,
				bool *out_unwatched)
{
	const struct model *model = sweep->join->model;
	const struct process *process = sweep->node->process;

	*out_unwatched = true;
	if (start < process->first_ns)
		return MIN(end, process->first_ns);
	if (start >= process->became.from_ns && start < process->became.to_ns)
		return MIN(end, process->became.to_ns);
	if (process->became.from_ns < process->became.to_ns && start < process->became.from_ns)
		end = MIN(end, process->became.from_ns);
	for (unsigned i = 0; i < model->gap_count; i++) {
		uint64_t from_ns = model->gaps[i].from_ns, to_ns = gap_end(model, i, process);

		if (start >= from_ns && start < to_ns)
			return MIN(end, to_ns);
		if (start < from_ns)
			end = MIN(end, from_ns);
	}
	*out_unwatched = false;
	return end;
}

void sweep_elsewhere_add(struct sweep *sweep, uint64_t start, uint64_t end)
{
	while (start < end) {
		bool unwatched;
		uint64_t until = unwatched_until(sweep, start, end, &unwatched);

		if (unwatched) {
			sweep->ledger->all.unknown_ns += until - start;
			sweep->ledger->self.unknown_ns += until - start;
			sweep_picture_add(sweep, until - start,
					  sweep_picture_what(STATE_UNKNOWN, 0, 0));
		} else {
			account_elsewhere(sweep, start, until);
			sweep_picture_add(sweep, until - start,
					  sweep_picture_what(STATE_ELSEWHERE, 0, 0));
		}
		start = until;
	}
}

static bool is_ours(const struct sweep *sweep, int32_t index)
{
	return index >= 0 && node_is_below(sweep->join, index, sweep->index);
}

static bool begins_ours(const struct sweep *sweep, const struct lane *lane,
			const struct slice *slice)
{
	return is_ours(sweep, lane_meant_in(sweep->join, lane, slice));
}

static bool ends_ours(const struct sweep *sweep, const struct lane *lane, const struct slice *slice)
{
	return is_ours(sweep, lane_meant_out(sweep->join, lane, slice));
}

/* One tag all along, or nothing but the span and those below it. */
static bool is_pinned(const struct sweep *sweep, const struct lane *lane, const struct slice *slice)
{
	if (slice->flags & EVENT_TOLD)
		return true;
	return (slice_keeps_tag(slice) && !join_takes_turns(sweep->join, sweep->node->process)) ||
	       (!(slice->flags & EVENT_TAG_OUT_UNKNOWN) && begins_ours(sweep, lane, slice) &&
		ends_ours(sweep, lane, slice));
}

/* Nothing that pins it. */
static bool may_run(const struct sweep *sweep, const struct lane *lane, const struct slice *slice)
{
	return !is_pinned(sweep, lane, slice);
}

/* ... nor was it told: a thread that has carried the span may come back to it between two looks at
 * another's tag. */
static bool may_come_back(const struct sweep *sweep, const struct lane *lane,
			  const struct slice *slice)
{
	(void)sweep;
	(void)lane;
	return !(slice->flags & EVENT_TOLD);
}

/* Nothing of the span at either end, and nothing that pins it. */
static bool may_hide(const struct sweep *sweep, const struct lane *lane, const struct slice *slice)
{
	return !is_pinned(sweep, lane, slice) && !begins_ours(sweep, lane, slice) &&
	       !ends_ours(sweep, lane, slice);
}

/* What is asked of a slice hangs on its tags, on whether they were read, and on whether it was
 * told. */
static bool is_asked_alike(const struct slice *slice, const struct slice *asked)
{
	return asked && slice->tag_in == asked->tag_in && slice->tag_out == asked->tag_out &&
	       !((slice->flags ^ asked->flags) & (EVENT_TOLD | EVENT_TAG_OUT_UNKNOWN));
}

/* How long slices ran from then on of which `may` is true. */
static uint64_t ran_ns(const struct sweep *sweep, const struct lane *lane, uint64_t from,
		       bool (*may)(const struct sweep *sweep, const struct lane *lane,
				   const struct slice *slice))
{
	const struct slice *end = lane->slices + lane->count, *asked = NULL;
	uint64_t to = sweep->node->b_ns, ran = 0;
	bool answer = false;

	for (const struct slice *s = lane->slices + lane_first_after(lane, from), *next;
	     s < end && s->in_ns < to; s = next) {
		const struct lane_run *run = lane_run_at(lane, s);
		uint64_t start = MAX(s->in_ns, from), until = MIN(s->out_ns, to);
		bool is_whole = run && from <= s->in_ns && lane->slices[run->end - 1].out_ns <= to;
		uint64_t its = is_whole ? run->ran_ns : until - MIN(start, until);

		next = is_whole ? lane->slices + run->end : s + 1;
		if (!its)
			continue;
		if (!is_asked_alike(s, asked))
			answer = may(sweep, lane, s);
		asked = s;
		ran += answer ? its : 0;
	}
	return ran;
}

/* How long the thread may have worked for the span, for all that is known of it. */
static uint64_t may_have_run_ns(const struct sweep *sweep, const struct lane *lane)
{
	uint64_t from = sweep->start_ns, to = sweep->node->b_ns;
	uint64_t folded = MIN(lane->thread->folded_until_ns, to);
	bool is_shared = join_sighting(sweep->join, sweep->index, lane->thread);
	uint64_t ran = folded - MIN(folded, from);

	from = MAX(from, folded);
	return ran + lane_lost_ns(lane, from, to) +
	       ran_ns(sweep, lane, from, is_shared ? may_come_back : may_run);
}

/* How long a thread that carries others' spans may have carried this one, too, unseen. */
static uint64_t may_have_lent_ns(const struct sweep *sweep, const struct lane *lane)
{
	if (!join_sighting(sweep->join, sweep->index, lane->thread))
		return may_have_run_ns(sweep, lane);
	return ran_ns(sweep, lane, sweep->start_ns, may_hide);
}

/* It shows spans of its own, so what it did for the one around them would show, too. */
static bool shows_own(const struct join *join, const struct thread *thread)
{
	for (uint32_t i = 0; i < join->count; i++) {
		int32_t first = join->nodes[i].sightings;

		if (first >= 0 && join->sightings[first].thread == thread &&
		    join->sightings[first].next < 0)
			return true;
	}
	return false;
}

/* It was made within the span: for that, mostly. */
static bool is_made_within(const struct sweep *sweep, const struct thread *thread)
{
	const struct event_tag *tag = &thread->maker_tag;

	return thread->begun_ns >= sweep->node->a_ns && thread->begun_ns < sweep->node->b_ns &&
	       !tag_is_none(tag) && tag_is_of(tag, sweep->join->trace->id) &&
	       is_ours(sweep, join_find(sweep->join, tag->span_id)) &&
	       !shows_own(sweep->join, thread);
}

/* What the thread ran that is the span's anyway. */
static uint64_t known_ns(const struct sweep *sweep, const struct thread *thread)
{
	const struct join *join = sweep->join;
	uint64_t ns = 0;

	for (uint32_t i = 0; i < join->segment_count; i++) {
		const struct segment *s = &join->segments[i];
		uint64_t from = MAX(s->start_ns, sweep->start_ns);
		uint64_t to = MIN(s->end_ns, sweep->node->b_ns);

		if (s->thread == thread && s->state == STATE_RUNNING && is_ours(sweep, s->carrier))
			ns += to - MIN(from, to);
	}
	return ns;
}

/* How long a thread that was made within the span may have worked for it, unseen. */
static uint64_t may_have_made_ns(const struct sweep *sweep, const struct lane *lane)
{
	uint64_t ns = may_have_lent_ns(sweep, lane);
	uint64_t known = ns ? known_ns(sweep, lane->thread) : 0;

	return ns - MIN(ns, known);
}

/* While a thread of the process ran with tags that do not pin it, it may have worked for the span:
 * where nobody is known to have, or, beside who has, where it was made for it, or in a process
 * whose threads carry others' spans. */
void sweep_elsewhere_doubt(struct sweep *sweep)
{
	bool is_lent = lend_may_be(sweep->join, sweep->node);
	bool has_made = sweep->node->process->made_ns >= sweep->node->a_ns;
	uint64_t ran = 0, lent = 0;

	if (!sweep->ledger->all.elsewhere_ns && !is_lent && !has_made)
		return;
	for (struct thread *t = sweep->node->process->threads; t; t = t->next) {
		bool is_made = has_made && !is_lent && is_made_within(sweep, t);
		struct lane *lane = NULL;

		if (t->seen && (is_lent || is_made || sweep->ledger->all.elsewhere_ns))
			lane = join_lane(sweep->join, t);
		if (lane)
			lane_find_meant(sweep->join, lane);
		if (lane && sweep->ledger->all.elsewhere_ns)
			ran += may_have_run_ns(sweep, lane);
		if (lane && is_lent)
			lent += may_have_lent_ns(sweep, lane);
		if (lane && is_made)
			lent += may_have_made_ns(sweep, lane);
	}
	lent = MAX(MIN(ran, sweep->ledger->all.elsewhere_ns), lent);
	doubt_tell(sweep->node, lent);
	sweep->ledger->uncertain_ns += lent;
}
