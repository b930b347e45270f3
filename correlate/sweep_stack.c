/* SPDX-License-Identifier: Apache-2.0 */
/* The code that a span ran on its CPUs, as far as ticks tell. */
#include "correlate/sweep.h"

#include <stdlib.h>

/* The one to add to; beyond the last place, STACK_MERGED takes what does not fit. One place stays
 * free for what no tick has seen. */
static struct ledger_stack *find(struct ledger *ledger, uint64_t stack)
{
	for (uint16_t i = 0; i < ledger->stack_count; i++) {
		if (ledger->stacks[i].stack == stack)
			return &ledger->stacks[i];
	}
	if (ledger->stack_count >= LEDGER_MAX_STACKS - 2 && stack >= STACK_FIRST_ID)
		return find(ledger, STACK_MERGED);
	ledger->stacks[ledger->stack_count] = (struct ledger_stack){ .stack = stack };
	return &ledger->stacks[ledger->stack_count++];
}

void sweep_stack_add(struct ledger *ledger, uint64_t stack, uint64_t ns, bool is_self)
{
	struct ledger_stack *to = find(ledger, stack);

	to->ns += ns;
	to->self_ns += is_self ? ns : 0;
}

static int by_ns(const void *a, const void *b)
{
	const struct ledger_stack *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns > y->ns ? -1 : 1;
	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

void sweep_stack_finish(struct ledger *ledger)
{
	uint64_t ns = ledger->all.running_ns, self_ns = ledger->self.running_ns;
	struct ledger_stack *rest;

	for (uint16_t i = 0; i < ledger->stack_count; i++) {
		ns -= ledger->stacks[i].ns;
		self_ns -= ledger->stacks[i].self_ns;
	}
	if (ns || self_ns) {
		rest = find(ledger, STACK_NOT_TAKEN);
		rest->ns += ns;
		rest->self_ns += self_ns;
	}
	if (ledger->stack_count)
		qsort(ledger->stacks, ledger->stack_count, sizeof(*ledger->stacks), by_ns);
}
