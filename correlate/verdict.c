/* SPDX-License-Identifier: Apache-2.0 */
/* What a senior engineer would conclude, in one line. The rules, the first that fits:
 *
 *   no figures, or `unknown` the largest part            none
 *   runnable > 20 % of the wall and > blocked           starved
 *   elsewhere the largest part                          queued
 *   running < 30 %, and anything blocked                waiting
 *   running > 70 %                                      cpu_bound
 *   else                                                mixed */
#include "correlate/verdict.h"

#include "collector/base/macros.h"

#define STARVED_PERCENT   20
#define WAITING_PERCENT   30
#define CPU_BOUND_PERCENT 70
/* Of what is beside the wait: so much is worth a word. */
#define BESIDE_PERCENT 20

static unsigned percent_of(uint64_t part, uint64_t whole)
{
	return (unsigned)(((unsigned __int128)part * 200 + whole) / ((unsigned __int128)whole * 2));
}

/* Three digits: what people say. */
static void put_time(struct buf *out, uint64_t ns)
{
	double value = (double)ns;

	if (ns < 1000)
		buf_printf(out, "%u ns", (unsigned)ns);
	else if (value < 999.5e3)
		buf_printf(out, "%.3g us", value / 1e3);
	else if (value < 999.5e6)
		buf_printf(out, "%.3g ms", value / 1e6);
	else if (value < 999.5e9)
		buf_printf(out, "%.3g s", value / 1e9);
	else
		buf_printf(out, "%.0f s", value / 1e9);
}

/* "540 ms (88 %)" */
static void put_part(struct buf *out, uint64_t part_ns, uint64_t wall_ns)
{
	put_time(out, part_ns);
	buf_printf(out, " (%u %%)", percent_of(part_ns, wall_ns));
}

void verdict_put_clean(struct buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size && text[i]; i++)
		buf_append_byte(out, (uint8_t)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
}

/* ---- the lines ---- */

static void say_starved(const struct ledger *ledger, const struct ledger_code *code,
			struct buf *out)
{
	uint64_t runnable_ns = ledger->all.runnable_ns;

	(void)code;
	buf_printf(out, "%u %% starved of CPU: ", percent_of(runnable_ns, ledger->wall_ns));
	put_time(out, runnable_ns);
	buf_append_text(out, " ready to run");
	if (is_more_than(ledger->throttled_ns, 50, runnable_ns)) {
		buf_append_text(out, ", ");
		put_time(out, ledger->throttled_ns);
		buf_append_text(out, " of it held back by a CPU quota; raise the quota");
	} else if (is_more_than(ledger->preempted_ns, 50, runnable_ns)) {
		buf_append_text(out, ", ");
		put_time(out, ledger->preempted_ns);
		buf_append_text(out, " of it pushed off the CPU; find what else runs there");
	} else if (is_more_than(ledger->yielded_ns, 50, runnable_ns)) {
		buf_append_text(out, ", ");
		put_time(out, ledger->yielded_ns);
		buf_append_text(out, " of it given up by sched_yield; let it wait for what it "
				     "spins for");
	} else {
		buf_append_text(out, " but not given a CPU; find what else runs there");
	}
}

/* Calls of one name to one peer are one to the reader. */
static bool is_like(const struct ledger_item *a, const struct ledger_item *b)
{
	return a->kind == b->kind && memcmp(a->name, b->name, sizeof(a->name)) == 0 &&
	       memcmp(a->peer, b->peer, sizeof(a->peer)) == 0;
}

static uint64_t sum_items(const struct ledger *ledger, const struct ledger_item *like,
			  unsigned *out_count)
{
	uint64_t sum = 0;

	*out_count = 0;
	for (unsigned i = 0; i < ledger->item_count; i++) {
		if (!is_like(&ledger->items[i], like))
			continue;
		sum += ledger->items[i].ns;
		++*out_count;
	}
	return sum;
}

static const struct ledger_item *largest_item(const struct ledger *ledger, uint64_t *out_ns,
					      unsigned *out_count)
{
	const struct ledger_item *best = NULL;

	*out_ns = 0;
	for (unsigned i = 0; i < ledger->item_count; i++) {
		unsigned count;
		uint64_t ns = sum_items(ledger, &ledger->items[i], &count);

		if (best && ns <= *out_ns)
			continue;
		best = &ledger->items[i];
		*out_ns = ns;
		*out_count = count;
	}
	return best;
}

static void put_peer(struct buf *out, const struct ledger_item *item, const char *before)
{
	if (!item->peer[0])
		return;
	buf_append_text(out, before);
	verdict_put_clean(out, item->peer, sizeof(item->peer));
}

static void put_item(struct buf *out, const struct ledger *ledger, const struct ledger_item *item,
		     unsigned count)
{
	switch ((enum ledger_item_kind)item->kind) {
	case ITEM_CHILD:
		if (ledger_item_is_own(ledger, item)) {
			buf_append_text(out, " awaiting the answer");
			put_peer(out, item, " of ");
			break;
		}
		buf_append_text(out, count > 1 ? " in the calls " : " in the call ");
		verdict_put_clean(out, item->name, sizeof(item->name));
		put_peer(out, item, " to ");
		break;
	case ITEM_QUEUED:
		buf_append_text(out, " before any thread was seen with it: queued or awaited");
		break;
	case ITEM_UNCOVERED:
		buf_append_text(out, " with no thread and no call of its own: awaited or queued");
		break;
	}
}

static void say_queued(const struct ledger *ledger, const struct ledger_code *code, struct buf *out)
{
	unsigned count = 0;
	uint64_t ns;
	const struct ledger_item *item = largest_item(ledger, &ns, &count);

	(void)code;
	buf_printf(out, "%u %% queued or async: ",
		   percent_of(ledger->all.elsewhere_ns, ledger->wall_ns));
	if (item) {
		put_part(out, ns, ledger->wall_ns);
		put_item(out, ledger, item, count);
	} else {
		put_time(out, ledger->all.elsewhere_ns);
		buf_append_text(out, " on no thread");
	}
}

/* What was neither on a CPU nor waiting, from so many percent on. */
static void put_beside(const struct ledger *ledger, unsigned least, struct buf *out)
{
	unsigned runnable = percent_of(ledger->all.runnable_ns, ledger->wall_ns);
	unsigned elsewhere = percent_of(ledger->all.elsewhere_ns, ledger->wall_ns);

	if (runnable >= least)
		buf_printf(out, ", %u %% ready but without a CPU", runnable);
	if (elsewhere >= least)
		buf_printf(out, ", %u %% queued or async", elsewhere);
}

static void say_waiting(const struct ledger *ledger, const struct ledger_code *code,
			struct buf *out)
{
	enum ledger_reason reason = verdict_reason(&ledger->all);

	buf_printf(out,
		   "%u %% waiting: ", percent_of(ledger_blocked_ns(&ledger->all), ledger->wall_ns));
	put_part(out, ledger->all.blocked_ns[reason], ledger->wall_ns);
	buf_append_byte(out, ' ');
	verdict_put_wait(out, ledger, reason, code);
	put_beside(ledger, BESIDE_PERCENT, out);
	buf_append_text(out, "; leave the CPU code alone");
}

/* Of its own code, or all. */
static uint64_t stack_ns(const struct ledger_stack *stack, bool is_own)
{
	return is_own ? stack->self_ns : stack->ns;
}

static uint64_t running_in(const struct ledger *ledger, const struct ledger_code *code,
			   struct str name, bool is_own)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->stack_count; i++) {
		if (str_eq(code->name(ledger->stacks[i].stack, code->arg), name))
			sum += stack_ns(&ledger->stacks[i], is_own);
	}
	return sum;
}

/* The function that has more than half of the time; empty: none, or nobody knows. */
static struct str main_code(const struct ledger *ledger, const struct ledger_code *code,
			    bool is_own)
{
	const struct ledger_split *split = is_own ? &ledger->self : &ledger->all;

	for (unsigned i = 0; code && code->name && i < ledger->stack_count; i++) {
		struct str name = code->name(ledger->stacks[i].stack, code->arg);

		if (name.len &&
		    is_more_than(running_in(ledger, code, name, is_own), 50, split->running_ns))
			return name;
	}
	return (struct str){ 0 };
}

/* ", most in json.dumps" */
static void put_most(struct buf *out, const char *before, struct str name)
{
	if (name.len == 0)
		return;
	buf_append_text(out, before);
	verdict_put_clean(out, name.data, name.len);
}

/* " in its child spans, most in serialize: json.dumps" */
static void put_subtree(struct buf *out, const struct ledger *ledger,
			const struct ledger_code *code)
{
	struct str span = code && code->subtree ? code->subtree(ledger, code->subtree_arg)
						: (struct str){ 0 };

	buf_append_text(out, " in its child spans");
	put_most(out, ", most in ", span);
	put_most(out, span.len ? ": " : ", most in ", main_code(ledger, code, false));
}

static void say_cpu_bound(const struct ledger *ledger, const struct ledger_code *code,
			  struct buf *out)
{
	uint64_t running_ns = ledger->all.running_ns;
	uint64_t self_ns = ledger->self.running_ns;

	buf_printf(out, "%u %% on CPU: ", percent_of(running_ns, ledger->wall_ns));
	if (is_less_than(self_ns, 50, running_ns)) {
		put_part(out, running_ns - self_ns, ledger->wall_ns);
		put_subtree(out, ledger, code);
	} else {
		put_part(out, self_ns, ledger->wall_ns);
		buf_append_text(out, " in its own code");
		put_most(out, ", most in ", main_code(ledger, code, true));
	}
	if (is_more_than(ledger->cpu_ns, 120, running_ns)) { /* lanes side by side */
		buf_append_text(out, ", ");
		put_time(out, ledger->cpu_ns);
		buf_append_text(out, " of CPU on several threads");
	}
}

static void say_mixed(const struct ledger *ledger, const struct ledger_code *code, struct buf *out)
{
	const struct ledger_split *all = &ledger->all;
	enum ledger_reason reason = verdict_reason(all);

	buf_printf(out, "mixed: %u %% on CPU, %u %% waiting",
		   percent_of(all->running_ns, ledger->wall_ns),
		   percent_of(ledger_blocked_ns(all), ledger->wall_ns));
	if (all->blocked_ns[reason]) {
		buf_append_text(out, ", most ");
		verdict_put_wait(out, ledger, reason, code);
	}
	put_beside(ledger, 1, out);
}

static void say_none(const struct ledger *ledger, const struct ledger_code *code, struct buf *out)
{
	(void)code;
	if (ledger->grade == GRADE_NONE)
		buf_append_text(out, ledger_none_text(ledger->none_cause));
	else if (ledger->wall_ns == 0)
		buf_append_text(out, "no figures: the span has no length");
	else
		buf_printf(out, "%u %% was not observed: no verdict",
			   percent_of(ledger->all.unknown_ns, ledger->wall_ns));
}

/* ---- the rules ---- */

static uint64_t largest_seen(const struct ledger *ledger)
{
	const struct ledger_split *all = &ledger->all;

	return MAX(MAX(all->running_ns, all->runnable_ns), ledger_blocked_ns(all));
}

static bool is_unseen(const struct ledger *ledger)
{
	return ledger->grade == GRADE_NONE || ledger->wall_ns == 0 ||
	       ledger->all.unknown_ns > MAX(largest_seen(ledger), ledger->all.elsewhere_ns);
}

static bool is_starved(const struct ledger *ledger)
{
	return is_more_than(ledger->all.runnable_ns, STARVED_PERCENT, ledger->wall_ns) &&
	       ledger->all.runnable_ns > ledger_blocked_ns(&ledger->all);
}

static bool is_queued(const struct ledger *ledger)
{
	return ledger->all.elsewhere_ns > largest_seen(ledger);
}

static bool is_waiting(const struct ledger *ledger)
{
	return ledger_blocked_ns(&ledger->all) &&
	       is_less_than(ledger->all.running_ns, WAITING_PERCENT, ledger->wall_ns);
}

static bool is_cpu_bound(const struct ledger *ledger)
{
	return is_more_than(ledger->all.running_ns, CPU_BOUND_PERCENT, ledger->wall_ns);
}

static bool is_any(const struct ledger *ledger)
{
	(void)ledger;
	return true;
}

/* The first that fits; the last one always does. */
static const struct rule {
	bool (*fits)(const struct ledger *ledger);
	void (*say)(const struct ledger *ledger, const struct ledger_code *code, struct buf *out);
	enum ledger_verdict verdict;
} rules[] = {
	{ is_unseen, say_none, VERDICT_NONE },
	{ is_starved, say_starved, VERDICT_STARVED },
	{ is_queued, say_queued, VERDICT_QUEUED },
	{ is_waiting, say_waiting, VERDICT_WAITING },
	{ is_cpu_bound, say_cpu_bound, VERDICT_CPU_BOUND },
	{ is_any, say_mixed, VERDICT_MIXED },
};

enum ledger_verdict ledger_judge(const struct ledger *ledger, const struct ledger_code *code,
				 struct buf *out_text)
{
	const struct rule *rule = rules;

	while (!rule->fits(ledger))
		rule++;
	rule->say(ledger, code, out_text);
	return rule->verdict;
}
