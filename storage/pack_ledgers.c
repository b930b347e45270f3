/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pack_ledgers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

enum self_form { SELF_ALL, SELF_LESS_CHILDREN, SELF_PARTS, SELF_FORMS = SELF_PARTS };
enum wakers_form { WAKERS_NONE, WAKERS_OF_PARENT, WAKERS_LISTED /* their number - 1 on top */ };
enum tag_form { TAG_ZERO, TAG_ROW, TAG_OWN_TRACE, TAG_LISTED, TAG_FORMS = TAG_LISTED };

#define SPLIT_PARTS (sizeof(struct ledger_split) / sizeof(uint64_t))
#define MAX_LIST    64 /* none of the lists is longer */
#define TEXT_BYTES  PACK_TEXT_BYTES

_Static_assert(LEDGER_MAX_WAITS <= MAX_LIST && LEDGER_MAX_STACKS <= MAX_LIST, "a byte names one");
_Static_assert(sizeof(((struct ledger_item *)0)->peer) == TEXT_BYTES, "both are texts");

struct ledgers {
	struct pack_trace *trace;
	struct coder *coder;
	struct pack_member *member;
	struct ledger *ledger;
	const struct ledger *parent; /* NULL: none */
};

static int compare(const void *a, const void *b)
{
	const struct pack_member *left = a, *right = b;
	const struct block_span *x = left->span, *y = right->span;

	if (x->start_unix_ns != y->start_unix_ns)
		return x->start_unix_ns < y->start_unix_ns ? -1 : 1;
	if (x->end_unix_ns != y->end_unix_ns)
		return x->end_unix_ns > y->end_unix_ns ? -1 : 1;
	return (left->row > right->row) - (left->row < right->row);
}

static void add_child(struct pack_member *parent, const struct ledger *child)
{
	const uint64_t *from = (const void *)&child->all;
	uint64_t *sums = (void *)&parent->children;

	for (size_t i = 0; i < SPLIT_PARTS; i++)
		sums[i] += from[i];
	parent->children_cpu_ns += child->cpu_ns;
}

void pack_trace_order(struct pack_trace *trace, const struct pack_rows *rows)
{
	struct pack_member *members = trace->members;

	qsort(members, trace->count, sizeof(*members), compare);
	for (uint32_t i = 0; i < trace->count; i++)
		rows->places[members[i].row] = i;
	for (uint32_t i = 0; i < trace->count; i++) {
		uint32_t row = members[i].row, above = rows->parents[row], place;

		if (above == BLOCK_NO_ROW || rows->traces[above] != rows->traces[row])
			continue;
		place = rows->places[above];
		if (place < i && members[place].has_ledger)
			members[i].parent = &members[place];
		if (members[i].has_ledger)
			add_child(&members[place], &members[i].ledger);
	}
}

static void guess(struct ledgers *at, const uint64_t *guesses, uint8_t count, uint64_t *value)
{
	coder_guess(at->coder, COLUMN_DETAIL, COLUMN_DETAIL_NS, guesses, count, value);
}

/* ---- what is the span's own ---- */

static void fill_self(struct ledgers *at, enum self_form form, struct ledger_split *out_self,
		      uint64_t *out_cpu_ns)
{
	const uint64_t *all = (const void *)&at->ledger->all;
	const uint64_t *children = (const void *)&at->member->children;
	uint64_t *self = (void *)out_self;

	for (size_t i = 0; i < SPLIT_PARTS; i++)
		self[i] = all[i] - (form == SELF_LESS_CHILDREN ? children[i] : 0);
	*out_cpu_ns =
		at->ledger->cpu_ns - (form == SELF_LESS_CHILDREN ? at->member->children_cpu_ns : 0);
}

static bool is_self(struct ledgers *at, enum self_form form)
{
	struct ledger_split self;
	uint64_t cpu_ns;

	fill_self(at, form, &self, &cpu_ns);
	return cpu_ns == at->ledger->cpu_self_ns &&
	       memcmp(&self, &at->ledger->self, sizeof(self)) == 0;
}

static void code_self(struct ledgers *at)
{
	struct ledger *ledger = at->ledger;
	const uint64_t *all = (const void *)&ledger->all;
	uint64_t *self = (void *)&ledger->self;
	uint8_t form = SELF_PARTS;
	struct ledger_split less;
	uint64_t less_cpu_ns;

	if (!at->coder->is_reading && is_self(at, SELF_ALL))
		form = SELF_ALL;
	else if (!at->coder->is_reading && is_self(at, SELF_LESS_CHILDREN))
		form = SELF_LESS_CHILDREN;
	coder_byte(at->coder, COLUMN_DETAIL, &form, SELF_FORMS);
	if (form != SELF_PARTS) {
		fill_self(at, form, &ledger->self, &ledger->cpu_self_ns);
		return;
	}
	fill_self(at, SELF_LESS_CHILDREN, &less, &less_cpu_ns);
	for (size_t i = 0; i < SPLIT_PARTS; i++)
		guess(at, (uint64_t[]){ all[i], 0, ((const uint64_t *)(const void *)&less)[i] }, 3,
		      &self[i]);
	guess(at, (uint64_t[]){ ledger->cpu_ns, 0, less_cpu_ns }, 3, &ledger->cpu_self_ns);
}

/* ---- lists ---- */

/* Counts the entries; reading makes room for them. */
static void *code_list(struct ledgers *at, enum coder_column column, void *list, uint16_t *count,
		       uint8_t max, size_t size)
{
	uint8_t number = (uint8_t)*count;

	coder_byte(at->coder, column, &number, max);
	*count = number;
	if (at->coder->is_reading && number) {
		list = arena_alloc(at->trace->arena, number * size);
		if (!list) {
			at->coder->error = -ENOMEM;
			*count = 0;
		}
	}
	return list;
}

/* Which entry of the parent's list this one is like: mostly the next one. -1: none. */
static int code_match(struct ledgers *at, enum coder_column column, int found, int count,
		      int *before)
{
	uint8_t choice = 0;

	if (found > *before)
		choice = (uint8_t)(found - *before);
	else if (found >= 0)
		choice = (uint8_t)(MAX_LIST + 1 + found);
	coder_byte(at->coder, column, &choice, 2 * MAX_LIST);
	if (choice == 0)
		return -1;
	found = choice <= MAX_LIST ? *before + choice : choice - MAX_LIST - 1;
	if (found >= count) {
		coder_fail(at->coder);
		return -1;
	}
	*before = found;
	return found;
}

/* Writing: the row of this span in the block. */
static bool find_row(const struct ledgers *at, const struct event_tag *tag, uint32_t *out_row)
{
	const uint32_t *row = map_get(&at->trace->index->row_of_span, tag->span_id);

	if (!row || memcmp(at->trace->rows->spans[*row].trace_id, tag->trace_id, TRACE_ID_BYTES))
		return false;
	*out_row = *row;
	return true;
}

static enum tag_form form_of(const struct ledgers *at, const struct event_tag *tag,
			     uint32_t *out_row)
{
	if (hex_is_zero(tag->trace_id, TRACE_ID_BYTES) && hex_is_zero(tag->span_id, SPAN_ID_BYTES))
		return TAG_ZERO;
	if (find_row(at, tag, out_row))
		return TAG_ROW;
	return memcmp(tag->trace_id, at->ledger->trace_id, TRACE_ID_BYTES) == 0 ? TAG_OWN_TRACE
										: TAG_LISTED;
}

/* Whoever ends a wait is mostly a span nearby, in this trace or in another. */
static void code_row_tag(struct ledgers *at, uint32_t row, struct event_tag *tag)
{
	const struct pack_rows *rows = at->trace->rows;
	uint64_t step = wire_zigzag((int64_t)row - (int64_t)at->member->row);

	coder_number(at->coder, COLUMN_DETAIL_KIND, &step);
	step = at->member->row + (uint64_t)wire_unzigzag(step);
	if (step >= rows->count) {
		coder_fail(at->coder);
		return;
	}
	memcpy(tag->trace_id, rows->spans[step].trace_id, TRACE_ID_BYTES);
	memcpy(tag->span_id, rows->spans[step].span_id, SPAN_ID_BYTES);
}

static void code_tag(struct ledgers *at, struct event_tag *tag)
{
	uint32_t row = 0;
	uint8_t form = at->coder->is_reading ? TAG_ZERO : (uint8_t)form_of(at, tag, &row);

	coder_byte(at->coder, COLUMN_DETAIL, &form, TAG_FORMS);
	if (form == TAG_ROW) {
		code_row_tag(at, row, tag);
	} else if (form == TAG_LISTED) {
		pack_list_code(&at->trace->lists->tags, at->coder, tag);
	} else if (form == TAG_OWN_TRACE) {
		memcpy(tag->trace_id, at->ledger->trace_id, TRACE_ID_BYTES);
		coder_raw(at->coder, COLUMN_DETAIL_ID, tag->span_id, SPAN_ID_BYTES);
	}
}

/* ---- waits ---- */

static void code_waker(struct ledgers *at, struct ledger_waker *waker, uint64_t left_ns)
{
	struct pack_waker who = { .pid = waker->pid, .tid = waker->tid, .kind = waker->kind };

	memcpy(who.comm, waker->comm, strnlen(waker->comm, sizeof(who.comm) - 1));
	pack_list_code(&at->trace->lists->wakers, at->coder, &who);
	waker->pid = who.pid;
	waker->tid = who.tid;
	waker->kind = who.kind;
	memcpy(waker->comm, who.comm, sizeof(waker->comm));
	code_tag(at, &waker->tag);
	guess(at, &left_ns, 1, &waker->ns);
}

static void code_wakers(struct ledgers *at, struct ledger_wait *wait,
			const struct ledger_wait *like)
{
	size_t bytes = wait->waker_count * sizeof(*wait->wakers);
	uint8_t form = wait->waker_count ? (uint8_t)(WAKERS_LISTED + wait->waker_count - 1)
					 : (uint8_t)WAKERS_NONE;
	uint64_t left_ns = wait->ns;

	if (!at->coder->is_reading && like && form && wait->waker_count == like->waker_count &&
	    memcmp(wait->wakers, like->wakers, bytes) == 0)
		form = WAKERS_OF_PARENT;
	coder_byte(at->coder, COLUMN_DETAIL, &form, WAKERS_LISTED + LEDGER_MAX_WAKERS - 1);
	if (form == WAKERS_OF_PARENT) {
		if (!like) {
			coder_fail(at->coder);
			return;
		}
		wait->waker_count = like->waker_count;
		memcpy(wait->wakers, like->wakers, sizeof(wait->wakers));
		return;
	}
	wait->waker_count = form == WAKERS_NONE ? 0 : (uint8_t)(form - WAKERS_LISTED + 1);
	for (unsigned i = 0; i < wait->waker_count; i++) {
		code_waker(at, &wait->wakers[i], left_ns);
		left_ns -= wait->wakers[i].ns;
	}
}

static struct pack_kind kind_of(const struct ledger_wait *wait)
{
	return (struct pack_kind){
		.target = wait->target,
		.stack = wait->stack,
		.syscall = wait->syscall,
		.reason = wait->reason,
	};
}

static int find_wait(const struct ledgers *at, const struct ledger_wait *wait)
{
	struct pack_kind kind = kind_of(wait), other;

	for (int i = 0; !at->coder->is_reading && at->parent && i < at->parent->wait_count; i++) {
		other = kind_of(&at->parent->waits[i]);
		if (memcmp(&kind, &other, sizeof(kind)) == 0)
			return i;
	}
	return -1;
}

static void code_kind(struct ledgers *at, struct ledger_wait *wait, const struct ledger_wait *like)
{
	struct pack_kind kind = kind_of(like ? like : wait);

	if (!like)
		pack_list_code(&at->trace->lists->kinds, at->coder, &kind);
	wait->target = kind.target;
	wait->stack = kind.stack;
	wait->syscall = kind.syscall;
	wait->reason = kind.reason;
}

/* The longest slice that was blocked so, of at most this length. */
static uint64_t longest_slice(const struct ledger *ledger, uint8_t reason, uint64_t most_ns)
{
	uint64_t longest_ns = 0;

	for (unsigned i = 0; i < ledger->slice_count; i++) {
		const struct ledger_slice *slice = &ledger->slices[i];

		if (slice->state == STATE_BLOCKED && slice->reason == reason &&
		    slice->ns <= most_ns)
			longest_ns = MAX(longest_ns, slice->ns);
	}
	return longest_ns;
}

/* Per reason: what the waits so far have left, and the length of the last one less 1. */
struct left {
	uint64_t ns, self_ns, below_ns;
};

static void code_wait(struct ledgers *at, struct ledger_wait *wait, int *before, struct left *lefts)
{
	int match = code_match(at, COLUMN_DETAIL, find_wait(at, wait),
			       at->parent ? at->parent->wait_count : 0, before);
	const struct ledger_wait *like = match < 0 ? NULL : &at->parent->waits[match];
	uint64_t count = wait->count;
	struct left *left;

	code_kind(at, wait, like);
	if (at->coder->error)
		return;
	left = &lefts[wait->reason];
	guess(at,
	      (uint64_t[]){ like ? like->ns : left->ns, left->ns,
			    longest_slice(at->ledger, wait->reason, left->below_ns) },
	      3, &wait->ns);
	guess(at, (uint64_t[]){ 1, like ? like->count : 1 }, 2, &count);
	if (count > UINT32_MAX)
		coder_fail(at->coder);
	wait->count = (uint32_t)count;
	guess(at,
	      (uint64_t[]){ wait->ns, like ? like->longest_ns : wait->ns,
			    longest_slice(at->ledger, wait->reason, wait->ns) },
	      3, &wait->longest_ns);
	guess(at, (uint64_t[]){ wait->ns, 0, left->self_ns }, 3, &wait->self_ns);
	left->ns -= wait->ns;
	left->self_ns -= wait->self_ns;
	left->below_ns = wait->ns - 1;
	code_wakers(at, wait, like);
}

static void code_waits(struct ledgers *at)
{
	struct ledger *ledger = at->ledger;
	struct left lefts[REASON_COUNT];
	int before = -1;

	for (unsigned i = 0; i < REASON_COUNT; i++)
		lefts[i] = (struct left){ ledger->all.blocked_ns[i], ledger->self.blocked_ns[i],
					  UINT64_MAX };
	ledger->waits = code_list(at, COLUMN_DETAIL, ledger->waits, &ledger->wait_count,
				  LEDGER_MAX_WAITS, sizeof(*ledger->waits));
	for (unsigned i = 0; i < ledger->wait_count && !at->coder->error; i++)
		code_wait(at, &ledger->waits[i], &before, lefts);
}

/* ---- the others ---- */

static void code_span_id(struct ledgers *at, uint8_t *span_id)
{
	struct event_tag tag = { 0 };

	if (!hex_is_zero(span_id, SPAN_ID_BYTES)) {
		memcpy(tag.trace_id, at->ledger->trace_id, TRACE_ID_BYTES);
		memcpy(tag.span_id, span_id, SPAN_ID_BYTES);
	}
	code_tag(at, &tag);
	memcpy(span_id, tag.span_id, SPAN_ID_BYTES);
}

static void code_text(struct ledgers *at, char *text)
{
	char padded[TEXT_BYTES] = { 0 };

	memcpy(padded, text, strnlen(text, TEXT_BYTES - 1));
	pack_list_code(&at->trace->lists->texts, at->coder, padded);
	memcpy(text, padded, TEXT_BYTES);
}

static void code_items(struct ledgers *at)
{
	struct ledger *ledger = at->ledger;
	uint64_t left_ns = ledger->all.elsewhere_ns;

	ledger->items = code_list(at, COLUMN_DETAIL, ledger->items, &ledger->item_count,
				  LEDGER_MAX_ITEMS, sizeof(*ledger->items));
	for (unsigned i = 0; i < ledger->item_count && !at->coder->error; i++) {
		struct ledger_item *item = &ledger->items[i];

		coder_byte(at->coder, COLUMN_DETAIL, &item->kind, ITEM_UNCOVERED);
		code_span_id(at, item->span_id);
		code_span_id(at, item->server_span_id);
		guess(at, &left_ns, 1, &item->ns);
		left_ns -= item->ns;
		code_text(at, item->name);
		code_text(at, item->peer);
	}
}

/* A link leads where some waker's tag does, mostly. Number `wanted` of these, or by its tag. */
static const struct ledger_waker *find_tagged(const struct ledger *ledger, uint32_t wanted,
					      const struct event_tag *tag, uint32_t *out_number)
{
	uint32_t number = 0;

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		for (unsigned k = 0; k < ledger->waits[i].waker_count; k++, number++) {
			const struct ledger_waker *waker = &ledger->waits[i].wakers[k];

			if (tag ? memcmp(&waker->tag, tag, sizeof(*tag)) == 0 : number == wanted) {
				*out_number = number;
				return waker;
			}
		}
	}
	return NULL;
}

static uint64_t tagged_ns(const struct ledger *ledger, const struct event_tag *tag)
{
	uint64_t sum_ns = 0;

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		for (unsigned k = 0; k < ledger->waits[i].waker_count; k++) {
			const struct ledger_waker *waker = &ledger->waits[i].wakers[k];

			if (memcmp(&waker->tag, tag, sizeof(*tag)) == 0)
				sum_ns += waker->ns;
		}
	}
	return sum_ns;
}

static void code_link(struct ledgers *at, struct ledger_link *link)
{
	const struct ledger_waker *waker = NULL;
	uint32_t number = 0, choice = 0;

	if (!at->coder->is_reading) {
		waker = find_tagged(at->ledger, 0, &link->to, &number);
		choice = waker ? number + 1 : 0;
	}
	coder_number32(at->coder, COLUMN_DETAIL_KIND, &choice);
	if (choice == 0) {
		code_tag(at, &link->to);
	} else {
		waker = find_tagged(at->ledger, choice - 1, NULL, &number);
		if (waker)
			link->to = waker->tag;
		else
			coder_fail(at->coder);
	}
	coder_byte(at->coder, COLUMN_DETAIL, &link->via, 1);
	guess(at, (uint64_t[]){ tagged_ns(at->ledger, &link->to) }, 1, &link->ns);
}

static void code_links(struct ledgers *at)
{
	struct ledger *ledger = at->ledger;

	ledger->links = code_list(at, COLUMN_DETAIL, ledger->links, &ledger->link_count,
				  LEDGER_MAX_LINKS, sizeof(*ledger->links));
	for (unsigned i = 0; i < ledger->link_count && !at->coder->error; i++)
		code_link(at, &ledger->links[i]);
}

static int find_stack(const struct ledgers *at, uint64_t stack)
{
	for (int i = 0; !at->coder->is_reading && at->parent && i < at->parent->stack_count; i++) {
		if (at->parent->stacks[i].stack == stack)
			return i;
	}
	return -1;
}

static void guess_stack(struct ledgers *at, const uint64_t *guesses, uint8_t count, uint64_t *value)
{
	coder_guess(at->coder, COLUMN_STACK, COLUMN_STACK_NS, guesses, count, value);
}

static void code_stacks(struct ledgers *at)
{
	struct ledger *ledger = at->ledger;
	uint64_t left_ns = ledger->all.running_ns, left_self_ns = ledger->self.running_ns;
	int before = -1;

	ledger->stacks = code_list(at, COLUMN_STACK, ledger->stacks, &ledger->stack_count,
				   LEDGER_MAX_STACKS, sizeof(*ledger->stacks));
	for (unsigned i = 0; i < ledger->stack_count && !at->coder->error; i++) {
		struct ledger_stack *stack = &ledger->stacks[i];
		int match = code_match(at, COLUMN_STACK, find_stack(at, stack->stack),
				       at->parent ? at->parent->stack_count : 0, &before);
		const struct ledger_stack *like = match < 0 ? NULL : &at->parent->stacks[match];

		if (like)
			stack->stack = like->stack;
		else
			pack_lists_stack(at->trace->lists, at->coder, COLUMN_STACK_KIND,
					 &stack->stack);
		guess_stack(at, (uint64_t[]){ left_ns, like ? like->ns : left_ns }, 2, &stack->ns);
		guess_stack(at, (uint64_t[]){ stack->ns, 0, left_self_ns }, 3, &stack->self_ns);
		left_ns -= stack->ns;
		left_self_ns -= stack->self_ns;
	}
}

void pack_trace_code(struct pack_trace *trace, struct coder *coder)
{
	for (uint32_t i = 0; i < trace->count && !coder->error; i++) {
		struct pack_member *member = &trace->members[i];
		struct ledgers at = {
			.trace = trace,
			.coder = coder,
			.member = member,
			.ledger = &member->ledger,
			.parent = member->parent ? &member->parent->ledger : NULL,
		};

		if (!member->has_ledger)
			continue;
		pack_slices_code(trace, coder, member);
		code_self(&at);
		code_waits(&at);
		code_items(&at);
		code_links(&at);
		code_stacks(&at);
	}
}
