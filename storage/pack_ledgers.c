/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pack_ledgers.h"

#include <stdlib.h>
#include <string.h>

#include "storage/pack_ledger.h"

enum self_form { SELF_ALL, SELF_LESS_CHILDREN, SELF_PARTS, SELF_FORMS = SELF_PARTS };

#define SPLIT_PARTS (sizeof(struct ledger_split) / sizeof(uint64_t))
#define TEXT_BYTES  PACK_TEXT_BYTES

_Static_assert(sizeof(((struct ledger_item *)0)->peer) == TEXT_BYTES, "both are texts");

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

/* ---- what is the span's own ---- */

static void fill_self(struct pack_ledger *at, enum self_form form, struct ledger_split *out_self,
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

static bool is_self(struct pack_ledger *at, enum self_form form)
{
	struct ledger_split self;
	uint64_t cpu_ns;

	fill_self(at, form, &self, &cpu_ns);
	return cpu_ns == at->ledger->cpu_self_ns &&
	       memcmp(&self, &at->ledger->self, sizeof(self)) == 0;
}

static void code_self(struct pack_ledger *at)
{
	struct ledger *ledger = at->ledger;
	const uint64_t *all = (const void *)&ledger->all;
	uint64_t *self = (void *)&ledger->self;
	uint8_t form = SELF_PARTS;
	struct ledger_split less;
	const uint64_t *rest = (const void *)&less;
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
		pack_ledger_guess(at, (uint64_t[]){ all[i], 0, rest[i] }, 3, &self[i]);
	pack_ledger_guess(at, (uint64_t[]){ ledger->cpu_ns, 0, less_cpu_ns }, 3,
			  &ledger->cpu_self_ns);
}

/* ---- items, links, stacks ---- */

static void code_span_id(struct pack_ledger *at, uint8_t *span_id)
{
	struct event_tag tag = { 0 };

	if (!hex_is_zero(span_id, SPAN_ID_BYTES)) {
		memcpy(tag.trace_id, at->ledger->trace_id, TRACE_ID_BYTES);
		memcpy(tag.span_id, span_id, SPAN_ID_BYTES);
	}
	pack_ledger_tag(at, &tag);
	memcpy(span_id, tag.span_id, SPAN_ID_BYTES);
}

static void code_text(struct pack_ledger *at, char *text)
{
	char padded[TEXT_BYTES] = { 0 };

	memcpy(padded, text, strnlen(text, TEXT_BYTES - 1));
	pack_list_code(&at->trace->lists->texts, at->coder, COLUMN_DETAIL_TEXT, padded);
	memcpy(text, padded, TEXT_BYTES);
}

static void code_items(struct pack_ledger *at)
{
	struct ledger *ledger = at->ledger;
	uint64_t left_ns = ledger->all.elsewhere_ns;

	ledger->items = pack_ledger_list(at, COLUMN_DETAIL, ledger->items, &ledger->item_count,
					 LEDGER_MAX_ITEMS, sizeof(*ledger->items));
	for (unsigned i = 0; i < ledger->item_count && !at->coder->error; i++) {
		struct ledger_item *item = &ledger->items[i];

		coder_byte(at->coder, COLUMN_DETAIL, &item->kind, ITEM_UNCOVERED);
		code_span_id(at, item->span_id);
		code_span_id(at, item->server_span_id);
		pack_ledger_guess(at, &left_ns, 1, &item->ns);
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

static void code_link(struct pack_ledger *at, struct ledger_link *link)
{
	const struct ledger_waker *waker = NULL;
	uint32_t number = 0, choice = 0;

	if (!at->coder->is_reading) {
		waker = find_tagged(at->ledger, 0, &link->to, &number);
		choice = waker ? number + 1 : 0;
	}
	coder_number32(at->coder, COLUMN_DETAIL_TEXT, &choice);
	if (choice == 0) {
		pack_ledger_tag(at, &link->to);
	} else {
		waker = find_tagged(at->ledger, choice - 1, NULL, &number);
		if (waker)
			link->to = waker->tag;
		else
			coder_fail(at->coder);
	}
	coder_byte(at->coder, COLUMN_DETAIL, &link->via, LINK_CHAIN);
	pack_ledger_guess(at, (uint64_t[]){ tagged_ns(at->ledger, &link->to) }, 1, &link->ns);
}

static void code_links(struct pack_ledger *at)
{
	struct ledger *ledger = at->ledger;

	ledger->links = pack_ledger_list(at, COLUMN_DETAIL, ledger->links, &ledger->link_count,
					 LEDGER_MAX_LINKS, sizeof(*ledger->links));
	for (unsigned i = 0; i < ledger->link_count && !at->coder->error; i++)
		code_link(at, &ledger->links[i]);
}

static int find_stack(const struct pack_ledger *at, uint64_t stack)
{
	for (int i = 0; !at->coder->is_reading && at->parent && i < at->parent->stack_count; i++) {
		if (at->parent->stacks[i].stack == stack)
			return i;
	}
	return -1;
}

static void guess_stack(struct pack_ledger *at, const uint64_t *guesses, uint8_t count,
			uint64_t *value)
{
	coder_guess(at->coder, COLUMN_STACK, COLUMN_STACK_NS, guesses, count, value);
}

static void code_stacks(struct pack_ledger *at)
{
	struct ledger *ledger = at->ledger;
	uint64_t left_ns = ledger->all.running_ns, left_self_ns = ledger->self.running_ns;
	int before = -1;

	ledger->stacks = pack_ledger_list(at, COLUMN_STACK, ledger->stacks, &ledger->stack_count,
					  LEDGER_MAX_STACKS, sizeof(*ledger->stacks));
	for (unsigned i = 0; i < ledger->stack_count && !at->coder->error; i++) {
		struct ledger_stack *stack = &ledger->stacks[i];
		int match = pack_ledger_match(at, COLUMN_STACK, find_stack(at, stack->stack),
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
		struct pack_ledger at = {
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
		pack_ledger_waits(&at);
		code_items(&at);
		code_links(&at);
		if (!(trace->omit & STORE_OMIT_STACKS))
			code_stacks(&at);
	}
}
